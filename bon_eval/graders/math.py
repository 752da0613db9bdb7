r"""The graders: extraction, then string, exact arithmetic, symbolic comparison.

What is equal in value is equal: ``\frac{2}{4}``, ``0.5`` and an unevaluated ``1/4+1/4`` all answer ``1/2``; a sum left
standing is a matter of style, not of correctness. A unit may be left out: ``28\%`` is 28 (and is 0.28 where the other
side states that), ``15 cm`` is 15; but it is not ``15 m``.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

from bon_eval.graders.answer_grader import AnswerGrader
from bon_eval.graders.answers.clean import flat, strip_edges
from bon_eval.graders.answers.compare import compare, form_key
from bon_eval.graders.answers.exact import UndecidedError, exact
from bon_eval.graders.answers.forms import Form, form_of
from bon_eval.graders.answers.latex import MAX_ANSWER_CHARS, TOO_LONG, LimitError
from bon_eval.graders.answers.oracle import ExactOracle
from bon_eval.graders.answers.units import units_agree
from bon_eval.graders.base import UNDECIDED, Decision
from bon_eval.graders.extract import Extract, extract
from bon_eval.graders.language.groups import ParseError
from bon_eval.graders.language.numerals import value_text
from bon_eval.graders.reading.boxes import last_box
from bon_eval.graders.reading.numbers import STATED_NUMBER
from bon_eval.graders.reading.statements import statement

EXACT = ExactOracle()
_ZEROS = re.compile(r",0\d\d")
"""Certainly a group of digits, not an item of a list."""
_CHOICE = re.compile(r"\(?([A-J])(?:\)|[.:](?!\d)).*", re.DOTALL)
_CHOICES = re.compile(r"(?<=\()[A-J](?=\))|(?<=[a-z,])[A-J]\b")
_LETTER = re.compile(r"\(?([A-J])\)?")


TOO_DEEP = "too long or nested too deeply"
BEYOND: Form = ("beyond",)
"""Stands for the form of a text that is too long or nested too deeply."""


@lru_cache(maxsize=50_000)
def read_form(text: str, grouping: bool) -> Form | None:
    try:
        return form_of(text, grouping=grouping)
    except (LimitError, RecursionError):
        return BEYOND
    except ParseError:
        return None


@lru_cache(maxsize=50_000)
def read_flat(text: str) -> str:
    return flat(text)


def fraction_of(key: str) -> Fraction | None:
    """The rational number of a form's key; None for every other key."""
    if not key.startswith("q"):
        return None
    top, _, bottom = key[1:].partition("/")
    return Fraction(int(top, 16), int(bottom, 16))


class MathGrader(AnswerGrader):
    r"""Competition mathematics: the answer in ``\boxed{}``, golds in LaTeX."""

    name = "math"
    version = "math-4"

    def extract(self, response: str) -> Extract:
        """Where and what the response answers."""
        return extract(response)

    def tagged(self, content: str) -> Extract:
        """What the content states; without a box, a marker or a phrase in it, the content itself."""
        found = self.extract(content)
        if found.where in ("box", "marker", "phrase"):
            return found
        lines = [line.strip() for line in content.splitlines() if line.strip()]
        if len(lines) > 1 and all("=" in line for line in lines):
            return Extract(", ".join(strip_edges(line) for line in lines), "answer tag")
        if len(lines) > 1 and "\\begin" not in content:
            lines = lines[:1]  # more are words about it
        return Extract(statement(" ".join(lines)), "answer tag")

    def gold(self, gold: str) -> str:
        """The answer within a gold, which may be a whole worked solution: its box, marker or "the answer is"."""
        if "\\boxed" in gold:
            box = last_box(gold)
            return gold.rpartition("\\boxed")[2].lstrip("{ ") if box is None else box  # one that never closes
        if "####" in gold:
            return gold.rpartition("####")[2].strip()
        if "nswer is" in gold and (found := extract(gold)).where == "phrase" and found.answer is not None:
            return found.answer
        return gold

    def normal(self, answer: str) -> str:
        """The normal form shown in a grade."""
        return read_flat(answer) if len(answer) <= MAX_ANSWER_CHARS else answer[:MAX_ANSWER_CHARS]

    def fast(self, answer: str, gold: str) -> Decision:
        """The rungs that need no worker."""
        if answer.strip() == gold.strip():
            return Decision(True, "string")
        if len(answer) > MAX_ANSWER_CHARS or len(gold) > MAX_ANSWER_CHARS:
            return Decision(None, TOO_LONG)
        a, g = read_flat(answer), read_flat(gold)
        if a == g:
            return Decision(True, "string")
        if (letter := _LETTER.fullmatch(g)) and (choice := _CHOICE.fullmatch(a)):
            return Decision({letter.group(1)} == set(_CHOICES.findall(a)) | {choice.group(1)}, "choice")
        if not units_agree(answer, gold):
            return Decision(False, "units")
        undecided = False
        for grouping in (True, False):
            if not grouping and (_ZEROS.search(a) or _ZEROS.search(g)):
                break
            x, y = read_form(gold, grouping), read_form(answer, grouping)
            if BEYOND in (x, y):
                return Decision(None, TOO_DEEP)
            if x is None or y is None:
                return self._unparsed(x or y, a)
            try:
                if compare(x, y, EXACT):
                    return Decision(True, "exact")
            except UndecidedError:
                undecided = True
        if self._decimal_comma(a, g):
            return Decision(True, "exact")
        return UNDECIDED if undecided else Decision(False, "exact")

    @staticmethod
    def _unparsed(other: Form | None, answer: str) -> Decision:
        words = answer.isalpha() or not answer
        return Decision(False, "string") if words and (other is None or other[0] != "text") else UNDECIDED

    @staticmethod
    def _decimal_comma(answer: str, gold: str) -> bool:
        """``1,22`` and ``1.234,56`` are decimals where the other side is one value that is not whole, else lists."""
        for comma, other in ((answer, gold), (gold, answer)):
            if "," in comma and STATED_NUMBER.fullmatch(comma) and "/" not in comma:
                value = exact(form[1]) if (form := read_form(other, True)) is not None and form[0] == "expr" else None
                if value is not None and value.denominator > 1 and "," not in other:
                    sign = -1 if comma.startswith("-") else 1
                    if Fraction(value_text(comma.lstrip("+- ").rstrip("%\\ "))) * sign == value:
                        return True
        return False

    def key(self, answer: str) -> str | None:
        """The vote key of an answer without a worker; None when only a worker can tell."""
        if len(answer) > MAX_ANSWER_CHARS:
            return "raw " + answer
        form = read_form(answer, True)
        if form is None or form is BEYOND:
            return "raw " + read_flat(answer)
        try:
            return form_key(form, EXACT)
        except UndecidedError:
            return None

    def number(self, answer: str) -> Fraction | None:
        """The value of an answer whose vote key is a rational number's."""
        key = MathGrader.key(self, answer)
        return None if key is None else fraction_of(key)

    def strict(self, response: str) -> str | None:
        """The answer under the strict format: boxed."""
        return last_box(response)

    def near_misses(self, gold: str) -> tuple[str, ...]:
        """One more than a gold that is a single value; of others none is made."""
        gold = self.gold(gold)
        form = read_form(read_flat(gold), True) if len(gold) <= MAX_ANSWER_CHARS else None
        return (f"{gold} + 1",) if form is not None and form[0] == "expr" else ()


MATH = MathGrader()
