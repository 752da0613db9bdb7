"""What settles single values for a comparison, and checks of which some may stay undecided."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from bon_eval.graders.answers.exact import UndecidedError, decimal_literal, exact, infinity, rounds_to
from bon_eval.graders.answers.tree import Expr


class Oracle(Protocol):
    """Settles single values."""

    def key(self, tree: Expr) -> str:
        """Equal for equal values."""

    def relation_key(self, operator: str, left: Expr, right: Expr) -> str:
        """Equal for relations that are non-zero multiples of each other."""

    def rounds(self, tree: Expr, decimal: Expr) -> bool:
        """Whether the decimal literal is the value rounded."""


class ExactOracle:
    """Rational arithmetic only."""

    def key(self, tree: Expr) -> str:
        """The reduced fraction."""
        if (limit := infinity(tree)) is not None:
            return limit
        if (value := exact(tree)) is None:
            raise UndecidedError
        return rational_key(value.numerator, value.denominator)

    def relation_key(self, operator: str, left: Expr, right: Expr) -> str:
        """Never: relations hold symbols."""
        raise UndecidedError

    def rounds(self, tree: Expr, decimal: Expr) -> bool:
        """By rational arithmetic."""
        literal = decimal_literal(decimal)
        if literal is None:
            return False
        if (value := exact(tree)) is None:
            raise UndecidedError
        return rounds_to(value, tree, literal)


def rational_key(numerator: int, denominator: int) -> str:
    """The key of a rational number (hexadecimal: no limit on digits)."""
    return f"q{numerator:x}/{denominator:x}"


def every(checks: Iterable[Callable[[], bool]]) -> bool:
    """Whether all checks hold; one that fails settles it even where another is undecided."""
    undecided = False
    for check in checks:
        try:
            if not check():
                return False
        except UndecidedError:
            undecided = True
    if undecided:
        raise UndecidedError
    return True


def some(checks: Iterable[Callable[[], bool]]) -> bool:
    undecided = False
    for check in checks:
        try:
            if check():
                return True
        except UndecidedError:
            undecided = True
    if undecided:
        raise UndecidedError
    return False
