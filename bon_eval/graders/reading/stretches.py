"""A long response is looked through from its end, a stretch at a time, so that the last statement is found soon."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
STRETCH_CHARS = 20_000
BEFORE_CHARS = 400
"""So much before a stretch is looked at with it: words that announce what stands in it."""
MAX_STATEMENT_CHARS = 1_000
"""So much of what is stated is looked at first; a statement that is longer is read to its end."""
MOST_CHARS = 5_000
"""Of a statement at most; more than any answer has."""
_MOST_STATEMENTS = 64
"""No more from the end are looked at: a response that repeats empty ones has no answer in those before either."""


def stretches(length: int, start: int = 0) -> Iterator[tuple[int, int]]:
    """Where each stretch of a text of so many characters begins and ends, the last one first, back to `start`."""
    end = length
    while end > start:
        first = max(start, end - STRETCH_CHARS)
        yield first, end
        end = first


def last_first(text: str, look: Callable[[str, int, int], Sequence[T]], start: int = 0) -> Iterator[T]:
    """What ``look(text, first, end)`` finds in a text from `start` on, in order of place; the last one first."""
    left = _MOST_STATEMENTS
    for first, end in stretches(len(text), start):
        for found in reversed(look(text, first, end)):
            yield found
            left -= 1
            if not left:
                return


def read_on(text: str, start: int, content: str) -> str:
    """What is stated at `start`, of which `content` was looked at: to the end of its formula or line."""
    most = start + MOST_CHARS
    for opening, closing in (("\\[", "\\]"), ("$$", "$$")):
        if text.startswith(opening, start) and not content.endswith(closing):
            end = text.find(closing, start + 2)
            if end >= 0:
                return text[start : min(end + 2, most)]
    if len(content) < MAX_STATEMENT_CHARS:
        return content
    end = text.find("\n", start, most)
    return text[start : most if end < 0 else end]


_STYLES = ("b", "strong", "i", "em", "u", "mark", "code", "span", "p", "center", "font")
"""HTML elements that change how a text looks and not what it says."""
_CLOSED = re.compile(rf"</({'|'.join(_STYLES)})>")
_ESCAPED = re.compile(r"\\n(?<!\\\\n)(?![a-z])")
_BREAK = re.compile(r"<br\s?/?>", re.IGNORECASE)


def without_markup(text: str) -> str:
    """A text without the tags of `_STYLES`, each only where it is closed somewhere; line breaks as such, as HTML has
    them or escaped (no LaTeX command begins with ``\\n`` and another sign than a small letter)."""
    text = _ESCAPED.sub("\n", text)
    if "<" not in text:
        return text
    text = _BREAK.sub("\n", text)
    if "</" not in text:
        return text
    found = set(_CLOSED.findall(text.lower()))
    return re.sub(rf"</?(?:{'|'.join(sorted(found))})(?:\s[^<>\n]{{0,200}})?>", "", text, flags=re.I) if found else text


_SPECIAL = re.compile(r"(?:<\|[A-Za-z_]{1,30}\|>|</s>|<eos>|<end_of_turn>)\s{0,9}$")


def without_special_tokens(text: str) -> str:
    """A text without the special tokens at its end, which an engine may leave there."""
    text = text.rstrip()
    while text.endswith(">") and (m := _SPECIAL.search(text, max(0, len(text) - 40))):
        text = text[: m.start()].rstrip()
    return text
