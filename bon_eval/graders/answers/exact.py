"""Exact rational arithmetic on parsed expressions: the second rung. No floats, and every size is bounded first."""

from __future__ import annotations

import math
from fractions import Fraction

from bon_eval.graders.answers.tree import Expr

MAX_BITS = 16_384
"""Largest numerator or denominator that this rung works with."""
APPROXIMATE_DIGITS = 6
"""Significant digits from which on a rounded decimal stands for the value that it rounds."""


class UndecidedError(Exception):
    """This rung cannot tell; the next one must."""


def exact(tree: Expr) -> Fraction | None:
    """The rational value, or None where the expression is not (visibly) rational or too large for this rung."""
    kind = tree[0]
    if kind == "q":
        return _bounded(tree[1])
    if kind in ("neg", "deg", "pct"):  # a percent sign is a unit like the degree
        value = exact(tree[1])
        return -value if value is not None and kind == "neg" else value
    if kind in ("+", "*", "/"):
        a, b = exact(tree[1]), exact(tree[2])
        if a is None or b is None:
            return None
        if kind == "+":
            return _bounded(a + b)
        if kind == "*":
            return _bounded(a * b)
        return _bounded(a / b) if b else None
    if kind == "^":
        a, b = exact(tree[1]), exact(tree[2])
        return None if a is None or b is None else _power(a, b)
    return _function(tree) if kind == "f" else None


def _function(tree: Expr) -> Fraction | None:
    name, arguments = tree[1], [exact(x) for x in tree[2:]]
    if not arguments or any(x is None for x in arguments):
        return None
    a = arguments[0]
    if a is None:
        return None
    if name in ("max", "min"):
        return (max if name == "max" else min)(x for x in arguments if x is not None)
    if name in ("gcd", "lcm"):
        whole = [int(x) for x in arguments if x is not None and x.denominator == 1]
        return (
            _bounded(Fraction((math.gcd if name == "gcd" else math.lcm)(*whole)))
            if len(whole) == len(arguments) <= 20
            else None
        )
    if name == "abs":
        return abs(a)
    if name == "sqrt":
        return _power(a, Fraction(1, 2))
    if name == "root" and arguments[1]:
        return _power(a, 1 / arguments[1])
    if name == "floor":
        return Fraction(math.floor(a))
    if name == "ceiling":
        return Fraction(math.ceil(a))
    if name == "factorial" and a.denominator == 1 and 0 <= a <= 1000:
        return _bounded(Fraction(math.factorial(int(a))))
    if name == "binom" and arguments[1] is not None:
        b = arguments[1]
        if a.denominator == b.denominator == 1 and 0 <= b <= a <= 1000:
            return _bounded(Fraction(math.comb(int(a), int(b))))
    return None


def _bounded(value: Fraction) -> Fraction | None:
    return value if max(value.numerator.bit_length(), value.denominator.bit_length()) <= MAX_BITS else None


def _power(a: Fraction, b: Fraction) -> Fraction | None:
    if a == 0:
        return Fraction(0) if b > 0 else None
    size = max(a.numerator.bit_length(), a.denominator.bit_length())
    if b.denominator > 64 or abs(b.numerator) * size > MAX_BITS:
        return None
    if b.denominator > 1:
        if a < 0:
            return None  # the principal root is not real
        top, bottom = _root(a.numerator, b.denominator), _root(a.denominator, b.denominator)
        if top is None or bottom is None:
            return None
        a = Fraction(top, bottom)
    return a**b.numerator


def _root(n: int, k: int) -> int | None:
    """The k-th root of n >= 0 when it is whole."""
    if k == 2:
        root = math.isqrt(n)
        return root if root * root == n else None
    low, high = 0, 1 << (n.bit_length() // k + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**k <= n else (low, middle - 1)
    return low if low**k == n else None


def infinity(tree: Expr) -> str | None:
    """``inf`` or ``-inf`` for an infinite value."""
    if tree == ("f", "infty"):
        return "inf"
    if tree[0] == "neg" and tree[1] == ("f", "infty"):
        return "-inf"
    return None


def decimal_literal(tree: Expr) -> tuple[Fraction, int] | None:
    """Value and decimal places of a decimal written out with at least `APPROXIMATE_DIGITS` significant digits."""
    sign = 1
    while tree[0] in ("neg", "deg", "pct"):
        sign, tree = (-sign if tree[0] == "neg" else sign), tree[1]
    power = 0
    if tree[0] == "*" and (found := _power_of_ten(tree[2])) is not None:
        tree, power = tree[1], found
        if tree[0] == "neg":
            sign, tree = -sign, tree[1]
    if tree[0] != "q" or tree[2] < 1:
        return None
    digits = abs(int(tree[1] * 10 ** tree[2]))
    if digits < 10 ** (APPROXIMATE_DIGITS - 1):
        return None
    return sign * tree[1] * Fraction(10) ** power, tree[2] - power


def _power_of_ten(tree: Expr) -> int | None:
    """The exponent in scientific notation."""
    if tree[0] != "^" or tree[1] != ("q", Fraction(10), -1):
        return None
    exponent = exact(tree[2])
    return int(exponent) if exponent is not None and exponent.denominator == 1 and abs(exponent) <= 400 else None


_SLACK = Fraction(1, 10**15)


def is_double_of(value: Fraction, decimal: tuple[Fraction, int]) -> bool:
    """Whether a decimal is what a program prints for a value.

    Either it is the shortest decimal of the double that is nearest to the value, or the value has at most twelve
    digits and the decimal misses it by the few units in the last place that arithmetic on doubles loses.
    """
    literal, places = decimal
    digits = len(str(abs(int(literal * Fraction(10) ** places))))
    if not 16 <= digits <= 17 or not value:
        return False
    try:
        near = float(value)
    except OverflowError:
        return False
    if near not in (float("inf"), float("-inf"), 0.0) and literal in (Fraction(repr(near)), Fraction(f"{near:.17g}")):
        return True
    short = Fraction(f"{near:.12g}") == value
    return short and abs(literal - value) <= 2 * abs(value) * _SLACK


def rounds_to(value: Fraction, tree: Expr, decimal: tuple[Fraction, int]) -> bool:
    """Whether the decimal is the value (of another, not decimal expression) rounded at the decimal's last place."""
    while tree[0] in ("neg", "deg", "pct"):
        tree = tree[1]
    if is_double_of(value, decimal):
        return True
    scientific = tree[0] == "*" and decimal_literal(tree) is not None
    return tree[0] != "q" and not scientific and abs(value - decimal[0]) * 2 <= Fraction(10) ** -decimal[1]
