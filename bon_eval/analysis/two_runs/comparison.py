"""Two stored runs in, one comparison out: a model before and after tuning, or any two. No model is touched.

Units as in `bon_eval.analysis.results`: accuracies are fractions of 1, log-likelihoods nats per response, lengths
tokens. All randomness comes from one seed; problems are the sampling unit, and every difference is paired by problem.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bon_eval.analysis.settings import check_comparison_draws
from bon_eval.analysis.two_runs.added import Added, added
from bon_eval.analysis.two_runs.added_verdict import added_finding
from bon_eval.analysis.two_runs.changes import changes
from bon_eval.analysis.two_runs.draws import draw_changes
from bon_eval.analysis.two_runs.findings import Change, Finding, findings
from bon_eval.analysis.two_runs.names import BEFORE_AFTER, Names, named, names_of
from bon_eval.analysis.two_runs.reward import RewardScorer, reward_scorer
from bon_eval.analysis.two_runs.sides import Side, accuracies, best_responses, lacking, quantities
from bon_eval.errors import counted
from bon_eval.estimators.amortised import AmortisedShare, amortised_share
from bon_eval.estimators.coverage import log_coverage_interval
from bon_eval.estimators.equivalent_n import Divergence, EquivalentN, kl_divergence, sharpening_equivalent_n
from bon_eval.estimators.explained import ExplainedGain, explained_gain
from bon_eval.stats import Interval, paired_test
from bon_eval.stats.clusters import rows_of, sampling_units
from bon_eval.stats.paired import Verdict
from bon_eval.stats.streams import Streams, streams
from bon_eval.stats.units import Count, Size
from bon_eval.store.comparable import check_comparable, common_clusters, same_problems, same_prompts, stored_config
from bon_eval.store.forced import LikelihoodSource, load_likelihoods, missing_scores
from bon_eval.store.imported.source import has_own_tokens
from bon_eval.store.reader import Run, response_keys

_DIFFERENT_PROMPTS = "the prompts differ, so likelihoods under the other model were not compared"
_NOT_SCORED = (
    "neither run was scored by the other's model, which takes both",
    "only one run was scored by the other's model, which takes both",
)
_NO_LIKELIHOODS = "a run has no log-likelihoods"
_NO_PROMPTS = "a run does not tell its prompts, so likelihoods under the other model were not compared"
_IMPORTED = "; what is imported becomes a model's own first: "
_AS_OWN = "bon-eval score {} --by MODEL --as-own"
_OF_LIKELIHOODS = ("log_likelihood_base", "divergences", "equivalent_n", "explained", "log_coverage", "reward")
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
    between the models, whose other side is forced; None where the prompts differ or a run was not scored by the other's
    model."""
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
    empty without `sources` or where no response finished."""
    findings: tuple[Finding, ...]
    reasons: Mapping[str, str]
    """Name of what is not there -> why."""
    reward: RewardScorer | None = None
    """Best-of-n of the tuned pool by its implicit reward and by its likelihood; None without `sources`."""
    names: Names = BEFORE_AFTER
    """What the two runs are called; all that is named before and after here is of the first and the second."""
    added: Added | None = None
    """What the second run's model does that the first one's does not, and the other way round."""
    owed: tuple[str, ...] = ()
    """Commands that would have each run scored by the other's model, where the prompts are the same."""

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
    tuning: bool = True,
    names: Collection[str] = (),
) -> Comparison:
    """Compare two runs of one task on the same problems, a tuned model's with its base model's or any two.

    Where each run was scored by the other's model (`bon_eval.run.forcing.force_run`), likelihoods are compared too;
    otherwise accuracies and what each run says of itself, and `Comparison.owed` says what to run for the rest.

    Args:
        before, after: graded runs.
        seed: of all randomness.
        draws: bootstrap draws.
        allow_different: of `bon_eval.store.comparable.DIFFERENCES`: what the runs may differ in besides the model.
            Where the prompts differ, accuracies are compared and no likelihoods.
        cluster: column of the task whose equal values mark problems that are resampled together; default: the one
            that both runs' task names, if any (`bon_eval.store.comparable.common_clusters`).
        tuning: whether the second model is tuned from the first, so that they are before and after; False: each run
            has a name of its own, and what two models have of their own by nature may differ.
        names: two names of one's own; default: before and after, or the models'.

    Raises:
        ConfigError: as `bon_eval.store.comparable.check_comparable`, whose message names what differs; too few draws.
        StoreError: stored scores are damaged.
    """
    check_comparison_draws(draws)
    called = BEFORE_AFTER if tuning else named(*names_of((before, after), tuple(names)))
    differences = check_comparable(before, after, allow_different, names=called.places, tuning=called.tuning)
    reasons: dict[str, str] = {}
    likelihoods = None
    owed: tuple[str, ...] = ()
    if not same_prompts(before, after):
        known = all(stored_config(run).get("prompts_hash") for run in (before, after))
        bare = [_AS_OWN.format(run.path) for run in (before, after) if not has_own_tokens(run.meta)]
        without = _NO_PROMPTS + (_IMPORTED + " and ".join(bare) if bare else "")
        reasons |= dict.fromkeys(_OF_LIKELIHOODS, _DIFFERENT_PROMPTS if known else without)
    elif owed := missing_scores(before, after):
        reasons |= dict.fromkeys(_OF_LIKELIHOODS, _NOT_SCORED[len(owed) == 1])
    else:
        likelihoods = load_likelihoods(before, after)
    if likelihoods is None:
        first, second = Side.of(before), Side.of(after)
    else:
        own = likelihoods.base
        first = Side.of(before, own=own, base=own)
        second = Side.of(
            after, own=likelihoods.tuned, base=likelihoods.tuned_by_base, base_under=likelihoods.base_by_tuned
        )
    order = same_problems(before, after, called.places)
    second = second.rows(order)
    together = common_clusters(before, after, order, cluster, called.places)
    column, clusters = together or (None, None)
    units, word = sampling_units(len(first.pool.problem_ids), clusters)
    n = min(first.pool.n, second.pool.n)
    rng = streams(seed)
    accuracy = [accuracies(side, n, rng) for side in (first, second)]
    measured = [quantities(side, n) for side in (first, second)]
    reasons |= lacking((first, second), called.places)
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
    keys = None if likelihoods is None else _keys(before, after, order)
    more = added(first, second, keys, called, seed=seed, draws=draws, clusters=clusters)
    accuracy_changes, quantity_changes = changes(
        accuracy, measured, n, seed, draws, clusters, None if called.tuning else called.adjectives[0]
    )
    of_draws = draw_changes(before, after, order, (first.base, second.base), streams(seed), draws, clusters)
    divergences, equivalent, explained = {}, {}, None
    verdicts = {change.name: change.verdict for change in (*accuracy_changes, *quantity_changes)}
    amortised = _amortised(accuracy, verdicts["accuracy.sample"], rng, draws, clusters)
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
        if (temperature := stored_config(before)["temperature"]) == 1.0:
            divergences = {
                name: kl_divergence(own, other, rng=rng("kl"), draws=draws, clusters=clusters)
                for name, own, other in (
                    ("KL(after || before)", second.own["sample"], second.base["sample"]),
                    ("KL(before || after)", base, second.base_under["sample"]),
                )
            }
        else:
            reasons["divergences"] = (
                "the temperature of the pools is not known" if temperature is None else _NOT_TEMPERATURE_1
            )
    return Comparison(
        before=facts_of(before),
        after=facts_of(after),
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
        findings=(
            *findings((*accuracy_changes, *quantity_changes), explained, n, (units, word), called),
            added_finding(accuracy_changes, more, (units, word), called),
        ),
        log_coverage=coverage,
        reasons=reasons | of_draws.reasons,
        reward=None if likelihoods is None else reward_scorer(second, n, rng, draws, clusters),
        names=called,
        added=more,
        owed=owed,
    )


def _amortised(
    accuracy: list[dict[str, NDArray[np.float64]]],
    gain: Verdict,
    rng: Streams,
    draws: int,
    clusters: NDArray[np.intp] | None,
) -> AmortisedShare:
    base, tuned = accuracy
    if "best_own" not in base:
        return AmortisedShare(None, math.nan, math.nan, _NO_LIKELIHOODS)
    possible = paired_test(base["best_own"], base["sample"], rng=rng("possible"), draws=draws, clusters=clusters)
    return amortised_share(
        tuned["sample"], base["sample"], base["best_own"], gain=gain, possible=possible, clusters=clusters
    )


def _keys(before: Run, after: Run, order: NDArray[np.intp]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """What tells equal responses of the two pools, rows in the order of the first run."""
    first, second = (response_keys(run.path, run.pool.problem_ids, "sample", run.pool.n) for run in (before, after))
    return first, second[order]


def facts_of(run: Run) -> dict[str, object]:
    """What a comparison says of one run."""
    return {
        "path": str(run.path),
        "config": stored_config(run),
        "engine": run.meta.get("engine"),
        "versions": run.meta.get("versions"),
        "grader": dict(run.grader),
    }
