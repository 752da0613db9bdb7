"""Tokens by nesting: splitting at the top level, and which bracket closes which."""

from __future__ import annotations

from bon_eval.graders.answers.latex import Token


def split(tokens: list[Token], *values: str, kinds: tuple[str, ...] = ("op",)) -> list[list[Token]]:
    """Split at the top level."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += nesting(token)
        if depth == 0 and token.kind in kinds and token.value in values:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def nesting(token: Token) -> int:
    """1 for what opens, -1 for what closes, else 0."""
    if token.kind == "op":
        return (token.value in ("(", "[", "{")) - (token.value in (")", "]", "}"))
    if token.kind == "cmd":
        return (token.value in ("{", "langle") or token.value.startswith("begin ")) - (
            token.value in ("}", "rangle") or token.value.startswith("end ")
        )
    return 0


def enclosed(tokens: list[Token]) -> bool:
    """Whether the first token's bracket closes at the last token."""
    depth = 0
    for i, token in enumerate(tokens):
        depth += nesting(token)
        if depth == 0:
            return i == len(tokens) - 1
    return False


def stripped(tokens: list[Token]) -> list[Token]:
    """Without separators at the ends and without plain braces around everything."""
    while tokens and tokens[0].kind == "op" and tokens[0].value in (",", ";", ":"):
        tokens = tokens[1:]
    while tokens and tokens[-1].kind == "op" and tokens[-1].value in (",", ";", ":", "="):
        tokens = tokens[:-1]
    while len(tokens) > 2 and tokens[0].kind == "op" and tokens[0].value == "{" and enclosed(tokens):
        tokens = tokens[1:-1]
    return tokens


def sides_of(tokens: list[Token]) -> tuple[list[list[Token]], list[str]]:
    """The sides of a chain of relations and the operators between them."""
    sides: list[list[Token]] = [[]]
    operators: list[str] = []
    depth = 0
    for token in tokens:
        depth += nesting(token)
        if depth == 0 and token.kind in ("op", "cmd") and token.value in ("=", "<", ">", "le", "ge", "ne"):
            operators.append(token.value)
            sides.append([])
        else:
            sides[-1].append(token)
    return sides, operators


def without_units(tokens: list[Token]) -> list[Token]:
    """Without the words at the end."""
    end = len(tokens)
    while end > 1 and tokens[end - 1].kind == "text":
        end -= 1
    return tokens[:end]


def closes(tokens: list[Token]) -> bool:
    """Whether the opening bracket's partner, of whatever shape, is the last token."""
    return enclosed(tokens) and tokens[-1].value in (")", "]", "rangle", "}")


def has_order(tokens: list[Token]) -> bool:
    """Whether an inequality sign stands among the tokens."""
    return any(t.kind != "text" and t.value in ("<", ">", "le", "ge") for t in tokens)


def has_sign(tokens: list[Token]) -> bool:
    """Whether plus-minus stands among the tokens."""
    return any(t.kind != "text" and t.value in ("pm", "mp") for t in tokens)
