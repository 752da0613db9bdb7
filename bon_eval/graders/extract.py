r"""Where a response states its answer: box, marker, phrase, last number, in this order. Linear in the response."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bon_eval.graders.answers.clean import strip_edges
from bon_eval.graders.answers.latex import MAX_ANSWER_CHARS, ParseError, group
from bon_eval.graders.answers.vocabulary import CHANGES_MEANING

MAX_RESPONSE_CHARS = 200_000
"""A grader of another package sees no longer response."""

MAX_PHRASE_CHARS = 20_000
"""Bare numbers are looked for in this much of the end, and phrases in so much at a time."""
MAX_STATEMENT_CHARS = 1_000
"""So much of what is stated is looked at first; a statement that is longer is read to its end."""
_MORE_CHARS = 5_000
"""Of a statement at most; more than any answer has."""
MAX_BOXES = 32
"""So many boxes from the end are looked at first, and all of them where those do not tell the answer."""
MAX_BOX_CHARS = 10_000
"""So far a box's end is looked for first, and to the end of the response where it is not there."""


@dataclass(frozen=True, slots=True)
class Extract:
    """What was read, and where."""

    answer: str | None
    where: str
    """``box``, ``marker``, ``phrase``, ``last formula``, ``last number``, ``last line`` or ``no answer found``."""


