"""A task's rows as problems, through `datasets`: from the hub, the task's own files, or a local file in their place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bon_eval.config import digest
from bon_eval.errors import Boundary, TaskError, one_line
from bon_eval.graders.reading.boxes import last_box
from bon_eval.records import Problem
from bon_eval.tasks.choices import choice_golds
from bon_eval.tasks.columns import asked_columns, needed_columns, template_aliases, text_columns
from bon_eval.tasks.files import READABLE, as_text, check_text, read_rows
from bon_eval.tasks.spec import FileData, HubData, TaskSpec

if TYPE_CHECKING:
    from datasets import Dataset

_NOT_IDENTITY = (
    *(
        "path",
        "description",
        "source",
        "licence",
        "grader",
        "reasoning",
        "answer_format",
        "plain",
        "cluster",
        "chance",
        "draws",
    ),
)


def load_problems(spec: TaskSpec, *, data: Path | None = None, limit: int | None = None) -> tuple[Problem, ...]:
    """The task's problems in the order of the data.

    `data` is a local JSON, JSON Lines, CSV or Parquet file with the same columns, or a folder that holds it under the
    name that the task gives, read in place of the task's own data without network or cache. `limit` takes the first
    so many; all rows are checked first, so that the same file gives the same error under every limit. A problem's id
    is its id column's text, or its zero-based row number where the task names no id column (among the rows that
    `spec.rows` keeps). `fields` holds the columns that the task or its templates name.

    Raises `TaskError` for a column that is missing, a duplicate id, an empty gold answer or template column, no rows,
    an unreadable file, and a hub that cannot be reached.
    """
    if limit is not None and limit < 1:
        raise TaskError(f"limit must be at least 1, got {limit}")
    problems = _problems(spec, *_open(spec, data, train=False))
    return problems[:limit]


def load_train_problems(spec: TaskSpec, *, data: Path | None = None) -> tuple[Problem, ...]:
    """What few-shot examples are drawn from: the task's demonstrations, or else the train split.

    The same rules and errors as `load_problems`; `TaskError` also for `data` where the task has demonstrations.
    """
    if spec.few_shot.demonstrations:
        if data is not None and not data.is_dir():
            raise TaskError(f"task {spec.name} has its own demonstrations to draw examples from; drop {data}")
        return tuple(
            Problem(f"demonstration {i}", {**dict(d.fields), "response": d.response}, d.gold)
            for i, d in enumerate(spec.few_shot.demonstrations, start=1)
        )
    return _problems(spec, *_open(spec, data, train=True))


def spec_hash(spec: TaskSpec) -> str:
    """SHA-256 (hex) over what the task asks, its rows apart: data source, columns, templates, limits.

    Left out: the file's path, the texts about the task, and the grader with the answer format, since grades are
    made again from stored responses without sampling.
    """
    return digest(_content(spec))


def task_hash(spec: TaskSpec, problems: tuple[Problem, ...]) -> str:
    """As `spec_hash`, with every row and its gold."""
    hidden = {spec.cluster} - asked_columns(spec)
    rows = [[p.id, p.gold, {k: v for k, v in p.fields.items() if k not in hidden}] for p in problems]
    return digest({"spec": _content(spec), "rows": rows})


def _content(spec: TaskSpec) -> dict[str, Any]:
    content = {key: value for key, value in asdict(spec).items() if key not in _NOT_IDENTITY}
    for key in ("root", "file", "train_file"):
        (content["dataset"] or {}).pop(key, None)
    gold = content.pop("gold")
    content["gold_after"] = gold.pop("after")
    added = {"gold": {k: v for k, v in gold.items() if v is not None}, "rows": content.pop("rows")}
    added["options"] = content["columns"].pop("options")
    if content["few_shot"].pop("demonstrations"):  # the hash of the prompts covers those that are drawn
        content["few_shot"]["response"] = None
    # What a task leaves out does not count, so that a new key leaves the hashes of older tasks as they are.
    return content | {key: value for key, value in added.items() if value}


def local_file(spec: TaskSpec, folder: Path, *, train: bool = False) -> Path | None:
    """The task's rows (its train split) in a folder given as ``--data``; None where the task names no file."""
    source = spec.dataset
    if source is None:
        return None
    if isinstance(source, FileData):
        name = source.train if train else source.test
    else:
        name = source.train_file if train else source.file
    return None if name is None else folder / name


def _open(spec: TaskSpec, data: Path | None, *, train: bool) -> tuple[Dataset, str]:
    """The rows and how messages name where they come from."""
    if data is not None and data.is_dir() and data.suffix not in READABLE:
        file = local_file(spec, data, train=train)
        if isinstance(spec.dataset, FileData) and (file is None or not file.is_file()):
            return _open(spec, None, train=train)  # it brings its own
        if file is None or not file.is_file():
            lacks = f"has no {file.name}" if file is not None else "has no file with a name that the task gives"
            raise TaskError(f"task {spec.name}: data folder {data} {lacks}; give a file in place of the folder")
        data = file
    if data is not None:
        return read_rows(data, text_columns(spec)), f"data file {data}"
    source = spec.dataset
    if source is None:
        option = "--train-data" if train else "--data"
        raise TaskError(f"task {spec.name} names no data; give {option} FILE, or a dataset in {spec.path}")
    if isinstance(source, FileData):
        name = source.train if train else source.test
        if name is None:
            raise TaskError(
                f"task {spec.name} has no train file to draw few-shot examples from; name one in {spec.path}"
            )
        return read_rows(source.root / name, text_columns(spec)), f"data file {source.root / name}"
    split = source.train_split if train else source.split
    if split is None:
        raise TaskError(f"task {spec.name} has no train split to draw few-shot examples from; name one in {spec.path}")
    return _load_hub(source, split, "--train-data" if train else "--data"), f"hub data set {source.id} ({split})"


