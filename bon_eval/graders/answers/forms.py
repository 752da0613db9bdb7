r"""The shape of an answer: what kind of thing it is, and its parts.

Forms are nested tuples, first item the kind:

=============  =====================================================================================
``expr``       ``(expr, Expr)``: one value, numeric or symbolic
``base``       ``(base, digits, base)``: a numeral in a base, ``204_5``
``text``       ``(text, words)``
``list``       ``(list, items)``: bare, comma-separated; order does not count
``set``        ``(set, items)``: in braces, or a plus-minus pair; order does not count
``tuple``      ``(tuple, items, brackets)``: ordered
``interval``   ``(interval, low, high, brackets)``; an ordered pair ``(a,b)`` is an open interval
``union``      ``(union, parts)``
``matrix``     ``(matrix, rows)``
``eq``         ``(eq, left form, right form, name or None)``: name where the left side only names the value
``rel``        ``(rel, operator, left Expr, right Expr)``
``ratio``      ``(ratio, items, half)``: ``3:2``, also a time of day with half ``am``, ``pm`` or empty
=============  =====================================================================================
"""

from __future__ import annotations

from typing import Any

from bon_eval.graders.answers.brackets import (
    closes,
    enclosed,
    has_order,
    has_sign,
    sides_of,
    split,
    stripped,
    without_units,
)
from bon_eval.graders.answers.exact import exact
from bon_eval.graders.answers.latex import LimitError, ParseError, Token, tokenize
from bon_eval.graders.answers.parse import expression
from bon_eval.graders.answers.tree import Expr, in_base, symbols
from bon_eval.graders.answers.vocabulary import BASES, CHANGES_MEANING

Form = tuple[Any, ...]
MAX_ITEMS = 200

_FLIP = {"<": ">", ">": "<", "le": "ge", "ge": "le", "ne": "ne"}
_INFINITY: Expr = ("f", "infty")
_MIRROR = str.maketrans("()[]", ")(][")


def form_of(text: str, *, grouping: bool = True) -> Form:
    """The form of an answer; raises `ParseError` when the grammar does not hold it."""
    tokens = tokenize(text, grouping=grouping)
    if not tokens:
        raise ParseError("empty")
    return _form(tokens, 0)


def _form(tokens: list[Token], depth: int) -> Form:
    if depth > 12:
        raise LimitError("nested too deeply")
    tokens = stripped(tokens)
    if not tokens:
        raise ParseError("empty")
    if any(t.value == "..." or t.value in ("ldots", "dots", "cdots") for t in tokens if t.kind != "text"):
        raise ParseError("an ellipsis")
    if (words := _words(tokens)) is not None:
        return ("text", words)
    items = [part for part in split(tokens, ",", ";") if part]
    if len(items) > MAX_ITEMS:
        raise LimitError(f"more than {MAX_ITEMS} items")
    if len(items) > 1:
        return _solutions(tokens, depth) or _list(items, depth)
    parts = split(items[0], "cup", kinds=("cmd",))
    if len(parts) > 1 and all(parts) and len(split(parts[0], "in", kinds=("cmd",))) <= 2:
        parts[0] = split(parts[0], "in", kinds=("cmd",))[-1]
        return ("union", tuple(_form(part, depth + 1) for part in parts))
    if (related := _relation(items[0], depth)) is not None:
        return related
    return _single(items[0], depth)


def _words(tokens: list[Token]) -> str | None:
    """The words of an answer that is text, bare or in brackets: ``(B)``, ``ellipse``."""
    if any(t.kind == "num" or (t.kind == "cmd" and t.value != "\\") for t in tokens):
        return None
    if not any(t.kind == "text" for t in tokens):
        letter = [t for t in tokens if t.kind == "let"]
        wrapped = len(tokens) > 1 and tokens[0].value == "(" and tokens[-1].value == ")"
        if len(letter) == 1 and letter[0].value in "ABCDEFGH" and wrapped and len(tokens) == 3:
            return letter[0].value.lower()
        return None
    if any(t.kind == "op" and t.value in "=<>+*/^_" for t in tokens):
        return None
    words = " ".join(t.value for t in tokens if t.kind in ("text", "let"))
    return " ".join(words.replace("(", " ").replace(")", " ").replace(".", " ").lower().split())


