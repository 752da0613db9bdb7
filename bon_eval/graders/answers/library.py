"""math-verify on what the project's own grammar does not hold; loaded in a worker process only, on first use."""

from __future__ import annotations

import re
from typing import Any

import sympy
from math_verify import LatexExtractionConfig, parse, verify

from bon_eval.graders.answers.clean import clean

_CONFIG = (LatexExtractionConfig(),)
_DIGITS = 40
MAX_CHARS = 400
_MISREAD = re.compile(r"\d\s*_|\d\s+\d")
"""math-verify drops the base of a numeral and multiplies numbers that stand side by side."""


def warm_up() -> None:
    """What the first comparison would spend on tables of the parser and modules of sympy."""
    library_verdict(r"\sum_{k=1}^{n} \frac{a_k}{k^2}", r"\sum_{k=1}^{n} a_k k^{-2}")
    library_verdict(r"\begin{pmatrix} 1 & x \end{pmatrix}", r"[1, 2) \cup (3, \infty)")


def _parse(text: str) -> Any:
    text = clean(text)
    if len(text) > MAX_CHARS or _MISREAD.search(text):
        return None
    found = parse(f"${text}$", _CONFIG, parsing_timeout=None)
    if not found or isinstance(found[0], str):
        return None
    if ("=" in text) != bool(getattr(found[0], "is_Relational", False)):
        return None  # only a part of the text was read
    return found[0]


def library_verdict(gold: str, answer: str) -> bool:
    """Whether math-verify holds the two equal, and its decision stands up to a check with more digits.

    math-verify compares scalars to six decimals or 15 digits and drops what it cannot read, so that distinct answers
    can be "equal"; a value is checked again to `_DIGITS` digits, and anything that is not a value must have been read
    into the very same expression.
    """
    a, b = _parse(gold), _parse(answer)
    if a is None or b is None:
        return False
    if a == b or sympy.srepr(a) == sympy.srepr(b):  # a product's order does not show in srepr, but does in ==
        return True
    if any(isinstance(x, sympy.MatrixBase | sympy.MatrixExpr) for x in (a, b)):
        return bool(a.doit() == b.doit())
    if not verify(a, b, timeout_seconds=None):
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
