"""math-verify on what the project's own grammar does not hold; loaded in a worker process only, on first use."""

from __future__ import annotations

import re
from typing import Any

import sympy
from math_verify import LatexExtractionConfig, parse, verify

from bon_eval.graders.answers.clean import clean
from bon_eval.graders.answers.symbolic import TooLargeError

_CONFIG = (LatexExtractionConfig(),)
_DIGITS = 40
MAX_CHARS = 400
_MISREAD = re.compile(r"\d\s*_|\d\s+\d")
"""math-verify drops the base of a numeral and multiplies numbers that stand side by side."""


def warm_up() -> None:
    """What the first comparison would spend on tables of the parser and modules of sympy."""
    library_verdict(r"\frac{a_1}{\sqrt{3}} + \sin x", r"\sin x + \frac{\sqrt{3}a_1}{3}", "")
    library_verdict(r"\begin{pmatrix} 1 & x \end{pmatrix}", r"[1, 2) \cup (3, \infty)", "")


def _parse(text: str) -> Any:
    """What math-verify reads a text as; None where it does not read all of it."""
    text = clean(text)
    if len(text) > MAX_CHARS:
        raise TooLargeError(f"too long: more than {MAX_CHARS} characters outside of the grammar of answers")
    if _MISREAD.search(text):
        return None
    found = parse(f"${text}$", _CONFIG, parsing_timeout=None)
    if not found or isinstance(found[0], str):
        return None
    if ("=" in text) != bool(getattr(found[0], "is_Relational", False)):
        return None  # only a part of the text was read
    return found[0]


def library_verdict(gold: str, answer: str, what: str) -> dict[str, Any]:
    """The decision and its rung: whether math-verify holds the two equal, and that stands up to more digits.

    `what`: what the grammar did not hold; the rung names it where math-verify does not read it either: then the two are
    not the same string, and no more is known. Raises `TooLargeError` for a text that is too long.

    math-verify compares scalars to six decimals or 15 digits and drops what it cannot read, so that distinct answers
    can be "equal"; a value is checked again to `_DIGITS` digits, and anything that is not a value must have been read
    into the very same expression.
    """
    a, b = _parse(gold), _parse(answer)
    if a is None or b is None:
        return {"correct": False, "rung": f"not parsed: {what}"}
    return {"correct": _equal(a, b), "rung": "math-verify"}


def _equal(a: Any, b: Any) -> bool:
    if a == b or sympy.srepr(a) == sympy.srepr(b):  # a product's order does not show in srepr, but does in ==
        return True
    if any(isinstance(x, sympy.MatrixBase | sympy.MatrixExpr) for x in (a, b)):
        return bool(a.doit() == b.doit())
    if not verify(a, b, timeout_seconds=None, raise_on_error=True):
        return False
    if not (isinstance(a, sympy.Expr) and isinstance(b, sympy.Expr)):
        return False
    difference = a - b
    points = {
        s: sympy.Rational(k + 2, 7) + sympy.sqrt(k + 2) for k, s in enumerate(sorted(difference.free_symbols, key=str))
    }
    value, size = (sympy.N(x.subs(points), _DIGITS + 20, chop=False) for x in (difference, a))
    if not (value.is_number and size.is_number):
        return False
    return bool(abs(value) <= abs(size) * sympy.Float(10) ** -_DIGITS)
