r"""Commands and functions of an expression: ``\\frac``, ``\\sqrt``, ``\\sin^2 x``, ``\\gcd(12, 18)``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from fractions import Fraction

from bon_eval.graders.answers.expressions.cursor import Cursor
from bon_eval.graders.answers.latex import Token
from bon_eval.graders.answers.tree import Expr
from bon_eval.graders.answers.vocabulary import FUNCTIONS, GREEK
from bon_eval.graders.language.groups import ParseError

OF_SEVERAL = frozenset({"max", "min", "gcd", "lcm"})
NAMED_FUNCTIONS = FUNCTIONS - OF_SEVERAL
OPENING = frozenset({"frac", "sqrt", "pi", "binom", "infty", "lfloor", "lceil", "overline", "bar", *OF_SEVERAL})
"""Commands beside functions and Greek letters that begin a factor."""


class Commands(Cursor, ABC):
    """The part of the expression parser that a command's name decides."""

    bars: int

    @abstractmethod
    def sum(self) -> Expr:
        """A sum."""

    @abstractmethod
    def factor(self) -> Expr:
        """A factor."""

    @abstractmethod
    def signed_factor(self) -> Expr:
        """A factor with its signs."""

    @abstractmethod
    def base(self) -> Expr:
        """A factor without powers."""

    @abstractmethod
    def postfix(self, base: Expr) -> Expr:
        """What stands behind a base."""

    @abstractmethod
    def argument(self, *, exponent: bool = False) -> Expr:
        """A TeX argument."""

    @abstractmethod
    def bracketed(self, closing: str) -> Expr:
        """What stands in brackets."""

    @abstractmethod
    def starts_factor(self, token: Token) -> bool:
        """Whether a factor begins here."""

    def unit_group(self) -> bool:
        """Whether words alone stand before the closing brace, which are a unit: read them."""
        k = 0
        while (token := self.peek(k)) is not None and (
            token.kind == "text" or (k and token.kind in ("num", "op") and token.value in ("^", "2", "3"))
        ):
            k += 1
        if not k or token is None or token.value != "}":
            return False
        self.i += k + 1
        return True

    def several(self, name: str) -> Expr:
        """A function of several values in brackets."""
        brackets = {"(": ")", "{": "}", "[": "]"}
        opening = self.peek()
        if opening is None or opening.value not in brackets:
            raise ParseError(f"the command {name!r} without brackets")
        self.i += 1
        arguments = [self.sum()]
        while self.at(",", ";"):
            self.i += 1
            arguments.append(self.sum())
        self.expect(brackets[opening.value])
        return ("f", name, *arguments)

    def command(self, name: str) -> Expr:
        self.i += 1
        if name == "frac":
            top = self.argument()
            return ("/", top, self.argument())
        if name == "binom":
            top = self.argument()
            return ("f", "binom", top, self.argument())
        if name == "sqrt":
            index: Expr | None = None
            if self.at("["):
                index = self.bracketed("]")
            radicand = self.bracketed(")") if self.at("(") else self.argument(exponent=True)
            return ("f", "sqrt", radicand) if index is None else ("f", "root", radicand, index)
        if name in ("overline", "bar"):
            inner = self.argument()
            if inner[0] != "s":
                raise ParseError("an overline")
            return ("s", "bar " + str(inner[1]))
        if name in ("lfloor", "lceil"):
            tree = self.sum()
            self.expect("rfloor" if name == "lfloor" else "rceil")
            return ("f", "floor" if name == "lfloor" else "ceiling", tree)
        if name in ("pi", "infty"):
            return ("f", name)
        if name in GREEK:
            return ("s", name)
        if name in NAMED_FUNCTIONS:
            return self.function(name)
        if name in OF_SEVERAL:
            return self.several(name)
        raise ParseError(f"the command {name!r}")

    def function(self, name: str) -> Expr:
        power: Expr | None = None
        base: Expr | None = None
        while self.at("^", "_"):
            self.i += 1
            if self.tokens[self.i - 1].value == "^":
                power = self.argument(exponent=True)
            else:
                base = self.argument(exponent=True)
        if power == ("neg", ("q", Fraction(1), -1)) and name in ("sin", "cos", "tan"):
            name, power = "arc" + name, None
        token = self.peek()
        if token is not None and token.value in ("(", "{", "["):
            inner = self.postfix(self.base())
        else:
            inner = self.signed_factor()
            while (token := self.peek()) is not None and self.starts_factor(token):
                if token.value in NAMED_FUNCTIONS or token.value == "(":
                    break
                inner = ("*", inner, self.factor())
        tree: Expr = ("f", name, inner) if base is None else ("f", name, inner, base)
        return tree if power is None else ("^", tree, power)
