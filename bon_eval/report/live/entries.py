"""One line of the index: what a directory that is bon-eval's holds, and how far it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["run", "imported run", "shard", "report", "comparison", "training", "tracking", "summary"]


@dataclass(frozen=True, slots=True)
class State:
    """How far something is."""

    word: str
    detail: str = ""
    stored: int | None = None
    """Responses that are there, of `owed`; None where they are not counted."""
    owed: int = 0
    going: bool = False
    """Whether something works on it, or may."""
    bad: bool = False
    """Whether it cannot be read."""


@dataclass(frozen=True, slots=True)
class Heading:
    """What something is of: all that a filter looks at."""

    kind: Kind
    model: str
    """Empty where it is not known."""
    task: str
    note: str = ""
    """What it is besides: a shard's number, a report's name."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the index."""

    place: str
    """The directory's way from the one that is looked at."""
    heading: Heading
    state: State
    verdict: str
    """The first sentence of what it says; empty where it says nothing yet."""
    verdict_note: str
    changed: float
    """Seconds since the epoch."""
    page: str | None
    """The page that shows it, a file of the directory."""

    @property
    def key(self) -> str:
        """Its own among the entries."""
        return f"{self.heading.kind} {self.place}"
