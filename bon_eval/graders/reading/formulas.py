r"""A response's last formula, between delimiters or without: ``So x = \frac{3}{8}`` is 3/8 and not 8."""

from __future__ import annotations

import re

from bon_eval.graders.answers.clean import strip_edges
from bon_eval.graders.answers.latex import MAX_ANSWER_CHARS
from bon_eval.graders.language.numerals import DIGITS
from bon_eval.graders.language.tables import CJK_JOINS, LETTER_JOINS, OR_WORDS
from bon_eval.graders.reading.numbers import NUMBER
from bon_eval.graders.reading.statements import MATH

_LINES = 12
_MOST_CHARS = 12_000
"""Of the lines; a formula that is open where they begin is read from its beginning."""
_LINE_CHARS = 1_000
_STATED_BEFORE = re.compile(
    r"(?:\b(?:is|are|be|equals|get|gets|got|gives?|obtain|have|find|yields?|becomes|thus|so|therefore|hence|to)|[:=,]|^)"
    r"\s*\**\s*$",
    re.IGNORECASE,
)
_JOINED = re.compile(rf"\s*,?\s*(?:({'|'.join(OR_WORDS)})|and|{'|'.join((*CJK_JOINS, *LETTER_JOINS))})?\s*")

_TOKEN = re.compile(
    r"(?P<command>\\[A-Za-z]+(?:\d(?![.\d]))?|\\[{}|,;:!% ])"
    rf"|(?P<number>(?<![A-Za-z]){DIGITS})"
    r"|(?P<unit>(?<=[\d ])[A-Za-z]{1,12}(?=\^\{?[23]|[²³]))"
    r"|(?P<name>(?<![A-Za-z])(?:sqrt|pi|sin|cos|tan|log|ln|arctan|mod|gcd|lcm|cdot|frac|times)(?![A-Za-z]))"
    r"|(?P<or>(?<= )or(?= ))"
    r"|(?P<letter>(?<![A-Za-z'’])[A-Za-zθαβγλ](?![A-Za-z'’]))"
    r"|(?P<ratio>(?<=\d):(?=\d)|(?<=\d )[:](?= \d))|(?P<sign>[-−+*/^_=<>(){}\[\]|!%°²³⁴√π∞≤≥≠±×÷·∪∈≡≈&'])"
)
_RELATION = re.compile(r"[=<>≤≥≠∈]|\\(?:leq?|geq?|neq?|in|equiv|approx)(?![A-Za-z])")
_NAMED = re.compile(r"\s*([A-Za-z](?:_\d)?)\s*(?:=|[<>≤≥≠]|\\(?:leq?|geq?|neq?)(?![A-Za-z]))")
_NEXT_NAME = re.compile(r"(?:,|,?\s*and\s)\s*(?=[A-Za-z](?:_\d)?\s*=)")
_ENVIRONMENT = re.compile(r"\\begin\{([pbvBV]?matrix|array|cases)\}(?:(?!\\begin).){1,1000}?\\end\{\1\}", re.DOTALL)
_CONDITION = re.compile(r"\b(?:when|where|if|since|because|whenever|provided)\s*$", re.IGNORECASE)
_GAP = re.compile(r"[ \t]*")


def last_delimited(text: str) -> str | None:
    """The last formula between delimiters where no number stands behind it; those that "or" joins to it with it."""
    lines = _tail(text)
    found = list(MATH.finditer(lines))
    if not found or NUMBER.search(lines, found[-1].end()):
        return None
    content = _content(found[-1])
    digits = any(c.isdigit() for c in content) or "\\pi" in content or "infty" in content or "emptyset" in content
    if not digits and not (len(content.strip()) > 1 and _states(lines, found[-1])):
        return None
    parts, k = [content], len(found) - 1
    while k and (m := _JOINED.fullmatch(lines[found[k - 1].end() : found[k].start()])):
        before = _content(found[k - 1])
        if not m.group().strip() or (name := _name(before)) is None or name != _name(parts[0]):
            break
        parts.insert(0, before)
        k -= 1
    return strip_edges(", ".join(parts))


