"""The checkpoints of a training directory: which are whole, which are not, and which are missing."""

from __future__ import annotations

import itertools
import json
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bon_eval.errors import ModelError, StoreError
from bon_eval.stats.units import Count

TRAINING_FILE = "training.json"
TRAINING_FORMAT = 1
_NAME = re.compile(r"checkpoint-(\d+)")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A whole checkpoint: a model directory, or a LoRA adapter directory."""

    step: int
    """Optimizer steps since the base model, over all rounds."""
    path: Path
    is_adapter: bool
    on: Path | None = None
    """The checkpoint that an adapter is on, where an earlier training of a chain made it; None: the base model."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One training of a chain, by the optimizer steps that it took in it."""

    directory: str
    method: str | None
    """``sft`` or ``dpo``; None where another program trained."""
    loss: str | None
    """Of DPO."""
    first: Count
    """Steps before it: its checkpoint-0 is the chain's checkpoint there."""
    last: Count


@dataclass(frozen=True, slots=True)
class CheckpointSeries:
    """All checkpoints of one training, or of a chain of them, by step."""

    checkpoints: tuple[Checkpoint, ...]
    skipped: tuple[str, ...]
    """One line for each checkpoint that is half-written or missing."""
    stages: tuple[Stage, ...] = ()
    """Of a chain; none of one training."""


def find_checkpoints(directory: Path) -> CheckpointSeries:
    """The checkpoints under a training directory (``checkpoint-<step>``, of each round where there are several).

    Half-written checkpoints are skipped and named, and so are steps that are missing from an even spacing.

    Raises:
        ModelError: no directory, no whole checkpoint, or adapters and full models mixed.
        StoreError: a round before the last whose steps cannot be read.
    """
    if not directory.is_dir():
        state = "is a file; give the directory that holds it" if directory.exists() else "does not exist"
        raise ModelError(f"checkpoint directory {directory} {state}")
    found: dict[int, Checkpoint] = {}
    skipped = []
    for offset, folder in _folders(directory):
        for path in sorted(folder.iterdir()):
            number = step_of(path)
            if number is None:
                continue
            if (reason := broken(path)) is not None:
                skipped.append(f"{path} is skipped: {reason}")
                continue
            step = offset + number
            if step not in found:  # a round's step 0 is the step before it
                found[step] = Checkpoint(step, path, (path / "adapter_config.json").is_file())
    if not found:
        raise ModelError(f"{directory} holds no whole checkpoint-<step>{'; ' + skipped[0] if skipped else ''}")
    kinds = {checkpoint.is_adapter for checkpoint in found.values()}
    if len(kinds) > 1:
        raise ModelError(f"{directory} mixes LoRA adapters and full checkpoints; give one training's directory")
    steps = sorted(found)
    missing = _gaps(steps)
    if missing:
        skipped.append(f"{directory} has gaps: no checkpoint at step {', '.join(map(str, missing))}")
    return CheckpointSeries(tuple(found[step] for step in steps), tuple(skipped))


def step_of(path: Path) -> int | None:
    """The step of a ``checkpoint-<step>`` directory; None for anything else."""
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match is not None and path.is_dir() else None


def broken(path: Path) -> str | None:
    """Why a checkpoint directory is not whole; None where it is."""
    names = {p.name for p in path.iterdir()}
    if "adapter_config.json" not in names and "config.json" not in names:
        return "half-written (neither config.json nor adapter_config.json)"
    weights = sorted(path.glob("*.safetensors"))
    if not weights:
        return "half-written (no .safetensors file)"
    for file in weights:
        if not _whole(file):
            return f"half-written ({file.name} is cut short)"
    index = path / "model.safetensors.index.json"
    if index.is_file():
        try:
            named = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, KeyError, TypeError, AttributeError):
            return f"half-written ({index.name} is cut short)"
        if lacking := sorted(named - names):
            return f"half-written ({lacking[0]} is missing)"
    # The trainer writes its state last.
    if "trainer_state.json" not in names:
        return "half-written (no trainer_state.json)"
    try:
        json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError):
        return "half-written (trainer_state.json is cut short)"
    return None


def check_start(checkpoint: Checkpoint, base: Path) -> None:
    """Raise `ModelError` unless a checkpoint at step 0 is the base model: equal weights, or an adapter without effect.

    A stored base in lower precision equals its float32 copy, since widening is exact.
    """
    moved = first_effect(checkpoint.path) if checkpoint.is_adapter else first_difference(checkpoint.path, base)
    if moved is not None:
        raise ModelError(
            f"{checkpoint.path} is not the base model {base} ({moved} differs), so the trajectory does not start "
            "there; give the model that was trained as --base"
        )


