"""Teacher-forced log-probs under one checkpoint: each response once, whatever sets it is in, stored as it comes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bon_eval.config import digest
from bon_eval.dpo.pairs.tokens import TokenResponse
from bon_eval.engines.base import Engine
from bon_eval.errors import EngineError, StoreError
from bon_eval.records import Forced, ForcedSequence
from bon_eval.run.console.progress import Progress
from bon_eval.run.forcing import open_log
from bon_eval.store import parts
from bon_eval.store.files import write_text
from bon_eval.store.forced import ForcedBy

_SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("logprobs", pa.list_(pa.float32()), nullable=False),
        pa.field("argmax_logprobs", pa.list_(pa.float32()), nullable=False),
    ]
)
_TOGETHER = 256
"""Responses that are stored together: at most so many are forced again after a kill."""

Keyed = Mapping[str, TokenResponse]
"""`response_key` -> response, each once."""


def response_key(response: TokenResponse) -> str:
    """What stands for a response after its prompt, wherever it is named: 32 hex digits over both token sequences."""
    return digest([list(response.prompt), list(response.response)])[:32]


def keyed(sets: Iterable[Iterable[TokenResponse]]) -> Keyed:
    """The responses of several sets."""
    return {response_key(response): response for responses in sets for response in responses}


@dataclass(frozen=True, slots=True)
class ForcedLog:
    """Where the forced log-probs under one checkpoint are stored: a directory for each model and way of running it."""

    place: Path
    """``forced/<run>`` of the tracking."""
    id: str
    """Of the model and the way of running it: `ForcedBy.id`."""

    @property
    def directory(self) -> Path:
        """Of the log-probs."""
        return self.place / self.id

    @property
    def _owner(self) -> str:
        return digest({"forced by": self.id})

    def missing(self, responses: Keyed) -> Keyed:
        """Those that are not there.

        Raises:
            StoreError: a part is damaged.
        """
        stored = parts.list_parts(self.directory, self._owner, _SCHEMA)
        held = {key for table in parts.read_parts(stored, ["key"]) for key in table["key"].to_pylist()}
        return {key: response for key, response in responses.items() if key not in held}

    def force(
        self,
        engine: Engine,
        by: ForcedBy,
        responses: Keyed,
        *,
        use_adapter: bool = True,
        label: str,
        quiet: bool = False,
    ) -> None:
        """Score responses that are `missing` and store them, some at a time.

        Raises:
            EngineError: the engine failed, or a log-prob is not finite or above 0; what was stored before is kept.
        """
        log = open_log(self.directory, self._owner, _SCHEMA)
        facts = {"by": asdict(by), "engine": engine.facts}
        write_text(self.directory / "model.json", json.dumps(facts, indent=2) + "\n")
        done, held = 0, list[Forced]()
        with Progress(len(responses), label=label, unit="responses", engine=engine, quiet=quiet) as progress:
            for forced in engine.score_argmax(_sequences(responses), use_adapter=use_adapter):
                values = np.asarray(forced.logprobs)
                if not np.isfinite(values).all() or (values > 0).any():
                    named = responses[forced.key]
                    raise EngineError(
                        f"{named.id} of problem {named.problem_id}: a forced log-prob is not finite or above 0; it was "
                        "not stored"
                    )
                held.append(forced)
                if len(held) == _TOGETHER:
                    log.append(_table(held))
                    done, held = done + len(held), []
                progress.advance(1)
        if done + len(held) != len(responses):
            raise EngineError(
                f"the engine scored {done + len(held)} of {len(responses)} responses; run the command again"
            )
        if held:
            log.append(_table(held))
        log.finish()

    def read(self) -> ForcedLogProbs:
        """All that is there.

        Raises:
            StoreError: a part is damaged.
        """
        stored = parts.list_parts(self.directory, self._owner, _SCHEMA)
        tables = list(parts.read_parts(stored, batch_bytes=parts.BATCH_BYTES))
        table = pa.concat_tables(tables).combine_chunks() if tables else _SCHEMA.empty_table()
        rows = {key: row for row, key in enumerate(table["key"].to_pylist())}
        (offsets, own), (_, argmax) = (_flat(table[name]) for name in ("logprobs", "argmax_logprobs"))
        return ForcedLogProbs(self.place.name, rows, offsets, own, argmax)


@dataclass(frozen=True, slots=True, eq=False)
class ForcedLogProbs:
    """Forced log-probs of R responses, token after token."""

    name: str
    """Of the checkpoint's run, for messages."""
    rows: Mapping[str, int]
    """`response_key` -> row."""
    offsets: NDArray[np.int64]
    """(R + 1,): row k owns the numbers from offsets[k] to offsets[k + 1]."""
    own: NDArray[np.float32]
    argmax: NDArray[np.float32]

    def log_likelihoods(self, keys: Sequence[str]) -> NDArray[np.float64]:
        """Summed log-probs, (len(keys),), in nats; raises `StoreError` where one is not there."""
        total = np.concatenate(([0.0], np.cumsum(self.own, dtype=np.float64)))
        at = np.array([self._row(key) for key in keys], dtype=np.intp)
        found: NDArray[np.float64] = total[self.offsets[at + 1]] - total[self.offsets[at]]
        return found

    def forced(self, keys: Sequence[str], names: Sequence[str]) -> list[Forced]:
        """Token by token; `names` says in messages which each is. Raises `StoreError` where one is not there."""
        out = []
        for key, name in zip(keys, names, strict=True):
            row = self._row(key)
            span = slice(self.offsets[row], self.offsets[row + 1])
            out.append(Forced(name, tuple(self.own[span].tolist()), tuple(self.argmax[span].tolist())))
        return out

    def _row(self, key: str) -> int:
        if (row := self.rows.get(key)) is None:
            raise StoreError(f"a response was not forced under {self.name}; run the same `bon-eval track` command")
        return row


def _flat(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Where each list begins and ends, and the numbers of all of them."""
    lists = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    offsets = lists.offsets.to_numpy().astype(np.int64)
    return offsets - offsets[:1], lists.flatten().to_numpy()


def _sequences(responses: Keyed) -> Iterator[ForcedSequence]:
    for key, response in responses.items():
        yield ForcedSequence(key, response.prompt, response.response)


def _table(rows: Sequence[Forced]) -> pa.Table:
    return pa.table(
        [
            [row.key for row in rows],
            pa.array([row.logprobs for row in rows], pa.list_(pa.float32())),
            pa.array([row.argmax_logprobs for row in rows], pa.list_(pa.float32())),
        ],
        schema=_SCHEMA,
    )
