"""Closed-form intervals for means over problems, for data that a bootstrap cannot resample honestly.

`bon_eval.stats.bootstrap` decides which one runs and says where each comes from. scipy.special is imported where a
quantile is needed: it takes half of the time that the analysis needs to start.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

ENOUGH_PROBLEMS = 15.0
"""Effective number of contributing problems from which a studentised bootstrap is trusted."""
_ENOUGH_ANSWERS = 10.0
"""Correct, and also incorrect, single answers from which their spread is taken as seen."""
_PRIOR_PROBLEMS = 4.0
"""Weight of the largest possible variance when the design effect is estimated."""

_ROUNDING = 1e-12
"""Deviations this small, relative to the largest value, are rounding and not spread."""

Ends = tuple[float, float, str]
"""Low, high, and the name of the method."""


def is_binary(values: NDArray[np.float64]) -> bool:
    """Whether all values are 0 or 1 (single answers), or rounding away from it, as sums of probabilities are."""
    return bool(np.all((np.abs(values) <= _ROUNDING) | (np.abs(values - 1.0) <= _ROUNDING)))


def effective_problems(values: NDArray[np.float64]) -> float:
    """Kish's effective number of problems that differ from the median: (sum |d|)^2 / sum d^2; 0 for constant values."""
    deviation = np.abs(values - np.median(values))
    deviation[deviation <= _ROUNDING * np.abs(values).max()] = 0.0
    square = float(deviation @ deviation)
    return float(deviation.sum()) ** 2 / square if square > 0.0 else 0.0


def share_interval(values: NDArray[np.float64], confidence: float) -> Ends:
    """Interval for values in [0, 1]: ``wilson-midp`` for single answers, otherwise ``wilson-design``."""
    return _wilson_midp(values, confidence) if is_binary(values) else _wilson_design(values, confidence)


def _wilson(p: float, n: float, z: float) -> tuple[float, float]:
    centre = (p + z * z / (2.0 * n)) / (1.0 + z * z / n)
    half = z / (1.0 + z * z / n) * np.sqrt(p * (1.0 - p) / n + z * z / (4.0 * n * n))
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def _wilson_midp(values: NDArray[np.float64], confidence: float) -> Ends:
    from scipy import special

    n, k = len(values), int(np.rint(values).sum())
    tail = (1.0 - confidence) / 2.0
    low, high = _wilson(k / n, n, float(special.ndtri(1.0 - tail)))
    return min(low, _midp_low(k, n, tail)), max(high, 1.0 - _midp_low(n - k, n, tail)), "wilson-midp"


def _midp_low(k: int, n: int, tail: float) -> float:
    """The success probability at which P(X > k) + P(X = k) / 2 = tail for X binomial(n); 0 for k = 0."""
    from scipy import special

    if k == 0:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(60):  # bisection to the last bit
        p = (low + high) / 2.0
        above = special.betainc(k + 1, n - k, p) if k < n else 0.0
        if 0.5 * (special.betainc(k, n - k + 1, p) + above) < tail:
            low = p
        else:
            high = p
    return low


def _wilson_design(values: NDArray[np.float64], confidence: float) -> Ends:
    from scipy import special

    n, p = len(values), float(values.mean())
    quantile, largest = 1.0 - (1.0 - confidence) / 2.0, p * (1.0 - p)
    if n == 1:
        return *_wilson(p, 1.0, float(special.ndtri(quantile))), "wilson-design"
    seen = effective_problems(values)
    variance = (seen * float(values.var(ddof=1)) + _PRIOR_PROBLEMS * largest) / (seen + _PRIOR_PROBLEMS)
    size = n * max(1.0, largest / variance)
    return *_wilson(p, size, float(special.stdtrit(n - 1, quantile))), "wilson-design"


