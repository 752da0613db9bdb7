"""Multiple choice: a table of responses, with the options known and unknown."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from bon_eval.graders import GRADERS, same_answer, strict
from bon_eval.graders.batch import grade_both

Classes = Callable[[str, Sequence[str | None]], list[int]]

CHOICE = GRADERS["choice"]
GOLD = "B\n(A) tibia\n(B) femur\n(C) E. coli\n(D) B cells\n(E) 2\n(F) 2.5\n(G) the kneecap\n(H) none of the above"
ECHO = "(A) tibia\n(B) femur\n(C) E. coli\n(D) B cells"

# response, the letter that is read (None: no option), where
READ: list[tuple[str, str | None, str]] = [
    ("The answer is (B).", "B", "phrase"),
    ("the answer is b.", "B", "phrase"),
    ("The answer is: B", "B", "phrase"),
    ("So the correct answer is **B**.", "B", "phrase"),
    ("**Answer:** B", "B", "phrase"),
    ("**Answer: B**", "B", "phrase"),
    ("Answer: B) femur", "B", "phrase"),
    ("Answer: B. femur", "B", "phrase"),
    ("answer = (b)", "B", "phrase"),
    ("The answer is 'B'.", "B", "phrase"),
    ("The answer is “B”", "B", "phrase"),
    ("The correct answer is:\n\n(B) femur", "B", "phrase"),
    ("The best answer is option B: femur", "B", "phrase"),
    ("The answer to the question is therefore (B)", "B", "phrase"),
    ("The answer must be B because it is longest.", "B", "phrase"),
    ("The correct choice is B since A is shorter.", "B", "phrase"),
    ("Option B is correct, A is not.", "B", "phrase"),
    ("(B) is the correct answer.", "B", "phrase"),
    ("Comparing them, I would choose option B.", "B", "phrase"),
    ("Of these I pick (B)", "B", "phrase"),
    ("#### B", "B", "phrase"),
    ("Final Answer: The final answer is (B). I hope it is correct.", "B", "phrase"),
    ("The answer is (A). Wait, that is shorter. The answer is (B).", "B", "phrase"),
    ("The answer is (B) femur, not (A) tibia.", "B", "phrase"),
    ("The answer is B, a femur.", "B", "phrase"),
    ("The answer is B, I think.", "B", "phrase"),
    (r"\boxed{B}", "B", "box"),
    (r"$\boxed{\text{(B)}}$", "B", "box"),
    (r"\boxed{\textbf{B. femur}}", "B", "box"),
    (r"The answer is (A). \boxed{b}", "B", "box"),
    ("It is the longest bone.\nB", "B", "last line"),
    ("It is the longest bone.\n\n(B)", "B", "last line"),
    ("It is the longest bone.\n**B.**\n", "B", "last line"),
    ("(B) femur", "B", "last line"),
    (" B", "B", "last line"),
    ("It is the longest bone, which is option B.", "B", "last line"),
    ("It is longest. Hence, B.", "B", "last line"),
    ("It is the longest one (B).", "B", "last line"),
    # the text of an option
    ("The answer is femur.", "B", "phrase"),
    ("The answer is the Femur, because it is longest.", "B", "phrase"),
    (r"\boxed{\text{femur}}", "B", "box"),
    ("femur", "B", "last line"),
    ("The answer is E. coli.", "C", "phrase"),
    ("The answer is B cells.", "D", "phrase"),
    ("The answer is 2.", "E", "phrase"),
    ("The answer is 2.5", "F", "phrase"),
    ("The answer is kneecap", "G", "phrase"),
    ("Answer: None of the above.", "H", "phrase"),
    # other letters
    ("The answer is (A) tibia.", "A", "phrase"),
    ("The answer is (A) femur.", "A", "phrase"),  # the letter goes before the text
    ("The answer is Z.", "Z", "phrase"),
    ("The answer is (D) B cells", "D", "phrase"),
    ("The answer is A and B.", "A, B", "phrase"),
    ("The answer is (B) or (C).", "B, C", "phrase"),
    (r"\boxed{A, B}", "A, B", "box"),
    ("The answer is A, B, and C.", "A, B, C", "phrase"),
    # no answer
    ("Because of this it must be something else.\nA look at it shows nothing more.", None, "no answer"),
    ("I do not know what this is.\nI give up.", None, "no answer"),
    ("B cells are made in bones.\nThey are not bones.", None, "no answer"),
    (f"Which of them is it?\n{ECHO}", None, "no answer"),
    ("", None, "no answer"),
    ("The answer is not B", None, "phrase"),
    ("The answer is a frog.", None, "phrase"),
    ("The answer is Bob.", None, "phrase"),
    ("The answer is 2,500", None, "phrase"),
    ("The answer is 25", None, "phrase"),
]


@pytest.mark.parametrize(("response", "letter", "where"), READ)
def test_what_is_read(response: str, letter: str | None, where: str) -> None:
    grade = CHOICE(response, GOLD)
    assert grade.correct is (letter == "B")
    assert grade.reason.startswith(where)
    if letter is not None:
        assert grade.answer == letter


def test_a_gold_without_options_knows_letters_only() -> None:
    assert CHOICE("The answer is (B).", "B").correct is True
    assert CHOICE("The answer is (B).", "(B)").correct is True
    assert CHOICE("The answer is (B).", "B) femur").correct is True
    assert CHOICE("The answer is (C).", "B) femur").correct is False
    assert CHOICE("The answer is the Femur.", "femur").correct is True
    assert CHOICE("The answer is (B).", "femur").correct is False
    assert CHOICE("The answer is (C).", "B").correct is False
    assert CHOICE("The answer is femur.", "B").correct is False


def test_no_verdict() -> None:
    twice = CHOICE("The answer is red.", "A\n(A) red\n(B) Red")
    assert (twice.correct, twice.reason) == (None, "phrase; the text of options A and B")
    long = CHOICE("\\boxed{" + "very " * 800 + "long}", GOLD)
    assert long.correct is None
    assert "too long" in long.reason


def test_an_option_that_there_is_not() -> None:
    assert CHOICE("The answer is (Z).", GOLD).reason == "phrase; no such option"


def test_strict_counts_a_stated_letter_only() -> None:
    assert strict("choice", "The answer is (B).", GOLD) is True
    assert strict("choice", r"\boxed{B}", GOLD) is True
    assert strict("choice", "The answer is (C).", GOLD) is False
    assert strict("choice", "The answer is femur.", GOLD) is False
    assert strict("choice", "I think\nB", GOLD) is False


def test_votes_join_letter_and_text(answer_classes: Classes) -> None:
    responses = ["The answer is (B).", "The answer is femur.", r"\boxed{b}", "The answer is (A).", "What?"]
    grades, _ = grade_both("choice", [(r, GOLD) for r in responses])
    assert [g.correct for g in grades] == [True, True, True, False, False]
    assert answer_classes("choice", [g.answer for g in grades]) == [0, 0, 0, 1, 2]
    assert same_answer("choice", "The Frog", "frog")
    assert not same_answer("choice", "A", "B")


def test_near_misses_are_all_other_letters() -> None:
    assert CHOICE.near_misses(GOLD) == tuple("ACDEFGH")
    assert CHOICE.solution(GOLD) == "B"
