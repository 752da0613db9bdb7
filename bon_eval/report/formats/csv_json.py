"""CSV that no spreadsheet runs, and JSON that fits its schema."""

from __future__ import annotations

import csv
import functools
import io
import json
import re
from collections.abc import Iterable, Mapping
from importlib import resources

from bon_eval.errors import StoreError

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
