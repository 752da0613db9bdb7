"""Grades are three-valued: correct, wrong, or unscored with the reason why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Grade:
    """The verdict on one response."""

    correct: bool | None
    """True, False, or None for unscored (no verdict could be reached; never silently wrong)."""
    answer: str | None
    """The answer that was read from the response, in the grader's normal form; None when none was found."""
    reason: str
    """Where the answer was found and which rung decided, or why there is no verdict."""


class Grader(Protocol):
    """What a task's YAML names: grades a response's text against a gold answer."""

    name: str
    version: str
    """Changes whenever any verdict could change; stored with every grade."""

    def __call__(self, response: str, gold: str) -> Grade:
        """Never raises on any text."""

    def same_answer(self, a: str, b: str) -> bool:
        """Whether two answers, as read by this grader, are equivalent: the classes in which a vote counts."""
