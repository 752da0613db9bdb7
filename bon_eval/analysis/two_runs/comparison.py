"""Two stored runs in, one comparison out: the same problems before and after tuning. No model is touched.

Units as in `bon_eval.analysis.results`: accuracies are fractions of 1, log-likelihoods nats per response, lengths
tokens. All randomness comes from one seed; problems are the sampling unit, and every difference is paired by problem.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bon_eval.analysis.responses import Array
from bon_eval.analysis.settings import check_comparison_draws
from bon_eval.analysis.two_runs.draws import draw_changes
from bon_eval.analysis.two_runs.findings import Change, Finding, findings
from bon_eval.analysis.two_runs.reward import RewardScorer, reward_scorer
from bon_eval.analysis.two_runs.sides import LABELS, Side, accuracies, best_responses, quantities, support, unit
from bon_eval.errors import counted
from bon_eval.estimators.amortised import AmortisedShare, amortised_share
from bon_eval.estimators.coverage import log_coverage_interval
from bon_eval.estimators.equivalent_n import Divergence, EquivalentN, kl_divergence, sharpening_equivalent_n
from bon_eval.estimators.explained import ExplainedGain, explained_gain
from bon_eval.stats import Interval, align, bootstrap_cis, holm, paired_test, paired_tests
from bon_eval.stats.bootstrap import UNIT
from bon_eval.stats.clusters import rows_of, sampling_units
from bon_eval.stats.streams import streams
from bon_eval.stats.units import Count, Size
from bon_eval.store.comparable import check_comparable, common_clusters, same_prompts, stored_config
from bon_eval.store.forced import LikelihoodSource, load_likelihoods
from bon_eval.store.reader import Run

_DIFFERENT_PROMPTS = "the prompts differ, so likelihoods under the other model were not compared"
_NOT_TEMPERATURE_1 = "the pools were not drawn at temperature 1, so their means are no expectations under the model"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that the comparison of two runs prints."""

    before: Mapping[str, object]
    after: Mapping[str, object]
    """Facts of the runs as in `bon_eval.analysis.results.Analysis.run`, with ``path``."""
    n_problems: Size
    n_clusters: Size | None
    """Groups of problems that are resampled together; None: each problem by itself."""
    cluster: str | None
    """The column whose equal values mark them."""
    n: Size
    """Of best-of-n, vote, oracle and distinct answers: the smaller of the two N. All else takes all responses."""
    sizes: tuple[Size, Size]
    """N before and after."""
    differences: Mapping[str, str]
    """What the runs differ in besides the model, and was allowed to or is no more than a version -> how."""
    sources: tuple[LikelihoodSource, LikelihoodSource] | None
    """Where the log-likelihoods of the responses before and after under their own models come from in differences
    between the models, whose other side is forced; None where the prompts differ."""
    draws: Size
    seed: Count
    accuracies: tuple[Change, ...]
    quantities: tuple[Change, ...]
    draw_accuracies: tuple[Change, ...]
    """Of the draws besides greedy and the pool that both runs have: a family of its own."""
    divergences: Mapping[str, Divergence]
    """``KL(after || before)`` and ``KL(before || after)``, nats per response."""
    equivalent_n: Mapping[str, EquivalentN]
    """By ``log_likelihood`` and by ``accuracy``."""
    amortised: AmortisedShare
    explained: ExplainedGain | None
    log_coverage: Mapping[str, Interval]
    """Upper bounds of ln C_cov in nats (see `bon_eval.analysis.two_runs.sides.best_responses`):
    ``before``, ``after``, ``after, at the base model's best``;
    empty where the prompts differ or no response finished."""
    findings: tuple[Finding, ...]
    reasons: Mapping[str, str]
    """Name of what is not there -> why."""
    reward: RewardScorer | None = None
    """Best-of-n of the tuned pool by its implicit reward and by its likelihood; None where the prompts differ."""

    @property
    def units(self) -> tuple[int, str]:
        """How many of what are resampled: ``problem`` or ``cluster``."""
        return (self.n_problems, "problem") if self.n_clusters is None else (self.n_clusters, "cluster")


