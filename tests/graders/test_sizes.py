"""A size limit never turns into another answer."""

from __future__ import annotations

import pytest
import size_cases as cases

from bon_eval.graders import get_grader, strict
from bon_eval.graders.batch import grade_many


@pytest.mark.parametrize(
    ("grader", "response", "gold", "correct"), cases.SIZES, ids=[f"{g}-{r[:24]!r}-{c}" for g, r, _, c in cases.SIZES]
)
def test_cases(grader: str, response: str, gold: str, correct: bool | None) -> None:
    grade = get_grader(grader)(response, gold)
    assert grade.correct is correct, grade
    assert ("too long" in grade.reason) is (correct is None)
    assert grade_many(grader, [(response, gold)]) == [grade]
    assert len(grade.answer or "") <= 2_000


def test_the_strict_format_has_the_same_limit() -> None:
    assert strict("math", rf"\boxed{{{cases.SUM}}}", "900") is None
    assert strict("math", rf"\boxed{{{cases.SUM}}} 1", "1") is None
    assert strict("true_false", r"\boxed{True, since " + cases.PROSE * 40 + "}", "True") is None
