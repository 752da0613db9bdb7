r"""Ways to write a number: which signs group its digits and which one is the decimal sign.

The rule. Groups are of three digits behind a first one of one to three that does not begin with 0, all parted by the
same sign; a decimal sign comes once, last, and is not the sign of the groups. So ``1,234,567`` and ``1.234.567`` and
``1 234 567`` and ``1'234'567`` are one number, ``1.234,56`` is 1234.56, and ``1,234`` is 1234. What is no group is a
decimal: ``0,5``, ``3{,}5`` and ``0,125``. A single point is always the decimal sign: ``1.234`` is not 1234.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from bon_eval.graders.language.tables import FRACTION_WORDS, NUMBER_WORDS, SCALES


@dataclass(frozen=True, slots=True)
class Notation:
    """One way to write numbers, as pieces of regular expressions."""

    where: str
    group: str
    """The sign between groups."""
    decimal: str
    """The decimal sign behind groups."""
    least: int = 1
    """Fewer signs between groups than this are no groups."""


NOTATIONS = (
    Notation("English", ",", r"\."),
    Notation("German, Spanish, Italian", r"\.", ",", least=2),
    Notation("French, Russian, SI", r"[\u00a0\u2009\u202f]", "[.,]"),
    Notation("Swiss", "['’]", "[.,]"),
)
_TYPED = Notation("French on a keyboard", " ", "[.,]")
_TYPED_TWICE = Notation("French on a keyboard, in running text", " ", "[.,]", least=2)


def _grouped(of: Notation) -> str:
    # A German number with one group needs its decimals to be told from an English decimal.
    short = rf"|[1-9]\d{{0,2}}(?:{of.group}\d{{3}}){of.decimal}\d+" if of.decimal == "," else ""
    return rf"[1-9]\d{{0,2}}(?:{of.group}\d{{3}}){{{of.least},}}(?!\d)(?:{of.decimal}\d+)?{short}"


_INDIAN = r"[1-9]\d?(?:,\d{2}){1,4},\d{3}(?!\d)(?:\.\d+)?"


def _digits(typed: Notation) -> str:
    grouped = "|".join([*map(_grouped, NOTATIONS), _grouped(typed), _INDIAN])
    return rf"(?:{grouped}|\d+\{{,\}}\d+|\d+,\d+(?![,\d])|\d+(?:\.\d+)?|\.\d+)"


DIGITS = _digits(_TYPED_TWICE)
"""An unsigned number in running text, in any of the notations; the first alternative that fits is the reading."""
STATED_DIGITS = _digits(_TYPED)
"""The same where a number is known to stand: one space before three digits groups them."""

_SPLIT = re.compile("|".join(rf"(?:{x})\Z" for x in [*map(_grouped, NOTATIONS), _grouped(_TYPED), _INDIAN]))


def value_text(digits: str) -> str:
    """A number in any of the notations as digits with at most one point.

    >>> [value_text(x) for x in ("1.234,56", "1 234 567", "1'234", "3{,}5", "0,5", "1,234", "1.234", "12,34,567")]
    ['1234.56', '1234567', '1234', '3.5', '0.5', '1234', '1.234', '1234567']
    """
    digits = digits.replace("{,}", ",")
    if _SPLIT.match(digits):
        signs = [c for c in digits if not c.isdigit()]
        if len(set(signs)) > 1 and signs[-1] in ".,":  # the last sign is another one: the decimal sign
            whole, _, part = digits.rpartition(signs[-1])
            return "".join(c for c in whole if c.isdigit()) + "." + part
        return "".join(c for c in digits if c.isdigit())
    return digits.replace(",", ".")


_PART_OF_NUMBER = {*NUMBER_WORDS, *SCALES, "and", "or", "to", "half", "point", "quarter", "third", "thirds",
                   "quarters", "halves", "fifths",
                   "times", "dozen", "over", "less", "more", "minus", "plus", "by"}  # fmt: skip


def leading_words(text: str) -> int | Fraction | None:
    """The number that the first words are, where no further word belongs to it.

    >>> leading_words("twelve eggs"), leading_words("one hundred twenty"), leading_words("two or three")
    (12, None, None)
    """
    if any(len(word) == 1 and word != "a" for word in text.split()[1:]):
        return None
    found = text.lower().replace("-", " ").replace(",", " ").split()
    for n in (4, 3, 2, 1):
        value = word_value(" ".join(found[:n])) if len(found) >= n else None
        if value is not None:
            return None if _PART_OF_NUMBER & set(found[n:]) or any(c.isdigit() for c in text) else value
    return None


def word_value(text: str) -> int | Fraction | None:
    """The number that words are: up to a hundred, some of a hundred or a thousand, common fractions; or None.

    >>> word_value("Twenty-one"), word_value("a hundred"), word_value("seven hundred"), word_value("one or two")
    (21, 100, 700, None)
    """
    words = " ".join(text.lower().replace("-", " ").split())
    if (value := NUMBER_WORDS.get(words)) is not None:
        return value
    if (part := FRACTION_WORDS.get(words)) is not None:
        return Fraction(part)
    if words.endswith(" and a half"):
        whole = NUMBER_WORDS.get(words.removesuffix(" and a half"))
        return None if whole is None else whole + Fraction(1, 2)
    head, _, last = words.rpartition(" ")
    times = 12 if last == "dozen" else 10 ** SCALES[last] if last in SCALES else None
    return NUMBER_WORDS[head] * times if times and head in NUMBER_WORDS else None
