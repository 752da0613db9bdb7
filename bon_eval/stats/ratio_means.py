"""Means over pairs where problems have unequal numbers of them: ratios of two sums over problems.

With S_i the sum over the n_i pairs of problem i the mean over pairs is R = sum S_i / sum n_i. Problems are the sampling
unit, so its spread is that of the linearised values v_i = R + (S_i - R n_i) / mean(n), whose mean is R (Cochran 1977,
Sampling Techniques, section 2.11). Where every problem has the same number of pairs these are the problems' own means,
and they go to `bon_eval.stats.bootstrap` and `bon_eval.stats.paired` as they are. Otherwise few problems can hold most
pairs: P problems count as their effective number P' = (sum n)^2 / sum n^2 (Kish 1965, Survey Sampling, section 11.7).

* ``wilson-design ratio``: shares, support (0, 1); `bon_eval.stats.closed_form.ratio_interval`.
* ``pseudo-t ratio``: differences of shares, support (-1, 1); ``pseudo-t`` of the linearised values. It adds 3/2 P / P'
  pseudo-problems of each sign, each with the root mean square number of pairs, and stretches residuals by the ratio of
  Student's quantiles of P' - 1 and P - 1 degrees of freedom. With `bon_eval.stats.bootstrap`'s own 3/2 and no stretch a
  null of whole problems that flip, one in five of them with eight times the pairs of the others, is rejected in 7 % of
  samples of 20 problems.
* ``bootstrap-t + student-t ratio``: nats and other unbounded values, from P' = 10 on. Residuals are stretched by the
  same ratio, by the widening that P' problems need in place of P (`bon_eval.stats.heavy_tails`), and below 200 problems
  by up to (P / P')^(1/4): one problem of many pairs is a heavier tail than the values themselves have.

benchmarks/coverage.py has the simulations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bon_eval.errors import ConfigError, counted
from bon_eval.stats.bootstrap import (
    DIFFERENCE,
    LEAST_DIFFERENCES,
    UNBOUNDED,
    Interval,
    Resolved,
    Support,
    bootstrap_cis,
    check_draws,
    resolve_intervals,
)
from bon_eval.stats.closed_form import pseudo_t, pseudo_t_p_value, ratio_interval
from bon_eval.stats.clusters import effective_number, linearised
from bon_eval.stats.heavy_tails import LEAST_PROBLEMS, is_too_skewed, varied_problems, widening
from bon_eval.stats.paired import PairedTest, paired_tests
from bon_eval.stats.resampling import inner_confidence
from bon_eval.stats.signs import sign_test

Array = NDArray[np.float64]
_UNIT: Support = (0.0, 1.0)
_ROUNDING = 1e-9
_NO_INNER = (np.nan, np.nan)
_PSEUDO = 1.5
_FEW = 50
"""Problems up to which unequal numbers of pairs widen an interval of nats in full."""


def ratio_mean(
    parts: ArrayLike,
    sizes: ArrayLike,
    *,
    support: Support,
    rng: np.random.Generator,
    draws: int = 10_000,
    confidence: float = 0.95,
) -> Interval:
    """Confidence interval of the mean over pairs, sum(parts) / sum(sizes), where problems are the sampling unit.

    Args:
        parts: (P,), the sum over the pairs of each problem.
        sizes: (P,), their numbers; a problem without any contributes nothing.
        support: of one pair's number: (0, 1) for shares, (-1, 1) for differences of shares, `UNBOUNDED` for nats.
        rng: resamples problems (used by bootstrap-t only).
        draws: bootstrap draws, at least 100.
        confidence: coverage in (0, 1).

    Returns:
        The interval; it lies within the support.

    Raises:
        ConfigError: no pairs, shapes that differ, a number that is not finite or outside the support, draws or
            confidence out of range.

    >>> found = ratio_mean([2, 1, 1, 1, 1], [2, 1, 1, 1, 1], support=(0, 1), rng=np.random.default_rng(0))
    >>> found.estimate, round(found.low, 3), found.high, found.method
    (1.0, 0.342, 1.0, 'wilson-design ratio')
    """
    columns = _column(parts)
    return ratio_means(columns, sizes, supports=[support], rng=rng, draws=draws, confidence=confidence)[0]


def ratio_means(
    parts: ArrayLike,
    sizes: ArrayLike,
    *,
    supports: Sequence[Support],
    rng: np.random.Generator,
    draws: int = 10_000,
    confidence: float = 0.95,
) -> list[Interval]:
    """`ratio_mean` of every column of parts (P, K), all of the same sizes (P,) and from the same resampled problems."""
    columns, size = _checked(parts, sizes, supports)
    if _equal(size):
        means = _means(columns, size, supports)
        return bootstrap_cis(means, rng=rng, draws=draws, confidence=confidence, support=list(supports))
    check_draws(draws, confidence)
    return [found.interval for found in _resolve(columns, size, supports, rng, draws, confidence)]


def ratio_test(
    parts_a: ArrayLike,
    parts_b: ArrayLike,
    sizes: ArrayLike,
    *,
    share: bool,
    rng: np.random.Generator,
    draws: int = 10_000,
    confidence: float = 0.95,
) -> PairedTest:
    """Compare two means over the same pairs, problem by problem; p-value and interval are of one method.

    Args:
        parts_a, parts_b: (P,), the sums over the pairs of each problem on either side.
        sizes: (P,), the numbers of pairs; a problem without any contributes nothing.
        share: whether a pair's numbers are shares in [0, 1], and not nats.
        rng, draws, confidence: as in `ratio_mean`.

    Raises:
        ConfigError: as `ratio_mean`.

    >>> test = ratio_test([6, 1, 1, 2, 5, 1], [0] * 6, [6, 1, 1, 2, 5, 1], share=True, rng=np.random.default_rng(0))
    >>> test.difference, round(test.low, 3), test.high, test.n_contested, test.method, test.verdict()
    (1.0, -0.246, 1.0, 6, 'pseudo-t ratio', 'not shown')
    """
    sides = _column(parts_a), _column(parts_b)
    return ratio_tests(*sides, sizes, shares=[share], rng=rng, draws=draws, confidence=confidence)[0]


def ratio_tests(
    parts_a: ArrayLike,
    parts_b: ArrayLike,
    sizes: ArrayLike,
    *,
    shares: Sequence[bool],
    rng: np.random.Generator,
    draws: int = 10_000,
    confidence: float = 0.95,
) -> list[PairedTest]:
    """`ratio_test` of every column of parts_a (P, K) against that of parts_b; `shares` has one entry for each."""
    sides = [_UNIT if share else UNBOUNDED for share in shares]
    (a, size), (b, other) = _checked(parts_a, sizes, sides), _checked(parts_b, sizes, sides)
    if a.shape != b.shape or len(size) != len(other):
        raise ConfigError(f"ratio_tests got shapes {a.shape} and {b.shape}; expected (problems, K) twice")
    if _equal(size):
        means = _means(a, size, sides), _means(b, size, sides)
        return paired_tests(*means, rng=rng, draws=draws, confidence=confidence, shares=shares)
    check_draws(draws, confidence)
    difference = a - b
    difference[np.abs(difference) <= _ROUNDING * np.maximum(np.abs(a), np.abs(b))] = 0.0
    supports = [DIFFERENCE if share else UNBOUNDED for share in shares]
    found = _resolve(difference, size, supports, rng, draws, confidence)
    return [
        PairedTest(
            difference=resolved.interval.estimate,
            low=resolved.interval.low,
            high=resolved.interval.high,
            p_value=resolved.p_value if np.isfinite(resolved.p_value) else 1.0,
            method=resolved.interval.method,
            n_contested=int(np.count_nonzero(column)),
            marked=resolved.interval.marked,
            signs=None if share else sign_test(column, confidence),
            inner_low=resolved.inner[0],
            inner_high=resolved.inner[1],
        )
        for column, share, resolved in zip(difference.T, shares, found, strict=True)
    ]


def _resolve(
    columns: Array, size: Array, supports: Sequence[Support], rng: np.random.Generator, draws: int, confidence: float
) -> list[Resolved]:
    """Columns (P, K) of unequal sizes."""
    unbounded = [k for k, support in enumerate(supports) if support == UNBOUNDED]
    of_nats = dict(zip(unbounded, _nats(columns[:, unbounded], size, rng, draws, confidence), strict=True))
    out = []
    for k, (column, support) in enumerate(zip(columns.T, supports, strict=True)):
        if support == _UNIT:
            interval = Interval(float(column.sum() / size.sum()), *ratio_interval(column, size, confidence))
            out.append(Resolved(interval, np.nan, _NO_INNER))
        else:
            out.append(of_nats[k] if support == UNBOUNDED else _difference(column, size, confidence))
    return out


def _difference(column: Array, size: Array, confidence: float) -> Resolved:
    """A difference of shares."""
    ratio, n, effective = float(column.sum() / size.sum()), len(size), effective_number(size)
    if n < LEAST_DIFFERENCES:
        return _none(ratio, f"{counted(n)}; from {LEAST_DIFFERENCES} on")
    # A pseudo-problem is 1 of a typical number of pairs: the scale makes that the 1 that `pseudo_t` adds.
    scale, weight = float(np.sqrt(n / effective)), _PSEUDO * n / effective
    values = (ratio + _student(n, effective, confidence) * (linearised(column, size) - ratio)) / scale
    outer, inner = (
        [float(np.clip(scale * end, *DIFFERENCE)) for end in pseudo_t(values, level, weight=weight)]
        for level in (confidence, inner_confidence(confidence))
    )
    interval = Interval(ratio, outer[0], outer[1], "pseudo-t ratio")
    return Resolved(interval, pseudo_t_p_value(values, weight=weight), (inner[0], inner[1]))


def _nats(columns: Array, size: Array, rng: np.random.Generator, draws: int, confidence: float) -> list[Resolved]:
    """Unbounded values, (P, K)."""
    n, effective = len(size), effective_number(size)
    ratios = columns.sum(axis=0) / size.sum()
    if n >= LEAST_PROBLEMS > effective:
        why = f"pairs of {n} problems count as those of {effective:.1f}; from {LEAST_PROBLEMS} on"
        return [_none(ratio, why) for ratio in ratios.tolist()]
    values = linearised(columns, size)
    wider = widening(effective)
    part = min(1.0, (wider - 1.0) / (widening(_FEW) - 1.0))
    stretch = _student(n, effective, confidence) * wider / widening(n) * (1.0 + part * ((n / effective) ** 0.25 - 1.0))
    kinds, rarest = [UNBOUNDED] * len(ratios), [np.inf] * len(ratios)
    out = []
    for k, found in enumerate(
        resolve_intervals(ratios + stretch * (values - ratios), kinds, rarest, rng, draws, confidence)
    ):
        ratio, varied = float(ratios[k]), varied_problems(columns[:, k] / size)
        if np.isfinite(found.interval.low) and varied >= LEAST_PROBLEMS:
            method, marked = f"{found.interval.method} ratio", is_too_skewed(values[:, k], effective)
            out.append(replace(found, interval=replace(found.interval, estimate=ratio, method=method, marked=marked)))
        elif n < LEAST_PROBLEMS:
            out.append(replace(found, interval=replace(found.interval, estimate=ratio)))
        else:
            out.append(_none(ratio, f"{'no' if varied == 1 else f'only {varied}'} problems differ"))
    return out


def _student(n: int, effective: float, confidence: float) -> float:
    """Ratio of Student's quantiles, for n problems to count as fewer."""
    from scipy import special

    quantile = 1.0 - (1.0 - confidence) / 2.0
    freedom = np.maximum([effective - 1.0, n - 1.0], 1.0)
    return float(np.divide(*special.stdtrit(freedom, quantile)))


