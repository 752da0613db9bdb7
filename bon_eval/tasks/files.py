"""Local data files, read in memory and exactly: JSON, JSON Lines, CSV and Parquet.

The three text formats are read as text, value for value. `datasets.load_dataset` would infer types first: in a CSV
file it turns the answer ``007`` into 7.0 and ``NA`` into a missing value, in a JSON file the answer ``2020-01-01``
into a time stamp; and its cache on disk could serve the rows of a file that has changed since.
"""

from __future__ import annotations

import csv
import datetime
import json
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING

from bon_eval.errors import Boundary, TaskError, one_line, regular, shortened

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

Record = dict[str, object]
_MOST_COLUMNS = 5_000
"""Far more are records by key, or a file of another kind that happens to parse."""
_OWN_WORDS = (OSError, UnicodeDecodeError, UnicodeEncodeError)
"""What reading raises that has words of its own."""
_PLAIN = (str, int, float, Decimal, datetime.date, datetime.time, datetime.timedelta, NoneType)
"""Types of cells that read as what they say."""


def read_rows(path: Path, texts: Collection[str] = ()) -> Dataset:
    """The file as an in-memory `datasets.Dataset`; the ending of its name says the format.

    A ``.json`` file holds an array of objects or one object per line. Nothing is cached and no network is used. A
    column of a type that `datasets` does not have is left out.

    Args:
        path: the file.
        texts: columns whose cells must be texts or numbers.

    Raises:
        TaskError: a file that is missing, damaged or of an unknown format, two columns of one name, a nested cell where
            a text is needed; the message names the row or line.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise TaskError(f"data file {path} has the ending {path.suffix!r}; valid: {', '.join(_READERS)}")
    from datasets import Dataset
    from datasets.table import InMemoryTable

    try:
        with Boundary(TaskError, f"cannot read data file {path}", "write it again as JSON Lines", passing=_OWN_WORDS):
            return Dataset(InMemoryTable(reader(regular(path), frozenset(texts))))
    except OSError as error:
        reason = error.strerror or one_line(error)
        raise TaskError(f"cannot read data file {path}: {reason}; give a readable file") from error
    except UnicodeDecodeError as error:
        raise TaskError(f"data file {path} is not UTF-8 (byte {error.start}); save it as UTF-8") from error
    except UnicodeEncodeError as error:
        raise TaskError(f"data file {path} holds half of a surrogate pair, which is no text; remove it") from error


class _Decimal(float):
    """A number of a JSON file with the digits as they were written: ``1.50`` stays ``1.50``."""

    text: str

    def __new__(cls, text: str) -> _Decimal:
        number = super().__new__(cls, text)
        number.text = text
        return number


class _Digits(str):
    """A whole number of a JSON file, with as many digits as it was written with."""


class _Object(dict[str, object]):
    """An object of a JSON file, which knows whether a name stands in it twice."""

    twice: str | None

    def __init__(self, pairs: Sequence[tuple[str, object]]) -> None:
        super().__init__(pairs)
        times = Counter(name for name, _ in pairs) if len(pairs) > len(self) else {}
        self.twice = next((name for name, n in times.items() if n > 1), None)


def check_text(value: object, column: str, row: int, where: str) -> None:
    """Raise `TaskError` for a cell that is no text: what a list or bytes would read as, nobody meant."""
    if not isinstance(value, _PLAIN):
        kinds = ((bytes, "bytes"), ((list, tuple), "a list"), ((dict, set), "an object"))
        kind = next((word for types, word in kinds if isinstance(value, types)), f"a {type(value).__name__}")
        raise TaskError(
            f"{where}: row {row} has {kind} in column {column!r}, where a text is needed; write one text per row"
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise TaskError(f"{where}: row {row} has the number {value} in column {column!r}; give a text, or drop the row")


def as_text(value: object) -> str | None:
    """A cell as text: strings as they are, null as None, lists and objects as JSON, anything else by ``str``."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, _Decimal):
        return value.text
    if isinstance(value, bool | list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _text_table(rows: Iterable[Record], path: Path, texts: frozenset[str]) -> pa.Table:
    import pyarrow as pa

    cells = []
    names: dict[str, None] = {}
    for number, row in enumerate(rows):
        for name in texts & row.keys():
            check_text(row[name], name, number, f"data file {path}")
        cells.append({name: as_text(value) for name, value in row.items()})
        names |= dict.fromkeys(row)
        _check_width(len(names), path)
    return pa.table({name: pa.array([row.get(name) for row in cells], type=pa.string()) for name in names})


def _read_json(path: Path, texts: frozenset[str]) -> pa.Table:
    text = path.read_text(encoding="utf-8-sig")
    if text.lstrip()[:1] == "[":
        rows = _parse_json(text, path, "")
        assert isinstance(rows, list)
        return _text_table((_object(row, path, f"entry {i}") for i, row in enumerate(rows)), path, texts)
    return _text_table(_json_lines(text, path), path, texts)


def _json_lines(text: str, path: Path) -> Iterator[Record]:
    # Not splitlines(): JSON strings may hold other line separators, such as U+2028, unescaped.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield _object(_parse_json(line, path, f"line {number} "), path, f"line {number}")


def _parse_json(text: str, path: Path, what: str) -> object:
    def refuse(constant: str) -> object:
        raise ValueError(f"{constant} is not a JSON value")

    try:
        return json.loads(
            text, parse_float=_Decimal, parse_int=_Digits, parse_constant=refuse, object_pairs_hook=_Object
        )
    except (ValueError, RecursionError) as error:
        raise TaskError(f"data file {path}: {what}is not JSON ({error}); write one object per line") from error


def _object(value: object, path: Path, what: str) -> Record:
    if not isinstance(value, dict):
        raise TaskError(f"data file {path}: {what} is not an object with named columns")
    if isinstance(value, _Object) and value.twice is not None:
        raise TaskError(f"data file {path}: {what} has two values of {shortened(value.twice)!r}; drop one")
    return value


def _read_csv(path: Path, texts: frozenset[str]) -> pa.Table:
    with path.open(encoding="utf-8-sig", newline="") as stream, _long_fields():
        try:
            return _text_table(_csv_rows(csv.reader(stream, strict=True), path), path, texts)
        except csv.Error as error:
            raise TaskError(
                f'data file {path} is not CSV ({error}); quote texts with " and double the quotes in them'
            ) from error


@contextmanager
def _long_fields() -> Iterator[None]:
    """The module's limit of 131,072 characters is one for all of the process; it is put back."""
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _csv_rows(lines: Iterator[list[str]], path: Path) -> Iterator[Record]:
    header = next(lines, [])
    _check_columns(header, path)
    for number, cells in enumerate(line for line in lines if line):
        if len(cells) != len(header):
            raise TaskError(
                f"data file {path}: row {number} has {len(cells)} values for {len(header)} columns; "
                'quote values that hold commas or newlines with "'
            )
        yield dict(zip(header, cells, strict=True))


def _read_parquet(path: Path, texts: frozenset[str]) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            _check_columns(schema.names, path)
            kept = [field.name for field in schema if _is_known(field.type)]
            if lost := sorted(texts & set(schema.names) - set(kept)):
                raise TaskError(
                    f"data file {path}: column {lost[0]!r} is of type {schema.field(lost[0]).type}, where a text is "
                    "needed; write one text per row"
                )
            return file.read(columns=kept)
    except pa.ArrowException as error:
        raise TaskError(f"data file {path} is not Parquet ({one_line(error)}); write it again") from error


def _check_columns(names: Sequence[str], path: Path) -> None:
    """Raise `TaskError` for two columns of one name, and for too many."""
    _check_width(len(names), path)
    if twice := [name for name, times in Counter(names).items() if times > 1]:
        raise TaskError(f"data file {path} has two columns named {shortened(twice[0])!r}; rename one")


def _check_width(columns: int, path: Path) -> None:
    if columns > _MOST_COLUMNS:
        raise TaskError(
            f"data file {path} has more than {_MOST_COLUMNS:,} columns; write one problem per row, with the same "
            "columns in all of them"
        )


def _is_known(kind: pa.DataType) -> bool:
    """Whether `datasets` has this type."""
    from datasets.features.features import generate_from_arrow_type

    try:
        generate_from_arrow_type(kind)
    except (ValueError, TypeError, NotImplementedError):
        return False
    return True


_READERS: dict[str, Callable[[Path, frozenset[str]], pa.Table]] = {
    ".jsonl": _read_json,
    ".json": _read_json,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}
READABLE = frozenset(_READERS)
"""The endings of file names that `read_rows` reads."""
