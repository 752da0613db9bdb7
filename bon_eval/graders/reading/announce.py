"""Where a response announces its answer, in any language of the tables: the place, and the words behind it.

"The answer is", "Antwort:", "答案是", "9 is the answer", a heading, ``####``, a JSON key. What the words mean is the
graders' business. Linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from bon_eval.graders.language.tables import DENIALS, LANGUAGES, Language, words
from bon_eval.graders.reading.stretches import BEFORE_CHARS, MAX_STATEMENT_CHARS


@dataclass(frozen=True, slots=True)
class Announced:
    """One announcement."""

    start: int
    content: str
    kind: str
    """``phrase``, ``marker``, ``json`` or ``named`` (the answer stands before "is the answer")."""


_CONTENT = (
    r"[ \t]{0,99}(?:\n[ \t]{0,99}){0,3}(?:(?<=\n)[-*•][ \t]{1,9})?"
    r"((?:\\\[|\$\$)[\s\S]{1,1000}?(?:\\\]|\$\$)|[^\n]{1,1000})"
)
_VERBS = (
    "is are equals becomes will_be would_be should_be must_be has_to_be can_only_be to_be comes_to comes_out_to "
    "comes_out_as comes_out_to_be turns_out_to_be works_out_to works_out_as works_out_to_be"
)
_ENGLISH = re.compile(
    r"(?:(?<![A-Za-z0-9])answer(?![A-Za-z0-9])(?:\s{1,9}(?:to|of|for)\s(?=[^\n]{0,90}?(?:[:=]|\s(?:is|are|has|to|can|(?:equal|be|wi|wo|sh|mu|com|tu)[a-z]*)\b))"
    r"[^\n.:]{0,80}?"
    r"|\s(?:here|therefore|thus|then|in simplest form)\b)?"
    rf"\s{{0,9}}[*_]{{0,2}}\s{{0,9}}(?:(?:{'|'.join(words(_VERBS))})\b|:|=>?|→|⇒)\s{{0,9}}[*_]{{0,2}}\s{{0,9}}:?"
    r"(?:\s{0,9}(?:that|simply|therefore|thus|equal to|just)\b)?"
    r"|^[ \t*_]*(?:(?:the|final|correct|my)[ \t]+){0,3}answer[ \t]*[-–—][ \t])" + _CONTENT,
    re.IGNORECASE | re.MULTILINE,
)
_HEADING = re.compile(
    r"^[ \t]*(?:#{1,6}[ \t]*\**|\*\*)[ \t]*(?:the[ \t]+)?(?:final[ \t]+|correct[ \t]+)?answer"
    r"[ \t:]{0,9}\*{0,3}[ \t:]{0,9}\n\s{0,99}(?:[-*•][ \t]{1,9})?([^\n]{1,1000})",
    re.IGNORECASE | re.MULTILINE,
)
_NAMED = re.compile(
    r"(\$[^$\n]{1,200}\$|\\\([^\n]{1,200}?\\\)|\*\*[^*\n]{1,80}\*\*|(?<![\d.,/])[-−$€£]{0,2}\d[\d.,/]{0,40}(?:\s?%)?)(?:\s[a-z]{1,15})?"
    r"[,]?\s(?:is|are|as|must be|should be|would be)\s(?:therefore\s|thus\s)?(?:the|our|my)\s"
    r"(?:(?:final|correct|right|required|desired)\s)?answer\b",
    re.IGNORECASE,
)
_JSON = re.compile(
    r"[\"'](?:(?:final|correct|selected|chosen|predicted|model|my|the)[_ -]?){0,2}(?:answer|choice|option|ans|result)"
    r"(?:[_ -]?(?:letter|value|choice|option|key|text))?[\"']\s{0,9}:\s{0,9}"
    r"(?:\{\s{0,9}[\"'](?:value|number|letter|answer)[\"']\s{0,9}:\s{0,9})?"
    r"(\"(?:[^\"\\\n]|\\.){1,1000}\"|'[^'\n]{1,1000}'|[^\s,}\"'][^,}\n]{0,1000})",
    re.IGNORECASE,
)
_SHORT = re.compile(r"(?<![A-Za-z0-9])ans(?:\.[ \t]{0,9}[:=]?|[ \t]{0,9}[:=])" + _CONTENT, re.IGNORECASE)
"""``Ans: 9``, ``Ans. 9``"""
_MAY_BE_SHORT = re.compile(r"ans(?:[.:=]| =)")
_HASHES = re.compile(r"####[ \t]*([^\n]{0,1000})")
_LETTER_A = re.compile(r"^[ \t>*]*A:[ \t]*([^\n]{1,1000})", re.MULTILINE)
_SENTENCE_CHARS = 60
"""A longer line behind ``A:`` is a sentence where it holds a word."""
_WORD = re.compile(r"(?<![A-Za-z\\])[A-Za-z]{3}")
_UNSURE = re.compile(
    r"(?:\b(?:students?|people|some|many|most|they|others?|you|one)\b[^.\n]{0,20}"
    r"\b(?:think|thought|say|believe|guess|claim|suspect|expect)\s+"
    r"|(?:n['’]t|\bnot)\s(?:think|believe|say|mean|claim)\s+|\b(?:doubt|deny|unlikely|impossible|(?:not|never)\s(?:true|the\scase))\s+"
    r"|\bI\s(?:first\s|initially\s|originally\s)?(?:thought|guessed|assumed|believed)\s+"
    r"|\b(?:this|that|wrong|incorrect|other|alternative|possible|first|previous|initial|earlier)\s+$"
    r"|\b(?:if|whether|suppose|supposing|assume|assuming|unless|why|check|checking|verify|verifying|confirm|confirming|test)\s+)"
    r"(?:(?:that|the|your|this|my|our|a|possible|first|correct|right|final)\s+){0,3}$",
    re.IGNORECASE,
)


_NOT = "|".join(words(DENIALS))


def _foreign(language: Language) -> re.Pattern[str]:
    nouns, states = ("|".join(map(re.escape, words(cell))) for cell in (language.answer, language.states))
    if language.spaced:
        # Up to four more words stand between: "Die Antwort auf die Frage lautet", "La respuesta final es".
        words_between = rf"(?:[ \t]+(?!(?:{_NOT})\b|(?-i:[A-Z])\b)[^\W\d_]{{1,15}}){{0,4}}?"
        sign = rf"(?:{words_between}[ \t]*\**[ \t]*(?::|=|\s(?:{states or '—'})(?=[\s*:]))[ \t]*:?)"
        return re.compile(rf"(?<!\w)(?:{nouns}){sign}\**{_CONTENT}", re.IGNORECASE)
    sign = rf"(?:\**[ \t]*(?:(?:{states})[ \t]*:?|:|=|\])\**)"
    return re.compile(rf"(?:{nouns}){sign}{_CONTENT}")


def _shortest(nouns: list[str]) -> tuple[str, ...]:
    """Of nouns, those that hold no other: one of these is in every text that one of all is in."""
    return tuple(n for n in nouns if not any(o in n and o != n for o in nouns))


_FOREIGN = tuple((_shortest(words(x.answer)), _foreign(x)) for x in LANGUAGES)
_NOUNS = tuple(dict.fromkeys(n for nouns, _ in _FOREIGN for n in nouns))
_ASCII_NOUNS = tuple(n for n in _NOUNS if n.isascii())
_OTHER_NOUNS = tuple((next(c for c in n if not c.isascii()), n) for n in _NOUNS if not n.isascii())
"""Each behind a letter of its own, which is looked for first: that takes a fraction of the time."""
_KEY = re.compile(r"[\"']\s*:")


def may_announce(text: str) -> bool:
    """Whether a text has what is in every text that announces an answer."""
    if not text.isascii():
        return True
    lowered = text.lower()
    if "answer" in lowered or "####" in text or any(noun in lowered for noun in _ASCII_NOUNS):
        return True
    if _MAY_BE_SHORT.search(lowered):
        return True
    return ":" in text and ("a:" in lowered or _KEY.search(text) is not None)


def announced(text: str, start: int, end: int) -> list[Announced]:
    """The announcements whose content begins between `start` and `end`, in order; `text` went through `script.plain`.

    At most `MAX_STATEMENT_CHARS` of a content (see `read_on`).
    """
    first = max(0, start - BEFORE_CHARS)
    part = text[first : end + MAX_STATEMENT_CHARS]
    lowered = part.lower()
    found = [
        Announced(at, a.content, a.kind)
        for a in (*_english(part, lowered), *_others(part, lowered), *_markers(part))
        if start <= (at := first + a.start) < end
    ]
    return sorted(found, key=lambda a: a.start)


def _markers(text: str) -> Iterator[Announced]:
    if "####" in text:
        yield from (Announced(m.start(1), m.group(1), "marker") for m in _HASHES.finditer(text))
    if "A:" in text:
        for m in _LETTER_A.finditer(text):
            if len(m.group(1)) <= _SENTENCE_CHARS or not _WORD.search(m.group(1)):
                yield Announced(m.start(1), m.group(1), "marker")


def _english(text: str, lowered: str) -> Iterator[Announced]:
    if '":' in text or "':" in text:
        for found in _JSON.finditer(text):
            content = found.group(1).strip().strip("\"'").replace('\\"', '"').replace("\\\\", "\\")
            yield Announced(found.start(1), content, "json")
    if "ans" not in lowered:
        return
    if _MAY_BE_SHORT.search(lowered):
        yield from (Announced(m.start(1), m.group(1), "phrase") for m in _SHORT.finditer(text))
    if "answer" not in lowered:
        return
    m = _ENGLISH.search(text)
    while m is not None:
        before = text[max(0, m.start() - 60) : m.start()].rpartition("\n")[2]
        if not _UNSURE.search(before):
            yield Announced(m.start(1), m.group(1), "phrase")
        m = _ENGLISH.search(text, m.start(1))  # "Final Answer: The answer is 3" states it twice
    for pattern, kind in ((_HEADING, "phrase"), (_NAMED, "named")):
        for found in pattern.finditer(text):
            yield Announced(found.start(1), found.group(1), kind)


def _others(text: str, lowered: str) -> Iterator[Announced]:
    named = {noun for noun in _ASCII_NOUNS if noun in lowered}
    if not text.isascii():
        named.update(noun for letter, noun in _OTHER_NOUNS if letter in lowered and noun in lowered)
    if not named:
        return
    for nouns, pattern in _FOREIGN:
        if not named.isdisjoint(nouns):
            m = pattern.search(text)
            while m is not None:
                yield Announced(m.start(1), m.group(1), "phrase")
                m = pattern.search(text, m.start(1))
