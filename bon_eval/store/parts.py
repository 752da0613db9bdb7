"""Response parts: Parquet files that are written whole, named by the range of appends that they hold, and merged.

``part-00000012-00000012.parquet`` holds append 12; ``part-00000000-00000063.parquet`` holds appends 0 to 63 merged. A
part whose range lies inside another's is superseded (a merge was interrupted before it could remove it) and is not
read. So every state that a killed process can leave behind reads as the same table.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bon_eval.errors import EngineError, StoreError, first_line
from bon_eval.records import Response
from bon_eval.store.files import TEMPORARY, write_atomic
from bon_eval.store.sound import sound_logprobs

SCHEMA = pa.schema(
    [
        pa.field("problem_id", pa.string(), nullable=False),
        pa.field("arm", pa.string(), nullable=False),
        pa.field("index", pa.int32(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("token_ids", pa.list_(pa.int32()), nullable=False),
        pa.field("token_logprobs", pa.list_(pa.float32()), nullable=False),
        pa.field("log_likelihood", pa.float64(), nullable=False),
        pa.field("n_tokens", pa.int32(), nullable=False),
        pa.field("finish_reason", pa.string(), nullable=False),
    ]
)
TOPK_SCHEMA = SCHEMA.append(pa.field("token_topk", pa.list_(pa.float32()), nullable=False))
"""Of runs that store the top-k confidence of each token."""
BATCH_BYTES = 8 << 20
"""Of neighbouring row groups that a reader takes at once."""
_NAME = re.compile(r"part-(\d{8})-(\d{8})\.parquet")
_RUN_KEY = b"bon_eval.run"
_NUMBERS = ("token_ids", "token_logprobs", "token_topk")
_MERGE = 64
_GROUP_BYTES = 8 << 20
_SMALL_BYTES = 8 << 20


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """One Parquet file with the appends `first` to `last`."""

    first: int
    last: int
    path: Path


def part_path(directory: Path, first: int, last: int) -> Path:
    """Where a part with the given range lives."""
    return directory / f"part-{first:08d}-{last:08d}.parquet"


def list_parts(directory: Path, run: str, schema: pa.Schema = SCHEMA) -> list[Part]:
    """The parts that are current, in order, each checked to be whole, of the given run and of the given schema.

    Raises:
        StoreError: a file is truncated, foreign, of another run, or overlaps another; the message names it.
    """
    current = current_parts(directory)
    for part in current:
        _check(part.path, run, schema)
    return current


def current_parts(directory: Path) -> list[Part]:
    """The parts that are current, in order, by their names alone; raises `StoreError` for one as `list_parts` does."""
    parts = []
    for path in sorted(directory.glob("*.parquet")):
        if path.name.startswith(TEMPORARY):
            continue
        match = _NAME.fullmatch(path.name)
        if match is None:
            raise StoreError(f"{path} is no response part of this run; move it away, the other parts are intact")
        parts.append(Part(int(match[1]), int(match[2]), path))
    parts.sort(key=lambda part: (part.first, -part.last))
    current: list[Part] = []
    for part in parts:
        if current and part.last <= current[-1].last:
            continue
        if current and part.first <= current[-1].last:
            raise StoreError(f"{part.path} overlaps {current[-1].path.name}; move one of them away")
        current.append(part)
    return current


def _check(path: Path, run: str, expected: pa.Schema) -> None:
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise StoreError(
            f"{path} is truncated or no Parquet file; move it away and run the same command: "
            "the other parts are kept and only what it held is sampled again"
        ) from error
    owner = (schema.metadata or {}).get(_RUN_KEY, b"").decode("utf-8", "replace")
    if owner != run or not schema.remove_metadata().equals(expected):
        raise StoreError(f"{path} belongs to another run or program; move it away, the other parts are intact")


def to_table(responses: Sequence[Response], schema: pa.Schema = SCHEMA) -> pa.Table:
    """Responses as rows of `SCHEMA` or `TOPK_SCHEMA`, refused when their log-probs cannot be true.

    Token ids may be missing as a whole: a server need not give them.

    Raises:
        EngineError: as `sound_logprobs`; a top-k confidence is missing, negative or not finite.
    """
    flat = sound_logprobs(responses)
    lengths = np.array([r.n_tokens for r in responses], dtype=np.int64)
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    sums = np.add.reduceat(flat.astype(np.float64), offsets[:-1]) if len(flat) else np.zeros(0)
    list_offsets = pa.array(offsets, pa.int32())
    ids = pa.array(np.array([t for r in responses for t in r.token_ids], dtype=np.int32))
    id_offsets = np.concatenate(([0], np.cumsum([len(r.token_ids) for r in responses])))
    columns = [
        pa.array([r.problem_id for r in responses], pa.string()),
        pa.array([r.arm for r in responses], pa.string()),
        pa.array([r.index for r in responses], pa.int32()),
        # A lone surrogate cannot be stored as UTF-8; the token ids keep what the model really said.
        pa.array([r.text.encode("utf-8", "replace").decode("utf-8") for r in responses], pa.string()),
        pa.ListArray.from_arrays(pa.array(id_offsets, pa.int32()), ids),
        pa.ListArray.from_arrays(list_offsets, pa.array(flat)),
        pa.array(sums, pa.float64()),
        pa.array(lengths, pa.int32()),
        pa.array([r.finish_reason for r in responses], pa.string()),
    ]
    if "token_topk" in schema.names:
        columns.append(pa.ListArray.from_arrays(list_offsets, pa.array(_confidences(responses))))
    return pa.table(columns, schema=schema)


def _confidences(responses: Sequence[Response]) -> NDArray[np.float32]:
    for r in responses:
        found = np.array([] if r.token_topk is None else r.token_topk, dtype=np.float32)
        if len(found) != r.n_tokens or not (np.isfinite(found) & (found >= 0)).all():
            raise EngineError(
                f"problem {r.problem_id}, {r.arm} {r.index}: the engine gave no finite top-k confidence >= 0 for each "
                "token; it was not stored"
            )
    return np.array([x for r in responses for x in r.token_topk or ()], dtype=np.float32)


def write_part(
    directory: Path, first: int, last: int, run: str, tables: Iterable[pa.Table], schema: pa.Schema = SCHEMA
) -> Path:
    """Write tables as one part, whole or not at all.

    Small tables are joined into row groups, but none is divided: what was stored together, a whole pool, is read
    together.
    """
    path = part_path(directory, first, last)
    marked = schema.with_metadata({_RUN_KEY: run.encode()})
    repetitive = [name for name in ("problem_id", "arm", "finish_reason") if name in schema.names]
    # Bytes of equal weight side by side: the high ones of numbers that are alike compress well, the low ones do not.
    split = {f"{name}.list.element": "BYTE_STREAM_SPLIT" for name in _NUMBERS if name in schema.names}

    def write(temporary: Path) -> None:
        with pq.ParquetWriter(
            temporary,
            marked,
            compression="zstd",
            use_dictionary=repetitive,
            column_encoding=split,
            write_statistics=False,
        ) as writer:
            for table in _groups(tables):
                writer.write_table(table.replace_schema_metadata(marked.metadata), row_group_size=table.num_rows)

    write_atomic(path, write)
    return path


def _groups(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Neighbouring tables joined until they are worth a row group."""
    held: list[pa.Table] = []
    size = 0
    for table in tables:
        if held and size + table.nbytes > _GROUP_BYTES:
            yield pa.concat_tables(held)
            held, size = [], 0
        held.append(table)
        size += table.nbytes
    if held:
        yield pa.concat_tables(held)


