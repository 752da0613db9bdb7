"""Two stored runs in, one comparison out: the same problems before and after tuning. No model is touched.

Units as in `bon_eval.analysis.results`: accuracies are fractions of 1, log-likelihoods nats per response, lengths
tokens. All randomness comes from one seed; problems are the sampling unit, and every difference is paired by problem.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from bon_eval.analysis.arms import Array
from bon_eval.analysis.findings import Change, Finding, findings
from bon_eval.analysis.sides import LABELS, Side, accuracies, best_responses, quantities, unit
from bon_eval.errors import ConfigError
from bon_eval.estimators.amortised import AmortisedShare, amortised_share
from bon_eval.estimators.coverage import log_coverage_interval
from bon_eval.estimators.equivalent_n import Divergence, EquivalentN, kl_divergence, sharpening_equivalent_n
from bon_eval.estimators.explained import ExplainedGain, explained_gain
from bon_eval.stats import Interval, align, bootstrap_cis, holm, paired_test, paired_tests
from bon_eval.stats.bootstrap import UNBOUNDED
from bon_eval.stats.streams import streams
from bon_eval.stats.units import Count, Size
from bon_eval.store.forced import load_forced_by
from bon_eval.store.prompts import check_same_prompts, load_prompts
from bon_eval.store.reader import Run

_SAME = ("task", "temperature", "max_tokens", "stop", "stop_token_ids")
_DIFFERENT_PROMPTS = "the prompts differ, so likelihoods under the other model were not compared"
_NOT_TEMPERATURE_1 = "the pools were not drawn at temperature 1, so their means are no expectations under the model"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that the comparison of two runs prints."""

    before: Mapping[str, object]
    after: Mapping[str, object]
    """Facts of the runs as in `bon_eval.analysis.results.Analysis.run`, with ``path``."""
    n_problems: Size
    n: Size
    """Responses of each pool that are compared: the smaller of the two N."""
    draws: Size
    seed: Count
    accuracies: tuple[Change, ...]
    quantities: tuple[Change, ...]
    divergences: Mapping[str, Divergence]
    """``KL(after || before)`` and ``KL(before || after)``, nats per response."""
    equivalent_n: Mapping[str, EquivalentN]
    """By ``log_likelihood`` and by ``accuracy``."""
    amortised: AmortisedShare
    explained: ExplainedGain | None
    log_coverage: Mapping[str, Interval]
    """Upper bounds of ln C_cov in nats (see `bon_eval.analysis.sides.best_responses`):
    ``before``, ``after``, ``after, at the base model's best``;
    empty where the prompts differ or no response finished."""
    findings: tuple[Finding, ...]
    reasons: Mapping[str, str]
    """Name of what is not there -> why."""


