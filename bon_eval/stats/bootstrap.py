"""Confidence intervals for means over problems: the problem is the sampling unit.

Which method runs depends on the values alone and is named in `Interval.method`. The choices come from simulations
(benchmarks/coverage.py, tests/stats): no single method covers the truth often enough for single answers, pool
accuracies, means of log-likelihoods and differences alike.

* ``wilson-midp``: values all 0 or 1. Hull of Wilson's interval (1927, doi 10.1080/01621459.1927.10502953) and the
  mid-p Clopper-Pearson interval. Wilson's alone covers 84 % at accuracies near 0.18 / P; the hull covers at least
  92.9 % at every accuracy from 30 problems on (94 % from 100 on) and is 1 to 4 % wider.
* ``bootstrap-t``: studentised bootstrap over problems (Efron & Tibshirani 1993, section 12.5).
* ``wilson-design``: accuracies with few contributing problems, where a bootstrap cannot see what it has not drawn.
  Wilson's interval with the effective sample size of a survey (Korn & Graubard 1998), the design effect pulled
  towards 1 by `closed_form._PRIOR_PROBLEMS` problems, and Student's t in place of the normal quantile.
* ``bootstrap-t + student-t``: the hull of both, for differences of accuracies that are means of many answers and for
  unbounded values. Where most problems tie, the bootstrap alone covers 92 %; of unbounded values the hull is widened
  (`bon_eval.stats.heavy_tails`).
* ``pseudo-t``: differences of accuracies that involve single answers or have few contested problems. Student's t
  after adding a fraction of a problem with difference +1 and of one with -1 (Bonett & Price 2012,
  doi 10.3102/1076998611411915).
* ``none: ...``: low and high are NaN, and why.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bon_eval.errors import ConfigError, counted
from bon_eval.stats.closed_form import (
    ENOUGH_PROBLEMS,
    effective_problems,
    is_binary,
    pseudo_t,
    pseudo_t_p_value,
    ratio_interval,
    share_interval,
    student_t,
    student_t_p_value,
)
from bon_eval.stats.clusters import checked_clusters, cluster_sums, cluster_values
from bon_eval.stats.heavy_tails import LEAST_PROBLEMS, is_too_skewed, varied_problems, widening
from bon_eval.stats.resampling import bootstrap_t, inner_confidence

Support = tuple[float, float]
"""Smallest and largest possible value."""

UNBOUNDED: Support = (-np.inf, np.inf)
"""For quantities such as nats or tokens, which may lie between 0 and 1 by chance."""

_UNIT: Support = (0.0, 1.0)
DIFFERENCE: Support = (-1.0, 1.0)
"""For differences of accuracies and other shares."""
LEAST_DIFFERENCES = 5
"""Problems from which on a difference of accuracies has an interval: of fewer it is nearly all of [-1, 1]."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over problems with its confidence interval, in the unit of the values."""

    estimate: float
    """The plain mean."""
    low: float
    high: float
    """Both NaN where there is no interval."""
    method: str
    """Which method ran, or ``none`` and why: see the module's docstring."""
    marked: bool = False
    """The values are too skewed for the interval to be relied on (`bon_eval.stats.heavy_tails`)."""


def bootstrap_ci(
    values: ArrayLike,
    *,
    rng: np.random.Generator,
    draws: int = 10_000,
    confidence: float = 0.95,
    support: Support | None = None,
    clusters: ArrayLike | None = None,
) -> Interval:
    """Confidence interval of the mean of one number for each problem.

    Args:
        values: (P,), one number for each problem.
        rng: the generator that resamples problems (used by ``bootstrap-t`` only).
        draws: bootstrap draws, at least 100.
        confidence: coverage in (0, 1).
        support: (0, 1) for accuracies and shares, (-1, 1) for differences of them, `UNBOUNDED` for nats or tokens.
            None: (0, 1) if all values lie there, otherwise unbounded.
        clusters: (P,), the number 0 .. C - 1 of each problem's cluster: problems of one cluster are resampled together
            (`bon_eval.stats.clusters`), and of shares the interval is ``wilson-design ratio``.

    Returns:
        The interval; it lies within the support.

    Raises:
        ConfigError: no problems, a value that is not finite or outside the support, draws or confidence out of range.

    >>> ci = bootstrap_ci([1, 0, 1, 1, 0, 1, 1, 0, 1, 1], rng=np.random.default_rng(0))
    >>> ci.estimate, round(ci.low, 3), round(ci.high, 3), ci.method
    (0.7, 0.38, 0.917, 'wilson-midp')
    """
    value = np.asarray(values, dtype=np.float64)
    if value.ndim != 1:
        raise ConfigError(f"bootstrap_ci got values of shape {value.shape}, expected (problems,); see bootstrap_cis")
    return bootstrap_cis(
        value[:, None], rng=rng, draws=draws, confidence=confidence, support=support, clusters=clusters
    )[0]


