"""A place in a list of tokens, and what can be asked and read there."""

from __future__ import annotations

from bon_eval.graders.answers.latex import Token
from bon_eval.graders.language.groups import ParseError


class Cursor:
    """Reads tokens from left to right; `i` is the index of the next one."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.i = 0

    def peek(self, ahead: int = 0) -> Token | None:
        """The token here or further on; None behind the end."""
        k = self.i + ahead
        return self.tokens[k] if k < len(self.tokens) else None

    def at(self, *values: str) -> bool:
        """Whether one of these operators or commands stands here."""
        token = self.peek()
        return token is not None and token.kind != "text" and token.value in values

    def expect(self, value: str) -> None:
        """Read this operator or command."""
        if not self.at(value):
            raise ParseError(f"{value!r} is missing")
        self.i += 1

    def subscript(self) -> str:
        """The raw text of a subscript."""
        token = self.peek()
        if token is None:
            raise ParseError("an empty subscript")
        self.i += 1
        if token.value != "{":
            return token.value
        depth = 1
        parts: list[str] = []
        while (token := self.peek()) is not None:
            self.i += 1
            depth += (token.value == "{") - (token.value == "}")
            if depth == 0:
                return "".join(parts)
            parts.append(token.value)
        raise ParseError("a subscript is not closed")
