"""What was read from files, kept while they stay: by time of change, size and inode of each."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Container
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bon_eval.errors import StoreError, first_line

T = TypeVar("T")
_LARGEST = 256 << 20
"""Bytes of a JSON file that is read."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """In place of what a file holds: why it cannot be read, on one line."""

    why: str


class Memo:
    """Values by file and reader; not for several threads at once."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Path, str], tuple[tuple[int, int, int], object]] = {}

    def of(self, path: Path, what: str, read: Callable[[Path], T]) -> T | Unreadable | None:
        """What `read` makes of a file; None where there is none, or where it is a link.

        Args:
            path: the file.
            what: name of what is read from it; one for each `read`.
            read: may raise `StoreError` and `OSError`, which is kept as `Unreadable` like any other value.
        """
        signature = signature_of(path)
        if signature is None:
            return None
        kept = self._kept.get((path, what))
        if kept is not None and kept[0] == signature:
            return kept[1]  # type: ignore[return-value]
        value: T | Unreadable
        try:
            value = read(path)
        except StoreError as error:
            value = Unreadable(str(error))
        except OSError as error:
            value = Unreadable(f"{path.name} cannot be read: {error.strerror or first_line(error)}")
        self._kept[path, what] = signature, value
        return value

    def forget(self, directories: Container[Path]) -> None:
        """Keep what is of files in these directories alone."""
        self._kept = {key: value for key, value in self._kept.items() if key[0].parent in directories}


def signature_of(path: Path) -> tuple[int, int, int] | None:
    """What changes with a file's content; None where there is no regular file."""
    try:
        facts = os.stat(path, follow_symlinks=False)
    except OSError:
        return None
    if not stat.S_ISREG(facts.st_mode):
        return None
    return facts.st_mtime_ns, facts.st_size, facts.st_ino


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object that a file holds.

    Raises:
        StoreError: it holds none, or is larger than any that bon-eval writes.
    """
    if path.stat().st_size > _LARGEST:
        raise StoreError(f"{path.name} has more than {_LARGEST >> 20} MiB, which nothing of bon-eval's has")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path.name} is damaged, or still being copied: {first_line(error)}") from error
    if not isinstance(content, dict):
        raise StoreError(f"{path.name} is damaged: it holds no object")
    return content


def text_at(content: object, *way: str | int) -> str | None:
    """The text at a place in JSON of unknown shape; None where there is none.

    >>> text_at({"a": [{"b": "c"}]}, "a", 0, "b"), text_at({"a": 1}, "a", "b")
    ('c', None)
    """
    found = at(content, *way)
    return found if isinstance(found, str) and found else None


def at(content: object, *way: str | int) -> object:
    """What stands at a place in JSON of unknown shape; None where there is nothing."""
    for step in way:
        if isinstance(content, dict) and isinstance(step, str):
            content = content.get(step)
        elif isinstance(content, list) and isinstance(step, int) and 0 <= step < len(content):
            content = content[step]
        else:
            return None
    return content