def bootstrap_cis(
    values: ArrayLike,
    *,
    rng: np.random.Generator,
    draws: int = 10_000,
    confidence: float = 0.95,
    support: Support | list[Support] | list[Support | None] | None = None,
    clusters: ArrayLike | None = None,
) -> list[Interval]:
    """`bootstrap_ci` of every column of values (P, K), all from the same resampled problems.

    K columns cost little more than one, and a column's interval does not depend on which others it stands beside.
    `support` may be a list, one for each column; where it is None it is inferred for each column.
    """
    columns = _checked(values, draws, confidence)
    given = support if isinstance(support, list) else [support] * columns.shape[1]
    if len(given) != columns.shape[1]:
        raise ConfigError(f"bootstrap_cis got {len(given)} supports for {columns.shape[1]} columns; pass one for each")
    supports = [
        (_UNIT if np.all((column >= 0.0) & (column <= 1.0)) else UNBOUNDED) if stated is None else stated
        for column, stated in zip(columns.T, given, strict=True)
    ]
    for column, used in zip(columns.T, supports, strict=True):
        _check_support(column, used)
    found = resolve_intervals(columns, supports, [np.inf] * len(supports), rng, draws, confidence, clusters)
    return [resolved.interval for resolved in found]


@dataclass(frozen=True, slots=True)
class Resolved:
    """An interval with the test that goes with it."""

    interval: Interval
    p_value: float
    """Two-sided, of a mean of 0; at most 1 - confidence exactly where the interval excludes 0. NaN for shares and
    without an interval."""
    inner: tuple[float, float]
    """The same interval at confidence 1 - 2 (1 - confidence): what two one-sided tests go by. NaN as above."""


_NO_INNER = (np.nan, np.nan)


def resolve_intervals(
    columns: NDArray[np.float64],
    supports: Sequence[Support],
    rarest: Sequence[float],
    rng: np.random.Generator,
    draws: int,
    confidence: float,
    clusters: ArrayLike | None = None,
) -> list[Resolved]:
    """The method that fits each column of (P, K), with the test that goes with it.

    Args:
        columns: finite values.
        supports: (0, 1), (-1, 1) or `UNBOUNDED`, one for each column.
        rarest: of a difference from single answers how many are of the rarer kind, for each column; infinity for
            others. A bootstrap of (single answer - mean of many) underestimates the rare whole-problem differences.
        rng, draws, confidence, clusters: as in `bootstrap_ci`.
    """
    unit, shares = "problem", columns
    sizes: NDArray[np.float64] | None = None
    if clusters is not None:
        numbers = checked_clusters(clusters, len(columns))
        unit, sizes = "cluster", np.bincount(numbers).astype(np.float64)
        shares, columns = cluster_sums(columns, numbers), cluster_values(columns, numbers)
    closed = [
        _ratio(share, sizes, confidence)
        if sizes is not None and support == _UNIT
        else _closed_form(column, support, rare, confidence, unit)
        for column, share, support, rare in zip(columns.T, shares.T, supports, rarest, strict=True)
    ]
    wanted = [k for k, found in enumerate(closed) if found is None]
    n = len(columns)
    factors = np.array([widening(n) if supports[k] == UNBOUNDED else 1.0 for k in wanted])
    limits = bootstrap_t(columns[:, wanted], factors, rng, draws, confidence)
    for k, factor, *bootstrap in zip(wanted, factors.tolist(), *limits, strict=True):
        closed[k] = _with_bootstrap(columns[:, k], supports[k], factor, bootstrap, confidence)
    return [found for found in closed if found is not None]


def _ratio(parts: NDArray[np.float64], sizes: NDArray[np.float64], confidence: float) -> Resolved:
    share = float(parts.sum() / sizes.sum())
    return Resolved(Interval(share, *ratio_interval(parts, sizes, confidence)), np.nan, _NO_INNER)


