"""True or false: the final decision of a response, not one inside its reasoning.

Where it is read, in this order: the last box, the last statement of the answer ("the answer is False", ``Answer:
True``, ``#### True``), the last conclusion about the statement ("the statement ... is therefore true"), the last line,
a response that opens with its decision.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from bon_eval.graders.answer_grader import AnswerGrader
from bon_eval.graders.answers.latex import MAX_ANSWER_CHARS, TOO_LONG
from bon_eval.graders.base import Decision
from bon_eval.graders.choice_text import read_gold
from bon_eval.graders.extract import Extract
from bon_eval.graders.language.script import plain
from bon_eval.graders.language.tables import DENIALS, TRUE_ENDINGS, TRUE_WORDS, words
from bon_eval.graders.reading.announce import announced
from bon_eval.graders.reading.boxes import box_at
from bon_eval.graders.reading.stretches import BEFORE_CHARS, MAX_STATEMENT_CHARS, STRETCH_CHARS, last_first

_DENIED = "|".join(words(DENIALS))
_WORD = re.compile(
    r"(\bnot[ \t]{1,3}(?:necessarily[ \t]{1,3})?|\bcannot[ \t]{1,3}be[ \t]{1,3}|n['’]t[ \t]{1,3}(?:be[ \t]{1,3})?|(?:"
    + _DENIED
    + r")[ \t]{0,3})?"
    r"(?<![A-Za-z0-9])(true|false)(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_BOTH = re.compile(
    r"\b(?:true|false)[ \t]{0,3}(?:or|/|and|nor)[ \t]{0,3}(?:not[ \t]{1,3})?(?:true|false)\b", re.IGNORECASE
)
_ANSWER = re.compile(
    r"(?:\banswer\b(?:[ \t]{1,3}(?:to|of|for)[ \t][^\n.:?]{0,80}?)?|\b(?:decision|conclusion)\b)"
    r"[ \t]{0,3}\*{0,3}[ \t]{0,3}(?:is|would be|will be|must be|should be|has to be|might be|may be|to be|:|="
    r"|[-–—](?=\s))([^\n]{0,200}\n?[^\n]{0,40})"
    r"|####([^\n]{0,200})",
    re.IGNORECASE,
)
_STATEMENT = re.compile(
    r"\b(?:statement|claim|proposition|sentence|assertion|hypothesis)\b[^\n.?:]{0,200}?"
    r"(?:\bis\b|\bmust be\b|\bcannot be\b|\bisn['’]t\b)[ \t]{0,3}(?:\*{0,3}[ \t]{0,3})"
    r"(?:therefore|thus|indeed|also|hence|clearly|actually)?,?[ \t]{0,3}\*{0,3}(?:not[ \t]{1,3})?(?:true|false)\b",
    re.IGNORECASE,
)
_CALLED = re.compile(
    r"\b(?:this|that|it)[ \t]{1,3}(?:is|must be)[ \t]{1,3}(?:not[ \t]{1,3})?(?:a|an)[ \t]{1,3}"
    r"(?:true|false)(?=[ \t]{1,3}(?:statement|claim)\b)",
    re.IGNORECASE,
)
"""``This is a false statement``"""
_NAMED = re.compile(
    r"((?:\bnot[ \t]{1,3})?\b(?:true|false)\b)[*_\"'.]{0,4}[ \t]{1,3}is"
    r"[ \t]{1,3}(?:the|my|our)[ \t]{1,3}(?:(?:correct|right|final)[ \t]{1,3})?answer\b",
    re.IGNORECASE,
)
_OPENING = re.compile(r"[\s*\"'(]{0,9}(?:true|false)\b[\s*\"')]{0,3}(?:[.,!:;\n-]|$)", re.IGNORECASE)
_WOULD_BE = re.compile(
    r"\b(?:would|might|could)[ \t]{1,3}(?:then[ \t]{1,3})?(?:have[ \t]{1,3})?(?:be|been)[ \t]{1,3}"
    r"(?:true|false)[\s.!*]{0,5}$",
    re.IGNORECASE,
)
"""A last line that says what would be, and not what is."""
_ENDING = re.compile(
    r"(?:\bnot[ \t]{1,3}|\bcannot[ \t]{1,3}be[ \t]{1,3}|n['’]t[ \t]{1,3}(?:be[ \t]{1,3})?|(?:"
    + _DENIED
    + r")[ \t]{0,3})?"
    r"(?<![A-Za-z0-9])(?:true|false)(?![A-Za-z0-9])[^A-Za-z0-9]{0,9}$",
    re.IGNORECASE,
)


class TrueFalseGrader(AnswerGrader):
    """The gold is ``True`` or ``False``, or the letter of an option that says so with the options below it."""

    name = "true_false"
    version = "true_false-2"

    def extract(self, response: str) -> Extract:
        """Where and what the response answers: ``True``, ``False``, or nothing."""
        text = plain(response)
        opening = text[:200]
        stated = _stated(text)
        if stated is not None:
            return stated
        for _, decision in last_first(text, _concluded):
            return Extract(decision, "phrase")
        lines = [line for line in text[-STRETCH_CHARS:].splitlines() if line.strip()]
        last = lines[-1].strip(" *.!") if lines else ""
        ending = next((str(truth) for words, truth in TRUE_ENDINGS.items() if last.endswith(words)), None)
        if (word := _foreign(last) or ending) is not None:
            return Extract(word, "last line")
        opened = (m := _OPENING.match(opening)) is not None and not _BOTH.match(opening.strip())
        if opened and len(lines) > 1 and _WOULD_BE.search(lines[-1][-200:]):
            return Extract(_verdict(opening), "opening")
        if lines and (m := _ENDING.search(_BOTH.sub("", lines[-1][-200:]))) is not None:
            return Extract(_verdict(m.group()), "last line")
        if opened:
            return Extract(_verdict(opening), "opening")
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
        stated = _stated(plain(response))
        return None if stated is None else stated.answer

    def near_misses(self, gold: str) -> tuple[str, ...]:
        """The opposite."""
        return {"True": ("False",), "False": ("True",)}.get(self.gold(gold), ())


def _stated(text: str) -> Extract | None:
    """The decision of the last box, or of the last statement of the answer behind it or where no box has one."""
    box = box_at(text)
    boxed = None if box is None else _verdict(box.content) or _foreign(box.content)
    for _, decision in last_first(text, _answered, box.end if box is not None and boxed is not None else 0):
        return Extract(decision, "phrase")
    if box is None or boxed is None:
        return None
    return Extract(boxed if len(box.content) <= MAX_ANSWER_CHARS else box.content, "box")


def _foreign(content: str) -> str | None:
    """The decision that a statement is in another language, whole or up to a script's own letters behind it."""
    word = content.strip().strip("*_\"'.,!: ").lower().partition(".")[0]
    found = TRUE_WORDS.get(word)
    return None if found is None else str(found)


