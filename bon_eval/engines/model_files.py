"""Which of a folder's files are a model: one rule for what is downloaded, what is hashed and what an engine loads."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

from bon_eval.errors import ModelError

_LOADED = (".safetensors", ".bin", ".pt")
"""Suffixes of weights that engines read, the preferred first."""
_WEIGHTS = frozenset(
    {
        *_LOADED,
        *(".pth", ".ckpt", ".gguf", ".ggml", ".h5", ".msgpack", ".npz", ".ot", ".onnx", ".onnx_data", ".pb"),
        *(".tflite", ".mlmodel", ".mlpackage", ".nemo", ".engine", ".pdparams", ".llamafile", ".task"),
    }
)
_NO_PART = frozenset(
    {
        *("", ".md", ".rst", ".log", ".pdf", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".mp4", ".ipynb"),
        *(".zip", ".tar", ".gz", ".tgz", ".7z"),
    }
)
"""Suffixes of notes, pictures and archives; the first is that of LICENSE and its like."""
_TRAINER_FILES = re.compile(
    r"trainer_state\.json|training_args\.bin|(optimizer|scheduler|scaler)\.(pt|bin)|rng_state(_\d+)?\.pth"
    r"|events\.out\.tfevents\..*"
)
_MODEL = ("model.safetensors", "pytorch_model.bin")
_ADAPTER = ("adapter_model.safetensors", "adapter_model.bin")


def model_files(
    names: Iterable[str], shards: Callable[[str], Iterable[str]], *, weights: bool = True, adapter: bool = False
) -> tuple[str, ...]:
    """Those of a folder's files that are the model, in a fixed order.

    At the top of the folder all but hidden files, notes, what a trainer keeps to go on from a checkpoint, and weights
    that are not loaded; below it code and templates alone, and what a shard's index names. Weights are taken once, as
    transformers does: model.safetensors, else its shards, else pytorch_model.bin, else its shards; where no file has
    one of these names, all of the first suffix that there is, as vLLM does.

    Args:
        names: paths in the folder, with slashes.
        shards: the weight files that an index among them names.
        weights: False leaves all weights out.
        adapter: the folder is a LoRA adapter as PEFT saves it, and its weights have other names.
    """
    there = {name for name in names if not _is_spare(name)}
    found = {name for name in there if PurePosixPath(name).suffix not in _WEIGHTS}
    if weights:
        found |= set(_weight_files(there, shards, _ADAPTER if adapter else _MODEL))
    return tuple(sorted(found, key=lambda name: name.split("/")))


def is_weights(name: str) -> bool:
    """Whether a file is named as weights are, of whatever framework."""
    return PurePosixPath(name).suffix in _WEIGHTS


def spare_weights(names: Iterable[str], files: Iterable[str]) -> tuple[str, ...]:
    """Weights in a folder besides those among `files`, the model's, which an engine that looks by itself may take."""
    used = set(files)
    return tuple(
        name
        for name in sorted(names)
        if name not in used
        and PurePosixPath(name).suffix in _LOADED
        and not _TRAINER_FILES.fullmatch(name)
        and ("/" not in name or _is_consolidated(name))
    )


def files_in(directory: Path, *, weights: bool = True, adapter: bool = False) -> tuple[str, ...]:
    """`model_files` of a folder on this machine.

    Raises:
        ModelError: it holds no weights that can be loaded, or not all that its index names.
    """
    names = names_in(directory)
    files = model_files(names, lambda index: index_shards(directory / index), weights=weights, adapter=adapter)
    if weights:
        check_weights(f"{'adapter' if adapter else 'model'} directory {str(directory)!r}", names, files)
    return files


def names_in(directory: Path) -> list[str]:
    """Every file below a folder, with slashes."""
    return [path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()]


def check_weights(what: str, names: Iterable[str], files: Iterable[str]) -> None:
    """Raise `ModelError` where `files`, a model's, are not all among the `names` in its folder or hold no weights."""
    there, needed = set(names), tuple(files)
    if lacking := [name for name in needed if name not in there]:
        raise ModelError(
            f"{what} is not complete: {lacking[0]} is missing"
            + (f" and {len(lacking) - 1} more" if len(lacking) > 1 else "")
            + "; fetch or copy it again"
        )
    if not any(map(is_weights, needed)):
        others = sorted({PurePosixPath(name).suffix for name in there if is_weights(name)} - set(_LOADED))
        raise ModelError(
            f"{what} holds no weights as .safetensors or .bin"
            + (f", only {', '.join(others)}" if others else "")
            + "; give a directory saved by transformers"
        )


def index_shards(index: Path) -> tuple[str, ...]:
    """The weight files that an index names.

    Raises:
        ModelError: it is not there or cannot be read, or names a file outside its folder.
    """
    try:
        named = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        outside = [name for name in named if ".." in PurePosixPath(name).parts or name.startswith("/")]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{index} cannot be read ({error!r}); fetch or copy the model again") from error
    if outside:
        raise ModelError(f"{index} names {outside[0]!r}, which lies outside the model's folder; do not load this model")
    return tuple(named)


def _weight_files(
    there: set[str], shards: Callable[[str], Iterable[str]], conventions: tuple[str, ...]
) -> tuple[str, ...]:
    for single in conventions:
        if single in there:
            return (single,)
        if (index := f"{single}.index.json") in there:
            return tuple(shards(index))
    for suffix in _LOADED:
        found = [name for name in there if "/" not in name and PurePosixPath(name).suffix == suffix]
        if found:
            return tuple(name for name in found if not _is_consolidated(name)) or tuple(found)
    return ()


def _is_spare(name: str) -> bool:
    """Whether a file is no part of the model, whatever else there is."""
    path = PurePosixPath(name)
    if any(part.startswith(".") for part in path.parts) or _TRAINER_FILES.fullmatch(path.name):
        return True
    if len(path.parts) > 1:
        return path.suffix not in (".py", ".jinja") or path.parts[0].startswith("checkpoint-")
    return path.suffix in _NO_PART


def _is_consolidated(name: str) -> bool:
    # Mistral's own format beside the one of transformers; vLLM by itself prefers it.
    return PurePosixPath(name).name.startswith("consolidated")
