"""Which part of a response is its answer: what follows its last closed reasoning block. Before every grader.

A block that never closes has no answer: what stands in it was not said. Markers are told without regard to case; one
that is only spoken of (in inline code, in quotation marks, "<think> tags") is none. Linear in the response.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

NOT_FINISHED = "reasoning not finished"
"""The reason of a response whose reasoning never closes."""


@dataclass(frozen=True, slots=True)
class Block:
    """How a reasoning block opens and closes."""

    opening: str
    closing: str
    bare: bool = False
    """Words that are left of special tokens: they open at the very start only, with the next word glued to them."""


REASONING: tuple[Block, ...] = (
    Block("<think>", "</think>"),
    Block("<thinking>", "</thinking>"),
    Block("<reasoning>", "</reasoning>"),
    Block("<thought>", "</thought>"),
    Block("<seed:think>", "</seed:think>"),
    Block("[THINK]", "[/THINK]"),
    Block("◁think▷", "◁/think▷"),
    Block("<|begin_of_thought|>", "<|end_of_thought|>"),
    Block("<|START_THINKING|>", "<|END_THINKING|>"),
    Block("<|channel|>analysis", "<|channel|>final"),
    # The same channels where the decoder drops special tokens.
    Block("analysis", "assistantfinal", bare=True),
)
"""The markers of a task that names none. A closing one that nothing opened closes what the prompt opened."""

ANSWER_TAGS = ("answer", "final_answer")
"""Elements whose content is the answer."""

_SIGNS = "<[◁"
"""One of these begins most markers."""
_SPOKEN_OF = re.compile(r" (?:tags?|tokens?|markers?|blocks?|elements?)\b")
"""Behind a marker that does not begin its line."""
_QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "«": "»", "„": "“", "「": "」"}
_CODE = re.compile(r"`[^`\n]{1,400}`")
_FENCE = re.compile(r"^[ \t>]{0,9}(?:```|~~~)[`~]*[ \t]*([^\n`]*)$", re.MULTILINE)
_TAG = re.compile(rf"<(/?)({'|'.join(ANSWER_TAGS)})>", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"[\s.…_*-]*")


class Parts(NamedTuple):
    """A response in two."""

    answer: str | None
    """What a grader reads; None where the reasoning never closes."""
    tagged: bool
    """Whether that is the content of an answer element: all of it is the answer."""
    reasoning_chars: int | None
    """Characters up to the end of the last block, all of them where it never closes; None without a block."""
    answer_chars: int | None
    """Characters behind that; None where the reasoning never closes."""


@dataclass(frozen=True, slots=True)
class Reasoning:
    """The blocks that are cut away, ready to be looked for."""

    blocks: tuple[Block, ...]
    pattern: re.Pattern[str] | None = field(compare=False)
    """One group for each of `markers`; None without blocks."""
    markers: tuple[tuple[int, bool], ...] = field(compare=False)
    """Number of the block, and whether the marker closes it."""
    needed: tuple[tuple[str, tuple[str, ...]], ...] = field(compare=False)
    """A sign, and words in lower case: a response without a sign beside one of its words has no block to cut away,
    unless it begins with one of `first`."""
    first: tuple[str, ...] = field(compare=False)
    """Markers that count at the very start only, in lower case."""

    def split(self, response: str, *, opened: int | None = None) -> Parts:
        """The parts of a response; `opened`: number of the block that its prompt opened (see `opened_by`)."""
        if opened is None and not self._may_mark(response):
            return Parts(response, False, None, len(response))
        start, still_open = self._answer_start(response, opened)
        if still_open:
            return Parts(None, False, len(response), None)
        answer = response if start is None else response[start:]
        content = _tagged(answer)
        shown = answer if content is None else content
        return Parts(shown, content is not None, start, len(answer))

    def opened_by(self, prompt: str) -> int | None:
        """Number of the block that a prompt's last words open, as some chat templates do; None: none."""
        if self.pattern is None:
            return None
        text = prompt.rstrip()
        longest = max(len(block.opening) for block in self.blocks) + len("<|message|>")
        for m in self.pattern.finditer(text, max(0, len(text) - longest)):
            block, closes = self.markers[(m.lastindex or 1) - 1]
            if m.end() == len(text) and not closes and not self.blocks[block].bare:
                return block
        return None

    def _may_mark(self, response: str) -> bool:
        """Whether a marker or an answer element may be in a response: quick, since most have none."""
        lower = response.lower()
        if lower.startswith(self.first):
            return True
        for sign, words in self.needed:
            if sign in response:
                for word in words:
                    if word in lower:
                        return True
        return False

    def _answer_start(self, text: str, opened: int | None) -> tuple[int | None, bool]:
        """Where the last closed block ends, and whether another is open then."""
        start: int | None = None
        if self.pattern is None:
            return start, False
        spoken = _Spoken(text)
        for m in self.pattern.finditer(text):
            block, closes = self.markers[(m.lastindex or 1) - 1]
            if closes and opened in (None, block) and not spoken.of(m):
                start, opened = m.end(), None
            elif not closes and opened is None and not spoken.of(m) and not spoken.fenced(m.start(), start or 0):
                opened = block
        return start, opened is not None