def _load_hub(source: HubData, split: str, option: str) -> Dataset:
    import datasets

    with without_progress_bars():
        try:
            return datasets.load_dataset(source.id, source.config, split=split, revision=source.revision)
        except Exception as error:  # datasets, the hub's client and its own dependencies raise anything
            raise TaskError(
                f"cannot load {source.id} ({split}, revision {source.revision}) from the hub: {one_line(error)}; "
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
    columns = needed_columns(spec, list(rows.column_names), where)
    # Column by column: only what the task names is decoded, whatever else (images, ...) the data set holds.
    texts = text_columns(spec)
    cells: dict[str, list[str | None]] = {}
    for name in columns:
        with Boundary(TaskError, f"{where}: column {name!r} cannot be read", "write it as texts"):
            values = list(rows[name])
        if name in texts:
            for row, value in enumerate(values):
                check_text(value, name, row, where)
        cells[name] = [as_text(value) for value in values]
    kept: list[tuple[int, int, dict[str, str]]] = []
    first_row: dict[str, int] = {}
    number = -1
    for row in range(len(rows)):
        if any((cells[name][row] or "").strip() != value for name, value in spec.rows):
            continue
        number += 1
        kept.append((number, row, _fields(spec, {name: cells[name][row] for name in columns}, where, row)))
    aliases = template_aliases(spec, rows.column_names)
    problems: list[Problem] = []
    for (number, row, fields), gold in zip(kept, _golds(spec, kept, where), strict=True):
        if spec.gold.matches is not None and not re.fullmatch(spec.gold.matches, gold):
            continue
        problem_id = str(number) if spec.columns.id is None else fields[spec.columns.id]
        if problem_id in first_row:
            raise TaskError(
                f"{where}: rows {first_row[problem_id]} and {row} have the same id {problem_id!r}; ids must be unique"
            )
        first_row[problem_id] = row
        fields |= {alias: fields[column] for alias, column in aliases.items() if column in fields}
        problems.append(Problem(problem_id, fields, gold))
    if not problems:
        wanted = [f"{name} is {value!r}" for name, value in spec.rows]
        wanted += [f"the gold matches {spec.gold.matches!r}"] if spec.gold.matches is not None else []
        raise TaskError(f"{where} has no row in which {' and '.join(wanted)}, as task {spec.name} wants; give another")
    return tuple(problems)


def _fields(spec: TaskSpec, cells: dict[str, str | None], where: str, row: int) -> dict[str, str]:
    """The row's cells that have a value; `TaskError` for a needed one that has none."""
    fields: dict[str, str] = {}
    for name, value in cells.items():
        if value is not None and value.strip():
            fields[name] = value
        elif name == spec.columns.answer:
            raise TaskError(f"{where}: row {row} has an empty gold answer in column {name!r}; fill it or drop the row")
        elif name != spec.columns.solution or name == spec.gold.boxed_in:
            raise TaskError(f"{where}: row {row} has no value in column {name!r}; fill it or drop the row")
    return fields


def _golds(spec: TaskSpec, kept: Sequence[tuple[int, int, dict[str, str]]], where: str) -> list[str]:
    """The gold answers; a column of options becomes their lines in the fields."""
    answer, options = spec.columns.answer, spec.columns.options
    fields = [cells for _, _, cells in kept]
    if options is None or not all(answer in cells for cells in fields):
        return [_gold(spec, cells, where, row) for _, row, cells in kept]
    given, rows = [cells[answer].strip() for cells in fields], [row for _, row, _ in kept]
    return choice_golds(options, given, fields, rows, where)


def _gold(spec: TaskSpec, fields: dict[str, str], where: str, row: int) -> str:
    if spec.columns.answer not in fields and spec.gold.boxed_in is not None:
        box = last_box(fields[spec.gold.boxed_in])
        if box is None:
            raise TaskError(
                f"{where}: row {row} has no \\boxed{{}} in column {spec.gold.boxed_in!r}, in which the gold answer is "
                "read (gold.boxed_in); add it or drop the row"
            )
        return box
    answer = fields[spec.columns.answer]
    if spec.gold.after is None:
        return answer.strip()
    _, mark, gold = answer.rpartition(spec.gold.after)
    if not mark:
        raise TaskError(
            f"{where}: row {row} has no {spec.gold.after!r} in column {spec.columns.answer!r}, after which the gold "
            "answer is read (gold.after); add it or drop the row"
        )
    if not gold.strip():
        raise TaskError(
            f"{where}: row {row} has an empty gold answer after {spec.gold.after!r}; fill it or drop the row"
        )
    return gold.strip()
