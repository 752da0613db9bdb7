"""From what the user typed to local directories with known content: hub names, embedded models, adapters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bon_eval.engines import REMOTE
from bon_eval.engines.hashes import content_hash
from bon_eval.engines.hub import hub_model
from bon_eval.engines.weights import check_depth
from bon_eval.errors import Boundary, ModelError

ASSETS = Path(__file__).parents[1] / "assets"
EMBEDDED = ("arith-mixed", "arith-worked")
"""Small models that ship with the package, loadable by name."""


_PEFT = "give a complete directory as saved by PEFT"


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A model whose files are on this machine."""

    name: str
    directory: Path
    revision: str | None
    """Hub commit, or None for a local directory."""
    content_hash: str

    @property
    def slug(self) -> str:
        """The name as one path component."""
        name = self.directory.name if Path(self.name).exists() else self.name
        return name.strip("/").replace("/", "--") or "model"


def resolve_model(name: str, revision: str | None = None, *, weights: bool = True) -> ResolvedModel:
    """Find a model: a directory, an embedded model, or a hub id (downloaded, its commit recorded).

    `weights`: False for a model that runs elsewhere: its weights are neither downloaded nor part of the hash.

    Raises:
        ModelError: there is no such model, it has no config.json, its weights are missing or not complete, an adapter
            lies beside them, or a revision is given for a local one.
    """
    path = Path(name).expanduser()
    if not path.is_dir() and name in EMBEDDED:
        path = ASSETS / name
    if path.is_dir():
        if revision is not None:
            raise ModelError(f"--revision {revision} given, but model {name!r} is a local directory; drop --revision")
        if not (path / "config.json").is_file():
            raise ModelError(f"model directory {name!r} has no config.json; give a directory saved by transformers")
        return _resolved(name, path.resolve(), None, weights)
    if path.exists():
        raise ModelError(f"model {name!r} is a file; give the directory that holds config.json and the weights")
    if name.startswith(("/", ".", "~")):
        raise ModelError(f"model directory {name!r} does not exist")
    directory, commit = hub_model(name, revision, weights=weights)
    return _resolved(name, directory, commit, weights)


def _resolved(name: str, directory: Path, commit: str | None, weights: bool) -> ResolvedModel:
    if weights and (directory / "adapter_config.json").is_file():
        # transformers then takes the base model that the adapter names, and the adapter; vLLM takes neither.
        raise ModelError(
            f"model {name!r} holds an adapter besides ({directory / 'adapter_config.json'}), and engines differ in "
            "what they make of both; give the base model, and the adapter as --adapter from a folder of its own"
        )
    if weights:
        check_depth(directory)
    return ResolvedModel(name, directory, commit, content_hash(directory, weights=weights))


def resolve_adapter(path: str) -> tuple[Path, str]:
    """A LoRA adapter directory and its content hash.

    Raises:
        ModelError: no such directory, or no adapter_config.json in it, no weights, or not LoRA.
    """
    directory = Path(path).expanduser()
    config = directory / "adapter_config.json"
    if not config.is_file():
        raise ModelError(f"adapter {path!r} has no adapter_config.json; give a directory saved by PEFT")
    with Boundary(ModelError, f"adapter {path!r}: adapter_config.json cannot be read", _PEFT):
        content = json.loads(config.read_text(encoding="utf-8"))
        kind = content.get("peft_type")
    if kind != "LORA":
        raise ModelError(f"adapter {path!r} is of type {kind!r}; only LORA adapters can be served by every engine")
    return directory.resolve(), content_hash(directory, adapter=True)


def unchanged_model(config: Mapping[str, Any], run: Path) -> tuple[ResolvedModel, Path | None]:
    """The model of a stored run's configuration, and its adapter's directory where it has one.

    Raises:
        ModelError: one of them is not where it was, or its files have changed since `run` was sampled.
    """
    model = resolve_model(config["model"], config["revision"], weights=config["engine"] != REMOTE)
    adapter_dir, adapter_hash = resolve_adapter(config["adapter"]) if config["adapter"] else (None, None)
    for what, found, wanted in (
        (f"model {config['model']}", model.content_hash, config["model_hash"]),
        (f"adapter {config['adapter']}", adapter_hash, config["adapter_hash"]),
    ):
        if found != wanted:
            raise ModelError(f"{what} has changed since {run} was sampled; restore it, or sample that run again")
    return model, adapter_dir


def stated_context(directory: Path) -> int | None:
    """Context length in tokens that config.json states; None when it states none.

    Raises:
        ModelError: config.json is not readable JSON.
    """
    path = directory / "config.json"
    with Boundary(ModelError, f"{path} cannot be read", "give a directory saved by transformers"):
        config = json.loads(path.read_text(encoding="utf-8"))
        nested = config.get("text_config") or {}
        value = config.get("max_position_embeddings") or nested.get("max_position_embeddings")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 1 or value != int(value):
        raise ModelError(f"{path}: max_position_embeddings is {value!r}; it must be a whole number of tokens")
    return int(value)