class _Spoken:
    """Tells markers that a text speaks of from those that it uses."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._code: list[int] | None = None
        self._fences: list[tuple[int, bool]] | None = None
        self._since = self._at = -1
        self._inside = False

    def of(self, m: re.Match[str]) -> bool:
        """Whether a marker is in quotation marks, in inline code, or named as a tag."""
        text, start, end = self._text, m.start(), m.end()
        if start and end < len(text) and _QUOTES.get(text[start - 1]) == text[end]:
            return True
        if start and text[start - 1] != "\n" and _SPOKEN_OF.match(text, end):
            return True
        if self._code is None:
            found = _CODE.finditer(text) if "`" in text else ()
            self._code = [position for span in found for position in span.span()]
        return bisect_right(self._code, start) % 2 == 1

    def fenced(self, position: int, since: int) -> bool:
        """Whether a position is in a closed block of code that begins behind `since`; asked from left to right."""
        if self._fences is None:
            self._fences = [(m.start(), not m.group(1)) for m in _FENCE.finditer(self._text)]
        fences = self._fences
        if not fences or not fences[-1][1] or fences[-1][0] < position:
            return False
        if since != self._since:
            self._since, self._at, self._inside = since, bisect_left(fences, (since, False)), False
        while self._at < len(fences) and fences[self._at][0] <= position:
            self._inside = not self._inside or not fences[self._at][1]
            self._at += 1
        return self._inside


def _tagged(answer: str) -> str | None:
    """The content of the last answer element that is not empty; of one that never closes, all that follows."""
    found, start = None, None
    spoken = _Spoken(answer)
    for m in _TAG.finditer(answer):
        if spoken.of(m):
            continue
        if not m.group(1):
            start = m.end()
        elif start is not None:
            content, start = answer[start : m.start()], None
            found = found if _PLACEHOLDER.fullmatch(content) else content
    if start is not None and not _PLACEHOLDER.fullmatch(answer[start:]):
        found = answer[start:]
    return None if found is None else found.strip()


@lru_cache(maxsize=32)
def reasoning_of(blocks: tuple[Block, ...] | None = None) -> Reasoning:
    """The reasoning step for a task's own blocks; None: those of `REASONING`."""
    given = REASONING if blocks is None else blocks
    found = sorted(_markers(given), key=lambda marker: -len(marker.text))  # the longer where one begins another
    compiled = _pattern(found)
    needed = _needed([marker.text for marker in found if not marker.glued] + [f"<{tag}>" for tag in ANSWER_TAGS])
    first = tuple(marker.text.lower() for marker in found if marker.glued)
    return Reasoning(given, compiled, tuple((m.block, m.closes) for m in found), needed, first)


def _needed(markers: Iterable[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """See `Reasoning.needed`."""
    words: dict[str, set[str]] = {}
    for marker in markers:
        sign = marker[0] if marker[0] in _SIGNS else ""
        lower = marker.lower()
        words.setdefault(sign, set()).add(lower.lstrip(_SIGNS + "/|") or lower)
    return tuple(
        (sign, tuple(sorted(word for word in found if not any(o in word and o != word for o in found))))
        for sign, found in words.items()
    )


def reasoning_between(markers: Iterable[Sequence[str]] | None) -> Reasoning:
    """The reasoning step for pairs of what opens and what closes, as a task or a run's configuration names them."""
    return reasoning_of(None if markers is None else tuple(Block(opening, closing) for opening, closing in markers))


@dataclass(frozen=True, slots=True)
class _Marker:
    text: str
    block: int
    closes: bool
    glued: bool
    """At the very start only, with the next word glued to it."""


def _markers(blocks: tuple[Block, ...]) -> Iterator[_Marker]:
    for number, block in enumerate(blocks):
        yield _Marker(block.opening, number, False, block.bare)
        yield _Marker(block.closing, number, True, False)


def _pattern(markers: Sequence[_Marker]) -> re.Pattern[str] | None:
    """One group for each marker, any case; None without one.

    The first signs come first, as a set: that is what `re` skips to, ten times as fast as to try each marker in turn.
    """
    if not markers:
        return None
    firsts: dict[str, None] = {}
    found = []
    for marker in markers:
        first = "".join(c for c in dict.fromkeys((marker.text[0].lower(), marker.text[0].upper())) if len(c) == 1)
        firsts.update(dict.fromkeys(first))
        before, after = (r"\A", r"(?=[^\s\W])") if marker.glued else ("", "")
        found.append(f"(?<={before}[{re.escape(first)}])({re.escape(marker.text[1:])}{after})")
    return re.compile(f"[{re.escape(''.join(firsts))}](?i:(?:{'|'.join(found)})(?:<\\|message\\|>)?)")
