"""Models by their content: a hash over every byte, and a cache of it so that large files are read once."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bon_eval.engines.model_files import files_in
from bon_eval.errors import ModelError, first_line

_THREADS = 4
_SMALLEST_CACHED = 1 << 20
"""Bytes; smaller files are read each time."""
_SETTLED_S = 10.0
"""Seconds since a file's last change before its hash is kept: file systems count time in steps of up to two seconds,
and their clock may differ from this machine's, so that a write soon after another could leave the times as they are."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


def content_hash(directory: Path, *, weights: bool = True, adapter: bool = False) -> str:
    """SHA-256 (hex) over a model's files, every byte of what is loaded (`model_files.model_files`).

    A tuned model may differ from its base in one small tensor, so no part is left out. Files are read in parallel.
    Without `weights` the hash is that of tokenizer and configuration alone.

    Raises:
        ModelError: weights are missing, or a file cannot be read or changes while it is.
    """
    files = files_in(directory, weights=weights, adapter=adapter)
    total = hashlib.sha256()
    try:
        with ThreadPoolExecutor(_THREADS) as executor:
            hashes = executor.map(file_hash, [directory / name for name in files])
            for name, digest in zip(files, hashes, strict=True):
                total.update(f"{name}\0{(directory / name).stat().st_size}\0".encode())
                total.update(digest)
    except OSError as error:
        raise ModelError(
            f"model files cannot be read: {first_line(error)}; make them readable, or copy them"
        ) from error
    return total.hexdigest()


def file_hash(path: Path) -> bytes:
    """SHA-256 of a file.

    A weight file in the hub's cache is named by its SHA-256 already and is not read. The hash of another large file is
    kept by path, size, inode and the times of its last changes, and taken from there as long as they are the same.

    Raises:
        ModelError: the file changed while it was read.
    """
    if (name := _blob_name(path)) is not None:
        return bytes.fromhex(name)
    real = path.resolve()
    state = _state(real)
    settled = time.time() - max(state["mtime_ns"], state["ctime_ns"]) / 1e9 > _SETTLED_S
    entry = _cache_entry(real) if settled and state["size"] >= _SMALLEST_CACHED else None
    if entry is None:
        return _digest(path, state)
    if (kept := _read(entry, real, state)) is not None:
        return kept
    with _one_at_a_time(entry):
        if (kept := _read(entry, real, state)) is not None:
            return kept
        digest = _digest(path, state)
        _write(entry, real, state, digest)
        return digest


def _digest(path: Path, state: dict[str, int]) -> bytes:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
    if _state(path) != state:
        raise ModelError(f"{path} changed while it was read; wait until it is written, then run the same command again")
    return digest


def _blob_name(path: Path) -> str | None:
    """The SHA-256 by which the hub's cache names the content of a file that is a link into it."""
    for _ in range(8):
        if not path.is_symlink():
            return None
        path = path.parent / path.readlink()
        if _SHA256.fullmatch(path.name) and path.parent.name == "blobs":
            return path.name
    return None


def _state(path: Path) -> dict[str, int]:
    """What is different after a file was changed or replaced; a program can set the one time, and not the other."""
    found = path.stat()
    return {
        "size": found.st_size,
        "inode": found.st_ino,
        "mtime_ns": found.st_mtime_ns,
        "ctime_ns": found.st_ctime_ns,
    }


def _cache_entry(path: Path) -> Path | None:
    """Where a file's hash is kept: one small file for each, so that processes do not wait for each other."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():
        try:
            base = Path.home() / ".cache"
        except RuntimeError:  # a user without a home
            return None
    return base / "bon-eval" / "hashes" / f"{hashlib.sha256(os.fsencode(path)).hexdigest()}.json"


@contextlib.contextmanager
def _one_at_a_time(entry: Path) -> Iterator[None]:
    """Shards that start together wait for the first to read a file, where its hash can be kept and locks work."""
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        lock = entry.with_suffix(".lock").open("ab")
    except OSError:
        yield
        return
    with lock:
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _read(entry: Path, path: Path, state: dict[str, int]) -> bytes | None:
    try:
        kept = json.loads(entry.read_text(encoding="utf-8"))
        digest = kept.pop("sha256")
        if kept == {"path": str(path), **state} and _SHA256.fullmatch(digest):
            return bytes.fromhex(digest)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # none, or a damaged one: it is written anew
    return None


def _write(entry: Path, path: Path, state: dict[str, int], digest: bytes) -> None:
    """Keep a hash; where nothing can be written, the file is read again next time."""
    with (
        contextlib.suppress(OSError),
        tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=entry.parent, delete=False) as file,
    ):
        try:
            json.dump({"path": str(path), **state, "sha256": digest.hex()}, file)
            file.close()
            os.replace(file.name, entry)
        except BaseException:
            os.unlink(file.name)
            raise
