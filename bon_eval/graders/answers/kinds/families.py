r"""Answers with an integer in them that may be any: ``k\pi, k \in \mathbb{Z}``, ``x \equiv 3 \pmod 7``.

A family is ``("family", expression, name of the integer)``, a congruence ``("cong", residue, modulus)``. Two families
whose members lie evenly are one where the steps are the same but for the sign and the offsets differ by whole steps;
others where they are equal with the same name for the integer.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Protocol

from bon_eval.graders.answers.tree import Expr, symbols

Form = tuple[Any, ...]
_ONE: Expr = ("q", Fraction(1), -1)
_NAME = "k of Z"


class Keys(Protocol):
    """What tells values apart."""

    def key(self, tree: Expr) -> str:
        """Equal for equal values."""


def replaced(tree: Expr, name: str, by: Expr) -> Expr:
    """An expression with another one for a symbol."""
    if tree[0] == "s":
        return by if tree[1] == name else tree
    return tuple(replaced(part, name, by) if isinstance(part, tuple) else part for part in tree)


def with_parameter(form: Form, name: str) -> Form:
    """A form whose expressions hold an integer of that name as the families that they are."""
    if form[0] == "expr":
        return ("family", form[1], name) if name in symbols(form[1]) else form
    if form[0] in ("list", "set"):
        return (form[0], tuple(with_parameter(item, name) for item in form[1]))
    if form[0] == "eq":
        return ("eq", form[1], with_parameter(form[2], name), form[3])
    return form


def same_family(gold: Form, answer: Form, keys: Keys) -> bool:
    """Whether two families have the same members; a plain expression is one by its only symbol."""
    pair = [_as_family(form) for form in (gold, answer)]
    if pair[0] is None or pair[1] is None:
        return False
    (a, b), (c, d) = pair[0], pair[1]
    one, other = _linear(a, b, keys), _linear(c, d, keys)
    if one is None or other is None:
        left, right = (replaced(tree, name, ("s", _NAME)) for tree, name in ((a, b), (c, d)))
        return keys.key(left) == keys.key(right)
    if keys.key(("/", other[1], one[1])) not in ("q1/1", "q-1/1"):
        return False
    return is_whole(keys.key(("/", ("+", other[0], ("neg", one[0])), one[1])))


def same_residue(gold: Form, answer: Form, keys: Keys) -> bool:
    """Whether two congruences say the same of a number."""
    if keys.key(gold[2]) != keys.key(answer[2]):
        return False
    return is_whole(keys.key(("/", ("+", gold[1], ("neg", answer[1])), gold[2])))


def is_whole(key: str) -> bool:
    """Whether the key is that of a whole number."""
    return key.startswith("q") and key.endswith("/1")


def family_key(form: Form, keys: Keys) -> str:
    """The vote key of a family or a congruence: by its spelling, apart from the integer's name."""
    if form[0] == "cong":
        return f"c{keys.key(form[1])}mod{keys.key(form[2])}"
    return "f" + keys.key(replaced(form[1], form[2], ("s", _NAME)))


def _as_family(form: Form) -> tuple[Expr, str] | None:
    if form[0] == "family":
        return form[1], form[2]
    names = symbols(form[1]) if form[0] == "expr" else set()
    return (form[1], next(iter(names))) if len(names) == 1 and names <= set("kmnlpqrtz") else None


def _linear(tree: Expr, name: str, keys: Keys) -> tuple[Expr, Expr] | None:
    """Offset and step where the members lie evenly."""
    at = [replaced(tree, name, ("q", Fraction(n), -1)) for n in range(3)]
    steps = [("+", at[n + 1], ("neg", at[n])) for n in range(2)]
    if keys.key(steps[0]) != keys.key(steps[1]) or keys.key(steps[0]) == "q0/1":
        return None
    far = replaced(tree, name, ("q", Fraction(7), -1))
    if keys.key(("+", at[0], ("*", ("q", Fraction(7), -1), steps[0]))) != keys.key(far):
        return None
    return at[0], steps[0]
