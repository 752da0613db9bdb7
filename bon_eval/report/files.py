"""report.json and the CSV files of its tables in a run's directory: all of them or none."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from bon_eval.analysis.results import Analysis
from bon_eval.report.document import (
    arm_cells,
    curve_cells,
    document,
    length_cells,
    pair_cells,
    power_cells,
    problem_cells,
    scorer_cells,
    stopping_cells,
    validate,
)
from bon_eval.store.files import TEMPORARY, cannot_write

_FORMULA_START = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_PLAIN_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


def write_report(analysis: Analysis, directory: Path) -> dict[str, Path]:
    """Write the files; each replaces its predecessor in one step, after all of them are safely on disk.

    Args:
        analysis: what `bon_eval.analysis.analyse.analyse` returned.
        directory: an existing directory, usually that of the run.

    Returns:
        File name -> path.

    Raises:
        StoreError: the document does not fit its schema, or a file cannot be written; the older files are kept.
    """
    content = document(analysis)
    validate(content)
    texts = {
        "report.csv": to_csv(arm_cells(row)[0] for row in analysis.arms),
        "curves.csv": to_csv(curve_cells(point)[0] for point in analysis.curves),
        "problems.csv": to_csv(problem_cells(row) for row in analysis.problems),
        "scorers.csv": to_csv(scorer_cells(row)[0] for row in analysis.explanation.scorers),
        "pairs.csv": to_csv(pair_cells(pair) for pair in analysis.pairs),
        "sharpening.csv": to_csv(power_cells(point) for point in analysis.replayed.power),
        "adaptive.csv": to_csv(stopping_cells(row) for row in analysis.replayed.stopping),
        "lengths.csv": to_csv(length_cells(row) for row in analysis.explanation.lengths),
        # Last: a report.json in place means that the tables beside it are of the same analysis.
        "report.json": json.dumps(content, indent=2, allow_nan=False) + "\n",
    }
    _replace_all({directory / name: text.encode() for name, text in texts.items()})
    return {name: directory / name for name in texts}


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


def _replace_all(contents: Mapping[Path, bytes]) -> None:
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
