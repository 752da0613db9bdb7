"""Game of 24: the rule in a table, the arithmetic against Python's own, the search against known puzzles."""

from __future__ import annotations

import doctest
import itertools
import random
from collections.abc import Callable, Sequence
from fractions import Fraction

import pytest

from bon_eval.graders import GRADERS, arithmetic, same_answer, strict
from bon_eval.graders import choice_text as options
from bon_eval.graders.arithmetic import NotArithmeticError, canonical, numbers_of, postfix, solve, value

Classes = Callable[[str, Sequence[str | None]], list[int]]


GAME24 = GRADERS["game24"]
GOLD = "4 4 6 8"

GRADED: list[tuple[str, bool | None, str]] = [
    ("Answer: (4 + 8) * (6 - 4)", True, "marker; exact"),
    ("Answer: (4 + 8) * (6 - 4) = 24", True, "marker; exact"),
    ("Answer: 24 = (4 + 8) * (6 - 4).", True, "marker; exact"),
    ("**Answer:** `(4+8)*(6-4)`", True, "marker; exact"),
    ("4 + 8 = 12\nfinal answer: (4+8)*(6-4)\n", True, "marker; exact"),
    ("Answer:\n(4+8)*(6-4)", True, "marker; exact"),
    ("Answer: $(4+8) \\times (6-4) = 24$", True, "marker; exact"),
    ("Answer: (4 + 8) × (6 − 4)", True, "marker; exact"),
    ("Answer: [4 + 8] * (6 - 4)", True, "marker; exact"),
    ("Answer: -(4 + 8) * (4 - 6)", True, "marker; exact"),
    ("Answer: 4 + 4 + 6 + 8\nAnswer: (4+8)*(6-4)", True, "marker; exact"),
    ("Answer: (4+8)*(6-4)\nAnswer: 4 + 4 + 6 + 8", False, "marker; exact"),  # the last line counts
    ("so \\boxed{(4+8)\\cdot(6-4)}", True, "box; exact"),
    ("I try sums first.\n(4+8)*(6-4) = 24", True, "last line; exact"),
    # not 24
    ("Answer: 4 + 4 + 6 + 8", False, "marker; exact"),
    ("Answer: (4+8)*(6-4) = 12*2 = 24", True, "marker; exact"),
    ("Answer: (4+8)*(6-4) = 25", False, "marker; states another value"),
    ("Answer: (4+8)*(6-4) = 12*3 = 24", False, "marker; states another value"),
    ("Answer: (4+8)*(6-4) = many", False, "marker; states another value"),
    ("Answer: 24", False, "marker; other numbers"),
    ("Answer: 24 = 24", False, "marker; other numbers"),
    ("Answer: 3 * 8 = (4+8)*(6-4)", False, "marker; other numbers"),
    ("Answer: = 24", False, "marker; not an expression"),
    ("Answer: 6 * 8 / (4 - 4)", False, "marker; division by zero"),
    # other numbers
    ("Answer: 4 * 6", False, "marker; other numbers"),
    ("Answer: 24", False, "marker; other numbers"),
    ("Answer: (4 + 8) * (6 - 4) + 4 - 4", False, "marker; other numbers"),
    ("Answer: (4 + 8) * (6 - 4) * 1", False, "marker; other numbers"),
    ("Answer: 44 - 6 * 8", False, "marker; other numbers"),
    ("Answer: 3 * 8", False, "marker; other numbers"),
    # no expression of + - * / and parentheses
    ("Answer: 4 ** 4 - 6 - 8", False, "marker; not an expression: a number is missing"),
    ("Answer: (4 + 8)(6 - 4)", False, "marker; not an expression: an operator is missing"),
    ("Answer: ((4 + 8) * (6 - 4)", False, "marker; not an expression: a parenthesis is not closed"),
    ("Answer: (4 + 8)) * (6 - 4)", False, "marker; not an expression: a parenthesis is not opened"),
    ("Answer: 4.0 + 8 * 6 - 4", False, "marker; not an expression: '.' is no part of an expression"),
    ("Answer: __import__('os').getcwd()", False, "marker; not an expression"),
    ("Answer: sqrt(4) * 6 * 8 / 4", False, "marker; not an expression"),
    ("Answer: 4! + 4 * (6 - 8)", False, "marker; not an expression"),
    ("Answer: no solution", False, "marker; not an expression"),
    # nothing to read
    ("I try 4 + 8 and then 6 - 4 but it is hard to say", False, "no answer found"),
    ("", False, "no answer found"),
    # no verdict
    ("Answer: " + "(" * 1_500 + "4" + ")" * 1_500, None, "marker; too long: the answer has more than 2,000 characters"),
    # large, but decided
    ("Answer: " + "9" * 1_900, False, "marker; other numbers"),
    ("Answer: " + "(" * 900 + "4+8" + ")" * 900 + "*(6-4)", True, "marker; exact"),
    ("Answer: " + "-" * 1_900 + "4", False, "marker; other numbers"),
]


