"""What a pool says about arms that were not run: the power distribution, adaptive stopping, coverage; values alone.

Units as in `bon_eval.findings`: accuracies and shares are fractions of 1, log-likelihoods are in nats.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bon_eval.stats import Interval, PairedTest


@dataclass(frozen=True, slots=True)
class PowerPoint:
    """The pool reweighted to the power distribution pi^alpha; alpha = 1 is the sample arm, infinity best-of-N."""

    alpha: float
    accuracy: Interval
    log_likelihood: float
    """Mean over problems."""
    ess_median: float
    """Effective sample size, over problems."""
    ess_low: float
    ess_high: float
    """Quartiles."""
    believable: bool
    """Whether `ess_median` is at least `bon_eval.estimators.reweighting.BELIEVABLE`."""


@dataclass(frozen=True, slots=True)
class StoppingRow:
    """Best-of-n that stops by a rule, replayed over all orders of each pool, beside fixed n of the same mean cost."""

    rule: Literal["likelihood", "patience"]
    parameter: float
    """delta of the likelihood rule, draws of the patience rule."""
    samples: float
    """Mean over problems of the responses drawn; a lower bound where pools were exhausted."""
    exhausted: float
    """Mean probability that the pool ended before the rule stopped."""
    accuracy: Interval
    fixed_accuracy: float
    """Of best-of-n by log-likelihood at n = `samples`, interpolated between the neighbouring n."""
    difference: PairedTest
    """`accuracy` minus that, paired by problem."""


@dataclass(frozen=True, slots=True)
class SharpShare:
    """How many problems have a response of at least a given probability."""

    delta: float
    share: Interval
    """Of the problems with pi(y_best|x) >= 1 - delta; 1 minus it bounds epsilon of (epsilon, delta)-sharpness."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """The probability of the best response seen: bounds of what it is for the most likely one.

    See `bon_eval.estimators.coverage`.
    """

    problems: int
    """With a finished response; the others are left out."""
    left_out: int
    log_coverage: float
    """ln of the mean of 1 / pi(y_best|x): an upper bound of ln C_cov."""
    median: float
    """Median over problems of -ln pi(y_best|x)."""
    heaviest: float
    """Share of the mean of 1 / pi(y_best|x) that one problem carries."""
    sharp: tuple[SharpShare, ...]


@dataclass(frozen=True, slots=True)
class Replayed:
    """All of it for one run."""

    power: tuple[PowerPoint, ...]
    """By alpha, increasing; empty where the pool was not drawn at temperature 1."""
    stopping: tuple[StoppingRow, ...]
    coverage: Coverage | None
    reasons: Mapping[str, str]
    """``power``, ``stopping`` or ``coverage`` that is not there -> why."""