_BOX = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])\s*")
_BARE_BOX = re.compile(r"[^\s$\\{}]+")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_TYPESET = re.compile(r"\\(?:text|mbox|mathrm)\s*\{|\\q?quad|\\[()\[\],;: ]|[\s$*{}]")
_JOINT = re.compile(r"(?:[,;]|[.,;]? ?(?:(?:for )?[a-z]{2,12} (?:\([a-z]\) )?)?(?:and|or))(?: ?[A-Za-z](?:_\d)? ?=)?")
"""What joins two boxes to one list: ``,``, ``and``, ``or``, one noun before, the name of the next value behind."""
_HASHES = re.compile(r"####[ \t]*([^\n]*)")
_LETTER_A = re.compile(r"^[ \t>*]*A:[ \t]*([^\n]+)$", re.MULTILINE)
_SENTENCE_CHARS = 60
"""A longer line behind ``A:`` is a sentence where it holds a word."""
_WORD = re.compile(r"(?<![A-Za-z\\])[A-Za-z]{3}")
_STATES = re.compile(
    r"[*\s]*(?:[-−+$€£\\(\[{.]*\s*\d|[-−+$]*\\[A-Za-z({[]|[A-Za-z]\w{0,8}\s*=|[([{]|[A-Za-z]{1,12}[*.]*$)"
)
"""How the content of a marker begins, apart from Markdown's headings: "#### Step 2"."""
_NUMBERED = re.compile(r"\d+[.)]\s+[A-Za-z*]")
_PHRASE = re.compile(
    r"\banswer\b(?:\s+(?:to|of|for)\s[^\n.:]{0,80}?)?"
    r"(?:\s{0,9}(?:\*\*)?\s{0,9}(?:\bis\b|\bare\b|\bwill be\b|:|=)\s{0,9}(?:\*\*)?\s{0,9}:?)"
    r"(?:\s{0,9}(?:that|simply|therefore|thus|equal to|just)\b)?"
    r"[ \t]{0,99}\n?[ \t]{0,99}((?:\\\[|\$\$)[\s\S]{1,1000}?(?:\\\]|\$\$)|[^\n]{1,1000})",
    re.IGNORECASE,
)
_HEADING = re.compile(r"^#+[ \t]*(?:final[ \t]+)?answer[ \t:]*\n\s*([^\n]{1,1000})", re.IGNORECASE | re.MULTILINE)
_HOPE = re.compile(r"\.?\s*I hope.*$", re.DOTALL)
_SENTENCE = re.compile(r"(?<=[^\s.])\.(?=\s+[A-Z<])|[.!?](?=\s*$)")
_CLAUSE = re.compile(r"\s(?:is|are|equals)\s")
_SUBJECT = re.compile(r"(?:the|a|an|that|this|its|his|her|their)\s", re.IGNORECASE)
_MATH = re.compile(r"\$\$(.+?)\$\$|\$((?:\\\$|[^$\n])+)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
NUMBER = re.compile(
    r"(?<![\w.])[-−+]?\s?\\?[$€£]?\s?[-−]?(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
    r"(?:\s*/\s*\d+(?!\w))?(?:\s?\\?%)?"
)


def extract(response: str, *, formulas: bool = True) -> Extract:
    """The answer's text as the response wrote it.

    `formulas`: whether the last formula is read whole where the last number is a part of it.
    """
    text = response
    if (box := last_box(text)) is not None:
        return Extract(box, "box")
    for pattern in (_HASHES, _LETTER_A):
        found = [m.group(1).strip() for m in pattern.finditer(text)]
        if pattern is _LETTER_A:
            found = [x for x in found if len(x) <= _SENTENCE_CHARS or not _WORD.search(x)]
        if found := [x for x in found if _STATES.match(x) and not _NUMBERED.match(x)]:
            return Extract(found[-1], "marker")
    if (phrase := _phrase(text)) is not None:
        return Extract(phrase, "phrase")
    if formulas and (formula := _whole(text) or _last_formula(text)) is not None:
        return Extract(formula, "last formula")
    if (number := last_number(text)) is not None:
        return Extract(number, "last number")
    return Extract(None, "no answer found")


def last_box(text: str) -> str | None:
    """Content of the last complete box that is not empty; boxes joined by "and", "or" or a comma are one list."""
    starts = list(_BOX.finditer(text))
    found = _boxes(text, starts[-MAX_BOXES:], None)
    first = _first_joined(text, found)
    if found is None or (not first and len(starts) > MAX_BOXES):
        found = _boxes(text, starts, closing_braces(text))
        first = _first_joined(text, found)
    return _of_sentence(", ".join(box[2] for box in found[first:])) if found else None


def _boxes(
    text: str, starts: Sequence[re.Match[str]], closing: dict[int, int] | None
) -> list[tuple[int, int, str]] | None:
    """Start, end and content of the boxes that are complete and not empty.

    `closing`: as `closing_braces` gives it. Without it the result is None where a box may close further on than its end
    was looked for.
    """
    boxes: list[tuple[int, int, str]] = []
    end = 0
    unsure = False
    for m in starts:
        if m.start() < end:
            continue  # inside of the box before
        if text[m.end() : m.end() + 1] == "{":
            try:
                if closing is None:
                    end = m.end() + group(text[m.end() : m.end() + MAX_BOX_CHARS], 0)
                else:
                    end = closing.get(m.end()) or end
            except ParseError:
                unsure |= len(text) - m.end() > MAX_BOX_CHARS
                continue  # cut off, or long
            if end <= m.end():
                continue  # cut off
            content = " ".join(text[m.end() + 1 : end - 1].split())
        else:  # \boxed 5
            word = _BARE_BOX.match(text, m.end())
            if word is None:
                continue
            content, end = word.group().rstrip(".,"), word.end()
        if content.strip():
            boxes.append((m.start(), end, content.strip()))
    return None if unsure else boxes


def _first_joined(text: str, boxes: Sequence[tuple[int, int, str]] | None) -> int:
    """Number of the first of the boxes that make one list with the last."""
    first = len(boxes) - 1 if boxes else 0
    while boxes and first and _joined(text, boxes[first - 1][1], boxes[first][0]):
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
    found = list(_MATH.finditer(content))
    if len(found) != 1:
        return content
    outside = content[: found[0].start()] + " " + content[found[0].end() :]
    words = re.findall(r"[A-Za-z]+", outside)
    if len(words) < 2 or re.search(r"[\d\\]", outside) or CHANGES_MEANING & {word.lower() for word in words}:
        return content
    return strip_edges(next(g for g in found[0].groups() if g is not None))


def _joined(text: str, end: int, start: int) -> bool:
    between = text[end:start]
    words = " ".join(_TYPESET.sub(" ", between).split()) if len(between) <= 60 else None
    return not between or (words is not None and _JOINT.fullmatch(words) is not None)


def _phrase(text: str) -> str | None:
    """What the last statement of the answer states, looked for in so many characters at a time from the end on."""
    end = len(text)
    while end > 0:
        start = max(0, end - MAX_PHRASE_CHARS)
        if (found := _phrase_between(text, start, min(len(text), end + MAX_STATEMENT_CHARS))) is not None:
            return found
        end = start
    return None


def _phrase_between(text: str, start: int, end: int) -> str | None:
    found: str | None = None
    last = None
    m = _PHRASE.search(text, start, end)
    while m is not None:
        content = statement(m.group(1))
        if not any(c.isalnum() for c in content) and m.group(1).lstrip(" *").startswith(("\\[", "$$")):
            content = statement(_rest(text, m.start(1)))  # a formula of more than `MAX_STATEMENT_CHARS`
        if any(c.isalnum() for c in content):
            found, last = content, m
        m = _PHRASE.search(text, m.start(1), end)  # "Final Answer: The answer is 3" states it twice
    if found is None:
        for last in _HEADING.finditer(text, start, end):
            found = statement(last.group(1))
    return found if last is None or len(last.group(1)) < MAX_STATEMENT_CHARS else statement(_rest(text, last.start(1)))


def _rest(text: str, start: int) -> str:
    """What a statement states that is longer than it is looked at first: to the end of its formula or line."""
    most = start + _MORE_CHARS
    for opening, closing in (("\\[", "\\]"), ("$$", "$$")):
        if text.startswith(opening, start) and (end := text.find(closing, start + 2)) >= 0:
            return text[start : min(end + 2, most)]
    end = text.find("\n", start, most)
    return text[start : most if end < 0 else end]


def statement(sentence: str) -> str:
    """The answer within the words after "the answer is"."""
    sentence = _HOPE.sub("", sentence)
    if sentence.lstrip(" *").startswith(("$", "\\(", "\\[")) and (m := _MATH.search(sentence)):
        rest = sentence[m.end() :].lstrip()
        if not re.match(r"(?:,|;|and\b|or\b)", rest):
            content = next(g for g in m.groups() if g is not None)
            return strip_edges(content) + ("%" if rest.startswith(("%", "\\%", "percent")) else "")
    if m := _SENTENCE.search(sentence):
        sentence = sentence[: m.start()]
    if _SUBJECT.match(sentence):  # "The area of $ABC$ is 12"
        parts = _CLAUSE.split(sentence)
        if len(parts) == 2 and _STATES.match(parts[1].lstrip()):
            sentence = parts[1]
    return strip_edges(sentence)


def _whole(text: str) -> str | None:
    """A short response that is nothing but LaTeX."""
    text = text.strip()
    return strip_edges(text) if len(text) <= 80 and text.startswith("\\") and "\n" not in text else None


def _last_formula(text: str) -> str | None:
    """The last formula of the last lines when no number stands behind it."""
    tail = text[-MAX_PHRASE_CHARS:]
    start = len(tail) - min(len("\n".join(tail.splitlines()[-12:])), 12_000)
    lines = tail[_open_formula(tail[:start]) :]
    found = None
    for found in _MATH.finditer(lines):  # noqa: B007 - the last one is wanted
        pass
    if found is None or NUMBER.search(lines, found.end()):
        return None
    content = next(g for g in found.groups() if g is not None)
    return strip_edges(content) if any(c.isdigit() for c in content) or "\\pi" in content else None


def _open_formula(head: str) -> int:
    """Where the formula begins that is open at the end of a text; the text's length where none is."""
    for opening, closing in (("\\[", "\\]"), ("\\(", "\\)")):
        at = head.rfind(opening)
        if at >= 0 and head.find(closing, at) < 0:
            return at
    plain = head.replace("\\$", "  ")
    if plain.count("$$") % 2:
        return plain.rfind("$$")
    line = plain.replace("$$", "  ").rpartition("\n")[2]
    return len(head) - len(line) + line.rfind("$") if line.count("$") % 2 else len(head)


def last_number(text: str) -> str | None:
    """The last number in the text, with its sign."""
    start = max(0, len(text) - MAX_PHRASE_CHARS)
    found = None
    for m in NUMBER.finditer(text, len(text[:start].rstrip("0123456789,."))):  # no number is cut in two
        found = m.group()
    return None if found is None else found.strip()