def ratio_interval(parts: NDArray[np.float64], sizes: NDArray[np.float64], confidence: float) -> Ends:
    """Interval for a share of all responses, sum(parts) / sum(sizes), that resamples problems: ``wilson-design ratio``.

    As `_wilson_design`, with the variance of the ratio by linearisation (Cochran 1977, section 2.11): the residuals
    parts - share * sizes are the values. P problems of unequal sizes count as Kish's effective number of them,
    P' = (sum sizes)^2 / sum sizes^2, in the largest variance that answers alike within a problem could give, in the
    degrees of freedom, and as P / P' times the prior problems.

    Args:
        parts: (P,), correct responses of each problem; 0 <= parts <= sizes.
        sizes: (P,), all its responses; a problem without any contributes nothing. At least one is above 0.
        confidence: coverage in (0, 1).
    """
    from scipy import special

    present = sizes > 0.0
    part, size = parts[present], sizes[present]
    n, total = len(part), float(size.sum())
    share = float(part.sum()) / total
    problems = total**2 / float(size @ size)
    quantile, largest = 1.0 - (1.0 - confidence) / 2.0, share * (1.0 - share)
    if n == 1:
        return *_wilson(share, 1.0, float(special.ndtri(quantile))), "wilson-design ratio"
    residual = part - share * size
    seen = effective_problems(residual)
    measured = float(residual @ residual) * n / (n - 1.0) / total**2
    prior = _PRIOR_PROBLEMS * n / problems
    variance = (seen * measured + prior * largest / problems) / (seen + prior)
    effective = largest / variance if largest > 0.0 else problems
    freedom = max(problems - 1.0, 1.0)
    return *_wilson(share, effective, float(special.stdtrit(freedom, quantile))), "wilson-design ratio"


def concordance_interval(units: NDArray[np.float64], sides: tuple[float, float], confidence: float) -> Ends:
    """Interval for a share of pairs of problems that are ranked right: ``wilson-design pairs``.

    As `_wilson_design`, for the mean of units as `bon_eval.estimators.levels.concordance` has them. What the problems
    of the rarer side could at most give is the largest variance, share (1 - share) / k (Birnbaum & Klose 1957, Annals
    of Mathematical Statistics 28, 933-945), and the degrees of freedom are those of two samples of k.

    Args:
        units: (P,), at least two.
        sides: problems, or clusters, that the correct and the incorrect side count as; the smaller one is k.
        confidence: coverage in (0, 1).
    """
    from scipy import special

    n, share, rarer = len(units), min(max(float(units.mean()), 0.0), 1.0), min(sides)
    largest, quantile = share * (1.0 - share), 1.0 - (1.0 - confidence) / 2.0
    residual, seen = units - units.mean(), effective_problems(units)
    measured = float(residual @ residual) / (n * (n - 1.0))
    variance = (seen * measured + _PRIOR_PROBLEMS * largest / rarer) / (seen + _PRIOR_PROBLEMS)
    freedom = max(min(2.0 * rarer - 2.0, n - 1.0), 1.0)
    size = largest / variance if largest > 0.0 else rarer
    return *_wilson(share, size, float(special.stdtrit(freedom, quantile))), "wilson-design pairs"


def with_seeds(
    estimate: float, ends: tuple[float, float], seed_means: NDArray[np.float64], confidence: float
) -> tuple[float, float]:
    """Interval of a mean over problems and seeds of training, for other problems and other seeds.

    Problems and seeds are two crossed random factors. Each end lies as far from the mean as the root of the sum of two
    squares: the distance of that end of the interval over problems, and the half-width of Student's t over the S
    seeds' means, t * sd / sqrt(S) at S - 1 degrees of freedom. So it is never within either of the two.

    The squares are those of Howe 1974 (doi 10.1080/01621459.1974.10480178) and Zou & Donner 2008
    (doi 10.1002/sim.3087). The variance of the rest (problem by seed) is in both of them and is not taken off: two or
    three seeds estimate it too badly for that, and nominal 95 % would cover 88 to 92 % where rest or seeds dominate.
    Satterthwaite's quantile of the sum covers as little as 87 % with two seeds and 92 % with three.

    Args:
        estimate: the mean.
        ends: of the interval over the problems' means over the seeds, of that confidence.
        seed_means: (S,), each seed's mean over the problems. One seed has no component: the ends come back, and what
            they say is of this training only.
        confidence: coverage in (0, 1).

    >>> low, high = with_seeds(0.2, (0.17, 0.24), np.array([0.19, 0.21]), 0.95)
    >>> round(low, 3), round(high, 3)
    (0.069, 0.333)
    """
    from scipy import special

    n = len(seed_means)
    if n == 1:
        return ends
    half = float(special.stdtrit(n - 1, 1.0 - (1.0 - confidence) / 2.0)) * standard_error(seed_means)
    return estimate - math.hypot(estimate - ends[0], half), estimate + math.hypot(ends[1] - estimate, half)


