r"""From the text of an answer to clean tokens: LaTeX spacing, styling, units and digit grouping are gone afterwards.

`flat` gives the string form that the first rung of the ladder compares; `tokenize` feeds `bon_eval.graders.parse`.
Both are linear in the length of their input, which callers keep below `MAX_ANSWER_CHARS`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bon_eval.graders.vocabulary import ALIASES, FUNCTIONS, STYLE, UNICODE, UNITS, WORD_ALIASES, WORD_COMMANDS

MAX_ANSWER_CHARS = 2_000
"""Longer answers are compared as strings only."""


class ParseError(ValueError):
    """The text is not in the grammar of answers."""


class LimitError(ParseError):
    """The text is too long or nested too deeply to be an answer that is worth a look."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token: kind is ``num``, ``let`` (variable), ``cmd`` (LaTeX command or function), ``text`` or ``op``."""

    kind: str
    value: str
    spaced: bool = False
    """Whether white space stood before it."""


_UNICODE_RE = re.compile("|".join(map(re.escape, sorted(UNICODE, key=len, reverse=True))))
_DIGITS = str.maketrans("０１２３４５６７８９", "0123456789")

_DROP = re.compile(
    r"\\(?:left|right|middle|big|Big|bigg|Bigg|bigl|bigr|Bigl|Bigr|biggl|biggr|Biggl|Biggr|displaystyle|textstyle"
    r"|scriptstyle|limits|nolimits|rm|bf|it|boldsymbol|bm|strut|mathstrut|allowbreak|nobreak|ensuremath"
    r"|normalsize|small|large|Large|unit|hfill|null|protect|relax)(?![A-Za-z])"
)
_SPACING = re.compile(r"\\(?:[,;:>! ]|quad(?![A-Za-z])|qquad(?![A-Za-z])|enspace(?![A-Za-z])|thinspace(?![A-Za-z]))|~")
_HSPACE = re.compile(r"\\(?:hspace|vspace|phantom|hphantom|vphantom|label|tag|color)\*?\{[^{}]*\}")
_THOUSANDS = re.compile(
    r"(?<=\d)(?:\{\s*,\s*\}\s?|\s?,\s?\\!\s*|\\,|\\;|\\:|\\ |\\!|~|\{\s*\\[,;: !]\s*\})(?=\d{3}(?!\d))"
)
_THOUSANDS_LOOSE = re.compile(r"(?<=\d)\s\{\s*,\s*\}\s?(?=\d{3}(?!\d))")
_SPACE_GROUPS = re.compile(r"(?<![\d.,])(\d{1,3}(?: \d{3})+)(?![\d])")
_CURRENCY = re.compile(r"\\?\$|[€£¥₹]|\\(?:pounds|euro|EUR)(?![A-Za-z])|\bUS(?:D)?(?=\s*\d)")
_MATH_DELIMITERS = re.compile(r"(?<!\\)\\[()\[\]]")
_NUMBER = re.compile(r"\d+(?:\.\d+)?|\.\d+")
_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+(?![\d])(?:\.\d+)?")
_COMMAND = re.compile(r"\\([A-Za-z]+|.)", re.DOTALL)
_LETTERS = re.compile(r"[A-Za-z]+")
_ABBREVIATION = re.compile(r"\b([ap])\.\s?m\b\.?", re.IGNORECASE)
_SQUARE_METRES = re.compile(r"(?<=\d)\s*[cdmk]?m[²³]")
_E_NOTATION = re.compile(r"(?<![A-Za-z\d.])(\d+(?:\.\d+)?|\.\d+)[eE]([+-]?\d{1,4})(?![\dA-Za-z.])")


_REPEATING = re.compile(r"(?<![\d.])(\d{0,30})\.(\d{0,30})\\(?:overline|bar)\s*\{?(\d{1,30})\}?")


def _repeating(m: re.Match[str]) -> str:
    """A repeating decimal as the fraction that it is."""
    whole, lead, period = m.group(1) or "0", m.group(2), m.group(3)
    top = int(whole + lead + period) - int(whole + lead)
    return rf"\frac{{{top}}}{{{'9' * len(period)}{'0' * len(lead)}}}"


