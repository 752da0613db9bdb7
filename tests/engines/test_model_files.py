"""Which files of a folder are the model: what is loaded counts, what lies beside it does not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bon_eval.engines.hashes import content_hash
from bon_eval.engines.model_files import files_in, model_files, names_in, spare_weights
from bon_eval.engines.models import ASSETS, resolve_adapter, resolve_model
from bon_eval.errors import ModelError

MIXED = ASSETS / "arith-mixed"
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    """The embedded model's folder, with its weights file under the names of two shards."""
    folder = tmp_path / "sharded"
    shutil.copytree(MIXED, folder)
    (folder / "model.safetensors").rename(folder / SHARDS[0])
    shutil.copy(folder / SHARDS[0], folder / SHARDS[1])
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": SHARDS[0], "b": SHARDS[1]}}))
    return folder


def put(folder: Path, name: str, content: str = "new") -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "original/consolidated.00.pth",
            "original/params.json",
            "original/tokenizer.model",
            "consolidated.safetensors",
        ),
        *("pytorch_model.bin", "pytorch_model-00001-of-00002.bin", "model.fp16.safetensors", "tf_model.h5"),
        *("onnx/model.onnx", "model.gguf", "optimizer.pt", "training_args.bin", "trainer_state.json"),
        *("checkpoint-10/model.safetensors", "checkpoint-10/config.json", "checkpoint-10/modeling_x.py", "LICENSE"),
        *("README.md", "runs/events.out.tfevents.1.h", "events.out.tfevents.17.h.0", ".cache/huggingface/x.json"),
    ],
)
def test_what_is_not_loaded_does_not_count(sharded: Path, name: str) -> None:
    before = content_hash(sharded)
    put(sharded, name)
    assert content_hash(sharded) == before


@pytest.mark.parametrize(
    "name",
    [
        *SHARDS,
        *("config.json", "tokenizer.json", "generation_config.json", "chat_template.jinja", "tokenizer.model"),
        *("vocab.tiktoken", "merges.txt", "modeling_x.py", "code/layers.py", "additional_chat_templates/tool.jinja"),
        *("model.safetensors", "quantize_config.json"),
    ],
)
def test_what_is_loaded_counts(sharded: Path, name: str) -> None:
    before = content_hash(sharded)
    put(sharded, name, '{"new": 1}')
    assert content_hash(sharded) != before


def test_an_index_that_names_other_shards_counts(sharded: Path) -> None:
    before = content_hash(sharded)
    put(sharded, "model.safetensors.index.json", json.dumps({"weight_map": {"a": SHARDS[0]}}))
    assert content_hash(sharded) != before


def test_what_cannot_be_loaded_is_said_before_anything_is(sharded: Path, tmp_path: Path) -> None:
    (sharded / SHARDS[1]).unlink()
    with pytest.raises(ModelError, match=f"sharded' is not complete: {SHARDS[1]} is missing; fetch or copy it again"):
        resolve_model(str(sharded))
    (sharded / SHARDS[1]).symlink_to(tmp_path / "blob that is gone")
    with pytest.raises(ModelError, match="is not complete"):
        resolve_model(str(sharded))
    for broken in ("", "[]", '{"weight_map": 3}'):
        put(sharded, "model.safetensors.index.json", broken)
        with pytest.raises(ModelError, match=r"index\.json cannot be read"):
            resolve_model(str(sharded))
    put(sharded, "model.safetensors.index.json", '{"weight_map": {"a": "../other.safetensors"}}')
    with pytest.raises(ModelError, match="lies outside the model's folder"):
        resolve_model(str(sharded))
    only = tmp_path / "only"
    only.mkdir()
    put(only, "config.json", "{}")
    with pytest.raises(ModelError, match=r"no weights as \.safetensors or \.bin; give"):
        resolve_model(str(only))
    put(only, "model.gguf")
    with pytest.raises(ModelError, match=r"no weights as \.safetensors or \.bin, only \.gguf; give"):
        resolve_model(str(only))
    assert resolve_model(str(only), weights=False).content_hash


def test_an_adapter_beside_the_weights_is_refused(sharded: Path) -> None:
    put(sharded, "adapter_config.json", '{"peft_type": "LORA"}')
    with pytest.raises(ModelError, match="holds an adapter besides"):
        resolve_model(str(sharded))


def test_of_an_adapters_folder_its_own_weights_count(lora_adapter: Path, tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    shutil.copytree(lora_adapter, folder)
    before = resolve_adapter(str(folder))[1]
    for name in ("checkpoint-5/adapter_model.safetensors", "adapter_model.bin", "model.safetensors", "optimizer.pt"):
        put(folder, name)
    assert resolve_adapter(str(folder))[1] == before
    put(folder, "adapter_model.safetensors")
    assert resolve_adapter(str(folder))[1] != before
    (folder / "adapter_model.safetensors").unlink()
    assert resolve_adapter(str(folder))[1] != before  # the other form is loaded now
    (folder / "adapter_model.bin").unlink()
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"adapter directory .* holds no weights"):
        resolve_adapter(str(folder))


def no_index(index: str) -> tuple[str, ...]:
    raise AssertionError(index)


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        (("gptq-4bit.safetensors", "pytorch_model.pt"), ("gptq-4bit.safetensors",)),
        (("a.bin", "b.bin", "training_args.bin", "c.pt"), ("a.bin", "b.bin")),
        (("a.pt", "optimizer.pt"), ("a.pt",)),
        (("consolidated.safetensors",), ("consolidated.safetensors",)),
        (("model.safetensors", "consolidated.safetensors", "model-00001-of-00001.safetensors"), ("model.safetensors",)),
        (("pytorch_model.bin", "extra.safetensors"), ("pytorch_model.bin",)),
        (("weights/model.safetensors",), ()),
    ],
)
def test_names_of_no_convention(names: tuple[str, ...], taken: tuple[str, ...]) -> None:
    assert model_files(names, no_index) == taken


def test_what_an_engine_could_take_in_their_place(sharded: Path) -> None:
    assert spare_weights(names_in(sharded), files_in(sharded)) == ()
    spare = ("consolidated.safetensors", "original/consolidated-1.safetensors", "pytorch_model.bin")
    for name in (*spare, "optimizer.pt", "original/consolidated.00.pth"):
        put(sharded, name)
    assert spare_weights(names_in(sharded), files_in(sharded)) == spare


@pytest.mark.parametrize("resolve", [lambda p: resolve_model(str(p)).content_hash, content_hash])
def test_the_order_in_which_a_folder_is_read_does_not_matter(resolve: Callable[[Path], str], tmp_path: Path) -> None:
    names = sorted(p.name for p in MIXED.iterdir())
    folder = tmp_path / "copy"
    folder.mkdir()
    for name in reversed(names):
        shutil.copy(MIXED / name, folder / name)
    assert resolve(folder) == resolve(MIXED)
