"""Local data files, read in memory and exactly: JSON, JSON Lines, CSV and Parquet.

The three text formats are read as text, value for value. `datasets.load_dataset` would infer types first: in a CSV
file it turns the answer ``007`` into 7.0 and ``NA`` into a missing value, in a JSON file the answer ``2020-01-01``
into a time stamp; and its cache on disk could serve the rows of a file that has changed since.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bon_eval.errors import TaskError, one_line

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

Record = dict[str, object]


def read_rows(path: Path) -> Dataset:
    """The file as an in-memory `datasets.Dataset`; the ending of its name says the format.

    A ``.json`` file holds an array of objects or one object per line. Nothing is cached and no network is used.
    Raises `TaskError` for a file that is missing, damaged or of an unknown format; the message names the row or line.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise TaskError(f"data file {path} has the ending {path.suffix!r}; valid: {', '.join(_READERS)}")
    from datasets import Dataset
    from datasets.table import InMemoryTable

    try:
        table = reader(path)
    except OSError as error:
        reason = error.strerror or one_line(error)
        raise TaskError(f"cannot read data file {path}: {reason}; give a readable file") from error
    except UnicodeDecodeError as error:
        raise TaskError(f"data file {path} is not UTF-8 (byte {error.start}); save it as UTF-8") from error
    except UnicodeEncodeError as error:
        raise TaskError(f"data file {path} holds half of a surrogate pair, which is no text; remove it") from error
    return Dataset(InMemoryTable(table))


class _Decimal(float):
    """A number of a JSON file with the digits as they were written: ``1.50`` stays ``1.50``."""

    text: str

    def __new__(cls, text: str) -> _Decimal:
        number = super().__new__(cls, text)
        number.text = text
        return number


def as_text(value: object) -> str | None:
    """A cell as text: strings as they are, null as None, lists and objects as JSON, anything else by ``str``."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, _Decimal):
        return value.text
    if isinstance(value, bool | list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _text_table(rows: Iterable[Record]) -> pa.Table:
    import pyarrow as pa

    cells = [{name: as_text(value) for name, value in row.items()} for row in rows]
    names = list(dict.fromkeys(name for row in cells for name in row))
    return pa.table({name: pa.array([row.get(name) for row in cells], type=pa.string()) for name in names})


def _read_json(path: Path) -> pa.Table:
    text = path.read_text(encoding="utf-8-sig")
    if text.lstrip()[:1] == "[":
        rows = _parse_json(text, path, "")
        assert isinstance(rows, list)
        return _text_table(_object(row, path, f"entry {i}") for i, row in enumerate(rows))
    return _text_table(_json_lines(text, path))


def _json_lines(text: str, path: Path) -> Iterator[Record]:
    # Not splitlines(): JSON strings may hold other line separators, such as U+2028, unescaped.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield _object(_parse_json(line, path, f"line {number} "), path, f"line {number}")


def _parse_json(text: str, path: Path, what: str) -> object:
    def refuse(constant: str) -> object:
        raise ValueError(f"{constant} is not a JSON value")

    try:
        return json.loads(text, parse_float=_Decimal, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise TaskError(f"data file {path}: {what}is not JSON ({error}); write one object per line") from error


def _object(value: object, path: Path, what: str) -> Record:
    if not isinstance(value, dict):
        raise TaskError(f"data file {path}: {what} is not an object with named columns")
    return value


def _read_csv(path: Path) -> pa.Table:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        try:
            return _text_table(_csv_rows(csv.reader(stream, strict=True), path))
        except csv.Error as error:
            raise TaskError(
                f'data file {path} is not CSV ({error}); quote texts with " and double the quotes in them'
            ) from error


def _csv_rows(lines: Iterator[list[str]], path: Path) -> Iterator[Record]:
    header = next(lines, [])
    for name in header:
        if header.count(name) > 1:
            raise TaskError(f"data file {path} has two columns named {name!r}; rename one")
    for number, cells in enumerate(line for line in lines if line):
        if len(cells) != len(header):
            raise TaskError(
                f"data file {path}: row {number} has {len(cells)} values for {len(header)} columns; "
                'quote values that hold commas or newlines with "'
            )
        yield dict(zip(header, cells, strict=True))


def _read_parquet(path: Path) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path).read()
    except pa.ArrowException as error:
        raise TaskError(f"data file {path} is not Parquet ({one_line(error)}); write it again") from error


_READERS: dict[str, Callable[[Path], pa.Table]] = {
    ".jsonl": _read_json,
    ".json": _read_json,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}
READABLE = frozenset(_READERS)
"""The endings of file names that `read_rows` reads."""
