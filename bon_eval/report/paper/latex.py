"""LaTeX that plain pdflatex sets: any text escaped, numbers, and tables that need booktabs alone.

What LaTeX's standard fonts do not have stands as ``[U+4E2D]``, so that no name stops a paper from compiling or loses a
character in silence.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_\allowbreak{}",
    "/": r"/\allowbreak{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\texttt{\char34}",
    "`": r"\`{}",
    # A row that begins with one of these would be taken for an argument of the row before.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "\N{NO-BREAK SPACE}": "~",
    "\N{EN DASH}": "{--}",
    "\N{EM DASH}": "{---}",
    "\N{LEFT SINGLE QUOTATION MARK}": "{`}",
    "\N{RIGHT SINGLE QUOTATION MARK}": "{'}",
    "\N{LEFT DOUBLE QUOTATION MARK}": "{``}",
    "\N{RIGHT DOUBLE QUOTATION MARK}": "{''}",
    "\N{HORIZONTAL ELLIPSIS}": r"\ldots{}",
    "\N{SECTION SIGN}": r"\S{}",
    "\N{COPYRIGHT SIGN}": r"\copyright{}",
    "\N{POUND SIGN}": r"\pounds{}",
    "\N{DEGREE SIGN}": r"$^{\circ}$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "\N{PLUS-MINUS SIGN}": r"$\pm$",
    "\N{MINUS SIGN}": "$-$",
    "\N{MICRO SIGN}": r"$\mu$",
    "\N{LESS-THAN OR EQUAL TO}": r"$\leq$",
    "\N{GREATER-THAN OR EQUAL TO}": r"$\geq$",
    "\N{NOT EQUAL TO}": r"$\neq$",
    "\N{INFINITY}": r"$\infty$",
    "\N{RIGHTWARDS ARROW}": r"$\to$",
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "œ": r"\oe{}",
    "Œ": r"\OE{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
    "ı": r"\i{}",
}
_JOINED = "-',"
"""Two of one are a dash or a quotation mark in LaTeX."""
_BREAKS = re.compile(r"[\t\n\r\f\v\x1c-\x1f\x85\u2028\u2029]+")
_ACCENTS = {
    "\N{COMBINING GRAVE ACCENT}": "`",
    "\N{COMBINING ACUTE ACCENT}": "'",
    "\N{COMBINING CIRCUMFLEX ACCENT}": "^",
    "\N{COMBINING TILDE}": "~",
    "\N{COMBINING MACRON}": "=",
    "\N{COMBINING BREVE}": "u",
    "\N{COMBINING DOT ABOVE}": ".",
    "\N{COMBINING DIAERESIS}": '"',
    "\N{COMBINING RING ABOVE}": "r",
    "\N{COMBINING DOUBLE ACUTE ACCENT}": "H",
    "\N{COMBINING CARON}": "v",
    "\N{COMBINING DOT BELOW}": "d",
    "\N{COMBINING CEDILLA}": "c",
    "\N{COMBINING MACRON BELOW}": "b",
}
_GREEK = (
    *("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu"),
    *("xi", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega"),
)
_CAPITALS = ("Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Upsilon", "Phi", "Psi", "Omega")
_LETTERS = {
    unicodedata.lookup(f"GREEK {kind} LETTER {_spelt.upper()}"): rf"$\{name}$"
    for kind, names in (("SMALL", _GREEK), ("CAPITAL", _CAPITALS))
    for name in names
    for _spelt in (name.lower().replace("lambda", "lamda"),)
}


def escape(text: str) -> str:
    r"""Any text as LaTeX that shows it, on one line.

    >>> escape("50 % of a_b"), escape("café"), escape("\N{CJK UNIFIED IDEOGRAPH-4E2D}")
    ('50 \\% of a\\_\\allowbreak{}b', "caf\\'{e}", '{[}U+4E2D{]}')
    >>> escape("--x\n  [y]")
    '-{}-x \\ \\ {[}y{]}'
    """
    out, before = [], " "
    for character in _BREAKS.sub(" ", text):
        if character == before == " ":
            out.append("\\ ")  # LaTeX keeps one blank of several, and none at the beginning
        else:
            out.append(("{}" if character == before and character in _JOINED else "") + _character(character))
        before = character
    return "".join(out)


def _character(character: str) -> str:
    if (found := _SPECIAL.get(character) or _LETTERS.get(character)) is not None:
        return found
    if " " <= character <= "~":
        return character
    parts = unicodedata.normalize("NFD", character)
    base, mark = parts[0], parts[1:]
    if mark in _ACCENTS and base.isascii() and base.isalpha():
        return rf"\{_ACCENTS[mark]}{{{base}}}"
    return f"{{[}}U+{ord(character):04X}{{]}}"


def number(value: float | None, form: str) -> str:
    """A number in math mode, whose minus is one; a dash where there is none.

    >>> number(-1.25, "+.1f"), number(None, ".1f")
    ('$-1.2$', '--')
    """
    return "--" if value is None or math.isnan(value) else f"${value:{form}}$"


def interval(low: float, high: float, form: str, scale: float = 1.0) -> str:
    """The ends of an interval; empty where there is none.

    >>> interval(-0.0123, 0.4, "+.1f", 100.0), interval(-2.0, math.inf, ".1f"), interval(math.nan, 1.0, ".1f")
    ('$[-1.2, +40.0]$', '$[-2.0, \\\\infty)$', '')
    """
    if math.isnan(low) or math.isnan(high):
        return ""
    first = f"[{scale * low:{form}}" if math.isfinite(low) else r"(-\infty"
    last = f"{scale * high:{form}}]" if math.isfinite(high) else r"\infty)"
    return f"${first}, {last}$"


@dataclass(frozen=True, slots=True)
class Table:
    """A table of LaTeX, its texts escaped already."""

    label: str
    """Behind ``tab:``."""
    caption: str
    heads: tuple[tuple[str, int], ...]
    """Headings from left to right, each over so many columns."""
    groups: Sequence[Sequence[Sequence[str]]]
    """Rows in groups, with a rule between them."""
    left: int = 1
    """So many columns are aligned left, the others right."""


def render_table(table: Table, *, wide: bool) -> str:
    r"""The table as a file to ``\input``.

    `wide`: over both columns of a page with two.
    """
    environment = "table*" if wide else "table"
    columns = sum(span for _, span in table.heads)
    heads = [head if span == 1 else rf"\multicolumn{{{span}}}{{c}}{{{head}}}" for head, span in table.heads]
    lines = [
        r"% Needs \usepackage{booktabs} and nothing else. Made by bon-eval figures --latex, which writes it anew.",
        rf"\begin{{{environment}}}[t]",
        r"  \centering",
        r"  \footnotesize",
        r"  \setlength{\tabcolsep}{3pt}",
        rf"  \caption{{{table.caption}}}",
        rf"  \label{{tab:{table.label}}}",
        r"  \medskip",
        rf"  \begin{{tabular}}{{@{{}}{'l' * table.left}{'r' * (columns - table.left)}@{{}}}}",
        r"    \toprule",
        rf"    {' & '.join(heads)} \\",
    ]
    for rows in table.groups:
        if rows:
            lines += [r"    \midrule", *(rf"    {' & '.join(row)} \\" for row in rows)]
    lines += [r"    \bottomrule", r"  \end{tabular}", rf"\end{{{environment}}}"]
    return "\n".join(line.rstrip() for line in lines) + "\n"