def student_t(values: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """Student's t interval of values that are not constant."""
    from scipy import special

    half = special.stdtrit(len(values) - 1, 1.0 - (1.0 - confidence) / 2.0) * standard_error(values)
    return float(values.mean() - half), float(values.mean() + half)


def student_t_p_value(values: NDArray[np.float64], widening: float = 1.0) -> float:
    """Two-sided p-value of a mean of 0 that goes with `student_t`, its ends moved away from the mean by a factor."""
    from scipy import special

    t = float(values.mean()) / (widening * standard_error(values))
    return float(2.0 * special.stdtr(len(values) - 1, -abs(t)))


def standard_error(values: NDArray[np.float64]) -> float:
    """Of the mean of at least two values."""
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def pseudo_t(values: NDArray[np.float64], confidence: float, weight: float, size: float = 1.0) -> tuple[float, float]:
    """Student's t for differences in [-1, 1] of at least two problems, after adding w with +1 and w with -1.

    Bonett and Price have w = 1; see `pseudo_weight`. `size` is another one than 1 of what is added: a cluster whose
    problems differ among each other, or one of more problems than most. The added problems bring no degrees of freedom.
    """
    from scipy import special

    mean, error = _pseudo_moments(values, weight, size)
    half = float(special.stdtrit(len(values) - 1, 1.0 - (1.0 - confidence) / 2.0)) * error
    return max(-1.0, mean - half), min(1.0, mean + half)


def pseudo_t_p_value(values: NDArray[np.float64], weight: float, size: float = 1.0) -> float:
    """Two-sided p-value of a mean of 0 that goes with `pseudo_t`."""
    from scipy import special

    mean, error = _pseudo_moments(values, weight, size)
    return float(2.0 * special.stdtr(len(values) - 1, -abs(mean) / error))


def skew_shift(values: NDArray[np.float64], confidence: float) -> float:
    """How far the skewness of the values moves both ends of Student's t interval, to first order.

    m3 (1 + 2 t^2) / (6 s^2 P), with m3 the third central moment (Johnson 1978, Journal of the American
    Statistical Association 73, 536-544).
    """
    from scipy import special

    n, residual = len(values), values - values.mean()
    variance = float(residual @ residual) / (n - 1.0)
    if variance <= _ROUNDING * max(1.0, float(np.abs(values).max()) ** 2):
        return 0.0
    t = float(special.stdtrit(n - 1, 1.0 - (1.0 - confidence) / 2.0))
    return float((residual**3).mean()) * (1.0 + 2.0 * t**2) / (6.0 * variance * n)


def pseudo_weight(values: NDArray[np.float64], rarest: float) -> float:
    """Pseudo-problems of each sign that `pseudo_t` adds.

    3/2 with few contested problems or where one of the two sides is single answers of which one kind is rare (`rarest`
    counts it): what was not seen would count a whole problem, and with 1 two single answers would differ by chance in
    6.4 % of comparisons of 24 problems that are all contested. Otherwise 1/4.
    """
    few = effective_problems(values) < ENOUGH_PROBLEMS or rarest < _ENOUGH_ANSWERS
    return 1.5 if few else 0.25


def _pseudo_moments(values: NDArray[np.float64], weight: float, size: float) -> tuple[float, float]:
    """Mean and its standard error, pseudo-problems included."""
    n = len(values) + 2.0 * weight
    mean = float(values.sum()) / n
    variance = (float(values @ values) + 2.0 * weight * size**2) / n - mean**2
    return mean, float(np.sqrt(variance / (n - 1.0)))
