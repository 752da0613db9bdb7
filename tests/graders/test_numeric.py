"""The numeric grader: numbers in any common form, golds that carry their unit."""

from __future__ import annotations

import pytest

from bon_eval.graders import GRADERS, same_answer, strict

NUMERIC = GRADERS["numeric"]

GRADED: list[tuple[str, str, bool]] = [
    ("#### 7", "7", True),
    ("She keeps 7 apples.\n#### 7 apples", "7 (apples)", True),
    ("The answer is 7.", "7 (apples)", True),
    ("so there are 7 of them", "7.0", True),
    ("The answer is $1,250.50", "1250.5", True),
    ("The answer is 1/2", "0.5 (hour)", True),
    ("The answer is -3", "-3", True),
    (r"\boxed{025}", "25", True),
    (r"\boxed{25}", "025", True),
    (r"\boxed{2^3 + 1}", "9", True),
    ("3 + 4 = 7", "7", True),
    ("The answer is 8.", "7 (apples)", False),
    ("The answer is 3", "-3", False),
    ("The answer is 2.5", "25", False),
    ("The answer is 7 in the first box, but 8 in the second. #### 8", "7", False),
    ("I do not know.", "7", False),
    ("", "7", False),
]


@pytest.mark.parametrize(("response", "gold", "correct"), GRADED)
def test_the_number_counts(response: str, gold: str, correct: bool) -> None:
    assert NUMERIC(response, gold).correct is correct


@pytest.mark.parametrize("gold", ["7", "7 (apples)", "2.5", "-3", "1,250", "025", "1/2"])
def test_off_by_one_is_wrong(gold: str) -> None:
    misses = NUMERIC.near_misses(gold)
    assert len(misses) == 2
    for miss in misses:
        assert NUMERIC(f"#### {miss}", gold).correct is False
    assert NUMERIC(f"#### {NUMERIC.solution(gold)}", gold).correct is True


def test_strict_counts_a_number_that_is_stated() -> None:
    for stated in ("#### 7", r"\boxed{7}", "The answer is 7."):
        assert strict("numeric", stated, "7 (apples)") is True
    assert strict("numeric", "There are 7", "7 (apples)") is False


def test_votes_are_by_value() -> None:
    assert same_answer("numeric", "0.5", "1/2")
    assert not same_answer("numeric", "5", "50")
