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
``family``     ``(family, Expr, name)``: a value for every integer of that name
``cong``       ``(cong, residue, modulus)``
``ratio``      ``(ratio, items, half)``: ``3:2``, also a time of day with half ``am``, ``pm`` or empty
=============  =====================================================================================
"""

from __future__ import annotations

from fractions import Fraction
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
from bon_eval.graders.answers.expressions.parse import expression
from bon_eval.graders.answers.kinds.families import with_parameter
from bon_eval.graders.answers.kinds.sets import REALS, both, points_of, without
from bon_eval.graders.answers.latex import GOES_ON, LimitError, Token, tokenize
from bon_eval.graders.answers.relations import congruence, holes, inequality, name_of
from bon_eval.graders.answers.shapes import ROWS, changes_meaning, digits, numeral, remark, rows, words
from bon_eval.graders.language.groups import ParseError
from bon_eval.graders.language.numerals import word_value

Form = tuple[Any, ...]
MAX_ITEMS = 200


def form_of(text: str, *, grouping: bool = True) -> Form:
    """The form of an answer; raises `ParseError` when the grammar does not hold it."""
    if len(text) < 40 and (value := word_value(text.strip(" .$"))) is not None:
        return ("expr", ("q", Fraction(value), -1))
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
    dots = [k for k, t in enumerate(tokens) if t.kind != "text" and t.value in ("...", "ldots", "dots", "cdots")]
    if dots:
        raise ParseError(GOES_ON if "." in tokens[dots[0] - 1].value[:-1] else "an ellipsis")
    if (text := words(tokens)) is not None:
        value = word_value(text)
        return ("text", text) if value is None else ("expr", ("q", Fraction(value), -1))
    if len(tokens) > 4 and tokens[-4].value == "family" and tokens[-4].kind == "cmd":
        return with_parameter(_form(tokens[:-4], depth + 1), tokens[-2].value)
    if (cut := _cut(tokens, depth)) is not None:
        return cut
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


def _cut(tokens: list[Token], depth: int) -> Form | None:
    """Numbers without some points: ``A \\setminus B``, ``\\mathbb{R} - B``."""
    parts = split(tokens, "setminus", kinds=("cmd",))
    if len(parts) == 1 and len(tokens) > 3 and tokens[0].value == "Reals" and tokens[1].value == "-":
        parts = [tokens[:1], tokens[2:]]
    if len(parts) != 2 or not all(parts):
        return None
    return without(_form(split(parts[0], "in", kinds=("cmd",))[-1], depth + 1), points_of(_form(parts[1], depth + 1)))


def _list(items: list[list[Token]], depth: int) -> Form:
    if any(t.value == "ne" and t.kind == "cmd" for t in items[0] + items[-1]) and (found := holes(items)):
        return found
    forms = [_form(item, depth + 1) for item in items]
    if all(f[0] == "interval" for f in forms) and any(has_order(item) for item in items):
        if (common := both(forms)) is not None:  # x > 1 and x < 3
            return common
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
    if (residue := congruence(tokens)) is not None:
        return residue
    sides, operators = sides_of(tokens)
    if not operators:
        return None
    if not all(sides):
        raise ParseError("a relation without a side")
    if (
        operators == ["ne"]
        and len(sides[0]) == 1
        and sides[0][0].kind == "let"
        and not any(t.kind == "let" for t in sides[1])
    ):
        return holes([tokens])
    if set(operators) == {"="}:
        if len(sides) == 2 and name_of(sides[0]) is None and len(sides[1]) == 1 and name_of(sides[1]) is not None:
            sides.reverse()
        name = name_of(sides[0]) or ("text" if len(sides) > 2 else None)  # a derivation states its last side
        return ("eq", _left(sides[0], name, depth), _form(sides[-1], depth + 1), name)
    return inequality(sides, operators)


def _left(tokens: list[Token], name: str | None, depth: int) -> Form:
    """The left side; words where the grammar does not hold it, since it is the right one that counts."""
    try:
        return _form(tokens, depth + 1)
    except LimitError:
        raise
    except ParseError:
        return ("text", name or " ".join(token.value for token in tokens))


def _single(tokens: list[Token], depth: int) -> Form:
    first, last = tokens[0], tokens[-1]
    body = without_units(tokens)
    if body and body is not tokens and len(body) < len(tokens):
        bracketed = body[0].value in ("(", "[", "{", "langle") and closes(body)
        if bracketed:
            return _single(body, depth)
    if first.kind == "text" and len(tokens) > 1 and not changes_meaning(first.value):
        return _form(tokens[1:], depth + 1)
    if first.kind == "cmd" and first.value in ROWS and enclosed(tokens):
        return _form(rows(tokens[1:-1], first.value), depth + 1)
    if (end := remark(tokens)) is not None:
        return _form(tokens[:end], depth + 1)
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
        return REALS
    ratio = split(tokens, ":")
    if len(ratio) > 1 and all(ratio):
        half = last.value.replace(".", "").replace(" ", "") if last.kind == "text" else ""
        return ("ratio", tuple(_form(part, depth + 1) for part in ratio), half if half in ("am", "pm") else "")
    if len(tokens) >= 3 and first.kind == "num" and tokens[1].value == "_" and "." not in first.value:
        return numeral(tokens)
    if (found := digits(tokens)) is not None:
        return numeral([Token("num", found[0]), *tokens[found[1] :]])
    if [t.kind for t in tokens] == ["num", "text", "num"] and tokens[1].value in ("base", "in base"):
        return numeral(tokens)
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
    lines = [row for row in split(tokens, "\\", kinds=("cmd",)) if row]
    table = tuple(tuple(_form(cell, depth + 1) for cell in split(row, "&")) for row in lines)
    if not table or len({len(row) for row in table}) != 1:
        raise ParseError("rows of different length")
    return ("matrix", table)
