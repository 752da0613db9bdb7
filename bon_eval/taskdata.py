"""A task's rows as problems, through `datasets`: from the hub, the task's own files, or a local file in their place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from bon_eval.config import digest
from bon_eval.errors import TaskError
from bon_eval.records import Problem
from bon_eval.rows import as_text, read_rows
from bon_eval.tasks import FileData, HubData, TaskSpec

if TYPE_CHECKING:
    from datasets import Dataset

_NOT_IDENTITY = ("path", "description", "source", "licence", "grader", "answer_format")


def load_problems(spec: TaskSpec, *, data: Path | None = None, limit: int | None = None) -> tuple[Problem, ...]:
    """The task's problems in the order of the data.

    `data` is a local JSON, JSON Lines, CSV or Parquet file with the same columns, read in place of the task's own
    data without network or cache. `limit` takes the first so many; all rows are checked first, so that the same file
    gives the same error under every limit. A problem's id is its id column's text, or its zero-based row number where
    the task names no id column. `fields` holds the columns that the task or its templates name.

    Raises `TaskError` for a column that is missing, a duplicate id, an empty gold answer or template column, no rows,
    an unreadable file, and a hub that cannot be reached.
    """
    if limit is not None and limit < 1:
        raise TaskError(f"limit must be at least 1, got {limit}")
    problems = _problems(spec, *_open(spec, data, train=False))
    return problems[:limit]


def load_train_problems(spec: TaskSpec, *, data: Path | None = None) -> tuple[Problem, ...]:
    """The train split, from which few-shot examples are drawn; the same rules and errors as `load_problems`."""
    return _problems(spec, *_open(spec, data, train=True))


def task_hash(spec: TaskSpec, problems: tuple[Problem, ...]) -> str:
    """SHA-256 (hex) over what the task asks: data source, columns, templates, limits and every row with its gold.

    Left out: the file's path, the texts about the task, and the grader with the answer format, since grades are
    made again from stored responses without sampling.
    """
    content = {key: value for key, value in asdict(spec).items() if key not in _NOT_IDENTITY}
    content["dataset"] = {key: value for key, value in content["dataset"].items() if key != "root"}
    rows = [[p.id, p.gold, p.fields] for p in problems]
    return digest({"spec": content, "rows": rows})


def _open(spec: TaskSpec, data: Path | None, *, train: bool) -> tuple[Dataset, str]:
    """The rows and how messages name where they come from."""
    if data is not None:
        return read_rows(data), f"data file {data}"
    source = spec.dataset
    if isinstance(source, FileData):
        name = source.train if train else source.test
        if name is None:
            raise TaskError(
                f"task {spec.name} has no train file to draw few-shot examples from; name one in {spec.path}"
            )
        return read_rows(source.root / name), f"data file {source.root / name}"
    split = source.train_split if train else source.split
    if split is None:
        raise TaskError(f"task {spec.name} has no train split to draw few-shot examples from; name one in {spec.path}")
    return _load_hub(source, split, "--train-data" if train else "--data"), f"hub data set {source.id} ({split})"


def _load_hub(source: HubData, split: str, option: str) -> Dataset:
    import datasets
    from datasets.exceptions import DatasetsError

    with without_progress_bars():
        try:
            return datasets.load_dataset(source.id, source.config, split=split, revision=source.revision)
        except (OSError, ValueError, DatasetsError) as error:
            reason = " ".join(str(error).split())
            raise TaskError(
                f"cannot load {source.id} ({split}, revision {source.revision}) from the hub: {reason}; "
                f"without the hub, give the rows with {option} FILE"
            ) from error


@contextmanager
def without_progress_bars() -> Iterator[None]:
    """The run's own progress is the only one on the terminal; the caller's settings are put back."""
    import datasets
    import huggingface_hub.utils as hub

    shown = [
        (switch_on, switch_off)
        for disabled, switch_on, switch_off in (
            (datasets.are_progress_bars_disabled, datasets.enable_progress_bars, datasets.disable_progress_bars),
            (hub.are_progress_bars_disabled, hub.enable_progress_bars, hub.disable_progress_bars),
        )
        if not disabled()
    ]
    for _, switch_off in shown:
        switch_off()
    try:
        yield
    finally:
        for switch_on, _ in shown:
            switch_on()


def _problems(spec: TaskSpec, rows: Dataset, where: str) -> tuple[Problem, ...]:
    if len(rows) == 0:
        raise TaskError(f"{where} has no rows; give one with at least one problem")
    columns = _needed_columns(spec, rows, where)
    # Column by column: only what the task names is decoded, whatever else (images, ...) the data set holds.
    cells = {name: [as_text(value) for value in rows[name]] for name in columns}
    problems: list[Problem] = []
    first_row: dict[str, int] = {}
    optional = {spec.columns.solution}
    for row in range(len(rows)):
        fields: dict[str, str] = {}
        for name in columns:
            value = cells[name][row]
            if value is not None and value.strip():
                fields[name] = value
            elif name == spec.columns.answer:
                raise TaskError(
                    f"{where}: row {row} has an empty gold answer in column {name!r}; fill it or drop the row"
                )
            elif name not in optional:
                raise TaskError(f"{where}: row {row} has no value in column {name!r}; fill it or drop the row")
        problem_id = str(row) if spec.columns.id is None else fields[spec.columns.id]
        if problem_id in first_row:
            raise TaskError(
                f"{where}: rows {first_row[problem_id]} and {row} have the same id {problem_id!r}; ids must be unique"
            )
        first_row[problem_id] = row
        problems.append(Problem(problem_id, fields, _gold(spec, fields[spec.columns.answer], where, row)))
    return tuple(problems)


def _needed_columns(spec: TaskSpec, rows: Dataset, where: str) -> list[str]:
    """The columns to read, in the order of the data; `TaskError` when the data lacks one."""
    there = list(rows.column_names)
    named = {f"columns.{key}": getattr(spec.columns, key) for key in ("question", "answer", "id")}
    for key, name in named.items():
        if name is not None and name not in there:
            raise TaskError(f"{where} has no column {name!r} ({key} of task {spec.name}); it has: {', '.join(there)}")
    for key, names in spec.template_columns().items():
        for name in names:
            if name not in there:
                raise TaskError(
                    f"{where} has no column {name!r}, which {key} of task {spec.name} names; it has: {', '.join(there)}"
                )
    needed = {*named.values(), spec.columns.solution, *(n for names in spec.template_columns().values() for n in names)}
    return [name for name in there if name in needed]


def _gold(spec: TaskSpec, answer: str, where: str, row: int) -> str:
    if spec.gold_after is None:
        return answer.strip()
    _, mark, gold = answer.rpartition(spec.gold_after)
    if not mark:
        raise TaskError(
            f"{where}: row {row} has no {spec.gold_after!r} in column {spec.columns.answer!r}, after which the gold "
            "answer is read (gold.after); add it or drop the row"
        )
    if not gold.strip():
        raise TaskError(
            f"{where}: row {row} has an empty gold answer after {spec.gold_after!r}; fill it or drop the row"
        )
    return gold.strip()
