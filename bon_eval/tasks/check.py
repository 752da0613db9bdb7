"""``tasks check``: a task's own grader accepts every gold answer, and refuses answers that are nearly right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bon_eval.graders import get_grader
from bon_eval.graders.batch import grade_many
from bon_eval.graders.choice_text import chance_level
from bon_eval.graders.plugin import OwnFileGrader
from bon_eval.records import Problem
from bon_eval.tasks.problems import load_train_problems
from bon_eval.tasks.spec import TaskSpec
from bon_eval.tasks.templates import render_template

Source = Literal["answer_format", "solution", "demonstration", "near_miss"]


@dataclass(frozen=True, slots=True)
class GoldFailure:
    """A text that the task's own grader judges wrongly: grades on this problem mean nothing."""

    problem_id: str
    source: Source
    """What was graded: the gold answer in the task's answer format, the worked solution of the data, a demonstration
    of the task; or, in the answer format, an answer that is wrong by construction."""
    gold: str
    answer: str | None
    """What the grader read."""
    unscored: bool
    reason: str


@dataclass(frozen=True, slots=True)
class TaskCheck:
    """What was graded and what came out otherwise than it must."""

    problems: int
    golds: int
    """Texts that must be graded correct: gold answers, worked solutions, demonstrations."""
    near_misses: int
    """Texts that must be graded wrong: off by one, another letter, the opposite, a number used again."""
    unsolvable: int
    """Problems that the grader's own search finds no answer to: none of their answers is graded."""
    chance: float | None
    """Mean over problems of how often a guess is right; None where it is not known of one."""
    failures: tuple[GoldFailure, ...]
    """In task order; empty when the task is sound."""


def check_task(spec: TaskSpec, problems: Sequence[Problem]) -> TaskCheck:
    """Grade what must be correct and what must be wrong.

    Must be correct: the gold answer in the task's `answer_format` (for Game of 24 a solution found by enumeration),
    every demonstration and, where the data has one, the whole worked solution: the answer column when the gold answer
    is read out of it (`gold.after`), and the solution column. Must be wrong: what the grader makes of the gold answer
    by changing it a little (`AnswerGrader.near_misses`), in the same format.
    Raises `GraderError` for a grader that does not exist.
    """
    grader = get_grader(spec.grader)
    examples = load_train_problems(spec) if spec.few_shot.demonstrations else ()
    texts: list[tuple[Problem, Source, str]] = [(p, "demonstration", p.fields["response"]) for p in examples]
    unsolvable = 0
    for problem in problems:
        right = grader.solution(problem.gold)
        unsolvable += right is None
        if right is not None:
            texts.append((problem, "answer_format", _stated(spec, right)))
            texts += [(problem, "near_miss", _stated(spec, wrong)) for wrong in grader.near_misses(problem.gold)]
        if spec.gold.after is not None:
            texts.append((problem, "solution", problem.fields[spec.columns.answer]))
        if spec.columns.solution is not None and spec.columns.solution in problem.fields:
            texts.append((problem, "solution", problem.fields[spec.columns.solution]))
    pairs = ((text, problem.gold) for problem, _, text in texts)
    grades = grade_many(spec.grader, pairs, reasoning=spec.reasoning)
    failures = tuple(
        GoldFailure(problem.id, source, problem.gold, grade.answer, grade.correct is None, grade.reason)
        for (problem, source, _), grade in zip(texts, grades, strict=True)
        if grade.correct is not (source != "near_miss")
    )
    misses = sum(source == "near_miss" for _, source, _ in texts)
    return TaskCheck(len(problems), len(texts) - misses, misses, unsolvable, _chance(spec, problems), failures)


def try_grader(spec: TaskSpec, problems: Sequence[Problem]) -> None:
    """Raise `GraderError` for a grader that does not exist; one in a user's file is tried on the first gold answer."""
    grader = get_grader(spec.grader)
    if isinstance(grader, OwnFileGrader):
        for problem in problems[:1]:
            grader.try_on(_stated(spec, problem.gold), problem.gold)


def _chance(spec: TaskSpec, problems: Sequence[Problem]) -> float | None:
    if spec.chance is not None:
        return spec.chance
    levels = [chance_level(spec.grader, problem.gold) for problem in problems]
    known = [level for level in levels if level is not None]
    return sum(known) / len(known) if known and len(known) == len(levels) else None


def _stated(spec: TaskSpec, answer: str) -> str:
    return render_template(spec.answer_format, {"gold": answer}, f"{spec.path}: answer_format")