@pytest.mark.parametrize(("response", "correct", "reason"), GRADED)
def test_the_rule(response: str, correct: bool | None, reason: str) -> None:
    grade = GAME24(response, GOLD)
    assert grade.correct is correct
    assert grade.reason.startswith(reason)


def test_strict_counts_the_answer_line_only() -> None:
    assert strict("game24", "Answer: (4+8)*(6-4)", GOLD) is True
    assert strict("game24", "Answer: 4+4+6+8", GOLD) is False
    assert strict("game24", "(4+8)*(6-4) = 24", GOLD) is False


def test_values_are_those_of_pythons_own_arithmetic() -> None:
    """Random trees, written out with all their parentheses and with as few as the rules of precedence need."""
    random_ = random.Random(7)

    def tree(depth: int) -> tuple[str, Fraction, int]:
        if depth == 0 or random_.random() < 0.2:
            n = random_.randrange(0, 14)
            return str(n), Fraction(n), 9
        (x, a, p), (y, b, q) = tree(depth - 1), tree(depth - 1)
        sign = random_.choice("+-*/")
        if sign == "/" and b == 0:
            sign = "+"
        rank = 1 if sign in "+-" else 2
        left = x if p >= rank else f"({x})"
        right = y if q > rank else f"({y})"
        result = {"+": a + b, "-": a - b, "*": a * b}.get(sign)
        return f"{left} {sign} {right}", a / b if result is None else result, rank

    for _ in range(300):
        text, expected, _ = tree(4)
        assert value(postfix(text)) == expected, text


def test_what_is_no_expression() -> None:
    for text in ("", " ", "()", "1 2", "1 +", "* 1", "1 + * 2", "(1", "1)", "1 + (", "a", "1e3", "1,000", "²"):
        with pytest.raises(NotArithmeticError):
            postfix(text)


def test_numbers_are_compared_as_text_of_any_length() -> None:
    assert numbers_of(postfix("007 + 10 - 0")) == ["0", "7", "10"]
    assert numbers_of(postfix("1" * 100_000)) == ["1" * 100_000]


def test_order_does_not_matter_in_a_vote(answer_classes: Classes) -> None:
    assert same_answer("game24", "(4+8)*(6-4)", "(6-4)*(8+4)")
    assert same_answer("game24", "4*(6-8/4)", "(6-8/4)*4")
    assert not same_answer("game24", "(4+8)*(6-4)", "(6-4)*8+4")
    assert not same_answer("game24", "8/4", "4/8")
    texts = ["Answer: (4+8)*(6-4) = 24", "Answer: (6-4)*(8 + 4)", "Answer: (4+8)*(6-4) = 25", "Answer: ?"]
    answers = [GAME24(text, GOLD).answer for text in texts]
    assert answers == ["(4+8)*(6-4)", "(6-4)*(8+4)", "(4+8)*(6-4)=25", "?"]
    assert answer_classes("game24", answers) == [0, 0, 1, 2]
    assert canonical(postfix("1-2-3")) == canonical(postfix("1-3-2")) != canonical(postfix("1-(2-3)"))
    assert canonical(["1"] * 40) is None


@pytest.mark.parametrize(
    "numbers", [(3, 3, 8, 8), (1, 5, 5, 5), (4, 4, 10, 10), (2, 4, 6, 12), (13, 13, 12, 12), (6, 9, 9, 10)]
)
def test_a_solution_is_found_and_graded_correct(numbers: tuple[int, ...]) -> None:
    gold = " ".join(map(str, numbers))
    found = solve(numbers)
    assert found is not None
    assert GAME24(f"Answer: {found}", gold).correct is True
    misses = GAME24.near_misses(gold)
    assert len(misses) >= 2
    assert [GAME24(f"Answer: {miss}", gold).correct for miss in misses] == [False] * len(misses)


@pytest.mark.parametrize("numbers", [(1, 1, 1, 1), (1, 1, 1, 2), (13, 13, 13, 13), (1, 6, 7, 7)])
def test_puzzles_without_a_solution(numbers: tuple[int, ...]) -> None:
    assert solve(numbers) is None
    assert GAME24.near_misses(" ".join(map(str, numbers))) == ()


def test_the_search_finds_exactly_what_brute_force_finds() -> None:
    """Three numbers, all orders, signs and both ways to set parentheses."""

    def brute(numbers: tuple[int, ...], target: int) -> bool:
        for a, b, c in itertools.permutations(numbers):
            for s, t in itertools.product("+-*/", repeat=2):
                for text in (f"({a}{s}{b}){t}{c}", f"{a}{s}({b}{t}{c})"):
                    try:
                        if value(postfix(text)) == target:
                            return True
                    except ZeroDivisionError:
                        continue
        return False

    for numbers in itertools.combinations_with_replacement(range(1, 8), 3):
        assert (solve(numbers) is not None) == brute(numbers, 24), numbers


def test_the_examples_in_the_docstrings() -> None:
    for module in (arithmetic, options):
        failed, tried = doctest.testmod(module)
        assert (failed, tried > 0) == (0, True)
