"""The method that fits means over problems or clusters: which interval, and the test that goes with it.

Units are what is resampled: problems, or clusters of them, or problems with the pairs that they have. Where all units
are of one size their own means are the values. Otherwise few units can hold most problems: the mean is a ratio of two
sums over units, R = sum S_c / sum n_c, its spread that of the linearised values R + (S_c - R n_c) / mean(n) (Cochran
1977, Sampling Techniques, section 2.11), and C units count as C' = (sum n)^2 / sum n^2 of them (Kish 1965, Survey
Sampling, section 11.7). The methods are those of `bon_eval.stats.bootstrap`; of a ratio, where ``ratio`` follows the
name, they differ in this:

* ``wilson-design ratio``: `bon_eval.stats.closed_form.ratio_interval`, for all shares.
* all others: residuals are stretched by the ratio of Student's quantiles of C' - 1 and C - 1 degrees of freedom, and
  below 200 by up to (C / C')^(1/8), of nats (C / C')^(1/4): one unit of many problems is a heavier tail than the values
  have.
* ``pseudo-t ratio``: adds C / C' times the pseudo-units, each of the root mean square size. With the weight of equal
  sizes and no stretch a null of whole problems that flip, one in five of them with eight times the pairs of the others,
  is rejected in 7 % of samples of 20 problems.
* ``bootstrap-t + student-t ratio`` of nats: the hull is widened as that of C' units.

A pseudo-unit that is a cluster of whole problems with the difference 1 would stand for more than what was not seen
where problems of one cluster differ: see `bon_eval.stats.clusters.alike_size`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bon_eval.stats.closed_form import (
    ENOUGH_PROBLEMS,
    effective_problems,
    is_binary,
    pseudo_t,
    pseudo_t_p_value,
    ratio_interval,
    share_interval,
    skew_shift,
    student_t,
    student_t_p_value,
)
from bon_eval.stats.clusters import Units
from bon_eval.stats.heavy_tails import LEAST_PROBLEMS, is_too_skewed, varied_problems, widening
from bon_eval.stats.resampling import bootstrap_t, inner_confidence

Array = NDArray[np.float64]
Support = tuple[float, float]
"""Smallest and largest possible value."""
UNIT: Support = (0.0, 1.0)
DIFFERENCE: Support = (-1.0, 1.0)
"""For differences of accuracies and other shares."""
UNBOUNDED: Support = (-np.inf, np.inf)
"""For quantities such as nats or tokens, which may lie between 0 and 1 by chance."""
_NONE = "none: "
NOT_ABOVE_0: Support = (-np.inf, 0.0)
"""For log-likelihoods."""
NOT_BELOW_0: Support = (0.0, np.inf)
"""For lengths, entropies and divergences."""
LEAST_DIFFERENCES = 5
"""Units from which on a difference of accuracies has an interval: of fewer it is nearly all of [-1, 1]."""


def reason_of(method: str) -> str | None:
    """Why a method gave no interval, or None where it gave one.

    >>> reason_of("none: 3 problems; from 5 on"), reason_of("pseudo-t")
    ('3 problems; from 5 on', None)
    """
    return method.removeprefix(_NONE) if method.startswith(_NONE) else None


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over problems with its confidence interval, in the unit of the values."""

    estimate: float
    """The plain mean."""
    low: float
    high: float
    """Both NaN where there is no interval."""
    method: str
    """Which method ran, or ``none: `` and why: see `bon_eval.stats.bootstrap`."""
    marked: bool = False
    """The values are too skewed for the interval to be relied on (`bon_eval.stats.heavy_tails`)."""

    @property
    def reason(self) -> str | None:
        """Why there is no interval, or None."""
        return reason_of(self.method)


@dataclass(frozen=True, slots=True)
class Resolved:
    """An interval with the test that goes with it."""

    interval: Interval
    p_value: float
    """Two-sided, of a mean of 0; at most 1 - confidence exactly where the interval excludes 0. NaN for shares and
    without an interval."""
    inner: tuple[float, float]
    """What two one-sided tests go by: the same interval at confidence 1 - 2 (1 - confidence), of a difference of shares
    not nearer to 0 than the plain mean allows and with the end that skewness makes too short moved outwards
    (`bon_eval.stats.closed_form.skew_shift`): differences as large as the margin, rare and all one way round, are seen
    too seldom in 8 % of samples otherwise. NaN as above."""


def is_contested(values: Array, rarest: float) -> bool:
    """Whether a difference of shares is for a bootstrap: no single answers, and many units that differ."""
    return rarest == np.inf and effective_problems(values) >= ENOUGH_PROBLEMS


def resolve(
    parts: Array,
    units: Units,
    supports: Sequence[Support],
    rarest: Sequence[float],
    alike: Sequence[float],
    rng: np.random.Generator,
    draws: int,
    confidence: float,
) -> list[Resolved]:
    """The method that fits each column of (C, K), with the test that goes with it.

    Args:
        parts: finite; see `bon_eval.stats.clusters.Units.values`.
        units: what is resampled.
        supports: (0, 1), (-1, 1), `UNBOUNDED` or bounded on one side by 0, one for each column.
        rarest: of a difference from single answers how many are of the rarer kind, for each column; infinity for
            others. A bootstrap of (single answer - mean of many) underestimates the rare whole-problem differences.
        alike: `bon_eval.stats.clusters.alike_size` of each column.
        rng, draws, confidence: as in `bon_eval.stats.bootstrap_ci`.
    """
    # What 0 bounds on one side is a mean of nats whose limits are cut there.
    kinds = [UNBOUNDED if support in (NOT_ABOVE_0, NOT_BELOW_0) else support for support in supports]
    stretches = np.array([units.stretch(confidence, nats=kind == UNBOUNDED) for kind in kinds])
    values = units.values(parts, stretches)
    means = [
        float(value.mean() if units.sizes is None else part.sum() / units.sizes.sum())
        for part, value in zip(parts.T, values.T, strict=True)
    ]
    out: list[Resolved | None] = [
        _closed_form(mean, part, value, units, kind, rare, same, confidence)
        for mean, part, value, kind, rare, same in zip(means, parts.T, values.T, kinds, rarest, alike, strict=True)
    ]
    wanted = [k for k, found in enumerate(out) if found is None]
    wider = widening(units.counted)
    factors = np.array([wider if kinds[k] == UNBOUNDED else 1.0 for k in wanted])
    limits = bootstrap_t(values[:, wanted], factors, rng, draws, confidence)
    for k, factor, *bootstrap in zip(wanted, factors.tolist(), *limits, strict=True):
        out[k] = _with_bootstrap(
            means[k], parts[:, k], values[:, k], units, kinds[k], alike[k], factor, bootstrap, confidence
        )
    return [_cut(found, support) for found, support in zip(out, supports, strict=True) if found is not None]


