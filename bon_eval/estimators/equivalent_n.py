"""How sharp a tuned model is, in terms of the base model: sharpening-equivalent N and divergence.

Base and tuned model answer the same P problems; rows are aligned by problem. Problems are the sampling unit: every
interval resamples problems, base and tuned together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bon_eval.errors import ConfigError
from bon_eval.estimators.selection import best_of_n
from bon_eval.stats.array_checks import CHUNK_ELEMENTS
from bon_eval.stats.bootstrap import UNBOUNDED, bootstrap_ci
from bon_eval.stats.units import Size


@dataclass(frozen=True, slots=True)
class EquivalentN:
    """A sharpening-equivalent N with its interval; `math.inf` where the curve's N responses do not reach it."""

    estimate: float
    """1.0 where the tuned model is no further than one base sample."""
    low: float
    high: float
    largest: Size
    """N of the base pool: what an infinite value exceeds."""

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


def sharpening_equivalent_n(
    scores: ArrayLike,
    values: ArrayLike,
    tuned: ArrayLike,
    *,
    rng: np.random.Generator,
    draws: int = 10_000,
    confidence: float = 0.95,
) -> EquivalentN:
    """Smallest n at which the base model's best-of-n reaches the tuned model's temperature-1 mean.

    With b(n) the mean over problems of the exact best-of-n value of the base pool and t the mean of `tuned`:
    the smallest n in [1, N] with b(n) >= t, linearly interpolated between whole n. For the likelihood, `scores` and
    `values` both are the base pool's base log-likelihoods and `tuned` the mean base log-likelihood of each tuned pool:
    8 says that one tuned sample is as likely under the base model as the likeliest of 8 base samples. For the
    accuracy, `values` are correctness and `tuned` the accuracy of each tuned pool; b(n) need not grow then, and the
    first crossing counts.

    The interval is the percentile bootstrap over problems (base and tuned of a problem stay together); its ends are
    order statistics, so that "not reached" (infinity) is a possible end.

    Args:
        scores: (P, N) of the base pool, what best-of-n picks by.
        values: (P, N) of the base pool, what is compared.
        tuned: (P,), mean over the tuned pool of the same quantity as `values`.
        rng: resamples the problems.
        draws: bootstrap draws, at least 100.
        confidence: coverage in (0, 1).

    Raises:
        ConfigError: shapes that differ, a number that is not finite, draws or confidence out of range.

    The quantity is this project's own, after the sharpening objective of Huang et al. 2024 (arXiv 2412.01951).

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
    check_draws(draws, confidence)
    largest = value.shape[1]
    curve = best_of_n(scores, value, range(1, largest + 1)).T
    both = np.column_stack([curve, target])
    at = crossings(both.mean(axis=0)[None])[0]
    found = np.sort(np.concatenate([crossings(means) for means in resampled_means(both, rng, draws)]))
    tail = (1.0 - confidence) / 2.0
    low = found[max(0, math.floor(tail * (draws + 1)) - 1)]
    high = found[min(draws - 1, math.ceil((1.0 - tail) * (draws + 1)) - 1)]
    return EquivalentN(float(at), float(min(low, at)), float(max(high, at)), largest)


def kl_divergence(
    own: ArrayLike, other: ArrayLike, *, rng: np.random.Generator, draws: int = 10_000, confidence: float = 0.95
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

    Raises:
        ConfigError: shapes that differ or a value that is not finite.

    >>> kl_divergence([[-1.0, -2.0]] * 3, [[-1.5, -2.5]] * 3, rng=np.random.default_rng(0)).estimate
    0.5
    """
    first, second = np.asarray(own, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if first.ndim != 2 or first.shape != second.shape:
        raise ConfigError(f"kl_divergence got shapes {first.shape} and {second.shape}; both must be (problems, N)")
    mean = (first - second).mean(axis=1)
    interval = bootstrap_ci(mean, rng=rng, draws=draws, confidence=confidence, support=UNBOUNDED)
    error = float(mean.std(ddof=1)) / math.sqrt(len(mean)) if len(mean) > 1 else math.nan
    return Divergence(interval.estimate, interval.low, interval.high, error, interval.method)


def check_draws(draws: int, confidence: float) -> None:
    """`ConfigError` unless there are 100 draws and a confidence within (0, 1)."""
    if draws < 100:
        raise ConfigError(f"draws = {draws} is too few for an interval; use at least 100")
    if not 0.0 < confidence < 1.0:
        raise ConfigError(f"confidence = {confidence} is not between 0 and 1")


def resampled_means(columns: NDArray[np.float64], rng: np.random.Generator, draws: int) -> list[NDArray[np.float64]]:
    """Means of the columns (P, K) over resampled problems, (rows, K) each."""
    n = len(columns)
    step = max(1, CHUNK_ELEMENTS // n)
    out = []
    for start in range(0, draws, step):
        rows = min(step, draws - start)
        chosen = rng.integers(0, n, size=(rows, n)) + np.arange(0, rows * n, n)[:, None]
        times = np.bincount(chosen.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)
        out.append(times @ columns / n)
    return out


def crossings(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where each row's curve (all columns but the last) first reaches the row's last entry; infinity where never.

    A curve that differs from the target by rounding has reached it.
    """
    curve, target = means[:, :-1], means[:, -1:]
    reached = curve >= target - 1e-12 * np.maximum(1.0, np.abs(target))
    first = reached.argmax(axis=1)
    rows = np.arange(len(means))
    before = np.maximum(first - 1, 0)
    low, high = curve[rows, before], curve[rows, first]
    rise = np.where(high > low, high - low, 1.0)
    part = np.minimum((target[:, 0] - low) / rise, 1.0)
    at = np.where(first == 0, 1.0, before + 1.0 + np.where(high > low, part, 1.0))
    return np.where(reached.any(axis=1), at, np.inf)