def _closed_form(
    column: NDArray[np.float64], support: Support, rarest: float, confidence: float, unit: str
) -> Resolved | None:
    """The interval of a column that no bootstrap is for; None for others."""
    n, mean = len(column), float(column.mean())
    if support == _UNIT:
        if is_binary(column) or effective_problems(column) < ENOUGH_PROBLEMS:
            return Resolved(Interval(mean, *share_interval(column, confidence)), np.nan, _NO_INNER)
        return None
    least = LEAST_PROBLEMS if support == UNBOUNDED else LEAST_DIFFERENCES
    if n < least:
        return _none(mean, f"{counted(n, unit)}; from {least} on")
    if support == UNBOUNDED:
        varied = varied_problems(column)
        return _none(mean, f"{'no' if varied == 1 else f'only {varied}'} {unit}s differ") if varied < least else None
    if rarest < np.inf or effective_problems(column) < ENOUGH_PROBLEMS:
        return _pseudo_t(column, confidence, rarest)
    return None


def _with_bootstrap(
    column: NDArray[np.float64], support: Support, factor: float, bootstrap: Sequence[float], confidence: float
) -> Resolved:
    """`bootstrap`: low, high, p-value, and low and high of the inner interval."""
    low, high, p_value, *inner = bootstrap
    mean = float(column.mean())
    if not (np.isfinite(low) and np.isfinite(high)):  # too many resamples held one value only
        if support == _UNIT:
            return Resolved(Interval(mean, *share_interval(column, confidence)), np.nan, _NO_INNER)
        return _pseudo_t(column, confidence) if support == DIFFERENCE else _none(mean, "too few problems differ")
    # No truth lies outside the support, so cutting there cannot cost coverage.
    if support == _UNIT:
        return Resolved(Interval(mean, max(low, 0.0), min(high, 1.0), "bootstrap-t"), np.nan, _NO_INNER)
    outer, inside = (
        _hull(ends, [mean + factor * (end - mean) for end in student_t(column, level)], support)
        for ends, level in (((low, high), confidence), (inner, inner_confidence(confidence)))
    )
    marked = support == UNBOUNDED and is_too_skewed(column)
    interval = Interval(mean, *outer, "bootstrap-t + student-t", marked)
    return Resolved(interval, max(p_value, student_t_p_value(column, factor)), inside)


def _hull(one: Sequence[float], other: Sequence[float], support: Support) -> tuple[float, float]:
    return max(min(one[0], other[0]), support[0]), min(max(one[1], other[1]), support[1])


def _pseudo_t(column: NDArray[np.float64], confidence: float, rarest: float = np.inf) -> Resolved:
    interval = Interval(float(column.mean()), *pseudo_t(column, confidence, rarest), "pseudo-t")
    return Resolved(interval, pseudo_t_p_value(column, rarest), pseudo_t(column, inner_confidence(confidence), rarest))


def _none(mean: float, why: str) -> Resolved:
    return Resolved(Interval(mean, np.nan, np.nan, f"none: {why}"), np.nan, _NO_INNER)


def _checked(values: ArrayLike, draws: int, confidence: float) -> NDArray[np.float64]:
    out = np.asarray(values, dtype=np.float64)
    if out.ndim != 2 or out.shape[0] == 0:
        raise ConfigError(f"values have shape {out.shape}; expected (problems, K) with at least one problem")
    bad = np.argwhere(~np.isfinite(out))
    if len(bad):
        raise ConfigError(f"value of problem row {bad[0, 0]} is not finite and has no mean; leave the problem out")
    check_draws(draws, confidence)
    return out


def check_draws(draws: int, confidence: float) -> None:
    """`ConfigError` unless there are 100 draws, and one beyond each end of the interval, and a confidence in (0, 1)."""
    if not 0.0 < confidence < 1.0:
        raise ConfigError(f"confidence = {confidence} is not between 0 and 1")
    least = max(100, math.ceil(2.0 / (1.0 - confidence) - 1e-9) - 1)
    if draws < least:
        raise ConfigError(f"draws = {draws} is too few for an interval; use at least {least}")


def _check_support(column: NDArray[np.float64], support: Support) -> None:
    if support not in (_UNIT, DIFFERENCE, UNBOUNDED):
        raise ConfigError(f"support {support} is not (0, 1), (-1, 1) or None")
    if not np.all((column >= support[0]) & (column <= support[1])):
        raise ConfigError(f"values reach outside their support {support}; pass the support that they have")
