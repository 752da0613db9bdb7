"""Every arm of the table against every other, paired by problem."""

from __future__ import annotations

import numpy as np

from bon_eval.analysis.arms import CORRECT, Array, Cells, Data, cell_label, row_label, stacked, stream
from bon_eval.analysis.results import ArmPair, ArmRow, PairFamily
from bon_eval.analysis.settings import Settings
from bon_eval.stats import PairedTest, holm, paired_tests


def arm_pairs(data: Data, settings: Settings, cells: Cells, arms: tuple[ArmRow, ...]) -> tuple[ArmPair, ...]:
    """Differences in accuracy of all pairs of arms, the later one in the table minus the earlier one.

    Three families are Holm-adjusted, each by itself: best-of-n by the primary scorer against greedy (all n of the
    table, the p-values of the arms table), the same against one sample, and all other pairs. Arms that are one and the
    same (best-of-1 is the sample) count once.

    Source: the tests are those of `bon_eval.stats.paired_tests`.
    """
    rows = list({row_label(row.arm, row.n, row.scorer): row for row in reversed(arms)}.values())[::-1]
    labels = [row_label(row.arm, row.n, row.scorer) for row in rows]
    values = [_values(data, row) for row in rows]
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
        )
        known |= dict(zip(wanted, tests, strict=True))
    families = {pair: _family(rows[pair[0]], rows[pair[1]], settings) for pair in pairs}
    adjusted: dict[tuple[int, int], float] = {}
    for family in dict.fromkeys(families.values()):
        members = [pair for pair in pairs if families[pair] == family]
        p_values = holm([known[pair].p_value for pair in members])
        adjusted |= dict(zip(members, p_values.tolist(), strict=True))
    return tuple(ArmPair(rows[a].name, rows[b].name, known[a, b], families[a, b], adjusted[a, b]) for a, b in pairs)


def _family(later: ArmRow, earlier: ArmRow, settings: Settings) -> PairFamily:
    if later.arm == "best-of-n" and later.scorer == settings.primary_scorer:
        if earlier.arm == "greedy":
            return "n against greedy"
        if earlier.arm == "sample":
            return "n against sample"
    return "other pairs"


def _values(data: Data, row: ArmRow) -> Array:
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
