"""Multiple choice: a table of responses, with the options known and unknown."""

from __future__ import annotations

import pytest

from bon_eval.graders import GRADERS, same_answer, strict
from bon_eval.graders.pool import answer_classes, grade_both

CHOICE = GRADERS["choice"]
GOLD = "B\n(A) amnion\n(B) chorion\n(C) E. coli\n(D) B cells\n(E) 2\n(F) 2.5\n(G) the yolk sac\n(H) none of the above"
ECHO = "(A) amnion\n(B) chorion\n(C) E. coli\n(D) B cells"

# response, the letter that is read (None: no option), where
READ: list[tuple[str, str | None, str]] = [
    ("The answer is (B).", "B", "phrase"),
    ("the answer is b.", "B", "phrase"),
    ("The answer is: B", "B", "phrase"),
    ("So the correct answer is **B**.", "B", "phrase"),
    ("**Answer:** B", "B", "phrase"),
    ("**Answer: B**", "B", "phrase"),
    ("Answer: B) chorion", "B", "phrase"),
    ("Answer: B. chorion", "B", "phrase"),
    ("answer = (b)", "B", "phrase"),
    ("The answer is 'B'.", "B", "phrase"),
    ("The answer is “B”", "B", "phrase"),
    ("The correct answer is:\n\n(B) chorion", "B", "phrase"),
    ("The best answer is option B: chorion", "B", "phrase"),
    ("The answer to the question is therefore (B)", "B", "phrase"),
    ("The answer must be B because it is outermost.", "B", "phrase"),
    ("The correct choice is B since A lies inside.", "B", "phrase"),
    ("Option B is correct, A is not.", "B", "phrase"),
    ("(B) is the correct answer.", "B", "phrase"),
    ("Comparing them, I would choose option B.", "B", "phrase"),
    ("Of these I pick (B)", "B", "phrase"),
    ("#### B", "B", "phrase"),
    ("Final Answer: The final answer is (B). I hope it is correct.", "B", "phrase"),
    ("The answer is (A). Wait, that is inside. The answer is (B).", "B", "phrase"),
    ("The answer is (B) chorion, not (A) amnion.", "B", "phrase"),
    ("The answer is B, a chorion.", "B", "phrase"),
    ("The answer is B, I think.", "B", "phrase"),
    (r"\boxed{B}", "B", "box"),
    (r"$\boxed{\text{(B)}}$", "B", "box"),
    (r"\boxed{\textbf{B. chorion}}", "B", "box"),
    (r"The answer is (A). \boxed{b}", "B", "box"),
    ("It surrounds the embryo.\nB", "B", "last line"),
    ("It surrounds the embryo.\n\n(B)", "B", "last line"),
    ("It surrounds the embryo.\n**B.**\n", "B", "last line"),
    ("(B) chorion", "B", "last line"),
    (" B", "B", "last line"),
    ("It surrounds the embryo, which is option B.", "B", "last line"),
    ("It is outermost. Hence, B.", "B", "last line"),
    ("It is the outermost one (B).", "B", "last line"),
    # the text of an option
    ("The answer is chorion.", "B", "phrase"),
    ("The answer is the Chorion, because it is outermost.", "B", "phrase"),
    (r"\boxed{\text{chorion}}", "B", "box"),
    ("chorion", "B", "last line"),
    ("The answer is E. coli.", "C", "phrase"),
    ("The answer is B cells.", "D", "phrase"),
    ("The answer is 2.", "E", "phrase"),
    ("The answer is 2.5", "F", "phrase"),
    ("The answer is yolk sac", "G", "phrase"),
    ("Answer: None of the above.", "H", "phrase"),
    # other letters
    ("The answer is (A) amnion.", "A", "phrase"),
    ("The answer is (A) chorion.", "A", "phrase"),  # the letter goes before the text
    ("The answer is Z.", "Z", "phrase"),
    ("The answer is (D) B cells", "D", "phrase"),
    ("The answer is A and B.", "A, B", "phrase"),
    ("The answer is (B) or (C).", "B, C", "phrase"),
    (r"\boxed{A, B}", "A, B", "box"),
    ("The answer is A, B, and C.", "A, B, C", "phrase"),
    # no answer
    ("Because of this it must be something else.\nA look at it shows nothing more.", None, "no answer"),
    ("I do not know what this is.\nI give up.", None, "no answer"),
    ("B cells are made in bones.\nThey are not membranes.", None, "no answer"),
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
    assert CHOICE("The answer is (C).", "B").correct is False
    assert CHOICE("The answer is chorion.", "B").correct is False


def test_no_verdict() -> None:
    twice = CHOICE("The answer is red.", "A\n(A) red\n(B) Red")
    assert (twice.correct, twice.reason) == (None, "phrase; the text of options A and B")
    long = CHOICE("\\boxed{" + "very " * 800 + "long}", GOLD)
    assert long.correct is None
    assert "longer than 2000" in long.reason


def test_an_option_that_there_is_not() -> None:
    assert CHOICE("The answer is (Z).", GOLD).reason == "phrase; no such option"


def test_strict_counts_a_stated_letter_only() -> None:
    assert strict("choice", "The answer is (B).", GOLD) is True
    assert strict("choice", r"\boxed{B}", GOLD) is True
    assert strict("choice", "The answer is (C).", GOLD) is False
    assert strict("choice", "The answer is chorion.", GOLD) is False
    assert strict("choice", "I think\nB", GOLD) is False


def test_votes_join_letter_and_text() -> None:
    responses = ["The answer is (B).", "The answer is chorion.", r"\boxed{b}", "The answer is (A).", "What?"]
    grades, _ = grade_both("choice", [(r, GOLD) for r in responses])
    assert [g.correct for g in grades] == [True, True, True, False, False]
    assert answer_classes("choice", [g.answer for g in grades]) == [0, 0, 0, 1, 2]
    assert same_answer("choice", "The Frog", "frog")
    assert not same_answer("choice", "A", "B")


def test_near_misses_are_all_other_letters() -> None:
    assert CHOICE.near_misses(GOLD) == tuple("ACDEFGH")
    assert CHOICE.solution(GOLD) == "B"
