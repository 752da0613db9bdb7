"""Where a tuned model's gain in accuracy comes from: how much of best-of-N it amortises, and what sharpening explains.

Base and tuned model answer the same P problems; rows are aligned by problem, and intervals are over problems.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from bon_eval.errors import ConfigError
from bon_eval.estimators.equivalent_n import check_draws, crossings, resampled_means
from bon_eval.estimators.selection import best_of_n


@dataclass(frozen=True, slots=True)
class AmortisedShare:
    """Share of the gain of best-of-N that one tuned sample shows."""

    share: float | None
    """None where `reason` says why there is none."""
    low: float
    high: float
    """Both NaN without a share."""
    reason: str
    """Empty where there is a share."""


@dataclass(frozen=True, slots=True)
class ExplainedGain:
    """What the base model's best-of-n of equal likelihood predicts for the tuned model's accuracy."""

    predicted: float
    """Accuracy of base best-of-n at the sharpening-equivalent n; NaN where that n is not reached."""
    residual: float
    """Tuned accuracy minus `predicted`."""
    residual_low: float
    residual_high: float
    share: float
    """(predicted - base sample) over (tuned - base sample)."""
    share_low: float
    share_high: float
    reason: str
    """Why there is no interval, or empty."""


def amortised_share(
    tuned_sample: ArrayLike, base_sample: ArrayLike, base_best: ArrayLike, *, confidence: float = 0.95
) -> AmortisedShare:
    """(tuned sample - base sample) over (base best-of-N - base sample), of accuracies.

    1 says that one tuned sample is as accurate as base best-of-N, 0 that tuning changed nothing. The interval is
    Fieller's for a ratio of two means over the same problems (Fieller 1954, Journal of the Royal Statistical Society B
    16, 175-185), with Student's t. It exists only where the denominator's own interval excludes 0; otherwise there is
    no share, and the reason says so.

    Args:
        tuned_sample, base_sample, base_best: (P,), accuracy of each problem under the three arms.
        confidence: coverage in (0, 1).

    Raises:
        ConfigError: shapes that differ, a value that is not finite, fewer than two problems.

    >>> amortised_share([0.5, 0.7, 0.6, 0.8], [0.2, 0.5, 0.3, 0.6], [0.8, 0.9, 0.9, 1.0]).share
    0.5
    """
    arms = [np.asarray(a, dtype=np.float64) for a in (tuned_sample, base_sample, base_best)]
    if arms[0].ndim != 1 or any(a.shape != arms[0].shape for a in arms) or len(arms[0]) < 2:
        raise ConfigError(f"amortised_share got shapes {', '.join(str(a.shape) for a in arms)}; expected (problems,)")
    if not all(np.isfinite(a).all() for a in arms):
        raise ConfigError("an accuracy is not finite; leave the problem out of all three arms")
    gain, possible = arms[0] - arms[1], arms[2] - arms[1]
    n, quantile = len(gain), 1.0 - (1.0 - confidence) / 2.0
    t = float(special.stdtrit(n - 1, quantile))
    mean_gain, mean_possible = float(gain.mean()), float(possible.mean())
    covariance = np.cov(gain, possible) / n
    a = mean_possible**2 - t**2 * covariance[1, 1]
    b = mean_gain * mean_possible - t**2 * covariance[0, 1]
    c = mean_gain**2 - t**2 * covariance[0, 0]
    half = t * math.sqrt(covariance[1, 1])
    if a <= 0.0:
        return AmortisedShare(
            None,
            math.nan,
            math.nan,
            f"base best-of-N minus base sample is {100 * mean_possible:+.1f} points "
            f"[{100 * (mean_possible - half):+.1f}, {100 * (mean_possible + half):+.1f}], which holds 0: there is no "
            "gain to take a share of",
        )
    root = math.sqrt(max(b * b - a * c, 0.0))
    return AmortisedShare(mean_gain / mean_possible, (b - root) / a, (b + root) / a, "")


def explained_gain(
    log_likelihood: ArrayLike,
    correct: ArrayLike,
    tuned_log_likelihood: ArrayLike,
    tuned_correct: ArrayLike,
    *,
    rng: np.random.Generator,
    draws: int = 10_000,
    confidence: float = 0.95,
) -> ExplainedGain:
    """How much of the tuned model's gain in accuracy base best-of-n of the same likelihood would have had.

    Let n* be the likelihood's sharpening-equivalent n (`bon_eval.estimators.equivalent_n`) and a(n) the
    accuracy of base best-of-n by log-likelihood, linearly interpolated. Sharpening alone predicts the accuracy a(n*)
    for one tuned sample. The share is (a(n*) - a(1)) / (tuned accuracy - a(1)); the residual, tuned accuracy - a(n*),
    is what sharpening does not account for. Intervals are percentile bootstrap over problems, n* found anew in every
    draw; there is none where more than half of a tail's draws do not reach n*, or where the gain's own draws hold 0
    (then the share's limits are NaN).

    Args:
        log_likelihood, correct: (P, N) of the base pool, under the base model.
        tuned_log_likelihood, tuned_correct: (P,), means over each tuned pool, the former under the base model.
        rng: resamples problems.
        draws: bootstrap draws, at least 100.
        confidence: coverage in (0, 1).

    Raises:
        ConfigError: shapes that differ, draws or confidence out of range.
    """
    scores, right = np.asarray(log_likelihood, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    target, tuned = np.asarray(tuned_log_likelihood, np.float64), np.asarray(tuned_correct, np.float64)
    if scores.ndim != 2 or right.shape != scores.shape or not target.shape == tuned.shape == scores.shape[:1]:
        raise ConfigError(
            f"explained_gain got shapes {scores.shape}, {right.shape}, {target.shape}, {tuned.shape}; expected "
            "(problems, N) twice and (problems,) twice"
        )
    check_draws(draws, confidence)
    n = scores.shape[1]
    curves = best_of_n(scores, np.stack([scores, right]), range(1, n + 1))
    columns = np.column_stack([curves[0].T, target, curves[1].T, tuned])
    predicted, base, after = (x[0] for x in _predicted(columns.mean(axis=0)[None], n))
    if not math.isfinite(predicted):
        reason = f"the tuned model is likelier under the base model than best-of-{n}: n is not reached"
        return ExplainedGain(predicted, math.nan, math.nan, math.nan, math.nan, math.nan, math.nan, reason)
    found = [_predicted(means, n) for means in resampled_means(columns, rng, draws)]
    drawn, bases, afters = (np.concatenate([f[k] for f in found]) for k in range(3))
    tail = (1.0 - confidence) / 2.0
    if np.isnan(drawn).mean() > tail / 2.0:
        reason = (
            f"best-of-{n} does not reach the tuned model's likelihood in {100 * np.isnan(drawn).mean():.1f} % of draws"
        )
        share = (predicted - base) / (after - base) if after != base else math.nan
        return ExplainedGain(predicted, after - predicted, math.nan, math.nan, share, math.nan, math.nan, reason)
    kept = ~np.isnan(drawn)
    low, high = np.quantile((afters - drawn)[kept], [tail, 1.0 - tail])
    gain = (afters - bases)[kept]
    limits = np.quantile(gain, [tail, 1.0 - tail])
    if limits[0] <= 0.0 <= limits[1]:
        reason = "the tuned sample's gain in accuracy is not shown, so there is no share of it"
        return ExplainedGain(predicted, after - predicted, low, high, math.nan, math.nan, math.nan, reason)
    # As the gain falls to 0 its share grows beyond all bounds: that is where the few draws belong that pass 0.
    passed = np.sign(gain) != np.sign(after - base)
    ratio = np.sort(np.where(passed, np.inf, (drawn - bases)[kept] / np.where(passed, 1.0, gain)))
    at = math.floor(tail * len(ratio))
    share = (predicted - base) / (after - base)
    return ExplainedGain(
        predicted, after - predicted, float(low), float(high), share, float(ratio[at]), float(ratio[-1 - at]), ""
    )


def _predicted(means: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Accuracy at the equivalent n, base sample and tuned accuracy, each (rows,), from rows of column means."""
    at = crossings(means[:, : n + 1])
    reached = np.isfinite(at)
    whole = np.where(reached, np.floor(at), 1.0).astype(int) - 1
    part = np.where(reached, at, 1.0) - 1.0 - whole
    accuracy, rows = means[:, n + 1 : 2 * n + 1], np.arange(len(means))
    after = accuracy[rows, np.minimum(whole + 1, n - 1)]
    value = accuracy[rows, whole] * (1.0 - part) + after * part
    return np.where(reached, value, np.nan), accuracy[:, 0], means[:, -1]
