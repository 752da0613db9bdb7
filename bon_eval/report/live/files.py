"""Which files a browser is shown, as what, and how one is opened: what bon-eval writes for reading, nothing else."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".pdf": "application/pdf",
    ".tex": "text/plain; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
}
"""Ending -> Content-Type."""
SAVED = frozenset({".csv", ".pdf", ".tex", ".md"})
"""Endings of what a browser saves and does not show."""
PAGES = ("report.html", "compare.html", "trajectory.html", "summary.html")
_REPORT = (
    *("report.csv", "pairs.csv", "curves.csv", "problems.csv", "scorers.csv", "lengths.csv", "levels.csv"),
    *("sharpening.csv", "adaptive.csv", "compute.csv"),
    *("draws.csv", "draw_pairs.csv", "draw_curves.csv", "draw_problems.csv", "report.json"),
)
_COMPARISON = ("compare.csv", "compare_curves.csv", "compare.json")
_TRAINING = ("trajectory.csv", "trajectory.json", "log.csv")
_SUMMARY = ("summary.png", "summary.csv", "summary_draws.csv", "summary_levels.csv", "summary_imported.csv")
NAMES = frozenset({*PAGES, *_REPORT, *_COMPARISON, *_TRAINING, *_SUMMARY})
"""Files beside each other in a directory that bon-eval wrote."""
FOLDERS: Mapping[str, frozenset[str]] = {
    "figures": frozenset({".png", ".svg"}),
    "paper": frozenset({".pdf", ".svg", ".tex", ".md"}),
}
"""Folders of such a directory -> the endings of the files in them."""


def is_shown(folder: str | None, name: str) -> bool:
    """Whether a file of a directory that bon-eval wrote, or of one of its folders, may be shown.

    >>> is_shown(None, "report.html"), is_shown(None, "run.json"), is_shown("figures", "a.svg"), is_shown("x", "a.svg")
    (True, False, True, False)
    """
    if folder is None:
        return name in NAMES
    return os.path.splitext(name)[1] in FOLDERS.get(folder, ()) and not name.startswith(".")


def open_below(root: Path, parts: Sequence[str]) -> IO[bytes]:
    """Open a regular file for reading, by its way from `root`, of which no step is a link.

    Raises:
        OSError: it is not there, a link or no regular file.
    """
    held = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=held)
            os.close(held)
            held = inner
        # Without waiting: the end of a pipe that nobody writes may never come.
        found = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=held)
    finally:
        os.close(held)
    if not stat.S_ISREG(os.fstat(found).st_mode):
        os.close(found)
        raise OSError(errno.EINVAL, "no regular file", parts[-1])
    return os.fdopen(found, "rb")


def shown_files(path: Path) -> list[tuple[str, int]]:
    """The files of a directory, and of its folders, that may be shown: way from the directory, size in bytes."""
    found = []
    for folder in (None, *FOLDERS):
        place = path if folder is None else path / folder
        if folder is not None and place.is_symlink():
            continue
        try:
            with os.scandir(place) as entries:
                files = [(e.name, e.stat(follow_symlinks=False)) for e in entries]
        except OSError:
            continue  # not there, or changing just now: the page is made again in a moment
        way = "" if folder is None else f"{folder}/"
        regular = [(f"{way}{name}", facts) for name, facts in files if is_shown(folder, name)]
        found += [(name, facts.st_size) for name, facts in regular if stat.S_ISREG(facts.st_mode)]
    return sorted(found)