def clean(text: str) -> str:
    """The text without math delimiters, styling, currency signs, TeX spacing and trailing punctuation."""
    if not text.isascii():
        text = _SQUARE_METRES.sub(" meters", text)
        text = _UNICODE_RE.sub(lambda m: UNICODE[m.group()], text).translate(_DIGITS)
    if "\\" in text or "{" in text or "~" in text:
        text = _THOUSANDS_LOOSE.sub("", _THOUSANDS.sub("", text))
        text = _REPEATING.sub(_repeating, text)
        text = _MATH_DELIMITERS.sub(" ", _DROP.sub("", _HSPACE.sub(" ", text)))
        text = _SPACING.sub(" ", text.replace("\\\\", "\x00")).replace("\x00", "\\\\")
    text = _ABBREVIATION.sub(r"\1m", _CURRENCY.sub(" ", text))
    text = _E_NOTATION.sub(r"\1*10^{\2}", text)
    text = _SPACE_GROUPS.sub(lambda m: m.group().replace(" ", ""), text)
    return strip_edges(text)


def strip_edges(text: str) -> str:
    """Without white space, sentence punctuation and Markdown emphasis around it; an ellipsis stays."""
    text = text.strip().strip("*").strip()
    while text and text[-1] in ".,;:!?" and not text.endswith(("...", "\\,", "\\;", "\\:", "\\!")):
        if text[-1] == "!" and len(text) > 1 and (text[-2].isalnum() or text[-2] in ")}"):
            break  # a factorial
        text = text[:-1].rstrip().rstrip("*").rstrip()
    return text


_FLAT_STYLE = re.compile(
    r"\\(?:text|mbox|textbf|textit|textrm|textnormal|mathrm|mathbf|mathit|operatorname|hbox|emph)\s*\{([^{}]*)\}"
)
_FLAT_FRAC = re.compile(r"\\(?:dfrac|tfrac|cfrac)(?![A-Za-z])")


_NEEDLESS_SPACE = re.compile(r"(?<![A-Za-z0-9])\s+|\s+(?![A-Za-z0-9])|(?<=\d)\s+(?=[A-Za-z])")


def flat(text: str) -> str:
    """The string that the first rung compares: cleaned, text wrappers opened, needless spaces gone."""
    text = clean(text)
    if "\\" in text:
        text = _FLAT_FRAC.sub(r"\\frac", _FLAT_STYLE.sub(r"\1", text))
    text = " ".join(_NEEDLESS_SPACE.sub("", text).split())
    return strip_edges(text)


def group(text: str, start: int, opening: str = "{", closing: str = "}") -> int:
    """Index just behind the group that opens at `start`; raises `ParseError` when it never closes."""
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


def tokenize(text: str, *, grouping: bool = True) -> list[Token]:
    """Tokens of an answer.

    `grouping`: whether ``1,234`` outside of brackets is one number (True) or two (False). Inside of brackets the
    comma always separates.
    """
    text = clean(text)
    if len(text) > MAX_ANSWER_CHARS:
        raise LimitError(f"longer than {MAX_ANSWER_CHARS} characters")
    tokens: list[Token] = []
    _scan(text, tokens, grouping, 0)
    return tokens


def _scan(text: str, out: list[Token], grouping: bool, nesting: int) -> None:
    if nesting > 12:
        raise LimitError("nested too deeply")
    i, n, spaced, depth = 0, len(text), False, 0
    while i < n:
        c = text[i]
        if c.isspace():
            spaced, i = True, i + 1
            continue
        if c.isdigit() or (c == "." and i + 1 < n and text[i + 1].isdigit()):
            m = (_GROUPED.match(text, i) if grouping and depth == 0 and nesting == 0 else None) or _NUMBER.match(
                text, i
            )
            if m is None:
                raise ParseError(f"character {c!r}")
            value, i = m.group().replace(",", ""), m.end()
            if i < n and text[i] == "." and not text.startswith("..", i):
                i += 1  # "4." is 4
            out.append(Token("num", value, spaced))
        elif c == "\\":
            i = _scan_command(text, i, out, grouping, spaced, nesting)
        elif c.isalpha() and c.isascii():
            i = _scan_word(text, i, out, spaced)
        elif c in "+-*/^_(){}[]|,;:=<>!%&'\"":
            depth += (c in "([") - (c in ")]")
            i = _scan_operator(text, i, out, spaced)
        elif c == ".":
            if text.startswith("...", i):
                out.append(Token("op", "...", spaced))
                i += 3
            else:
                i += 1
        else:
            raise ParseError(f"character {c!r}")
        spaced = False


