"""What is found of likelihood and correctness at four levels, as values without behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from bon_eval.stats import Interval
from bon_eval.stats.units import Count, Limits, Size

LevelName = Literal["methods", "settings", "pairs", "responses"]
"""Across decoding methods; across the settings of one; across prompt-answer pairs; across responses to one prompt."""

Predicts = Literal["yes", "reversed", "not shown", "not asked"]
"""Whether the likelier is the more correct: ``reversed`` where it is the less correct one."""

Form = Literal["summed", "per_token", "summed_at_length", "per_token_at_length"]
"""Log-likelihood of the response or per token; any responses, or such of like length."""
FORMS: tuple[Form, ...] = ("summed", "per_token", "summed_at_length", "per_token_at_length")


@dataclass(frozen=True, slots=True)
class LevelRow:
    """One question at one level.

    ``auroc`` is how often the likelier of a correct and an incorrect response is the correct one, a share with 0.5 as
    chance. ``points`` is what the least-squares line of accuracy against log-likelihood gains from the least likely of
    the methods or settings to the most likely, in percentage points, with 0 as chance.
    """

    level: LevelName
    of: Annotated[str, Limits(min_length=1)]
    """What it is of: the parameter whose settings they are, or the draw; ``all`` of methods."""
    statistic: Literal["auroc", "points"]
    compared: tuple[str, ...]
    """Methods or settings; none at the other levels."""
    problems: Count
    """Behind the first two numbers: of responses to one prompt those whose pool holds both kinds."""
    problems_at_length: Count
    """Behind the other two: of responses to one prompt those with pairs of like length."""
    responses: Size | None
    """Of each problem; None of methods and settings."""
    summed: Interval | None
    per_token: Interval | None
    summed_at_length: Interval | None
    """With length held fixed."""
    per_token_at_length: Interval | None
    predicts: Predicts
    """Of `summed`, by its interval at a confidence that is Bonferroni's over the rows that are asked."""
    predicts_at_length: Predicts
    """The same of `summed_at_length`."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Form -> why it has no number."""

    @property
    def chance(self) -> float:
        """What `statistic` has where likelihood says nothing."""
        return 0.5 if self.statistic == "auroc" else 0.0

    def form(self, form: Form) -> Interval | None:
        """One of the four."""
        found: Interval | None = getattr(self, form)
        return found


@dataclass(frozen=True, slots=True)
class Levels:
    """The rows of all levels."""

    rows: tuple[LevelRow, ...] = ()
    reason: str | None = None
    """Why there are none; None where there are."""

    def at(self, level: LevelName) -> tuple[LevelRow, ...]:
        """Those of one level."""
        return tuple(row for row in self.rows if row.level == level)
