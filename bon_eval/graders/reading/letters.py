r"""How a response states the letter of an option: ``B is the correct answer``, ``I'll go with B``, ``故选：B``."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bon_eval.graders.language.tables import LANGUAGES, words
from bon_eval.graders.reading.announce import announced
from bon_eval.graders.reading.stretches import BEFORE_CHARS, MAX_STATEMENT_CHARS

_GAP = r"[ \t]{1,3}"
_BOLD = r"[*_]{0,3}"
_LETTER = rf"{_BOLD}(\([A-Z]\)|[A-HJ-Z]\b){_BOLD}"
_ANY = rf"{_BOLD}(\(?[A-Z]\)?){_BOLD}"
_IS_RIGHT = (
    rf"(?:{_GAP}(?:is|must{_GAP}be|should{_GAP}be|has{_GAP}to{_GAP}be)(?:{_GAP}(?:therefore|thus|clearly|indeed|hence))?{_GAP}"
    rf"(?:(?:the|our|my){_GAP})?(?:only{_GAP}|single{_GAP})?(?:(?:correct|right|best|final)(?![a-z])|answer\b)"
    rf"|{_GAP}(?:is|seems|appears|looks)(?:{_GAP}(?:to{_GAP}be|like))?{_GAP}(?:(?:the|most){_GAP}){{1,2}}"
    rf"(?:likely|suitable|accurate|appropriate|fitting|plausible|reasonable)(?![a-z])"
    rf"|{_GAP}(?:fits|matches|works){_GAP}best\b)"
)
# The first letters of all that follows come first: looked for by themselves they are found several times as fast.
_STATED = re.compile(
    r"(?=[aocslpgibt(#*_])(?:"
    r"\b(?:option|choice|statement|letter)\b"
    r"[ \t]{0,3}\*{0,3}[ \t]{0,3}(?:is|are|would be|will be|should be|must be|:|=)[ \t]{0,3}\*{0,3}[ \t]{0,3}:?"
    r"(?:[ \t]{0,3}(?:therefore|thus|simply|clearly|just|that)\b)?[ \t]{0,9}(?:\n[ \t]{0,9}){0,2}([^\n]{1,1000})"
    r"|####[ \t]{0,9}([^\n]{1,1000})"
    r"|\banswer\b[ \t]{1,3}(?:might|may|could|can only)[ \t]be[ \t]([^\n]{1,1000})"
    rf"|\b(?:option|choice|answer){_GAP}{_ANY}{_IS_RIGHT}"
    rf"|\b(?:choose|chose|pick|select|take|(?:go|going|stick|settle|opt)[ \t](?:with|for|on)){_GAP}"
    rf"(?:(?:option|choice|answer|letter){_GAP})?{_LETTER}"
    rf"|\b(?:this|that|which|it|only|elimination){_GAP}leaves{_GAP}(?:(?:us|only|just|with|option|choice|answer){_GAP}){{0,3}}{_LETTER}"
    r"(?!,? (?:out|or|and)\b))",
    re.IGNORECASE,
)
_LETTER_FIRST = re.compile(
    rf"(?<![A-Za-z'’-]){_BOLD}(\([A-Z]\)|[A-HJ-Z])"
    rf"(?:{_BOLD}|[):][ \t][^\n.;A-Z]{{1,80}}?|{_BOLD}[ \t]\([^()\n]{{1,80}}\)){_IS_RIGHT}"
)
"""A capital letter, and then what is said of it."""
_ONLY = re.compile(
    rf"\b[Oo]nly{_GAP}(?:option{_GAP}|choice{_GAP})?{_BOLD}(\([A-Z]\)|[A-HJ-Z]){_BOLD}{_GAP}(?:remains|fits|works|is{_GAP}left|matches|survives|holds)\b"
)
_TO_OPTION = re.compile(
    rf"\b(?:corresponds|matches|equals|agrees)(?:{_GAP}(?:to|with))?"
    rf"{_GAP}(?:option|choice|answer){_GAP}{_LETTER}(?={_BOLD}(?:[.,;:!)]|\s*$))",
    re.IGNORECASE | re.MULTILINE,
)
_MARK = re.compile(
    rf"(?<![A-Za-z]){_BOLD}(\([A-Z]\)|[A-HJ-Z]){_BOLD}(?::|[)]|{_GAP}[-–—]){_GAP}{_BOLD}(?:[Cc]orrect|[Rr]ight|[Tt]rue)\b"
    r"(?![^.;\n]{0,40}\b(?:not|but)\b)"
)
"""One option after the other is judged."""
_NOT_SO = re.compile(
    r"(?:n['’]t|\b(?:not|neither|nor|why|whether|if|that|than|or|[A-Z],))[ \t]{1,3}(?:option |choice )?$|不$",
    re.IGNORECASE,
)
_OPTION_WORDS = "|".join(sorted({w for x in LANGUAGES for w in words(x.options)}, key=len, reverse=True))
_FOREIGN = re.compile(
    rf"(?:{_OPTION_WORDS}|antwort|réponse|respuesta|resposta|risposta|ответ)[ \t]*[:为是]?[ \t]*"
    r"[(\[]?([A-Z])(?![A-Za-z])[)\]]?[ \t]*"
    r"(?:是?正确|是?对的|ist richtig|ist korrekt|est correct"
    r"|(?:が)?(?:正しい|正解)|est la bonne|es correct|es la correct|è corrett|está corret|верен|правильн)"
    rf"|(?:{'|'.join(w for x in LANGUAGES if not x.spaced for w in words(x.options))})[ \t]*[:为是]?[ \t]*"
    r"[(\[]?([A-Z])(?![A-Za-z])[)\]]?(?=[.,;!]?[ \t]*(?:\n|$))",
    re.IGNORECASE,
)


_CJK = re.compile(
    r"(?<![A-Za-z和、与或及,不(])([A-Z])(?:项|選項|选项)?是?(?:正确|對|对|正しい|が正しい|が正解)(?!的?是?吗|か)"
)


_SAID_ASCII = ("ist richtig", "ist korrekt", "est correct", "est la bonne", "es correct", "es la correct")
"""Without one of these a text in ASCII has nothing that `_FOREIGN` finds."""


def stated_letters(text: str, start: int, end: int) -> list[tuple[int, str, bool]]:
    """Where what is stated between two places, in order, and whether words count there too."""
    found = [(a.start, a.content, a.kind != "named") for a in announced(text, start, end) if a.kind != "marker"]
    first = max(0, start - BEFORE_CHARS)
    found += [
        (first + at, content, False)
        for at, content in _letters_in(text[first : end + MAX_STATEMENT_CHARS])
        if start <= first + at < end
    ]
    return sorted(found, key=lambda item: item[0])


def _letters_in(text: str) -> Iterator[tuple[int, str]]:
    m = _STATED.search(text)
    while m is not None:
        k = m.lastindex or 0
        if not _NOT_SO.search(text[max(0, m.start() - 30) : m.start()]) or not m.group(k).strip("()*_").isalpha():
            yield m.start(k), m.group(k)
        m = _STATED.search(text, max(m.start() + 1, m.start(k)))
    foreign = (_FOREIGN, _CJK) if not text.isascii() else (_FOREIGN,) if any(w in text for w in _SAID_ASCII) else ()
    for pattern in (_LETTER_FIRST, _ONLY, _TO_OPTION, _MARK, *foreign):
        for m in pattern.finditer(text):
            k = m.lastindex or 0
            if not _NOT_SO.search(text[max(0, m.start() - 30) : m.start()]):
                yield m.start(k), m.group(k)
