"""How each quantity of two runs changed, and what follows from it in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

from bon_eval.estimators.amortised import ExplainedGain
from bon_eval.stats import Interval, PairedTest
from bon_eval.stats.units import Limits, Share

UNITS = ("share", "nats", "tokens", "answers")
"""What a quantity can be measured in."""
MOST = 0.5
"""A gain counts as explained by sharpening where at least this share of it is."""


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


def findings(changes: Iterable[Change], explained: ExplainedGain | None, n: int) -> tuple[Finding, ...]:
    """The verdicts, each from one interval: sharper, more accurate, explained by sharpening, coverage.

    Args:
        changes: of the comparison, accuracies and other quantities.
        explained: what sharpening explains of the gain, where it can be told.
        n: responses of each pool that are compared.
    """
    by_name = {change.name: change for change in changes}
    out = []
    sharper = by_name.get("log_likelihood_base.sample")
    if sharper is not None:
        verdict = _sign(sharper, "yes", "no")
        word = {"yes": "sharper than", "no": "less sharp than", "not shown": "not shown to differ in sharpness from"}
        out.append(
            Finding("sharper", verdict, f"The tuned model is {word[verdict]} the base model: {_change(sharper)}.")
        )
    accurate = by_name["accuracy.sample"]
    verdict = _sign(accurate, "yes", "no")
    word = {"yes": "more accurate", "no": "less accurate", "not shown": "not shown to differ in accuracy"}
    out.append(Finding("more accurate", verdict, f"One tuned sample is {word[verdict]}: {_change(accurate)}."))
    if explained is not None:
        out.append(_explained(explained))
    coverage = by_name["accuracy.oracle"]
    verdict = _sign(coverage, "gained", "lost")
    word = {"gained": "was gained", "lost": "was lost", "not shown": "is not shown to have changed"}
    out.append(Finding("coverage", verdict, f"Coverage (oracle of {n}) {word[verdict]}: {_change(coverage)}."))
    return tuple(out)


def _explained(e: ExplainedGain) -> Finding:
    if e.reason:
        return Finding("explained by sharpening", "not shown", f"What sharpening explains is not shown: {e.reason}.")
    verdict = "yes" if e.share_low >= MOST else "no" if e.share_high < MOST else "not shown"
    word = {
        "yes": "Sharpening explains most of the gain",
        "no": "Sharpening does not explain most of the gain",
        "not shown": "Whether sharpening explains most of the gain is not shown",
    }[verdict]
    numbers = f"{100 * e.share:.0f} % [{100 * e.share_low:.0f}, {100 * e.share_high:.0f}]"
    sentence = f"{word}: base best-of-n of the tuned model's likelihood has {numbers} of it."
    return Finding("explained by sharpening", verdict, sentence)


def _sign(change: Change, above: str, below: str) -> str:
    return above if change.difference.low > 0 else below if change.difference.high < 0 else "not shown"


def _change(change: Change) -> str:
    d, scale = change.difference, 100.0 if change.unit == "share" else 1.0
    unit = "points" if change.unit == "share" else change.unit
    return f"{scale * d.difference:+.2f} {unit} [{scale * d.low:+.2f}, {scale * d.high:+.2f}]"
