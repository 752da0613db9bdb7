"""How much probability a model gives its best response: coverage and sharpness, bounded from what was seen.

Huang et al. 2024 (arXiv 2412.01951): with Y*(x) the most likely responses, C_cov = E_x[1 / pi(Y*(x)|x)], and a model is
(epsilon, delta)-sharpened if pi(Y*(x)|x) >= 1 - delta for all but a share epsilon of x. The most likely response is
not known, only the most likely one that was seen, which is at most as likely: so 1 / pi(y_best|x) is an upper bound
of each problem's term, and the share of problems below 1 - delta an upper bound of epsilon.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bon_eval.errors import ConfigError
from bon_eval.stats.array_checks import two_dimensional
from bon_eval.stats.bootstrap import UNBOUNDED, Interval, bootstrap_ci, over_units
from bon_eval.stats.heavy_tails import skewness

Array = NDArray[np.float64]

DELTAS = (0.9, 0.75, 0.5, 0.25, 0.1)
"""Where sharpness is reported: pi(y_best|x) of at least 0.1, 0.25, 0.5, 0.75 and 0.9."""

_LEAST = 100
"""Problems from which on ln of coverage has an interval."""
_ROUNDING = 1e-12
"""Log-likelihoods this close, relative to the largest, are one and the same."""
_WIDENED = 1.5
"""How much wider Cox's interval is made: samples with a small spread are given one more often than others."""
_WIDEST = 1.4
"""Largest standard deviation of -ln pi over problems, in nats, at which its exponential's mean has an interval."""


def best_seen(log_likelihood: ArrayLike, finished: ArrayLike) -> tuple[Array, NDArray[np.intp]]:
    """Highest log-likelihood of the finished responses of each problem, and its column.

    A truncated response lacks its end token: its log-likelihood is that of a prefix, and bounds nothing.

    Args:
        log_likelihood: (P, M), in nats; greedy may stand beside the pool.
        finished: (P, M), whether each ended by itself.

    Returns:
        (P,) nats, minus infinity where no response finished; (P,) columns.
    """
    own = two_dimensional("log_likelihood", log_likelihood).astype(np.float64)
    done = np.asarray(finished, dtype=np.bool_)
    if done.shape != own.shape:
        raise ConfigError(f"finished has shape {done.shape}; expected that of the log-likelihoods, {own.shape}")
    masked = np.where(done, own, -np.inf)
    column = np.asarray(masked.argmax(axis=1), dtype=np.intp)
    return np.take_along_axis(masked, column[:, None], axis=1)[:, 0], column


def log_coverage(best: ArrayLike) -> float:
    """ln of the mean of 1 / pi(y_best|x), in nats; the mean itself overflows for long responses.

    One problem can carry it: look at the median of -ln pi(y_best|x) beside it.

    Args:
        best: (P,), ln pi(y_best|x), finite.

    Raises:
        ConfigError: no problem, or one without a finished response.

    >>> import math
    >>> round(math.exp(log_coverage([math.log(0.5), math.log(0.25)])), 6)
    3.0
    """
    inverse = -np.asarray(best, dtype=np.float64)
    if inverse.ndim != 1 or not len(inverse) or not np.isfinite(inverse).all():
        raise ConfigError("coverage needs the log-likelihood of a finished response of each problem; drop the others")
    top = float(inverse.max())
    return top + float(np.log(np.mean(np.exp(inverse - top))))


def log_coverage_interval(
    best: ArrayLike,
    *,
    rng: np.random.Generator,
    draws: int = 10_000,
    confidence: float = 0.95,
    clusters: ArrayLike | None = None,
) -> Interval:
    """`log_coverage` with its interval over problems, in nats.

    The hull of two: ln of the interval of the mean of 1 / pi(y_best|x), and Cox's for log-normal values (Land 1972,
    Technometrics 14, 145-158), which is m + s^2 / 2 with the standard error sqrt(s^2 / P + s^4 / (2 (P - 1))) for
    -ln pi of mean m and standard deviation s. Cox's is widened by half, and its upper end raised by the third cumulant
    over 6 at the largest skewness that the sample allows. The mean is taken relative to the largest term, which the
    logarithm adds again: nothing overflows, and what is lost beside the largest term does not matter. ln C_cov is at
    least 0, and so is the low end.

    There is none below 100 problems, nor where the terms may have a tail that the sample does not show: they are too
    skewed (`bon_eval.stats.heavy_tails`), s is above 1.4 nats, or the skewness of -ln pi above sqrt(6 / P), the
    standard error of a normal sample's. Without the second interval, samples that are given one by chance are covered
    in 44 %.

    Args:
        best: (P,), ln pi(y_best|x), finite.
        rng: resamples problems.
        draws: bootstrap draws, at least 100.
        confidence: coverage in (0, 1).
        clusters: as in `bon_eval.stats.bootstrap_ci`.

    Raises:
        ConfigError: as `log_coverage`; draws or confidence out of range.
    """
    estimate = log_coverage(best)
    inverse = -np.asarray(best, dtype=np.float64)
    top = float(inverse.max())
    terms = np.exp(inverse - top)
    _, units = over_units(terms[:, None], clusters)
    n = units.counted
    if n < _LEAST:
        return Interval(estimate, np.nan, np.nan, f"none: {units.too_few(_LEAST)}")
    mean = bootstrap_ci(terms, rng=rng, draws=draws, confidence=confidence, support=UNBOUNDED, clusters=clusters)
    none = mean.reason is not None
    if none and float(np.ptp(inverse)) <= _ROUNDING * max(1.0, top):
        return Interval(estimate, np.nan, np.nan, mean.method)
    if none or mean.marked or inverse.std(ddof=1) > _WIDEST or skewness(inverse) > np.sqrt(6.0 / n):
        heaviest = min(1.0, 1.0 / float(terms.sum()))
        why = f"too skewed, one problem carries {100 * heaviest:.0f} % of the mean"
        return Interval(estimate, np.nan, np.nan, f"none: {why}")
    low, high = (max(0.0, top + float(np.log(end))) if end > 0.0 else 0.0 for end in (mean.low, mean.high))
    cox_low, cox_high = _cox(inverse, n, confidence)
    return Interval(
        estimate, max(0.0, min(low, cox_low, estimate)), max(high, cox_high, estimate), f"{mean.method}, cox"
    )


def _cox(inverse: Array, n: float, confidence: float) -> tuple[float, float]:
    """Cox's interval of ln E exp(inverse) from n problems, widened, with room for the skewness that may be there."""
    from scipy import special

    spread = float(inverse.std(ddof=1))
    centre = float(inverse.mean()) + spread**2 / 2.0
    error = float(np.sqrt(spread**2 / n + spread**4 / (2.0 * (n - 1.0))))
    half = _WIDENED * float(special.ndtri(0.5 + confidence / 2.0)) * error
    skew = max(0.0, skewness(inverse) + 2.0 * float(np.sqrt(6.0 / n)))
    return centre - half, centre + half + skew * spread**3 / 6.0


def is_sharp(best: ArrayLike, delta: float) -> NDArray[np.bool_]:
    """(P,): whether pi(y_best|x) >= 1 - delta.

    >>> import math
    >>> is_sharp([math.log(0.6), math.log(0.4)], 0.5).tolist()
    [True, False]
    """
    if not 0.0 < delta < 1.0:
        raise ConfigError(f"delta = {delta:g} is no share of the probability; give one between 0 and 1")
    sharp: NDArray[np.bool_] = np.asarray(best, dtype=np.float64) >= np.log1p(-delta)
    return sharp