def _solutions(tokens: list[Token], depth: int) -> Form | None:
    """``x=1, y=2; x=3, y=4``: one tuple per solution where all give the same names in the same order."""
    groups = [split(part, ",") for part in split(tokens, ";") if part]
    names = [[name_of(sides_of(item)[0][0]) for item in group] for group in groups]
    if len(groups) < 2 or len(names[0]) < 2 or None in names[0] or any(other != names[0] for other in names):
        return None
    forms = [[_form(item, depth + 1) for item in group] for group in groups]
    if any(form[0] != "eq" for group in forms for form in group):
        return None
    return ("list", tuple(_pair(tuple(form[2] for form in group)) for group in forms))


def _pair(items: tuple[Form, ...]) -> Form:
    return ("interval", *items, "()") if len(items) == 2 else ("tuple", items, "()")


def _list(items: list[list[Token]], depth: int) -> Form:
    forms = [_form(item, depth + 1) for item in items]
    if all(f[0] == "interval" for f in forms) and any(has_order(item) for item in items):
        return ("union", tuple(forms))  # x < 1 or x > 3
    names = {f[3] for f in forms if f[0] == "eq"}
    if forms[0][0] == "eq" and forms[0][3] is not None and len(names) == 1:
        # n = 1, 2, 3 and x = 1 or x = 2: one name for all
        forms = [f[2] if f[0] == "eq" else f for f in forms]
    return ("list", tuple(x for f in forms for x in (f[1] if f[0] in ("set", "list") else (f,))))


def _relation(tokens: list[Token], depth: int) -> Form | None:
    membership = split(tokens, "in", kinds=("cmd",))
    if len(membership) == 2 and all(membership) and len(membership[0]) <= 6:
        return _form(membership[1], depth + 1)
    approximate = split(tokens, "approx", kinds=("cmd",))
    if len(approximate) > 1 and all(approximate):
        first = approximate[0]
        exact = len(split(first, "=")) > 1 or name_of(first) is None
        return _form(first if exact else approximate[-1], depth + 1)
    sides, operators = sides_of(tokens)
    if not operators:
        return None
    if not all(sides):
        raise ParseError("a relation without a side")
    if set(operators) == {"="}:
        if len(sides) == 2 and name_of(sides[0]) is None and len(sides[1]) == 1 and name_of(sides[1]) is not None:
            sides.reverse()
        name = name_of(sides[0]) or ("text" if len(sides) > 2 else None)  # a derivation states its last side
        return ("eq", _left(sides[0], name, depth), _form(sides[-1], depth + 1), name)
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


def _left(tokens: list[Token], name: str | None, depth: int) -> Form:
    """The left side; words where the grammar does not hold it, since it is the right one that counts."""
    try:
        return _form(tokens, depth + 1)
    except LimitError:
        raise
    except ParseError:
        return ("text", name or " ".join(token.value for token in tokens))


def _one_sided(operator: str, left: Expr, right: Expr) -> Form:
    if right[0] == "s" and left[0] != "s":
        left, right, operator = right, left, _FLIP[operator]
    if left[0] == "neg" and left[1][0] == "s":
        left, right, operator = left[1], ("neg", right), _FLIP[operator]
    if left[0] != "s" or operator == "ne" or symbols(right):
        return ("rel", operator, left, right)
    if operator in ("<", "le"):
        return ("interval", ("expr", ("neg", _INFINITY)), ("expr", right), "(" + (")" if operator == "<" else "]"))
    return ("interval", ("expr", right), ("expr", _INFINITY), ("(" if operator == ">" else "[") + ")")


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


