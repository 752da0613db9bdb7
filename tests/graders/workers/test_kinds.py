"""Kinds that no reader knows are named, and an exception inside is a defect: never a verdict."""

from __future__ import annotations

import pytest

from bon_eval.graders.batch import grade_many

KINDS: list[tuple[str, str, bool, str]] = [
    # gold, answer, verdict, how its reason ends
    ("5", r"\lim_{n\to\infty} b_n", False, "math-verify"),
    (r"\lim_{n\to\infty} b_n", r"\lim_{n\to\infty} b_n", True, "string"),
    ("5", r"\forall n: n > 2", False, "not parsed: the command 'forall'"),
    (r"\forall n: n > 2", r"$\forall n: n > 2$", True, "string"),
    ("(1,2)", r"\nabla g", False, "math-verify"),
    (r"\nabla g", r"\(\nabla g\)", True, "string"),
    ("x>3", r"\triangle DEF", False, "not parsed: the command 'triangle'"),
    (r"\triangle DEF", r"$\triangle DEF$.", True, "string"),
    ("7", "1, 2, \\ldots, 7", False, "not parsed: an ellipsis"),
    (r"1, 2, \ldots, 7", r"$1, 2, \ldots, 7$", True, "string"),
    ("7", r"m \parallel n", False, "not parsed: 'parallel' is left over"),
    (r"m \parallel n", r"$m\parallel n$", True, "string"),
    (r"\sqrt2", r"\overline{AB} + (", False, ""),
    (r"2+3i", "[1, i)", False, ""),
    (r"3+2i", r"\frac{13}{3-2i}", True, "symbolic"),
    (r"\frac12", r"\int_0^1 x dx", True, "math-verify"),
    (r"\frac12", r"\int_0^1 x^3 dx", False, "math-verify"),
]


@pytest.mark.parametrize(("gold", "answer", "correct", "reason"), KINDS)
def test_cases(gold: str, answer: str, correct: bool, reason: str) -> None:
    [grade] = grade_many("math", [(rf"\boxed{{{answer}}}", gold)])
    assert grade.correct is correct, grade
    assert grade.reason.endswith(reason)


def test_no_pair_of_kinds_is_a_defect() -> None:
    golds, answers = [k[0] for k in KINDS], [k[1] for k in KINDS]
    grades = grade_many("math", [(rf"\boxed{{{answer}}}", gold) for gold in golds for answer in answers], workers=2)
    assert [grade for grade in grades if "defect" in grade.reason] == []
    assert [grade for grade in grades if grade.correct is None] == []


def test_what_the_library_would_cut_is_too_long() -> None:
    answer = r"\int_0^1 x dx" + " + 0" * 120
    [grade] = grade_many("math", [(rf"\boxed{{{answer}}}", r"\frac12")])
    assert grade.correct is None
    assert "too long" in grade.reason
