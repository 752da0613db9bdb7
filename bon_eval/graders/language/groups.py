"""Groups of braces in TeX: where one closes."""

from __future__ import annotations

import re


class ParseError(ValueError):
    """The text is not in the grammar of answers."""


FLAT_GROUP = r"\{[^{}\\]*+(?:(?:\\.|\{[^{}\\]*+(?:\\.[^{}\\]*+)*\})[^{}\\]*+)*\}"
"""A group of braces that holds none, or groups without groups: most are so, and read at once (with `re.DOTALL`)."""
_FLAT_GROUP = re.compile(FLAT_GROUP, re.DOTALL)


def group(text: str, start: int, opening: str = "{", closing: str = "}") -> int:
    """Index just behind the group that opens at `start`; raises `ParseError` when it never closes."""
    if opening == "{" and (m := _FLAT_GROUP.match(text, start)):
        return m.end()
    depth, i, n = 0, start, len(text)
    while i < n:
        c = text[i]
        if c == "\\":
            i += 2
            continue
        if c == opening:
            depth += 1
        elif c == closing:
            depth -= 1
            if depth == 0:
                return i + 1
        i += 1
    raise ParseError("a group is not closed")
