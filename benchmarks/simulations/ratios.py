"""Shares and ratios: relative lift, sharpening-equivalent N, explained gain, amortised share."""

from __future__ import annotations

import math

import numpy as np

from bon_eval.estimators.amortised import amortised_share
from bon_eval.estimators.equivalent_n import sharpening_equivalent_n
from bon_eval.estimators.explained import explained_gain
from bon_eval.stats import paired_test, paired_tests
from bon_eval.stats.ratios import relative_difference
from simulations.arms import chances
from simulations.base import Draw, Experiment, Row, held
from simulations.worlds import chance, mean_accuracy, scene

DRAWS = 399
LEVEL = -0.8


def relative(greedy: float, ratio: float, n_answers: int, concentration: float) -> Draw:
    """Coverage of the lift in percent of greedy's accuracy: means of answers against single ones."""

    def draw(n: int, rng: np.random.Generator) -> bool | None:
        p = chances(n, rng, greedy, concentration)
        single = (rng.random(n) < p).astype(float)
        q = p * ratio if ratio <= 1 else p + (1 - p) * greedy * (ratio - 1) / (1 - greedy)
        arm = rng.binomial(n_answers, q) / n_answers
        if not single.any():  # the report gives no ratio to 0
            return None
        found = relative_difference(arm, single, paired_test(arm, single, rng=rng, draws=DRAWS))
        return held(found.low, found.high, ratio - 1)

    return draw


def equivalent(by: str, m: int, pool: int, slope: float) -> Draw:
    """Coverage of the sharpening-equivalent N of a model that is base best-of-m; none where marked.

    By accuracy, a curve that falls is reached by one base sample.
    """

    def draw(n: int, rng: np.random.Generator) -> bool | None:
        base, right, likelihood, tuned = scene(n, rng, m=m, slope=slope, pool=pool, level=LEVEL, extra=0.0)
        if by == "likelihood":
            found = sharpening_equivalent_n(base, base, likelihood, rng=rng, draws=DRAWS)
        else:
            found = sharpening_equivalent_n(base, right, tuned, rng=rng, draws=DRAWS, shares=True)
        truth = 1 if by == "accuracy" and slope <= 0 else m if m <= pool else math.inf
        return held(found.low, found.high, truth)

    return draw


def explained(m: int, slope: float, pool: int, share: float, gain: float = math.nan) -> Draw:
    """Coverage of the explained share, of it where it has bounds, and of the residual.

    `gain` is the true gain where best-of-m has none.
    """
    # A wrong answer can be made right with a probability of at most 1: what is half explained starts low.
    level = -3.0 if share == 0.5 and slope > 1 else LEVEL
    base, sharp = mean_accuracy(slope, 1, level), mean_accuracy(slope, m, level)
    total = (sharp - base) / share if share else gain
    extra, residual = (base + total - sharp) / (1 - sharp), base + total - sharp
    assert 0.0 <= extra < 1.0, extra

    def draw(n: int, rng: np.random.Generator) -> tuple[bool | None, ...]:
        scores, right, likelihood, tuned = scene(n, rng, m=m, slope=slope, pool=pool, level=level, extra=extra)
        test = paired_test(tuned, right.mean(axis=1), rng=rng, draws=DRAWS)
        mean = scores.mean(axis=1)[:, None]
        sharper = paired_tests(likelihood[:, None], mean, rng=rng, draws=DRAWS, shares=[False])[0]
        found = explained_gain(
            scores,
            right,
            likelihood,
            tuned,
            gain=test.verdict(),
            sharper=sharper.verdict(),
            rng=rng,
            draws=DRAWS,
        )
        left, bounded = found.residual, math.isfinite(found.share_low) or math.isfinite(found.share_high)
        inside = held(found.share_low, found.share_high, share)
        return (
            inside,
            inside if bounded else None,
            None if left is None or left.marked else held(left.low, left.high, residual),
        )

    return draw


def amortised(share: float, possible: float, spread: float) -> Draw:
    """Coverage of the amortised share, and of it where it has bounds; arms are means of 16 answers."""

    def draw(n: int, rng: np.random.Generator) -> tuple[bool | None, bool | None]:
        p = chance(rng.normal(LEVEL, 1.5, size=n), 0.0, np.zeros(n))
        lift = np.clip(rng.normal(possible, spread, size=n), -p, 1 - p)
        base, best, tuned = (rng.binomial(16, np.clip(q, 0, 1)) / 16 for q in (p, p + lift, p + share * lift))
        gain, there = (paired_test(arm, base, rng=rng, draws=DRAWS) for arm in (tuned, best))
        found = amortised_share(tuned, base, best, gain=gain.verdict(), possible=there)
        inside = held(found.low, found.high, share)
        return inside, inside if math.isfinite(found.low) or math.isfinite(found.high) else None

    return draw


_EXPLAINED = {
    "0 %, gain .03": explained(1, 1.0, 8, 0.0, 0.03),
    "0 %, gain .15": explained(1, 1.0, 8, 0.0, 0.15),
    "0 %, gain .15, weak, N 32": explained(1, 0.3, 32, 0.0, 0.15),
    "0 %, likelihood says nothing": explained(4, 0.0, 8, 0.0, 0.1),
    "50 %, weak, N 8": explained(4, 0.3, 8, 0.5),
    "50 %, strong, N 8": explained(4, 1.5, 8, 0.5),
    "50 %, strong, N 32": explained(8, 1.5, 32, 0.5),
    "50 %, weak, N 32": explained(16, 0.3, 32, 0.5),
    "100 %, weak, N 8": explained(2, 0.3, 8, 1.0),
    "100 %, strong, N 8": explained(4, 1.5, 8, 1.0),
    "100 %, strong, N 32": explained(8, 1.5, 32, 1.0),
    "100 %, strong, N 32, m 2": explained(2, 1.5, 32, 1.0),
}
_BASES = ((1, 8), (2, 8), (7, 8), (4, 32), (16, 32), (12, 8))

EXPERIMENTS = (
    Experiment(
        (Row("coverage: relative lift", "coverage"),),
        {
            f"greedy {g}, ratio {r}, N {k}": relative(g, r, k, c)
            for g in (0.05, 0.2, 0.6)
            for r in (0.5, 1.0, 1.5)
            for k, c in ((16, 2.0), (1, 2.0), (64, 0.5))
        },
    ),
    Experiment(
        (Row("coverage: sharpening-equivalent N by likelihood", "coverage"),),
        {f"n* = {m}, N = {k}": equivalent("likelihood", m, k, 0.3) for m, k in _BASES},
    ),
    Experiment(
        (Row("coverage: sharpening-equivalent N by accuracy", "coverage"),),
        {
            f"{name}, n* = {m}, N = {k}": equivalent("accuracy", m, k, slope)
            for name, slope in (("rising", 1.0), ("flat", 0.05), ("falling", -0.7))
            for m, k in _BASES
        },
    ),
    Experiment(
        (
            Row("coverage: explained share", "coverage"),
            Row("coverage: explained share, of those with a bound", "for comparison"),
            Row("coverage: residual of the explained share", "coverage"),
        ),
        _EXPLAINED,
    ),
    Experiment(
        (
            Row("coverage: amortised share", "coverage"),
            Row("coverage: amortised share, of those with a bound", "for comparison"),
        ),
        {
            f"share {share}, gain {possible}, spread {spread}": amortised(share, possible, spread)
            for share in (0.0, 0.5, 1.0)
            for possible, spread in ((0.15, 0.15), (0.05, 0.05), (0.0, 0.1), (0.05, 0.3), (0.4, 0.3))
        },
    ),
)