def read_parts(
    parts: Iterable[Part],
    columns: Sequence[str] | None = None,
    *,
    batch_bytes: int = 0,
    only: Collection[int] | None = None,
) -> Iterator[pa.Table]:
    """Row groups of the parts, in order, one at a time.

    Args:
        parts: as `list_parts` gives them.
        columns: those to read; None reads all.
        batch_bytes: join neighbouring row groups of a part up to this size, all columns uncompressed: small groups
            cost more to open than to read.
        only: numbers of the batches to read, counted from 0 as these `parts` and `batch_bytes` make them; None: all.

    Raises:
        StoreError: a part's data cannot be read; the message names it.
    """
    names = None if columns is None else list(columns)
    numbers = count()
    for part in parts:
        try:
            with pq.ParquetFile(part.path) as file:
                for groups in _batches(file.metadata, batch_bytes):
                    if only is None or next(numbers) in only:
                        yield file.read_row_groups(groups, columns=names)
        except (pa.ArrowInvalid, OSError) as error:
            raise StoreError(
                f"{part.path} is damaged ({first_line(error)}); move it away and run the same command: "
                "the other parts are kept and only what it held is sampled again"
            ) from error


def _batches(metadata: pq.FileMetaData, batch_bytes: int) -> Iterator[list[int]]:
    """Numbers of the row groups of one file, in batches of at most that size but never empty."""
    held: list[int] = []
    size = 0
    for group in range(metadata.num_row_groups):
        more = metadata.row_group(group).total_byte_size
        if held and size + more > batch_bytes:
            yield held
            held, size = [], 0
        held.append(group)
        size += more
    if held:
        yield held


class PartLog:
    """The writer of one directory of parts: appends, and merges what has become many small files."""

    def __init__(self, directory: Path, run: str, schema: pa.Schema = SCHEMA) -> None:
        """Raises `StoreError` as `list_parts` does."""
        self._directory, self._run, self._schema = directory, run, schema
        self.parts = list_parts(directory, run, schema)
        """As they were found."""
        self._next = self.parts[-1].last + 1 if self.parts else 0
        # Only those after the last merged one: a range that reached over it would supersede it.
        self._small = list(takewhile(lambda part: part.first == part.last, reversed(self.parts)))[::-1]

    def append(self, table: pa.Table) -> None:
        """Store a table, whole or not at all."""
        path = write_part(self._directory, self._next, self._next, self._run, [table], self._schema)
        self._small.append(Part(self._next, self._next, path))
        self._next += 1
        if len(self._small) >= _MERGE:
            self.merge()

    def merge(self) -> None:
        """Replace the parts of single appends by one."""
        small, self._small = self._small, []
        self._join(small)

    def finish(self) -> None:
        """Join all that is small, for what is not going to be appended to: a part's footer alone takes 2 kB."""
        self._small = []
        held: list[Part] = []
        for part in list_parts(self._directory, self._run, self._schema):
            if part.path.stat().st_size >= _SMALL_BYTES:
                self._join(held)
                held = []
            else:
                held.append(part)
        self._join(held)

    def _join(self, parts: Sequence[Part]) -> None:
        """One part in place of several; a kill between the two steps leaves the old ones superseded."""
        if len(parts) < 2:
            return
        write_part(self._directory, parts[0].first, parts[-1].last, self._run, read_parts(parts), self._schema)
        for part in parts:
            part.path.unlink()
