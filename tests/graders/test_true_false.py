"""True or false: the final verdict, and not one on the way to it."""

from __future__ import annotations

import pytest

from bon_eval.graders import GRADERS, strict

TRUE_FALSE = GRADERS["true_false"]
GOLD = "B\n(A) True\n(B) False"

READ: list[tuple[str, str | None, str]] = [
    ("The answer is False.", "False", "phrase"),
    ("the answer is: FALSE", "False", "phrase"),
    ("**Answer:** False", "False", "phrase"),
    ("Answer:\nFalse", "False", "phrase"),
    ("#### False", "False", "phrase"),
    ("The final answer is $\\boxed{\\text{False}}$.", "False", "box"),
    ("It is true that Rex is a cat. The answer is False.", "False", "phrase"),
    ("The answer is False. This is true since Rex is not tall.", "False", "phrase"),
    ("The answer is True. Wait: no. The answer is False.", "False", "phrase"),
    ("Is it true or false? Rex is not tall, so the answer is False", "False", "phrase"),
    ('Rex is not tall. Therefore, the statement "Rex is tall" is false.', "False", "phrase"),
    ("Hence the statement is therefore not true.", "False", "phrase"),
    ("The statement isn't true.", "False", "phrase"),
    ("So the statement cannot be true.", "False", "phrase"),
    ("The claim is not false.", "True", "phrase"),
    ("Rex is tall.\nSo it is true.", "True", "last line"),
    ("Rex is not tall.\nFalse", "False", "last line"),
    ("**False**", "False", "last line"),
    ("True. Rex is a cat, and cats are tall animals.", "True", "opening"),
    ("False\nMax is not tall because cats are sweet.", "False", "opening"),
    ("It is true that cats are tall. Rex is a cat, and so on.", None, "no answer"),
    ("Cats are tall, which is false for dogs.\nMax is a dog.", None, "no answer"),
    ("Is the following statement true or false? Rex is tall.", None, "no answer"),
    ("The answer is: true or false", None, "no answer"),
    ("End with a last line: The answer is X, where X is True or False.", None, "no answer"),
    ("The answer is neither true nor false", None, "no answer"),
    ("The answer is No.", None, "no answer"),
    ("Truely untrue falsehoods.", None, "no answer"),
    ("", None, "no answer"),
]


@pytest.mark.parametrize(("response", "verdict", "where"), READ)
def test_what_is_read(response: str, verdict: str | None, where: str) -> None:
    grade = TRUE_FALSE(response, GOLD)
    assert grade.answer == verdict
    assert grade.correct is (verdict == "False")
    assert grade.reason.startswith(where)


@pytest.mark.parametrize("gold", ["False", "false", GOLD, "A\n(A) False\n(B) True"])
def test_golds(gold: str) -> None:
    assert TRUE_FALSE("The answer is False.", gold).correct is True
    assert TRUE_FALSE("The answer is True.", gold).correct is False
    assert TRUE_FALSE.near_misses(gold) == ("True",)


def test_a_gold_that_is_no_verdict_gives_none() -> None:
    assert TRUE_FALSE("The answer is False.", "maybe").correct is None


def test_strict_counts_a_stated_answer_only() -> None:
    assert strict("true_false", "The answer is False.", GOLD) is True
    assert strict("true_false", "The answer is True.", GOLD) is False
    assert strict("true_false", "So the statement is false.", GOLD) is False
