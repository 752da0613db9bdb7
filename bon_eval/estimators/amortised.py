"""How much of best-of-N's gain in accuracy one sample of a tuned model has: the amortised share.

Base and tuned model answer the same P problems; rows are aligned by problem, and intervals are over problems.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bon_eval.errors import ConfigError
from bon_eval.stats import PairedTest
from bon_eval.stats.paired import Verdict, linear_units, paired_differences
from bon_eval.stats.ratios import fieller, of_a_shown_gain


@dataclass(frozen=True, slots=True)
class AmortisedShare:
    """Share of the gain of best-of-N that one tuned sample shows."""

    share: float | None
    """None where there is a loss in place of a gain, or no interval; `reason` says why."""
    low: float
    high: float
    """Minus infinity and infinity where the share has no bound on that side; both NaN without a share."""
    reason: str
    """Why there is no share, or no bound of it, or empty."""


def amortised_share(
    tuned_sample: ArrayLike,
    base_sample: ArrayLike,
    base_best: ArrayLike,
    *,
    gain: Verdict,
    possible: PairedTest,
    confidence: float = 0.95,
    clusters: ArrayLike | None = None,
) -> AmortisedShare:
    """(tuned sample - base sample) over (base best-of-N - base sample), of accuracies.

    1 says that one tuned sample is as accurate as base best-of-N, 0 that tuning changed nothing. The interval is
    Fieller's for a ratio of two means over the same problems (`bon_eval.stats.ratios`), at the confidence that a share
    of a shown gain needs. It goes by the two paired tests: it has no bound where `possible` does not show a gain to
    take a share of, holds 0 where no `gain` is shown, and nothing below 0 where one is. A loss on either side has no
    share.

    Args:
        tuned_sample, base_sample, base_best: (P,), accuracy of each problem under the three arms.
        gain: what the paired test of `tuned_sample` against `base_sample` says wherever its verdict is stated.
        possible: paired test of `base_best` against `base_sample`.
        confidence: coverage in (0, 1).
        clusters: (P,), as the tests had them.

    Raises:
        ConfigError: shapes that differ, a value that is not finite.
    """
    arms = [np.asarray(a, dtype=np.float64) for a in (tuned_sample, base_sample, base_best)]
    if arms[0].ndim != 1 or any(a.shape != arms[0].shape for a in arms) or not len(arms[0]):
        raise ConfigError(f"amortised_share got shapes {', '.join(str(a.shape) for a in arms)}; expected (problems,)")
    if not all(np.isfinite(a).all() for a in arms):
        raise ConfigError("an accuracy is not finite; leave the problem out of all three arms")
    level = 1.0 - confidence
    if not paired_differences(arms[2], arms[1], True).any():
        return _none("base best-of-N is as accurate as one base sample on every problem: there is no gain")
    there = possible.verdict(alpha=level)
    if there == "lower":
        return _none(f"base best-of-N is less accurate than one base sample, {_points(possible)}: there is no gain")
    if gain == "lower":
        return _none("one tuned sample is less accurate than one base sample: there is a loss and no gain")
    if possible.reason is not None:
        return _none(possible.reason)
    gains, _ = linear_units(np.column_stack([arms[0] - arms[1], arms[2] - arms[1]]), clusters, confidence)
    found = fieller(*gains.T, confidence=of_a_shown_gain(confidence), positive=True)
    if there != "higher":
        reason = f"base best-of-N is not shown to gain over one base sample, {_points(possible)}"
        return AmortisedShare(found.estimate, -math.inf, math.inf, reason)
    if math.isnan(found.low):
        return _none("every problem shows the same share")
    low, high = found.low, found.high
    if gain != "higher":
        low, high = min(low, 0.0), max(high, 0.0)
    else:
        low = max(low, 0.0)
    return AmortisedShare(found.estimate, low, high, "")


def _none(reason: str) -> AmortisedShare:
    return AmortisedShare(None, math.nan, math.nan, reason)


def _points(test: PairedTest) -> str:
    return f"{100 * test.difference:+z.1f} points [{100 * test.low:+z.1f}, {100 * test.high:+z.1f}]"
