"""Models, tokenizers and adapters that cannot be loaded: one line each, with the traceback in the run's log."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bon_eval.engines.base import EngineSpec
from bon_eval.engines.load import load_tokenizer
from bon_eval.engines.models import ASSETS, resolve_adapter, stated_context
from bon_eval.errors import BonEvalError, EngineError, ModelError
from bon_eval.records import ForcedSequence

MIXED = ASSETS / "arith-mixed"


class OddError(Exception):
    """What no list names."""


def halve(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def edit(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def broken(tmp_path: Path, source: Path, change: Callable[[Path], None]) -> Path:
    folder = tmp_path / "broken"
    shutil.copytree(source, folder)
    change(folder)
    return folder


def transformers_engine(folder: Path, log: Path, **more: Any) -> Any:
    from bon_eval.engines.transformers import TransformersEngine

    return TransformersEngine(EngineSpec(str(folder), log_path=str(log), **more))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: halve(f / "model.safetensors"), "SafetensorError: Error while deserializing"),
        (lambda f: (f / "model.safetensors").write_bytes(b""), "could not load"),
        (lambda f: edit(f / "config.json", num_hidden_layers="four"), "'num_hidden_layers' expected int, got str"),
        (lambda f: edit(f / "config.json", hidden_size=256), "could not load"),
        (lambda f: edit(f / "config.json", model_type="no_such_type"), "no_such_type"),
    ],
)
def test_a_broken_model_on_transformers(change: Callable[[Path], None], said: str, tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    with pytest.raises(ModelError, match=said) as caught:
        transformers_engine(broken(tmp_path, MIXED, change), log)
    text = str(caught.value)
    assert "\n" not in text
    assert f"(traceback in {log})" in text
    assert "; give a complete model directory" in text
    assert "Traceback (most recent call last)" in log.read_text()


@pytest.mark.parametrize("value", ["512", [512], True, -1, 1.5])
def test_a_context_that_is_no_number(value: object, tmp_path: Path) -> None:
    folder = broken(tmp_path, MIXED, lambda f: edit(f / "config.json", max_position_embeddings=value))
    with pytest.raises(ModelError, match=r"max_position_embeddings is .*; it must be a whole number of tokens"):
        stated_context(folder)


@pytest.mark.parametrize("text", ["[1, 2", '{"version": 3}', "", '{"version": "1.0", "model": 7}'])
def test_a_broken_tokenizer(text: str, tmp_path: Path) -> None:
    folder = broken(tmp_path, MIXED, lambda f: (f / "tokenizer.json").write_text(text) and None)
    with pytest.raises(ModelError, match=r"cannot load a tokenizer from .*; give a complete model directory") as caught:
        load_tokenizer(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: halve(f / "adapter_model.safetensors"), "SafetensorError"),
        (lambda f: edit(f / "adapter_config.json", r="eight"), "does not fit the model"),
        (lambda f: edit(f / "adapter_config.json", target_modules=["nowhere"]), "nowhere"),
        (lambda f: (f / "adapter_model.safetensors").unlink(), "does not fit the model"),
    ],
)
def test_a_broken_adapter(change: Callable[[Path], None], said: str, lora_adapter: Path, tmp_path: Path) -> None:
    folder = broken(tmp_path, lora_adapter, change)
    with pytest.raises(ModelError, match=said) as caught:
        transformers_engine(MIXED, tmp_path / "engine.log", adapter_dir=str(folder))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["[1, 2]", "{", "7", '"LORA"'])
def test_an_adapter_configuration_that_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(text)
    with pytest.raises(ModelError, match=r"adapter_config\.json cannot be read: .*; give a complete directory"):
        resolve_adapter(str(tmp_path))


@pytest.mark.parametrize(
    ("target", "act"),
    [
        ("transformers.AutoModelForCausalLM.from_pretrained", lambda log, _: transformers_engine(MIXED, log)),
        ("transformers.AutoTokenizer.from_pretrained", lambda log, _: load_tokenizer(MIXED, log=str(log))),
        (
            "peft.PeftModel.from_pretrained",
            lambda log, lora: transformers_engine(MIXED, log, adapter_dir=str(lora)),
        ),
        ("bon_eval.engines.transformers.force.score", None),
    ],
)
def test_what_no_list_names(
    target: str,
    act: Callable[[Path, Path], Any] | None,
    lora_adapter: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("peft")

    def fail(*args: object, **options: object) -> None:
        raise OddError("odd\nand long")

    log = tmp_path / "engine.log"
    if act is None:
        engine = transformers_engine(MIXED, log)
        monkeypatch.setattr(target, fail)
        with pytest.raises(EngineError, match="engine transformers failed: OddError: odd and long"):
            dict(engine.score([ForcedSequence("k", (5,), (9,))]))
    else:
        monkeypatch.setattr(target, fail)
        with pytest.raises(BonEvalError, match="OddError: odd and long"):
            act(log, lora_adapter)
    assert "OddError: odd" in log.read_text()
