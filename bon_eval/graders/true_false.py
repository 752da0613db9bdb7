"""True or false: the final decision of a response, not one inside its reasoning.

Where it is read, in this order: the last box, the last statement of the answer ("the answer is False", ``Answer:
True``, ``#### True``), the last conclusion about the statement ("the statement ... is therefore true"), the last line,
a response that opens with its decision.
"""

from __future__ import annotations

import re

from bon_eval.graders.answer_grader import AnswerGrader
from bon_eval.graders.answers.latex import MAX_ANSWER_CHARS, TOO_LONG
from bon_eval.graders.base import Decision
from bon_eval.graders.choice_text import read_gold
from bon_eval.graders.extract import MAX_PHRASE_CHARS, Extract, last_box

_WORD = re.compile(
    r"(\bnot[ \t]{1,3}(?:necessarily[ \t]{1,3})?|\bcannot[ \t]{1,3}be[ \t]{1,3}|n['’]t[ \t]{1,3}(?:be[ \t]{1,3})?)?"
    r"\b(true|false)\b",
    re.IGNORECASE,
)
_BOTH = re.compile(
    r"\b(?:true|false)[ \t]{0,3}(?:or|/|and|nor)[ \t]{0,3}(?:not[ \t]{1,3})?(?:true|false)\b", re.IGNORECASE
)
_ANSWER = re.compile(
    r"(?:\banswer\b(?:[ \t]{1,3}(?:to|of|for)[ \t][^\n.:?]{0,80}?)?|\b(?:decision|conclusion)\b)"
    r"[ \t]{0,3}\*{0,3}[ \t]{0,3}(?:is|would be|will be|must be|:|=)([^\n]{0,200}\n?[^\n]{0,40})"
    r"|####([^\n]{0,200})",
    re.IGNORECASE,
)
_STATEMENT = re.compile(
    r"\b(?:statement|claim|proposition|sentence|assertion|hypothesis)\b[^\n.?:]{0,200}?"
    r"(?:\bis\b|\bmust be\b|\bcannot be\b|\bisn['’]t\b)[ \t]{0,3}(?:\*{0,3}[ \t]{0,3})"
    r"(?:therefore|thus|indeed|also|hence|clearly|actually)?,?[ \t]{0,3}\*{0,3}(?:not[ \t]{1,3})?(?:true|false)\b",
    re.IGNORECASE,
)
_OPENING = re.compile(r"[\s*\"'(]{0,9}(?:true|false)\b[\s*\"')]{0,3}(?:[.,!:;\n-]|$)", re.IGNORECASE)
_ENDING = re.compile(r"(?:\bnot[ \t]{1,3})?\b(?:true|false)\b[\s.!*\"')\]}$]{0,9}$", re.IGNORECASE)


class TrueFalseGrader(AnswerGrader):
    """The gold is ``True`` or ``False``, or the letter of an option that says so with the options below it."""

    name = "true_false"
    version = "true_false-2"

    def extract(self, response: str) -> Extract:
        """Where and what the response answers: ``True``, ``False``, or nothing."""
        if (box := last_box(response)) is not None and (decision := _verdict(box)) is not None:
            return Extract(decision if len(box) <= MAX_ANSWER_CHARS else box, "box")
        opening = response[:200]
        text = response[-MAX_PHRASE_CHARS:]
        for pattern in (_ANSWER, _STATEMENT):
            if (decision := _last(pattern, text)) is not None:
                return Extract(decision, "phrase")
        lines = [line for line in text.splitlines() if line.strip()]
        if lines and (m := _ENDING.search(_BOTH.sub("", lines[-1][-200:]))) is not None:
            return Extract(_verdict(m.group()), "last line")
        if (m := _OPENING.match(opening)) and not _BOTH.match(opening.strip()):
            return Extract(_verdict(m.group()), "opening")
        return Extract(None, "no answer found")

    def fast(self, answer: str, gold: str) -> Decision:
        """Equal decisions."""
        if gold not in ("True", "False"):
            return Decision(None, "the gold is neither True nor False")
        if len(answer) > MAX_ANSWER_CHARS:
            return Decision(None, TOO_LONG)
        return Decision(answer == gold, "string")

    def normal(self, answer: str) -> str:
        """The decision; of what is too long its beginning."""
        return answer[:MAX_ANSWER_CHARS]

    def gold(self, gold: str) -> str:
        """``True`` or ``False``."""
        first, options = read_gold(gold)
        text = options.get(first, first)
        return text.capitalize() if text.lower() in ("true", "false") else text

    def strict(self, response: str) -> str | None:
        """The decision under the strict format: in a box or behind "the answer is", ``Answer:`` or ``####``."""
        if (box := last_box(response)) is not None and (decision := _verdict(box)) is not None:
            return decision if len(box) <= MAX_ANSWER_CHARS else box
        return _last(_ANSWER, response[-MAX_PHRASE_CHARS:])

    def near_misses(self, gold: str) -> tuple[str, ...]:
        """The opposite."""
        return {"True": ("False",), "False": ("True",)}.get(self.gold(gold), ())


def _last(pattern: re.Pattern[str], text: str) -> str | None:
    """The decision of the last match that states one."""
    found = None
    m = pattern.search(text)
    while m is not None:
        content = m.group(m.lastindex) if m.lastindex else m.group()
        # A conclusion's own decision is its last word; the answer's is its first.
        decision = _verdict(content, last=not m.lastindex)
        found = decision or found
        m = pattern.search(text, max(m.start() + 1, m.start(m.lastindex) if m.lastindex else m.end()))
    return found


def _verdict(text: str, *, last: bool = False) -> str | None:
    """The first (last) true or false of a short text, negation included; None for "true or false"."""
    text = _BOTH.sub(" ", text[:10_000])
    found = list(_WORD.finditer(text))
    if not found:
        return None
    m = found[-1 if last else 0]
    return str((m.group(2).lower() == "true") != (m.group(1) is not None))


TRUE_FALSE = TrueFalseGrader()
