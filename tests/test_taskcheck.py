"""Every gold answer of every task is graded correct by the task's own grader."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from bon_eval.errors import GraderError
from bon_eval.records import Problem
from bon_eval.taskcheck import check_task
from bon_eval.taskdata import load_problems
from bon_eval.tasks import list_tasks, load_task

REAL_DATA = Path(os.environ.get("BON_EVAL_DATA", Path(__file__).parents[1].parent / "shared" / "data"))


@pytest.mark.data
@pytest.mark.parametrize("name", list_tasks())
def test_every_gold_answer_is_graded_correct_by_the_tasks_own_grader(name: str) -> None:
    spec = load_task(name)
    data = None if name == "arith" else REAL_DATA / f"{name}_test.jsonl"
    if data is not None and not data.is_file():
        pytest.skip(f"no {data.name}: set BON_EVAL_DATA to the folder of the real data sets")
    assert check_task(spec, load_problems(spec, data=data)) == []


def test_failures_are_named_with_what_was_graded() -> None:
    good = Problem("0", {"question": "?", "answer": "so #### 12"}, "12")
    contradicts = Problem("1", {"question": "?", "answer": "so #### 13"}, "12")
    failures = check_task(load_task("gsm8k"), [good, contradicts])
    assert [(f.problem_id, f.source, f.gold, f.answer, f.unscored) for f in failures] == [
        ("1", "solution", "12", "13", False)
    ]
    misread = replace(load_task("gsm8k"), answer_format="#### {gold}\n#### 99")
    assert [(f.problem_id, f.source, f.answer) for f in check_task(misread, [good])] == [("0", "answer_format", "99")]
    assert all(f.reason for f in failures)


def test_solution_column_is_graded_where_there_is_one() -> None:
    spec = load_task("math500")
    sound = Problem("a", {"problem": "?", "answer": "7", "solution": r"so \boxed{7}"}, "7")
    unsound = Problem("b", {"problem": "?", "answer": "7", "solution": r"so \boxed{8}"}, "7")
    without = Problem("c", {"problem": "?", "answer": "7"}, "7")
    failures = check_task(spec, [sound, unsound, without])
    assert [(f.problem_id, f.source, f.answer, f.unscored) for f in failures] == [("b", "solution", "8", False)]


def test_unknown_grader() -> None:
    with pytest.raises(GraderError, match="nope"):
        check_task(replace(load_task("gsm8k"), grader="nope"), [])