def _states(lines: str, m: re.Match[str]) -> bool:
    """Whether a formula without digits is what a sentence ends with, and is said to be something."""
    content = _content(m)
    before = lines[: m.start()].rpartition("\n")[2]
    behind = lines[m.end() :].split("\n")[0]
    ends = re.match(r"[\s.*!]*(?:$|[A-Z])", behind) is not None
    return ends and ("=" in content or _STATED_BEFORE.search(before) is not None)


def _content(m: re.Match[str]) -> str:
    return next(g for g in m.groups() if g is not None)


def _name(content: str) -> str | None:
    """What a formula is about: its letter, nothing where it is a value, None for anything longer."""
    if not _RELATION.search(content):
        return ""
    m = _NAMED.match(content)
    return None if m is None or _RELATION.search(content, m.end()) else m.group(1)


def _tail(text: str) -> str:
    start = len(text) - min(len("\n".join(text.splitlines()[-_LINES:])), _MOST_CHARS)
    return text[_open_formula(text[:start]) :]


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


def last_run(text: str, *, algebra: bool) -> str | None:
    """The last formula that stands without delimiters, where it is more than a number; None else.

    `algebra`: whether letters with signs between them, and lists in brackets, are formulas too.
    """
    if "\\end{" in text[-_LINE_CHARS:] and (matrices := list(_ENVIRONMENT.finditer(text[-2 * _LINE_CHARS :]))):
        last = matrices[-1]
        if not any(c.isdigit() for c in last.string[last.end() :]):
            return last.group()
    for line in reversed(text.splitlines()[-_LINES:]):
        bare = line if algebra else line.replace("\\$", "").replace("$", "")
        for stretch in reversed(_runs(_prepared(bare))):
            run = stretch if len(stretch) > MAX_ANSWER_CHARS else _trimmed(stretch)
            formula = _formula(run, algebra=algebra)
            if formula is not None:
                return formula
            if any(c.isdigit() for c in run):
                return None  # a plain number
    return None


_REMARK = re.compile(r"(?<=[\w%)$}])\s+\((?!\s*mod\b)[^()\\]{0,200}[^\W\d_]{2}[^()\\]{0,200}\)")


_OR_BETWEEN = re.compile(r"(?<=[\d)}])\s{0,3}(?:或者?|または|또는|или|oder|ou|o)\s{0,3}(?=[A-Za-z]\s?=)")


def _prepared(line: str) -> str:
    """An x between numbers is a sign; a remark in brackets is no part of the formula before it."""
    if " (" in line:
        bare = _REMARK.sub("", line)
        line = bare if any(c.isdigit() for c in bare) else line
    if ">=" in line or "<=" in line:
        line = line.replace(">=", "≥").replace("<=", "≤")
    if not line.isascii():
        line = _OR_BETWEEN.sub(" or ", line)
    return re.sub(r"(?<=[\d)])\s+[xX]\s+(?=[\d(])", r" \\times ", line)


def _runs(line: str) -> list[str]:
    """The longest stretches of a line that are made of signs, numbers, commands and single letters."""
    runs: list[str] = []
    at, n = 0, len(line)
    while at < n:
        m = _TOKEN.match(line, at)
        if m is None or m.lastgroup == "or":
            at += 1
            continue
        start, end, depth = m.start(), m.start(), 0
        while m is not None:
            value = m.group()
            if m.lastgroup == "or" and depth:
                break
            depth += (value in "([{" or value == "\\{") - (value in ")]}" or value == "\\}")
            if depth < 0:
                break
            end = m.end()
            if m.lastgroup == "command" and value == "\\text" and (group := re.compile(r"\{[^{}]*\}").match(line, end)):
                end = group.end()
            gap = _GAP.match(line, end)
            following = gap.end() if gap is not None else end
            if depth and following < n and line[following] in ",;:.":
                gap = _GAP.match(line, following + 1)
                following = gap.end() if gap is not None else following + 1
            elif joint := _NEXT_NAME.match(line, following):
                following = joint.end()
            m = _TOKEN.match(line, following)
        if not _CONDITION.search(line[max(0, start - 12) : start]):
            runs.append(line[start:end])
        at = max(end, at + 1)
    return runs


