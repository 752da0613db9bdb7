"""Many arms at once: p-values that hold for a whole family of comparisons, and the scorer selected among several."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bon_eval.analysis.arms import CORRECT, Cells, Data, cell_label, row_label, stacked, stream
from bon_eval.analysis.responses import Array
from bon_eval.analysis.results import (
    ArmPair,
    ArmRow,
    PairFamily,
    SelectedScorer,
)
from bon_eval.analysis.settings import Settings
from bon_eval.estimators.cross_fitting import cross_fitted
from bon_eval.scorers import get_scorer
from bon_eval.stats import PairedTest, bootstrap_ci, holm, paired_tests, step_down
from bon_eval.stats.heavy_tails import LEAST_PROBLEMS
from bon_eval.stats.paired import paired_differences
from bon_eval.stats.ratios import relative_difference


def adjust_arms(data: Data, settings: Settings, rows: Sequence[ArmRow]) -> tuple[ArmRow, ...]:
    """The arms table with the p-values of its two families of comparisons with greedy, each adjusted by itself.

    Best-of-n by the primary scorer (Holm over the n of the table), and all other arms (step-down max-t).
    """
    greedy = arm_values(data, rows[0])
    family: list[int] = []
    others: list[int] = []
    for k, row in enumerate(rows):
        if row.lift is not None:
            in_family = row.arm == "best-of-n" and row.scorer == settings.primary_scorer
            (family if in_family else others).append(k)
    p_holm = holm([_p_value(rows[k]) for k in family])
    p_joint = step_down(
        np.column_stack([paired_differences(arm_values(data, rows[k]), greedy, True) for k in others]),
        [_p_value(rows[k]) for k in others],
        rng=stream(settings, "family of arms"),
        draws=settings.draws,
        clusters=data.responses.clusters,
    )
    out = list(rows)
    for k, p_value in zip(family, p_holm.tolist(), strict=True):
        out[k] = replace(out[k], p_holm=p_value)
    for k, p_value in zip(others, p_joint.tolist(), strict=True):
        out[k] = replace(out[k], p_joint=p_value)
    return tuple(out)


def relative_lifts(data: Data, settings: Settings, rows: Sequence[ArmRow]) -> tuple[ArmRow, ...]:
    """The arms table with each lift in percent of greedy's accuracy, with its interval or why there is none."""
    greedy = arm_values(data, rows[0])
    out = []
    for row in rows:
        if row.lift is None or not greedy.any():
            why = "greedy is the baseline" if row.lift is None else "greedy's accuracy is 0"
            reasons = dict.fromkeys(("lift_percent", "lift_percent_low", "lift_percent_high"), why)
            out.append(replace(row, null_reasons={**row.null_reasons, **reasons}))
            continue
        found = relative_difference(
            arm_values(data, row), greedy, row.lift, confidence=settings.confidence, clusters=data.responses.clusters
        )
        low, high = (100.0 * end if math.isfinite(end) else None for end in (found.low, found.high))
        why = f"no interval: {row.lift.reason}" if math.isnan(found.low) else "no bound: greedy's accuracy may be 0"
        reasons = {name: why for name, end in (("lift_percent_low", low), ("lift_percent_high", high)) if end is None}
        out.append(
            replace(
                row,
                lift_percent=100.0 * found.estimate,
                lift_percent_low=low,
                lift_percent_high=high,
                null_reasons={**row.null_reasons, **reasons},
            )
        )
    return tuple(out)


def _p_value(row: ArmRow) -> float:
    assert row.lift is not None
    return row.lift.p_value


