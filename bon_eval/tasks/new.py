"""``tasks new``: a YAML file for a user's data that runs as it stands."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from bon_eval.errors import TaskError, listed
from bon_eval.graders.choice_text import LETTERS
from bon_eval.graders.numeric import NUMERIC
from bon_eval.graders.workers.own_file import is_file_name, split_name
from bon_eval.tasks.check import check_task
from bon_eval.tasks.choices import read_options
from bon_eval.tasks.files import read_rows
from bon_eval.tasks.load import NAME, load_task
from bon_eval.tasks.problems import load_problems

if TYPE_CHECKING:
    from datasets import Dataset

_QUESTIONS = ("question", "problem", "prompt", "query", "instruction", "input", "puzzle", "puzzles", "text")
_ANSWERS = ("answer", "gold", "target", "final_answer", "expected_answer", "correct_answer", "label", "output")
_OPTIONS = ("options", "choices")
"""What columns are called, in lower case, the likeliest first."""

_LETTERS = frozenset(LETTERS[:10])
"""Answers that are all of these name options: later letters are seldom one, and often a word's."""
_MOST_CHECKED = 200
_WORKED = "Solve the problem step by step"
_LAST_LINE = "Reason step by step. End with a last line:"
_ENDS = {
    "math": rf"{_WORKED} and put the final answer in \boxed{{{{}}}}.",
    "numeric": f"{_WORKED}. End with a last line that holds only the final answer, written as #### <number>",
    "gsm8k": f"{_WORKED}. End with a last line that holds only the final answer, written as #### <number>",
    "choice": f"{_LAST_LINE} The answer is (X), where X is the letter of the right option.",
    "true_false": f"{_LAST_LINE} The answer is X, where X is True or False.",
    "game24": "Think step by step. End with a last line: Answer: <expression>, for example Answer: (14 - 2) * (18 / 9)",
}
"""What a prompt asks for, by grader: the answer as the grader's default `answer_format` has it."""
_OTHER_END = f"{_WORKED}. End with a last line that holds only the final answer."


@dataclass(frozen=True, slots=True)
class Draft:
    """A task file, not yet written."""

    text: str
    columns: Mapping[str, str]
    """What a column is -> its name."""
    grader: str
    checked: int
    """Problems whose gold answers were put to the grader."""
    near_misses: int
    """Wrong answers that were put to it."""
    refused: int
    """Of them, those whose own gold answer it does not grade correct, or a near miss of it not wrong."""
    problems: int
    shows_options: bool
    """Whether the prompt has the options of a multiple choice; they may stand in the question."""


def draft_task(
    name: str, data: Path, path: Path, *, columns: Mapping[str, str | None] | None = None, grader: str | None = None
) -> Draft:
    """What a task file for some data says.

    Args:
        name: of the task.
        data: JSON Lines, JSON, CSV or Parquet.
        path: where the file will lie, from where it names the data and a grader's file.
        columns: ``question``, ``answer`` and ``options`` where they are known; else by what columns are usually called.
        grader: else the first of true_false, choice, numeric and math that grades the gold answers right.

    Raises:
        TaskError: a name that names no folder, the data cannot be read, or a column is not there or cannot be told.
    """
    if not NAME.fullmatch(name):
        raise TaskError(f"name is {name!r}; it names a folder: use letters, digits, '.', '_' and '-'")
    rows = read_rows(data)
    found = _columns(rows, data, {role: column for role, column in (columns or {}).items() if column is not None})
    gold = {"after": "####"} if _all_have(rows, found["answer"], "####") else {}
    candidates = [grader] if grader is not None else _candidates(rows, found, gold)
    if "options" not in found and grader in (None, "choice"):
        _check_no_options(rows, data, found)
    drafts = []
    for candidate in candidates:
        draft = _checked(name, data, path, found, gold, candidate, list(rows.column_names))
        if not draft.refused:
            return draft
        drafts.append(draft)
    return min(drafts, key=lambda draft: draft.refused)


def _columns(rows: Dataset, data: Path, given: Mapping[str, str]) -> dict[str, str]:
    there = list(rows.column_names)
    for role, column in given.items():
        if column not in there:
            raise TaskError(f"data file {data} has no column {column!r} (--{role}); it has: {listed(there)}")
    lower = {column.lower(): column for column in reversed(there) if column not in given.values()}
    found = dict(given)
    for role, usual in (("question", _QUESTIONS), ("answer", _ANSWERS), ("options", _OPTIONS)):
        named = [lower[word] for word in usual if word in lower]
        if role == "options":
            named = [column for column in named if any(read_options(cell) is not None for cell in rows[column])]
        if role not in found and named:
            found[role] = named[0]
    if lacking := [role for role in ("question", "answer") if role not in found]:
        give = " and ".join(f"--{role} COLUMN" for role in lacking)
        which = " and the ".join(lacking)
        raise TaskError(
            f"data file {data}: which column is the {which} cannot be told; give {give}, of: {listed(there)}"
        )
    if "id" in there and "id" not in found.values() and len(set(rows["id"])) == len(rows) and None not in rows["id"]:
        found["id"] = "id"
    return found


