"""Every grader on text made to hurt it: no exception, three-valued, and time that does not grow out of hand."""

from __future__ import annotations

import re
import time

import pytest

from bon_eval.graders import GRADERS

GOLDS = {
    "choice": "B\n(A) tibia\n(B) femur",
    "true_false": "True",
    "game24": "4 4 6 8",
    "numeric": "9 (apples)",
}
LONG = 100_000
REPEATED = [
    *("(", ")", "[", "{", "\\", "\\boxed{", "$", "*", "#", "#### ", "-", "+", "1+", "(1", "9", "é"),
    *(" ", "\t", "\n", "\x00", "\n(A) x", "the ", "n't ", "= 24 ", "A, ", "A and ", "A/", "(A) "),
    *("answer ", "answer is ", "answer: ", "answer is\n\n", "answer of the ", "answer to a", "if an answer is not"),
    *("The answer is A, ", "option A is ", "choose option ", "the correct ", "Answer:\n", "Answer: ("),
    *(
        "(see 1) ",
        "between 3 and ",
        "x = 3 or ",
        "答案是",
        "１",
        "twenty ",
        "integer} ",
        "not 1 but ",
        "B is ",
        '"answer": ',
    ),
    *("true or ", "true ", "not true ", "the statement is ", "statement is not"),
]
SLOWEST = 50
"""Most processor time for a text, in that of `loop`, which takes longer on a slow or busy machine, too."""


def loop() -> float:
    start = time.process_time()
    for _ in range(2_000_000):
        pass
    return time.process_time() - start


BRACKETS = "(" * 5_000 + ")" * 5_000
SINGLE = [
    "",
    " ",
    "\ud800",
    "\\boxed{\ud800}",
    "\\boxed{",
    "Answer:",
    "Answer: \x00",
    "#### ",
    "The answer is",
    BRACKETS,
]


@pytest.mark.slow
@pytest.mark.parametrize("name", GOLDS)
@pytest.mark.parametrize("piece", REPEATED)
def test_repeated_text_is_graded_quickly(name: str, piece: str) -> None:
    grader = GRADERS[name]
    for text in (
        piece * (LONG // len(piece)),
        "answer is" + piece * (LONG // len(piece)) + "x",
        piece * 600 + "\nAnswer: B",
    ):
        start = time.process_time()
        grade = grader(text, GOLDS[name])
        grader.strict(text)
        used = time.process_time() - start
        assert used < 1.0 or used < SLOWEST * loop(), "of text that is read once or twice"
        assert grade.correct in (True, False, None)
        if grade.answer is not None:
            assert len(grade.answer) <= 2_000
            grader.key(grade.answer)


@pytest.mark.parametrize("name", GOLDS)
@pytest.mark.parametrize("text", SINGLE)
def test_odd_text_never_raises(name: str, text: str) -> None:
    grade = GRADERS[name](text, GOLDS[name])
    assert grade.correct in (True, False, None)
    assert grade.reason


@pytest.mark.parametrize("name", GOLDS)
def test_versions_name_their_grader(name: str) -> None:
    assert re.fullmatch(rf"{name}-\d+", GRADERS[name].version)