def _cut(found: Resolved, support: Support) -> Resolved:
    """No truth lies outside the support, so cutting there cannot cost coverage."""
    low, high = max(found.interval.low, support[0]), min(found.interval.high, support[1])
    return found if found.interval.reason else replace(found, interval=replace(found.interval, low=low, high=high))


def _closed_form(
    mean: float,
    part: Array,
    value: Array,
    units: Units,
    support: Support,
    rarest: float,
    alike: float,
    confidence: float,
) -> Resolved | None:
    """The interval of a column that no bootstrap is for; None for others."""
    word = units.word
    if support == UNIT:
        if units.sizes is not None:
            return Resolved(Interval(mean, *ratio_interval(part, units.sizes, confidence)), np.nan, _NO_INNER)
        if is_binary(value) or effective_problems(value) < ENOUGH_PROBLEMS:
            return Resolved(Interval(mean, *share_interval(value, confidence)), np.nan, _NO_INNER)
        return None
    least = LEAST_PROBLEMS if support == UNBOUNDED else LEAST_DIFFERENCES
    if (units.counted if support == UNBOUNDED else units.n) < least:
        return no_interval(mean, units.too_few(least))
    if support == UNBOUNDED:
        varied = varied_problems(value if units.sizes is None else part / units.sizes)
        return (
            no_interval(mean, f"{'no' if varied == 1 else f'only {varied}'} {word}s differ") if varied < least else None
        )
    return None if is_contested(value, rarest) else _pseudo_t(mean, value, units, confidence, rarest, alike)


def _with_bootstrap(
    mean: float,
    part: Array,
    value: Array,
    units: Units,
    support: Support,
    alike: float,
    factor: float,
    bootstrap: Sequence[float],
    confidence: float,
) -> Resolved:
    """`bootstrap`: low, high, p-value, and low and high of the inner interval."""
    low, high, p_value, *inner = bootstrap
    if not (np.isfinite(low) and np.isfinite(high)):  # too many resamples held one value only
        if support == UNIT:
            return Resolved(Interval(mean, *share_interval(value, confidence)), np.nan, _NO_INNER)
        if support == DIFFERENCE:
            return _pseudo_t(mean, value, units, confidence, np.inf, alike)
        return no_interval(mean, f"too few {units.word}s differ")
    if support == UNIT:
        return Resolved(Interval(mean, low, high, "bootstrap-t"), np.nan, _NO_INNER)
    outer, inside = (
        _hull(ends, [mean + factor * (end - mean) for end in student_t(value, level)], support)
        for ends, level in (((low, high), confidence), (inner, inner_confidence(confidence)))
    )
    if support == DIFFERENCE:
        inside = _outwards(inside, value, confidence)
    marked = support == UNBOUNDED and is_too_skewed(value if units.sizes is None else part / units.sizes)
    interval = Interval(mean, *outer, _named("bootstrap-t + student-t", units), marked)
    return Resolved(interval, max(p_value, student_t_p_value(value, factor)), inside)


def _hull(one: Sequence[float], other: Sequence[float], support: Support) -> tuple[float, float]:
    return max(min(one[0], other[0]), support[0]), min(max(one[1], other[1]), support[1])


def _pseudo_t(mean: float, value: Array, units: Units, confidence: float, rarest: float, alike: float) -> Resolved:
    weight, size = units.pseudo(value, rarest, alike)
    outer, inner = (pseudo_t(value, level, weight, size) for level in (confidence, inner_confidence(confidence)))
    # Pseudo-units pull the centre towards 0: far below the usual confidence the interval would not hold the mean.
    interval = Interval(mean, min(outer[0], mean), max(outer[1], mean), _named("pseudo-t", units))
    return Resolved(interval, pseudo_t_p_value(value, weight, size), _outwards(inner, value, confidence))


def _outwards(inner: tuple[float, float], value: Array, confidence: float) -> tuple[float, float]:
    """The inner limits of a difference of shares, moved for its skewness and for what pseudo-units pull towards 0."""
    shift = skew_shift(value, inner_confidence(confidence))
    mean, half = float(value.mean()), (inner[1] - inner[0]) / 2.0
    low, high = min(inner[0], mean - half) + min(shift, 0.0), max(inner[1], mean + half) + max(shift, 0.0)
    return max(DIFFERENCE[0], low), min(DIFFERENCE[1], high)


def _named(method: str, units: Units) -> str:
    return method if units.sizes is None else f"{method} ratio"


_NO_INNER = (np.nan, np.nan)


def no_interval(mean: float, why: str) -> Resolved:
    """A mean alone."""
    return Resolved(Interval(mean, np.nan, np.nan, _NONE + why), np.nan, _NO_INNER)
