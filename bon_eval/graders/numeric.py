"""Word problems whose answer is one number: GSM8K and its like."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

from bon_eval.graders.answers.compare import form_key
from bon_eval.graders.answers.exact import UndecidedError
from bon_eval.graders.answers.forms import Form
from bon_eval.graders.answers.latex import MAX_ANSWER_CHARS, TOO_LONG
from bon_eval.graders.answers.tree import MAX_DIGITS, Expr
from bon_eval.graders.base import Decision
from bon_eval.graders.extract import Extract, extract
from bon_eval.graders.language.numerals import leading_words, value_text
from bon_eval.graders.math import BEYOND, EXACT, TOO_DEEP, MathGrader, fraction_of, read_form
from bon_eval.graders.reading.numbers import STATED_NUMBER, one_of_several, scale_at

_REMARK = re.compile(r"(?<=[\w%)])\s{1,3}\([^()]*\)(?=[\s.,;:]*$)")
_THINGS = re.compile(r"\s+[^\W\d_]{3,20}[\s,][^=+*/^\\<>]*", re.IGNORECASE)
"""Things that are counted, and more words: ``18 dollars per day for 7 days``."""
_UNIT = re.compile(r"(?:k|\s*[^\W\d_]{1,20}(?:\s[^\W\d_]{1,20}){0,3})?[.\s]*", re.IGNORECASE)
"""Words alone, behind a number."""
_PART = re.compile(r"\s+and\s+(?:(?:a|one)\s+half\b|(\d{1,3})/([1-9]\d{0,2})\b)", re.IGNORECASE)


class NumericGrader(MathGrader):
    """Word problems whose answer is one number, GSM8K's form: ``#### 18``."""

    name = "gsm8k"
    version = "gsm8k-3"

    def extract(self, response: str) -> Extract:
        """Where and what the response answers."""
        return extract(response, formulas=False)

    def gold(self, gold: str) -> str:
        """The number within a gold, which may be the data set's whole solution."""
        return gold.rpartition("####")[2].strip() if "####" in gold else super().gold(gold)

    def fast(self, answer: str, gold: str) -> Decision:
        """Exact comparison of the first number after the last ``=``, or of the value of a whole expression."""
        if answer.strip() == gold.strip():
            return Decision(True, "string")
        target = number_in(gold)
        if target is None:
            return super().fast(answer, gold)
        if len(answer) > MAX_ANSWER_CHARS:
            return Decision(None, TOO_LONG)
        if read_form(answer, True) is BEYOND:
            return Decision(None, TOO_DEEP)
        answer = _REMARK.sub("", answer)
        value = number_in(answer)
        if value is not None and value == target:
            return Decision(True, "exact")
        decision = super().fast(answer, gold)
        if decision.correct is None and value is not None and "\\" not in answer:
            return Decision(False, "exact")
        return decision

    def normal(self, answer: str) -> str:
        """The number that was read."""
        if len(answer) <= MAX_ANSWER_CHARS and (value := number_in(answer)) is not None:
            return decimal_text(value)
        return super().normal(answer)

    def key(self, answer: str) -> str | None:
        """The vote key: the number that is read."""
        if len(answer) <= MAX_ANSWER_CHARS and (value := number_in(answer)) is not None:
            return decimal_text(value)
        return super().key(answer)

    def number(self, answer: str) -> Fraction | None:
        """The number that is read."""
        value = number_in(answer) if len(answer) <= MAX_ANSWER_CHARS else None
        return super().number(answer) if value is None else value

    def strict(self, response: str) -> str | None:
        """The answer under the strict format: the number after the last ``####``."""
        found = _STRICT.findall(response)
        return found[-1] if found else None

    def near_misses(self, gold: str) -> tuple[str, ...]:
        """Off by one, either way."""
        value = number_in(self.gold(gold))
        return () if value is None else (decimal_text(value + 1), decimal_text(value - 1))


