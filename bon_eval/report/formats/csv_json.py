"""CSV that no spreadsheet runs, JSON that fits its schema, and several files written all or none."""

from __future__ import annotations

import csv
import functools
import io
import json
import os
import re
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path

from bon_eval.errors import StoreError
from bon_eval.store.files import TEMPORARY, cannot_write

_FORMULA_START = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_PLAIN_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


def to_csv(rows: Iterable[Mapping[str, object]]) -> str:
    """CSV with a header from the first row's names; None becomes an empty cell, text cells and names are made inert.

    >>> to_csv([{"gold": "=1+1", "share": -0.5}])
    "gold,share\\n'=1+1,-0.5\\n"
    """
    out = io.StringIO(newline="")
    writer: csv.DictWriter[str] | None = None
    for row in rows:
        if writer is None:
            writer = csv.DictWriter(out, list(row), lineterminator="\n")
            writer.writerow({name: inert(name) for name in row})
        writer.writerow({name: inert(cell) if isinstance(cell, str) else cell for name, cell in row.items()})
    return out.getvalue()


def inert(text: str) -> str:
    """Text that a spreadsheet does not run as a formula: an apostrophe before a start that would be one.

    A plain decimal number stays as it is.

    >>> inert("=HYPERLINK(A1)"), inert("-5"), inert("x = 5")
    ("'=HYPERLINK(A1)", '-5', 'x = 5')
    """
    runs = text.lstrip(" ").startswith(_FORMULA_START) and not _PLAIN_NUMBER.fullmatch(text)
    return "'" + text if runs else text


def replace_all(contents: Mapping[Path, bytes]) -> None:
    staged: dict[Path, Path] = {}
    target = next(iter(contents))
    try:
        try:
            for target, data in contents.items():
                # In the same directory, since only a rename within one file system is atomic.
                temporary = target.with_name(f"{TEMPORARY}{os.getpid()}-{target.name}")
                staged[temporary] = target
                with temporary.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
            for temporary, target in staged.items():
                temporary.replace(target)
        finally:
            for temporary in staged:
                temporary.unlink(missing_ok=True)
        _sync_directory(target.parent)
    except OSError as error:
        raise cannot_write(target, error) from error


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def validate(content: Mapping[str, object], name: str = "report") -> None:
    """Check a document against its schema, ``assets/<name>.schema.json`` of the package.

    Raises:
        StoreError: the first violation with its place in the document.
    """
    import jsonschema

    error = jsonschema.exceptions.best_match(_validator(name).iter_errors(content))
    if error is not None:
        place = error.json_path.removeprefix("$").removeprefix(".") or "the document"
        text = error.message if len(error.message) <= 200 else error.message[:197] + "..."
        raise StoreError(f"{name} does not fit its schema at {place}: {text}; nothing was written")


def document_text(content: Mapping[str, object], name: str) -> str:
    """The text of ``<name>.json``; raises `StoreError` where the document does not fit its schema."""
    validate(content, name)
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def schema(name: str = "report") -> dict[str, object]:
    """The JSON Schema (draft 2020-12) of report.json, or of ``<name>.json``."""
    text = resources.files("bon_eval").joinpath(f"assets/{name}.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, object] = json.loads(text)
    return loaded


@functools.cache
def _validator(name: str):  # type: ignore[no-untyped-def]  # jsonschema is imported only when a report is written
    import jsonschema

    return jsonschema.Draft202012Validator(schema(name))
