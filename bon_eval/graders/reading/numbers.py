"""Numbers in running text."""

from __future__ import annotations

import re

from bon_eval.graders.language.numerals import DIGITS, STATED_DIGITS
from bon_eval.graders.language.script import JOINED
from bon_eval.graders.language.tables import SCALES

_BEFORE = rf"(?<![{JOINED}.])[-−+]?\s?\\?[$€£]?\s?[-−]?"
_BEHIND = rf"(?:\s*/\s*\d+(?![{JOINED}]))?(?:\s?\\?%)?"
NUMBER = re.compile(_BEFORE + DIGITS + _BEHIND)
STATED_NUMBER = re.compile(_BEFORE + STATED_DIGITS + _BEHIND)

_LATIN = "|".join(word for word in SCALES if word.isascii())
_OTHER = "|".join(word for word in SCALES if not word.isascii())
SCALED = re.compile(rf"\s*(?:({_LATIN})\b|({_OTHER}))|\s?([kK])(?![A-Za-z])", re.IGNORECASE)
"""What multiplies the number before it; ``k`` only where it touches the number."""

_REMARK = re.compile(r"(?<=[\w%)$])\s*\((?!\s*mod\b)[^()\n]{0,200}[^\W\d_]{2}[^()\n]{0,200}\)", re.IGNORECASE)
_BOUND_BEFORE = re.compile(
    r"\b(?:(?:less|more|fewer|greater|higher|lower|larger|smaller) than|at (?:least|most)|up to|"
    r"over|under|above|below|almost|nearly|not|minus|negative|exceeds?|"
    r"(?:twice|half|double|third|quarter|thirds|quarters)(?: of)?)\s*$",
    re.IGNORECASE,
)
"""What makes a number behind it no answer, or another one."""
_TIMES = re.compile(r"\b(?:twice|double|half of|(?:a|one) (?:third|quarter) of)\s*$", re.IGNORECASE)
_OTHER_END = re.compile(
    r"(?:\bbetween\s[^\n.]{0,40}\s(?:and|to|&)|\bbetween\s[^\n.]{0,40}[-–]|[\d%)][^\n.,;:=]{0,20}\sor(?:\s[A-Za-z]\s*=)?"
    rf"|\bare\s(?:[-−]?{DIGITS},?\s){{1,6}}and)\s*$",
    re.IGNORECASE,
)
"""What stands before the last of several numbers, none of which is the answer."""


def scale_at(text: str, at: int) -> tuple[int, int] | None:
    """The power of ten that scales the number ending at `at`, and where its word ends."""
    m = SCALED.match(text, at)
    if m is None:
        return None
    word = m.group(1) or m.group(2)
    return (3 if word is None else SCALES[word.lower()]), m.end()


_GLUED = re.compile(r"[A-Za-z)][A-Za-z0-9()]*[/^*+]$")
"""A number behind such signs is a part of a formula."""
_OTHER_BEGIN = re.compile(
    r"\s*(?:(?:to|[-–])\s?[$€£]?\d|[^\W\d_]{0,15}\s*\bor\s(?:[$€£]?\d|(?:more|less|fewer|greater|above|below|higher|lower|over)\b))"
)


_COMPOUND = re.compile(
    r"\s*(?:hours?|hrs?|h|minutes?|mins?|days?|weeks?|months?|years?|feet|foot|ft|pounds?|lbs?|dollars?|met(?:er|re)s?)\s*,?\s*"
    r"(?:and\s+)?\d+\s*(?:seconds?|secs?|minutes?|mins?|hours?|days?|weeks?|months?|inch(?:es)?|in|ounces?|oz|cents?|"
    r"centimet(?:er|re)s?|cm)\b",
    re.IGNORECASE,
)
"""The rest of a quantity in two units, of which the number before is a part."""


def one_of_several(text: str, m: re.Match[str]) -> bool:
    """Whether a number is a bound, an end of a range, one of two, or a part of a quantity in two units."""
    before = text[max(0, m.start() - 80) : m.start()]
    return any(
        (
            _COMPOUND.match(text, m.end()),
            _OTHER_BEGIN.match(text, m.end()),
            _OTHER_END.search(before),
            _BOUND_BEFORE.search(before),
        )
    )


def last_number(text: str) -> str | None:
    """The last number in the text with sign and scale, one in a remark in brackets only where there is no other.

    What lies between two numbers, or is one of two, is read with both of them.
    """
    found = None
    remarks = [m.span() for m in _REMARK.finditer(text)] if "(" in text else []
    for m in NUMBER.finditer(text):
        if found is None or not any(start < m.start() < end for start, end in remarks):
            found = m
    if found is None:
        return None
    scale = scale_at(text, found.end())
    end = found.end() if scale is None else scale[1]
    if glued := _GLUED.search(text[max(0, found.start() - 40) : found.start()]):
        return glued.group() + text[found.start() : end].strip()
    before = text[max(0, found.start() - 80) : found.start()].rpartition("\n")[2]
    if not before.strip(" *>") and found.group().startswith("- "):  # the first of a list's signs
        return text[found.start() + 2 : end].strip()
    if other := _OTHER_END.search(before) or _TIMES.search(before):
        return other.group().strip().removeprefix("are ") + " " + text[found.start() : end].strip()
    return text[found.start() : end].strip()
