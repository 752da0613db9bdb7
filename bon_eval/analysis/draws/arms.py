"""The arms of draws besides greedy and the pool: intervals, lifts over greedy, and what each draw is.

Each is analysed like the pool, on the same problems and under the same scorers. Whatever assumes samples of the model's
own distribution (sharpening curve, stopping rules, coverage) is not made of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bon_eval.analysis.arms import CORRECT, LOG_LIKELIHOOD, N_TOKENS, Data, row_label, stacked, stream
from bon_eval.analysis.curves import CurvePoint, curve_points
from bon_eval.analysis.draws.facts import DrawArm, DrawFacts
from bon_eval.analysis.draws.values import ArmValues, DrawValues
from bon_eval.analysis.settings import Settings
from bon_eval.draws import SAMPLE, DrawSpec
from bon_eval.estimators.distinct import answer_entropy, distinct_of_n
from bon_eval.stats import Interval, bootstrap_cis, paired_tests, step_down
from bon_eval.stats.bootstrap import NOT_ABOVE_0, NOT_BELOW_0, UNBOUNDED
from bon_eval.stats.paired import paired_differences


def draw_facts(
    data: Data, settings: Settings, specs: Sequence[DrawSpec], found: Sequence[DrawValues]
) -> tuple[DrawFacts, ...]:
    """Every draw with its arms.

    Args:
        data: of the run.
        settings: of the analysis.
        specs: how each was drawn.
        found: what `bon_eval.analysis.draws.values.draw_values` gave; none: no facts.
    """
    columns = [arm for draw in found for arm in draw.arms]
    if not columns:
        return ()
    greedy = stacked(data.responses.greedy)[CORRECT].mean(axis=1)
    common: dict[str, Any] = {
        "draws": settings.draws,
        "confidence": settings.confidence,
        "clusters": data.responses.clusters,
    }
    correct = np.column_stack([c.correct for c in columns])
    accuracy = bootstrap_cis(correct, rng=stream(settings, "intervals of draws"), **common)
    against = np.column_stack([greedy] * len(columns))
    lifts = paired_tests(correct, against, rng=stream(settings, "tests of draws"), **common)
    p_joint = step_down(
        np.column_stack([paired_differences(c.correct, greedy, True) for c in columns]),
        [test.p_value for test in lifts],
        rng=stream(settings, "family of draws"),
        draws=settings.draws,
        clusters=data.responses.clusters,
    )
    likelihood = _likelihoods(columns, settings, common)
    arms = [
        DrawArm(
            c.draw,
            c.arm,
            c.n,
            c.scorer,
            interval,
            lift,
            p_value,
            likelihood.get(k),
            *_shares(c),
            c.error or None,
        )
        for k, (c, interval, lift, p_value) in enumerate(zip(columns, accuracy, lifts, p_joint.tolist(), strict=True))
    ]
    tokens = bootstrap_cis(
        np.column_stack([draw.drawn.pool.n_tokens.mean(axis=1) for draw in found]),
        support=NOT_BELOW_0,
        rng=stream(settings, "tokens of draws"),
        **common,
    )
    of_name = {spec.name: spec for spec in specs}
    return tuple(
        _facts(of_name[draw.name], draw, of_tokens, tuple(arm for arm in arms if arm.draw == draw.name))
        for draw, of_tokens in zip(found, tokens, strict=True)
    )


def draw_curves(
    found: Sequence[DrawValues], facts: Sequence[DrawFacts], greedy: float
) -> dict[str, tuple[CurvePoint, ...]]:
    """By draw, every scorer and the oracle at n = 1..N, the majority vote at powers of two.

    Points that are arms of `facts` have their intervals. `greedy`: its accuracy.
    """
    curves = {}
    for draw, of_draw in zip(found, facts, strict=True):
        arms = {SAMPLE if arm.arm == "mean" else row_label(arm.arm, arm.n, arm.scorer): arm for arm in of_draw.arms}
        intervals, lifts = ({k: arm.accuracy for k, arm in arms.items()}, {k: arm.lift for k, arm in arms.items()})
        curves[draw.name] = tuple(curve_points(draw.data, intervals, lifts, greedy))
    return curves


def _shares(arm: ArmValues) -> tuple[float | None, float | None, float | None, float | None]:
    """Means of length, truncated, unfinished, unscored, as a row has them."""
    if arm.quantities is None:
        return None, None, None, None
    n_tokens, truncated, unfinished, unscored = arm.quantities[N_TOKENS:].mean(axis=1).tolist()
    return n_tokens, truncated, unfinished if arm.knows_reasoning else None, unscored


def _likelihoods(columns: Sequence[ArmValues], settings: Settings, common: Mapping[str, Any]) -> dict[int, Interval]:
    """By number of the column, for those that pick a response."""
    found = {k: c.quantities[LOG_LIKELIHOOD] for k, c in enumerate(columns) if c.quantities is not None}
    intervals = bootstrap_cis(
        np.column_stack(list(found.values())),
        support=[NOT_ABOVE_0 if (value <= 0.0).all() else UNBOUNDED for value in found.values()],
        rng=stream(settings, "likelihoods of draws"),
        **common,
    )
    return dict(zip(found, intervals, strict=True))


def _facts(spec: DrawSpec, found: DrawValues, tokens: Interval, arms: tuple[DrawArm, ...]) -> DrawFacts:
    drawn, pool = found.drawn, found.drawn.pool
    return DrawFacts(
        draw=spec.name,
        n=pool.n,
        temperature=spec.temperature,
        top_p=spec.top_p,
        top_k=spec.top_k,
        min_p=spec.min_p,
        own_distribution=spec.sampling(1).own_distribution,
        tokens=tokens,
        duplicate_share=None if drawn.duplicates is None else float(drawn.duplicates.mean()),
        distinct_answers=float(distinct_of_n(pool.answer_class, pool.n).mean()),
        answer_entropy=float(answer_entropy(pool.answer_class).mean()),
        arms=arms,
    )