def compare_runs(
    before: Run,
    after: Run,
    *,
    seed: int = 0,
    draws: int = 10_000,
    allow_different: Collection[str] = (),
    cluster: str | None = None,
) -> Comparison:
    """Compare a tuned model's run with its base model's on the same problems.

    Args:
        before, after: graded runs; each was scored by the other's model (`bon_eval.run.forcing.force_run`).
        seed: of all randomness.
        draws: bootstrap draws.
        allow_different: of `bon_eval.store.comparable.DIFFERENCES`: what the runs may differ in besides the model.
            Where the prompts differ, accuracies are compared and no likelihoods.
        cluster: column of the task whose equal values mark problems that are resampled together; default: the one
            that both runs' task names, if any (`bon_eval.store.comparable.common_clusters`).

    Raises:
        ConfigError: as `bon_eval.store.comparable.check_comparable`, whose message names what differs; too few draws.
        StoreError: a run was not scored by the other's model.
    """
    check_comparison_draws(draws)
    differences = check_comparable(before, after, allow_different)
    reasons: dict[str, str] = {}
    likelihoods = load_likelihoods(before, after) if same_prompts(before, after) else None
    if likelihoods is None:
        reasons |= dict.fromkeys(
            ("log_likelihood_base", "divergences", "equivalent_n", "explained", "log_coverage", "reward"),
            _DIFFERENT_PROMPTS,
        )
        first, second = Side.of(before), Side.of(after)
    else:
        own = likelihoods.base
        first = Side.of(before, own=own, base=own)
        second = Side.of(
            after, own=likelihoods.tuned, base=likelihoods.tuned_by_base, base_under=likelihoods.base_by_tuned
        )
    order = align(first.pool.problem_ids, second.pool.problem_ids)
    second = second.rows(order)
    together = common_clusters(before, after, first.pool.problem_ids, cluster)
    column, clusters = together or (None, None)
    units, word = sampling_units(len(first.pool.problem_ids), clusters)
    n = min(first.pool.n, second.pool.n)
    rng = streams(seed)
    accuracy = [accuracies(side, n, rng) for side in (first, second)]
    measured = [quantities(side, n) for side in (first, second)]
    if before.pool.n != after.pool.n:
        reasons["duplicates"] = (
            f"the pools hold {before.pool.n} and {after.pool.n} responses, whose shares differ anyway"
        )
        for values in measured:
            del values["duplicates"]
    coverage: dict[str, Interval] = {}
    if likelihoods is not None:
        best = best_responses(first, second)
        measured[0] |= best.before
        measured[1] |= best.after
        for name, seen in best.seen.items():
            coverage[name] = log_coverage_interval(
                seen, rng=rng("ln coverage"), draws=draws, clusters=rows_of(clusters, best.there)
            )
        if best.left_out:
            reasons["log_likelihood_best"] = f"{counted(best.left_out)} without a response that was not truncated"
    accuracy_changes, quantity_changes = _changes(accuracy, measured, n, seed, draws, clusters)
    of_draws = draw_changes(before, after, order, (first.base, second.base), streams(seed), draws, clusters)
    divergences, equivalent, explained = {}, {}, None
    verdicts = {change.name: change.verdict for change in (*accuracy_changes, *quantity_changes)}
    amortised = amortised_share(
        accuracy[1]["sample"],
        accuracy[0]["sample"],
        accuracy[0]["best_own"],
        gain=verdicts["accuracy.sample"],
        possible=paired_test(
            accuracy[0]["best_own"], accuracy[0]["sample"], rng=rng("possible"), draws=draws, clusters=clusters
        ),
        clusters=clusters,
    )
    if likelihoods is not None:
        base, right = first.own["sample"], first.pool.correct.astype(np.float64)
        tuned_ll, tuned_right = second.base["sample"].mean(axis=1), accuracy[1]["sample"]
        equivalent = {
            name: sharpening_equivalent_n(
                base, values, tuned, rng=rng("equivalent"), draws=draws, shares=shares, clusters=clusters
            )
            for name, values, tuned, shares in (
                ("log_likelihood", base, tuned_ll, False),
                ("accuracy", right, tuned_right, True),
            )
        }
        explained = explained_gain(
            base,
            right,
            tuned_ll,
            tuned_right,
            gain=verdicts["accuracy.sample"],
            sharper=verdicts["log_likelihood_base.sample"],
            rng=rng("explained"),
            draws=draws,
            clusters=clusters,
        )
        if stored_config(before)["temperature"] == 1.0:
            divergences = {
                name: kl_divergence(own, other, rng=rng("kl"), draws=draws, clusters=clusters)
                for name, own, other in (
                    ("KL(after || before)", second.own["sample"], second.base["sample"]),
                    ("KL(before || after)", base, second.base_under["sample"]),
                )
            }
        else:
            reasons["divergences"] = _NOT_TEMPERATURE_1
    return Comparison(
        before=_facts(before),
        after=_facts(after),
        n_problems=len(first.pool.problem_ids),
        n_clusters=None if clusters is None else units,
        cluster=column,
        n=n,
        sizes=(first.pool.n, second.pool.n),
        differences=differences,
        sources=None if likelihoods is None else likelihoods.sources,
        draws=draws,
        seed=seed,
        accuracies=accuracy_changes,
        quantities=quantity_changes,
        draw_accuracies=of_draws.accuracies,
        divergences=divergences,
        equivalent_n=equivalent,
        amortised=amortised,
        explained=explained,
        findings=findings((*accuracy_changes, *quantity_changes), explained, n, (units, word)),
        log_coverage=coverage,
        reasons=reasons | of_draws.reasons,
        reward=None if likelihoods is None else reward_scorer(second, n, rng, draws, clusters),
    )


