"""A measure over a whole training in a few numbers: at the last checkpoint, on average, at its highest and lowest.

Problems, or clusters of them, are the sampling unit, and seeds of training a second source of width, as in
`bon_eval.stats.closed_form.with_seeds`. Over the checkpoints the intervals hold together: whoever looks at all of them
and takes the highest has looked K times.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bon_eval.dpo.tracking.courses import Course
from bon_eval.dpo.tracking.measures import Array
from bon_eval.errors import ConfigError
from bon_eval.stats.array_checks import CHUNK_ELEMENTS
from bon_eval.stats.bootstrap import UNBOUNDED, Interval, bootstrap_ci
from bon_eval.stats.closed_form import with_seeds
from bon_eval.stats.clusters import linearised
from bon_eval.stats.ratio_means import ratio_means
from bon_eval.stats.streams import Streams, streams

_NONE = "none: "


@dataclass(frozen=True, slots=True)
class Extreme:
    """The highest, or the lowest, of the measure's true means over the checkpoints."""

    step: int
    """Where the estimate is highest (lowest)."""
    value: Interval
    """The estimate is the highest (lowest) of the means, which noise alone carries away: the interval is of the highest
    *true* mean, from the highest lower limit of all checkpoints to the highest upper one, and covers it wherever the
    simultaneous intervals hold. That some checkpoint is above 0 is shown where its lower limit is above 0."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A course in numbers; every interval is for other problems and, with two seeds or more, other seeds."""

    steps: tuple[int, ...]
    by_step: tuple[Interval, ...]
    """Of each checkpoint; all of them hold together with the stated confidence."""
    last: Interval
    """At the last checkpoint, by itself."""
    mean: Interval
    """Area under the course over its span of steps from step 0 on (trapezoids), by itself."""
    highest: Extreme
    lowest: Extreme

    def above(self, threshold: float = 0.0) -> tuple[int, ...]:
        """Steps that are shown to be above a threshold, all of them together."""
        return tuple(s for s, found in zip(self.steps, self.by_step, strict=True) if found.low > threshold)

    def below(self, threshold: float = 0.0) -> tuple[int, ...]:
        """Steps that are shown to be below a threshold, all of them together."""
        return tuple(s for s, found in zip(self.steps, self.by_step, strict=True) if found.high < threshold)


def summarise(found: Course, *, seed: int = 0, draws: int = 10_000, confidence: float = 0.95) -> Summary:
    """The numbers of a course.

    The simultaneous intervals are each checkpoint's own, of the method that fits its numbers, at the confidence at
    which all hold together (`simultaneous_confidence`). Seeds of training widen them all alike, by the checkpoint at
    which they differ most: with two or three seeds a spread that looks small somewhere is chance, and K of them are K
    chances.

    Args:
        found: of K checkpoints.
        seed: of all randomness.
        draws: bootstrap draws and sign patterns, enough for an interval of confidence 1 - (1 - confidence) / K.
        confidence: coverage in (0, 1).

    Raises:
        ConfigError: a checkpoint without any number, or too few draws.
    """
    sums, sizes = found.by_unit()
    if (empty := np.flatnonzero(found.sizes.sum(axis=1).min(axis=0) == 0.0)).size:
        raise ConfigError(f"no problem has a number of {found.label} at step {found.steps[empty[0]]}")
    rng = streams(seed)
    values = np.column_stack([linearised(p, n) for p, n in zip(sums.T, sizes.T, strict=True)])
    of_seeds = np.column_stack(
        [linearised(p, n) for p, n in zip(found.sums.sum(axis=1).T, found.sizes.sum(axis=1).T, strict=True)]
    )
    each = simultaneous_confidence(values, rng=rng("signs"), draws=draws, confidence=confidence)
    worst = of_seeds[:, int(np.argmax(of_seeds.std(axis=0)))]
    by_step = tuple(
        _with_seeds(interval, worst, found, confidence)
        for interval in _over_problems(found, sums, sizes, rng, draws, each)
    )
    last = _over_problems(found, sums[:, -1:], sizes[:, -1:], rng, draws, confidence)[0]
    weights = trapezoids(found.steps)
    if (sizes == sizes[:, :1]).all():
        area = _over_problems(found, (sums @ weights)[:, None], sizes[:, :1], rng, draws, confidence)[0]
    else:
        alone = np.arange(len(values)) if found.clusters.of else None  # which only has them called clusters
        area = bootstrap_ci(
            values @ weights,
            rng=rng("area"),
            draws=draws,
            confidence=confidence,
            support=UNBOUNDED,
            clusters=alone,
        )
    return Summary(
        steps=found.steps,
        by_step=by_step,
        last=_with_seeds(last, of_seeds[:, -1], found, confidence),
        mean=_with_seeds(area, of_seeds @ weights, found, confidence),
        highest=_extreme(found.steps, by_step, 1),
        lowest=_extreme(found.steps, by_step, -1),
    )


