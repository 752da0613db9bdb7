"""Models, tokenizers and adapters that cannot be loaded: one line each, with the traceback in the run's log."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bon_eval.engines import open_engine
from bon_eval.engines.adapters import check_adapter
from bon_eval.engines.base import EngineSpec
from bon_eval.engines.load import load_tokenizer
from bon_eval.engines.models import ASSETS, resolve_adapter, resolve_model, stated_context
from bon_eval.errors import BonEvalError, EngineError, ModelError
from bon_eval.records import ForcedSequence
from bon_eval.run.options import RunOptions
from bon_eval.run.prepare import prepare

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


def change_weights(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, {"format": "pt"})


def transformers_engine(folder: Path, log: Path, **more: Any) -> Any:
    from bon_eval.engines.transformers import TransformersEngine

    return TransformersEngine(EngineSpec(str(folder), log_path=str(log), **more))


NORM = "model.layers.1.input_layernorm.weight"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda f: change_weights(f / "model.safetensors", lambda t: t.pop(NORM)),
            rf"is not complete: its files hold no {NORM}, which its configuration wants",
        ),
        (lambda f: edit(f / "config.json", tie_word_embeddings=False), "hold no lm_head.weight, which"),
        (lambda f: edit(f / "config.json", num_hidden_layers=5), r"hold no model.layers.4.* and \d+ more weights"),
        (
            lambda f: edit(f / "config.json", num_hidden_layers=2),
            r"more weights than its configuration: model.layers.2.* and \d+ more would be left out",
        ),
    ],
)
def test_no_weights_are_random_and_no_layers_left_out(
    change: Callable[[Path], None], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=said):
        transformers_engine(broken(tmp_path, MIXED, change), tmp_path / "engine.log")


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        (0, "num_hidden_layers is 0; it must be a whole number of layers, at least 1"),
        (-1, "num_hidden_layers is -1; it must be"),
        ("four", "num_hidden_layers is 'four'; it must be"),
        (True, "num_hidden_layers is True; it must be"),
        (10**9, "num_hidden_layers is 1000000000, and the weights beside it are of 4"),
    ],
)
def test_a_number_of_layers_that_cannot_be(layers: object, said: str, tmp_path: Path) -> None:
    folder = broken(tmp_path, MIXED, lambda f: edit(f / "config.json", num_hidden_layers=layers))
    with pytest.raises(ModelError, match=said) as caught:
        resolve_model(str(folder))
    assert "\n" not in str(caught.value)


def test_a_number_of_layers_beside_weights_that_do_not_tell(tmp_path: Path) -> None:
    folder = broken(tmp_path, MIXED, lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin") and None)
    resolve_model(str(folder))
    edit(folder / "config.json", num_hidden_layers=10_001)
    with pytest.raises(ModelError, match=r"num_hidden_layers is 10001, more than the 10,000 of any model"):
        resolve_model(str(folder))


def test_weights_of_another_part_are_left_alone(tmp_path: Path) -> None:
    def tower(tensors: dict[str, Any]) -> None:
        tensors["vision_tower.encoder.weight"] = tensors[NORM].clone()

    folder = broken(tmp_path, MIXED, lambda f: change_weights(f / "model.safetensors", tower))
    given = [ForcedSequence("k", (5, 6, 7), (8, 9))]
    found = []
    for directory in (folder, MIXED):
        with transformers_engine(directory, tmp_path / "engine.log") as engine:
            found.append(dict(engine.score(given)))
    assert found[0] == found[1]


@pytest.mark.parametrize("engine", ["transformers", pytest.param("vllm", marks=pytest.mark.vllm)])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: [t.pop(name) for name in list(t) if "layers.2." in name], r"is not complete: .*layers\.2\..* and 3"),
        (
            lambda t: t.update({k.replace("layers.2.", "layers.9."): v.clone() for k, v in t.items() if ".2." in k}),
            r"more weights than its configuration: .*layers\.9\.",
        ),
        (
            lambda t: t.update(
                {k.replace("self_attn.q_proj", "mlp.up_proj"): v.clone() for k, v in t.items() if "q_proj" in k}
            ),
            r"more weights than its configuration: .*mlp\.up_proj",
        ),
        (
            lambda t: t.update({k: v[:, :7].clone() for k, v in t.items() if "layers.1.self_attn.q_proj.lora_A" in k}),
            r"does not fit the model: .*layers\.1\..*lora_A.* is of shape \[\d+, 7\], and the model's is \[\d+, 128\]",
        ),
    ],
)
def test_an_adapter_that_fits_in_part(
    change: Callable[[dict[str, Any]], None], said: str, engine: str, lora_adapter: Path, tmp_path: Path
) -> None:
    folder = broken(tmp_path, lora_adapter, lambda f: change_weights(f / "adapter_model.safetensors", change))
    with pytest.raises(ModelError, match=said) as caught:
        open_engine(engine, EngineSpec(str(MIXED), adapter_dir=str(folder), log_path=str(tmp_path / "engine.log")))
    assert "\n" not in str(caught.value)


def test_an_adapter_of_another_part_is_left_alone(lora_adapter: Path, tmp_path: Path) -> None:
    def tower(tensors: dict[str, Any]) -> None:
        more = {k.replace("layers.", "vision_tower.layers."): v.clone() for k, v in tensors.items() if ".2." in k}
        assert more.keys() - tensors.keys()
        tensors |= more

    check_adapter(
        MIXED, broken(tmp_path, lora_adapter, lambda f: change_weights(f / "adapter_model.safetensors", tower))
    )


@pytest.mark.slow
def test_what_transformers_warns_of_stands_in_the_log(tmp_path: Path) -> None:
    folder = broken(tmp_path, MIXED, lambda f: edit(f / "tokenizer_config.json", model_max_length=4))
    code = (
        "import sys\n"
        "from bon_eval.engines.load import load_tokenizer\n"
        "tokenizer = load_tokenizer(sys.argv[1])\n"
        "assert len(tokenizer('1+1=2 1+1=2')['input_ids']) > 4\n"
        "import transformers\n"
        "warn = transformers.utils.logging.get_logger('transformers.models').warning\n"
        "transformers.AutoTokenizer.from_pretrained = lambda *args, **options: warn('an odd configuration')\n"
        "load_tokenizer(sys.argv[1])\n"
        "load_tokenizer(sys.argv[1], log=sys.argv[2])\n"
    )
    command = [sys.executable, "-c", code, str(folder), str(tmp_path / "engine.log")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
    assert (tmp_path / "engine.log").read_text().count("an odd configuration") == 1


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


@pytest.mark.parametrize("value", ["", [], {"a": None}, "long", True])
def test_a_length_of_the_tokenizer_that_is_no_number(value: object, tmp_path: Path) -> None:
    folder = broken(tmp_path, MIXED, lambda f: edit(f / "tokenizer_config.json", model_max_length=value))
    with pytest.raises(ModelError, match=r"model_max_length is .* and no number of tokens"):
        load_tokenizer(folder)


def test_a_tokenizer_that_fails_at_its_first_text(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise OddError("odd\nand long")

    monkeypatch.setattr("transformers.PreTrainedTokenizerFast._encode_plus", fail)
    with pytest.raises(ModelError, match=r"the tokenizer of .* fails: OddError: odd and long; give a complete"):
        prepare(RunOptions("arith-mixed", "arith", limit=1, engine="transformers"))


def test_a_special_token_without_a_text(tmp_path: Path) -> None:
    folder = broken(tmp_path, MIXED, lambda f: edit(f / "tokenizer_config.json", bos_token=""))
    [found] = prepare(RunOptions(str(folder), "arith", limit=1, engine="transformers")).prompts
    [own] = prepare(RunOptions("arith-mixed", "arith", limit=1, engine="transformers")).prompts
    assert found.token_ids == own.token_ids


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
