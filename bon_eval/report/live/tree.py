"""The directories below one in which bon-eval wrote something, found again quickly: a listing is kept while its
directory's time of change stays.

bon-eval renames what it writes into place, so that a directory's own time tells of every file that came. Links are not
followed.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MARKS = frozenset({"run.json", "report.json", "compare.json", "track.json", "training.json", "summary.html"})
"""A directory with one of them is bon-eval's."""
MOST = 100_000
"""Directories that are looked into."""
_OWN_FOLDERS = frozenset({"responses", "figures", "paper", "scores", "stats", "forced"})
"""Of a directory that is bon-eval's: no others lie in them."""
_UNSURE_NS = 2_000_000_000
"""A directory that changed so shortly before it was listed may have changed after it within one tick of its clock."""


@dataclass(frozen=True, slots=True)
class Place:
    """A directory that is bon-eval's."""

    name: str
    """Its way from the directory that is looked at; empty for that one itself."""
    path: Path
    files: frozenset[str]
    folders: frozenset[str]
    changed_ns: int
    """When a file last came or went."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was found."""

    places: dict[str, Place]
    links: int
    """To directories, which were passed over."""
    unreadable: tuple[str, ...]
    """Directories that could not be listed."""
    cut: bool
    """Whether there are more than `MOST` directories, of which the others were passed over."""


@dataclass(frozen=True, slots=True)
class _Listing:
    changed_ns: int
    inode: int
    sure: bool
    files: frozenset[str]
    """Only of a directory that is bon-eval's."""
    folders: tuple[str, ...]
    links: int

    @property
    def inner(self) -> Iterator[str]:
        """The folders that are looked into."""
        for name in self.folders:
            own = self.files and (name in _OWN_FOLDERS or name.startswith("checkpoint-"))
            if not own and not name.startswith("."):
                yield name


class Tree:
    """The directories below one; not for several threads at once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._kept: dict[str, _Listing] = {}

    def look(self) -> Look:
        """Everything that is there now."""
        places: dict[str, Place] = {}
        listings: dict[str, _Listing] = {}
        unreadable: list[str] = []
        ways = [""]
        links = 0
        while ways and len(listings) < MOST:
            way = ways.pop()
            path = os.path.join(self.root, way) if way else str(self.root)
            try:
                found = self._listing(way, path)
            except (FileNotFoundError, NotADirectoryError):
                continue  # removed since its parent was listed
            except OSError:
                unreadable.append(way)
                continue
            listings[way] = found
            links += found.links
            ways += [f"{way}/{name}" if way else name for name in found.inner]
            if found.files:
                changed = found.changed_ns
                if "responses" in found.folders:
                    changed = max(changed, _changed_ns(f"{path}/responses"))
                places[way] = Place(way, Path(path), found.files, frozenset(found.folders), changed)
        self._kept = listings
        return Look(places, links, tuple(sorted(unreadable)), cut=bool(ways))

    def _listing(self, way: str, path: str) -> _Listing:
        now = time.time_ns()
        facts = os.stat(path, follow_symlinks=False)
        if not stat.S_ISDIR(facts.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, "no directory any more", path)
        kept = self._kept.get(way)
        if kept is not None and kept.sure and (kept.changed_ns, kept.inode) == (facts.st_mtime_ns, facts.st_ino):
            return kept
        files, folders, links = [], [], 0
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_symlink():
                    links += os.path.isdir(entry.path)
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                else:
                    files.append(entry.name)
        return _Listing(
            facts.st_mtime_ns,
            facts.st_ino,
            now - facts.st_mtime_ns > _UNSURE_NS,
            frozenset(files) if not MARKS.isdisjoint(files) else frozenset(),
            tuple(folders),
            links,
        )


def _changed_ns(path: str) -> int:
    try:
        return os.stat(path, follow_symlinks=False).st_mtime_ns
    except OSError:
        return 0  # gone since it was listed
