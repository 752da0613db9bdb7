"""From the tokens of one value to its expression tree. Nothing of a model's text is ever executed."""

from __future__ import annotations

from fractions import Fraction

from bon_eval.graders.answers.expressions.commands import NAMED_FUNCTIONS, OPENING, Commands
from bon_eval.graders.answers.latex import CHANGED, LimitError, Token
from bon_eval.graders.answers.tree import Expr, in_base, number
from bon_eval.graders.answers.vocabulary import GREEK
from bon_eval.graders.language.groups import ParseError
from bon_eval.graders.language.tables import BEHIND, NOT_BEHIND, SCALES

MAX_DEPTH = 40
MAX_TOKENS = 400

_OPENERS = {"(": ")", "[": "]", "{": "}"}


class ExpressionParser(Commands):
    """Recursive descent over one expression; `sign` is what plus-minus stands for in this reading."""

    def __init__(self, tokens: list[Token], sign: int = 1) -> None:
        super().__init__(tokens)
        self.sign, self.depth, self.bars = sign, 0, 0

    def parse(self) -> Expr:
        """The whole token list as one expression."""
        tree = self.sum()
        if self.i < len(self.tokens):
            raise ParseError(f"{self.tokens[self.i].value!r} is left over")
        return tree

    def sum(self) -> Expr:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise LimitError("nested too deeply")
        tree: Expr | None = None
        while True:
            sign = self.signs()
            if sign is None and tree is not None:
                break
            term = self.term()
            if sign == -1:
                term = ("neg", term)
            tree = term if tree is None else ("+", tree, term)
        if self.at("over"):  # {1 \over 2}
            self.i += 1
            tree = ("/", tree, self.sum())
        elif self.at("choose"):
            self.i += 1
            tree = ("f", "binom", tree, self.sum())
        self.depth -= 1
        return tree

    def signs(self) -> int | None:
        """Product of the signs that stand here; None when there is none."""
        sign: int | None = None
        while self.at("+", "-", "pm", "mp"):
            value = self.tokens[self.i].value
            step = {"+": 1, "-": -1, "pm": self.sign, "mp": -self.sign}[value]
            sign, self.i = (sign or 1) * step, self.i + 1
        return sign

    def term(self) -> Expr:
        tree = self.factor()
        while True:
            token = self.peek()
            if token is None:
                return tree
            if token.kind == "text" and token.value in SCALES:
                self.i += 1
                tree = ("*", tree, ("q", Fraction(10 ** SCALES[token.value]), -1))
            elif token.kind == "text" and token.value in ("percent", "pct", "percentage"):
                self.i += 1
                tree = ("pct", tree)
            elif token.kind == "text":
                self.unit()
            elif self.at("*"):
                self.i += 1
                tree = ("*", tree, self.signed_factor())
            elif self.at("/"):
                self.i += 1
                tree = ("/", tree, self.signed_factor())
            elif self.starts_factor(token):
                powers = self.i > 1 and self.tokens[self.i - 2].value == "^" and token.spaced
                if token.kind == "num" and self.tokens[self.i - 1].kind == "num" and not powers:  # 2^3 3^2
                    raise ParseError("two numbers side by side")
                tree = ("*", tree, self.factor())
            else:
                return tree

    def unit(self) -> None:
        """A unit is no part of the value; neither is its exponent, nor a second unit after ``/``."""
        word, before = self.tokens[self.i].value, self.tokens[self.i - 1].kind
        if word.startswith(NOT_BEHIND) or (before == "num" and word.partition(" ")[0] in BEHIND):
            raise ParseError(CHANGED)
        self.i += 1
        if self.at("^"):
            self.i += 1
            self.argument()
        following = self.peek()
        if following is not None and following.kind == "num":
            raise ParseError("a second number behind a unit")
        token = self.peek(1)
        if self.at("/", "*", "-") and token is not None and token.kind == "text":
            self.i += 1

    def signed_factor(self) -> Expr:
        sign = self.signs()
        factor = self.factor()
        return ("neg", factor) if sign == -1 else factor

    def starts_factor(self, token: Token) -> bool:
        if token.kind in ("num", "let"):
            return True
        if token.kind == "op":
            return token.value in "([{" or (token.value == "|" and self.bars == 0)
        return token.kind == "cmd" and (
            token.value in GREEK or token.value in NAMED_FUNCTIONS or token.value in OPENING
        )

    def factor(self) -> Expr:
        token = self.peek()
        base = self.base()
        if token is not None and token.kind == "num":
            base = self.mixed(token, base)
        return self.postfix(base)

    def mixed(self, token: Token, whole: Expr) -> Expr:
        r"""``1\frac{4}{5}`` and ``1 4/5`` are mixed numbers when the fraction is proper."""
        if "." in token.value:
            return whole
        part: Expr | None = None
        start = self.i
        if self.at("frac"):
            self.i += 1
            top, bottom = self.argument(), self.argument()
            part = ("/", top, bottom)
        else:
            a, slash, b = self.peek(), self.peek(1), self.peek(2)
            if a and slash and b and a.kind == b.kind == "num" and slash.value == "/" and a.spaced:
                top, bottom = number(a.value), number(b.value)
                part, self.i = ("/", top, bottom), self.i + 3
        if part is not None:
            _, top, bottom = part
            if (
                top[0] == bottom[0] == "q"
                and top[2] == bottom[2] == -1
                and 0 <= top[1] < bottom[1]
                and not self.at("^")
            ):
                return ("+", whole, part)
        self.i = start
        return whole

    def postfix(self, base: Expr) -> Expr:
        while True:
            if self.at("^"):
                self.i += 1
                if self.at("circ"):
                    self.i += 1
                    base = ("deg", base)
                elif self.at("{") and (inner := self.peek(1)) and inner.value == "circ" and inner.kind == "cmd":
                    self.i += 2
                    self.expect("}")
                    base = ("deg", base)
                elif self.at("'"):
                    self.i += 1
                else:
                    base = ("^", base, self.argument(exponent=True))
            elif self.at("circ"):
                self.i += 1
                base = ("deg", base)
            elif self.at("!"):
                self.i += 1
                base = ("f", "factorial", base)
            elif self.at("%"):
                self.i += 1
                base = ("pct", base)
            elif self.at("'") and base[0] == "s":
                self.i += 1
                base = ("s", base[1] + "'")
            elif self.at("_") and base[0] == "s":
                self.i += 1
                base = ("s", f"{base[1]}_{self.subscript()}")
            elif self.at("_") and base[0] == "q":
                self.i += 1
                base = in_base(str(base[1]), self.subscript())
            else:
                return base

    def argument(self, *, exponent: bool = False) -> Expr:
        r"""A TeX argument: a group, or one token (one digit: ``\frac12`` is a half)."""
        token = self.peek()
        if token is None:
            raise ParseError("an argument is missing")
        if token.value == "{" and token.kind == "op":
            return self.bracketed("}")
        if token.kind == "num":
            if exponent or len(token.value) == 1:
                self.i += 1
                return number(token.value)
            rest = Token("num", token.value[1:]) if token.value[1:].strip(".") else None
            if token.value[0] == "." or rest is None:
                raise ParseError("an argument without braces")
            self.tokens = [*self.tokens[: self.i], Token("num", token.value[0]), rest, *self.tokens[self.i + 1 :]]
            self.i += 1
            return number(token.value[0])
        if exponent and self.at("-", "+"):
            self.i += 1
            inner = self.argument(exponent=True)
            return ("neg", inner) if token.value == "-" else inner
        return self.base()

    def bracketed(self, closing: str) -> Expr:
        self.i += 1
        if closing == "}" and self.unit_group():
            return ("q", Fraction(1), -1)
        bars, self.bars = self.bars, 0
        tree = self.sum()
        self.bars = bars
        self.expect(closing)
        return tree

    def base(self) -> Expr:
        token = self.peek()
        if token is None:
            raise ParseError("the expression ends too early")
        if token.kind == "num":
            self.i += 1
            return number(token.value)
        if token.kind == "let":
            self.i += 1
            return {"e": ("f", "e"), "i": ("f", "i")}.get(token.value, ("s", token.value))
        if token.kind == "op" and token.value in _OPENERS:
            return self.bracketed(_OPENERS[token.value])
        if token.kind == "op" and token.value == "|":
            self.i += 1
            self.bars += 1
            tree = self.sum()
            self.expect("|")
            self.bars -= 1
            return ("f", "abs", tree)
        if token.kind == "cmd":
            return self.command(token.value)
        raise ParseError(f"{token.value!r} cannot stand here")


def expression(tokens: list[Token], sign: int = 1) -> Expr:
    """One expression out of all the tokens; raises `ParseError`."""
    if len(tokens) > MAX_TOKENS:
        raise LimitError(f"more than {MAX_TOKENS} tokens")
    return ExpressionParser(tokens, sign).parse()
