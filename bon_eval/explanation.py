"""What explains the lift: the second half of an analysis, as values without behaviour.

Units as in `bon_eval.findings`: accuracies and shares are fractions of 1, log-likelihoods are in nats, lengths in
tokens with the end token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bon_eval.stats import Interval, PairedTest

POINTS = (1, 2, 5)
"""Differences in percentage points for which `Power` says how many problems they need."""


@dataclass(frozen=True, slots=True)
class ScorerRow:
    """How well one scorer tells correct responses from incorrect ones, and what it picks."""

    scorer: str
    auroc: Interval | None
    """Within-problem AUROC for correctness (ties count one half), averaged over the problems whose pool holds both
    kinds; 0.5 is chance. None where no problem holds both."""
    auroc_problems: int
    """Problems behind `auroc`."""
    n_tokens: float
    """Mean length of what best-of-n picks at the table's last n."""
    saturation_n: int | None
    """Smallest n from which on best-of-n's accuracy stays within 1 % of its value at n = N; None where that value is
    0."""
    accuracy: Interval
    """Of best-of-n at the table's last n."""
    accuracy_rank: int
    """1 for the highest accuracy; equal ones share the lower number."""
    auroc_rank: int | None
    accuracy_difference: PairedTest | None
    """Accuracy minus that of the primary scorer, paired by problem; None for the primary scorer itself."""
    auroc_difference: PairedTest | None
    """AUROC minus that of the primary scorer, over the problems of `auroc_problems`; None for the primary scorer
    itself and where no problem holds both kinds."""


@dataclass(frozen=True, slots=True)
class LengthRow:
    """Pool responses of one tenth of the lengths; equal lengths are never split, so the tenths are about equal."""

    decile: int
    """1 (shortest) to 10."""
    tokens_low: int
    tokens_high: int
    """Both inclusive."""
    responses: int
    accuracy: Interval
    """Share correct of the responses, interval over problems."""
    log_likelihood: float
    """Mean over the responses."""
    picked: Mapping[str, float]
    """Scorer -> share of its best-of-n picks (table's last n) that have a length of this row."""


@dataclass(frozen=True, slots=True)
class GreedyRank:
    """Where greedy's log-likelihood stands among the pool's: 1 + the number of sharper responses."""

    mean: Interval
    """Mean rank over problems, between 1 and N + 1."""
    median: float
    quartile_low: float
    quartile_high: float


@dataclass(frozen=True, slots=True)
class Power:
    """What a run of this size and spread could have seen of best-of-n (primary scorer, last n) minus another arm."""

    against: Literal["greedy", "sample"]
    detectable: float | None
    """Smallest true difference found with 80 % power at the two-sided 5 % level, as a fraction; None without
    spread."""
    problems: Mapping[int, int | None]
    """Points of `POINTS` -> problems that such a difference would need; None without spread."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Pool responses by log-likelihood and correctness. Unscored responses are counted as incorrect."""

    quantity: Literal["log_likelihood", "mean_log_likelihood"]
    edges: tuple[float, ...]
    """Increasing, one more than the bins; the outer ones hold all responses."""
    correct: tuple[int, ...]
    incorrect: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What explains the lift of one run."""

    scorers: tuple[ScorerRow, ...]
    lengths: tuple[LengthRow, ...]
    greedy_rank: GreedyRank
    power: tuple[Power, ...]
    """Against greedy, then against sample."""
    histograms: tuple[Histogram, ...]
    """Raw, then per token."""