def _answered(text: str, start: int, end: int) -> list[tuple[int, str]]:
    """The decisions that are stated as the answer between two places, in order."""
    found = [*_decided(_ANSWER, text, start, end), *_decided(_NAMED, text, start, end)]
    lowered = text[start : end + MAX_STATEMENT_CHARS].lower()
    if any(word in lowered for word in TRUE_WORDS):
        for a in announced(text, start, end):
            verdict = (_verdict(a.content[:200]) if a.kind == "json" else None) or _foreign(a.content)
            if verdict is not None:
                found.append((a.start, verdict))
    return sorted(found, key=lambda item: item[0])


def _concluded(text: str, start: int, end: int) -> list[tuple[int, str]]:
    """The conclusions about the statement between two places, in order."""
    return sorted([*_decided(_STATEMENT, text, start, end), *_decided(_CALLED, text, start, end)])


def _decided(pattern: re.Pattern[str], text: str, start: int, end: int) -> Iterator[tuple[int, str]]:
    """Places and decisions of the matches between two places that state one."""
    first = max(0, start - BEFORE_CHARS)
    text = text[first : end + MAX_STATEMENT_CHARS]
    m = pattern.search(text) if _WORD.search(text) is not None else None
    while m is not None:
        content = m.group(m.lastindex) if m.lastindex else m.group()
        # A conclusion's own decision is its last word; the answer's is its first.
        decision = _verdict(content, last=not m.lastindex)
        at = m.start(m.lastindex) if m.lastindex else m.end()
        if decision is not None and start <= first + at < end:
            yield first + at, decision
        m = pattern.search(text, max(m.start() + 1, at))


def _verdict(text: str, *, last: bool = False) -> str | None:
    """The first (last) true or false of a short text, negation included; None for "true or false"."""
    text = _BOTH.sub(" ", text[:10_000])
    found = list(_WORD.finditer(text))
    if not found:
        return None
    m = found[-1 if last else 0]
    return str((m.group(2).lower() == "true") != (m.group(1) is not None))


TRUE_FALSE = TrueFalseGrader()
