"""Graders: the text of a response and a gold answer in, a three-valued `Grade` out.

Importing this package is light; sympy and math-verify load in worker processes only, and only when an answer needs
them.
"""

from __future__ import annotations

from bon_eval.errors import GraderError, unknown_name
from bon_eval.graders.base import Grade, Grader
from bon_eval.graders.ladder import MATH, MathGrader, Verdict
from bon_eval.graders.numeric import GSM8K

__all__ = ["GRADERS", "Grade", "Grader", "get_grader", "grade_gsm8k", "grade_math", "same_answer", "strict"]

GRADERS: dict[str, MathGrader] = {grader.name: grader for grader in (MATH, GSM8K)}
"""The graders by the name that a task's YAML gives."""


def get_grader(name: str) -> MathGrader:
    """The grader of that name; raises `GraderError` naming the valid ones."""
    if name not in GRADERS:
        raise GraderError(unknown_name("grader", name, list(GRADERS)))
    return GRADERS[name]


def grade_math(response: str, gold: str) -> Grade:
    r"""Grade a response to a problem whose gold answer is LaTeX.

    >>> grade_math(r"So it is \boxed{\frac12}.", "0.5")
    Grade(correct=True, answer='\\frac12', reason='box; exact')
    """
    return MATH(response, gold)


def grade_gsm8k(response: str, gold: str) -> Grade:
    """Grade a response to a problem whose gold answer is one number.

    >>> grade_gsm8k("She sells 9 eggs at $2.\\n#### $18.00", "18")
    Grade(correct=True, answer='18', reason='marker; exact')
    """
    return GSM8K(response, gold)


def strict(name: str, response: str, gold: str) -> bool | None:
    r"""The verdict when only the task's own format counts: ``#### n`` for gsm8k, a box for math.

    Without that format the verdict is False; None when no verdict could be reached.
    """
    grader = get_grader(name)
    answer = grader.strict(response)
    if answer is None:
        return False
    verdict: Verdict = grader.decide(answer, grader.gold(gold))
    return verdict.correct


def same_answer(name: str, a: str, b: str) -> bool:
    """Whether two answers, as read by the grader, count as one in a vote."""
    return get_grader(name).same_answer(a, b)
