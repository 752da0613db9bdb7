"""Plain rows of any origin: JSON Lines, JSON, CSV or Parquet, a response per row or a list of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bon_eval.errors import SourceError
from bon_eval.exchange.columns import Columns, resolved_rows, samples_of
from bon_eval.exchange.lines import ENDINGS, records
from bon_eval.exchange.readers.base import About, Reader, itself
from bon_eval.exchange.sample import Sample


def _samples(path: Path, columns: Columns) -> Iterator[Sample]:
    seen: dict[int, str] = {}
    for where, row, record, resolved in resolved_rows(records(path), lambda _: columns):
        found = list(samples_of(record, where, row, resolved))
        if len(found) > 1:  # one response can be sampled twice, a whole list of them is a row that stands there twice
            whose = found[0].problem_id or found[0].question
            content = hash((whose, *(sample.text for sample in found)))
            if whose is not None and (before := seen.setdefault(content, where)) != where:
                raise SourceError(f"{where} holds the same responses to problem {whose!r} as {before}; drop one")
        yield from found


def _about(path: Path, columns: Columns) -> About:
    where, _, record = next(records(path))
    return About(columns=columns.resolved(record, where))


PLAIN = Reader(
    name="plain",
    summary="rows of any origin in .jsonl, .json, .csv or .parquet, a response per row or a list column",
    files=itself,
    is_it=lambda path: path.is_file() and path.suffix.lower() in ENDINGS,
    samples=_samples,
    about=_about,
)
