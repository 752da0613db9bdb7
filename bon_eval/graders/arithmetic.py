"""Arithmetic over given numbers: a parser for + - * / and parentheses, exact values, and a search for a solution.

Written for Game of 24 (Yao et al. 2023, "Tree of Thoughts", arXiv 2305.10601). Nothing is evaluated as code; there is
no recursion over a text, and no arithmetic before the numbers are known to be the given ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction

MAX_LEAVES = 16
"""A canonical form is made of an expression with at most so many numbers."""

_TOKEN = re.compile(r"\s*(?:(\d+)|([-+*/()]))")
_RANK = {"+": 1, "-": 1, "*": 2, "/": 2, "neg": 3}


class NotArithmeticError(ValueError):
    """A text that is not an expression of whole numbers, + - * / and parentheses."""


def postfix(text: str) -> list[str]:
    """The expression in postfix order: digits, ``+ - * /`` and ``neg``. Linear; raises `NotArithmeticError`.

    >>> postfix("(4 + 8) * 2")
    ['4', '8', '+', '2', '*']
    """
    output: list[str] = []
    waiting: list[str] = []
    operand = True  # whether a number, a parenthesis or a sign must come next
    at, end = 0, len(text.rstrip())
    while at < end:
        m = _TOKEN.match(text, at)
        if m is None:
            raise NotArithmeticError(f"{text[at:].lstrip()[:1]!r} is no part of an expression")
        at = m.end()
        number, sign = m.groups()
        if number is not None or sign == "(":
            if not operand:
                raise NotArithmeticError("an operator is missing")
            (output if number is not None else waiting).append(number or "(")
            operand = number is None
        elif operand:
            if sign != "-":
                raise NotArithmeticError("a number is missing")
            waiting.append("neg")
        elif sign == ")":
            while waiting and waiting[-1] != "(":
                output.append(waiting.pop())
            if not waiting:
                raise NotArithmeticError("a parenthesis is not opened")
            waiting.pop()
        else:
            while waiting and waiting[-1] != "(" and _RANK[waiting[-1]] >= _RANK[sign]:
                output.append(waiting.pop())
            waiting.append(sign)
            operand = True
    if operand:
        raise NotArithmeticError("a number is missing")
    if "(" in waiting:
        raise NotArithmeticError("a parenthesis is not closed")
    return output + waiting[::-1]


def numbers_of(terms: Sequence[str]) -> list[str]:
    """The numbers of a postfix expression without leading zeros, sorted; compared as text, so of any length."""
    return sorted((term.lstrip("0") or "0" for term in terms if term[0].isdigit()), key=lambda n: (len(n), n))


def value(terms: Sequence[str]) -> Fraction:
    """The exact value of a postfix expression; raises `ZeroDivisionError`.

    >>> value(postfix("8 / (3 - 8/3)"))
    Fraction(24, 1)
    """
    stack: list[Fraction] = []
    for term in terms:
        if term[0].isdigit():
            stack.append(Fraction(int(term)))
        elif term == "neg":
            stack.append(-stack.pop())
        else:
            b, a = stack.pop(), stack.pop()
            stack.append(a + b if term == "+" else a - b if term == "-" else a * b if term == "*" else a / b)
    return stack.pop()


def canonical(terms: Sequence[str]) -> str | None:
    """One spelling for all orders of sums and products: ``(8+4)*2`` and ``2*(4+8)`` share it; None when too long."""
    if sum(term[0].isdigit() for term in terms) > MAX_LEAVES or len(terms) > 4 * MAX_LEAVES:
        return None
    stack: list[tuple[str, list[tuple[str, str]]]] = []
    for term in terms:
        if term[0].isdigit():
            stack.append(("n", [("", term.lstrip("0") or "0")]))
        elif term == "neg":
            stack.append(("s", [(_flip(sign), text) for sign, text in _parts(stack.pop(), "s")]))
        else:
            b, a = stack.pop(), stack.pop()
            kind = "s" if term in "+-" else "p"
            right = _parts(b, kind)
            if term in "-/":
                right = [(_flip(sign), text) for sign, text in right]
            stack.append((kind, _parts(a, kind) + right))
    return _spell(stack.pop())


def _parts(node: tuple[str, list[tuple[str, str]]], kind: str) -> list[tuple[str, str]]:
    return node[1] if node[0] == kind else [("", _spell(node))]


def _spell(node: tuple[str, list[tuple[str, str]]]) -> str:
    kind, parts = node
    if kind == "n":
        return parts[0][1]
    # The inverse mark stands for "minus" in a sum and for "divided by" in a product.
    return f"{kind}({' '.join(sorted(sign + text for sign, text in parts))})"


def _flip(sign: str) -> str:
    return "" if sign else "~"


def solve(numbers: Sequence[int], target: int = 24) -> str | None:
    """An expression of exactly these numbers, each once, with that value; None when there is none. Enumerates all.

    >>> solve([3, 3, 8, 8])
    '8/(3-(8/3))'
    """
    start = tuple((Fraction(n), str(n)) for n in numbers)
    found = next(_solutions(start, Fraction(target)), None)
    return None if found is None else found[1:-1] if found.startswith("(") else found


def _solutions(terms: tuple[tuple[Fraction, str], ...], target: Fraction) -> Iterator[str]:
    if len(terms) == 1:
        if terms[0][0] == target:
            yield terms[0][1]
        return
    for i in range(len(terms)):
        for j in range(i + 1, len(terms)):
            rest = terms[:i] + terms[i + 1 : j] + terms[j + 1 :]
            (a, x), (b, y) = terms[i], terms[j]
            joined = [(a + b, f"({x}+{y})"), (a - b, f"({x}-{y})"), (b - a, f"({y}-{x})"), (a * b, f"({x}*{y})")]
            if b:
                joined.append((a / b, f"({x}/{y})"))
            if a:
                joined.append((b / a, f"({y}/{x})"))
            for pair in dict(joined).items():
                yield from _solutions((*rest, pair), target)
