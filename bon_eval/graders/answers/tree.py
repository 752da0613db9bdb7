r"""The tree of an expression: its literals, and what it holds.

An expression is a nested tuple: ``("q", Fraction, decimals)`` (decimals: places written, -1 for an integer),
``("s", name)``, ``("+", a, b)``, ``("*", a, b)``, ``("/", a, b)``, ``("^", a, b)``, ``("neg", a)``, ``("deg", a)``,
``("pct", a)`` and ``("f", name, args...)``. Nothing is evaluated here.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from bon_eval.graders.answers.latex import LimitError
from bon_eval.graders.language.groups import ParseError

Expr = tuple[Any, ...]
MAX_DIGITS = 2_000


def number(text: str) -> Expr:
    """The exact value of a decimal literal."""
    if len(text) > MAX_DIGITS:
        raise LimitError(f"a number of more than {MAX_DIGITS} digits")
    whole, _, part = text.partition(".")
    return ("q", Fraction(text if whole else "0" + text), len(part) if part else -1)


def in_base(digits: str, base: str) -> Expr:
    """The value of digits in a base between 2 and 36."""
    base = base.strip()
    if not base.isdigit() or len(base) > 2 or not 2 <= int(base) <= 36:
        raise ParseError("a subscript on a number")
    try:
        return ("q", Fraction(int(digits, int(base))), -1)
    except ValueError as error:
        raise ParseError("digits that are not in their base") from error


def symbols(tree: Expr) -> set[str]:
    """The names of the symbols in a tree."""
    if tree[0] == "s":
        return {tree[1]}
    return set().union(*(symbols(part) for part in tree[1:] if isinstance(part, tuple)))


def holds(tree: Expr, kind: str) -> bool:
    """Whether a node of that kind is in the tree."""
    return bool(tree[0] == kind) or any(holds(part, kind) for part in tree[1:] if isinstance(part, tuple))
