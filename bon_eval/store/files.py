"""Files that are whole or absent, written beside their place, synced, renamed; directories that one process owns."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO

from bon_eval.errors import StoreError

TEMPORARY = ".tmp-"
LOCK = "run.lock"
"""In a directory that one process owns; see `lock`."""


def write_atomic(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file in the same directory, sync it and rename it to `path`.

    Raises:
        StoreError: the disk is full or not writable; the temporary file is removed and `path` is as it was.
    """
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")
    try:
        try:
            write(temporary)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_directory(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error


def write_text(path: Path, text: str) -> None:
    """Write text atomically as UTF-8. See `write_atomic`."""
    write_pieces(path, [text])


def write_pieces(path: Path, pieces: Iterable[str]) -> None:
    """Write a text that comes in pieces. See `write_text`."""
    write_atomic(path, lambda temporary: _put(temporary, pieces))


def make_directory(path: Path) -> None:
    """Make a directory and those above it; raises `StoreError` where a file is in the way or nothing may be written."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error


def replace_all(contents: Mapping[Path, bytes]) -> None:
    """Write several files of one directory, all or none of them; raises `StoreError` where one cannot be written."""
    staged: dict[Path, Path] = {}
    target = next(iter(contents))
    try:
        try:
            for target, data in contents.items():
                # In the same directory, since only a rename within one file system is atomic.
                temporary = target.with_name(f"{TEMPORARY}{os.getpid()}-{target.name}")
                staged[temporary] = target
                with temporary.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
            for temporary, target in staged.items():
                temporary.replace(target)
        finally:
            for temporary in staged:
                temporary.unlink(missing_ok=True)
        _sync_directory(target.parent)
    except OSError as error:
        raise cannot_write(target, error) from error


def _put(path: Path, pieces: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(pieces)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def cannot_write(path: Path, error: OSError) -> StoreError:
    """One line for a failed write, with the remedy."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(
            f"disk full while writing {path}; everything stored before is intact: free space and run the same command"
        )
    return StoreError(f"cannot write {path}: {error.strerror or error}")


def remove_older(directory: Path, names: Iterable[str]) -> None:
    """Remove files that an earlier command wrote, beside which newer numbers must not stand.

    Raises:
        StoreError: one cannot be removed.
    """
    for name in names:
        path = directory / name
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(path, error) from error


def lock(directory: Path) -> IO[str]:
    """Own a run directory until the returned file is closed or the process ends, however it ends.

    Raises:
        StoreError: another process owns it.
    """
    file = (directory / LOCK).open("a+", encoding="ascii")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = _owner(file)
        file.close()
        raise StoreError(
            f"{directory} is in use by process {owner}; wait for it to end, or give --out another directory"
        ) from error
    path = directory / LOCK
    if not path.exists() or not os.path.samestat(os.fstat(file.fileno()), path.stat()):
        file.close()
        raise StoreError(f"{directory} was removed or set aside by another process just now; run the command again")
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def _owner(file: IO[str]) -> str:
    """The pid in a lock file; its owner may have taken it just now and be about to write it."""
    for _ in range(20):
        file.seek(0)
        if owner := file.read().strip():
            return owner
        time.sleep(0.05)
    return "unknown"