def _trimmed(run: str) -> str:
    """Without signs, letters that are words, and brackets that close nothing at the ends."""
    while True:
        before = run
        run = run.strip().rstrip("=+*/^_<>&(-−[{'|").removesuffix(" or").strip()
        run = re.sub(r"^(?:[aAI]\s+(?=[-\d\\(])|[=*/^_<>&)'!%,\]}]+\s*|or\s+)", "", run)
        run = re.sub(r"(?<=[\d)}])\s+[A-Za-z]$|(?<=[\d)}])\s+\(?[aAI]$", "", run)
        run = re.sub(r"\s+\([^()]*$", "", run) if sum(map(run.count, "([")) > sum(map(run.count, ")]")) else run
        run = re.sub(r"(?<=[\d)}])\s+[A-Za-z]{1,3}\s?/\s?[A-Za-z]{1,3}(?:\^\{?\d\}?|[²³])?$", "", run)  # m/s^2
        if run == before:
            return run


_KNOWN = re.compile(
    r"\\(?:[dt]?frac|sqrt|pi|infty|emptyset|varnothing|[dt]?binom|times|cdot|pm|mp|cup|cap|in|leq?|geq?|neq?|circ|alpha|beta|"
    r"gamma|theta|lambda|phi|omega|mathbb|sin|cos|tan|log|ln|overline|setminus|pmod|\{)(?![A-Za-z])"
)
_SIGNED = re.compile(r"\^|\*\*|√|π|²|³|\bsqrt\b|\bpi\b|∞|∅|[\d)]_\{?\d|≡|\d\s?[+×·÷*]\s?[$€£]?\d|" + _KNOWN.pattern)
_ALGEBRA = re.compile(
    r"(?<![A-Za-z])[A-Za-z]\s?[-+*]\s?[\dA-Za-z(]|[\dA-Za-z)]\s?[-+*/]\s?\d?[A-Za-z](?![A-Za-z])|[<>≤≥≠]"
)
_PAIR = re.compile(r"[(\[{]\s*[-−\d][^()\[\]]*,[^()\[\]]*[)\]}]")
_RATIO = re.compile(r"\d+(?: ?: ?\d+)+")
_VALUES = re.compile(rf"[A-Za-z](?:_\d)?\s*=\s*[-−]?{DIGITS}(?:,?\s*(?:and\s+)?[A-Za-z](?:_\d)?\s*=\s*[-−]?{DIGITS})+")
"""``x = 2, y = 3``"""
_NUMBER_ONLY = re.compile(rf"[-−+]?\s*[$€£]?{DIGITS}\s*%?")


def _formula(run: str, *, algebra: bool) -> str | None:
    """A stretch as a formula; None where it is no more than a number."""
    if len(run) > MAX_ANSWER_CHARS:
        return run
    if algebra and _VALUES.fullmatch(run):
        return run
    run = _NEXT_NAME.split(run)[-1]
    side = run.rpartition("=")[2].strip()
    if " or " in run and any(c.isdigit() for c in run):
        return _metric(run)
    if _NUMBER_ONLY.fullmatch(side):
        return None
    if _SIGNED.search(run if algebra else side) and (any(c.isdigit() for c in run) or len(run) > 1):
        return _metric(run)
    if algebra and len(run) > 2 and (_ALGEBRA.search(side) or _PAIR.search(side) or _RATIO.fullmatch(side)):
        return run
    return None


def _metric(run: str) -> str:
    """A lone letter behind a space, with a power, is a unit."""
    return re.sub(r"(?<=\d)\s+([mgs])(?=\^\{?[23]|[²³])", r"\\text{ \1}", run)
