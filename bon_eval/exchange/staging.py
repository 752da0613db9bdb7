"""A run directory that is filled aside and put into its place when it is whole: a failing import leaves nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bon_eval.errors import SourceError
from bon_eval.exchange.sample import Sample
from bon_eval.store.files import LOCK, TEMPORARY, cannot_write, lock, make_directory
from bon_eval.store.parts import SCHEMA, list_parts, read_parts, write_part

_ROWS = 2_048
_CHARS = 4 << 20
UNKNOWN = "unknown"
"""Stored as the finish reason of a response of which the source does not say whether it was cut."""

VERDICTS = pa.schema(
    [
        pa.field("problem_id", pa.string(), nullable=False),
        pa.field("arm", pa.string(), nullable=False),
        pa.field("index", pa.int32(), nullable=False),
        pa.field("correct", pa.bool_()),
    ]
)


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """A new folder beside `target`, which becomes it at the end, or is gone where anything is raised.

    Raises:
        SourceError: `target` is there already.
        StoreError: nothing can be written there, or another process fills it just now.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise SourceError(f"{target} exists; give --out another directory, since one import makes one run")
    made = [folder for folder in target.parents if not folder.exists()]
    temporary = target.with_name(f"{TEMPORARY}import-{target.name}")
    owner, done = None, False
    try:
        make_directory(temporary)
        owner = lock(temporary)
        _empty(temporary)  # of an import that was killed
        yield temporary
        (temporary / LOCK).unlink()
        if target.is_dir():
            target.rmdir()
        temporary.rename(target)
        done = True
    except OSError as error:
        raise cannot_write(target, error) from error
    finally:
        if owner is not None:
            if not done:
                shutil.rmtree(temporary, ignore_errors=True)
            owner.close()
        for folder in made if not done else ():
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def _empty(folder: Path) -> None:
    """Remove all but the lock."""
    for left in folder.iterdir():
        if left.is_dir():
            shutil.rmtree(left)
        elif left.name != LOCK:
            left.unlink()


Numbered = tuple[str, int, Sample]
"""Problem id, index within the problem and draw, and the response."""


def tables(responses: Iterable[Numbered], verdicts: Path) -> Iterator[pa.Table]:
    """The responses as rows of the store, some thousand at a time; the source's own verdicts go to a file beside.

    `verdicts`: left out where the source states none.
    """
    stated = False
    with pq.ParquetWriter(verdicts, VERDICTS, compression="zstd") as writer:
        for group in _grouped(responses):
            stated |= any(sample.correct is not None for _, _, sample in group)
            writer.write_table(_verdicts(group))
            yield _table(group)
    if not stated:
        verdicts.unlink()


def _grouped(responses: Iterable[Numbered]) -> Iterator[list[Numbered]]:
    held: list[Numbered] = []
    chars = 0
    for response in responses:
        held.append(response)
        sample = response[2]
        chars += len(sample.text) + 12 * (sample.size or 0)
        if len(held) >= _ROWS or chars >= _CHARS:
            yield held
            held, chars = [], 0
    if held:
        yield held


def _table(group: Sequence[Numbered]) -> pa.Table:
    samples = [sample for _, _, sample in group]
    # Stored log-likelihoods are sums of what is stored of the tokens, as those of sampled responses are.
    tokens = [None if s.token_logprobs is None else np.array(s.token_logprobs, dtype=np.float32) for s in samples]
    stated = [np.nan if sample.nats is None else sample.nats for sample in samples]
    nats = [
        s if t is None else float(np.add.reduceat(t.astype(np.float64), [0])[0])
        for s, t in zip(stated, tokens, strict=True)
    ]
    return pa.table(
        [
            pa.array([problem for problem, _, _ in group], pa.string()),
            pa.array([sample.draw for sample in samples], pa.string()),
            pa.array([index for _, index, _ in group], pa.int32()),
            # As of sampled responses: half of a surrogate pair cannot be stored.
            pa.array([sample.text.encode("utf-8", "replace").decode("utf-8") for sample in samples], pa.string()),
            _lists([sample.token_ids or () for sample in samples], np.int32),
            _lists([sample.token_logprobs or () for sample in samples], np.float32),
            pa.array(nats, pa.float64()),
            pa.array([sample.size or 0 for sample in samples], pa.int32()),
            pa.array([sample.finish_reason or UNKNOWN for sample in samples], pa.string()),
        ],
        schema=SCHEMA,
    )


def _lists(rows: Sequence[Sequence[float]], kind: type[np.generic]) -> pa.ListArray:
    offsets = np.concatenate(([0], np.cumsum([len(row) for row in rows])))
    flat = np.array([value for row in rows for value in row], dtype=kind)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(flat))


def _verdicts(group: Sequence[Numbered]) -> pa.Table:
    """The source's own verdicts as rows of `VERDICTS`."""
    return pa.table(
        [
            pa.array([problem for problem, _, _ in group], pa.string()),
            pa.array([sample.draw for _, _, sample in group], pa.string()),
            pa.array([index for _, index, _ in group], pa.int32()),
            pa.array([sample.correct for _, _, sample in group], pa.bool_()),
        ],
        schema=VERDICTS,
    )


Place = Callable[[str, str, int], int]
"""(problem, draw, number) -> index."""


def renumber(folder: Path, owner: str, place: Place, verdicts: str) -> None:
    """Give the responses of a folder, and the verdicts beside them, other indices; a row group at a time."""
    [part] = list_parts(folder / "responses", owner)
    write_part(folder / "responses", 1, 1, owner, (_placed(table, place) for table in read_parts([part])))
    part.path.unlink()
    path = folder / verdicts
    if path.is_file():
        other = path.with_name(f"{TEMPORARY}{path.name}")
        with pq.ParquetFile(path) as file, pq.ParquetWriter(other, VERDICTS, compression="zstd") as writer:
            for group in range(file.num_row_groups):
                writer.write_table(_placed(file.read_row_group(group), place))
        other.replace(path)


def _placed(table: pa.Table, place: Place) -> pa.Table:
    keys = zip(*(table[name].to_pylist() for name in ("problem_id", "arm", "index")), strict=True)
    index = pa.array([place(*key) for key in keys], pa.int32())
    at = table.column_names.index("index")
    return table.set_column(at, table.schema.field(at), index)
