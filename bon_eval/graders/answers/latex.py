"""From the text of an answer to tokens, linear in its length."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bon_eval.graders.answers.clean import clean
from bon_eval.graders.answers.vocabulary import ALIASES, FUNCTIONS, STYLE, UNITS, WORD_ALIASES, WORD_COMMANDS
from bon_eval.graders.language.groups import ParseError, group
from bon_eval.graders.language.notation import meant
from bon_eval.graders.language.tables import CJK_JOINS, LETTER_JOINS

MAX_ANSWER_CHARS = 2_000
"""Longer answers are compared as strings only."""
TOO_LONG = f"too long: the answer has more than {MAX_ANSWER_CHARS:,} characters"
"""Why such an answer is unscored."""


CHANGED = "a word that changes the value"
GOES_ON = "a decimal that goes on"


class LimitError(ParseError):
    """The text is too long or nested too deeply to be an answer that is worth a look."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token: kind is ``num``, ``let`` (variable), ``cmd`` (LaTeX command or function), ``text`` or ``op``."""

    kind: str
    value: str
    spaced: bool = False
    """Whether white space stood before it."""


JOINS = (LETTER_JOINS | set(CJK_JOINS)) - UNITS - {"en"}
_NUMBER = re.compile(r"\d+(?:\.\d+)?|\.\d+")
_GROUPED = re.compile(r"(?:(?!0)\d{1,3}(?:,\d{3})+|[1-9]\d?(?:,\d{2}){1,4},\d{3})(?!\d)(?:\.\d+)?")
_COMMAND = re.compile(r"\\([A-Za-z]+|.)", re.DOTALL)
_LETTERS = re.compile(r"[A-Za-z]+")
_WORD = re.compile(r"[A-Za-z]*[\u00c0-\u024f\u1e00-\u1eff][A-Za-z\u00c0-\u024f\u1e00-\u1eff]*")
_SCRIPT = re.compile(r"(?:(?![\u0370-\u03ff])[^\W\d_A-Za-z])+")
_RATE = re.compile(r"(?=.*(?:\\|\^\{?-))(?:[A-Za-z]{1,4}(?:\^\{?-?\d\}?)?(?:\s|\\cdot|\\times|\\|[/.,*]){0,4}){1,5}")
"""Units with signs of TeX between them, or negative powers: ``m s^{-1}``."""
_WITHOUT = re.compile(r"\s*\\(?:setminus|backslash|smallsetminus)")
_TELLS = re.compile(r"((?:[A-Za-z']{1,20}\s){1,6}(?:is|are|equals)):?\s(?=[-$]?[\d\\])")
"""Words before a value within a text."""
_GLUED = re.compile(r"(?:and|or)(?=[A-Zx-z])")


def tokenize(text: str, *, grouping: bool = True) -> list[Token]:
    """Tokens of an answer.

    `grouping`: whether ``1,234`` outside of brackets is one number (True) or two (False). Inside of brackets the
    comma always separates.
    """
    text = meant(clean(text))
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
        elif c.isalpha() and c.isascii() and (text.isascii() or not _WORD.match(text, i)):
            i = _scan_word(text, i, out, spaced)
        elif c.isalpha() and not "\u0370" <= c < "\u0400":
            i = _scan_script(text, i, out, spaced)
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


def _scan_script(text: str, i: int, out: list[Token], spaced: bool) -> int:
    """A word in letters that are not ASCII; Greek ones are symbols."""
    m = _WORD.match(text, i) or _SCRIPT.match(text, i)
    if m is None:
        raise ParseError(f"character {text[i]!r}")
    word = m.group().lower()
    out.append(Token("op", ",", spaced) if word in CJK_JOINS or word in LETTER_JOINS else Token("text", word, True))
    return m.end()


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
    if name in ("text", "mathrm") and out and out[-1].kind == "num" and _RATE.fullmatch(word):
        out.append(Token("text", "a rate", True))
    elif (name == "mathbb" and word in "RZQCN") or (word == "R" and _WITHOUT.match(text, end)):
        out.append(Token("cmd", {"R": "Reals"}.get(word, "set" + word), spaced))
    elif name in ("boxed", "fbox", "underline"):
        _scan(inner, out, grouping, nesting + 1)
    elif word.strip(" ,").lower() in ("and", "or") or (word.lower() in JOINS and (len(word) > 1 or word != inner)):
        out.append(Token("op", ",", spaced))
    elif not word:
        pass
    elif len(word) == 1 and word.isalpha() and name not in ("text", "mbox", "textbf", "textit", "textrm"):
        out.append(Token("let", word, spaced))
    elif word in FUNCTIONS:
        out.append(Token("cmd", word, spaced))
    elif name == "text" and (told := _TELLS.match(word)):
        out.append(Token("text", told.group(1).lower(), True))
        _scan(word[told.end() :], out, grouping, nesting + 1)
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
    if word in ("and", "or") or (len(word) > 1 and word in JOINS):
        out.append(Token("op", ",", spaced))
    elif (joint := _GLUED.match(word)) and out and out[-1].kind == "num":  # 1orx=2
        out.append(Token("op", ",", spaced))
        end = m.start() + joint.end()
    elif after_value and lower in ("am", "pm"):
        out.append(Token("text", lower, True))
    elif word == "U" and out and out[-1].value in (")", "]", "}"):
        out.append(Token("cmd", "cup", spaced))
    elif len(out) > 1 and out[-1].value == "/" and out[-2].kind == "text":  # km/h
        out.append(Token("text", lower, spaced))
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
