"""Arms of draws against those of the pool and of one another, paired by problem."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bon_eval.analysis.arms import CORRECT, Data, stacked, stream
from bon_eval.analysis.draws.facts import DrawPair
from bon_eval.analysis.draws.values import DrawValues
from bon_eval.analysis.settings import Settings
from bon_eval.stats import paired_tests, step_down
from bon_eval.stats.paired import paired_differences


def draw_pairs(data: Data, settings: Settings, found: Sequence[DrawValues]) -> tuple[DrawPair, ...]:
    """Every draw's mean, best-of-n by the primary scorer and vote, at its n, against those of the pool and of draws.

    Each against one sample, best-of-N and the vote of the pool; those of two draws each against its like. Comparisons
    with greedy are the arms' lifts. `found`: what `bon_eval.analysis.draws.values.draw_values` gave; none: no pairs.
    """
    if not found:
        return ()
    primary, last = settings.primary_scorer, settings.ns[-1]
    pool = {
        "sample": ("mean", stacked(data.responses.pool)[CORRECT].mean(axis=1)),
        f"best-of-{last} {primary}": ("best-of-n", data.picks[primary].per_problem[last][CORRECT]),
        f"vote-of-{last}": ("vote", data.vote[last]),
    }
    own = [
        (arm.name, arm.arm, arm.correct)
        for draw in found
        for arm in draw.arms
        if arm.arm == "mean"
        or (arm.n == draw.drawn.pool.n and (arm.arm, arm.scorer) in (("best-of-n", primary), ("vote", None)))
    ]
    wanted = [(name, value, other, against) for name, _, value in own for other, (_, against) in pool.items()]
    wanted += [
        (name, value, other, against)
        for k, (name, kind, value) in enumerate(own)
        for other, other_kind, against in own[:k]
        if kind == other_kind
    ]
    tests = paired_tests(
        np.column_stack([value for _, value, _, _ in wanted]),
        np.column_stack([against for _, _, _, against in wanted]),
        rng=stream(settings, "pairs of draws"),
        draws=settings.draws,
        confidence=settings.confidence,
        clusters=data.responses.clusters,
    )
    p_joint = step_down(
        np.column_stack([paired_differences(value, against, True) for _, value, _, against in wanted]),
        [test.p_value for test in tests],
        rng=stream(settings, "family of pairs of draws"),
        draws=settings.draws,
        clusters=data.responses.clusters,
    )
    return tuple(
        DrawPair(name, other, test, p_value)
        for (name, _, other, _), test, p_value in zip(wanted, tests, p_joint.tolist(), strict=True)
    )
