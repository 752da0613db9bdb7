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
* ``... ratio``: the same of clusters, or of pairs, of unequal numbers (`bon_eval.stats.means`).
* ``none: ...``: low and high are NaN, and why.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bon_eval.errors import ConfigError
from bon_eval.stats.clusters import Units, alike_size, checked_clusters, cluster_sums, units_of
from bon_eval.stats.means import (
    DIFFERENCE,
    NOT_ABOVE_0,
    NOT_BELOW_0,
    UNBOUNDED,
    UNIT,
    Interval,
    Resolved,
    Support,
    no_interval,
    resolve,
)

__all__ = [
    "DIFFERENCE",
    "NOT_ABOVE_0",
    "NOT_BELOW_0",
    "UNBOUNDED",
    "UNIT",
    "Interval",
    "Resolved",
    "Support",
    "bootstrap_ci",
    "bootstrap_cis",
]


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
        support: (0, 1) for accuracies and shares, (-1, 1) for differences of them, `NOT_ABOVE_0` for log-likelihoods,
            `NOT_BELOW_0` for lengths, `UNBOUNDED` for what can have any sign. None: (0, 1) if all values lie there,
            otherwise unbounded.
        clusters: (P,), the number 0 .. C - 1 of each problem's cluster: problems of one cluster are resampled together
            (`bon_eval.stats.means`). Clusters of one problem each give the numbers of no clusters.

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
        (UNIT if np.all((column >= 0.0) & (column <= 1.0)) else UNBOUNDED) if stated is None else stated
        for column, stated in zip(columns.T, given, strict=True)
    ]
    for column, used in zip(columns.T, supports, strict=True):
        _check_support(column, used)
    found = resolve_intervals(columns, supports, [np.inf] * len(supports), rng, draws, confidence, clusters)
    return [resolved.interval for resolved in found]


def resolve_intervals(
    columns: NDArray[np.float64],
    supports: Sequence[Support],
    rarest: Sequence[float],
    rng: np.random.Generator,
    draws: int,
    confidence: float,
    clusters: ArrayLike | None = None,
) -> list[Resolved]:
    """The method that fits each column of (P, K), with the test that goes with it; see `bon_eval.stats.means.resolve`.

    Args:
        columns: finite values.
        supports, rarest, rng, draws, confidence: as there.
        clusters: as in `bootstrap_ci`.
    """
    parts, units = over_units(columns, clusters)
    alike = [1.0] * len(supports)
    if clusters is not None:
        numbers = checked_clusters(clusters, len(columns))
        if units.n == 1 < len(columns):
            return [no_interval(float(column.mean()), units.too_few(2)) for column in columns.T]
        sums, sizes = cluster_sums(columns, numbers), np.bincount(numbers).astype(np.float64)
        alike = [alike_size(column, of_cluster, sizes) for column, of_cluster in zip(columns.T, sums.T, strict=True)]
    return resolve(parts, units, supports, rarest, alike, rng, draws, confidence)


def over_units(columns: NDArray[np.float64], clusters: ArrayLike | None) -> tuple[NDArray[np.float64], Units]:
    """What is resampled, and its parts (C, K) of columns (P, K), as `bon_eval.stats.clusters.Units.values` has them."""
    if clusters is None:
        return columns, Units(None, len(columns), "problem")
    numbers = checked_clusters(clusters, len(columns))
    sizes = np.bincount(numbers).astype(np.float64)
    units, sums = units_of(sizes, "cluster"), cluster_sums(columns, numbers)
    return (sums / sizes[:, None] if units.sizes is None else sums), units


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
    if support not in (UNIT, DIFFERENCE, UNBOUNDED, NOT_ABOVE_0, NOT_BELOW_0):
        raise ConfigError(f"support {support} is not (0, 1), (-1, 1), bounded by 0 on one side, or None")
    if not np.all((column >= support[0]) & (column <= support[1])):
        raise ConfigError(f"values reach outside their support {support}; pass the support that they have")
