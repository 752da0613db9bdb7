r"""Ways to write one thing, brought to one spelling before the text is read: numbers, intervals, binomials, degrees.

`numerals` and `signs` are part of every answer's normal form; `meant` changes words into signs for the tokenizer only,
so that a grade still shows the words. All are linear in the text.
"""

from __future__ import annotations

import re

_REPEATING = re.compile(
    r"(?<![\d.])(\d{0,30})\.(\d{0,30})"
    r"(?:\\(?:overline|bar)\s*\{?(\d{1,30})\}?|(\\dot\s*\{?\d\}?(?:\d{0,30}\\dot\s*\{?\d\}?)?)(?!\d))"
)
_BRACKETED_PERIOD = re.compile(r"([-−]?\s*\d{0,30})\.(\d{0,30})\((\d{1,30})\)\s*\.?")
_ELLIPSIS = re.compile(r"(?<![\d.])(\d{0,30})\.(\d{2,60})(?:\s?\.{3}|\s?…|\s?\\(?:ldots|dots|cdots)(?![A-Za-z]))")
_APOSTROPHES = re.compile(r"(?<![\d'’.,])[1-9]\d{0,2}(?:['’]\d{3})+(?![\d'’])")
_POINTS = re.compile(r"(?<![\d.,])[1-9]\d{0,2}(?:\.\d{3}){2,}(?![\d.])")
_COMMA = re.compile(r"(?<=\d)\{\s*,\s*\}(?=\d)")
_FRACTION = re.compile(r"(\d{1,30})分之(\d{1,30})")

_DEGREES = re.compile(
    r"(?:\\,|\\ |\s|\{\s*\}){0,6}(?:\^\s*\{?\s*\\circ\s*\}?|\\degree(?![A-Za-z]))\s*"
    r"(?:\\(?:text|mathrm|textrm|rm)\s*\{\s*([CF])\s*\}|([CF])(?![A-Za-z]))"
)
_OPEN_LEFT = re.compile(r"(^|\\cup|[=,;:|{(]|\\in|∪|∈)(\s*)\]\s*([^\[\]();]{1,200}[,;][^\[\]();]{1,200})([\[\])])")
_OPEN_RIGHT = re.compile(r"([\[(])([^\[\](),;]{1,200}[,;][^\[\](),;]{1,200})\[(?=\s*(?:$|\\cup|[,;|}.)]|∪))")
_COLOURS = re.compile(r"\\(?:textcolor|colorbox|bbox)\s*(?:\[[^\[\]]*\])?\s*(?:\{[^{}]*\}(?=\s*\{))?")
_C = r"(?:\\(?:text|mathrm|operatorname)\s*\{\s*C\s*\}|C)"
_P = r"(?:\\(?:text|mathrm|operatorname)\s*\{\s*P\s*\}|P)"
_GROUP = r"\s*\{?\s*(\w{1,9})\s*\}?\s*"
_CHOOSE = tuple(
    (re.compile(pattern), top, bottom)
    for pattern, top, bottom in (
        (rf"(?:\{{\s*\}})?\s*[_^]{_GROUP}{_C}_{_GROUP}", 1, 2),
        (rf"(?<![A-Za-z\\]){_C}_{_GROUP}\^{_GROUP}", 1, 2),
        (rf"(?<![A-Za-z\\]){_C}\^{_GROUP}_{_GROUP}", 2, 1),
        (r"(?<![\w.])(\d{1,4})C(\d{1,4})(?!\w)", 1, 2),
    )
)
_ARRANGE = re.compile(rf"(?:\{{\s*\}})?\s*[_^]{_GROUP}{_P}_{_GROUP}|(?<![\w.])(\d{{1,4}})P(\d{{1,4}})(?!\w)")
_MODULUS = re.compile(
    r"(?:\(\s*|\\left\(\s*)(?:\\(?:text|mathrm)\s*\{\s*mod\s*\}|\\?b?mod(?![A-Za-z]))\s*\{?([^(){}]{1,100})\}?\s*\)"
    r"|\\pmod\s+([A-Za-z0-9]+)"
)

_TEXT = r"(?:\\(?:text|mbox|textrm|mathrm)\s*\{\s*)?"
_REALS = re.compile(
    rf"{_TEXT}\b(?:the set of )?(?:all|any|every|each)(?: the)? (?:real|reals)"
    r"(?: (?:numbers?|values?))?(?: (?:of|for)(?: [a-z])?)?\b"
    r"(?:\s*\}?\s*\$?[a-z]\$?(?=\s*(?:$|\}|except|other|but)))?(\s*\}?)",
    re.IGNORECASE,
)
_EXCEPT = re.compile(
    rf"{_TEXT}\b(?:except(?: for)?|other than|excluding|besides|but not|apart from)\b\s*\}}?\s*(?:[a-z]\s*=\s*)?",
    re.IGNORECASE,
)
_NO_SOLUTION = re.compile(
    r"(?:the (?:equation|system|inequality) has |there (?:is|are) |it has )?"
    r"no (?:(?:real|integer|such|valid|positive|possible) ){0,2}"
    r"(?:solutions?|roots?|values?|numbers?|integers?)(?: sets?)?(?: exists?| of [a-z])?|(?:the )?(?:empty|null) set"
    r"|(?:方程|不等式)?(?:无|無|没有|沒有)(?:实数?|實數?|整数)?(?:解|根)|解は?なし|해가? ?없(?:음|다)"
    r"|keine lösung(?:en)?"
    r"|(?:pas de|aucune) solution|(?:sin|ninguna) solución|no hay solución|nessuna soluzione|sem solução|нет решений",
    re.IGNORECASE,
)
_INTEGER = re.compile(
    r"(?:[,;]|\s|\\(?:text|mbox|textrm)\s*\{|\(|\$|\}){0,12}"
    r"(?:(?:where|for|with|and|given|if)\s+)?[\s}$]{0,6}(?:(?:any|all|some|every|each|an|a)\s+)?"
    r"(?:(?:integers?\s*(?:values?\s+of\s+)?)[\s}$]{0,6}([a-z])|(?<![A-Za-z\\])([a-z])[\s}$]{0,6}"
    r"(?:\\text\s*\{|\s){0,6}(?:(?:is|are|be)\s+(?:an?\s+|any\s+|some\s+|arbitrary\s+)*integers?|(?:\\in|∈)\s*"
    r"(?:\\math(?:bb|bf|cal)\s*\{?\s*Z\s*\}?|\\Z(?![A-Za-z])|Z(?![A-Za-z])|ℤ)))[\s})$.]{0,12}$"
)

