"""Trainings that went on from one another: steps go on counting, and a chain that is none is one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bon_eval.dpo.training.chain import find_chain
from bon_eval.dpo.training.checkpoints import Stage, find_checkpoints
from bon_eval.engines.hashes import content_hash
from bon_eval.errors import ConfigError, ModelError

torch = pytest.importorskip("torch")
save_file = pytest.importorskip("safetensors.torch").save_file

LORA = "base_model.model.layers.0.q_proj"


def training(
    directory: Path,
    values: dict[int, float],
    *,
    adapter: bool = False,
    method: str | None = None,
    loss: str | None = None,
    began_with: Path | None = None,
) -> Path:
    """Checkpoints by step, told apart by one number; of an adapter that is its B."""
    for step, value in values.items():
        folder = directory / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        (folder / ("adapter_config.json" if adapter else "config.json")).write_text("{}")
        (folder / "trainer_state.json").write_text("{}")
        if adapter:
            tensors = {f"{LORA}.lora_A.weight": torch.ones(1, 2), f"{LORA}.lora_B.weight": torch.full((2, 1), value)}
        else:
            tensors = {"model.norm.weight": torch.tensor([1.0, value])}
        save_file(tensors, str(folder / f"{'adapter_' if adapter else ''}model.safetensors"))
    if method is not None:
        settings = {"steps": max(values), "method": method} | ({} if loss is None else {"loss": loss})
        identity = {} if began_with is None else {"model_hash": content_hash(began_with)}
        content = {"format": 1, "settings": settings, "identity": identity}
        (directory / "training.json").write_text(json.dumps(content))
    return directory


def refused(*directories: Path) -> str:
    with pytest.raises((ConfigError, ModelError)) as caught:
        find_chain(directories)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def names(tmp_path: Path, *directories: Path) -> dict[int, str]:
    return {c.step: str(c.path.relative_to(tmp_path)) for c in find_chain(directories).checkpoints}


def test_one_training_is_as_before(tmp_path: Path) -> None:
    one = training(tmp_path / "one", {0: 0.0, 4: 0.1}, method="dpo")
    assert find_chain([one]) == find_checkpoints(one)
    assert find_chain([one]).stages == ()


def test_steps_go_on_from_the_last(tmp_path: Path) -> None:
    sft = training(tmp_path / "sft", {0: 0.0, 10: 0.1, 20: 0.2}, method="sft")
    dpo = training(tmp_path / "dpo", {0: 0.2, 5: 0.3, 10: 0.4}, method="dpo", loss="sigmoid,sft:0.5")
    last = training(tmp_path / "last", {0: 0.4, 1: 0.5})
    assert names(tmp_path, sft, dpo, last) == {
        0: "sft/checkpoint-0",
        10: "sft/checkpoint-10",
        20: "sft/checkpoint-20",
        25: "dpo/checkpoint-5",
        30: "dpo/checkpoint-10",
        31: "last/checkpoint-1",
    }
    assert find_chain([sft, dpo, last]).stages == (
        Stage(str(sft), "sft", None, 0, 20),
        Stage(str(dpo), "dpo", "sigmoid,sft:0.5", 20, 30),
        Stage(str(last), None, None, 30, 31),
    )


def test_what_came_after_the_start_is_no_part(tmp_path: Path) -> None:
    sft = training(tmp_path / "sft", {0: 0.0, 10: 0.1, 20: 0.2, 30: 0.25}, method="sft")
    dpo = training(tmp_path / "dpo", {0: 0.1, 5: 0.3}, method="dpo")
    assert names(tmp_path, sft, dpo) == {0: "sft/checkpoint-0", 10: "sft/checkpoint-10", 15: "dpo/checkpoint-5"}
    assert [(s.loss, s.first, s.last) for s in find_chain([sft, dpo]).stages] == [(None, 0, 10), ("sigmoid", 10, 15)]


def test_adapters_that_are_trained_on(tmp_path: Path) -> None:
    sft = training(tmp_path / "sft", {0: 0.0, 10: 0.1}, adapter=True)
    dpo = training(tmp_path / "dpo", {0: 0.1, 5: 0.3}, adapter=True)
    found = find_chain([sft, dpo]).checkpoints
    assert [(c.step, c.is_adapter, c.on) for c in found] == [(0, True, None), (10, True, None), (15, True, None)]


def test_a_new_adapter_is_on_the_checkpoint_before(tmp_path: Path) -> None:
    sft = training(tmp_path / "sft", {0: 0.0, 10: 0.1, 20: 0.2})
    start = sft / "checkpoint-10"
    dpo = training(tmp_path / "dpo", {0: 0.0, 5: 0.3}, adapter=True, method="dpo", began_with=start)
    more = training(tmp_path / "more", {0: 0.3, 5: 0.4}, adapter=True)
    found = find_chain([sft, dpo, more]).checkpoints
    assert [(c.step, c.on) for c in found] == [(0, None), (10, None), (15, start), (20, start)]
    # An adapter that moved something is no start, and one whose training says nothing could be on any model.
    moved = training(tmp_path / "moved", {0: 0.1, 5: 0.3}, adapter=True, method="dpo", began_with=start)
    assert "the chain is broken" in refused(sft, moved)
    silent = training(tmp_path / "silent", {0: 0.0, 5: 0.3}, adapter=True)
    assert "the chain is broken" in refused(sft, silent)


def test_what_is_no_chain(tmp_path: Path) -> None:
    sft = training(tmp_path / "sft", {0: 0.0, 10: 0.1, 20: 0.2})
    dpo = training(tmp_path / "dpo", {0: 0.2, 5: 0.3})
    message = refused(dpo, sft)
    assert message.startswith(f"{sft}/checkpoint-0 is no checkpoint of {dpo} (steps 5), so the chain is broken")
    of_base = training(tmp_path / "of-base", {0: 0.0, 5: 0.3})
    assert f"is no checkpoint of {sft} (steps 10, 20)" in refused(sft, of_base), "the base model is no part of it"
    late = training(tmp_path / "late", {5: 0.3, 10: 0.4})
    assert refused(sft, late).startswith(f"{late} holds no whole checkpoint-0, which says where it starts")
    assert refused(sft, training(tmp_path / "begun", {0: 0.2})).endswith("give a training that has one")
    assert refused(sft, sft) == "--checkpoints gives one directory twice; give each training of the chain once"
    other = training(tmp_path / "other", {0: 0.0, 10: 0.1}, adapter=True)
    assert "the chain is broken" in refused(other, dpo), "whole weights after an adapter"
