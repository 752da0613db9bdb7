r"""The real numbers without some points: ``\mathbb{R}\setminus\{4\}`` and ``x \ne 4`` as the union of intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bon_eval.graders.answers.tree import Expr
from bon_eval.graders.language.groups import ParseError

Form = tuple[Any, ...]
INFINITY: Expr = ("f", "infty")
REALS: Form = ("interval", ("expr", ("neg", INFINITY)), ("expr", INFINITY), "()")


def approximate(tree: Expr) -> float:
    """A value good enough to put numbers in order; raises `ParseError` for what has none."""
    try:
        return _approximate(tree)
    except (ArithmeticError, ValueError, TypeError) as error:
        raise ParseError("no value to put in order") from error


def _approximate(tree: Expr) -> float:
    kind = tree[0]
    if kind == "q":
        return float(tree[1])
    if kind in ("neg", "deg", "pct"):
        return _approximate(tree[1]) * (-1 if kind == "neg" else 1)
    if kind == "f" and tree[1] in ("infty", "pi", "e"):
        return {"infty": math.inf, "pi": math.pi, "e": math.e}[tree[1]]
    if kind == "f" and tree[1] in ("sqrt", "ln", "log"):
        if len(tree) > 3:
            raise ParseError("a function of two values")
        return (math.sqrt if tree[1] == "sqrt" else math.log)(_approximate(tree[2]))
    if kind not in ("+", "*", "/", "^"):
        raise ParseError("no value to put in order")
    a, b = _approximate(tree[1]), _approximate(tree[2])
    if kind == "^":
        return math.pow(a, b)
    return a + b if kind == "+" else a * b if kind == "*" else a / b


def points_of(form: Form) -> list[Expr]:
    """The values of a set, a list, a value or "x = 4"; raises `ParseError` for anything else."""
    if form[0] == "expr":
        return [form[1]]
    if form[0] == "eq" and form[3] is not None:
        return points_of(form[2])
    if form[0] in ("list", "set"):
        return [point for item in form[1] for point in points_of(item)]
    raise ParseError("no points")


def both(forms: Sequence[Form]) -> Form | None:
    """Where two half-lines overlap that together hold every number: nobody says "or" of these."""
    if len(forms) != 2:
        return None
    low, high = sorted(forms, key=lambda form: form[2] == REALS[2], reverse=True)
    if low[2] != REALS[2] or high[1] != REALS[1] or approximate(low[1][1]) >= approximate(high[2][1]):
        return None
    return ("interval", low[1], high[2], low[3][0] + high[3][1])


def without(form: Form, points: Sequence[Expr]) -> Form:
    """An interval or a union of them without some points."""
    parts = list(form[1]) if form[0] == "union" else [form]
    if any(part[0] != "interval" or part[1][0] != "expr" or part[2][0] != "expr" for part in parts):
        raise ParseError("no interval")
    for point in points:
        at = approximate(point)
        cut: list[Form] = []
        for low, high, brackets in ((p[1], p[2], p[3]) for p in parts):
            bottom, top = approximate(low[1]), approximate(high[1])
            if bottom < at < top:
                cut += [
                    ("interval", low, ("expr", point), brackets[0] + ")"),
                    ("interval", ("expr", point), high, "(" + brackets[1]),
                ]
            else:
                brackets = ("(" if at == bottom else brackets[0]) + (")" if at == top else brackets[1])
                cut.append(("interval", low, high, brackets))
        parts = cut
    return parts[0] if len(parts) == 1 else ("union", tuple(parts))
