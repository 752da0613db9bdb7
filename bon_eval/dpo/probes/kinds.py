"""A response put otherwise: its words in random order, another problem's response, random words, a paraphrase.

Words are words, numbers and single signs; the blanks between them stay where they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

KINDS = ("permuted", "other", "random-words")
"""What needs no rules. In the code of Ren & Sutherland 2024 (arXiv 2407.10490): random_permute, irr_train (irr_test of
held-out pairs) and random_nonhum."""

_WORD = re.compile(r"\w+|[^\w\s]")


def words(text: str) -> list[str]:
    """The words of a text.

    >>> words("8*4=32\\n#### 32")
    ['8', '*', '4', '=', '32', '#', '#', '#', '#', '32']
    """
    return _WORD.findall(text)


def vocabulary(texts: Iterable[str]) -> tuple[str, ...]:
    """The different words of texts, sorted."""
    return tuple(sorted({word for text in texts for word in words(text)}))


def permuted(text: str, rng: np.random.Generator) -> str | None:
    """The words in a random order, uniform over those that change the text; None where none does."""
    own = words(text)
    if len(set(own)) < 2:
        return None
    while (found := _filled(text, [own[k] for k in rng.permutation(len(own))])) == text:
        pass
    return found


def random_words(text: str, known: Sequence[str], rng: np.random.Generator) -> str | None:
    """As many words, each a random one of `known`; uniform over those that change the text, None where none does."""
    size = len(words(text))
    if not size or len(set(known)) < 2:
        return None
    while (found := _filled(text, [known[k] for k in rng.integers(len(known), size=size)])) == text:
        pass
    return found


def other(own: tuple[str, str], known: Sequence[tuple[str, str]], rng: np.random.Generator) -> str | None:
    """The response of another problem, uniform over those with another prompt and another text; None: there is none.

    Args:
        own: prompt and response.
        known: prompts and responses to choose from.
        rng: the random stream.
    """
    prompt, text = own
    for k in map(int, rng.permutation(len(known))):
        if known[k][0] != prompt and known[k][1].strip() != text.strip():
            return known[k][1]
    return None


def _filled(text: str, new: Sequence[str]) -> str:
    """The text with its words replaced, in order."""
    left = iter(new)
    return _WORD.sub(lambda _: next(left), text)
