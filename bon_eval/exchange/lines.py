"""The rows of a source's files one at a time, whatever the files' size: JSON Lines, JSON, CSV, Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from bon_eval.errors import Boundary, SourceError, one_line, regular

Record = dict[str, Any]

_LONGEST_LINE = 256 << 20
_LARGEST_JSON = 512 << 20
"""A ``.json`` file is one value and read as a whole."""
_PARQUET_ROWS = 64


def records(path: Path) -> Iterator[tuple[str, int, Record]]:
    """(file and row, row number from 0, the row) of a file; the ending of its name says the format.

    Raises:
        SourceError: a file that is missing, empty, damaged, not UTF-8 or of an unknown ending; the message names the
            line.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise SourceError(f"{path} has the ending {path.suffix!r}; rows are read from {', '.join(_READERS)}")
    rows = 0
    with reading(path):
        for where, record in reader(path):
            yield where, rows, record
            rows += 1
    if not rows:
        raise SourceError(f"{path} has no rows; give a source with at least one response")


def reading(path: Path) -> Boundary:
    """Around the reading of a file: whatever a library raises is one line that names it."""
    try:
        if not regular(path).is_file():
            raise SourceError(f"there is no file {path}; give the path of a source")
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror or one_line(error)}") from error
    return Boundary(SourceError, f"cannot read {path}", "write or download it again")


def first_record(path: Path) -> Record | None:
    """The first row, for telling formats apart; None where it cannot be read."""
    try:
        return next(records(path))[2]
    except SourceError:
        return None


def _json_lines(path: Path) -> Iterator[tuple[str, Record]]:
    with path.open("rb") as file:
        yield from json_lines(file, str(path))


def json_lines(file: IO[bytes], name: str) -> Iterator[tuple[str, Record]]:
    """(where, object) of each line that is not blank."""
    number = 0
    while line := file.readline(_LONGEST_LINE):
        number += 1
        where = f"{name}, line {number}"
        if len(line) == _LONGEST_LINE:
            raise SourceError(f"{where} is longer than {_LONGEST_LINE >> 20} MiB; write one response per line")
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise SourceError(f"{where} is not UTF-8 (byte {error.start} of the line); save it as UTF-8") from error
        if text.strip():
            yield where, json_object(text, where)


def json_object(text: str, where: str) -> Record:
    """An object; NaN and Infinity are let through, so that the value that is one can be named."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{where} is not JSON ({one_line(error)}); the file is damaged or cut off there") from error
    if not isinstance(found, dict):
        raise SourceError(f"{where} is a {type(found).__name__} and not an object with named fields")
    return found


def _json(path: Path) -> Iterator[tuple[str, Record]]:
    """An array of objects, one object, or one object per line."""
    with path.open("rb") as file:
        start = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if start == b"{" and _is_lines(path):
        yield from _json_lines(path)
        return
    found = json_value(path)
    for i, entry in enumerate(found if isinstance(found, list) else [found]):
        if not isinstance(entry, dict):
            raise SourceError(f"{path}, entry {i} is a {type(entry).__name__} and not an object with named fields")
        yield f"{path}, entry {i}", entry


def _is_lines(path: Path) -> bool:
    """Whether the first line is an object by itself."""
    with path.open("rb") as file:
        line = file.readline(_LONGEST_LINE)
    try:
        return isinstance(json.loads(line.decode("utf-8-sig")), dict)
    except (ValueError, RecursionError):
        return False


def json_value(path: Path) -> Any:
    """The one value of a ``.json`` file."""
    if path.stat().st_size > _LARGEST_JSON:
        raise SourceError(f"{path} is one JSON value of more than {_LARGEST_JSON >> 20} MiB; write it as JSON Lines")
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise SourceError(f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path} is not JSON ({one_line(error)}); it is damaged or cut off there") from error


def _csv(path: Path) -> Iterator[tuple[str, Record]]:
    before = csv.field_size_limit(2**31 - 1)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            lines = csv.reader(stream, strict=True)
            header = next(lines, [])
            if twice := [name for name in header if header.count(name) > 1]:
                raise SourceError(f"{path} has two columns named {twice[0]!r}; rename one")
            for number, cells in enumerate(line for line in lines if line):
                where = f"{path}, row {number}"
                if len(cells) != len(header):
                    raise SourceError(
                        f"{where} has {len(cells)} values for {len(header)} columns; quote values that hold commas or "
                        'newlines with "'
                    )
                yield where, dict(zip(header, cells, strict=True))
    except UnicodeDecodeError as error:
        raise SourceError(f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8") from error
    except csv.Error as error:
        raise SourceError(f'{path} is not CSV ({error}); quote texts with " and double the quotes in them') from error
    finally:
        csv.field_size_limit(before)


def _parquet(path: Path) -> Iterator[tuple[str, Record]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_PARQUET_ROWS):
                for record in batch.to_pylist():
                    yield f"{path}, row {number}", record
                    number += 1
    except pa.ArrowException as error:
        raise SourceError(
            f"{path} is not Parquet, or damaged ({one_line(error)}); write or download it again"
        ) from error


_READERS: dict[str, Callable[[Path], Iterator[tuple[str, Record]]]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json,
    ".csv": _csv,
    ".parquet": _parquet,
}
ENDINGS = frozenset(_READERS)
"""Of the names of files whose rows are read."""