_MEMBERS = re.compile(
    r"\\\{([^:|{}]{1,100}(?:\{[^{}]{0,40}\}[^:|{}]{0,40}){0,4})(?::|\||\\mid)(\s*[a-z]\s*\\in\s*\\mathbb\s*\{?Z\}?\s*)\\\}"
)
"""The values for every integer as a set."""


def _repeated(whole: str, lead: str, period: str) -> str:
    """A repeating decimal as the fraction that it is."""
    top = int((whole or "0") + lead + period) - int((whole or "0") + lead)
    return rf"\frac{{{top}}}{{{'9' * len(period)}{'0' * len(lead)}}}"


def _dotted(m: re.Match[str]) -> str:
    period = m.group(3) or "".join(c for c in m.group(4) if c.isdigit())
    return _repeated(m.group(1), m.group(2), period)


def _shown(m: re.Match[str]) -> str:
    """A decimal that goes on as it began; unchanged where its digits do not show how."""
    digits = m.group(2)
    for size in range(1, len(digits) // 2 + 1):
        period = digits[-size:]
        times, rest = 1, digits[:-size]
        while rest.endswith(period):
            times, rest = times + 1, rest[:-size]
        if times >= (3 if size == 1 or rest else 2) or (size == 1 and not rest and times >= 2):
            return _repeated(m.group(1), rest, period)
    return m.group()


def numerals(text: str) -> str:
    """Digit groups closed, a decimal comma in braces as a point, repeating decimals as fractions."""
    if "'" in text or "’" in text:
        text = _APOSTROPHES.sub(lambda m: m.group().replace("'", "").replace("’", ""), text)
    if text.count(".") > 1:
        text = _POINTS.sub(lambda m: m.group().replace(".", ""), text)
        text = _ELLIPSIS.sub(_shown, text)
    if "\\" in text:
        text = _REPEATING.sub(_dotted, text)
        text = _ELLIPSIS.sub(_shown, text)
    if "{" in text and len(_COMMA.findall(text)) == 1:
        text = _COMMA.sub(".", text)
    if "(" in text and "." in text and (m := _BRACKETED_PERIOD.fullmatch(text.strip().strip("$"))):
        sign = "-" if m.group(1)[:1] in "-−" and m.group(1) else ""
        text = sign + _repeated(m.group(1).strip("-− "), m.group(2), m.group(3))
    return text if text.isascii() else _FRACTION.sub(r"\\frac{\2}{\1}", text)


def signs(text: str) -> str:
    r"""Reversed brackets as round ones, degrees Celsius as a unit, binomials as ``\binom``, colours dropped."""
    if "\\" in text:
        text = _DEGREES.sub(_scale, text)
        text = _COLOURS.sub("", text)
    if "]" in text or "[" in text:
        text = _OPEN_LEFT.sub(
            lambda m: f"{m.group(1)}{m.group(2)}({m.group(3)}{')' if m.group(4) == '[' else m.group(4)}", text
        )
        text = _OPEN_RIGHT.sub(r"\1\2)", text)
    if "C" in text:
        for pattern, top, bottom in _CHOOSE:
            text = pattern.sub(rf"\\binom{{\g<{top}>}}{{\g<{bottom}>}}", text)
    if "P" in text:
        text = _ARRANGE.sub(_arranged, text)
    return _MODULUS.sub(lambda m: rf"\pmod{{{m.group(1) or m.group(2)}}}", text) if "mod" in text else text


def _scale(m: re.Match[str]) -> str:
    return rf"\text{{ {'celsius' if 'C' in (m.group(1), m.group(2)) else 'fahrenheit'}}}"


def _arranged(m: re.Match[str]) -> str:
    n, k = (m.group(1), m.group(2)) if m.group(1) else (m.group(3), m.group(4))
    return rf"\frac{{{n}!}}{{({n}-{k})!}}" if n.isdigit() and k.isdigit() and int(n) >= int(k) else m.group()


def meant(text: str) -> str:
    r"""Words that stand for signs: all real numbers, no solution, "except", and ``k \in \mathbb{Z}`` as ``\family``."""
    if "eal" in text:
        text = _REALS.sub(r" \\mathbb{R} ", text)
        text = _EXCEPT.sub(r" \\setminus ", text) if "\\mathbb{R}" in text else text
        if text.count("}") == text.count("{") + 1 and text.endswith("}"):
            text = text[:-1]
    plain = text.replace("\\text", "").replace("\\mbox", "").replace("\\textbf", "").strip("{} .$").strip()
    if len(plain) < 60 and _NO_SOLUTION.fullmatch(plain):
        return r"\emptyset"
    if m := _MEMBERS.fullmatch(text):
        text = f"{m.group(1)}, {m.group(2)}"
    if ("Z" in text or "integer" in text or "ℤ" in text) and (m := _INTEGER.search(text)) and m.start():
        return text[: m.start()] + rf" \family {{{m.group(1) or m.group(2)}}}"
    return text
