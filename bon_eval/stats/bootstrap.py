"""Confidence intervals for means over problems: the problem is the sampling unit.

Which method runs depends on the values alone and is named in `Interval.method`. The choices come from the simulation
in tests/stats/test_stats.py: no single method covers the truth often enough for single answers, pool accuracies, means
of log-likelihoods and differences alike.

* ``wilson-midp``: values all 0 or 1. Hull of Wilson's interval (1927, doi 10.1080/01621459.1927.10502953) and the
  mid-p Clopper-Pearson interval. Wilson's alone covers 84 % at accuracies near 0.18 / P; the hull covers at least
  92.9 % at every accuracy from 30 problems on (94 % from 100 on) and is 1 to 4 % wider.
* ``bootstrap-t``: studentised bootstrap over problems (Efron & Tibshirani 1993, section 12.5).
* ``wilson-design``: accuracies with few contributing problems, where a bootstrap cannot see what it has not drawn.
  Wilson's interval with the effective sample size of a survey (Korn & Graubard 1998), the design effect pulled
  towards 1 by `closed_form._PRIOR_PROBLEMS` problems, and Student's t in place of the normal quantile.
* ``bootstrap-t + student-t``: the hull of both, for differences of accuracies that are means of many answers. Where
  most problems tie, the bootstrap alone covers 92 %.
* ``pseudo-t``: differences of accuracies that involve single answers or have few contested problems. Student's t
  after adding a fraction of a problem with difference +1 and of one with -1 (Bonett & Price 2012,
  doi 10.3102/1076998611411915).
* ``student-t``: unbounded values, few contributing problems.
* ``constant`` (all values equal, low = high) and ``one problem`` (low and high are NaN): the data hold no spread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bon_eval.errors import ConfigError
from bon_eval.stats.array_checks import CHUNK_ELEMENTS
from bon_eval.stats.closed_form import (
    ENOUGH_PROBLEMS,
    Limits,
    effective_problems,
    is_binary,
    pseudo_t,
    share_interval,
    student_t,
    student_t_p_value,
)

Support = tuple[float, float]
"""Smallest and largest possible value."""

UNBOUNDED: Support = (-np.inf, np.inf)
"""For quantities such as nats or tokens, which may lie between 0 and 1 by chance."""

_UNIT: Support = (0.0, 1.0)
_DIFFERENCE: Support = (-1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over problems with its confidence interval, in the unit of the values."""

    estimate: float
    """The plain mean."""
    low: float
    high: float
    """Both NaN where one problem gives no interval."""
    method: str
    """Which method ran: see the module's docstring."""


