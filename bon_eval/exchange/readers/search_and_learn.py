"""search-and-learn: a row for each problem of MATH-500 or the like, with its ``completions``.

Columns as its searches leave them: ``problem``, ``answer``, ``unique_id``, ``completions``, ``completion_tokens``
(-1: not counted), ``scores`` of a reward model and the ``pred`` that they pick; the last two are not taken over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path

from bon_eval.exchange.columns import NONE, Columns, resolved_rows, samples_of
from bon_eval.exchange.lines import ENDINGS, Record, first_record, records
from bon_eval.exchange.readers.base import About, Reader, itself
from bon_eval.exchange.sample import Sample

_COLUMNS: Mapping[str, str] = {
    "text": "completions",
    "question": "problem",
    "gold": "answer",
    "id": "unique_id",
    "n_tokens": "completion_tokens",
}


def _named(columns: Columns, record: Record) -> Columns:
    """The user's names, and this format's own where the row has them; no others are looked for."""
    own = {name: column for name, column in _COLUMNS.items() if column in record}
    given = {f.name: getattr(columns, f.name) for f in fields(Columns)}
    return replace(columns, **{name: given[name] or own.get(name, NONE) for name in given})


def _is_it(path: Path) -> bool:
    if not path.is_file() or path.suffix.lower() not in ENDINGS:
        return False
    first = first_record(path)
    return first is not None and {"problem", "completions", "scores"} <= first.keys()


def _samples(path: Path, columns: Columns) -> Iterator[Sample]:
    for where, row, record, resolved in resolved_rows(records(path), lambda record: _named(columns, record)):
        counted = record.get("completion_tokens")
        if not isinstance(counted, list) or any(not isinstance(n, int) or n < 1 for n in counted):
            record = record | {"completion_tokens": None}
        yield from samples_of(record, where, row, resolved)


def _about(path: Path, columns: Columns) -> About:
    where, _, record = next(records(path))
    return About(columns=_named(columns, record).resolved(record, where))


SEARCH_AND_LEARN = Reader(
    name="search-and-learn",
    summary="search-and-learn: rows with problem, completions, scores and pred in .jsonl or .parquet",
    files=itself,
    is_it=_is_it,
    samples=_samples,
    about=_about,
)
