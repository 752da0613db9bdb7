"""What the files of weights say before they are loaded: names, and whether config.json can be of them."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from pathlib import Path

from bon_eval.engines.model_files import files_in
from bon_eval.errors import Boundary, ModelError

_DEPTHS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_LAYER = re.compile(r"(?<=\.)\d+(?=\.)")
"""The number of a layer, or of another part of many, in the name of its weights."""
_IN_THE_STACK = re.compile(r"(?:^|\.)(?:layers?|h|blocks?)\.(\d+)\.")
_SHARED = 2
"""How many layers of a configuration may have the weights of one, as in models that repeat theirs."""
_DEEPEST = 10_000
"""Layers of a model whose files do not name their weights without being loaded."""


def tensor_names(directory: Path, files: Iterable[str]) -> frozenset[str]:
    """The names of the weights in a folder's files, without reading these; none of files that do not tell (.bin).

    Raises:
        ModelError: a file is damaged.
    """
    from safetensors import safe_open

    found: set[str] = set()
    for name in files:
        if name.endswith(".safetensors"):
            remedy = "fetch or copy it again"
            with (
                Boundary(ModelError, f"{directory / name} cannot be read", remedy),
                safe_open(str(directory / name), framework="numpy") as file,
            ):
                found.update(file.keys())
    return frozenset(found)


def check_depth(directory: Path) -> None:
    """Raise `ModelError` where config.json states a number of layers that its weights cannot have.

    An engine would build them all before it found out, or none of them and answer by the embeddings alone. Also where
    weights are missing or damaged.
    """
    path, files = directory / "config.json", files_in(directory)
    with Boundary(ModelError, f"{path} cannot be read", "give a directory saved by transformers"):
        config = json.loads(path.read_text(encoding="utf-8"))
        parts = (config, config.get("text_config") or {})
        stated = [(key, part[key]) for part in parts for key in _DEPTHS if key in part]
    there = max((int(n) + 1 for name in tensor_names(directory, files) for n in _IN_THE_STACK.findall(name)), default=0)
    for key, value in stated:
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ModelError(f"{path}: {key} is {value!r}; it must be a whole number of layers, at least 1")
        if value > (_SHARED * there or _DEEPEST):
            has = f"and the weights beside it are of {there}" if there else f"more than the {_DEEPEST:,} of any model"
            raise ModelError(f"{path}: {key} is {value}, {has}; give files and configuration of one model")


def missing(what: str, names: Collection[str]) -> ModelError:
    """What to raise where weights are missing, which would be random."""
    return ModelError(
        f"{what} is not complete: its files hold no {min(names)}"
        + (f" and {len(names) - 1} more weights" if len(names) > 1 else "")
        + ", which its configuration wants; give files and configuration of one model"
    )


def left_over(what: str, names: Collection[str]) -> ModelError:
    """What to raise where weights would be left out."""
    return ModelError(
        f"{what} has more weights than its configuration: {min(names)}"
        + (f" and {len(names) - 1} more" if len(names) > 1 else "")
        + " would be left out; give files and configuration of one model"
    )


def check_whole(what: str, lacking: Collection[str], spare: Iterable[str], own: Collection[str]) -> None:
    """Raise `ModelError` where weights are missing, which would be random, or left over of layers like the model's.

    Other weights that are left over belong to parts that are not used here, as a vision tower.
    """
    if lacking:
        raise missing(what, lacking)
    kinds = {_LAYER.sub("#", name) for name in own}
    if more := [name for name in spare if _LAYER.sub("#", name) in kinds]:
        raise left_over(what, more)
