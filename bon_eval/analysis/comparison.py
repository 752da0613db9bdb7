"""What a before-and-after comparison finds, as values without behaviour.

Units as in `bon_eval.analysis.results`: accuracies are fractions of 1, log-likelihoods nats per response, lengths
tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from bon_eval.estimators.amortised import AmortisedShare, ExplainedGain
from bon_eval.estimators.equivalent_n import Divergence, EquivalentN
from bon_eval.stats import Interval, PairedTest
from bon_eval.stats.units import Count, Limits, Share, Size

UNITS = ("share", "nats", "tokens", "answers")
"""What a quantity can be measured in."""


@dataclass(frozen=True, slots=True)
class Change:
    """One quantity before and after, paired by problem."""

    name: str
    """Stable name, such as ``accuracy.sample`` or ``log_likelihood_base.greedy``."""
    label: str
    """For people."""
    unit: Annotated[str, Limits(enum=UNITS)]
    before: Interval
    after: Interval
    difference: PairedTest
    """After minus before."""
    p_holm: Share | None
    """Holm-adjusted over the accuracies of the table; None for other quantities."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One verdict in words, drawn from an interval alone."""

    name: Literal["sharper", "more accurate", "explained by sharpening", "coverage"]
    verdict: Annotated[str, Limits(enum=("yes", "no", "lost", "gained", "not shown"))]
    """``yes``, ``no`` (the opposite is shown) or ``not shown``; for coverage ``lost``, ``gained`` or ``not shown``."""
    sentence: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that the comparison of two runs prints."""

    before: Mapping[str, object]
    after: Mapping[str, object]
    """Facts of the runs as in `bon_eval.analysis.results.Analysis.run`, with ``path``."""
    n_problems: Size
    n: Size
    """Responses of each pool that are compared: the smaller of the two N."""
    draws: Size
    seed: Count
    accuracies: tuple[Change, ...]
    quantities: tuple[Change, ...]
    divergences: Mapping[str, Divergence]
    """``KL(after || before)`` and ``KL(before || after)``, nats per response."""
    equivalent_n: Mapping[str, EquivalentN]
    """By ``log_likelihood`` and by ``accuracy``."""
    amortised: AmortisedShare
    explained: ExplainedGain | None
    log_coverage: Mapping[str, float]
    """Upper bounds of ln C_cov (see `best_response`): ``before``, ``after``, ``after, at the base model's best``;
    empty where the prompts differ or no response finished."""
    findings: tuple[Finding, ...]
    reasons: Mapping[str, str]
    """Name of what is not there -> why."""
