r"""The boxes of a response: ``\boxed{...}``, whole, and which of them make one list."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from bon_eval.graders.answers.clean import strip_edges
from bon_eval.graders.answers.latex import MAX_ANSWER_CHARS
from bon_eval.graders.answers.vocabulary import CHANGES_MEANING
from bon_eval.graders.language.groups import FLAT_GROUP, ParseError, group
from bon_eval.graders.language.script import plain
from bon_eval.graders.language.tables import CJK_JOINS, LETTER_JOINS
from bon_eval.graders.reading.statements import MATH

MAX_BOXES = 32
"""So many boxes from the end are looked at first, and all of them where those do not tell the answer."""
MAX_BOX_CHARS = 10_000
"""So far a box's end is looked for first, and to the end of the response where it is not there."""

_BOX = re.compile(rf"box(?:(?<=\\box)ed|(?<=\\fbox))(?![A-Za-z])\s*(?=({FLAT_GROUP})?)", re.DOTALL)
"""From its letters on, which `re` finds in half of the time that a plain search takes; with its group of braces where
that is `FLAT_GROUP`, as most are."""
_DIGIT = re.compile(r"\d")
_TYPESET = re.compile(r"\\(?:text|mbox|mathrm)\s*\{|\\q?quad|\\[()\[\],;: ]|[\s$*{}]")
_JOINT = re.compile(
    r"(?:[,;]|[.,;]? ?(?:(?:for )?[a-z]{2,12} (?:\([a-z]\) )?)?(?:and|or)"
    rf"|[.,;]? ?(?:{'|'.join((*CJK_JOINS, *LETTER_JOINS))}))(?: ?[A-Za-z](?:_\d)? ?=)?"
)
"""What joins two boxes to one list: ``,``, ``and``, ``or``, one noun before, the name of the next value behind."""
_PLACEHOLDER = re.compile(
    r"(?:\.{2,}|…|\?+|_+|\\_|\\(?:l|c)?dots|(?:<?(?:your|the|final|numerical|numeric|correct)?\s?)*"
    r"(?:answer|result|value|expression|solution|number|letter|option)(?:\shere)?>?)+",
    re.IGNORECASE,
)
"""The content of a box that only shows where an answer goes."""
_FLAT = re.compile(r"\\(?:text|textbf|mathrm|mbox)(?![A-Za-z])|[{}$*]")
_BARE_BOX = re.compile(r"[^\s$\\{}]+")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)


class Box(NamedTuple):
    """A complete box that states something."""

    start: int
    end: int
    content: str


def last_box(text: str) -> str | None:
    """Content of the last complete box that states something; joined by "and", "or" or a comma they are one list."""
    found = box_at(text)
    return None if found is None else found.content


def box_at(text: str) -> Box | None:
    """As `last_box`, with its place."""
    places = list(_BOX.finditer(text))
    found = _boxes(text, places[-MAX_BOXES:], None)
    first = _first_joined(text, found)
    if found is None or (not first and len(places) > MAX_BOXES):
        found = _boxes(text, places, closing_braces(text))
        first = _first_joined(text, found)
    if not found:
        return None
    last = found[-1]
    whole = last.content if found[first] is last else ", ".join(box.content for box in found[first:])
    content = _of_sentence(whole)
    return last if content is last.content else Box(found[first].start, last.end, content)


def _boxes(text: str, places: Sequence[re.Match[str]], closing: dict[int, int] | None) -> list[Box] | None:
    """The boxes that are complete and state something.

    `closing`: as `closing_braces` gives it. Without it the result is None where a box may close further on than its end
    was looked for.
    """
    boxes: list[Box] = []
    end = 0
    unsure = False
    for m in places:
        letters, opened = m.span()
        start = letters - (1 if text[letters - 1] == "\\" else 2)
        if start < end:
            continue  # inside of the box before
        if text.startswith("{", opened):
            try:
                if closing is not None:
                    end = closing.get(opened) or end
                elif 0 < m.end(1) <= opened + MAX_BOX_CHARS:
                    end = m.end(1)
                else:
                    end = opened + group(text[opened : opened + MAX_BOX_CHARS], 0)
            except ParseError:
                unsure |= len(text) - opened > MAX_BOX_CHARS
                continue  # cut off, or long
            if end <= opened:
                continue
            content = _stated(text[opened + 1 : end - 1])
        else:  # \boxed 5
            word = _BARE_BOX.match(text, opened)
            if word is None:
                continue
            content, end = _stated(word.group().rstrip(".,")), word.end()
        if content:
            boxes.append(Box(start, end, content))
    return None if unsure else boxes


@lru_cache(maxsize=1_024)
def _stated(inside: str) -> str:
    """What stands in a box, blanks as single spaces; nothing where it only shows where an answer goes."""
    content = " ".join(inside.split())
    if _DIGIT.search(content) or not _PLACEHOLDER.fullmatch(_FLAT.sub(" ", content[:200]).strip()):
        return content
    return ""


def _first_joined(text: str, boxes: Sequence[Box] | None) -> int:
    """Number of the first of the boxes that make one list with the last."""
    first = len(boxes) - 1 if boxes else 0
    while boxes and first and _joined(text, boxes[first - 1].end, boxes[first].start):
        first -= 1
    return first


def closing_braces(text: str) -> dict[int, int]:
    """Where each group of braces begins, and the index just behind it; in one pass."""
    found: dict[int, int] = {}
    opened: list[int] = []
    for m in _BRACE.finditer(text):
        if m.group() == "{":
            opened.append(m.start())
        elif m.group() == "}" and opened:
            found[opened.pop()] = m.end()
    return found


def _of_sentence(content: str) -> str:
    """The formula of a boxed sentence that holds one and no number beside it; anything else as it is."""
    if ("$" not in content and "\\(" not in content) or len(content) > MAX_ANSWER_CHARS:
        return content
    found = list(MATH.finditer(content))
    if len(found) != 1:
        return content
    outside = content[: found[0].start()] + " " + content[found[0].end() :]
    words = re.findall(r"[A-Za-z]+", outside)
    if len(words) < 2 or re.search(r"[\d\\]", outside) or CHANGES_MEANING & {word.lower() for word in words}:
        return content
    return strip_edges(next(g for g in found[0].groups() if g is not None))


def _joined(text: str, end: int, start: int) -> bool:
    between = text[end:start]
    words = " ".join(_TYPESET.sub(" ", plain(between)).split()) if len(between) <= 60 else None
    return not between or (words is not None and _JOINT.fullmatch(words) is not None)
