"""Hashes of large files are kept, and never beyond a change of the file."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bon_eval.engines import hashes
from bon_eval.engines.hashes import content_hash, file_hash
from bon_eval.errors import ModelError

SIZE = 2 << 20
Reads = Callable[[], int]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of kept hashes of this test alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "bon-eval" / "hashes"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(bytes(SIZE))
    return path


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    """How often a file's content was read so far."""
    done = []
    digest = hashlib.file_digest

    def counted(*args):
        done.append(args)
        return digest(*args)

    monkeypatch.setattr(hashes.hashlib, "file_digest", counted)
    return lambda: len(done)


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as settled at once."""
    monkeypatch.setattr(hashes, "_SETTLED_S", 0.0)
    time.sleep(0.02)


def truth(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


@pytest.mark.usefixtures("settled")
def test_a_large_file_is_read_once(cache: Path, weights: Path, reads: Reads) -> None:
    time.sleep(0.02)
    assert [file_hash(weights) for _ in range(3)] == [truth(weights)] * 3
    assert reads() == 1
    assert len(list(cache.glob("*.json"))) == 1
    linked = weights.with_name("link.safetensors")  # the file counts, and not the name that leads to it
    linked.symlink_to(weights)
    assert file_hash(linked) == truth(weights)
    assert reads() == 1
    small = weights.with_name("config.json")
    small.write_text("{}")
    file_hash(small)
    assert len(list(cache.glob("*.json"))) == 1


@pytest.mark.usefixtures("cache", "settled")
@pytest.mark.parametrize("how", ["written in place", "times set back", "replaced", "copied with its times"])
def test_a_changed_file_is_read_again(weights: Path, tmp_path: Path, how: str) -> None:
    time.sleep(0.02)
    assert file_hash(weights) == truth(weights)
    before = weights.stat()
    if how.startswith(("written", "times")):
        with weights.open("r+b") as file:
            file.seek(1000)
            file.write(b"\x01")
    else:
        other = tmp_path / "other"
        other.write_bytes(bytes(SIZE - 1) + b"\x01")
        os.replace(other, weights)
    if how.startswith(("times", "copied")):
        os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file_hash(weights) == truth(weights)
    assert truth(weights) != hashlib.sha256(bytes(SIZE)).digest()


def test_a_file_of_just_now_is_not_kept(
    cache: Path, weights: Path, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second write could leave its times as they are."""
    monkeypatch.setattr(hashes, "_SETTLED_S", 600.0)
    file_hash(weights)
    assert not cache.exists()
    assert file_hash(weights) == truth(weights)
    assert reads() == 2
    os.utime(weights, (1e9, 1e9))  # only the one time that a program can set
    file_hash(weights)
    assert not cache.exists()


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("damage", ["", "{", "[]", '{"sha256": 3}', "\udc80", "another file's"])
def test_a_damaged_entry_is_written_anew(cache: Path, weights: Path, reads: Reads, damage: str) -> None:
    time.sleep(0.02)
    file_hash(weights)
    [entry] = cache.glob("*.json")
    good = entry.read_text()
    wrong = {**json.loads(good), "path": "/elsewhere", "sha256": "0" * 64}
    entry.write_bytes((json.dumps(wrong) if damage.startswith("another") else damage).encode(errors="surrogateescape"))
    assert file_hash(weights) == truth(weights)
    assert reads() == 2
    assert entry.read_text() == good
    assert list(cache.glob("*.json")) == [entry]


@pytest.mark.usefixtures("settled")
def test_where_nothing_can_be_kept_all_is_read(
    weights: Path, reads: Reads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    time.sleep(0.02)
    (tmp_path / "no folder").write_text("")  # root may write anywhere, and nobody into a file
    for base in (tmp_path / "no folder", Path("/proc")):
        monkeypatch.setenv("XDG_CACHE_HOME", str(base))
        assert file_hash(weights) == truth(weights)
    assert reads() == 2
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert file_hash(weights) == truth(weights)
    assert len(list((tmp_path / "home" / ".cache" / "bon-eval" / "hashes").glob("*.json"))) == 1


def test_a_file_that_is_being_written_is_an_error(weights: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = hashlib.file_digest

    def meanwhile(file, name):
        with weights.open("ab") as more:
            more.write(b"more")
        return digest(file, name)

    monkeypatch.setattr(hashes.hashlib, "file_digest", meanwhile)
    with pytest.raises(ModelError, match="changed while it was read; wait until it is written"):
        file_hash(weights)
    assert not cache.exists()


READING = """
import hashlib, sys, time
from pathlib import Path
from bon_eval.engines import hashes
hashes._SETTLED_S = 0.0
digest, model, log, cache = hashlib.file_digest, *map(Path, sys.argv[1:])
def slow(file, name):
    if file.name.endswith("model.safetensors"):
        with log.open("a") as lines:
            lines.write("read\\n")
        time.sleep(1)
    return digest(file, name)
"""


def together(model: Path, log: Path, cache: Path, script: str) -> set[str]:
    """What four processes print that run a script at the same time."""
    command = [sys.executable, "-c", READING + script, str(model), str(log), str(cache)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    found = {line for process in started for line in process.communicate()[0].splitlines()}
    assert [process.returncode for process in started] == [0] * 4
    return found


def test_shards_that_start_together_read_a_model_once(cache: Path, weights: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    model = tmp_path / "model"
    model.mkdir()
    weights.rename(model / "model.safetensors")
    script = "hashlib.file_digest = slow\nprint(hashes.content_hash(model))"
    assert together(model, log, cache, script) == {content_hash(model)}
    assert log.read_text().split() == ["read"]
    # Again, while entries come and go: all are whole or not there.
    script = (
        "for _ in range(30):\n"
        "    print(hashes.content_hash(model))\n"
        "    for entry in cache.glob('*.json'):\n"
        "        entry.unlink(missing_ok=True)\n"
    )
    assert together(model, log, cache, script) == {content_hash(model)}
