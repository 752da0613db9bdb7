"""How sharp a tuned model is, in terms of the base model: sharpening-equivalent N and divergence.

Base and tuned model answer the same P problems; rows are aligned by problem. Problems are the sampling unit: every
interval resamples problems, base and tuned together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bon_eval.errors import ConfigError
from bon_eval.estimators.selection import best_of_n
from bon_eval.stats import paired_tests
from bon_eval.stats.bootstrap import UNBOUNDED, bootstrap_ci, over_units
from bon_eval.stats.means import reason_of
from bon_eval.stats.units import Size

TOO_SKEWED = "a few problems decide it: the differences are too skewed for an interval"


@dataclass(frozen=True, slots=True)
class EquivalentN:
    """A sharpening-equivalent N with its interval, in base samples.

    1 says "at most 1" in every place: one base sample reaches the tuned model. `math.inf` says "more than N".
    """

    estimate: float
    low: float
    high: float
    """Both NaN where there is no interval."""
    largest: Size
    """N of the base pool: what an infinite value exceeds."""
    reason: str = ""
    """Why there is no interval, or empty: too few problems, or differences at an end, or at the estimate, that are too
    skewed for their test to be relied on (`bon_eval.stats.heavy_tails`); then the estimate is not either."""

    @property
    def reached(self) -> bool:
        """Whether the base model's best-of-n reaches the tuned model at some n <= N."""
        return math.isfinite(self.estimate)


@dataclass(frozen=True, slots=True)
class Divergence:
    """An estimated KL divergence in nats per response; intervals and error take problems as the sampling unit."""

    estimate: float
    low: float
    high: float
    standard_error: float
    """NaN for one problem."""
    method: str
    """Of the interval, as in `bon_eval.stats.bootstrap`."""
    marked: bool = False
    """The differences are too skewed for the interval to be relied on (`bon_eval.stats.heavy_tails`)."""

    @property
    def reason(self) -> str | None:
        """Why there is no interval, or None."""
        return reason_of(self.method)


def sharpening_equivalent_n(
    scores: ArrayLike,
    values: ArrayLike,
    tuned: ArrayLike,
    *,
    rng: np.random.Generator,
    draws: int = 10_000,
    confidence: float = 0.95,
    shares: bool = False,
    clusters: ArrayLike | None = None,
) -> EquivalentN:
    """Smallest n at which the base model's best-of-n reaches the tuned model's temperature-1 mean.

    With b(n) the mean over problems of the exact best-of-n value of the base pool and t the mean of `tuned`:
    the smallest n in [1, N] with b(n) >= t, linearly interpolated between whole n. For the likelihood, `scores` and
    `values` both are the base pool's base log-likelihoods and `tuned` the mean base log-likelihood of each tuned pool:
    8 says that one tuned sample is as likely under the base model as the likeliest of 8 base samples. For the
    accuracy, `values` are correctness and `tuned` the accuracy of each tuned pool; b(n) need not grow then, and the
    first crossing counts.

    The interval inverts the paired test (`bon_eval.stats.paired_tests`) of b(n) against t, whose limits L(n) and U(n)
    of the difference are interpolated linearly too, which widens them. Its low end is the smallest n with U(n) >= 0
    and its high end the largest one with L(n) <= 0: the first crossing has a difference of 0, so that it is between
    them wherever its own test accepts. Where L(1) > 0 one base sample is shown to be beyond the tuned model, and both
    ends are 1, "at most 1"; where U(n) < 0 throughout, both are infinite, "more than N". An n whose test has no limits
    is not excluded.

    Args:
        scores: (P, N) of the base pool, what best-of-n picks by.
        values: (P, N) of the base pool, what is compared.
        tuned: (P,), mean over the tuned pool of the same quantity as `values`.
        rng: resamples the problems.
        draws: bootstrap draws, at least 100.
        confidence: coverage in (0, 1).
        shares: whether the values are accuracies and not nats.
        clusters: as in `bon_eval.stats.bootstrap_ci`.

    Raises:
        ConfigError: shapes that differ, a number that is not finite, draws or confidence out of range.

    The quantity is this project's own, after the sharpening objective of Huang et al. 2024 (arXiv 2412.01951); sets by
    inversion of a test: Lehmann & Romano 2005, Testing Statistical Hypotheses, section 3.5.

    >>> pool = [[-3.0, -2.0, -1.0]] * 40  # best-of-n mean: -2, -4/3, -1
    >>> sharpening_equivalent_n(pool, pool, [-4 / 3] * 40, rng=np.random.default_rng(0)).estimate
    2.0
    """
    value, target = np.asarray(values, dtype=np.float64), np.asarray(tuned, dtype=np.float64)
    if value.ndim != 2 or target.shape != value.shape[:1] or len(target) == 0:
        raise ConfigError(
            f"sharpening_equivalent_n got values of shape {value.shape} and tuned of shape {target.shape}; expected "
            "(problems, N) and (problems,)"
        )
    if not np.isfinite(target).all():
        raise ConfigError("the tuned model has a value that is not finite; leave the problem out on both sides")
    largest = value.shape[1]
    curve = best_of_n(scores, value, range(1, largest + 1)).T
    if shares:  # the weights of the ranks sum to 1 up to rounding only
        curve = np.clip(np.round(curve, 12), 0.0, 1.0)
    at = crossing(curve.mean(axis=0), float(target.mean()))
    tests = paired_tests(
        curve,
        target[:, None],
        rng=rng,
        draws=draws,
        confidence=confidence,
        shares=[shares] * largest,
        clusters=clusters,
    )
    if all(test.reason is not None for test in tests):
        return EquivalentN(at, math.nan, math.nan, largest, tests[0].reason or "")
    low, high = accepted([test.low for test in tests], [test.high for test in tests])
    if any(tests[k].marked for end in (at, low, high) for k in _neighbours(end, largest)):
        return EquivalentN(at, math.nan, math.nan, largest, TOO_SKEWED)
    return EquivalentN(at, min(low, at), max(high, at), largest)


