"""Training that goes on from a checkpoint of an earlier training of the same model: SFT first, then DPO."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bon_eval.dpo.training.checkpoints import TRAINING_FILE, broken, read_training, step_of
from bon_eval.dpo.training.trainers import Policy, Standing
from bon_eval.engines.models import ResolvedModel, resolve_adapter, resolve_model
from bon_eval.errors import ConfigError, ModelError


@dataclass(frozen=True, slots=True)
class Start:
    """A checkpoint of an earlier training."""

    path: Path
    step: int
    """Of that training."""
    standing: Standing
    """Its weights: a whole model, or an adapter on the model that is trained."""
    settings: Mapping[str, Any]
    """Of that training, as its training.json has them."""

    @property
    def content_hash(self) -> str:
        """Of the checkpoint's own files."""
        policy = self.standing.policy
        return self.standing.model.content_hash if policy is None else policy.content_hash

    def record(self) -> dict[str, object]:
        """For training.json."""
        return {"checkpoint": str(self.path), "step": self.step, "content_hash": self.content_hash}


def resolve_start(path: Path, model: ResolvedModel) -> Start:
    """A checkpoint to train on from.

    Args:
        path: a ``checkpoint-<step>`` directory with its training's directory around it.
        model: what that training, or the first of a chain of them, began with.

    Raises:
        ModelError: it is no checkpoint or not whole, or it was trained from another model.
        StoreError: its training.json cannot be read.
    """
    if not path.is_dir() or (step := step_of(path)) is None:
        raise ModelError(f"--start {path} is no checkpoint-<step> directory; {_others(path)}")
    if (reason := broken(path)) is not None:
        raise ModelError(f"--start {path} is {reason}; give another checkpoint, or finish its training first")
    file = path.resolve().parent / TRAINING_FILE
    if not file.is_file():
        raise ModelError(
            f"--start {path} has no {TRAINING_FILE} beside it, so that the model it was trained from is unknown; give "
            "a checkpoint of `bon-eval sft` or `bon-eval dpo`, or another program's whole model as --model"
        )
    stored = read_training(file)
    if origin_of(stored) != model.content_hash:
        raise ModelError(f"--start {path} was not trained from --model {model.name}; give the model that it began with")
    if (path / "adapter_config.json").is_file():
        standing = Standing(model, Policy(*resolve_adapter(str(path))))
    else:
        standing = Standing(resolve_model(str(path)))
    return Start(path.resolve(), step, standing, stored["settings"])


def _others(path: Path) -> str:
    """Which checkpoints there are where one was looked for."""
    training = path if path.is_dir() else path.parent
    inside = training.iterdir() if training.is_dir() else ()
    steps = sorted(step for p in inside if (step := step_of(p)) is not None and broken(p) is None)
    if not steps:
        return "give one of a training's checkpoints"
    return f"{training} has those of steps {', '.join(map(str, steps))}"


def origin_of(stored: Mapping[str, Any]) -> object:
    """The content hash of the model that a chain of trainings began with, by the training.json of its last one."""
    return stored.get("origin_hash", stored["identity"].get("model_hash"))


def with_lora_of(start: Start | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a training with the adapter of what it goes on from, where that is one.

    Raises:
        ConfigError: the options want another adapter.
    """
    if start is None or start.standing.policy is None:
        return dict(given)
    own = {name: start.settings[name] for name in ("lora_rank", "lora_alpha", "lora_targets")}
    for name, unsaid in (("lora_rank", None), ("lora_alpha", None), ("lora_targets", "all-linear")):
        if given.get(name, unsaid) not in (unsaid, own[name]):
            option = "--" + name.replace("_", "-")
            raise ConfigError(
                f"{option} {given[name]}: --start {start.path} is an adapter with {own[name]}, which is trained on; "
                f"leave {option} out"
            )
    return {**given, **own}