def arm_pairs(data: Data, settings: Settings, cells: Cells, arms: tuple[ArmRow, ...]) -> tuple[ArmPair, ...]:
    """Differences in accuracy of all pairs of arms, the later one in the table minus the earlier one.

    Three families are adjusted, each by itself: best-of-n by the primary scorer against greedy (Holm over all n of the
    table, the p-values of the arms table), the same against one sample, and all other pairs (step-down by their joint
    distribution). Arms that are one and the same (best-of-1 is the sample) count once.

    Source: the tests are those of `bon_eval.stats.paired_tests`.
    """
    rows = list({row_label(row.arm, row.n, row.scorer): row for row in reversed(arms)}.values())[::-1]
    labels = [row_label(row.arm, row.n, row.scorer) for row in rows]
    values = [arm_values(data, row) for row in rows]
    pairs = [(later, earlier) for later in range(len(rows)) for earlier in range(later)]
    known: dict[tuple[int, int], PairedTest] = {}
    best = cell_label(settings.primary_scorer, settings.ns[-1])
    for later, earlier in pairs:
        if labels[earlier] == "greedy":
            known[later, earlier] = cells.lift[labels[later]]
        elif (labels[later], labels[earlier]) == (best, "sample"):
            known[later, earlier] = cells.over_sample
    wanted = [pair for pair in pairs if pair not in known]
    if wanted:
        tests = paired_tests(
            np.column_stack([values[later] for later, _ in wanted]),
            np.column_stack([values[earlier] for _, earlier in wanted]),
            rng=stream(settings, "pairs"),
            draws=settings.draws,
            confidence=settings.confidence,
            clusters=data.responses.clusters,
        )
        known |= dict(zip(wanted, tests, strict=True))
    families = {pair: _family(rows[pair[0]], rows[pair[1]], settings) for pair in pairs}
    adjusted: dict[tuple[int, int], float] = {}
    for family in dict.fromkeys(families.values()):
        members = [pair for pair in pairs if families[pair] == family]
        own = [known[pair].p_value for pair in members]
        if family == "other pairs":
            differences = np.column_stack([paired_differences(values[a], values[b], True) for a, b in members])
            rng = stream(settings, "family of pairs")
            p_values = step_down(differences, own, rng=rng, draws=settings.draws, clusters=data.responses.clusters)
        else:
            p_values = holm(own)
        adjusted |= dict(zip(members, p_values.tolist(), strict=True))
    return tuple(
        ArmPair(
            arm=rows[a].name,
            other=rows[b].name,
            test=known[a, b],
            family=families[a, b],
            p_holm=None if families[a, b] == "other pairs" else adjusted[a, b],
            p_joint=adjusted[a, b] if families[a, b] == "other pairs" else None,
        )
        for a, b in pairs
    )


def _family(later: ArmRow, earlier: ArmRow, settings: Settings) -> PairFamily:
    if later.arm == "best-of-n" and later.scorer == settings.primary_scorer:
        if earlier.arm == "greedy":
            return "n against greedy"
        if earlier.arm == "sample":
            return "n against sample"
    return "other pairs"


def arm_values(data: Data, row: ArmRow) -> Array:
    """Accuracy of an arm on each problem, (P,)."""
    if row.arm in ("greedy", "sample"):
        pool = data.responses.greedy if row.arm == "greedy" else data.responses.pool
        mean: Array = stacked(pool)[CORRECT].mean(axis=1)
        return mean
    if row.arm == "vote":
        return data.weighted[row.scorer].values[row.n] if row.scorer else data.vote[row.n]
    if row.arm == "oracle":
        return data.oracle[row.n]
    assert row.scorer is not None
    picked: Array = data.picks[row.scorer].per_problem[row.n][CORRECT]
    return picked


def selected_scorer(data: Data, settings: Settings, cells: Cells) -> SelectedScorer | None:
    """The best of the scorers with its naive and its cross-fitted accuracy; None where there is none to select.

    Every problem is answered by the scorer that the other half of the problems selects
    (`bon_eval.estimators.cross_fitting`), so that its value does not depend on itself. The interval takes problems as
    the sampling unit and is as much wider as the selection moves the estimate.
    """
    last = settings.ns[-1]
    names = [name for name in data.picks if not get_scorer(name).blind]
    if len(names) < 2 or data.responses.units[0] < LEAST_PROBLEMS:
        return None
    values = np.column_stack([data.picks[name].per_problem[last][CORRECT] for name in names])
    clusters = data.responses.clusters
    fitted = cross_fitted(values, rng=stream(settings, "selected scorer"), clusters=clusters)
    best = names[int(values.mean(axis=0).argmax())]
    found = bootstrap_ci(
        np.clip(fitted.values, 0.0, 1.0),
        rng=stream(settings, "selected scorer's interval"),
        draws=settings.draws,
        confidence=settings.confidence,
        support=(0.0, 1.0),
        clusters=clusters,
    )
    low, high = (found.estimate + fitted.widening * (end - found.estimate) for end in (found.low, found.high))
    found = replace(found, low=max(0.0, low), high=min(1.0, high)) if found.reason is None else found
    return SelectedScorer(best, len(names), cells.accuracy[cell_label(best, last)], found)
