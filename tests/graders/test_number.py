"""The rational number of an answer, as each grader reads it: what distances between answers are made of."""

from __future__ import annotations

from fractions import Fraction

import pytest

from bon_eval.graders import GRADERS, get_grader

CASES = [
    ("gsm8k", "18", Fraction(18)),
    ("gsm8k", "-3.5", Fraction(-7, 2)),
    ("gsm8k", "1/3", Fraction(1, 3)),
    ("gsm8k", "many", None),
    ("numeric", "9 (apples)", Fraction(9)),
    ("math", r"\frac12", Fraction(1, 2)),
    ("math", "0.1", Fraction(1, 10)),
    ("math", "2^{10}", Fraction(1024)),
    ("math", "x=5", Fraction(5)),
    ("math", r"\sqrt{2}", None),
    ("math", "(1,2)", None),
    ("math", "x+1", None),
    ("choice", "A", None),
    ("true_false", "True", None),
    ("game24", "1+2+3", None),
]


@pytest.mark.parametrize(("name", "answer", "number"), CASES)
def test_by_hand(name: str, answer: str, number: Fraction | None) -> None:
    assert get_grader(name).number(answer) == number


def test_golds_and_normal_forms_have_the_number() -> None:
    for name in ("gsm8k", "numeric", "math"):
        grader = GRADERS[name]
        assert grader.number(grader.gold("#### 1,234" if name != "numeric" else "1,234 coins")) == 1234
        grade = grader(r"So it is \boxed{7/8}.", "3")
        assert grade.answer is not None
        assert grader.number(grade.answer) == Fraction(7, 8)


def test_no_text_raises() -> None:
    for grader in GRADERS.values():
        for text in ("", " ", "9" * 10_000, "{" * 500, "1/0", "\\frac", "∞", "x" * 100_000):
            grader.number(text)
