"""vLLM loads what the run's hash is of, whatever lies beside it; closed, it leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from bon_eval.engines.base import EngineSpec
from bon_eval.engines.hashes import content_hash
from bon_eval.engines.models import ASSETS
from bon_eval.engines.vllm import VllmEngine
from bon_eval.engines.vllm.process import bystanders, children
from bon_eval.errors import EngineError
from bon_eval.records import ForcedSequence

pytestmark = [pytest.mark.vllm, pytest.mark.slow]

MIXED, WORKED = ASSETS / "arith-mixed", ASSETS / "arith-worked"


@pytest.fixture(scope="module")
def given() -> list[ForcedSequence]:
    """Responses to be scored: gold answers to the embedded task's questions."""
    from transformers import AutoTokenizer

    tok = AutoTokenizer.from_pretrained(MIXED)
    rows = [json.loads(row) for row in (ASSETS / "arith" / "test.jsonl").read_text().splitlines()[:6]]
    return [
        ForcedSequence(str(k), tuple(tok(row["question"] + "\n")["input_ids"]), tuple(tok(row["answer"])["input_ids"]))
        for k, row in enumerate(rows)
    ]


@pytest.fixture(scope="module")
def expected(given: list[ForcedSequence]) -> dict[str, tuple[float, ...]]:
    """Their log-probs under the embedded model by transformers, from its own folder."""
    from bon_eval.engines.transformers import TransformersEngine

    with TransformersEngine(EngineSpec(str(MIXED), dtype="float32")) as engine:
        return dict(engine.score(given))


@pytest.fixture
def weights() -> dict[str, Any]:
    from safetensors.torch import load_file

    return dict(load_file(MIXED / "model.safetensors"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The embedded model without its weights."""
    target = tmp_path / "model"
    shutil.copytree(MIXED, target, ignore=shutil.ignore_patterns("*.safetensors"))
    return target


def score(engine: VllmEngine, given: list[ForcedSequence]) -> dict[str, Any]:
    return {key: pytest.approx(found, abs=1e-3) for key, found in engine.score(given)}


def test_the_hashed_weights_are_loaded_and_the_next_engine_can_start_at_once(
    folder: Path,
    weights: dict[str, Any],
    given: list[ForcedSequence],
    expected: dict[str, tuple[float, ...]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    shutil.copy(MIXED / "model.safetensors", folder)
    alone = content_hash(folder)
    # What vLLM by itself would take first, or too: another model's weights, in Mistral's and in this format.
    for other in ("consolidated.safetensors", "model.z.safetensors", "original/consolidated.safetensors"):
        (folder / other).parent.mkdir(exist_ok=True)
        shutil.copy(WORKED / "model.safetensors", folder / other)
    (folder / "pytorch_model.bin").write_bytes(b"no weights")
    (folder / "original" / "params.json").write_text("{}")
    assert content_hash(folder) == alone
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("VLLM_RPC_BASE_PATH", "/tmp")  # of sockets, whose paths are short
    monkeypatch.setattr("tempfile.tempdir", None)
    others = bystanders()
    with VllmEngine(EngineSpec(str(folder), dtype="float32", log_path=os.devnull)) as engine:
        started = children() - others
        assert any("EngineCore" in process.name() for process in started)
        assert score(engine, given) == expected
        assert list(tmp_path.glob("bon-eval-model-*"))
    assert not [process for process in started if process.is_running()]  # not even as zombies, and without a wait
    assert not list(tmp_path.glob("bon-eval-model-*"))
    for weights_file in folder.glob("*.safetensors"):
        weights_file.unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    shutil.rmtree(folder / "original")
    with VllmEngine(EngineSpec(str(folder), dtype="float32", log_path=os.devnull)) as engine:
        assert score(engine, given) == expected
        assert not list(tmp_path.glob("bon-eval-model-*"))  # nothing to leave out


def test_a_load_that_fails_leaves_no_process(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0no header at all")
    others = bystanders()
    with pytest.raises(EngineError, match="vLLM could not load"):
        VllmEngine(EngineSpec(str(folder), dtype="float32", log_path=os.devnull))
    assert children() == others
