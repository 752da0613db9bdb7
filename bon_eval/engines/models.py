"""From what the user typed to local directories with known content: hub names, embedded models, adapters."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bon_eval.engines import REMOTE
from bon_eval.errors import Boundary, ModelError, first_line

ASSETS = Path(__file__).parents[1] / "assets"
EMBEDDED = ("arith-mixed", "arith-worked")
"""Small models that ship with the package, loadable by name."""

_HUB_FILES = ["*.json", "*.safetensors", "*.jinja", "*.model", "*.txt", "*.py"]
_WEIGHTS = frozenset({".safetensors", ".bin", ".gguf", ".pt", ".pth", ".h5", ".msgpack"})
_PEFT = "give a complete directory as saved by PEFT"
_HASH_THREADS = 4
_TRAINER_FILES = re.compile(
    r"trainer_state\.json|training_args\.bin|(optimizer|scheduler|scaler)\.(pt|bin)|rng_state(_\d+)?\.pth"
)
_SHA256 = re.compile(r"[0-9a-f]{64}")


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
        ModelError: there is no such model, it has no config.json, or a revision is given for a local one.
    """
    path = Path(name).expanduser()
    if not path.is_dir() and name in EMBEDDED:
        path = ASSETS / name
    if path.is_dir():
        if revision is not None:
            raise ModelError(f"--revision {revision} given, but model {name!r} is a local directory; drop --revision")
        if not (path / "config.json").is_file():
            raise ModelError(f"model directory {name!r} has no config.json; give a directory saved by transformers")
        return ResolvedModel(name, path.resolve(), None, content_hash(path, weights=weights))
    if path.exists():
        raise ModelError(f"model {name!r} is a file; give the directory that holds config.json and the weights")
    if name.startswith(("/", ".", "~")):
        raise ModelError(f"model directory {name!r} does not exist")
    return _from_hub(name, revision, weights)


def _from_hub(name: str, revision: str | None, weights: bool) -> ResolvedModel:
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise ModelError(
            f"model {name!r} is no local directory, and reading the hub needs: pip install 'bon-eval[transformers]'"
        ) from error
    wanted = [p for p in _HUB_FILES if weights or p.removeprefix("*") not in _WEIGHTS]
    try:
        directory = Path(snapshot_download(name, revision=revision, allow_patterns=wanted))
    except Exception as error:  # the hub's client and its own dependencies raise anything
        raise ModelError(
            f"model {name!r} is neither a local directory, an embedded model ({', '.join(EMBEDDED)}), nor readable "
            f"from the hub: {first_line(error)}"
        ) from error
    if not (directory / "config.json").is_file():
        raise ModelError(f"hub model {name!r} has no config.json; it cannot be loaded as a language model")
    return ResolvedModel(name, directory, directory.name, content_hash(directory, weights=weights))


def resolve_adapter(path: str) -> tuple[Path, str]:
    """A LoRA adapter directory and its content hash.

    Raises:
        ModelError: no such directory, or no adapter_config.json in it, or not LoRA.
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
    return directory.resolve(), content_hash(directory)


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
        value = config.get("max_position_embeddings") or config.get("text_config", {}).get("max_position_embeddings")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 1 or value != int(value):
        raise ModelError(f"{path}: max_position_embeddings is {value!r}; it must be a whole number of tokens")
    return int(value)


def content_hash(directory: Path, *, weights: bool = True) -> str:
    """SHA-256 over a model directory's files, every byte of them; READMEs, logs and hidden files do not count, nor what
    a trainer keeps beside a checkpoint to go on from it.

    A tuned model may differ from its base in one small tensor, so no part is left out. Files are read in parallel. A
    weight file in the hub's cache is named by its SHA-256 already and is not read again. Without `weights` the hash is
    that of tokenizer and configuration alone.
    """
    total = hashlib.sha256()
    with Boundary(ModelError, f"{directory} cannot be read", "make its files readable"):
        files = [
            path
            for path in sorted(p for p in directory.rglob("*") if p.is_file())
            if not any(part.startswith(".") for part in path.relative_to(directory).parts)
            and path.suffix not in (".md", ".log")
            and not _TRAINER_FILES.fullmatch(path.name)
            and (weights or path.suffix not in _WEIGHTS)
        ]
        with ThreadPoolExecutor(_HASH_THREADS) as executor:
            for path, digest in zip(files, executor.map(_file_hash, files), strict=True):
                total.update(f"{path.relative_to(directory).as_posix()}\0{path.stat().st_size}\0".encode())
                total.update(digest)
    return total.hexdigest()


def _file_hash(path: Path) -> bytes:
    if path.is_symlink() and _SHA256.fullmatch(blob := path.resolve().name) and path.resolve().parent.name == "blobs":
        return bytes.fromhex(blob)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
