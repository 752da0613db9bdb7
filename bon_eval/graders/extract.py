r"""Where a response states its answer: the last statement or box, bold, formula or number. Linear in the response."""

from __future__ import annotations

import re
from typing import NamedTuple

from bon_eval.graders.answers.clean import strip_edges
from bon_eval.graders.language.script import plain
from bon_eval.graders.reading.announce import announced, may_announce
from bon_eval.graders.reading.boxes import box_at
from bon_eval.graders.reading.formulas import last_delimited, last_run
from bon_eval.graders.reading.numbers import NUMBER, last_number, without_reason
from bon_eval.graders.reading.statements import MATH, is_denied, is_marked, is_value, is_word, statement
from bon_eval.graders.reading.stretches import MOST_CHARS, STRETCH_CHARS, last_first, read_on

MAX_RESPONSE_CHARS = 200_000
"""A grader of another package sees no longer response."""


class Extract(NamedTuple):
    """What was read, and where."""

    answer: str | None
    where: str
    """``box``, ``marker``, ``phrase``, ``last formula``, ``last number``, ``last line`` or ``no answer found``."""


_ENDS = " \n.$\\)]*"
"""What most often stands behind a box: the end of its formula."""
_EMPTY_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{[^{}\n]{0,80}(?:\{[^{}\n]{0,80}\}[^{}\n]{0,80})?\}")
_NUMBERED = re.compile(r"\d+[.)]\s+[A-Za-z*]")
_BOLD_LINE = re.compile(r"[ \t>]{0,9}\*{2,3}([-−+]?\$?\d[\d.,/]{0,40}(?:\s?%)?)\.?\*{2,3}\.?[ \t]{0,9}")
"""A line that is nothing but a number in bold."""
_BOLD = re.compile(r"\*\*([^*\n]{1,80})\*\*")


def extract(response: str, *, formulas: bool = True) -> Extract:
    """The answer's text as the response wrote it, full-width signs as ASCII.

    `formulas`: whether the last formula is read whole where the last number is a part of it.
    """
    if (box := box_at(response)) is not None:
        content, behind = plain(box.content), response[box.end :]
        more = behind.strip(_ENDS) and may_announce(behind)
        stated = _stated(plain(behind), content) if more else None
        return Extract(content, "box") if stated is None else stated
    text = plain(response)
    if (stated := _stated(text)) is not None:
        return stated
    tail = _EMPTY_BOX.sub(" ", text[_tail_start(text) :])
    if (bold := _bold(tail)) is not None:
        return Extract(bold, "phrase")
    tail = without_reason(tail)
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


def _tail_start(text: str) -> int:
    """Where the last stretch begins; no number that could be an answer is cut in two."""
    start = max(0, len(text) - STRETCH_CHARS)
    first = max(0, start - MOST_CHARS)
    return first + len(text[first:start].rstrip("0123456789,."))


def _stated(text: str, box: str | None = None) -> Extract | None:
    """The last statement of a value; without a box before it a word is one too, and the last in any words counts."""
    weak: Extract | None = None
    for found in last_first(text, announced):
        said = found.content if found.kind == "json" else read_on(text, found.start, found.content)
        marked = found.kind == "marker"
        if marked and not is_marked(said.strip()):
            continue
        content = statement(said)
        if not any(c.isalnum() for c in content):
            continue
        where = Extract(content, "marker" if marked else "phrase")
        word = (box is None or box.isalpha()) and is_word(said)
        if not is_denied(said) and (marked or word or is_value(said)):
            return where
        weak = weak or where
    return weak if box is None else None


def _bold(text: str) -> str | None:
    """The one value in bold in the last line that has words."""
    lines = [line for line in text.splitlines()[-6:] if any(c.isalnum() for c in line)]
    if alone := [m for line in lines[-3:] if (m := _BOLD_LINE.fullmatch(line))]:
        return alone[-1].group(1)
    found = _BOLD.findall(lines[-1][-1_000:]) if lines and "**" in lines[-1] else []
    if len(found) != 1 or not (NUMBER.match(found[0].strip()) or MATH.fullmatch(found[0].strip())):
        return None
    return statement(found[0]) if not _NUMBERED.match(found[0]) else None


def _whole(text: str) -> str | None:
    """A short response that is nothing but LaTeX."""
    text = text.strip()
    return strip_edges(text) if len(text) <= 80 and text.startswith("\\") and "\n" not in text else None
