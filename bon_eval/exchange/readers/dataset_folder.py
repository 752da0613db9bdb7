"""A Hugging Face data set as a folder: Parquet, JSON Lines or CSV in it or in ``data/``, or as ``save_to_disk`` writes.

Rows are plain ones, a response or a list column of them each; columns are found and named as those of single files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bon_eval.exchange.columns import Columns, resolved_rows, samples_of
from bon_eval.exchange.lines import Record, reading, records
from bon_eval.exchange.readers.base import About, Reader
from bon_eval.exchange.sample import Sample
from bon_eval.exchange.writers.dataset_folder import FACTS

_ENDINGS = (".parquet", ".jsonl", ".ndjson", ".csv", ".arrow")
_ROWS = 64


def _files(path: Path) -> Sequence[Path]:
    if path.is_file():
        return (path,)
    for ending in _ENDINGS:  # one kind of file: others are the same rows again
        found = sorted({*path.glob(f"*{ending}"), *path.glob(f"data/**/*{ending}")})
        if found:
            return found
    return ()


def _rows(path: Path) -> Iterator[tuple[str, int, Record]]:
    if path.suffix != ".arrow":
        yield from records(path)
        return
    import pyarrow as pa

    number = 0
    with reading(path), pa.memory_map(str(path)) as source:
        for batch in pa.ipc.open_stream(source):
            for start in range(0, batch.num_rows, _ROWS):
                for record in batch.slice(start, _ROWS).to_pylist():
                    yield f"{path}, row {number}", number, record
                    number += 1


def _samples(path: Path, columns: Columns) -> Iterator[Sample]:
    for where, row, record, resolved in resolved_rows(_rows(path), lambda _: columns):
        yield from samples_of(record, where, row, resolved)


def _about(path: Path, columns: Columns) -> About:
    where, _, record = next(_rows(path))
    return About(columns=columns.resolved(record, where), **_facts(path))


def _facts(path: Path) -> dict[str, Any]:
    """What an export wrote of the run into the metadata of its files; other data sets say nothing."""
    if path.suffix != ".parquet":
        return {}
    import pyarrow.parquet as pq

    with reading(path):
        stored = (pq.read_schema(path).metadata or {}).get(FACTS)
        found = {} if stored is None else json.loads(stored)
        return {name: found.get(name) for name in ("model", "temperature", "max_tokens")}


DATASET = Reader(
    name="dataset",
    summary="a folder with a Hugging Face data set: .parquet, .jsonl, .csv or .arrow, plain rows",
    files=_files,
    is_it=lambda path: path.is_dir() and bool(_files(path)),
    samples=_samples,
    about=_about,
)