def _check_no_options(rows: Dataset, data: Path, columns: Mapping[str, str]) -> None:
    """Raise `TaskError` for a column of options that cannot be read, or an answer that none of their columns has."""
    for column in rows.column_names:
        if column.lower() in _OPTIONS and column not in columns.values() and any(rows[column]):
            raise TaskError(
                f"data file {data}: column {column!r} holds no options that can be read; write them as a list of texts "
                "or as lists text and label in every row, or do without them by naming a grader: --grader math"
            )
    letters = _option_columns(rows.column_names, columns)
    golds = {str(cell).strip() for cell in rows[columns["answer"]]}
    if letters and golds <= _LETTERS and (other := sorted(golds.difference(letters))):
        raise TaskError(
            f"data file {data}: an answer is {other[0]!r}, and the columns of options are {listed(letters)}; add the "
            "column, or write the options as a list in one"
        )


def _option_columns(there: Sequence[str], columns: Mapping[str, str]) -> list[str]:
    """The columns A, B ... that hold an option each, where there are two or more."""
    free = set(there).difference(columns.values())
    found = list(takewhile(free.__contains__, LETTERS))
    return found if len(found) > 1 else []


def _all_have(rows: Dataset, column: str, mark: str) -> bool:
    return len(rows) > 0 and all(isinstance(cell, str) and mark in cell for cell in rows[column])


def _candidates(rows: Dataset, columns: Mapping[str, str], gold: Mapping[str, str]) -> list[str]:
    mark = gold.get("after")
    texts = [str(cell) for cell in rows[columns["answer"]]]
    golds = {(text if mark is None else text.rpartition(mark)[2]).strip() for text in texts}
    if golds and {text.lower() for text in golds} <= {"true", "false"}:
        return ["true_false", "math"]
    if "options" in columns or (golds and golds <= _LETTERS):
        return ["choice", "math"]
    return ["numeric", "math"] if golds and all(NUMERIC.number(text) is not None for text in golds) else ["math"]


def _checked(
    name: str,
    data: Path,
    path: Path,
    columns: Mapping[str, str],
    gold: Mapping[str, str],
    grader: str,
    there: Sequence[str],
) -> Draft:
    """The draft with a grader, as it does on the first problems."""
    folder = path.resolve().parent
    text = _text(name, os.path.relpath(data.resolve(), folder), columns, gold, _from(folder, grader), there)
    with tempfile.TemporaryDirectory() as made:
        trial = Path(made) / f"{name}.yaml"
        whole = _text(name, str(data.resolve()), columns, gold, _from(Path(made).resolve(), grader), there)
        trial.write_text(whole, encoding="utf-8")
        spec = replace(load_task(trial), path=path)
        problems = load_problems(spec)
        check = check_task(spec, problems[:_MOST_CHECKED])
    failed = {failure.problem_id for failure in check.failures}
    shows = "options" in columns or bool(_option_columns(there, columns))
    return Draft(text, columns, grader, check.problems, check.near_misses, len(failed), len(problems), shows)


def _from(folder: Path, grader: str) -> str:
    """A grader's file as it is named from a folder."""
    if not is_file_name(grader):
        return grader
    file, function = split_name(grader)
    return f"{os.path.relpath(file.resolve(), folder)}:{function}"


def _text(
    name: str, data: str, columns: Mapping[str, str], gold: Mapping[str, str], grader: str, there: Sequence[str]
) -> str:
    """The YAML."""

    def named(role: str) -> str:
        # A column of the data that is called so would be meant first.
        return "{" + (columns[role] if role in there else role) + "}"

    asked = [named("question"), *([named("options")] if "options" in columns else [])]
    if grader == "choice" and "options" not in columns:
        asked += [f"({letter}) {{{letter}}}" for letter in _option_columns(there, columns)]
    prompt = "\n".join(asked) + "\n\n" + _ENDS.get(grader, _OTHER_END)
    content: dict[str, Any] = {"name": name, "dataset": {"files": {"test": data}}, "columns": dict(columns)}
    if gold:
        content["gold"] = dict(gold)
    block = "".join(f"  {line}\n" if line else "\n" for line in prompt.split("\n"))
    return (
        "# Mandatory are columns, prompt and grader; all that a task can say, with defaults: docs/tasks.md.\n"
        + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=10_000)
        + f"prompt: |-\n{block}"
        + yaml.safe_dump({"grader": grader}, width=10_000)
    )