def first_effect(adapter: Path) -> str | None:
    """A weight by which a LoRA adapter changes its model; None where it changes nothing.

    Raises:
        ModelError: it has no LoRA weight.
    """
    found = _tensors(adapter)
    # An adapter adds B A (embeddings: B A too), so B = 0 leaves the model as it is.
    effects = [n for n in found if ".lora_B." in n or ".lora_embedding_B" in n]
    if not effects:
        raise ModelError(f"{adapter} has no LoRA weight (lora_B); give a checkpoint of a LoRA training")
    return next((n for n in effects if bool(_tensor(found[n], n).any())), None)


def first_difference(one: Path, other: Path) -> str | None:
    """A weight that a model has in common with its base and that differs; None where there is none.

    Raises:
        ModelError: they have no weight in common.
    """
    found, known = _tensors(one), _tensors(other)
    shared = sorted(found.keys() & known.keys())
    if not shared:
        raise ModelError(f"{one} and the base model {other} have no weight in common; give its own base")
    return next((n for n in shared if not _equal(_tensor(found[n], n), _tensor(known[n], n))), None)


def same_weights(one: Path, other: Path) -> bool:
    """Whether two directories hold the same weights, as names and values."""
    found, known = _tensors(one), _tensors(other)
    return found.keys() == known.keys() and all(_equal(_tensor(found[n], n), _tensor(known[n], n)) for n in found)


def _tensors(directory: Path) -> dict[str, Path]:
    """Name of a weight -> its file."""
    from safetensors import safe_open

    names: dict[str, Path] = {}
    for file in sorted(directory.glob("*.safetensors")):
        with safe_open(str(file), framework="pt") as opened:
            names |= dict.fromkeys(opened.keys(), file)
    return names


def _tensor(file: Path, name: str) -> Any:
    from safetensors import safe_open

    with safe_open(str(file), framework="pt") as opened:
        return opened.get_tensor(name)


def _equal(a: Any, b: Any) -> bool:
    return a.shape == b.shape and bool((a.float() == b.float()).all())


def read_training(path: Path) -> dict[str, Any]:
    """The content of a training's `TRAINING_FILE`: ``format``, ``settings`` and ``identity``.

    Raises:
        StoreError: it is missing, damaged or of another format.
    """
    damaged = StoreError(f"{path} is damaged; move its directory away and train again")
    try:
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if stored["format"] != TRAINING_FORMAT:
            raise StoreError(f"{path} is not of training format {TRAINING_FORMAT}; use the version that wrote it")
        whole = type(stored["settings"]["steps"]) is int and isinstance(stored["identity"], dict)
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}; give a whole training directory") from error
    except (ValueError, KeyError, TypeError) as error:
        raise damaged from error
    if not whole:
        raise damaged
    return stored


def _folders(directory: Path) -> Iterable[tuple[int, Path]]:
    """(steps before it, folder) of each round; a training without rounds is one folder."""
    rounds = sorted(
        (int(p.name.removeprefix("round-")), p)
        for p in directory.iterdir()
        if p.is_dir() and re.fullmatch(r"round-\d+", p.name)
    )
    if not rounds:
        return [(0, directory)]
    steps = [int(read_training(folder / TRAINING_FILE)["settings"]["steps"]) for _, folder in rounds[:-1]]
    before = itertools.accumulate(steps, initial=0)
    return [(offset, folder) for offset, (_, folder) in zip(before, rounds, strict=True)]


def _whole(file: Path) -> bool:
    """Whether a safetensors file is as long as its header says."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        head = stream.read(8)
        if len(head) < 8:
            return False
        (length,) = struct.unpack("<Q", head)
        if 8 + length > size:
            return False
        try:
            header = json.loads(stream.read(length))
            ends = [int(entry["data_offsets"][1]) for name, entry in header.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            return False
    return bool(size == 8 + length + max(ends, default=0))


def _gaps(steps: list[int]) -> list[int]:
    """Steps that are missing between the first and the last, by the smallest spacing that most neighbours have."""
    if len(steps) < 3:
        return []
    spaces = [b - a for a, b in itertools.pairwise(steps)]
    common = max(set(spaces), key=lambda space: (spaces.count(space), -space))
    return [step for a, b in itertools.pairwise(steps) for step in range(a + common, b, common)]
