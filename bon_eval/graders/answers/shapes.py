"""What tokens show before they are parsed: words alone, rows, remarks in brackets, numerals in a base."""

from __future__ import annotations

from typing import Any

from bon_eval.graders.answers.brackets import nesting, split, stripped
from bon_eval.graders.answers.latex import Token
from bon_eval.graders.answers.tree import in_base
from bon_eval.graders.answers.vocabulary import BASES, CHANGES_MEANING
from bon_eval.graders.language.groups import ParseError
from bon_eval.graders.language.tables import NOT_AN_ANSWER

Form = tuple[Any, ...]


def words(tokens: list[Token]) -> str | None:
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
    text = " ".join(t.value for t in tokens if t.kind in ("text", "let"))
    plain = " ".join(text.replace("(", " ").replace(")", " ").replace(".", " ").lower().split())
    return {"dne": "does not exist", "d n e": "does not exist"}.get(plain, plain)


def changes_meaning(word: str) -> bool:
    """Whether a word makes the value behind it another one."""
    if CHANGES_MEANING & set(word.split()):
        return True
    return word in NOT_AN_ANSWER or (
        not word.isascii() and word.endswith(tuple(w for w in NOT_AN_ANSWER if not w.isascii()))
    )


ROWS = {
    f"begin {name}" for name in ("aligned", "align", "alignedat", "gathered", "gather", "split", "equation", "cases")
}


def rows(tokens: list[Token], environment: str) -> list[Token]:
    """The rows of aligned formulas as a list; a row that begins with ``=`` goes on with the one before."""
    if environment == "begin cases" and any(t.value == "&" for t in tokens):
        raise ParseError("cases")
    plain = [[t for t in row if t.value != "&" or t.kind != "op"] for row in split(tokens, "\\", kinds=("cmd",))]
    out: list[Token] = []
    for row in (stripped(row) for row in plain):
        if row and out and row[0].value != "=":
            out.append(Token("op", ","))
        out += row
    return out


def remark(tokens: list[Token]) -> int | None:
    """Where a bracket with words begins that stands behind a value, as in ``5 minutes (300 seconds)``."""
    if tokens[-1].value != ")" or not any(t.kind == "num" for t in tokens):
        return None
    depth, k = 0, len(tokens)
    while k:
        k -= 1
        depth -= nesting(tokens[k])
        if depth == 0:
            break
    inner = tokens[k:]
    return (
        k
        if k and depth == 0 and any(t.kind == "text" for t in inner) and any(t.kind == "num" for t in tokens[:k])
        else None
    )


def digits(tokens: list[Token]) -> tuple[str, int] | None:
    """Digits of which some are capital letters, ``1A_{16}``, or in brackets, ``(204)_5``; and where the base begins."""
    end = next((k for k, t in enumerate(tokens) if t.value == "_" and t.kind == "op"), 0)
    head = tokens[:end]
    if len(head) == 3 and [head[0].value, head[1].kind, head[2].value] == ["(", "num", ")"]:
        head = head[1:2]
    elif len(head) < 2 or not (any(t.kind == "num" for t in head) or any(t.value == "16" for t in tokens[end:])):
        return None
    digits = "".join(t.value for t in head)
    return (digits, end) if digits.isalnum() and digits == digits.upper() else None


def numeral(tokens: list[Token]) -> Form:
    rest = [BASES.get(t.value, t.value) for t in tokens[2:] if t.value not in "{}" and t.value != "base"]
    if len(rest) != 1 or not rest[0].isdigit():
        raise ParseError("a subscript on a number")
    value = in_base(tokens[0].value, rest[0])
    if rest[0] == "10":
        return ("expr", value)
    return ("base", tokens[0].value.lstrip("0") or "0", rest[0])
