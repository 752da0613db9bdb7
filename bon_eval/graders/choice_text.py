"""Multiple choice as text: the options in a prompt, and the gold that holds the right letter and every option.

``(A) first`` and so on, one line each; a gold is the letter's line and then the options' lines. So a grader that sees
nothing but a gold can also recognise an answer given by an option's text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
WRITTEN = ("math", "gsm8k", "numeric", "game24")
"""Of bon-eval's graders those of answers that are written and not picked."""
_OWN_LETTER = re.compile(r"\(?([A-Z])[).:]\s+")
_LINE = re.compile(r"\(([A-Z])\) (.*)")


def option_texts(options: Sequence[str]) -> list[str]:
    """The options' own texts, each in one line: where all carry their letter (``A) True``), without it."""
    texts = [" ".join(option.split()) for option in options]
    found = [_OWN_LETTER.match(text) for text in texts]
    letters = [m.group(1) if m is not None else "" for m in found]
    if letters == list(LETTERS[: len(texts)]):
        return [text[m.end() :] for text, m in zip(texts, found, strict=True) if m is not None]
    return texts


def option_lines(texts: Sequence[str]) -> str:
    """The options as a prompt shows them.

    >>> print(option_lines(["red", "blue"]))
    (A) red
    (B) blue
    """
    return "\n".join(f"({letter}) {text}" for letter, text in zip(LETTERS, texts, strict=False))


def gold_readings(answer: str, texts: Sequence[str]) -> dict[str, str]:
    """The right option's letter by each way to name one that fits: a letter, a zero-based index, an option's text.

    >>> gold_readings("1", ["red", "blue"]), gold_readings("A", ["red", "blue"]), gold_readings("blue", ["red", "blue"])
    ({'index': 'B'}, {'letter': 'A'}, {'text': 'B'})
    >>> gold_readings("1", ["1", "0"])
    {'index': 'B', 'text': 'A'}
    """
    answer, letters = " ".join(answer.split()), LETTERS[: len(texts)]
    found = {}
    if len(answer) == 1 and answer in letters:
        found["letter"] = answer
    if answer.isascii() and answer.isdigit() and len(answer) <= 2 and int(answer) < len(letters):
        found["index"] = letters[int(answer)]
    places = [k for k, text in enumerate(texts) if text == answer]
    if len(places) == 1:
        found["text"] = letters[places[0]]
    return found


def gold_with_options(letter: str, texts: Sequence[str]) -> str:
    """The gold of a problem, as graders read it."""
    return f"{letter}\n{option_lines(texts)}"


def chance_level(grader: str, gold: str) -> float | None:
    """How often a guess is right: one over the options, one half of true or false, 0 where an answer is written.

    None where that cannot be told: of multiple choice whose options stand in the question, and of a grader that is not
    bon-eval's own, unless its gold has options.

    >>> chance_level("choice", gold_with_options("B", ["red", "blue", "green"])), chance_level("numeric", "5")
    (0.3333333333333333, 0.0)
    >>> print(chance_level("choice", "B"), chance_level("mine", "5"))
    None None
    """
    if grader == "true_false":
        return 0.5
    if grader in WRITTEN:
        return 0.0
    options = read_gold(gold)[1]
    return 1.0 / len(options) if options else None


def read_gold(gold: str) -> tuple[str, dict[str, str]]:
    """A gold's first line, and the option of each letter; a gold without options has none."""
    first, *lines = gold.strip().split("\n")
    found = [_LINE.fullmatch(line.strip()) for line in lines]
    return first.strip(), {m.group(1): m.group(2).strip() for m in found if m is not None}