class AnyNumericGrader(NumericGrader):
    """The same comparison for data whose responses may state the number in any common form.

    The gold may carry a unit or a noun behind its number, as in ``9 (apples)``: the number is compared.
    """

    name = "numeric"
    version = "numeric-2"

    def gold(self, gold: str) -> str:
        """The number that the gold begins with or, where it begins with none, the gold as it is."""
        m = STATED_NUMBER.match(gold.strip())
        return m.group().strip() if m is not None else gold

    def strict(self, response: str) -> str | None:
        """The answer where the response says that it is one: a box, ``####`` or "the answer is"; no bare number."""
        found = self.extract(response)
        return None if found.where == "last number" else found.answer


_STRICT = re.compile(r"####[ \t]*(-?\$?[\d,]*\.?\d+)(?![\d.)]*[.)]\s+[A-Za-z])")


@lru_cache(maxsize=50_000)
def number_in(text: str) -> Fraction | None:
    """The one number that a short statement states; None when it states none that is plain.

    The value of an arithmetic expression that is the whole text; else, behind the last equals sign, the number that it
    begins with ("18 dollars per day for 7 days" states 18); else its last number ("after 7 days she has 18").
    """
    m = STATED_NUMBER.match(text)
    if m is not None and (
        any(rest.fullmatch(text, m.end()) for rest in (_UNIT, _THINGS, _PART)) and not one_of_several(text, m)
    ):
        part = _PART.match(text, m.end())
        value = _value(m, text)
        if part is None or value is None:
            return value
        return value + (Fraction(int(part.group(1)), int(part.group(2))) if part.group(1) else Fraction(1, 2))
    text = _REMARK.sub("", text)
    form = read_form(text, True)
    if form is BEYOND:
        return None
    if form is not None and form[0] == "eq":
        form = form[2]
    if form is not None and form[0] == "expr":
        try:
            return fraction_of(form_key(form, EXACT))
        except UndecidedError:
            if not _counted(form[1]):
                return None
    if form is not None and _several(form):
        return None
    if "\\frac" in text or "\\sqrt" in text:
        return None
    stated = text.rpartition("=")[2] if "=" in text else text
    stated = stated.replace("{,}", ",").replace("\\!", "").replace("\\$", "$").strip().lstrip("*~ ")
    if (words := leading_words(stated)) is not None:
        return Fraction(words)
    m = STATED_NUMBER.match(stated)
    if m is None:
        for m in STATED_NUMBER.finditer(stated):  # noqa: B007 - the last one is wanted
            pass
    if m is None or one_of_several(stated, m):
        return None
    return _value(m, stated)


def _value(m: re.Match[str], text: str) -> Fraction | None:
    """The value of a number that was found, with the word that scales it."""
    signed = m.group().replace("−", "-")
    if len(signed) > MAX_DIGITS or signed.count("-") > 1 or re.search(r"/\s*0+\D*$", signed):
        return None
    top, _, bottom = re.sub(r"[-+$€£%\\]", "", signed).partition("/")
    value = Fraction(value_text(top.strip())) / Fraction(bottom.strip() or 1) * (-1 if "-" in signed else 1)
    if scale := scale_at(text, m.end()):
        value *= 10 ** scale[0]
    return value


def _counted(tree: Expr) -> bool:
    """Whether an expression is a number with letters behind it, as units are written: ``18m``."""
    while tree[0] == "*":
        if tree[2][0] != "s":
            return False
        tree = tree[1]
    return bool(tree[0] == "q")


def _several(form: Form) -> bool:
    """Whether a form states several values and no words."""
    if form[0] in ("list", "set", "tuple"):
        return len(form[1]) > 1 and not any(item[0] == "text" for item in form[1])
    return form[0] in ("interval", "ratio", "union", "matrix", "rel")


def decimal_text(value: Fraction) -> str:
    """The shortest plain way to write a rational number."""
    if value.denominator == 1:
        return str(value.numerator) if value.numerator.bit_length() < 10_000 else f"{value.numerator:#x}"
    rest = value.denominator
    twos = fives = 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    places = max(twos, fives)
    if rest != 1 or places > 12:
        return f"{value.numerator}/{value.denominator}" if value.denominator.bit_length() < 10_000 else "a fraction"
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:]}"


GSM8K = NumericGrader()
NUMERIC = AnyNumericGrader()