def compare_runs(
    before: Run, after: Run, *, seed: int = 0, draws: int = 10_000, allow_different_prompts: bool = False
) -> Comparison:
    """Compare a tuned model's run with its base model's on the same problems.

    Args:
        before, after: graded runs; each was scored by the other's model (`bon_eval.run.forcing.force_run`).
        seed: of all randomness.
        draws: bootstrap and permutation draws.
        allow_different_prompts: compare accuracies, without likelihoods, where the prompts differ.

    Raises:
        ConfigError: other problems, another way of sampling, other prompts; the message names what differs.
        StoreError: a run was not scored by the other's model.
    """
    check_comparable(before, after)
    if not allow_different_prompts:
        check_same_prompts(load_prompts(before.path), load_prompts(after.path))
    reasons: dict[str, str] = {}
    under_base = under_tuned = None
    if same_prompts(before, after):
        under_base, under_tuned = load_forced_by(after, before), load_forced_by(before, after)
    else:
        reasons |= dict.fromkeys(
            ("log_likelihood_base", "divergences", "equivalent_n", "explained", "log_coverage"), _DIFFERENT_PROMPTS
        )
    sides = Side.of_base(before), Side.of_tuned(after, under_base, under_tuned)
    sides = (sides[0], sides[1].rows(align(sides[0].pool.problem_ids, sides[1].pool.problem_ids)))
    n = min(side.pool.n for side in sides)
    first, second = (side.first(n) for side in sides)
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
    if under_tuned is not None:
        best = best_responses(first, replace(second, base_under=under_tuned["sample"][:, :n]))
        measured[0] |= best.before
        measured[1] |= best.after
        for name, seen in best.seen.items():
            coverage[name] = log_coverage_interval(seen, rng=rng("ln coverage"), draws=draws)
        if best.left_out:
            reasons["log_likelihood_best"] = f"{best.left_out} problems have no response that was not truncated"
    accuracy_changes, quantity_changes = _changes(accuracy, measured, n, seed, draws)
    divergences, equivalent, explained = {}, {}, None
    verdicts = {change.name: change.verdict for change in (*accuracy_changes, *quantity_changes)}
    amortised = amortised_share(
        accuracy[1]["sample"],
        accuracy[0]["sample"],
        accuracy[0]["best_own"],
        gain=verdicts["accuracy.sample"],
        possible=paired_test(accuracy[0]["best_own"], accuracy[0]["sample"], rng=rng("possible"), draws=draws),
    )
    if second.base_pool is not None and second.base_under is not None:
        base, right = first.pool.log_likelihood, first.pool.correct.astype(np.float64)
        tuned_ll, tuned_right = second.base_pool.mean(axis=1), accuracy[1]["sample"]
        equivalent = {
            name: sharpening_equivalent_n(base, values, tuned, rng=rng("equivalent"), draws=draws, shares=shares)
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
        )
        if _config(before)["temperature"] == 1.0:
            divergences = {
                "KL(after || before)": kl_divergence(
                    second.pool.log_likelihood, second.base_pool, rng=rng("kl"), draws=draws
                ),
                "KL(before || after)": kl_divergence(base, second.base_under[:, :n], rng=rng("kl"), draws=draws),
            }
        else:
            reasons["divergences"] = _NOT_TEMPERATURE_1
    return Comparison(
        before=_facts(before),
        after=_facts(after),
        n_problems=len(first.pool.problem_ids),
        n=n,
        draws=draws,
        seed=seed,
        accuracies=accuracy_changes,
        quantities=quantity_changes,
        divergences=divergences,
        equivalent_n=equivalent,
        amortised=amortised,
        explained=explained,
        findings=findings((*accuracy_changes, *quantity_changes), explained, n, len(first.pool.problem_ids)),
        log_coverage=coverage,
        reasons=reasons,
    )


def same_prompts(before: Run, after: Run) -> bool:
    """Whether both models saw the same tokens, so that likelihoods under the other model are comparable."""
    return _config(before)["prompts_hash"] == _config(after)["prompts_hash"]


def check_comparable(before: Run, after: Run) -> None:
    """Raise `ConfigError` that names what differs in the way the two runs were sampled, or a problem that one lacks."""
    a, b = _config(before), _config(after)
    for name in _SAME:
        if a[name] != b[name]:
            raise ConfigError(
                f"the runs were sampled differently: {name} is {a[name]!r} before and {b[name]!r} after; sample one of "
                "them again with the other's"
            )
    align(before.pool.problem_ids, after.pool.problem_ids)
    golds = {p.id: p.gold for p in before.problems}
    for problem in after.problems:
        if golds.get(problem.id, problem.gold) != problem.gold:
            raise ConfigError(f"problem {problem.id!r} has another gold answer in the run after; use the same data")


def _changes(
    accuracy: list[dict[str, Array]], measured: list[dict[str, Array]], n: int, seed: int, draws: int
) -> tuple[tuple[Change, ...], tuple[Change, ...]]:
    accuracy_names = [name for name in accuracy[0] if name in accuracy[1]]
    quantity_names = [name for name in LABELS if name in measured[0] and name in measured[1]]
    columns = [
        np.column_stack([accuracy[k][a] for a in accuracy_names] + [measured[k][q] for q in quantity_names])
        for k in (0, 1)
    ]
    rng = streams(seed)
    shares = [True] * len(accuracy_names) + [unit(name) == "share" for name in quantity_names]
    supports = [(0.0, 1.0) if share else UNBOUNDED for share in shares]
    intervals = [bootstrap_cis(c, rng=rng("intervals"), draws=draws, support=supports) for c in columns]
    tests = paired_tests(columns[1], columns[0], rng=rng("tests"), draws=draws, shares=shares)
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


def _config(run: Run) -> dict[str, object]:
    config = run.meta["config"]
    assert isinstance(config, dict)
    return config


def _facts(run: Run) -> dict[str, object]:
    return {
        "path": str(run.path),
        "config": _config(run),
        "engine": run.meta.get("engine"),
        "versions": run.meta.get("versions"),
        "grader": dict(run.grader),
    }
