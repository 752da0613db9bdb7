r"""The text of an answer without what does not matter: delimiters, styling, currency, TeX spacing, digit grouping.

`flat` gives the string form that the first rung of the ladder compares; `clean` is what the tokenizer reads. Both are
linear in the length of their input.
"""

from __future__ import annotations

import re

from bon_eval.graders.answers.vocabulary import UNICODE
from bon_eval.graders.language.groups import ParseError, group
from bon_eval.graders.language.notation import numerals, signs

_UNICODE_RE = re.compile("|".join(map(re.escape, sorted(UNICODE, key=len, reverse=True))))
_DIGITS = str.maketrans("０１２３４５６７８９", "0123456789")

_DROP = re.compile(
    r"\\(?:left|right|middle|big|Big|bigg|Bigg|bigl|bigr|Bigl|Bigr|biggl|biggr|Biggl|Biggr|displaystyle|textstyle"
    r"|scriptstyle|limits|nolimits|rm|bf|it|boldsymbol|bm|strut|mathstrut|allowbreak|nobreak|ensuremath"
    r"|normalsize|small|large|Large|unit|hfill|null|protect|relax)(?![A-Za-z])"
)
_SPACING = re.compile(r"\\(?:[,;:>! ]|q?quad|enspace(?![A-Za-z])|thinspace(?![A-Za-z]))|~")
_HSPACE = re.compile(r"\\(?:hspace|vspace|phantom|hphantom|vphantom|label|tag|color)\*?\{[^{}]*\}")
_THOUSANDS = re.compile(
    r"(?<=\d)(?:\{\s*,\s*\}\s?|\s?,\s?\\!\s*|\\,|\\;|\\:|\\ |\\!|~|\{\s*\\[,;: !]\s*\})(?=\d{3}(?!\d))"
)
_THOUSANDS_LOOSE = re.compile(r"(?<=\d)\s\{\s*,\s*\}\s?(?=\d{3}(?!\d))")
_SPACE_GROUPS = re.compile(r"(?<![\d.,])(\d{1,3}(?: \d{3})+)(?![\d])")
_CURRENCY = re.compile(r"\\?\$|[€£¥₹]|\\(?:pounds|euro|EUR)(?![A-Za-z])|\bUS(?:D)?(?=\s*\d)|\bRs\b\.?(?=\s?\d)")
_MATH_DELIMITERS = re.compile(r"(?<!\\)\\[()\[\]]")
_ABBREVIATION = re.compile(r"\b([ap])\.\s?m\b\.?", re.IGNORECASE)
_BLANKS = re.compile(r" {3,}")
_METRES = re.compile(r"(?<=\d)\s*([cdmk]?m)([²³])")
_DOUBLED = re.compile(r"(?<!\\)\\\\[A-Za-z]{2}")
_ENVIRONMENT = re.compile(r"(?<!\\)\\begin")
_DOUBLED_SIGN = re.compile(r"(?<!\\)\\\\(?=[A-Za-z]{2}|[{}%$,;!])")
_E_NOTATION = re.compile(r"(?<![A-Za-z\d.])(\d+(?:\.\d+)?|\.\d+)[eE]([+-]?\d{1,4})(?![\dA-Za-z.])")


_CROSS = re.compile(r"(?<=\d)(?:\s{1,3}[xX]\s{1,3}(?=\d)|\s?[xX]\s?(?=10\^))")
_ABOUT = re.compile(r"^(?:\\(?:approx|thickapprox|simeq|sim)(?![A-Za-z])|≈)\s*(?=[-\d\\.])")
"""Before a value: it is given rounded."""
_WHOLE = re.compile(r"(?:\\(?:boxed|fbox)\s*)?\{")


def clean(text: str) -> str:
    """The text without math delimiters, styling, currency signs, TeX spacing and trailing punctuation."""
    if "   " in text:
        text = _BLANKS.sub("  ", text)
    if not text.isascii():
        text = _METRES.sub(lambda m: rf"\text{{ {m.group(1)}}}^{'²³'.index(m.group(2)) + 2}", text)
        text = _UNICODE_RE.sub(lambda m: UNICODE[m.group()], text).translate(_DIGITS)
    if "\\\\" in text and _DOUBLED.search(text):  # escaped once more on its way, as in JSON
        if "\\\\begin" in text:
            text = text.replace("\\\\", "\\")
        elif not _ENVIRONMENT.search(text):  # where it ends a row
            text = _DOUBLED_SIGN.sub(r"\\", text)
    if "\\" in text or "{" in text or "~" in text:
        text = _THOUSANDS_LOOSE.sub("", _THOUSANDS.sub("", text))
        text = _MATH_DELIMITERS.sub(" ", _DROP.sub("", _HSPACE.sub(" ", text)))
        text = _SPACING.sub(" ", text.replace("\\\\", "\x00")).replace("\x00", "\\\\")
    text = _CROSS.sub(r"\\times ", text) if "x" in text or "X" in text else text
    text = signs(numerals(text))
    text = _ABBREVIATION.sub(r"\1m", _CURRENCY.sub(" ", text))
    text = _E_NOTATION.sub(r"\1*10^{\2}", text)
    text = _SPACE_GROUPS.sub(lambda m: m.group().replace(" ", ""), text)
    return _ABOUT.sub("", _opened(strip_edges(text)), count=1)


def _opened(text: str) -> str:
    """Without groups of braces and boxes around all of it: what is within is read as if they were not there."""
    while (m := _WHOLE.match(text)) and text.endswith("}"):
        try:
            whole = group(text, m.end() - 1) == len(text)
        except ParseError:
            return text
        inside = strip_edges(text[m.end() : -1])
        if not whole or not inside:
            return text
        text = inside
    return text


def strip_edges(text: str) -> str:
    """Without white space, sentence punctuation and Markdown emphasis around it; an ellipsis stays."""
    text = text.strip().strip("*").strip()
    while text and text[-1] in ".,;:!?" and not text.endswith(("...", "\\,", "\\;", "\\:", "\\!")):
        if text[-1] == "!" and (bare := text.rstrip("!")) and (bare[-1].isalnum() or bare[-1] in ")}"):
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
