"""How far a run that is not finished has come, and whether a process has it: read from the outside, nothing is taken.

The lock of a run is not tried: whoever tries it holds it for a moment, in which the run that wants to start would fail.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from bon_eval.config import draw_specs, responses_per_problem
from bon_eval.errors import StoreError
from bon_eval.report.live.memo import Memo, Unreadable, signature_of
from bon_eval.store import parts
from bon_eval.store.extent import FILE, KEY, Extent, problem_rows
from bon_eval.store.files import LOCK

_LOCKS = Path("/proc/locks")


@dataclass(frozen=True, slots=True)
class Progress:
    """Responses of a run's extent."""

    stored: int
    owed: int


class Owners:
    """Which directories a process of this machine owns now, as `bon_eval.store.files.lock` has it."""

    def __init__(self) -> None:
        self._inodes = _locked_inodes()

    def has(self, directory: Path) -> bool:
        """Whether a process has it."""
        path = directory / LOCK
        if signature_of(path) is None:
            return False
        if self._inodes is None:
            return _lives(path)
        return path.stat().st_ino in self._inodes


def _locked_inodes() -> frozenset[int] | None:
    """Inodes of files that are locked as a whole; None where the system does not say."""
    try:
        lines = _LOCKS.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    fields = [line.split() for line in lines]
    places = [f[5].rsplit(":", 1)[-1] for f in fields if len(f) > 5 and f[1] == "FLOCK"]
    return frozenset(int(place) for place in places if place.isdigit())


def _lives(path: Path) -> bool:
    """Whether the process that a lock names is there."""
    try:
        os.kill(int(path.read_text(encoding="ascii")), 0)
    except PermissionError:
        return True  # another user's
    except (OSError, ValueError):
        return False
    return True


class Counter:
    """Counts stored responses; each part is read once. Not for several threads at once."""

    def __init__(self) -> None:
        self._memo = Memo()

    def of(self, directory: Path, config: Mapping[str, Any]) -> Progress | None:
        """How far a run is; None where nothing can be counted, which is so of a run about to start.

        `config`: of the run, with draws that can be read.
        """
        folder, file = directory / "responses", directory / FILE
        signature = signature_of(file)
        if signature is None or folder.is_symlink() or not folder.is_dir():
            return None
        draws = [(draw.name, draw.n) for draw in draw_specs(config)]
        extent = self._memo.of(file, f"extent {draws}", lambda path: _extent(path.parent, config))
        if extent is None or isinstance(extent, Unreadable):
            return None
        inside, owed = extent
        for _ in range(3):  # parts are merged while they are counted
            stored = self._stored(folder, inside, f"rows {draws} {signature}")
            if stored is not None:
                return Progress(stored, owed)
        return None

    def _stored(self, folder: Path, inside: Extent, what: str) -> int | None:
        """Responses of the extent; None where a part went away meanwhile or cannot be read."""
        total = 0
        try:
            found = parts.current_parts(folder)
        except StoreError:
            return None
        for part in found:
            count = self._memo.of(part.path, what, partial(_count, inside))
            if count is None or isinstance(count, Unreadable):
                return None
            total += count
        return total

    def forget(self, directories: Iterable[Path]) -> None:
        """Keep what is of these run directories alone."""
        kept = set(directories)
        self._memo.forget(kept | {directory / "responses" for directory in kept})


def _extent(directory: Path, config: Mapping[str, Any]) -> tuple[Extent, int]:
    """What of a run is looked at, and how many responses that are."""
    problems = problem_rows(directory, ["problem_id"]).num_rows
    return Extent.of(directory, config), problems * responses_per_problem(config)


def _count(inside: Extent, path: Path) -> int:
    try:
        return sum(int(inside.mask(table).sum()) for table in parts.read_parts([parts.Part(0, 0, path)], KEY))
    except (pa.ArrowInvalid, KeyError) as error:
        raise StoreError(f"{path} is damaged") from error
