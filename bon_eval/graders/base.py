"""What a grader is. Grades are three-valued: correct, wrong, or unscored with the reason why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Grade:
    """The decision on one response."""

    correct: bool | None
    """True, False, or None for unscored (no decision could be reached; never silently wrong)."""
    answer: str | None
    """The answer that was read from the response, in the grader's normal form; None when none was found."""
    reason: str
    """Where the answer was found and which rung decided, or why there is no decision."""


class Grader(Protocol):
    """What grades a response's text against a gold answer; all that a grader from another package must be."""

    name: str
    """What a task's YAML says after ``grader:``."""
    version: str
    """Changes whenever any decision could change; stored with every grade."""

    def __call__(self, response: str, gold: str) -> Grade:
        """The grade of any text. Answers that count as one in a vote are spelled the same in `Grade.answer`."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a rung says; correct None with rung ``undecided``: a worker must say."""

    correct: bool | None
    rung: str
    answer: str | None = None
    """The answer as it is understood beside this gold, where its own normal form does not say it."""


UNDECIDED = Decision(None, "undecided")


def as_decision(reply: dict[str, Any]) -> Decision:
    """A worker's reply as a decision."""
    if "unscored" in reply:
        return Decision(None, str(reply["unscored"]))
    return Decision(reply["correct"], str(reply["rung"]), reply.get("answer"))
