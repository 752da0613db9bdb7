"""Relations: congruences, inequalities as intervals, what is not equal as the numbers without it."""

from __future__ import annotations

from typing import Any

from bon_eval.graders.answers.brackets import has_sign, sides_of, split
from bon_eval.graders.answers.exact import exact
from bon_eval.graders.answers.expressions.parse import expression
from bon_eval.graders.answers.kinds.sets import INFINITY, REALS, without
from bon_eval.graders.answers.latex import Token
from bon_eval.graders.answers.tree import Expr, symbols
from bon_eval.graders.language.groups import ParseError

Form = tuple[Any, ...]
_FLIP = {"<": ">", ">": "<", "le": "ge", "ge": "le", "ne": "ne"}
_MIRROR = str.maketrans("()[]", ")(][")


def inequality(sides: list[list[Token]], operators: list[str]) -> Form:
    """One inequality, or a chain of two about what stands in the middle."""
    if "=" in operators:
        raise ParseError("equation and inequality in one")
    if len(operators) == 1:
        return _one_sided(operators[0], expression(sides[0]), expression(sides[1]))
    if len(operators) == 2 and len({o in ("<", "le") for o in operators}) == 1 and "ne" not in operators:
        low, high = expression(sides[0]), expression(sides[2])
        brackets = ["(" if operators[0] in ("<", ">") else "[", ")" if operators[1] in ("<", ">") else "]"]
        if operators[0] in (">", "ge"):
            low, high = high, low
            brackets = ["[" if brackets[1] == "]" else "(", "]" if brackets[0] == "[" else ")"]
        values: Form = ("interval", ("expr", low), ("expr", high), "".join(brackets))
        if any(t.value == "|" for t in sides[1]):
            return _absolute(expression(sides[1]), values)
        if name_of(sides[1]) is None:
            raise ParseError("a chain of inequalities")
        return values
    raise ParseError("a chain of relations")


def _absolute(tree: Expr, values: Form) -> Form:
    """The solutions for x where |x|, between bounds that are not negative, is what `tree` reads."""
    low = exact(values[1][1])
    if tree[:2] != ("f", "abs") or tree[2][0] != "s" or low is None or low < 0:
        raise ParseError("a chain of inequalities")
    mirrored = [("expr", ("neg", bound[1])) for bound in (values[2], values[1])]
    swapped = values[3].translate(_MIRROR)[::-1]
    return ("union", (values, ("interval", *mirrored, swapped)))


def _one_sided(operator: str, left: Expr, right: Expr) -> Form:
    if right[0] == "s" and left[0] != "s":
        left, right, operator = right, left, _FLIP[operator]
    if left[0] == "neg" and left[1][0] == "s":
        left, right, operator = left[1], ("neg", right), _FLIP[operator]
    bound = exact(right)
    if left[:2] == ("f", "abs") and left[2][0] == "s" and operator in ("<", "le") and bound is not None and bound > 0:
        return ("interval", ("expr", ("neg", right)), ("expr", right), "()" if operator == "<" else "[]")
    if left[0] != "s" or operator == "ne" or symbols(right):
        return ("rel", operator, left, right)
    if operator in ("<", "le"):
        return ("interval", ("expr", ("neg", INFINITY)), ("expr", right), "(" + (")" if operator == "<" else "]"))
    return ("interval", ("expr", right), ("expr", INFINITY), ("(" if operator == ">" else "[") + ")")


def holes(items: list[list[Token]]) -> Form | None:
    """``x \\ne 2, x \\ne 5`` and ``x \\ne 2, 5``, with ``x \\in \\mathbb{R}`` or without."""
    items = [item for item in items if [t.value for t in item[-2:]] != ["in", "Reals"]]
    points: list[Expr] = []
    for k, item in enumerate(items):
        sides, operators = sides_of(item)
        if operators != ["ne"] and (operators or not k):
            return None
        points += [expression(sides[-1], sign) for sign in ((1, -1) if has_sign(sides[-1]) else (1,))]
        if operators and (len(sides[0]) != 1 or sides[0][0].kind != "let"):
            return None
    return without(REALS, points) if points else None


def congruence(tokens: list[Token]) -> Form | None:
    """``x \\equiv 3 \\pmod 7``; without a left side a residue, ``3 \\pmod 7``, or the value of ``17 \\bmod 5``."""
    sides = split(tokens, "equiv", kinds=("cmd",))
    found = [t.value for t in tokens if t.kind in ("cmd", "text") and t.value in ("pmod", "mod", "bmod", "modulo")]
    if len(sides) == 1 and not found:
        return None
    parts = split(sides[-1], "pmod", "mod", "bmod", "modulo", kinds=("cmd", "text"))
    named = len(sides) == 1 or (len(sides) == 2 and name_of(sides[0]) is not None)
    if not named or len(parts) != 2 or not all(parts):
        raise ParseError("a congruence")
    residue, modulus = expression(parts[0]), expression(parts[1])
    if len(sides) == 2 or found == ["pmod"]:
        return ("cong", residue, modulus)
    a, b = exact(residue), exact(modulus)
    if a is None or b is None or not b or not a.denominator == b.denominator == 1:
        raise ParseError("a remainder")
    return ("expr", ("q", a % b, -1))


def name_of(tokens: list[Token]) -> str | None:
    """What names a value on the left of ``=``: a symbol, ``f(x)``, ``P(A)``, ``|AB|``, words; None: a real side."""
    if not tokens or any(t.kind == "num" for t in tokens if t.value not in "0123456789"):
        return None
    if any(t.kind == "text" for t in tokens) and not any(t.kind in ("num", "let") for t in tokens):
        return "text"
    allowed = {"angle", "triangle", "overline", "bar", "circ", "prime", "Delta", *_LETTER_COMMANDS}
    if all(t.value.isupper() for t in tokens if t.kind == "let"):
        allowed.add("frac")  # a ratio of sides or areas
    plain = all(
        t.kind == "let"
        or (t.kind == "cmd" and t.value in allowed)
        or (t.kind == "op" and t.value in "(){}_',|[]^-1:")
        or t.kind == "num"
        for t in tokens
    )
    if not plain or tokens[0].kind == "num" or tokens[0].value == "-" or len(tokens) > 12:
        return None
    if any(t.value == "^" for t in tokens) and not any(t.value == "-" for t in tokens):
        return None
    return "".join(t.value for t in tokens)


_LETTER_COMMANDS = ("alpha", "beta", "gamma", "theta", "lambda", "mu", "phi", "omega", "rho", "sigma", "tau", "ell")
