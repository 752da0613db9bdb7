r"""Multiple choice: the letter of an option, or its text.

Where it is read, in this order: the last box, the last statement of the answer ("the answer is (B)", "Option B is
correct", ``Answer: B``, ``#### B``), a last line that is nothing but an option. A letter inside a word, an article, or
an option that is only repeated from the question is no answer.
"""

from __future__ import annotations

import re
from functools import lru_cache

from bon_eval.graders.answer_grader import AnswerGrader
from bon_eval.graders.answers.latex import MAX_ANSWER_CHARS, TOO_LONG
from bon_eval.graders.base import Decision
from bon_eval.graders.choice_text import read_gold
from bon_eval.graders.extract import MAX_PHRASE_CHARS, MAX_STATEMENT_CHARS, Extract, last_box

_GAP = r"[ \t]{1,3}"
# The first letters of all that follows come first: looked for by themselves they are found several times as fast.
_STATED = re.compile(
    r"(?=[aocslp(#])(?:"
    r"(?:\banswer\b(?:[ \t]{1,3}(?:to|of|for)[ \t][^\n.:?]{0,80}?)?|\b(?:option|choice|statement|letter)\b)"
    r"[ \t]{0,3}\*{0,3}[ \t]{0,3}(?:is|are|would be|will be|should be|must be|:|=)[ \t]{0,3}\*{0,3}[ \t]{0,3}:?"
    r"(?:[ \t]{0,3}(?:therefore|thus|simply|clearly|just|that)\b)?[ \t]{0,9}(?:\n[ \t]{0,9}){0,2}([^\n]{1,1000})"
    r"|####[ \t]{0,9}([^\n]{1,1000})"
    rf"|\b(?:option|choice|answer){_GAP}(\(?[A-Z]\)?){_GAP}is{_GAP}(?:therefore{_GAP})?(?:the{_GAP})?(?:correct|right|best)\b"
    rf"|(\([A-Z]\)){_GAP}is{_GAP}(?:therefore{_GAP})?(?:the{_GAP})?(?:correct|right|best)\b"
    rf"|\b(?:choose|chose|pick|select){_GAP}(?:(?:option|choice|answer){_GAP})?(\([A-Z]\)|[B-HJ-Z]\b))",
    re.IGNORECASE,
)
_WRAP = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mbox|rm|bf)(?![A-Za-z])|[${}*`\"“”'‘’]|\\[()\[\]]|\\[,;:! ]")
_PREFIX = re.compile(r"(?:(?:the|correct|right|best|final|option|choice|letter|answer)\b[: ]*)+", re.IGNORECASE)
_LONE = re.compile(r"[(\[]?([A-Za-z])[)\]]?[.:,;!]?")
_BRACKETED = re.compile(r"[(\[]([A-Za-z])[)\]]")
_MARKED = re.compile(r"([A-Z])(?:[).:,;]|\s*[-–—=])(?=\s|$)")
_REASONED = re.compile(r"([A-Z])\s+(?:because|since|as|which|and not|rather|not|is|from|for)\b")
_FREE = re.compile(r"([B-HJ-Z])(?=\s)")
"""A capital letter that is neither an article nor a pronoun."""
_NEXT = re.compile(
    r"[\s,;./&]{0,9}(?:\b(?:and|or)\b\s*|[,/&]\s*)"
    r"(?:[(\[]([A-Za-z])[)\]]|([B-HJ-Z])(?![A-Za-z])|([AI])(?![A-Za-z]|\s+[a-z]))"
)
"""A further letter; ``a`` and ``I`` within a sentence are words."""
_OPTION_LINE = re.compile(r"[\s>*-]*(?:\(([A-Z])\)|([A-Z])[).:])(?:\s|$)")
_BARE_LINE = re.compile(r"[\s>*(\[]*([A-Z])[)\]]?[.:]?[\s*)\]]*")
_CLOSING = re.compile(
    r"(?:\b(?:[Ss]o|[Tt]hus|[Hh]ence|[Tt]herefore|[Oo]ption|[Cc]hoice|[Aa]nswer)\b[,:]?\s{0,3}(?:option\s|choice\s)?([A-Z])"
    r"|\(([A-Z])\))[\s.!*)\]}$]{0,9}$"
)
"""How a last line may end: "..., which is option B."; "Hence, B."; "... (B)."."""
_AFTER_TEXT = re.compile(r"\s*$|[,;:)!?]|\.(?!\d)|\s+(?:because|since|as|which|so)\b")


class ChoiceGrader(AnswerGrader):
    """The gold is an option's letter, with the options below it where the data has them."""

    name = "choice"
    version = "choice-2"

    def extract(self, response: str) -> Extract:
        """Where and what the response answers: a letter, several letters (``A, B``), or words."""
        return _extract(response)

    def fast(self, answer: str, gold: str) -> Decision:
        """By the text of an option where it is exactly that, else by letter, else by the text it begins with."""
        letter, options = _gold(gold)
        if len(answer) > MAX_ANSWER_CHARS:
            return Decision(None, TOO_LONG)
        plain = {x: _plain(text) for x, text in options.items()}
        words = _plain(answer)
        named = [x for x, text in plain.items() if text == words] if len(answer) > 1 else []
        if not named and (letters := _letters(answer)):
            if len(set(letters)) > 1:
                return Decision(False, "several options", answer=", ".join(letters))
            return Decision(
                letters[0] == letter,
                "letter" if letters[0] in options or not options else "no such option",
                answer=letters[0],
            )
        if not named:
            begun = {x: text for x, text in plain.items() if _begins(words, text)}
            longest = max(map(len, begun.values()), default=0)
            named = [x for x, text in begun.items() if len(text) == longest]
        if len(named) > 1:
            return Decision(None, f"the text of options {' and '.join(named)}")
        if named:
            return Decision(named[0] == letter, "option text", answer=named[0])
        if not options and words and words == _plain(letter):
            return Decision(True, "string")
        if m := _FREE.match(answer):
            return Decision(m.group(1) == letter, "letter", answer=m.group(1))
        return Decision(False, "no option")

    def normal(self, answer: str) -> str:
        """The letters, or the words without styling."""
        return ", ".join(_letters(answer)) or answer[:MAX_ANSWER_CHARS]

    def key(self, answer: str) -> str:
        """The vote key: the letter, or the words in lower case."""
        return answer if len(answer) == 1 and answer.isupper() else "text " + _plain(answer[:MAX_ANSWER_CHARS])

    def strict(self, response: str) -> str | None:
        """The answer under the strict format: the letter in a box or after "the answer is", ``Answer:`` or ``####``."""
        found = self.extract(response)
        if found.answer is None or found.where not in ("box", "phrase"):
            return None
        return found.answer if _letters(found.answer) else None

    def solution(self, gold: str) -> str:
        """The gold's letter, or its words where it names none."""
        return _gold(gold)[0]

    def near_misses(self, gold: str) -> tuple[str, ...]:
        """Every other letter."""
        letter, options = _gold(gold)
        return tuple(x for x in options if x != letter)


@lru_cache(maxsize=8)
def _extract(text: str) -> Extract:
    """As `ChoiceGrader.extract`; the strict format asks about the same response again."""
    if (box := last_box(text)) is not None:
        return Extract(_read(box), "box")
    text = text[-MAX_PHRASE_CHARS:]
    if (stated := _stated(text)) is not None:
        return Extract(stated, "phrase")
    if (line := _last_line(text)) is not None:
        return Extract(line, "last line")
    return Extract(None, "no answer found")


def _gold(gold: str) -> tuple[str, dict[str, str]]:
    """The right letter (the words of a gold that names none), and the options where the gold holds them."""
    first, options = read_gold(gold)
    found = _letter(first)
    return (first if found is None else found[0]), options


def _stated(text: str) -> str | None:
    """The last statement of the answer; words count only behind "answer"."""
    found: str | None = None
    cut = 0
    m = _STATED.search(text)
    while m is not None:
        content = _read(next(g for g in m.groups() if g is not None))
        in_words = m.group(1) is not None and m.group()[:6].lower() == "answer" and any(c.isalnum() for c in content)
        if in_words or _letters(content):
            found, cut = content, m.end() if m.end() - m.start(m.lastindex or 0) == MAX_STATEMENT_CHARS else 0
        m = _STATED.search(text, max(m.start() + 1, m.start(m.lastindex or 0)))  # "Final answer: the answer is B"
    # A statement that is longer than it was looked at is read to the end of its line.
    return found if not cut or found is None else found + text[cut:].partition("\n")[0]


def _read(content: str) -> str:
    """A statement without styling and without "option" and the like before a letter."""
    if len(content) > MAX_ANSWER_CHARS:
        return content
    text = " ".join(_WRAP.sub(" ", content).split())
    prefix = _PREFIX.match(text)
    return text[prefix.end() :] if prefix is not None and _letter(text[prefix.end() :]) is not None else text


def _letters(text: str) -> list[str]:
    """The letters that a statement names first, in its order: one, or several joined by commas, "and" or "or"."""
    found = _letter(text)
    if found is None:
        return []
    letters, end = [found[0]], found[1]
    while following := _NEXT.match(text, end):
        letters.append(next(g for g in following.groups() if g is not None).upper())
        end = following.end()
    return letters


def _letter(text: str) -> tuple[str, int] | None:
    """The option's letter that a text begins with, and where it ends."""
    if m := _LONE.fullmatch(text):
        return m.group(1).upper(), m.end()
    for pattern in (_BRACKETED, _MARKED, _REASONED):
        if m := pattern.match(text):
            return m.group(1).upper(), m.end(1) + (pattern is _BRACKETED)
    if (m := re.match(r"[A-Z]", text)) and _NEXT.match(text, 1):
        return m.group(), 1
    return None


def _last_line(text: str) -> str | None:
    """A last line that is one option, and not the end of the repeated options; a response of one line in any words."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()][-2:]
    if not lines or len(lines[-1]) > 1_000:
        return None
    if m := _BARE_LINE.fullmatch(lines[-1]):
        return m.group(1)
    if _OPTION_LINE.match(lines[-1]):
        return None if len(lines) == 2 and _OPTION_LINE.match(lines[0]) else _read(lines[-1])
    if m := _CLOSING.search(lines[-1][-60:]):
        return m.group(1) or m.group(2)
    return _read(lines[-1]) if len(lines) == 1 and len(lines[0]) <= 300 else None


def _plain(text: str) -> str:
    text = " ".join(_WRAP.sub(" ", text).split()).strip(" .,;:!?").casefold()
    return re.sub(r"^(?:the|an?)\s+", "", text)


def _begins(answer: str, text: str) -> bool:
    return bool(text) and answer.startswith(text) and _AFTER_TEXT.match(answer, len(text)) is not None


CHOICE = ChoiceGrader()
