"""Who owns a run directory: one process at a time, until it ends, however it ends."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import IO

from bon_eval.errors import StoreError


def lock(directory: Path) -> IO[str]:
    """Own a run directory until the returned file is closed or the process ends, however it ends.

    Raises:
        StoreError: another process owns it.
    """
    file = (directory / "run.lock").open("a+", encoding="ascii")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = _owner(file)
        file.close()
        raise StoreError(
            f"{directory} is in use by process {owner}; wait for it to end, or give --out another directory"
        ) from error
    path = directory / "run.lock"
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
