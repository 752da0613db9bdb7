"""What a reader of one format is: its name, how its files are told, and the responses that they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bon_eval.exchange.columns import Columns
from bon_eval.exchange.sample import Sample


@dataclass(frozen=True, slots=True)
class About:
    """What a source says of itself as a whole; None is what it does not say."""

    model: str | None = None
    task: str | None = None
    """The name of the task in the other program."""
    temperature: float | None = None
    """Of the responses; 0: greedy."""
    max_tokens: int | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    """Of a plain source: what was read from which column."""
    notices: tuple[str, ...] = ()
    """What a user should know of how it was read, a sentence each."""


def nothing(path: Path, columns: Columns) -> About:
    """Of a format that says nothing of itself."""
    return About()


@dataclass(frozen=True, slots=True)
class Reader:
    """One format."""

    name: str
    """What ``--format`` takes."""
    summary: str
    """Which program writes it, and under which names."""
    files: Callable[[Path], Sequence[Path]]
    """The files of a source that are read, in order; the path itself, or of a folder those in it."""
    is_it: Callable[[Path], bool]
    """Whether a file, or a folder, is of this format: by its name, and its first row."""
    samples: Callable[[Path, Columns], Iterator[Sample]]
    """The responses of one file, one at a time."""
    about: Callable[[Path, Columns], About] = nothing
    """What one file says of itself."""


def itself(path: Path) -> Sequence[Path]:
    """Of a format whose sources are single files."""
    return (path,)
