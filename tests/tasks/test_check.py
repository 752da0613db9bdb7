"""Every gold answer of every task is graded correct by the task's own grader."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from bon_eval.errors import GraderError
from bon_eval.records import Problem
from bon_eval.tasks.check import check_task
from bon_eval.tasks.load import list_tasks, load_task
from bon_eval.tasks.problems import load_problems, local_file

REAL_DATA = Path(os.environ.get("BON_EVAL_DATA", Path(__file__).parents[2].parent / "shared" / "data"))


COUNTS = {
    # problems, right answers (solutions and demonstrations of the task included), near misses
    "arith": (500, 1000, 1000),
    "gameof24": (1362, 1364, 4009),
    "gsm8k": (1319, 2638, 2638),
    "math500": (500, 504, 449),
    "math_integer": (311, 315, 311),
    "mmlu_college_biology": (144, 147, 432),
    "mmlu_college_chemistry": (100, 103, 300),
    "mmlu_college_physics": (102, 105, 306),
    "prontoqa": (500, 502, 500),
}


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("name", COUNTS)
def test_every_gold_answer_is_graded_correct_and_every_near_miss_wrong(name: str) -> None:
    spec = load_task(name)
    data = local_file(spec, REAL_DATA)
    assert data is not None
    if name != "arith" and not data.is_file():
        pytest.skip(f"no {data.name}: set BON_EVAL_DATA to the folder of the real data sets")
    found = check_task(spec, load_problems(spec, data=REAL_DATA if REAL_DATA.is_dir() else None))
    assert found.failures == ()
    assert (found.problems, found.golds, found.near_misses) == COUNTS[name]
    assert found.unsolvable == 0


@pytest.mark.data
@pytest.mark.parametrize("name", COUNTS)
def test_no_demonstration_is_a_problem_of_the_data(name: str) -> None:
    spec = load_task(name)
    if not REAL_DATA.is_dir():
        pytest.skip("no real data sets: set BON_EVAL_DATA to their folder")
    asked = {p.fields[spec.columns.question].strip() for p in load_problems(spec, data=REAL_DATA)}
    assert not asked & {dict(d.fields)[spec.columns.question].strip() for d in spec.few_shot.demonstrations}


@pytest.mark.parametrize("name", list_tasks())
def test_the_demonstrations_of_every_task_are_right(name: str) -> None:
    spec = load_task(name)
    found = check_task(spec, ())
    assert (found.golds, found.failures) == (len(spec.few_shot.demonstrations), ())


def test_failures_are_named_with_what_was_graded() -> None:
    good = Problem("0", {"question": "?", "answer": "so #### 12"}, "12")
    contradicts = Problem("1", {"question": "?", "answer": "so #### 13"}, "12")
    failures = check_task(load_task("gsm8k"), [good, contradicts]).failures
    assert [(f.problem_id, f.source, f.gold, f.answer, f.unscored) for f in failures] == [
        ("1", "solution", "12", "13", False)
    ]
    misread = replace(load_task("gsm8k"), answer_format="#### {gold}\n#### 13")
    failures = check_task(misread, [good]).failures
    assert [(f.problem_id, f.source, f.answer) for f in failures] == [("0", "answer_format", "13")]
    lenient = replace(load_task("gsm8k"), answer_format="#### {gold}\n#### 12")
    failures = check_task(lenient, [good]).failures
    assert [(f.source, f.answer) for f in failures] == [("near_miss", "12")] * 2
    assert all(f.reason for f in failures)


def test_solution_column_is_graded_where_there_is_one() -> None:
    spec = load_task("math500")
    sound = Problem("a", {"problem": "?", "answer": "7", "solution": r"so \boxed{7}"}, "7")
    unsound = Problem("b", {"problem": "?", "answer": "7", "solution": r"so \boxed{8}"}, "7")
    without = Problem("c", {"problem": "?", "answer": "7"}, "7")
    failures = check_task(spec, [sound, unsound, without]).failures
    assert [(f.problem_id, f.source, f.answer, f.unscored) for f in failures] == [("b", "solution", "8", False)]


def test_a_puzzle_without_a_solution_is_counted() -> None:
    found = check_task(load_task("gameof24"), [Problem("0", {"Puzzles": "1 1 1 1"}, "1 1 1 1")])
    assert (found.problems, found.unsolvable, found.failures) == (1, 1, ())


def test_unknown_grader() -> None:
    with pytest.raises(GraderError, match="nope"):
        check_task(replace(load_task("gsm8k"), grader="nope"), [])
