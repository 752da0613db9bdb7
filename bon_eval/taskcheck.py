"""``tasks check``: every gold answer of a task must be graded correct by the task's own grader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bon_eval.graders import get_grader
from bon_eval.records import Problem
from bon_eval.tasks import TaskSpec
from bon_eval.templates import render_template


@dataclass(frozen=True, slots=True)
class GoldFailure:
    """A gold answer that the task's own grader does not accept: grades on this problem mean nothing."""

    problem_id: str
    source: Literal["answer_format", "solution"]
    """What was graded: the gold answer in the task's answer format, or the worked solution of the data."""
    gold: str
    answer: str | None
    """What the grader read."""
    unscored: bool
    reason: str


def check_task(spec: TaskSpec, problems: Sequence[Problem]) -> list[GoldFailure]:
    """The gold answers that are not graded correct, in task order; empty when the task is sound.

    Graded are the gold answer in the task's `answer_format` and, where the data has one, the whole worked solution:
    the answer column when the gold answer is read out of it (`gold.after`), and the solution column.
    Raises `GraderError` for a grader that does not exist.
    """
    grader = get_grader(spec.grader)
    failures: list[GoldFailure] = []
    for problem in problems:
        formatted = render_template(spec.answer_format, {"gold": problem.gold}, f"{spec.path}: answer_format")
        texts: list[tuple[Literal["answer_format", "solution"], str]] = [("answer_format", formatted)]
        if spec.gold_after is not None:
            texts.append(("solution", problem.fields[spec.columns.answer]))
        if spec.columns.solution is not None and spec.columns.solution in problem.fields:
            texts.append(("solution", problem.fields[spec.columns.solution]))
        for source, text in texts:
            grade = grader(text, problem.gold)
            if grade.correct is not True:
                failures.append(
                    GoldFailure(problem.id, source, problem.gold, grade.answer, grade.correct is None, grade.reason)
                )
    return failures
