"""Numbers in running text."""

from __future__ import annotations

import re

from bon_eval.graders.language.numerals import DIGITS, STATED_DIGITS
from bon_eval.graders.language.script import JOINED
from bon_eval.graders.language.tables import SCALES

_BEFORE = rf"(?:(?<![{JOINED}.])|(?<=Rs\.))[-−+]?\s?\\?[$€£]?\s?[-−]?"
_BEHIND = rf"(?:\s*/\s*\d+(?![{JOINED}]))?(?:\s?\\?%)?"
NUMBER = re.compile(_BEFORE + DIGITS + _BEHIND)
STATED_NUMBER = re.compile(_BEFORE + STATED_DIGITS + _BEHIND)

_LATIN = "|".join(word for word in SCALES if word.isascii())
_OTHER = "|".join(word for word in SCALES if not word.isascii())
SCALED = re.compile(rf"\s*(?:((?i:{_LATIN}))\b|({_OTHER}))|\s?([kK])(?![A-Za-z])|(M)(?![A-Za-z])")
"""What multiplies the number before it; ``M`` only where it touches the number."""

_REMARK = re.compile(r"(?<=[\w%)$])\s*\((?!\s*mod\b)[^()\n]{0,200}[^\W\d_]{2}[^()\n]{0,200}\)", re.IGNORECASE)
_DENIED = (
    r"(?:\b(?:not|never|nor|cannot be|different from|other than|nicht|nicht gleich|pas|no es|non è|não é|niet|не)"
    r"|n['’]t(?: be)?|不是|并非|不等于|不为)"
)
_BOUND_BEFORE = re.compile(
    r"(?:\b(?:(?:less|more|fewer|greater|higher|lower|larger|smaller) than|at (?:least|most)|up to|"
    r"over|under|above|below|almost|nearly|minus|negative|exceeds?|"
    r"(?:multiple|factor|divisor) of|divisible by|no longer|"
    r"(?:square|cube|root|square root|cube root) of|"
    rf"(?:twice|half|double|third|quarter|thirds|quarters)(?: of)?|from\s[$€£]?[\d.,]{{1,12}}\sto)"
    rf"|[<>≤≥±]|大于|小于|超过|少于|至少|至多|{_DENIED})\s*$",
    re.IGNORECASE,
)
"""What makes a number behind it no answer, or another one."""
_NOT_THIS = re.compile(rf"(?:{_DENIED}|大于|小于)\s*$", re.IGNORECASE)
_TIMES = re.compile(r"\b(?:twice|double|half of|(?:a|one) (?:third|quarter) of)\s*$", re.IGNORECASE)
_OTHER_END = re.compile(
    r"(?:\bbetween\s[^\n.]{0,40}\s(?:and|to|&)|\bbetween\s[^\n.]{0,40}[-–]|[\d%)][^\n.,;:=]{0,20}\sor(?:\s[A-Za-z]\s*=)?"
    r"|\b(?:product|sum|difference|quotient|average|mean)\sof\s[^\n.]{0,40}\sand"
    r"|(?<![\d.,])\d[\d.,]{0,12}\s(?:in|out of)"
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
    return (SCALES[word.lower()] if word else 6 if m.group(4) else 3), m.end()


_GLUED = re.compile(r"[A-Za-z)][A-Za-z0-9()]*[/^*+]$")
"""A number behind such signs is a part of a formula."""
_OTHER_BEGIN = re.compile(
    r"\s*(?:(?:to|[-–]|到|至)\s?[$€£]?\d|and\s[$€£]?\d[\d.,]*\s*$|(?:squared|cubed|factorial)\b|"
    r"(?:times|plus|minus|over|mod|choose)\s[$€£]?\d|(?:divided|multiplied)\sby\b|to\sthe\spower\b|'\s?\d|"
    r"(?:in|out of)\s\d[\d.,]*\s*$"
    r"|[^\W\d_]{0,15}\s*\b(?:more|less|fewer)\sthan\s"
    r"|[^\W\d_]{0,15}\s*\bor\s(?:[$€£]?\d|(?:more|less|fewer|greater|above|below|higher|lower|over)\b))"
)


_COMPOUND = re.compile(
    r"\s*(?:hours?|hrs?|h|minutes?|mins?|days?|weeks?|months?|years?|feet|foot|ft|yards?|miles?|pounds?|lbs?|"
    r"kilograms?|kg|kilomet(?:er|re)s?|km|m|lit(?:er|re)s?|gallons?|dollars?|euros?|met(?:er|re)s?|(?=and\s))\s*,?\s*"
    r"(?:and\s+)?\d+\s*(?:seconds?|secs?|minutes?|mins?|hours?|days?|weeks?|months?|inch(?:es)?|in|feet|foot|ft|"
    r"ounces?|oz|grams?|g|met(?:er|re)s?|m|millilit(?:er|re)s?|ml|quarts?|pints?|cents?|"
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


_ASIDE = re.compile(r",\s{0,3}(?:and\s)?\w{1,9}\s{0,3}$")
"""Before a number that is only denied beside another: "5, not 6"."""
_UNIT_POWER = re.compile(r"/\s?[A-Za-z]{1,3}\^\{?$")
"""Before the power of a unit: m/s^2."""
_WHOLE = re.compile(r"(?<![\d/.,])\d{1,9} $")


_REASON = re.compile(r"(?<=[\w)}$]),?\s(?:because|since)\s[^,;\n]{1,120}$", re.IGNORECASE)
_CONCLUDES = re.compile(r"\b(?:so|thus|hence|therefore|then)\b", re.IGNORECASE)


def without_reason(text: str) -> str:
    """A text without the reason that ends it, where its last sentence holds a number before that."""
    text = text.rstrip()
    m = _REASON.search(text, max(0, len(text) - 140))
    if m is None or _CONCLUDES.search(m.group()):
        return text
    said = re.split(r"\n|\.\s", text[max(0, m.start() - 200) : m.start()])[-1]
    return text[: m.start()] if any(c.isdigit() for c in said) else text


def last_number(text: str) -> str | None:
    """The last number in the text with sign and scale, one in a remark in brackets only where there is no other.

    What lies between two numbers, or is one of two, is read with both of them.
    """
    found = None
    remarks = [m.span() for m in _REMARK.finditer(text)] if "(" in text else []
    for m in NUMBER.finditer(text):
        if found is None or not any(start < m.start() < end for start, end in remarks):
            before = text[max(0, m.start() - 30) : m.start()]
            aside = _NOT_THIS.search(before) and _ASIDE.search(before)
            if found is None or not (aside or _UNIT_POWER.search(before)):
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
    if "/" in found.group() and (whole := _WHOLE.search(before)):  # 3 1/2
        return whole.group() + text[found.start() : end].strip()
    if other := _OTHER_END.search(before) or _TIMES.search(before) or _NOT_THIS.search(before):
        return other.group().strip().removeprefix("are ") + " " + text[found.start() : end].strip()
    return text[found.start() : end].strip()