def _none(ratio: float, why: str) -> Resolved:
    return Resolved(Interval(ratio, np.nan, np.nan, f"none: {why}"), np.nan, _NO_INNER)


def _column(values: ArrayLike) -> Array:
    return np.asarray(values, dtype=np.float64)[:, None]


def _checked(parts: ArrayLike, sizes: ArrayLike, supports: Sequence[Support]) -> tuple[Array, Array]:
    """Parts (P, K) and sizes (P,) of the problems that have pairs."""
    part, size = np.asarray(parts, dtype=np.float64), np.asarray(sizes, dtype=np.float64)
    if part.ndim != 2 or size.shape != part.shape[:1] or len(supports) != part.shape[1]:
        raise ConfigError(
            f"parts have shape {part.shape}, sizes {size.shape}, and there are {len(supports)} supports; expected "
            "(problems, K), (problems,) and K"
        )
    if not (np.isfinite(part).all() and np.isfinite(size).all() and (size >= 0.0).all() and (size > 0.0).any()):
        raise ConfigError("parts must be finite, and sizes numbers of pairs that are not all 0")
    part, size = part[size > 0.0], size[size > 0.0]
    for column, support in zip(part.T, supports, strict=True):
        if support not in (_UNIT, DIFFERENCE, UNBOUNDED):
            raise ConfigError(f"support {support} is not (0, 1), (-1, 1) or unbounded")
        room = _ROUNDING * size
        if support != UNBOUNDED and not np.all(
            (column >= support[0] * size - room) & (column <= support[1] * size + room)
        ):
            raise ConfigError(f"the numbers of a problem's pairs reach outside their support {support}")
    return part, size


def _equal(size: Array) -> bool:
    return bool((size == size[0]).all())


def _means(columns: Array, size: Array, supports: Sequence[Support]) -> Array:
    """Each problem's own mean over its pairs, within the support."""
    low, high = np.array(supports).T
    return np.asarray(np.clip(columns / size[:, None], low, high), dtype=np.float64)