def accepted(low: list[float], high: list[float]) -> tuple[float, float]:
    """The smallest n whose upper limit is not below 0, and the largest one whose lower limit is not above 0.

    Args:
        low, high: limits of a difference at n = 1 .. N that passes 0 from below, NaN where there are none.
    """
    if low[0] > 0.0:
        return 1.0, 1.0
    first = next((k for k, limit in enumerate(high) if not limit < 0.0), None)
    last = next(k for k in reversed(range(len(low))) if not low[k] > 0.0)
    start = math.inf if first is None else 1.0 if first == 0 else first + _part(high[first - 1], high[first])
    return start, math.inf if last == len(low) - 1 else last + 1.0 + _part(low[last], low[last + 1])


def _part(before: float, after: float) -> float:
    """Where between two n a limit passes 0; nothing between them is excluded where one of them has no limit."""
    if not math.isfinite(after):
        return 0.0
    return -before / (after - before) if math.isfinite(before) else 1.0


def _neighbours(n: float, largest: int) -> set[int]:
    """Columns of the whole n around an end."""
    return {largest - 1} if math.isinf(n) else {math.floor(n) - 1, math.ceil(n) - 1}


def kl_divergence(
    own: ArrayLike,
    other: ArrayLike,
    *,
    rng: np.random.Generator,
    draws: int = 10_000,
    confidence: float = 0.95,
    clusters: ArrayLike | None = None,
) -> Divergence:
    """Estimated KL(p || q) = E_{y ~ p}[log p(y|x) - log q(y|x)], mean over problems, in nats per response.

    The plain Monte Carlo estimate from a pool drawn from p at temperature 1: unbiased, with an interval over problems.
    Responses cut at the token limit count up to the cut: what is estimated then is the divergence of the distributions
    over responses of at most that many tokens, which is at most that of whole responses.

    Args:
        own: (P, N), log-likelihoods of p's pool under p.
        other: (P, N), of the same responses under q.
        rng: resamples problems.
        draws: bootstrap draws, at least 100.
        confidence: coverage in (0, 1).
        clusters: as in `bon_eval.stats.bootstrap_ci`; the standard error is over clusters too.

    Raises:
        ConfigError: shapes that differ or a value that is not finite.

    >>> kl_divergence([[-1.0, -2.0]] * 3, [[-1.5, -2.5]] * 3, rng=np.random.default_rng(0)).estimate
    0.5
    """
    first, second = np.asarray(own, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if first.ndim != 2 or first.shape != second.shape:
        raise ConfigError(f"kl_divergence got shapes {first.shape} and {second.shape}; both must be (problems, N)")
    mean = (first - second).mean(axis=1)
    interval = bootstrap_ci(mean, rng=rng, draws=draws, confidence=confidence, support=UNBOUNDED, clusters=clusters)
    if interval.reason is None:  # no divergence is below 0, though an estimate can be
        interval = replace(interval, low=max(interval.low, min(0.0, interval.estimate)))
    parts, units = over_units(mean[:, None], clusters)
    values = units.values(parts)[:, 0]
    error = float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return Divergence(interval.estimate, interval.low, interval.high, error, interval.method, interval.marked)


def crossing(curve: NDArray[np.float64], target: float) -> float:
    """Where a curve over n = 1..N, (N,), first reaches a target, linearly interpolated; infinity where never.

    A curve that differs from the target by rounding has reached it. 1 where its first value has.
    """
    reached = curve >= target - 1e-12 * max(1.0, abs(target))
    if not reached.any():
        return math.inf
    first = int(reached.argmax())
    if first == 0:
        return 1.0
    return first + min(float((target - curve[first - 1]) / (curve[first] - curve[first - 1])), 1.0)
