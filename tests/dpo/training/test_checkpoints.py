"""Which checkpoints of a training directory are whole, which are named as not, and whether the first is the base."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bon_eval.dpo.training.checkpoints import Checkpoint, broken, check_start, find_checkpoints
from bon_eval.errors import ModelError, StoreError

torch = pytest.importorskip("torch")
save_file = pytest.importorskip("safetensors.torch").save_file

WEIGHTS = {"model.embed.weight": [[1.0, -2.5], [0.375, 3.0]], "model.norm.weight": [1.0, 0.5]}


def weights(path: Path, content: dict[str, Any] = WEIGHTS, dtype: str = "float32") -> Path:
    save_file({name: torch.tensor(values, dtype=getattr(torch, dtype)) for name, values in content.items()}, str(path))
    return path


def checkpoint(folder: Path, *, adapter: bool = False) -> Path:
    """A whole checkpoint as the trainer saves it."""
    folder.mkdir(parents=True)
    (folder / ("adapter_config.json" if adapter else "config.json")).write_text("{}")
    (folder / "trainer_state.json").write_text('{"global_step": 1}')
    weights(folder / ("adapter_model.safetensors" if adapter else "model.safetensors"))
    return folder


def training(directory: Path, steps: list[int], *, adapter: bool = False) -> Path:
    for step in steps:
        checkpoint(directory / f"checkpoint-{step}", adapter=adapter)
    return directory


def rounds(directory: Path, each: list[tuple[int, list[int]]]) -> Path:
    """(optimizer steps, checkpoints) of each round."""
    for number, (steps, saved) in enumerate(each, start=1):
        folder = training(directory / f"round-{number}", saved)
        (folder / "training.json").write_text(json.dumps({"format": 1, "settings": {"steps": steps}, "identity": {}}))
    return directory


def refused(directory: Path) -> str:
    with pytest.raises((ModelError, StoreError)) as caught:
        find_checkpoints(directory)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("adapter", [False, True], ids=["models", "adapters"])
def test_whole_checkpoints_come_by_step(tmp_path: Path, adapter: bool) -> None:
    training(tmp_path, [0, 100, 20, 40, 60, 80], adapter=adapter)
    (tmp_path / "training.json").write_text("{}")
    (tmp_path / "checkpoint-best").mkdir()
    (tmp_path / "checkpoint-7").write_text("a file, not a checkpoint")
    (tmp_path / "runs").mkdir()
    found = find_checkpoints(tmp_path)
    assert [c.step for c in found.checkpoints] == [0, 20, 40, 60, 80, 100], "by number, not by name"
    assert [c.path.name for c in found.checkpoints][:2] == ["checkpoint-0", "checkpoint-20"]
    assert {c.is_adapter for c in found.checkpoints} == {adapter}
    assert found.skipped == ()


def cut(file: str, keep: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def do(folder: Path) -> None:
        path = folder / file
        path.write_bytes(keep(path.read_bytes()))

    return do


def remove(file: str) -> Callable[[Path], None]:
    return lambda folder: (folder / file).unlink()


def shards(named: list[str], present: list[str], index: str | None = None) -> Callable[[Path], None]:
    def do(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        for name in present:
            weights(folder / name)
        text = json.dumps({"weight_map": {f"w{k}": name for k, name in enumerate(named)}}) if index is None else index
        (folder / "model.safetensors.index.json").write_text(text)

    return do


FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "no config": (remove("config.json"), "neither config.json nor adapter_config.json"),
    "no weights": (remove("model.safetensors"), "no .safetensors file"),
    "no weights at all": (cut("model.safetensors", lambda b: b""), "model.safetensors is cut short"),
    "cut in the length": (cut("model.safetensors", lambda b: b[:5]), "model.safetensors is cut short"),
    "cut in the header": (cut("model.safetensors", lambda b: b[:20]), "model.safetensors is cut short"),
    "cut in the data": (cut("model.safetensors", lambda b: b[:-1]), "model.safetensors is cut short"),
    "header overwritten": (cut("model.safetensors", lambda b: b[:8] + b"\0" * (len(b) - 8)), "is cut short"),
    "header of another kind": (cut("model.safetensors", lambda b: (2).to_bytes(8, "little") + b"[]"), "is cut short"),
    "entry of another kind": (
        cut("model.safetensors", lambda b: (7).to_bytes(8, "little") + b'{"a":1}'),
        "is cut short",
    ),
    "a shard lacks": (shards([FIRST, SECOND], [FIRST]), f"{SECOND} is missing"),
    "index cut short": (shards([], [FIRST, SECOND], '{"weight_map": {"w'), "model.safetensors.index.json is cut short"),
    "index of another kind": (shards([], [FIRST, SECOND], "[]"), "model.safetensors.index.json is cut short"),
    "no state": (remove("trainer_state.json"), "no trainer_state.json"),
    "state cut short": (cut("trainer_state.json", lambda b: b[:-3]), "trainer_state.json is cut short"),
    "state empty": (cut("trainer_state.json", lambda b: b""), "trainer_state.json is cut short"),
    "state not text": (cut("trainer_state.json", lambda b: b"\xff\xfe"), "trainer_state.json is cut short"),
}


@pytest.mark.parametrize(("damage", "reason"), BROKEN.values(), ids=BROKEN)
def test_half_written_checkpoints_are_skipped_and_named(
    tmp_path: Path, damage: Callable[[Path], None], reason: str
) -> None:
    training(tmp_path, [0, 10, 20])
    damage(tmp_path / "checkpoint-20")
    found = find_checkpoints(tmp_path)
    assert [c.step for c in found.checkpoints] == [0, 10]
    [line] = found.skipped
    assert line.startswith(f"{tmp_path / 'checkpoint-20'} is skipped: half-written (")
    assert reason in line
    assert "\n" not in line


def test_every_shard_there_is_whole(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "checkpoint-5")
    shards([FIRST, SECOND], [FIRST, SECOND])(folder)
    assert broken(folder) is None


def test_one_shard_cut_short_is_named(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "checkpoint-5")
    shards([FIRST, SECOND], [FIRST, SECOND])(folder)
    cut(SECOND, lambda b: b[:-4])(folder)
    assert broken(folder) == f"half-written ({SECOND} is cut short)"


GAPS = {
    "none": ([0, 10, 20, 30], None),
    "one": ([0, 10, 20, 40], "30"),
    "several": ([0, 10, 30, 40, 50, 80], "20, 60, 70"),
    "last step off the spacing": ([0, 10, 20, 25], None),
    "two checkpoints say nothing": ([0, 80], None),
}


@pytest.mark.parametrize(("steps", "missing"), GAPS.values(), ids=GAPS)
def test_gaps_are_named(tmp_path: Path, steps: list[int], missing: str | None) -> None:
    found = find_checkpoints(training(tmp_path, steps))
    assert [c.step for c in found.checkpoints] == steps
    assert found.skipped == (() if missing is None else (f"{tmp_path} has gaps: no checkpoint at step {missing}",))


def test_a_half_written_checkpoint_leaves_a_gap(tmp_path: Path) -> None:
    training(tmp_path, [0, 10, 20, 30])
    remove("trainer_state.json")(tmp_path / "checkpoint-20")
    skipped = find_checkpoints(tmp_path).skipped
    assert len(skipped) == 2
    assert "checkpoint-20 is skipped" in skipped[0]
    assert skipped[1].endswith("no checkpoint at step 20")


def test_rounds_go_on_where_the_one_before_ended(tmp_path: Path) -> None:
    rounds(tmp_path, [(20, [0, 10, 20]), (30, [0, 10, 20, 30]), (10, [0, 10])])
    found = find_checkpoints(tmp_path)
    where = {c.step: str(c.path.relative_to(tmp_path)) for c in found.checkpoints}
    assert where == {
        0: "round-1/checkpoint-0",
        10: "round-1/checkpoint-10",
        20: "round-1/checkpoint-20",
        30: "round-2/checkpoint-10",
        40: "round-2/checkpoint-20",
        50: "round-2/checkpoint-30",
        60: "round-3/checkpoint-10",
    }, "a round's step 0 is the last of the round before"
    assert found.skipped == ()


def test_ten_rounds_come_by_number(tmp_path: Path) -> None:
    rounds(tmp_path, [(5, [0, 5])] * 10)
    found = find_checkpoints(tmp_path)
    assert [c.step for c in found.checkpoints] == list(range(0, 55, 5))
    assert found.checkpoints[-1].path.parent.name == "round-10"


def test_a_last_round_that_has_only_begun(tmp_path: Path) -> None:
    rounds(tmp_path, [(20, [0, 10, 20])])
    (tmp_path / "round-2" / "run").mkdir(parents=True)
    assert [c.step for c in find_checkpoints(tmp_path).checkpoints] == [0, 10, 20]


DAMAGED = {
    "empty": b"",
    "cut short": b'{"format": 1, "settings": {"st',
    "not text": b"\xff",
    "a list": b"[]",
    "nothing in it": b"{}",
    "no steps": b'{"format": 1, "settings": {}, "identity": {}}',
    "steps no number": b'{"format": 1, "settings": {"steps": "20"}, "identity": {}}',
    "no identity": b'{"format": 1, "settings": {"steps": 20}}',
    "identity no object": b'{"format": 1, "settings": {"steps": 20}, "identity": 5}',
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_training_file_of_a_round_is_named(tmp_path: Path, content: bytes) -> None:
    rounds(tmp_path, [(20, [0, 20]), (20, [0, 20])])
    path = tmp_path / "round-1" / "training.json"
    path.write_bytes(content)
    assert refused(tmp_path).startswith(f"{path} is damaged; ")


def test_a_training_file_of_another_format(tmp_path: Path) -> None:
    rounds(tmp_path, [(20, [0, 20]), (20, [0, 20])])
    (tmp_path / "round-1" / "training.json").write_text('{"format": 2}')
    assert "is not of training format 1" in refused(tmp_path)


def test_a_round_whose_steps_are_unknown_shifts_the_next_ones(tmp_path: Path) -> None:
    rounds(tmp_path, [(20, [0, 20]), (20, [0, 20])])
    path = tmp_path / "round-1" / "training.json"
    path.unlink()
    assert refused(tmp_path).startswith(f"cannot read {path}: No such file")


def test_adapters_and_models_do_not_mix(tmp_path: Path) -> None:
    training(tmp_path, [0, 10])
    checkpoint(tmp_path / "checkpoint-20", adapter=True)
    assert "mixes LoRA adapters and full checkpoints" in refused(tmp_path)


def test_no_directory(tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path / "nowhere")


def test_a_file_in_place_of_a_directory(tmp_path: Path) -> None:
    path = weights(tmp_path / "model.safetensors")
    message = refused(path)
    assert "is a file" in message
    assert "does not exist" not in message


def test_no_whole_checkpoint_says_why(tmp_path: Path) -> None:
    assert refused(tmp_path).endswith("holds no whole checkpoint-<step>")
    training(tmp_path, [10])
    remove("config.json")(tmp_path / "checkpoint-10")
    assert "checkpoint-10 is skipped: half-written (neither" in refused(tmp_path)


def start(folder: Path, content: dict[str, Any], *, adapter: bool = False, dtype: str = "float32") -> Checkpoint:
    folder.mkdir()
    weights(folder / ("adapter_model.safetensors" if adapter else "model.safetensors"), content, dtype)
    return Checkpoint(0, folder, adapter)


def moved(content: dict[str, Any]) -> dict[str, Any]:
    """One weight of one tensor by the smallest step that float32 has near 1."""
    return content | {"model.norm.weight": [1.0, 0.5 + 2**-24]}


def test_a_bfloat16_base_equals_its_float32_copy(tmp_path: Path) -> None:
    # Values that bfloat16 rounds: what it stores, widened, is what the training starts from.
    rough = {"w": [0.1, 1 / 3, -2.7]}
    base = start(tmp_path / "base", rough, dtype="bfloat16").path
    widened = {"w": torch.tensor(rough["w"], dtype=torch.bfloat16).float().tolist()}
    check_start(start(tmp_path / "zero", widened), base)
    with pytest.raises(ModelError, match=r"is not the base model .*\(w differs\)"):
        check_start(start(tmp_path / "unrounded", rough), base)


def test_the_base_model_is_its_own_start_and_one_moved_weight_is_named(tmp_path: Path) -> None:
    base = start(tmp_path / "base", WEIGHTS).path
    check_start(start(tmp_path / "same", WEIGHTS), base)
    with pytest.raises(ModelError, match=r"is not the base model .*\(model\.norm\.weight differs\).* --base") as caught:
        check_start(start(tmp_path / "zero", moved(WEIGHTS)), base)
    assert "\n" not in str(caught.value)


def test_a_base_in_shards(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    for name, tensor in zip((FIRST, SECOND), WEIGHTS, strict=True):
        weights(base / name, {tensor: WEIGHTS[tensor]})
    check_start(start(tmp_path / "zero", WEIGHTS), base)
    with pytest.raises(ModelError, match=r"model\.norm\.weight differs"):
        check_start(start(tmp_path / "off", moved(WEIGHTS)), base)


def test_a_tied_head_may_be_stored_once(tmp_path: Path) -> None:
    base = start(tmp_path / "base", {**WEIGHTS, "lm_head.weight": WEIGHTS["model.embed.weight"]}).path
    check_start(start(tmp_path / "zero", WEIGHTS), base)
    with pytest.raises(ModelError, match=r"model\.norm\.weight differs"):
        check_start(start(tmp_path / "off", moved(WEIGHTS)), base)


def test_another_models_weights(tmp_path: Path) -> None:
    base = start(tmp_path / "base", {"transformer.wte.weight": [[1.0]]}).path
    with pytest.raises(ModelError, match="no weight in common"):
        check_start(start(tmp_path / "zero", WEIGHTS), base)


def test_another_models_shape(tmp_path: Path) -> None:
    base = start(tmp_path / "base", {"model.norm.weight": [1.0, 0.5, 2.0]}).path
    with pytest.raises(ModelError, match=r"model\.norm\.weight differs"):
        check_start(start(tmp_path / "zero", WEIGHTS), base)


LORA = "base_model.model.layers.0.q_proj"


@pytest.mark.parametrize(
    ("b", "message"), [([[0.0], [0.0]], None), ([[0.0], [1e-30]], r"lora_B\.weight differs")], ids=["zero", "non-zero"]
)
def test_an_adapter_is_the_base_where_its_b_is_zero(tmp_path: Path, b: list[list[float]], message: str | None) -> None:
    base = start(tmp_path / "base", WEIGHTS).path
    given = {f"{LORA}.lora_A.weight": [[0.3, -0.2]], f"{LORA}.lora_B.weight": b}
    adapter = start(tmp_path / "zero", given, adapter=True)
    if message is None:
        check_start(adapter, base)
        return
    with pytest.raises(ModelError, match=message):
        check_start(adapter, base)
