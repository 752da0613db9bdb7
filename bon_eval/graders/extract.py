r"""Where a response states its answer: box, marker, phrase, last number, in this order. Linear in the response."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bon_eval.graders.answers.clean import strip_edges
from bon_eval.graders.answers.latex import ParseError, group
from bon_eval.graders.answers.vocabulary import CHANGES_MEANING

MAX_RESPONSE_CHARS = 200_000
"""Only this much of a response's end is read."""

MAX_PHRASE_CHARS = 20_000
"""Phrases and bare numbers are looked for in this much of the end."""
MAX_BOXES = 32
"""Only this many boxes from the end are looked at."""
MAX_BOX_CHARS = 10_000
"""A box that is longer is taken for one that never closes."""


@dataclass(frozen=True, slots=True)
class Extract:
    """What was read, and where."""

    answer: str | None
    where: str
    """``box``, ``marker``, ``phrase``, ``last formula``, ``last number``, ``last line`` or ``no answer found``."""


_BOX = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])\s*")
_TYPESET = re.compile(r"\\(?:text|mbox|mathrm)\s*\{|\\q?quad|\\[()\[\],;: ]|[\s$*{}]")
_JOINT = re.compile(r"(?:[,;]|[.,;]? ?(?:(?:for )?[a-z]{2,12} (?:\([a-z]\) )?)?(?:and|or))(?: ?[A-Za-z](?:_\d)? ?=)?")
"""What joins two boxes to one list: ``,``, ``and``, ``or``, one noun before, the name of the next value behind."""
_HASHES = re.compile(r"####[ \t]*([^\n]*)")
_LETTER_A = re.compile(r"^[ \t>*]*A:[ \t]*([^\n]{1,60})$", re.MULTILINE)
_STATES = re.compile(
    r"[*\s]*(?:[-−+$€£\\(\[{.]*\s*\d|[-−+$]*\\[A-Za-z({[]|[A-Za-z]\w{0,8}\s*=|[([{]|[A-Za-z]{1,12}[*.]*$)"
)
"""How the content of a marker begins, apart from Markdown's headings: "#### Step 2"."""
_NUMBERED = re.compile(r"\d+[.)]\s+[A-Za-z*]")
_PHRASE = re.compile(
    r"\banswer\b(?:\s+(?:to|of|for)\s[^\n.:]{0,80}?)?"
    r"(?:\s*(?:\*\*)?\s*(?:\bis\b|\bare\b|\bwill be\b|:|=)\s*(?:\*\*)?\s*:?)"
    r"(?:\s*(?:that|simply|therefore|thus|equal to|just)\b)?"
    r"[ \t]*\n?[ \t]*((?:\\\[|\$\$)[\s\S]{1,1000}?(?:\\\]|\$\$)|[^\n]{1,1000})",
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
    text = response[-MAX_RESPONSE_CHARS:]
    if (box := last_box(text)) is not None:
        return Extract(box, "box")
    for pattern in (_HASHES, _LETTER_A):
        found = [m.group(1).strip() for m in pattern.finditer(text)]
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
    boxes: list[tuple[int, int, str]] = []
    end = 0
    for m in list(_BOX.finditer(text))[-MAX_BOXES:]:
        if m.start() < end:
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
        if content.strip():
            boxes.append((m.start(), end, content.strip()))
    if not boxes:
        return None
    first = len(boxes) - 1
    while first and _joined(text, boxes[first - 1][1], boxes[first][0]):
        first -= 1
    return _of_sentence(", ".join(box[2] for box in boxes[first:]))


def _of_sentence(content: str) -> str:
    """The formula of a boxed sentence that holds one and no number beside it; anything else as it is."""
    if "$" not in content and "\\(" not in content:
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
    found: str | None = None
    text = text[-MAX_PHRASE_CHARS:]
    m = _PHRASE.search(text)
    while m is not None:
        content = statement(m.group(1))
        if any(c.isalnum() for c in content):
            found = content
        m = _PHRASE.search(text, m.start(1))  # "Final Answer: The answer is 3" states it twice
    if found is None and (headings := _HEADING.findall(text)):
        found = statement(headings[-1])
    return found


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
    tail = text[-MAX_PHRASE_CHARS:].splitlines()[-12:]
    lines = "\n".join(line[-1_000:] for line in tail)
    found = None
    for found in _MATH.finditer(lines):  # noqa: B007 - the last one is wanted
        pass
    if found is None or NUMBER.search(lines, found.end()):
        return None
    content = next(g for g in found.groups() if g is not None)
    return strip_edges(content) if any(c.isdigit() for c in content) or "\\pi" in content else None


def last_number(text: str) -> str | None:
    """The last number in the text, with its sign."""
    found = None
    for m in NUMBER.finditer(text[-MAX_PHRASE_CHARS:]):
        found = m.group()
    return None if found is None else found.strip()
