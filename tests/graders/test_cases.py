"""The case tables, as single verdicts and as one pool, and what must never change a verdict."""

from __future__ import annotations

import doctest
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import grader_cases as cases
import pytest

from bon_eval.errors import GraderError
from bon_eval.graders import GRADERS, get_grader, grade_gsm8k, grade_math, same_answer, strict
from bon_eval.graders.batch import grade_both, grade_many

Classes = Callable[[str, Sequence[str | None]], list[int]]


def boxed(answer: str) -> str:
    return "Some steps with 3 and 7. The answer is \\boxed{" + answer + "}."


@pytest.mark.parametrize(("gold", "answer"), cases.EQUAL)
def test_equal(gold: str, answer: str) -> None:
    assert grade_math(boxed(answer), gold).correct is True


@pytest.mark.parametrize(("gold", "answer"), cases.DIFFERENT)
def test_different(gold: str, answer: str) -> None:
    assert grade_math(boxed(answer), gold).correct is False


@pytest.mark.parametrize(("response", "gold", "correct", "where"), cases.RESPONSES_MATH)
def test_math_responses(response: str, gold: str, correct: bool, where: str) -> None:
    grade = grade_math(response, gold)
    assert grade.correct is correct
    assert grade.reason.startswith(where)
    assert (grade.answer is None) == where.startswith("no answer")


@pytest.mark.parametrize(("response", "gold", "correct", "where"), cases.RESPONSES_GSM8K)
def test_gsm8k_responses(response: str, gold: str, correct: bool, where: str) -> None:
    grade = grade_gsm8k(response, gold)
    assert grade.correct is correct
    assert grade.reason.startswith(where)


def test_pool_agrees_with_single_verdicts_in_any_order() -> None:
    pairs = [(boxed(a), g) for g, a in cases.EQUAL + cases.DIFFERENT]
    expected = [True] * len(cases.EQUAL) + [False] * len(cases.DIFFERENT)
    order = list(range(len(pairs)))
    random.Random(5).shuffle(order)
    grades = grade_many("math", [pairs[i] for i in order], workers=2)
    assert [g.correct for g in grades] == [expected[i] for i in order]
    assert grades == [grade_math(*pairs[i]) for i in order]


def test_strict_counts_only_the_format() -> None:
    assert strict("gsm8k", "#### 18", "18") is True
    assert strict("gsm8k", "The answer is 18", "18") is False
    assert strict("gsm8k", "A: 18", "18") is False
    assert strict("gsm8k", "#### 19", "18") is False
    assert strict("math", r"\boxed{\frac12}", "0.5") is True
    assert strict("math", "The answer is 0.5", "0.5") is False
    grades, verdicts = grade_both("gsm8k", [("The answer is 18", "18"), ("#### 18", "18"), ("#### 3", "18")])
    assert [g.correct for g in grades] == [True, True, False]
    assert verdicts == [False, True, False]


def test_registry() -> None:
    assert set(GRADERS) == {"math", "gsm8k", "numeric", "choice", "true_false", "game24"}
    for name, grader in GRADERS.items():
        assert grader.name == name
        assert grader.version
    with pytest.raises(GraderError, match="valid: choice, game24, gsm8k, math, numeric, true_false"):
        get_grader("sums")
    with pytest.raises(GraderError, match="at least 1"):
        grade_many("math", [], workers=0)


def test_progress_reports_every_pair_that_needs_a_worker() -> None:
    seen: list[tuple[int, int]] = []
    pairs = [(boxed(rf"\sqrt{{{12 * n * n}}}"), rf"{2 * n}\sqrt{{3}}") for n in range(1, 31)]
    grades = grade_many("math", pairs * 3, workers=2, progress=lambda done, of: seen.append((done, of)))
    assert {g.correct for g in grades} == {True}
    assert seen == [(k, 30) for k in range(1, 31)]


def test_gold_may_be_a_whole_solution() -> None:
    assert grade_gsm8k("#### 70,000", "He makes 70000 of 300000\n#### 70000").correct is True
    assert grade_math(r"\boxed{3}", r"Hence $x = \boxed{3}$.").correct is True


CLASSES = [
    (["0.5", "1/2", None, r"\frac12", "2"], [0, 0, -1, 0, 1]),
    ([r"\sqrt{2}", r"\frac{2}{\sqrt{2}}", "1.41421356", "2^{1/2}"], [0, 0, 1, 0]),
    (["x+1", "1+x", "x-1", "f(x)=x+1"], [0, 0, 1, 0]),
    (["1,2", "2,1", "(1,2)", "(2,1)"], [0, 0, 1, 2]),
    (["204_5", "204_6", "204"], [0, 1, 2]),
    (["B", r"\text{(B)}", "(B)", "C", "n", "N"], [0, 0, 0, 1, 2, 3]),
    ([], []),
    ([None, None], [-1, -1]),
]


@pytest.mark.parametrize(("answers", "classes"), CLASSES)
def test_answer_classes(answer_classes: Classes, answers: list[str | None], classes: list[int]) -> None:
    assert answer_classes("math", answers) == classes


def test_classes_of_stored_answers_equal_those_of_the_written_ones(answer_classes: Classes) -> None:
    written = [
        r"2 \sin u \cos v",
        r"\sin(v+u)-\sin(v-u)",
        r"\frac 5 9",
        "5/9",
        r"138 \frac{1}{2}",
        "138.5",
        r"\text{(B)}",
        "B",
    ]
    stored = [grade_math(boxed(x), "0").answer for x in written]
    assert answer_classes("math", stored) == answer_classes("math", written) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_same_answer_is_an_equivalence_on_the_tables(answer_classes: Classes) -> None:
    answers = sorted({x for pair in cases.EQUAL[:80] + cases.DIFFERENT[:40] for x in pair if x})
    classes = answer_classes("math", answers)
    for k in range(0, len(answers) - 1, 3):
        assert same_answer("math", answers[k], answers[k])
        assert same_answer("math", answers[k], answers[k + 1]) == (classes[k] == classes[k + 1])
        assert same_answer("math", answers[k + 1], answers[k]) == (classes[k] == classes[k + 1])


def test_the_examples_of_the_documentation() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "grading.md"
    failed, tried = doctest.testfile(str(page), module_relative=False)
    assert (failed, tried > 3) == (0, True)


def test_what_only_math_verify_reads() -> None:
    pair = (r"\boxed{S_n = \sum_{k=1}^{n} b_{k+1} a_k}", r"S_n = \sum_{k=1}^{n} a_k b_{k+1}")
    other = (pair[0].replace("k=1", "k=2"), pair[1])
    grades = grade_many("math", [pair, other], deadline=20, workers=1)
    assert [grade.correct for grade in grades] == [True, False]
    assert {grade.reason for grade in grades} == {"box; math-verify"}