def bootstrap_ci(
    values: ArrayLike,
    *,
    rng: np.random.Generator,
    draws: int = 10_000,
    confidence: float = 0.95,
    support: Support | None = None,
) -> Interval:
    """Confidence interval of the mean of one number for each problem.

    Args:
        values: (P,), one number for each problem.
        rng: the generator that resamples problems (used by ``bootstrap-t`` only).
        draws: bootstrap draws, at least 100.
        confidence: coverage in (0, 1).
        support: (0, 1) for accuracies and shares, (-1, 1) for differences of them, `UNBOUNDED` for nats or tokens.
            None: (0, 1) if all values lie there, otherwise unbounded.

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
    return bootstrap_cis(value[:, None], rng=rng, draws=draws, confidence=confidence, support=support)[0]


def bootstrap_cis(
    values: ArrayLike,
    *,
    rng: np.random.Generator,
    draws: int = 10_000,
    confidence: float = 0.95,
    support: Support | list[Support] | list[Support | None] | None = None,
) -> list[Interval]:
    """`bootstrap_ci` of every column of values (P, K), all from the same resampled problems.

    K columns cost little more than one, and a column's interval does not depend on which others it stands beside.
    `support` may be a list, one for each column; where it is None it is inferred for each column.
    """
    columns = _checked(values, draws, confidence)
    given = support if isinstance(support, list) else [support] * columns.shape[1]
    if len(given) != columns.shape[1]:
        raise ConfigError(f"bootstrap_cis got {len(given)} supports for {columns.shape[1]} columns; pass one for each")
    supports: list[Support | None] = []
    for column, stated in zip(columns.T, given, strict=True):
        inside = bool(np.all((column >= 0.0) & (column <= 1.0)))
        supports.append(_UNIT if stated is None and inside else stated)
        if stated is not None and not np.all((column >= stated[0]) & (column <= stated[1])):
            raise ConfigError(f"values reach outside their support {stated}; pass the support that they have")
    small = [_small_sample_method(s) for s in supports]
    return resolve_intervals(columns, supports, small, [False] * len(supports), rng, draws, confidence)[0]


SmallSample = Callable[[NDArray[np.float64], float], Limits]
"""(values of one column, confidence) -> low, high, method."""


def resolve_intervals(
    columns: NDArray[np.float64],
    supports: Sequence[Support | None],
    small: Sequence[SmallSample],
    always_small: Sequence[bool],
    rng: np.random.Generator,
    draws: int,
    confidence: float,
) -> tuple[list[Interval], list[float]]:
    """Bootstrap-t for the columns that allow it, `small` for the others; (P, K) in, K intervals out.

    Beside each interval: two-sided p-value of a mean of 0 that goes with it, NaN where no bootstrap ran.
    """
    results: dict[int, Limits] = {}
    p_values = [np.nan] * columns.shape[1]
    wanted = []
    for k, column in enumerate(columns.T):
        if (
            always_small[k]
            or (is_binary(column) and supports[k] != UNBOUNDED)
            or effective_problems(column) < ENOUGH_PROBLEMS
        ):
            results[k] = small[k](column, confidence)
        else:
            wanted.append(k)
    low, high, p_bootstrap = _bootstrap_t(columns[:, wanted], rng, draws, confidence)
    for i, k in enumerate(wanted):
        bounds = supports[k] or (-np.inf, np.inf)
        if np.isfinite(low[i]) and np.isfinite(high[i]):
            ends, method = (float(low[i]), float(high[i])), "bootstrap-t"
            p_values[k] = float(p_bootstrap[i])
            if bounds == _DIFFERENCE:
                plain = student_t(columns[:, k], confidence)
                ends, method = (min(ends[0], plain[0]), max(ends[1], plain[1])), "bootstrap-t + student-t"
                p_values[k] = max(p_values[k], student_t_p_value(columns[:, k]))
            # No truth lies outside the support, so cutting there cannot cost coverage.
            results[k] = (max(ends[0], bounds[0]), min(ends[1], bounds[1]), method)
        else:
            results[k] = small[k](columns[:, k], confidence)
    intervals = [Interval(float(columns[:, k].mean()), *results[k]) for k in range(columns.shape[1])]
    return intervals, p_values


def _checked(values: ArrayLike, draws: int, confidence: float) -> NDArray[np.float64]:
    out = np.asarray(values, dtype=np.float64)
    if out.ndim != 2 or out.shape[0] == 0:
        raise ConfigError(f"values have shape {out.shape}; expected (problems, K) with at least one problem")
    bad = np.argwhere(~np.isfinite(out))
    if len(bad):
        raise ConfigError(f"value of problem row {bad[0, 0]} is not finite and has no mean; leave the problem out")
    if draws < 100:
        raise ConfigError(f"draws = {draws} is too few for an interval; use at least 100")
    if not 0.0 < confidence < 1.0:
        raise ConfigError(f"confidence = {confidence} is not between 0 and 1")
    return out


def _small_sample_method(support: Support | None) -> SmallSample:
    if support is None or support == UNBOUNDED:
        return student_t
    if support == _DIFFERENCE:
        return pseudo_t
    if support == _UNIT:
        return share_interval
    raise ConfigError(f"support {support} is not (0, 1), (-1, 1) or None")


def _bootstrap_t(
    columns: NDArray[np.float64], rng: np.random.Generator, draws: int, confidence: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Studentised bootstrap limits of every column, (K,) each; not finite where too many resamples had no spread.

    The third array holds the two-sided p-value of a mean of 0: the level at which the limits would just touch 0.
    """
    n, k = columns.shape
    if k == 0:
        return np.empty(0), np.empty(0), np.empty(0)
    mean = columns.mean(axis=0)
    centred = columns - mean
    error = centred.std(axis=0, ddof=1) / np.sqrt(n)
    t = np.empty((draws, k))
    step = max(1, CHUNK_ELEMENTS // n)
    for start in range(0, draws, step):
        rows = min(step, draws - start)
        shift, square = _resampled_moments(centred, rng.integers(0, n, size=(rows, n)))
        spread = np.sqrt(np.maximum(square - shift**2, 0.0) / (n - 1))
        flat = spread <= 1e-12 * error * np.sqrt(n)
        t[start : start + rows] = np.where(flat, np.copysign(np.inf, shift), shift / np.where(flat, 1.0, spread))
    tail = (1.0 - confidence) / 2.0
    t.sort(axis=0)
    at = np.clip(np.round(np.array([tail, 1.0 - tail]) * (draws + 1)).astype(int) - 1, 0, draws - 1)
    lower, upper = t[at[0]], t[at[1]]
    with np.errstate(divide="ignore", invalid="ignore"):
        observed = mean / error
    further = np.minimum(np.sum(t >= observed, axis=0), np.sum(t <= observed, axis=0))
    p_values = np.minimum(1.0, 2.0 * (further + 1.0) / (draws + 1.0))
    return mean - upper * error, mean - lower * error, p_values


def _resampled_moments(
    centred: NDArray[np.float64], chosen: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and mean square of every column (n, K) over the chosen rows (draws, n): (draws, K) each."""
    (rows, n), k = chosen.shape, centred.shape[1]
    if k <= 2:  # gathering is faster than counting for so few columns
        drawn = [column[chosen] for column in np.ascontiguousarray(centred.T)]
        squares = [np.einsum("ij,ij->i", x, x) / n for x in drawn]
        return np.stack([x.mean(axis=1) for x in drawn], axis=1), np.stack(squares, axis=1)
    chosen += np.arange(0, rows * n, n)[:, None]
    times = np.bincount(chosen.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)
    moments = times @ np.concatenate([centred, centred**2], axis=1) / n
    return moments[:, :k], moments[:, k:]
