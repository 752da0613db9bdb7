r"""Game of 24: an expression of exactly the four given numbers, each once, whose exact value is 24.

Read is the last line ``Answer: <expression>`` (or the line below it); without one, the last box; without that, a last
line that is an expression. ``= 24`` may stand on either side, and steps between, if their values are right. Signs are
+ - * / with their typographic forms.
"""

from __future__ import annotations

import re

from bon_eval.graders.answer_grader import AnswerGrader
from bon_eval.graders.answers.latex import MAX_ANSWER_CHARS, TOO_LONG
from bon_eval.graders.arithmetic import NotArithmeticError, canonical, numbers_of, postfix, solve, value
from bon_eval.graders.base import Decision
from bon_eval.graders.extract import Extract
from bon_eval.graders.language.script import plain
from bon_eval.graders.reading.announce import announced
from bon_eval.graders.reading.boxes import last_box
from bon_eval.graders.reading.stretches import STRETCH_CHARS, last_first

TARGET = 24

_ANSWER = re.compile(
    r"^[ \t>*_#-]{0,9}(?:final[ \t]{1,3})?answer[ \t]{0,3}[*_]{0,3}[ \t]{0,3}:[ \t*_]{0,9}\n?[ \t]{0,9}([^\n]+)",
    re.IGNORECASE | re.MULTILINE,
)
_SIGNS = str.maketrans(
    {"×": "*", "·": "*", "⋅": "*", "∗": "*", "÷": "/", "∕": "/", "−": "-", "–": "-", "[": "(", "]": ")"}
)
_TEX = re.compile(r"\\(?:times|cdot)(?![A-Za-z])|(\\div(?![A-Za-z]))")
_WRAP = re.compile(r"[$`]|\\[()]|\\(?:left|right)(?![A-Za-z])|\\[,;! ]")
_NEEDLESS = re.compile(r"(?<!\d)\s+|\s+(?!\d)")
_SENTENCE = re.compile(r"\.(?=\s+[A-Za-z])")
_RUN = re.compile(r"[-\d+*/()=][-\d\s+*/()=]{6,400}")
_OPERATOR = re.compile(r"(?<=[\d)\s])[-+*/]")
_EXPRESSION = re.compile(r"(?=[^-+*/]*[-+*/])[-\d\s+*/()=]+")


class Game24Grader(AnswerGrader):
    """The gold is the four numbers of the puzzle, parted by spaces."""

    name = "game24"
    version = "game24-2"

    def extract(self, response: str) -> Extract:
        """Where and which expression the response answers with."""
        response = plain(response)
        if (line := self.strict(response)) is not None:
            return Extract(line, "marker")
        if (box := last_box(response)) is not None:
            return Extract(_plain(box), "box")
        for found in last_first(response, announced):
            if (stated := _within(found.content)) is not None:
                return Extract(stated, "phrase")
        lines = [line for line in response[-STRETCH_CHARS:].splitlines() if line.strip(" `")]
        last = lines[-1] if lines else ""
        if _EXPRESSION.fullmatch(whole := _plain(last)):
            return Extract(whole, "last line")
        stated = _within(last)
        return Extract(stated, "no answer found" if stated is None else "last line")

    def fast(self, answer: str, gold: str) -> Decision:
        """The numbers first, then the exact value."""
        if len(answer) > MAX_ANSWER_CHARS:
            return Decision(None, TOO_LONG)
        expression, others = _sides(answer)
        stated = self.normal(expression)
        try:
            terms = postfix(expression)
        except NotArithmeticError as error:
            return Decision(False, f"not an expression: {error}", answer=stated)
        if numbers_of(terms) != sorted(gold.split(), key=lambda n: (len(n), n)):
            return Decision(False, "other numbers", answer=stated)
        try:
            right = value(terms) == TARGET
            claims = all(value(postfix(other)) == TARGET for other in others)
        except ZeroDivisionError:
            return Decision(False, "division by zero", answer=stated)
        except NotArithmeticError:
            claims = False
        if not claims:  # the same expression without the claim is another answer in a vote
            return Decision(False, "states another value", answer=_NEEDLESS.sub("", answer))
        return Decision(right, "exact", answer=stated)

    def gold(self, gold: str) -> str:
        """The numbers, parted by single spaces."""
        return " ".join(gold.replace(",", " ").split())

    def normal(self, answer: str) -> str:
        """The expression without spaces, and without what it is said to be equal to."""
        return _NEEDLESS.sub("", _sides(answer[:MAX_ANSWER_CHARS])[0])

    def key(self, answer: str) -> str:
        """The vote key: the expression, whatever the order of its sums and products."""
        try:
            found = canonical(postfix(answer))
        except NotArithmeticError:
            found = None
        return f"raw {answer}" if found is None else found

    def strict(self, response: str) -> str | None:
        """The expression of the last ``Answer:`` line."""
        found = _ANSWER.findall(plain(response))
        return _SENTENCE.split(_plain(found[-1]), maxsplit=1)[0] if found else None

    def solution(self, gold: str) -> str | None:
        """An expression found by enumeration; None where the puzzle has no solution."""
        return solve([int(n) for n in self.gold(gold).split()], TARGET)

    def near_misses(self, gold: str) -> tuple[str, ...]:
        """A solution with a number used again, one that claims another value, and a sum of another value."""
        right = self.solution(gold)
        if right is None:
            return ()
        numbers = self.gold(gold).split()
        added = (" + ".join(numbers),) if sum(map(int, numbers)) != TARGET else ()
        return (f"{right} + {numbers[0]} - {numbers[0]}", f"{right} = {TARGET + 1}", *added)


def _sides(answer: str) -> tuple[str, list[str]]:
    """The expression, and what it is said to be equal to: ``(4+8)*(6-4) = 12*2 = 24``, or ``24 = (4+8)*(6-4)``."""
    sides = [side.strip() for side in answer.split("=")]
    return (sides[-1], sides[:-1]) if sides[0] == str(TARGET) else (sides[0], sides[1:])


def _within(line: str) -> str | None:
    """The last expression of three signs or more in a line of words."""
    runs = [run.strip(" =") for run in _RUN.findall(_plain(line[-STRETCH_CHARS:]))]
    return next((run for run in reversed(runs) if len(_OPERATOR.findall(run)) >= 3), None)


def _plain(text: str) -> str:
    text = _TEX.sub(lambda m: "/" if m.group(1) else "*", text)
    return _WRAP.sub(" ", text.translate(_SIGNS)).strip().rstrip(".;,!").strip().strip("*_ ").strip()


GAME24 = Game24Grader()