def _scan_operator(text: str, i: int, out: list[Token], spaced: bool) -> int:
    two = text[i : i + 2]
    if two == "!=" and out and (out[-1].kind == "num" or out[-1].value in (")", "}")):
        two = "!"  # 5!=120
    if two in ("<=", ">=", "!=", "==", "**", "->"):
        table = {"<=": ("cmd", "le"), ">=": ("cmd", "ge"), "!=": ("cmd", "ne"), "==": ("op", "="), "**": ("op", "^")}
        if two not in table:
            raise ParseError("an arrow")
        out.append(Token(*table[two], spaced))
        return i + 2
    if text[i] != '"':
        out.append(Token("op", text[i], spaced))
    return i + 1


def _scan_command(text: str, i: int, out: list[Token], grouping: bool, spaced: bool, nesting: int) -> int:
    m = _COMMAND.match(text, i)
    if m is None:
        return i + 1  # a lone backslash at the end
    name, i = m.group(1), m.end()
    name = ALIASES.get(name, name)
    if name in ("begin", "end"):
        j = text.find("}", i)
        if j < 0:
            raise ParseError("an environment without a name")
        env = text[i:j].lstrip(" {").rstrip("*")
        i = j + 1
        if name == "begin" and env in ("array", "tabular") and text[i : i + 1] == "{":
            i = group(text, i)
        out.append(Token("cmd", f"{name} {env}", spaced))
        return i
    if name in STYLE:
        return _scan_style(text, i, name, out, grouping, spaced, nesting)
    if name == "\\":
        out.append(Token("cmd", "\\", spaced))
    elif name in ("{", "}"):
        out.append(Token("cmd", name, spaced))
    elif name in ("and", "or"):
        out.append(Token("op", ",", spaced))
    elif len(name) == 1 and name.isalpha():
        out.append(Token("let", name, spaced))
    elif name.isalpha():
        out.append(Token("cmd", name, spaced))
    else:
        out.append(Token("op", name, spaced))
    return i


def _scan_style(text: str, i: int, name: str, out: list[Token], grouping: bool, spaced: bool, nesting: int) -> int:
    while i < len(text) and text[i].isspace():
        i += 1
    if i >= len(text):
        return i
    if text[i] != "{":  # \mathbf x
        inner, end = text[i], i + 1
        if inner == "\\":
            raise ParseError("a style without an argument")
    else:
        end = group(text, i)
        inner = text[i + 1 : end - 1]
    word = inner.strip()
    if name == "mathbb" and word in "RZQCN":
        out.append(Token("cmd", {"R": "Reals"}.get(word, "set" + word), spaced))
    elif name in ("boxed", "fbox", "underline"):
        _scan(inner, out, grouping, nesting + 1)
    elif word.strip(" ,").lower() in ("and", "or"):
        out.append(Token("op", ",", spaced))
    elif not word:
        pass
    elif len(word) == 1 and word.isalpha() and name not in ("text", "mbox", "textbf", "textit", "textrm"):
        out.append(Token("let", word, spaced))
    elif word in FUNCTIONS:
        out.append(Token("cmd", word, spaced))
    elif any(c.isdigit() for c in word) or "\\" in word:
        _scan(word, out, grouping, nesting + 1)
    elif len(word) > 1 and word.isalpha() and name in ("vec", "overrightarrow", "hat", "mathbf", "mathit"):
        out.extend(Token("let", c) for c in word)
    else:
        out.append(Token("text", " ".join(word.lower().split()), True))
    return end


def _scan_word(text: str, i: int, out: list[Token], spaced: bool) -> int:
    m = _LETTERS.match(text, i)
    if m is None:
        raise ParseError("a letter")
    word, end = m.group(), m.end()
    lower = word.lower()
    after_value = bool(out) and (out[-1].kind in ("num", "text") or out[-1].value in ("}", ")", "circ", "%", "^"))
    if word in ("and", "or"):
        out.append(Token("op", ",", spaced))
    elif after_value and lower in ("am", "pm"):
        out.append(Token("text", lower, True))
    elif word == "U" and out and out[-1].value in (")", "]", "}"):
        out.append(Token("cmd", "cup", spaced))
    elif word in WORD_ALIASES:
        out.append(Token("cmd", WORD_ALIASES[word], spaced))
    elif after_value and word in UNITS and (spaced or len(word) > 1):
        out.append(Token("text", lower, True))
    elif word in WORD_COMMANDS:
        out.append(Token("cmd", word, spaced))
    elif (
        any(c in "aeiou" for c in lower)
        and not (out and out[-1].value == "_")
        and len(word) >= (3 if after_value and spaced else 4)
    ):
        out.append(Token("text", lower, True))
    else:
        out.extend(Token("let", c, spaced and k == 0) for k, c in enumerate(word))
    return end
