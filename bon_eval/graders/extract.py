r"""Where a response states its answer: box, marker, phrase, last number, in this order. Linear in the response."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bon_eval.graders.answers.clean import strip_edges
from bon_eval.graders.answers.latex import ParseError, group
from bon_eval.graders.answers.vocabulary import CHANGES_MEANING
from bon_eval.graders.language.script import plain
from bon_eval.graders.language.tables import CJK_JOINS, LETTER_JOINS
from bon_eval.graders.reading.announce import MAY_ANNOUNCE, announced
from bon_eval.graders.reading.formulas import last_delimited, last_run
from bon_eval.graders.reading.numbers import NUMBER, last_number
from bon_eval.graders.reading.statements import MATH, is_denied, is_marked, is_value, is_word, statement

MAX_RESPONSE_CHARS = 200_000
"""Only this much of a response's end is read."""

MAX_PHRASE_CHARS = 20_000
"""Phrases and bare numbers are looked for in this much of the end."""
MAX_BOXES = 32
"""Only this many boxes from the end are looked at."""
MAX_BEHIND_CHARS = 4_000
"""Only so much of the end is looked through for a statement behind a box."""
MAX_STATEMENTS = 64
"""Only this many statements of the answer from the end are looked at."""
MAX_BOX_CHARS = 10_000
"""A box that is longer is taken for one that never closes."""


@dataclass(frozen=True, slots=True)
class Extract:
    """What was read, and where."""

    answer: str | None
    where: str
    """``box``, ``marker``, ``phrase``, ``last formula``, ``last number``, ``last line`` or ``no answer found``."""


_BOX = re.compile(r"box(?:ed(?<=\\boxed)|(?<=\\fbox))(?![A-Za-z])\s*")
"""Begins with letters, so that it is looked for by them and not from every backslash."""
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
_EMPTY_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{[^{}\n]{0,80}(?:\{[^{}\n]{0,80}\}[^{}\n]{0,80})?\}")
_FLAT = re.compile(r"\\(?:text|textbf|mathrm|mbox)(?![A-Za-z])|[{}$*]")
_NUMBERED = re.compile(r"\d+[.)]\s+[A-Za-z*]")
_BOLD = re.compile(r"\*\*([^*\n]{1,80})\*\*")


def extract(response: str, *, formulas: bool = True) -> Extract:
    """The answer's text as the response wrote it, full-width signs as ASCII.

    `formulas`: whether the last formula is read whole where the last number is a part of it.
    """
    text = response[-MAX_RESPONSE_CHARS:]
    if (box := box_at(text)) is not None:
        content, behind = plain(box[0]), text[box[1] :][-MAX_BEHIND_CHARS:]
        stated = _stated(plain(behind), content) if MAY_ANNOUNCE.search(behind) else None
        return Extract(content, "box") if stated is None else stated
    text = plain(text)
    if (stated := _stated(text)) is not None:
        return stated
    tail = _EMPTY_BOX.sub(" ", text[-MAX_PHRASE_CHARS:])
    if (bold := _bold(tail)) is not None:
        return Extract(bold, "phrase")
    if formulas and (whole := _whole(tail)) is not None:
        return Extract(whole, "last formula")
    formula = last_delimited(tail) if formulas else None
    if formula is None:
        formula = last_run(tail, algebra=formulas)
    if formula is not None:
        return Extract(formula, "last formula")
    if (number := last_number(tail)) is not None:
        return Extract(number, "last number")
    return Extract(None, "no answer found")


def _stated(text: str, box: str | None = None) -> Extract | None:
    """The last statement of a value; without a box before it a word is one too, and the last in any words counts."""
    weak: Extract | None = None
    for found in reversed(announced(text, max(0, len(text) - MAX_PHRASE_CHARS))[-MAX_STATEMENTS:]):
        marked = found.kind == "marker"
        if marked and not is_marked(found.content.strip()):
            continue
        content = statement(found.content)
        if not any(c.isalnum() for c in content):
            continue
        where = Extract(content, "marker" if marked else "phrase")
        word = (box is None or box.isalpha()) and is_word(found.content)
        if not is_denied(found.content) and (marked or word or is_value(found.content)):
            return where
        weak = weak or where
    return weak if box is None else None


def _bold(text: str) -> str | None:
    """The one value in bold in the last line that has words."""
    lines = [line for line in text.splitlines()[-6:] if any(c.isalnum() for c in line)]
    found = _BOLD.findall(lines[-1][-1_000:]) if lines and "**" in lines[-1] else []
    if len(found) != 1 or not (NUMBER.match(found[0].strip()) or MATH.fullmatch(found[0].strip())):
        return None
    return statement(found[0]) if not _NUMBERED.match(found[0]) else None


def last_box(text: str) -> str | None:
    """Content of the last complete box that states something; joined by "and", "or" or a comma they are one list."""
    found = box_at(text)
    return None if found is None else found[0]


def box_at(text: str) -> tuple[str, int] | None:
    """As `last_box`, with the place where the box ends."""
    boxes: list[tuple[int, int, str]] = []
    end = 0
    for m in list(_BOX.finditer(text))[-MAX_BOXES:]:
        start = m.start() - (1 if m.group().startswith("boxed") else 2)
        if start < end:
            continue  # inside of the box before
        if text[m.end() : m.end() + 1] == "{":
            try:
                end = m.end() + group(text[m.end() : m.end() + MAX_BOX_CHARS], 0)
            except ParseError:
                continue  # cut off
            content = " ".join(text[m.end() + 1 : end - 1].split())
        else:  # \boxed 5
            word = re.match(r"[^\s$\\{}]+", text[m.end() : m.end() + 40])
            if word is None:
                continue
            content, end = word.group().rstrip(".,"), m.end() + word.end()
        if content.strip() and (content[0].isdigit() or not _PLACEHOLDER.fullmatch(_FLAT.sub(" ", content).strip())):
            boxes.append((start, end, content.strip()))
    if not boxes:
        return None
    first = len(boxes) - 1
    while first and _joined(text, boxes[first - 1][1], boxes[first][0]):
        first -= 1
    return _of_sentence(", ".join(box[2] for box in boxes[first:])), boxes[-1][1]


def _of_sentence(content: str) -> str:
    """The formula of a boxed sentence that holds one and no number beside it; anything else as it is."""
    if "$" not in content and "\\(" not in content:
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


def _whole(text: str) -> str | None:
    """A short response that is nothing but LaTeX."""
    text = text.strip()
    return strip_edges(text) if len(text) <= 80 and text.startswith("\\") and "\n" not in text else None
