"""How each quantity of two runs changed, and what follows from it in words."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

from bon_eval.analysis.two_runs.names import BEFORE_AFTER, Names
from bon_eval.errors import counted
from bon_eval.estimators.explained import ExplainedGain
from bon_eval.stats import Interval, PairedTest
from bon_eval.stats.heavy_tails import LEAST_PROBLEMS
from bon_eval.stats.paired import Verdict
from bon_eval.stats.units import Limits, Share

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
    p_joint: Share | None = None
    """Step-down p-value over the accuracies of all draws besides greedy and the pool (`bon_eval.stats.step_down`); None
    for what is not of one."""

    @property
    def p_family(self) -> float | None:
        """The p-value within its family, for accuracies; None for other quantities."""
        return self.p_holm if self.p_joint is None else self.p_joint

    @property
    def shown_p(self) -> float | None:
        """The p-value of the table, adjusted for accuracies; None where the difference has no interval."""
        if math.isnan(self.difference.low):
            return None
        return self.difference.p_value if self.p_family is None else self.p_family

    @property
    def verdict(self) -> Verdict:
        """What the difference's test says, for accuracies within their family: every sentence goes by it."""
        return self.difference.verdict(p_value=self.p_family)


@dataclass(frozen=True, slots=True)
class Finding:
    """One verdict in words, drawn from one test."""

    name: Literal["sharper", "more accurate", "explained by sharpening", "coverage", "added"]
    verdict: Annotated[str, Limits(enum=("yes", "no", "lost", "gained", "not shown"))]
    """``yes``, ``no`` (the opposite is shown) or ``not shown``; for coverage ``lost``, ``gained`` or ``not shown``; for
    what was added ``lost`` besides."""
    sentence: str


_Name = Literal["sharper", "more accurate", "coverage"]


def findings(
    changes: Iterable[Change],
    explained: ExplainedGain | None,
    n: int,
    units: tuple[int, str],
    names: Names = BEFORE_AFTER,
) -> tuple[Finding, ...]:
    """The verdicts, each from one test: sharper, more accurate, explained by sharpening, coverage.

    Args:
        changes: of the comparison, accuracies and other quantities.
        explained: what sharpening explains of the gain, where it can be told.
        n: responses of each pool that are compared.
        units: how many of what are resampled, ``problem`` or ``cluster``; of fewer than `LEAST_PROBLEMS` nothing is
            said.
        names: of the two runs.
    """
    by_name = {change.name: change for change in changes}
    base, tuned = names.models
    out = []
    if "log_likelihood_base.sample" in by_name:
        subject = tuned[0].upper() + tuned[1:] if names.tuning else tuned
        words = (
            f"{subject} is sharper than {base}",
            f"{subject} is less sharp than {base}",
            f"{subject} is not shown to differ in sharpness from {base}",
        )
        out.append(_finding("sharper", by_name["log_likelihood_base.sample"], ("yes", "no"), words, units))
    accurate = by_name["accuracy.sample"]
    one, other = ("One tuned sample", "") if names.tuning else (f"One sample of {tuned}", f" than one of {base}")
    words = (
        f"{one} is more accurate{other}",
        f"{one} is less accurate{other}",
        f"{one} is not shown to differ in accuracy{'' if names.tuning else f' from one of {base}'}",
    )
    out.append(_finding("more accurate", accurate, ("yes", "no"), words, units))
    if explained is not None:
        out.append(_explained(explained, accurate.verdict, units, names))
    coverage = f"Coverage (oracle of {n})"
    words = (
        (f"{coverage} was gained", f"{coverage} was lost", f"{coverage} is not shown to have changed")
        if names.tuning
        else (
            f"{coverage} is higher with {tuned}",
            f"{coverage} is lower with {tuned}",
            f"{coverage} is not shown to differ",
        )
    )
    out.append(_finding("coverage", by_name["accuracy.oracle"], ("gained", "lost"), words, units))
    return tuple(out)


def _finding(
    name: _Name, change: Change, verdicts: tuple[str, str], words: tuple[str, str, str], units: tuple[int, str]
) -> Finding:
    """`words` and `verdicts` of a rise and of a fall, and words of neither."""
    if units[0] < LEAST_PROBLEMS:
        return Finding(name, "not shown", f"{words[2]}: nothing is said of {few_text(units)}.")
    shown = change.verdict
    k = {"higher": 0, "lower": 1}.get(shown, 2)
    verdict = "not shown" if k == 2 else verdicts[k]
    return Finding(name, verdict, f"{words[k]}: {_change(change, units[1])}.")


def few_text(units: tuple[int, str]) -> str:
    """How many there are of what is resampled, and from how many on something is said."""
    return f"{counted(*units)}, from {LEAST_PROBLEMS} on"


def _explained(e: ExplainedGain, accurate: Verdict, units: tuple[int, str], names: Names) -> Finding:
    name: Literal["explained by sharpening"] = "explained by sharpening"
    if units[0] < LEAST_PROBLEMS:
        sentence = f"What sharpening explains is not shown: nothing is said of {few_text(units)}."
    elif accurate == "lower":
        sentence = "There is a loss in accuracy and no gain that sharpening could explain."
    elif accurate != "higher":
        sentence = "What sharpening explains is not shown: a gain in accuracy is not."
    elif e.reason:
        sentence = f"What sharpening explains of the gain is not shown: {e.reason}."
    else:
        word = {
            "yes": "Sharpening explains most of the gain",
            "no": "Sharpening does not explain most of the gain",
            "not shown": "Whether sharpening explains most of the gain is not shown",
        }[e.verdict]
        share = share_text(e.share, e.share_low, e.share_high)
        at = "of" if names.tuning else "at"
        has = (
            f"{names.best(0, 'n')} {at} {names.models[1]}'s likelihood has {share} of it"
            if share
            else "its share has no bound"
        )
        return Finding(name, e.verdict, f"{word}: {has}.")
    return Finding(name, "not shown", sentence)


def share_text(share: float, low: float, high: float) -> str:
    """A share in percent with its interval, in words where one end has no bound; empty where none has.

    >>> share_text(0.5, 0.25, 1.1), share_text(0.5, 0.25, math.inf), share_text(0.5, -math.inf, math.inf)
    ('50 % [25, 110]', 'at least 25 %', '')
    """
    if math.isfinite(low) and math.isfinite(high):
        return f"{100 * share:.0f} % [{100 * low:.0f}, {100 * high:.0f}]"
    if math.isfinite(low):
        return f"at least {100 * low:.0f} %"
    return f"at most {100 * high:.0f} %" if math.isfinite(high) else ""


def _change(change: Change, word: str) -> str:
    """The difference with its interval, and what else the verdict went by."""
    d, scale = change.difference, 100.0 if change.unit == "share" else 1.0
    unit = "points" if change.unit == "share" else change.unit
    text = f"{scale * d.difference:+z.2f} {unit}"
    if math.isnan(d.low):
        return f"{text}, without an interval ({d.method.removeprefix('none: ')})"
    text += f" [{scale * d.low:+z.2f}, {scale * d.high:+z.2f}]"
    if d.by_signs and d.signs is not None:
        text += f", too skewed to be relied on; it rose on {d.signs.above} {word}s and fell on {d.signs.below}"
        text += f" (sign test, {_p(d.signs.p_value)})"
    elif change.verdict == "not shown" and not d.low <= 0.0 <= d.high:
        text += f"; by itself {_p(d.p_value)}, over the accuracies of the table p = {change.p_holm:.3f}"
    return text


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
