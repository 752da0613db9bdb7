"""Models by name and by content: every byte of a model counts, and where it lies does not."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from bon_eval.engines.hashes import content_hash
from bon_eval.engines.models import ASSETS, EMBEDDED, resolve_adapter, resolve_model
from bon_eval.errors import ModelError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint with one large weight file, mostly holes on disk."""
    path = tmp_path / "model"
    path.mkdir()
    (path / "config.json").write_text("{}")
    with (path / "model.safetensors").open("wb") as file:
        file.truncate(200 << 20)
    return path


def test_one_byte_anywhere_makes_another_model(folder: Path) -> None:
    before = content_hash(folder)
    for offset in (0, 100_000_007, (200 << 20) - 1):
        with (folder / "model.safetensors").open("r+b") as file:
            file.seek(offset)
            file.write(b"\x01")
        after = content_hash(folder)
        assert after != before
        before = after


def test_names_count_and_notes_do_not(folder: Path) -> None:
    before = content_hash(folder)
    (folder / "README.md").write_text("a note")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "x").write_text("y")
    (folder / "training.log").write_text("z")
    assert content_hash(folder) == before
    (folder / "config.json").rename(folder / "config2.json")
    assert content_hash(folder) != before


def test_the_hubs_cache_and_a_plain_copy_are_one_model(folder: Path, tmp_path: Path) -> None:
    """The cache keeps weights as blobs named by their SHA-256; the name is taken for the content."""
    blobs, snapshot = tmp_path / "cache" / "blobs", tmp_path / "cache" / "snapshots" / "abc"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    weights = folder / "model.safetensors"
    name = hashlib.sha256(weights.read_bytes()).hexdigest()
    shutil.copy(weights, blobs / name)
    os.symlink(blobs / name, snapshot / "model.safetensors")
    shutil.copy(folder / "config.json", blobs / ("0" * 40))
    os.symlink(blobs / ("0" * 40), snapshot / "config.json")
    assert content_hash(snapshot) == content_hash(folder)


def test_the_demos_report_names_the_embedded_model_that_ships() -> None:
    report = json.loads((ROOT / "results" / "demo" / "report.json").read_text(encoding="utf-8"))
    assert report["run"]["config"]["model"] in EMBEDDED
    assert report["run"]["hashes"]["model"] == content_hash(ASSETS / report["run"]["config"]["model"])


def test_what_is_no_model_or_adapter(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="local directory; drop --revision"):
        resolve_model(str(folder), "main")
    with pytest.raises(ModelError, match="is a file"):
        resolve_model(str(folder / "config.json"))
    with pytest.raises(ModelError, match="does not exist"):
        resolve_model(str(tmp_path / "nowhere"))
    with pytest.raises(ModelError, match=r"no adapter_config\.json"):
        resolve_adapter(str(folder))
    (folder / "adapter_config.json").write_text('{"peft_type": "IA3"}')
    with pytest.raises(ModelError, match="of type 'IA3'"):
        resolve_adapter(str(folder))
