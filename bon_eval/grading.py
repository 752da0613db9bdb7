"""Grading a stored run: responses -> grades.parquet, again and again, without the model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bon_eval import parts
from bon_eval.files import write_atomic
from bon_eval.graders import get_grader
from bon_eval.graders.pool import answer_classes_many, grade_both
from bon_eval.progress import Progress
from bon_eval.runs import load_problems, stored_parts
from bon_eval.store import read_meta

SCHEMA = pa.schema(
    [
        pa.field("problem_id", pa.string(), nullable=False),
        pa.field("arm", pa.string(), nullable=False),
        pa.field("index", pa.int32(), nullable=False),
        pa.field("correct", pa.bool_()),
        pa.field("correct_strict", pa.bool_()),
        pa.field("answer", pa.string()),
        pa.field("answer_class", pa.int32(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("grader", pa.string(), nullable=False),
        pa.field("grader_version", pa.string(), nullable=False),
    ]
)


def grade_run(path: Path, grader_name: str | None = None, *, quiet: bool = False) -> Path:
    """Grade every stored response and write grades.parquet anew.

    The answers of one problem, greedy's included, are numbered into classes under the grader's own equivalence
    (`answer_class`, -1 where none was read), so that votes need no grader later.

    Args:
        path: the run directory.
        grader_name: another grader than the run's own.

    Raises:
        GraderError: no such grader.
        StoreError: not a run, or damaged.
    """
    meta = read_meta(path)
    name = grader_name or str(meta["config"]["grader"])
    version = get_grader(name).version
    golds = {p.id: p.gold for p in load_problems(path)}
    keys: list[tuple[str, str, int]] = []
    with Progress(len(golds), label="grading", unit="problems", quiet=quiet) as progress:
        items = _responses(path, meta, golds, keys, progress)
        grades, stricts = grade_both(name, items)
    by_problem: dict[str, list[int]] = {}
    for row, (problem, _, _) in enumerate(keys):
        by_problem.setdefault(problem, []).append(row)
    numbered = answer_classes_many(name, ([grades[row].answer for row in rows] for rows in by_problem.values()))
    classes = [-1] * len(keys)
    for rows, numbers in zip(by_problem.values(), numbered, strict=True):
        for row, number in zip(rows, numbers, strict=True):
            classes[row] = number
    table = pa.table(
        [
            pa.array([k[0] for k in keys], pa.string()),
            pa.array([k[1] for k in keys], pa.string()),
            pa.array([k[2] for k in keys], pa.int32()),
            pa.array([g.correct for g in grades], pa.bool_()),
            pa.array(stricts, pa.bool_()),
            pa.array([None if g.answer is None else _utf8(g.answer) for g in grades], pa.string()),
            pa.array(classes, pa.int32()),
            pa.array([_utf8(g.reason) for g in grades], pa.string()),
            pa.array([name] * len(keys), pa.string()),
            pa.array([version] * len(keys), pa.string()),
        ],
        schema=SCHEMA,
    )
    target = path / "grades.parquet"
    write_atomic(target, lambda temporary: pq.write_table(table, temporary, compression="zstd"))
    return target


def _responses(
    path: Path, meta: dict[str, Any], golds: dict[str, str], keys: list[tuple[str, str, int]], progress: Progress
) -> Iterator[tuple[str, str]]:
    """(text, gold) of every stored response; texts are read a row group at a time and not kept."""
    left = dict.fromkeys(golds, int(meta["config"]["n"]) + 1)
    for table in parts.read_parts(stored_parts(path, meta), ["problem_id", "arm", "index", "text"]):
        ids = table["problem_id"].to_pylist()
        keys.extend(zip(ids, table["arm"].to_pylist(), table["index"].to_pylist(), strict=True))
        finished = 0
        for problem, text in zip(ids, table["text"].to_pylist(), strict=True):
            yield text, golds[problem]
            left[problem] -= 1
            finished += left[problem] == 0
        progress.advance(finished)


def _utf8(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