def _changes(
    accuracy: list[dict[str, Array]],
    measured: list[dict[str, Array]],
    n: int,
    seed: int,
    draws: int,
    clusters: NDArray[np.intp] | None,
) -> tuple[tuple[Change, ...], tuple[Change, ...]]:
    accuracy_names = [name for name in accuracy[0] if name in accuracy[1]]
    quantity_names = [name for name in LABELS if name in measured[0] and name in measured[1]]
    columns = [
        np.column_stack([accuracy[k][a] for a in accuracy_names] + [measured[k][q] for q in quantity_names])
        for k in (0, 1)
    ]
    rng = streams(seed)
    shares = [True] * len(accuracy_names) + [unit(name) == "share" for name in quantity_names]
    supports = [UNIT] * len(accuracy_names) + [support(name) for name in quantity_names]
    intervals = [
        bootstrap_cis(c, rng=rng("intervals"), draws=draws, support=supports, clusters=clusters) for c in columns
    ]
    tests = paired_tests(columns[1], columns[0], rng=rng("tests"), draws=draws, shares=shares, clusters=clusters)
    adjusted = holm([test.p_value for test in tests[: len(accuracy_names)]]).tolist()
    changes = [
        Change(
            name=f"accuracy.{name}" if k < len(accuracy_names) else name,
            label=LABELS[name].format(n=n),
            unit=unit(name),
            before=intervals[0][k],
            after=intervals[1][k],
            difference=tests[k],
            p_holm=adjusted[k] if k < len(accuracy_names) else None,
        )
        for k, name in enumerate([*accuracy_names, *quantity_names])
    ]
    return tuple(changes[: len(accuracy_names)]), tuple(changes[len(accuracy_names) :])


def _facts(run: Run) -> dict[str, object]:
    return {
        "path": str(run.path),
        "config": stored_config(run),
        "engine": run.meta.get("engine"),
        "versions": run.meta.get("versions"),
        "grader": dict(run.grader),
    }
