"""Ratios of two means over the same problems, by Fieller's method: sets whose coverage asks for no shown denominator.

A ratio s is in the set where the mean of ``numerator - s * denominator`` is not shown to differ from 0 by Student's t.
Where the denominator itself is not shown to differ from 0 no bound exists, and any finite interval would be wrong as
soon as the denominator is small enough (Gleser & Hwang 1987, doi 10.1214/aos/1176350597).

Source: Fieller 1954, Journal of the Royal Statistical Society B 16, 175-185.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bon_eval.errors import ConfigError
from bon_eval.stats.paired import PairedTest, linear_units, pseudo_units

_ROUNDING = 1e-9
"""An interval this narrow, relative to the ratio, is rounding: every problem shows the same ratio."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of two means with the hull of its confidence set, without a unit."""

    estimate: float
    """NaN where the denominator's mean is 0."""
    low: float
    high: float
    """Minus infinity and infinity where the set has no bound on that side; both NaN where there is no spread to tell an
    interval from: one problem, or the same ratio on every problem."""

    @property
    def bounded(self) -> bool:
        """Whether both ends are finite."""
        return math.isfinite(self.low) and math.isfinite(self.high)


def of_a_shown_gain(confidence: float) -> float:
    """Confidence at which a share of a gain is bounded so that it is covered at `confidence` where it is printed.

    Shares are printed only of gains that are shown, which chance shows the more often the larger it makes them. At a
    fifth of the level the printed ones are covered in simulations; at the level itself, in 83 % at worst (30 problems,
    a gain that is shown in 8 % of samples).

    >>> of_a_shown_gain(0.95)
    0.99
    """
    return 1.0 - (1.0 - confidence) / 5.0


def fieller(
    numerator: ArrayLike,
    denominator: ArrayLike,
    *,
    confidence: float = 0.95,
    widening: float = 1.0,
    added: Sequence[tuple[float, float, float]] = (),
    positive: bool = False,
) -> Ratio:
    """mean(numerator) / mean(denominator) over problems, with Fieller's confidence set.

    With a = D^2 - t^2 V(D), b = N D - t^2 C(N, D) and c = N^2 - t^2 V(N), where N and D are the means, V and C the
    variances and covariance of these means and t Student's quantile with P - 1 degrees of freedom, the set is
    a s^2 - 2 b s + c <= 0. It is an interval where a > 0. Otherwise it has no bounds: it is all numbers, or all but
    those between two.

    Args:
        numerator, denominator: (P,), one pair for each problem, in any unit.
        confidence: coverage in (0, 1).
        widening: factor of t, as in `bon_eval.stats.heavy_tails`.
        added: pseudo-problems as (weight, numerator, denominator); they bring no degrees of freedom, and the estimate
            is without them. With those of `bon_eval.stats.closed_form.pseudo_t` a ratio of 0 is in the set exactly
            where the paired test accepts a difference of 0.
        positive: the denominator's true mean is known, or was shown, to be above 0. Of a set that leaves out a gap
            only the part is kept that the estimate is in: the other one belongs to denominators below 0.

    Raises:
        ConfigError: shapes that differ, no problems, a value that is not finite, confidence out of range.

    >>> found = fieller([1, 1, 2, 0], [1, 3, 2, 2])
    >>> found.estimate, round(found.low, 3), round(found.high, 3)
    (0.5, -0.158, 1.888)
    """
    top, bottom = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    if top.ndim != 1 or top.shape != bottom.shape or not len(top):
        raise ConfigError(f"fieller got shapes {top.shape} and {bottom.shape}; both must be (problems,)")
    if not (np.isfinite(top).all() and np.isfinite(bottom).all()):
        raise ConfigError("a value of a ratio is not finite; leave the problem out of both means")
    if not 0.0 < confidence < 1.0:
        raise ConfigError(f"confidence = {confidence} is not between 0 and 1")
    mean = float(bottom.mean())
    estimate = float(top.mean()) / mean if mean != 0.0 else math.nan
    if len(top) < 2:
        return Ratio(estimate, math.nan, math.nan)
    low, high = _limits(np.column_stack([top, bottom]), confidence, widening, added, positive)
    if high - low <= _ROUNDING * max(1.0, abs(estimate)):
        return Ratio(estimate, math.nan, math.nan)
    # With pseudo-problems and a confidence far below the usual ones the set need not hold the plain estimate.
    return Ratio(estimate, min(low, estimate), max(high, estimate)) if mean != 0.0 else Ratio(estimate, low, high)


def relative_difference(
    a: ArrayLike, b: ArrayLike, test: PairedTest, *, confidence: float = 0.95, clusters: ArrayLike | None = None
) -> Ratio:
    """(mean(a) - mean(b)) / mean(b) of two arms' accuracies: a difference as a share of what it is added to.

    Fieller's set of mean(a) / mean(b) with the pseudo-problems of the paired test, less 1: it holds 0 exactly where
    `test` does not exclude a difference of 0. At least -1, since no accuracy is below 0; without an upper bound where
    b's accuracy may be 0.

    Args:
        a, b: (P,), accuracies of each problem, as `test` compared them.
        test: `bon_eval.stats.paired_test` of a and b, at the same confidence.
        confidence: coverage in (0, 1).
        clusters: (P,), as `test` had them.

    Returns:
        The ratio, 0.5 for 50 % more; low and high are NaN where the test has no interval.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    weight, size = pseudo_units(first, second, clusters)
    values, _ = linear_units(np.column_stack([first, second]), clusters, confidence)
    first, second = values.T
    added = ((weight, size, 0.0), (weight, 0.0, size)) if weight else ()
    found = fieller(first, second, confidence=confidence, added=added, positive=True)
    estimate = found.estimate - 1.0
    if not math.isfinite(test.low):
        return Ratio(estimate, math.nan, math.nan)
    low, high = max(found.low - 1.0, -1.0), found.high - 1.0
    if test.low <= 0.0 <= test.high:
        low, high = min(low, 0.0), max(high, 0.0)
    return Ratio(estimate, low, high)


def _limits(
    pairs: NDArray[np.float64],
    confidence: float,
    widening: float,
    added: Sequence[tuple[float, float, float]],
    positive: bool,
) -> tuple[float, float]:
    from scipy import special

    t = widening * float(special.stdtrit(len(pairs) - 1, 1.0 - (1.0 - confidence) / 2.0))
    weights = np.concatenate([np.ones(len(pairs)), [weight for weight, _, _ in added]])
    values = np.concatenate([pairs, np.array([pair for _, *pair in added]).reshape(-1, 2)])
    size = float(weights.sum())
    means = weights @ values / size
    centred = values - means
    covariance = (weights * centred.T) @ centred / size / (size - 1.0)
    n, d = means.tolist()
    a = d**2 - t**2 * covariance[1, 1]
    b = n * d - t**2 * covariance[0, 1]
    c = n**2 - t**2 * covariance[0, 0]
    discriminant = b * b - a * c
    if a > 0.0:
        root = math.sqrt(max(discriminant, 0.0))
        return float((b - root) / a), float((b + root) / a)
    if not positive or d <= 0.0 or discriminant <= 0.0 or a == 0.0:
        return -math.inf, math.inf
    ends = sorted(float((b + sign * math.sqrt(discriminant)) / a) for sign in (-1.0, 1.0))
    return (ends[1], math.inf) if n / d >= ends[1] else (-math.inf, ends[0])
