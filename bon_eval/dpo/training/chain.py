"""Trainings that went on from one another as one series of checkpoints: SFT's, then those of the DPO after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from bon_eval.dpo.training.checkpoints import (
    TRAINING_FILE,
    Checkpoint,
    CheckpointSeries,
    Stage,
    find_checkpoints,
    first_effect,
    read_training,
    same_weights,
)
from bon_eval.engines.hashes import content_hash
from bon_eval.errors import ConfigError, ModelError


def find_chain(directories: Sequence[Path]) -> CheckpointSeries:
    """The checkpoints of one training, or of several in their order, whose steps go on counting.

    A training's checkpoint-0 must be a checkpoint of the one before, by its weights; the later ones of that are left
    out. What is an adapter there on a whole checkpoint is one here.

    Raises:
        ConfigError: a directory is given twice.
        ModelError: as `find_checkpoints`, or a training does not start at a checkpoint of the one before.
        StoreError: a training.json that is needed cannot be read.
    """
    found = [find_checkpoints(directory) for directory in directories]
    if len(found) == 1:
        return found[0]
    if len({directory.resolve() for directory in directories}) < len(directories):
        raise ConfigError("--checkpoints gives one directory twice; give each training of the chain once")
    kept, first = list(found[0].checkpoints), [0]
    for (before, directory), series in zip(pairwise(directories), found[1:], strict=True):
        zero, *later = series.checkpoints
        if zero.step != 0 or not later:
            lacking = "whole checkpoint-0, which says where it starts" if zero.step != 0 else "checkpoint after step 0"
            raise ModelError(f"{directory} holds no {lacking}; give a training that has one")
        candidates = [c for c in kept if c.step > first[-1]]
        link = next((c for c in reversed(candidates) if _is(zero, c)), None)
        if link is None:
            steps = ", ".join(str(c.step - first[-1]) for c in candidates) or "none"
            raise ModelError(
                f"{zero.path} is no checkpoint of {before} (steps {steps}), so the chain is broken; give the trainings "
                "in their order, each started from a checkpoint of the one before"
            )
        on = link.on if link.is_adapter else link.path if zero.is_adapter else None
        kept = [c for c in kept if c.step <= link.step]
        kept += [replace(c, step=link.step + c.step, on=on) for c in later]
        first.append(link.step)
    last = [*first[1:], kept[-1].step]
    stages = tuple(_stage(directory, a, b) for directory, a, b in zip(directories, first, last, strict=True))
    return CheckpointSeries(tuple(kept), tuple(line for series in found for line in series.skipped), stages)


def _is(zero: Checkpoint, other: Checkpoint) -> bool:
    """Whether a training's checkpoint-0 is this checkpoint of another: the same weights, or an adapter on them."""
    if zero.is_adapter == other.is_adapter:
        return same_weights(zero.path, other.path)
    if not zero.is_adapter or first_effect(zero.path) is not None:
        return False
    file = zero.path.parent / TRAINING_FILE
    return file.is_file() and read_training(file)["identity"].get("model_hash") == content_hash(other.path)


def _stage(directory: Path, first: int, last: int) -> Stage:
    file = directory / TRAINING_FILE
    if not file.is_file():
        rounds = directory / "round-1" / TRAINING_FILE
        if not rounds.is_file():
            return Stage(str(directory), None, None, first, last)
        file = rounds
    settings = read_training(file)["settings"]
    method = settings.get("method")
    return Stage(str(directory), method, settings.get("loss", "sigmoid") if method == "dpo" else None, first, last)
