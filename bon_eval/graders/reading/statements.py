"""The answer within the words that state it: hedges before it, reasons and remarks behind it are no part of it."""

from __future__ import annotations

import re

from bon_eval.graders.answers.clean import strip_edges
from bon_eval.graders.answers.vocabulary import CHANGES_MEANING, WORD_COMMANDS
from bon_eval.graders.language.numerals import STATED_DIGITS, leading_words, word_value
from bon_eval.graders.language.tables import CJK_JOINS, LANGUAGES, LETTER_JOINS, SCALES, words
from bon_eval.graders.reading.numbers import STATED_NUMBER, one_of_several

MATH = re.compile(r"\$\$(.+?)\$\$|\$((?:\\\$|[^$\n])+)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
"""A formula between delimiters."""

_STATES = re.compile(
    r"[*\s]*(?:[-−+$€£\\(\[{.]*\s*\d|[-−+$]*\\[A-Za-z({[]|[A-Za-z]\w{0,8}\s*=|[([{]|[A-Za-z]{1,12}[*.]*$)"
)
"""How the content of a marker begins, apart from Markdown's headings: "#### Step 2"."""
_BOUNDED = re.compile(
    r"[*_\s]*(?:(?:less|more|fewer|greater) than|at (?:least|most)|between|from|over|under|up to|negative|minus|"
    r"(?:about|approximately|around|roughly|only)|[<>≤≥≈~±_])\s*[$€£]?\d",
    re.IGNORECASE,
)
"""A number within words that say more or less of it."""
_NUMBERED = re.compile(r"\d+[.)]\s+[A-Za-z*]")
_VALUE = re.compile(
    r"[*_`\s\"']*(?:[-−–+±$€£¥<({\[]*\s*[-−+]?\s*(?:\d|\.\d)|[-−+±$]*\s*\\[A-Za-z({[]|[-−+]?[A-Za-z](?:\([a-z]\)|_?\w{0,8})"
    r"\s*(?:=|\\in|\\equiv|≡|≠)|[({\[][-−+\w\\\s$]|[-−√π∞∅ℝ]"
    r"|(?:there (?:is|are) )?no (?:real |integer |such |positive )?(?:solutions?|roots?|values?|numbers?)\b"
    r"|all (?:real|reals)\b"
    r"|(?:the )?empty set\b|infinitely many|infinity\b|undefined\b|does not exist|impossible\b)",
    re.IGNORECASE,
)
"""How a value begins, apart from words and lone letters."""
_EMPTY = frozenset(
    [
        "correct",
        "right",
        "wrong",
        "incorrect",
        "true",
        "false",
        "as",
        "below",
        "above",
        "given",
        "found",
        "shown",
        "the",
        "a",
        "an",
        "in",
        "of",
        "not",
        "simply",
        "unique",
        "clear",
        "this",
        "that",
        "here",
        "therefore",
        "it",
        "its",
        "obviously",
        "easy",
        "simple",
        "expressed",
        "written",
        "obtained",
        "boxed",
        "verified",
        "option",
        "number",
        "yes",
        "no",
        "unknown",
    ]
)
"""Words after "the answer is" that state none, beside a box."""

_DENIALS = frozenset(["not", "neither", "never", "nicht", "pas", "niet", "nie", "не", "不是", "不"])

_JOINS = "|".join((*CJK_JOINS, *sorted(LETTER_JOINS)))
_JOINED = re.compile(rf"(?<=[\w)}}]\$)\s{{0,9}},?\s{{0,9}}(?:{_JOINS})\s{{0,9}}(?=\$)")
"""What joins two formulas in other languages."""
_HOPE = re.compile(r"\.?\s*I hope.*$", re.DOTALL)
_SENTENCE = re.compile(r"(?<=[^\s.])\.(?=\s+[A-Z<])|[.!?](?=\s*$)|(?<=[\d)}$%\u3040-\u9fff\uac00-\ud7a3])\.(?=\s+\S)")
_CLAUSE = re.compile(r"\s(?:is|are|equals)\s")
_SUBJECT = re.compile(r"(?:the|a|an|that|this|its|his|her|their)\s", re.IGNORECASE)
_HEDGE = re.compile(
    r"(?:(?:about|approximately|approx\.|around|roughly|circa|exactly|precisely|simply|just|therefore|thus|hence|then|"
    r"indeed|actually|really|in fact|of course|clearly|obviously|also|now|still|only|equal to|equals|"
    r"given by|found to be|to be|"
    r"simplified to|≈|~"
    r"|the (?:whole |exact )?(?:number|integer|value|fraction|decimal|integer value)(?=\s+[-−$(]{0,2}[\d\\])"
    r"|\\approx|约为|约|等于)(?![A-Za-z])[,:]?\s*)+",
    re.IGNORECASE,
)
_FORMULA_HEDGE = re.compile(r"(\$|\\\()\s*(?:\\approx|\\thickapprox|≈|~|=)\s*")
_PARAMETER = (
    r"(?:\\?[(\$]?\s*)?[a-z](?:\\?[)$])?\s*(?:,\s*[a-z]\s*)?(?:\$?\s*\\in|is an?\s|∈|are\s)"
    r"|(?:any\s|all\s|some\s|every\s|an?\s)?integer"
)
_BECAUSE = tuple(
    "|".join(w for x in LANGUAGES if x.spaced is spaced for w in words(x.because)) for spaced in (False, True)
)
_REASON = re.compile(
    rf"[,;]?\s+(?:because|since|due\s+to|so(?:\s+that)?|which|whereas|but|after|given|making|meaning|i\.e\.|that\s+is|"
    rf"and\s+not|rather\s+than|instead\s+of|by\s+(?!\d)|as\s+(?:required|desired|expected|needed|we|shown|stated|above|before|"
    rf"claimed|wanted|asked|requested|an?\b|the\b|it\b|you\b|in\b|there\b|can\b|both\b|calculated|found|computed|follows)|"
    rf"(?:where|when|for|if)\b(?!\s*{_PARAMETER})(?=\s+[^\d])|in\s+total|altogether|as\s+well)(?![A-Za-z]).*$"
    r"|[,;]\s*(?:and\s+)?(?:the|an?|not|of|in|as|with|counting|including|per|using|from|namely|hence|thus|therefore)\s.*$"
    r"|\s+[-–—]{1,3}\s+(?=[A-Za-z]{2}).*$"
    rf"|[,，]?\s*(?:{_BECAUSE[0]}).*$|[,\s]\s*(?:{_BECAUSE[1]})\s.*$",
    re.IGNORECASE | re.DOTALL,
)
_REMARK = re.compile(
    r"(?<=[\w%)$}*])\s+\((?!\s*(?:p?mod)\b)[^()\n\\]{0,100}[^\W\d_]{2}[^()\n\\]{0,100}\)(?=[\s.,;:*]*$)"
)
_NUMBER_REMARK = re.compile(
    r"(?:(?<=[\d%$*])\s+|(?<=[\u3040-\u9fff\uac00-\ud7a3])\s*)\(\s*[-−]?[$€£]?[\d.,/+*×·÷xX=\s-]+%?\s*\)(?=[\s.,;:*]*$)"
)
_COUNTED = re.compile(
    r"^([^\\]{0,3}\d[\d.,/]*\s[a-z]{3,15})\s(?:in|for|on|with|from|at|over|after|during|among|that|who|left|remaining|each)\s.*$",
    re.DOTALL,
)
"""A number of things, and then where they are."""
_METRIC = re.compile(r"^([-−]?\d[\d.,]{0,30})\s([mgs])(\^\{?[23]\}?\.?)$")
"""A number in a unit of one letter that has a power."""
_MINUS = re.compile(r"(?:minus|negative)\s+(?=[$€£]?\d|\\)", re.IGNORECASE)
_TOLD = re.compile(
    rf"([-−+]?\$?{STATED_DIGITS}%?)(?:[,;:!]\s{{1,3}}(?=([^\W\d_]{{2,}}|[^\x00-\u024f]))"
    r"|\*{0,2}\s(?=([^\W\d_]{2,})\W)[^\d=\\$]{2,80}\d)"
)
"""A number and words behind it: what follows a comma, or holds another number."""
_CHANGING = frozenset(
    words(
        "or and to plus minus times more less fewer greater over divided by mod modulo choose base percent squared "
        "cubed half point in out of per through"
    )
)
"""Words behind a number that may make it another one."""
_BOLD_VALUE = re.compile(
    r"[^\d*\\$=]{3,200}\*\*([-−+]?\$?\d[\d.,/]{0,40}%?|\$[^$*\n]{1,80}\$)\*\*(?!\s*(?:or|and|to)\b)"
)
_NOT_BUT = re.compile(
    r"\s*not\b[^.\n]{1,40}?(?:\bbut\s+(?:rather\s+)?|[,;.]\s*(?:it\s+is|it['’]s|rather)\s+)", re.IGNORECASE
)
_WRAPPED = re.compile(r"^[\s*_`<\"']*[_`<\"']([^_`<>\"'\n]+)[_`>\"'][\s*_`>\"'.]*$")


def is_value(content: str) -> bool:
    """Whether a statement's words begin like a number or a formula."""
    text = _HEDGE.sub("", corrected(content).lstrip(" *_"), count=1)
    return _VALUE.match(text) is not None or word_value(strip_edges(text)) is not None


def is_word(content: str) -> bool:
    """Whether a statement is one word that can be an answer."""
    word = statement(content)
    return word.isalpha() and word.lower() not in _EMPTY


def is_marked(content: str) -> bool:
    """Whether what follows ``####`` or ``A:`` is an answer, and no heading."""
    if _NUMBERED.match(content):
        return False
    return any((_STATES.match(content), _BOUNDED.match(content), leading_words(strip_edges(content)) is not None))


def corrected(content: str) -> str:
    """Of "not this but that", that."""
    m = _NOT_BUT.match(content)
    return content if m is None else content[m.end() :]


def is_denied(content: str) -> bool:
    """Whether the words say what the answer is not, or ask."""
    first = corrected(content).lstrip(" *_").split(maxsplit=1)
    asks = content.rstrip(" *_").endswith("?")
    return asks or (bool(first) and first[0].lower().strip(",:") in _DENIALS)


def _without_telling(sentence: str) -> str:
    """A number without the words behind it, where a comma parts them or they hold a further number."""
    m = _TOLD.match(sentence)
    if m is None or one_of_several(sentence, number := STATED_NUMBER.match(sentence) or m):
        return sentence
    words = set(re.findall(r"[^\W\d_]+", m.group().lower()))
    first = (m.group(2) or m.group(3)).lower()
    if first in SCALES or first in WORD_COMMANDS or first in LETTER_JOINS or first.startswith(CJK_JOINS):
        return sentence
    if m.group(2):
        return sentence if first in _CHANGING else sentence[: number.end()]
    return sentence if words & _CHANGING - {"in", "of"} or first in _CHANGING else f"{m.group(1)} {m.group(3)}"


def statement(sentence: str) -> str:
    """The answer within the words after "the answer is"."""
    sentence = corrected(_HOPE.sub("", sentence))
    if "$" in sentence:
        sentence = _JOINED.sub(", ", sentence)
    if "**" in sentence and (bold := _BOLD_VALUE.match(sentence)) and not CHANGES_MEANING & set(bold.group().split()):
        sentence = bold.group(1)
    if hedge := _HEDGE.match(bare := sentence.lstrip(" *_")):
        sentence = bare[hedge.end() :]
    sentence = _MINUS.sub("-", sentence, count=1) if _MINUS.match(sentence) else sentence
    if sentence.lstrip(" *_").startswith(("$", "\\(", "\\[")) and (m := MATH.search(sentence)):
        rest = sentence[m.end() :].lstrip()
        if not re.match(
            rf"(?:,\s*(?:\$|\\|\w\s*\\in|and|or)|;|(?:and|or|{_JOINS})(?=[\s$\\])|(?:,?\s*(?:where|for|with)\s+)?{_PARAMETER}|[(\\]*p?mod\b)",
            rest,
        ):
            content = next(g for g in m.groups() if g is not None)
            content = re.sub(r"^\s*(?:\\approx|\\thickapprox|≈|=)\s*", "", content)
            return strip_edges(content) + ("%" if rest.startswith(("%", "\\%", "percent")) else "")
    if m := _SENTENCE.search(sentence):
        sentence = sentence[: m.start()]
    if _SUBJECT.match(sentence):  # "The area of $ABC$ is 12"
        parts = _CLAUSE.split(sentence)
        if len(parts) == 2 and _STATES.match(parts[1].lstrip()):
            sentence = parts[1]
    sentence = _REMARK.sub("", _REASON.sub("", sentence))
    if "\\" not in sentence:
        sentence = _NUMBER_REMARK.sub("", sentence)
    sentence = _without_telling(_COUNTED.sub(r"\1", sentence).lstrip(" *"))
    if m := _WRAPPED.match(sentence):
        sentence = m.group(1)
    sentence = _METRIC.sub(r"\1\\text{ \2}\3", sentence)
    return strip_edges(sentence).rstrip("_")