def _single(tokens: list[Token], depth: int) -> Form:
    first, last = tokens[0], tokens[-1]
    body = without_units(tokens)
    if body and body is not tokens and len(body) < len(tokens):
        bracketed = body[0].value in ("(", "[", "{", "langle") and closes(body)
        if bracketed:
            return _single(body, depth)
    if first.kind == "text" and len(tokens) > 1 and not CHANGES_MEANING & set(first.value.split()):
        return _form(tokens[1:], depth + 1)
    if first.value == "begin cases":
        raise ParseError("cases")
    if first.kind == "cmd" and first.value.startswith("begin ") and enclosed(tokens):
        return _matrix(tokens[1:-1], depth)
    if first.value in ("(", "[") and first.kind == "op" and last.kind == "op" and closes(tokens):
        return _bracketed(tokens, depth)
    if first.kind == "cmd" and first.value in ("{", "langle") and last.value in ("}", "rangle") and enclosed(tokens):
        builder = split(tokens[1:-1], "|", ":")
        if len(builder) == 2 and name_of(split(builder[0], "in", kinds=("cmd",))[0]) is not None and builder[1]:
            return _form(builder[1], depth + 1)  # { x | x > 2 }
        items = [part for part in split(tokens[1:-1], ",", ";") if part]
        forms = tuple(_form(item, depth + 1) for item in items)
        if first.value == "langle":
            return ("tuple", forms, "()")
        return ("set", tuple(x for f in forms for x in (f[1] if f[0] == "set" else (f,))))
    if len(tokens) == 1 and first.value == "emptyset":
        return ("set", ())
    if len(tokens) == 1 and first.value == "Reals":
        return ("interval", ("expr", ("neg", _INFINITY)), ("expr", _INFINITY), "()")
    ratio = split(tokens, ":")
    if len(ratio) > 1 and all(ratio):
        half = last.value.replace(".", "").replace(" ", "") if last.kind == "text" else ""
        return ("ratio", tuple(_form(part, depth + 1) for part in ratio), half if half in ("am", "pm") else "")
    if len(tokens) >= 3 and first.kind == "num" and tokens[1].value == "_" and "." not in first.value:
        return _numeral(tokens)
    if [t.kind for t in tokens] == ["num", "text", "num"] and tokens[1].value in ("base", "in base"):
        return _numeral(tokens)
    if has_sign(tokens):
        return ("set", tuple(("expr", expression(tokens, sign)) for sign in (1, -1)))
    return ("expr", expression(tokens))


def _bracketed(tokens: list[Token], depth: int) -> Form:
    brackets = tokens[0].value + tokens[-1].value
    items = split(tokens[1:-1], ",", ";")
    if not all(items):
        raise ParseError("an empty place in brackets")
    if len(items) == 1:
        inner = items[0]
        while len(inner) > 2 and inner[0].value == "(" and inner[0].kind == "op" and closes(inner):
            if len(split(inner[1:-1], ",", ";")) > 1:
                break
            inner = inner[1:-1]
        return _form(inner, depth + 1)
    forms = tuple(_form(item, depth + 1) for item in items)
    if len(forms) == 2:
        return ("interval", forms[0], forms[1], brackets)
    return ("tuple", forms, brackets)


def _matrix(tokens: list[Token], depth: int) -> Form:
    rows = [row for row in split(tokens, "\\", kinds=("cmd",)) if row]
    table = tuple(tuple(_form(cell, depth + 1) for cell in split(row, "&")) for row in rows)
    if not table or len({len(row) for row in table}) != 1:
        raise ParseError("rows of different length")
    return ("matrix", table)


def _numeral(tokens: list[Token]) -> Form:
    rest = [BASES.get(t.value, t.value) for t in tokens[2:] if t.value not in "{}" and t.value != "base"]
    if len(rest) != 1 or not rest[0].isdigit():
        raise ParseError("a subscript on a number")
    in_base(tokens[0].value, rest[0])
    return ("base", tokens[0].value.lstrip("0") or "0", rest[0])
