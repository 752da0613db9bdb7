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
from bon_eval.graders.extract import Extract
from bon_eval.graders.language.script import plain
from bon_eval.graders.language.tables import BESIDE, CJK_JOINS, LANGUAGES, OR_WORDS, words
from bon_eval.graders.reading.boxes import box_at
from bon_eval.graders.reading.letters import stated_letters
from bon_eval.graders.reading.statements import corrected
from bon_eval.graders.reading.stretches import STRETCH_CHARS, last_first, read_on

_WRAP = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mbox|rm|bf)(?![A-Za-z])|[${}*`\"“”'‘’]|\\[()\[\]]|\\[,;:! ]")
_PREFIX = re.compile(r"(?:(?:the|correct|right|best|final|option|choice|letter|answer)\b[: ]*)+", re.IGNORECASE)
_LONE = re.compile(r"[(\[]?([A-Za-z])[)\]]?[.:,;!]?")
_BRACKETED = re.compile(r"[(\[]([A-Za-z])[)\]]")
_MARKED = re.compile(r"([A-Z])(?:[).:,;]|\s*[-–—=])(?=\s|$)")
_TOUCHED = re.compile(r"([A-Z])(?=[^\x00-\u024f])(?!不|非|错|錯|誤)")
"""A letter before a script without capitals: ``B正确``."""
_LOWER = re.compile(r"([a-h])[).](?=\s+\S)")
_FRAMED = re.compile(r"^[\s<_]*(\(?[A-Za-z]\)?)\s*(?:>|_{1,2})(?![A-Za-z0-9=])")
_NAMED = re.compile(
    rf"^(?:(?:{'|'.join(words(BESIDE))})[ ']\s*){{0,2}}"
    rf"(?:(?:{'|'.join(w for x in LANGUAGES for w in words(x.options))})\s*[:]?\s*)?"
    r"(?=[(A-Z])"
)
"""What other languages say before a letter."""
_REASONED = re.compile(r"([A-Z])\s+(?:because|since|as|which|and not|rather|not|is|from|for)\b")
_FREE = re.compile(r"([B-HJ-Z])(?=\s)")
"""A capital letter that is neither an article nor a pronoun."""
_WRONG = "incorrect|wrong|false|invalid|impossible|excluded|eliminated|discarded"
_DENIED = re.compile(
    r"[(\[*_]{0,3}[A-Za-z][)\]*_]{0,3}(?:"
    rf"(?:[:.)]\s{{0,3}}|\s{{1,3}}[-–—]\s{{1,3}})(?:is\s)?(?:(?:{_WRONG})\b|not\s(?:correct|right|true)\b)"
    r"|\s{0,3}(?:(?:is|was|are|would\sbe|seems|looks|has\sbeen)\s(?:(?:also|clearly|definitely|therefore)\s)?)?"
    rf"(?:(?:not|n['’]t|{_WRONG}|ruled|out|unlikely)\b|(?:can|could|may|must|should|does|did|do|has|is|was)"
    r"(?:not\b|\s?n['’]?t\b|\s(?:not|be\s(?:ruled|excluded|eliminated|discarded))\b)|不|错|错误|误))",
    re.IGNORECASE,
)
"""A letter of which only is said that it is not the answer."""
_NEXT = re.compile(
    rf"[\s,;./&]{{0,9}}(?:\b(?:and|or)\b\s*|[,/&]\s*|(?:{'|'.join((*CJK_JOINS, *OR_WORDS))})\s*)"
    r"(?:[(\[]([A-Za-z])[)\]]|([B-HJ-Z])(?![A-Za-z])|([AI])(?![A-Za-z]|\s+[a-z]))"
)
"""A further letter; ``a`` and ``I`` within a sentence are words."""
_OPTION_LINE = re.compile(r"[\s>*-]*(?:\(([A-Z])\)|([A-Z])[).:])(?:\s|$)")
_BARE_LINE = re.compile(r"[\s>*(\[]*([A-Z])[)\]]?[.:]?[\s*)\]]*")
_CLOSING = re.compile(
    r"(?:\b(?:[Ss]o|[Tt]hus|[Hh]ence|[Tt]herefore|[Oo]ption|[Cc]hoice|[Aa]nswer)\b[,:]?\s{0,3}"
    r"(?:option\s|choice\s)?([A-Z])"
    r"|\(([A-Z])\)"
    r"|(?:∴|\b(?i:it is|it['’]?s|must be|should be|to be|leaves|leaving|with|is|choose|choosing|pick(?: is)?:?"
    r"|selecting|select|towards?|elimination,|corresponds to|matches|equals|so|ans\.?\s?[:=]?"
    r"|(?:es|est|ist|é|è|adalah)(?:\s(?:la|a|le|die|el))?(?:\s(?:alternativa|letra|lettre|opción|option))?)"
    r"|(?:应?选择?|選択?|Chọn|[Ll]etra|[Ll]ettre|[Ll]ettera|[Oo]pción|alternativa|[Вв]ариант)[ \t:—–-]{0,3})\s{0,3}"
    r"\(?([A-HJ-Z])\)?(?:项|選項|选项|번|番)?)[\s.!*)\]}$]{0,9}$"
)
"""How a last line may end: "..., which is option B."; "Hence, B."; "... (B)."."""
_REFUSED = re.compile(
    r"(?:(?:\bnot|n['’]t|\bnever|\bunlikely|\bdoubt|\bwhether|\bif)\b[^.;,]{0,30}|[不别非]|\b(?:no|nicht|pas|não|не)\s\w{0,5}\s?)$",
    re.IGNORECASE,
)
_SO = re.compile(r"^\s*(?:so|thus|hence|therefore|then),?\s+(?=\S)", re.IGNORECASE)
_OPTION = re.compile(r"\b[Oo]ption ([A-Z])\b")
_SAYS_NO = re.compile(r"\b(?:not|neither|nor|except|never|or)\b|n['’]t\b", re.IGNORECASE)
_BEHIND_TEXT = re.compile(r"(?:\(([A-Z])\)|\[([A-Z])\])[\s.!*]{0,5}$")
"""An option's text, and its letter in brackets."""
_BOLD_LETTER = re.compile(r"\*\*\(?([A-H])[).]?\*\*")
_AFTER_TEXT = re.compile(
    r"\s+is (?:the |my |our )?(?:correct|right|best|final|answer)"
    r"|\s*$|[,;:)!?]|\.(?!\d)|\s+(?:because|since|as|which|so)\b"
)


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
        if (m := _FREE.match(answer)) and not _DENIED.match(answer):
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
    text = plain(text)
    box = box_at(text)
    read = "" if box is None else _read(box.content)
    stated = _stated(text, box.end if box is not None and _letters(read) else 0)
    if stated is not None and (box is None or _letters(stated)):
        return Extract(stated, "phrase")
    if box is not None:
        return Extract(read, "box")
    if (line := _last_line(text[-STRETCH_CHARS:])) is not None:
        return Extract(line, "last line")
    return Extract(None, "no answer found")


def _gold(gold: str) -> tuple[str, dict[str, str]]:
    """The right letter (the words of a gold that names none), and the options where the gold holds them."""
    first, options = read_gold(gold)
    found = _letter(first)
    return (first if found is None else found[0]), options


def _stated(text: str, start: int) -> str | None:
    """The last statement of the answer from `start` on; words count only behind "answer"."""
    for at, content, in_words in last_first(text, stated_letters, start):
        read = _read(read_on(text, at, content) if in_words else content)
        if _letters(read) or (in_words and any(c.isalnum() for c in read)):
            return read
    return None


def _read(content: str) -> str:
    """A statement without styling and without "option" and the like before a letter."""
    if len(content) > MAX_ANSWER_CHARS:
        return content
    content = _SO.sub("", corrected(content))
    text = " ".join(_WRAP.sub(" ", _FRAMED.sub(r"\1 ", content)).split())
    text = text.replace("[[", "[").replace("]]", "]")
    text = _NAMED.sub("", text, count=1) if not text[:1].isupper() else text
    if (behind := _BEHIND_TEXT.search(text)) and len(text) <= 200 and len(_BRACKETED.findall(text)) == 1:
        return behind.group(1) or behind.group(2) if not _SAYS_NO.search(text) else text
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
    """The option's letter that a text begins with, and where it ends; None where it is denied."""
    if _DENIED.match(text):
        return None
    if m := _LONE.fullmatch(text):
        return m.group(1).upper(), m.end()
    for pattern in (_BRACKETED, _MARKED, _REASONED, _TOUCHED, _LOWER):
        if m := pattern.match(text):
            return m.group(1).upper(), m.end(1) + (pattern is _BRACKETED)
    if (m := re.match(r"[A-Z]", text)) and _NEXT.match(text, 1):
        return m.group(), 1
    return None


def _last_line(text: str) -> str | None:
    """A last line that is one option, and not the end of the repeated options; a response of one line in any words."""
    every = [line.strip() for line in text.strip().splitlines() if line.strip()]
    lines = every[-2:]
    if not lines or len(lines[-1]) > 1_000:
        return None
    if m := _BARE_LINE.fullmatch(lines[-1]):
        return m.group(1)
    if len(lines) == 2 and (m := _BARE_LINE.fullmatch(lines[0])) and not _OPTION_LINE.match(lines[1]):
        # the letter, and its option's text below; a list of options has several such lines
        return m.group(1) if sum(_BARE_LINE.fullmatch(line) is not None for line in every[-20:]) == 1 else None
    if _OPTION_LINE.match(lines[-1]):
        return None if len(lines) == 2 and _OPTION_LINE.match(lines[0]) else _read(lines[-1])
    if (m := _CLOSING.search(ending := lines[-1][-60:])) and not _REFUSED.search(ending[: m.start()]):
        return next(g for g in m.groups() if g is not None)
    if len(letters := _BOLD_LETTER.findall(lines[-1])) == 1:
        return str(letters[0])
    if len(lines) == 1 and len(lines[0]) <= 300 and len(set(_OPTION.findall(lines[0]))) < 2:
        return _read(lines[-1])
    if _BARE_LINE.fullmatch(every[0]) or (_OPTION_LINE.match(every[0]) and not _OPTION_LINE.match(every[1])):
        return _read(every[0].lstrip("> *-"))  # the answer first, and then why
    return None


def _plain(text: str) -> str:
    text = " ".join(_WRAP.sub(" ", text).split()).strip(" .,;:!?").casefold()
    return re.sub(r"^(?:(?:so|thus|hence|therefore|then),?\s+)?(?:(?:the|an?)\s+)?", "", text)


def _begins(answer: str, text: str) -> bool:
    return bool(text) and answer.startswith(text) and _AFTER_TEXT.match(answer, len(text)) is not None


CHOICE = ChoiceGrader()