def simultaneous_confidence(
    values: Array, *, rng: np.random.Generator, draws: int = 10_000, confidence: float = 0.95
) -> float:
    """Confidence of each of K columns' own intervals at which all of them hold together with another one.

    1 - a, where a is the level at which the smallest of K p-values lies in 1 - confidence of random sign patterns: each
    problem's deviations from the means change their signs together in all columns, and |t| of n - 1 degrees of freedom
    says the p-value (max-t: Westfall & Young 1993, section 2.8; simultaneous intervals of it: Hothorn, Bretz & Westfall
    2008, doi 10.1002/bimj.200810425). Never below `confidence`, and never above Bonferroni's 1 - (1 - confidence) / K,
    which is valid whatever the columns share. Columns without spread take no part.

    Args:
        values: (n, K), the number of each problem.
        rng: draws the signs.
        draws: sign patterns.
        confidence: that all hold together, in (0, 1).

    >>> alike = np.repeat(np.linspace(-0.2, 0.8, 30)[:, None], 5, axis=1)
    >>> round(simultaneous_confidence(alike, rng=np.random.default_rng(0)), 2)
    0.95
    """
    from scipy import special

    n, k = values.shape
    level = 1.0 - confidence
    centred = values - values.mean(axis=0)
    scale = np.sqrt(np.sum(centred**2, axis=0))
    varied = scale > 1e-12 * np.maximum(np.abs(values).max(axis=0), 1e-300)
    if n < 2 or not varied.any():
        return confidence
    units = centred[:, varied] / scale[varied]
    largest = []
    step = max(1, CHUNK_ELEMENTS // max(n, k))
    for start in range(0, draws, step):
        flips = rng.integers(0, 2, size=(min(step, draws - start), n), dtype=np.int8).astype(np.float64)
        sums = (2.0 * flips - 1.0) @ units
        t = np.abs(sums) * np.sqrt((n - 1.0) / np.maximum(n - sums**2, 1e-12))
        largest.append(t.max(axis=1))
    p_values = np.sort(2.0 * special.stdtr(n - 1, -np.concatenate(largest)))
    place = math.floor(level * (draws + 1) + 1e-9) - 1
    found = float(p_values[place]) if place >= 0 else 0.0
    return 1.0 - min(max(found, level / int(varied.sum())), level)


def _over_problems(
    found: Course, sums: Array, sizes: Array, rng: Streams, draws: int, confidence: float
) -> list[Interval]:
    """Intervals of columns (P, M) over problems alone; columns of the same sizes share their resampled problems."""
    out: dict[int, Interval] = {}
    groups: dict[bytes, list[int]] = {}
    for k, size in enumerate(sizes.T):
        groups.setdefault(size.tobytes(), []).append(k)
    for columns in groups.values():
        supports = [found.support] * len(columns)
        parts, size = sums[:, columns] / found.reach, sizes[:, columns[0]]
        word, stream = found.clusters.word, rng("problems")
        intervals = ratio_means(
            parts, size, supports=supports, rng=stream, draws=draws, confidence=confidence, word=word
        )
        for k, interval in zip(columns, intervals, strict=True):
            estimate, low, high = (found.reach * x for x in (interval.estimate, interval.low, interval.high))
            out[k] = Interval(estimate, low, high, interval.method, interval.marked)
    return [out[k] for k in range(sizes.shape[1])]


def _with_seeds(interval: Interval, means: Array, found: Course, confidence: float) -> Interval:
    """With the seeds as a second source of width; `means` are one number of each seed."""
    if len(means) == 1 or interval.reason is not None:
        return interval
    ends = with_seeds(interval.estimate, (interval.low, interval.high), means, confidence)
    least, most = (found.reach * end for end in found.support)
    low, high = np.clip(ends, least, most).tolist()
    return replace(interval, low=low, high=high, method=f"{interval.method}, {len(means)} seeds")


def trapezoids(steps: Sequence[int]) -> Array:
    """Weights of the steps' numbers in the mean height of a course from step 0 on, where a change is 0.

    >>> trapezoids([10, 30]).tolist(), trapezoids([0, 10, 30]).round(4).tolist()
    ([0.5, 0.3333333333333333], [0.1667, 0.5, 0.3333])
    """
    points = np.array([*([] if steps[0] == 0 else [0]), *steps], dtype=np.float64)
    gaps = np.diff(points)
    weights = (np.concatenate((gaps, [0.0])) + np.concatenate(([0.0], gaps))) / 2.0 / (points[-1] - points[0])
    return np.asarray(weights[len(points) - len(steps) :], dtype=np.float64)


def _extreme(steps: Sequence[int], by_step: Sequence[Interval], sign: int) -> Extreme:
    """The highest (sign 1) or the lowest (-1)."""
    pick = max if sign == 1 else min
    estimate = pick(found.estimate for found in by_step)
    step = next(s for s, found in zip(steps, by_step, strict=True) if found.estimate == estimate)
    for s, found in zip(steps, by_step, strict=True):
        if found.reason is not None:
            return Extreme(step, Interval(estimate, math.nan, math.nan, f"{_NONE}{found.reason} at step {s}"))
    low, high = pick(found.low for found in by_step), pick(found.high for found in by_step)
    method = f"max-t over {len(steps)} checkpoints"
    return Extreme(step, Interval(estimate, low, high, method, any(found.marked for found in by_step)))
