"""Means over pairs where problems have unequal numbers of them: ratios of two sums over problems.

With S_i the sum over the n_i pairs of problem i the mean over pairs is R = sum S_i / sum n_i. Problems are the sampling
unit, so its spread is that of the linearised values v_i = R + (S_i - R n_i) / mean(n), whose mean is R (Cochran 1977,
Sampling Techniques, section 2.11). Where every problem has the same number of pairs these are the problems' own means,
and they go to `bon_eval.stats.bootstrap` and `bon_eval.stats.paired` as they are. Otherwise few problems can hold most
pairs: P problems count as their effective number P' = (sum n)^2 / sum n^2 (Kish 1965, Survey Sampling, section 11.7).

* ``wilson-design ratio``: shares, support (0, 1); `bon_eval.stats.closed_form.ratio_interval`.
* ``pseudo-t ratio``: differences of shares, support (-1, 1); ``pseudo-t`` of the linearised values. Its pseudo-problems
  are of the root mean square number of pairs, and residuals are stretched by the ratio of Student's quantiles of P' - 1
  and P - 1 degrees of freedom. Without that stretch a null of whole problems that flip, one in five of them with eight
  times the pairs of the others, is rejected in 7 % of samples of 20 problems.
* ``bootstrap-t + student-t ratio``: nats and other unbounded values, from P' = 10 on. Residuals are stretched by the
  same ratio, by the widening that P' problems need in place of P (`bon_eval.stats.heavy_tails`), and below 100 problems
  by up to (P / P')^(1/4): one problem of many pairs is a heavier tail than the values themselves have.

benchmarks/coverage.py has the simulations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bon_eval.errors import ConfigError
from bon_eval.stats.bootstrap import (
    DIFFERENCE,
    UNBOUNDED,
    Interval,
    Resolved,
    Support,
    bootstrap_cis,
    check_draws,
    resolve_intervals,
)
from bon_eval.stats.closed_form import ratio_interval
from bon_eval.stats.heavy_tails import LEAST_PROBLEMS, is_too_skewed, widening
from bon_eval.stats.paired import PairedTest, paired_tests
from bon_eval.stats.signs import sign_test

Array = NDArray[np.float64]
_UNIT: Support = (0.0, 1.0)
_ROUNDING = 1e-9


def linearised(parts: ArrayLike, sizes: ArrayLike) -> Array:
    """One number for each problem, whose mean is sum(parts) / sum(sizes) and whose spread is this ratio's.

    Args:
        parts: (P,) or (P, K), sums over the pairs of each problem.
        sizes: (P,), their numbers; not all 0.

    >>> linearised([4.0, 8.0], [2, 1]).round(3).tolist()
    [1.333, 6.667]
    """
    part, size = np.asarray(parts, dtype=np.float64), np.asarray(sizes, dtype=np.float64)
    size = size.reshape(-1, *(1,) * (part.ndim - 1))
    ratio = part.sum(axis=0) / size.sum()
    return np.asarray(ratio + (part - ratio * size) / size.mean(), dtype=np.float64)


def effective_number(sizes: Array) -> float:
    """Kish's effective number of problems of these numbers of pairs, (P,): P where all are equal."""
    return float(sizes.sum() ** 2 / (sizes @ sizes))


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
    (1.0, 0.369, 1.0, 'wilson-design ratio')
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
    (1.0, -0.122, 1.0, 6, 'pseudo-t ratio', 'not shown')
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
    """Columns (P, K) of unequal sizes; those that are not shares share their resampled problems."""
    found: dict[int, Resolved] = {}
    counted = effective_number(size)
    for k, (column, support) in enumerate(zip(columns.T, supports, strict=True)):
        ratio = float(column.sum() / size.sum())
        if support == _UNIT:
            interval = Interval(ratio, *ratio_interval(column, size, confidence))
            found[k] = Resolved(interval, np.nan, (np.nan, np.nan))
        elif support == UNBOUNDED and len(size) >= LEAST_PROBLEMS > counted:
            why = f"none: {len(size)} problems of unequal numbers of pairs count as {counted:.1f}; from 10 on"
            found[k] = Resolved(Interval(ratio, np.nan, np.nan, why), np.nan, (np.nan, np.nan))
    rest = [k for k in range(len(supports)) if k not in found]
    if rest:
        kinds = [supports[k] for k in rest]
        values = linearised(columns[:, rest], size)
        mean = values.mean(axis=0)
        # A pseudo-problem is 1 of a typical number of pairs: the scale makes that the 1 that `pseudo_t` adds.
        scales = np.array([1.0 if kind == UNBOUNDED else np.sqrt(len(size) / counted) for kind in kinds])
        stretch = np.array([_stretch(len(size), counted, kind, confidence) for kind in kinds])
        stretched = (mean + stretch * (values - mean)) / scales
        resolved = resolve_intervals(stretched, kinds, [0.0] * len(rest), rng, draws, confidence)
        for k, scale, of_column in zip(rest, scales.tolist(), resolved, strict=True):
            found[k] = _of_ratio(of_column, scale, columns[:, k], size, supports[k])
    return [found[k] for k in range(len(supports))]


def _stretch(n: int, counted: float, support: Support, confidence: float) -> float:
    """By how much residuals grow, for n problems to count as fewer."""
    from scipy import special

    if n < 2:
        return 1.0
    quantile = 1.0 - (1.0 - confidence) / 2.0
    student = float(special.stdtrit(max(counted - 1.0, 1.0), quantile) / special.stdtrit(n - 1.0, quantile))
    if support != UNBOUNDED:
        return student
    wider = widening(counted)
    part = (wider - 1.0) / (widening(LEAST_PROBLEMS) - 1.0)
    return student * wider / widening(n) * (1.0 + part * ((n / counted) ** 0.25 - 1.0))


def _of_ratio(found: Resolved, scale: float, column: Array, size: Array, support: Support) -> Resolved:
    """What was found of the scaled linearised values, as the ratio's."""
    low, high = (float(np.clip(scale * x, *support)) for x in (found.interval.low, found.interval.high))
    inner = tuple(float(np.clip(scale * x, *support)) for x in found.inner)
    ratio, given = float(column.sum() / size.sum()), np.isfinite(low)
    marked = bool(given and support == UNBOUNDED and is_too_skewed(linearised(column, size), effective_number(size)))
    method = f"{found.interval.method} ratio" if given else found.interval.method
    interval = replace(found.interval, estimate=ratio, low=low, high=high, method=method, marked=marked)
    return replace(found, interval=interval, inner=(inner[0], inner[1]))


def _column(values: ArrayLike) -> Array:
    out = np.asarray(values, dtype=np.float64)
    if out.ndim != 1:
        raise ConfigError(f"parts have shape {out.shape}; expected (problems,)")
    return out[:, None]


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
