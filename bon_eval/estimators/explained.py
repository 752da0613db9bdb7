"""What sharpening explains of a tuned model's gain in accuracy: what base best-of-n of its likelihood would have.

Base and tuned model answer the same P problems; rows are aligned by problem, and intervals are over problems.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bon_eval.errors import ConfigError
from bon_eval.estimators.equivalent_n import TOO_SKEWED, crossing
from bon_eval.estimators.selection import best_of_n
from bon_eval.stats import PairedTest, paired_tests
from bon_eval.stats.heavy_tails import is_too_skewed, widening
from bon_eval.stats.paired import Verdict, linear_units
from bon_eval.stats.ratios import fieller, of_a_shown_gain

MOST = 0.5
"""A gain counts as explained by sharpening where at least this share of it is."""

_NOT_SHARPER = "the tuned model is less sharp than the base model, so sharpening predicts no gain"
NO_GAIN = "a gain in accuracy is not shown"


@dataclass(frozen=True, slots=True)
class ExplainedGain:
    """What the base model's best-of-n of equal likelihood predicts for the tuned model's accuracy."""

    predicted: float
    """Accuracy of base best-of-n at the sharpening-equivalent n; NaN where that n is not reached."""
    residual: PairedTest | None
    """Tuned accuracy minus `predicted`; None where n is not reached."""
    share: float
    """(predicted - base sample) over (tuned - base sample); NaN where `reason` says why there is none."""
    share_low: float
    share_high: float
    """Minus infinity and infinity where the share has no bound on that side."""
    verdict: Literal["yes", "no", "not shown"]
    """Whether sharpening explains at least `MOST` of the gain; ``not shown`` wherever the gain itself is not."""
    reason: str
    """Why there is no share, or no bound of it, or empty."""


def explained_gain(
    log_likelihood: ArrayLike,
    correct: ArrayLike,
    tuned_log_likelihood: ArrayLike,
    tuned_correct: ArrayLike,
    *,
    gain: Verdict,
    sharper: Verdict,
    rng: np.random.Generator,
    draws: int = 10_000,
    confidence: float = 0.95,
    clusters: ArrayLike | None = None,
) -> ExplainedGain:
    """How much of the tuned model's gain in accuracy base best-of-n of the same likelihood would have had.

    Let b(n) and a(n) be the mean log-likelihood and accuracy of base best-of-n by log-likelihood, linearly interpolated
    between whole n, and n* where b(n*) is the tuned model's mean log-likelihood t (`bon_eval.estimators.equivalent_n`).
    Sharpening alone predicts the accuracy a(n*) for one tuned sample. The share is (a(n*) - a(1)) over (tuned accuracy
    - a(1)); the residual, tuned accuracy - a(n*), is what sharpening does not account for. Where t is below b(1), but
    not shown to be, the curves' first segment goes on below n = 1: a model that is no sharper has a share of 0 with an
    interval around it. Where it is shown to be below, sharpening predicts no gain and there is no share.

    n* is estimated, so a(n*) is no mean of one number for each problem; to first order it is the mean of
    u_i = a_i(n*) + (a'(n*) / b'(n*)) (t_i - b_i(n*)), since b(n*) = t (delta method; Cox & Hinkley 1974, section 9.2).
    Residual and share are then a difference and a ratio of means over the same problems: the paired test of nats for
    the former, Fieller's set (`bon_eval.stats.ratios`) for the latter, widened alike and at the confidence that a share
    of a shown gain needs.

    Args:
        log_likelihood, correct: (P, N) of the base pool, under the base model.
        tuned_log_likelihood, tuned_correct: (P,), means over each tuned pool, the former under the base model.
        gain: what the paired test of tuned accuracy against the base sample's says wherever its verdict is stated.
        sharper: the same of the tuned model's mean log-likelihood.
        rng: resamples problems.
        draws: bootstrap draws, at least 100.
        confidence: coverage in (0, 1).
        clusters: as in `bon_eval.stats.bootstrap_ci`.

    Raises:
        ConfigError: shapes that differ, a value that is not finite, draws or confidence out of range.
    """
    scores, right = np.asarray(log_likelihood, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    target, tuned = np.asarray(tuned_log_likelihood, np.float64), np.asarray(tuned_correct, np.float64)
    if scores.ndim != 2 or right.shape != scores.shape or not target.shape == tuned.shape == scores.shape[:1]:
        raise ConfigError(
            f"explained_gain got shapes {scores.shape}, {right.shape}, {target.shape}, {tuned.shape}; expected "
            "(problems, N) twice and (problems,) twice"
        )
    n = scores.shape[1]
    likelihood, accuracy = (c.T for c in best_of_n(scores, np.stack([scores, right]), range(1, n + 1)))
    level = 1.0 - confidence
    if n == 1:
        return _none(math.nan, None, "a base pool of one response has no best-of-n")
    if sharper == "lower":
        return _none(math.nan, None, _NOT_SHARPER)
    predicted = predictions(likelihood, accuracy, target)
    if predicted is None:
        return _none(math.nan, None, f"the tuned model is likelier under the base model than best-of-{n}")
    base = accuracy[:, 0]
    residual, most = paired_tests(
        np.column_stack([tuned, predicted]),
        np.column_stack([predicted, base + MOST * (tuned - base)]),
        rng=rng,
        draws=draws,
        confidence=confidence,
        shares=[False, False],
        clusters=clusters,
    )
    mean = float(predicted.mean())
    if gain == "lower":
        return _none(mean, residual, "the tuned model is less accurate: there is a loss and no gain")
    if most.reason is not None:
        return _none(mean, residual, most.reason)
    if most.marked or is_too_skewed(_likelier(likelihood, target)):
        return _none(mean, residual, TOO_SKEWED)
    gains, counted = linear_units(np.column_stack([predicted - base, tuned - base]), clusters, confidence, nats=True)
    found = fieller(*gains.T, confidence=of_a_shown_gain(confidence), widening=widening(counted), positive=True)
    if math.isnan(found.low):
        return _none(mean, residual, "every problem shows the same share")
    if gain != "higher":
        return ExplainedGain(mean, residual, found.estimate, -math.inf, math.inf, "not shown", NO_GAIN)
    low, high = found.low, found.high
    if most.verdict(alpha=level) == "not shown":
        low, high = min(low, MOST), max(high, MOST)
    verdict: Literal["yes", "no", "not shown"] = "yes" if low > MOST else "no" if high < MOST else "not shown"
    return ExplainedGain(mean, residual, found.estimate, low, high, verdict, "")


def _likelier(likelihood: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Tuned log-likelihood minus base best-of-n's at the whole n next to where the means are equal, (P,)."""
    last = likelihood.shape[1] - 1
    at = crossing(likelihood.mean(axis=0), float(target.mean()))
    return np.asarray(target - likelihood[:, min(max(round(at) - 1, 0), last)], dtype=np.float64)


def _none(predicted: float, residual: PairedTest | None, reason: str) -> ExplainedGain:
    return ExplainedGain(predicted, residual, math.nan, math.nan, math.nan, "not shown", reason)


def predictions(
    likelihood: NDArray[np.float64], accuracy: NDArray[np.float64], target: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """u of `explained_gain`, (P,), from each problem's curves over n = 1..N, (P, N) each, and tuned means, (P,).

    None where the mean curve does not reach the mean target.
    """
    mean = likelihood.mean(axis=0)
    at = crossing(mean, float(target.mean()))
    if math.isinf(at):
        return None
    last = likelihood.shape[1] - 1
    before = min(max(math.ceil(at) - 2, 0), max(last - 1, 0))
    after = min(before + 1, last)
    rise = float(mean[after] - mean[before])
    slope = float(accuracy.mean(axis=0)[after] - accuracy.mean(axis=0)[before]) / rise if rise > 0.0 else 0.0
    part = (float(target.mean()) - float(mean[before])) / rise if rise > 0.0 else 0.0
    there, value = (c[:, before] + part * (c[:, after] - c[:, before]) for c in (likelihood, accuracy))
    out: NDArray[np.float64] = value + slope * (target - there)
    return out
