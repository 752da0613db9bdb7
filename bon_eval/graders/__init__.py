"""Graders: the text of a response and a gold answer in, a three-valued `Grade` out.

Importing this package is light; sympy and math-verify load in worker processes only, and only when an answer needs
them.
"""

from __future__ import annotations

from bon_eval.errors import GraderError, unknown_name
from bon_eval.graders.answer_grader import AnswerGrader
from bon_eval.graders.base import Decision, Grade, Grader
from bon_eval.graders.choice import CHOICE
from bon_eval.graders.game24 import GAME24
from bon_eval.graders.math import MATH
from bon_eval.graders.numeric import GSM8K, NUMERIC
from bon_eval.graders.plugin import OwnFileGrader, PluginGrader
from bon_eval.graders.reasoning import reasoning_of
from bon_eval.graders.true_false import TRUE_FALSE
from bon_eval.graders.workers.foreign import plugin_names
from bon_eval.graders.workers.own_file import is_file_name

__all__ = [
    "GRADERS",
    "AnswerGrader",
    "Grade",
    "Grader",
    "get_grader",
    "grade_gsm8k",
    "grade_math",
    "same_answer",
    "strict",
]

GRADERS: dict[str, AnswerGrader] = {g.name: g for g in (MATH, GSM8K, NUMERIC, CHOICE, TRUE_FALSE, GAME24)}
"""bon-eval's own graders by the name that a task's YAML gives."""


def get_grader(name: str) -> AnswerGrader:
    """The grader of that name: bon-eval's own, one that an installed package offers, or ``path.py:function``.

    Raises `GraderError`: an unknown name (the message lists the valid ones), a plugin that is no grader, or a file that
    cannot be read or imported or lacks the function.
    """
    if name in GRADERS:
        return GRADERS[name]
    if is_file_name(name):
        return OwnFileGrader(name)
    if name not in (plugins := plugin_names()):
        raise GraderError(unknown_name("grader", name, [*GRADERS, *plugins]) + ", or path.py:function")
    return PluginGrader(name)


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
    r"""The decision when only the task's own format counts: ``#### n`` for gsm8k, a box for math.

    Without that format the decision is False; None when no decision could be reached.
    """
    grader = get_grader(name)
    shown = reasoning_of().split(response).answer
    answer = None if shown is None else grader.strict(shown)
    if answer is None:
        return False
    decision: Decision = grader.decide(answer, grader.gold(gold))
    return decision.correct


def same_answer(name: str, a: str, b: str) -> bool:
    """Whether two answers, as read by the grader, count as one in a vote."""
    return get_grader(name).same_answer(a, b)
