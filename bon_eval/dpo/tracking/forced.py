"""Teacher-forced log-probs of named sets of responses under one checkpoint, stored whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bon_eval.dpo.pairs.tokens import TokenResponse
from bon_eval.engines.base import Engine
from bon_eval.errors import EngineError, StoreError
from bon_eval.records import Forced, ForcedSequence
from bon_eval.run.console.progress import Progress
from bon_eval.store.files import write_atomic

Sets = Mapping[str, Sequence[TokenResponse]]
"""Set name -> its responses; the name of a pair set's side is ``<set>/chosen`` or ``<set>/rejected``."""

_SCHEMA = pa.schema(
    [
        pa.field("set", pa.string(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("logprobs", pa.list_(pa.float32()), nullable=False),
        pa.field("argmax_logprobs", pa.list_(pa.float32()), nullable=False),
    ]
)
_OWNER = b"bon_eval.forced"
_BASE = b"bon_eval.base_responses"


@dataclass(frozen=True, slots=True)
class ForcedFile:
    """Where a checkpoint's forced log-probs are stored, and of what."""

    path: Path
    owner: str
    """Digest of the model and of the sets; another one makes the file another measurement."""
    base: str = ""
    """Digest of the base model's responses among the sets: they are others when its pools have grown."""

    def exists(self) -> bool:
        """Whether the file is there, whole, of this owner and of these responses of the base model.

        Raises:
            StoreError: it is there and damaged, or of another owner.
        """
        if not self.path.is_file():
            return False
        try:
            metadata = pq.read_schema(self.path).metadata or {}
        except (pa.ArrowInvalid, OSError) as error:
            raise StoreError(f"{self.path} is damaged; move it away and run the same command") from error
        if metadata.get(_OWNER, b"").decode() != self.owner:
            raise StoreError(f"{self.path} is of another checkpoint or other pairs; give --out another directory")
        return bool(metadata.get(_BASE, b"").decode() == self.base)


def force(
    file: ForcedFile, engine: Engine, sets: Sets, *, use_adapter: bool = True, label: str, quiet: bool = False
) -> None:
    """Score every response of every set and write the file.

    Raises:
        EngineError: the engine failed, or a log-prob is not finite or above 0.
    """
    total = sum(map(len, sets.values()))
    found: dict[str, Forced] = {}
    with Progress(total, label=label, unit="responses", engine=engine, quiet=quiet) as progress:
        for forced in engine.score_argmax(_sequences(sets), use_adapter=use_adapter):
            values = np.asarray(forced.logprobs)
            if not np.isfinite(values).all() or (values > 0).any():
                raise EngineError(f"{forced.key}: a forced log-prob is not finite or above 0; nothing was stored")
            found[forced.key] = forced
            progress.advance(1)
    keys = [(name, response.id) for name, responses in sets.items() for response in responses]
    rows = [found[_key(name, id_)] for name, id_ in keys]
    table = pa.table(
        [
            [name for name, _ in keys],
            [id_ for _, id_ in keys],
            pa.array([row.logprobs for row in rows], pa.list_(pa.float32())),
            pa.array([row.argmax_logprobs for row in rows], pa.list_(pa.float32())),
        ],
        schema=_SCHEMA.with_metadata({_OWNER: file.owner.encode(), _BASE: file.base.encode()}),
    )
    write_atomic(file.path, lambda temporary: pq.write_table(table, temporary, compression="zstd"))


def read_forced(path: Path) -> dict[str, list[Forced]]:
    """Set name -> forced log-probs in the set's own order."""
    out: dict[str, list[Forced]] = {}
    for row in pq.read_table(path).to_pylist():
        forced = Forced(f"{row['set']}, {row['id']}", tuple(row["logprobs"]), tuple(row["argmax_logprobs"]))
        out.setdefault(row["set"], []).append(forced)
    return out


def _sequences(sets: Sets) -> Iterator[ForcedSequence]:
    for name, responses in sets.items():
        for response in responses:
            yield ForcedSequence(_key(name, response.id), response.prompt, response.response)


def _key(name: str, id_: str) -> str:
    return json.dumps([name, id_])
