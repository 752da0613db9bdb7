"""What a source says of one response, and how what it says is read and checked."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from bon_eval.errors import SourceError, shortened
from bon_eval.records import Draw

ENDED = frozenset({"stop", "eos", "eos_token", "end_turn", "stop_sequence", "stop_token", "stop_str", "end_of_text"})
CUT = frozenset({"length", "max_tokens", "model_length", "max_length", "max_new_tokens", "max_output_tokens"})
"""What programs call a response that ended by itself, and one that was cut."""

_MOST_TOKENS = 2**31
_KEYS = {"problem_id": "the id", "question": "the question", "asked": "the question", "gold": "the gold answer"}
"""Texts that problems are known by, and so are stored as they are; of responses and prompts what cannot be stored is
replaced, as of sampled ones."""
_SUM_SLACK = 1e-3
"""How far a stated log-likelihood may lie from the sum of its token log-probs, relative to the sum and at least in
nats: sources round to a few digits."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One response as a source states it; None is what it does not state."""

    where: str
    """File and row, for messages."""
    text: str
    problem_id: str | None = None
    question: str | None = None
    doc: Mapping[str, Any] | None = None
    """The row of the data set that the source keeps with it, whatever its columns; the question stands in it."""
    asked: str | None = None
    """What was asked, where the source does not say whether it is the question alone: problems are matched by it, and
    nothing is held against it."""
    numbered: tuple[str, str] | None = None
    """Where a program has one id for each response: the problem's id and the number, as its end may have them."""
    prompt: str | None = None
    """The text that the model was given."""
    row: int | None = None
    """Zero-based number of the row that it stands in."""
    draw: Draw = "sample"
    index: str | None = None
    """The source's own name for it among the responses of its problem."""
    gold: str | None = None
    correct: bool | None = None
    """The source's own verdict."""
    log_likelihood: float | None = None
    token_ids: tuple[int, ...] | None = None
    token_logprobs: tuple[float, ...] | None = None
    n_tokens: int | None = None
    finish_reason: str | None = None
    """``stop`` or ``length``; None where it says neither."""

    def __post_init__(self) -> None:
        for name, what in _KEYS.items():
            text = getattr(self, name)
            if text is not None and not storable(text):
                self._refuse(f"{what} {shortened(ascii(text))} holds half of a surrogate pair, which is no character")
        if self.token_logprobs is not None:
            for at, value in enumerate(self.token_logprobs):
                if not (math.isfinite(value) and value <= 0):
                    self._refuse(f"token log-prob {at} is {value}, and one must be finite and at most 0")
        if self.log_likelihood is not None:
            value = self.log_likelihood
            if not (math.isfinite(value) and value <= 0):
                self._refuse(f"log-likelihood {value} must be finite and at most 0, in nats")
            if self.token_logprobs:
                total = math.fsum(self.token_logprobs)
                if abs(value - total) > _SUM_SLACK * max(1.0, abs(total)):
                    self._refuse(
                        f"log-likelihood {value:g} is not the sum of its token log-probs, {total:g} (a mean, or "
                        "another logarithm?)"
                    )
        sizes = {
            name: size
            for name, size in (
                ("token ids", None if self.token_ids is None else len(self.token_ids)),
                ("token log-probs", None if self.token_logprobs is None else len(self.token_logprobs)),
                ("the number of tokens", self.n_tokens),
            )
            if size is not None
        }
        if len(set(sizes.values())) > 1:
            self._refuse("its sizes differ: " + ", ".join(f"{size} by {name}" for name, size in sizes.items()))
        if sizes and max(sizes.values()) >= _MOST_TOKENS:
            self._refuse(f"{max(sizes.values())} tokens are more than a response can have")
        if sizes and min(sizes.values()) < 1:
            self._refuse("it has no tokens, and even an empty text has its end token")

    def _refuse(self, why: str) -> NoReturn:
        raise SourceError(f"{self.where}: {why}; correct the source, or leave that column out with `none`")

    @property
    def size(self) -> int | None:
        """Tokens of the response, where the source says how many."""
        for tokens in (self.token_logprobs, self.token_ids):
            if tokens is not None:
                return len(tokens)
        return self.n_tokens

    @property
    def nats(self) -> float | None:
        """Log-likelihood as the source states it, else the sum of the token log-probs that it states."""
        if self.token_logprobs is not None:
            return math.fsum(self.token_logprobs)
        return self.log_likelihood


def storable(text: str) -> bool:
    """Whether a text can be written as UTF-8: JSON can hold half of a surrogate pair, which cannot.

    >>> storable("caf\u00e9"), storable(chr(0xD83D))
    (True, False)
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def text_of(value: object, where: str, what: str) -> str:
    """A text; raises `SourceError` for anything else, a missing one named as such."""
    if isinstance(value, str):
        return value
    kind = "null" if value is None else f"a {type(value).__name__}"
    raise SourceError(f"{where}: {what} is {kind} and not a text; correct the row or leave it out")


def label_of(value: object, where: str, what: str) -> str | None:
    """A short text such as an id or a gold answer; whole numbers read as their digits, null as None."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SourceError(
            f"{where}: {what} is a {type(value).__name__} and not a text or a number; name another column"
        )
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def number_of(value: object, where: str, what: str) -> float | None:
    """A number, or a text of one; null, and an empty cell, is None."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return float(value)
        except (ValueError, OverflowError):
            pass
    raise SourceError(f"{where}: {what} is {shortened(repr(value))} and not a number; correct it, or leave it out")


def size_of(value: object, where: str, what: str) -> int | None:
    """A whole number."""
    number = number_of(value, where, what)
    if number is None:
        return None
    if not number.is_integer():
        raise SourceError(f"{where}: {what} is {number} and not a whole number; correct it, or leave it out")
    return int(number)


def floats_of(value: object, where: str, what: str) -> tuple[float, ...] | None:
    """A list of numbers."""
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.lstrip().startswith("["):  # a cell of a CSV file
        try:
            value = json.loads(value)
        except ValueError as error:
            raise SourceError(
                f"{where}: {what} is not a list in JSON ({error}); correct it, or leave it out"
            ) from error
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise SourceError(f"{where}: {what} is a {type(value).__name__} and not a list of numbers; name another column")
    try:
        return tuple(map(float, value))
    except (TypeError, ValueError, OverflowError) as error:
        raise SourceError(
            f"{where}: {what} holds something that is no number ({error}); name another column"
        ) from error


def ids_of(value: object, where: str, what: str) -> tuple[int, ...] | None:
    """A list of token ids."""
    numbers = floats_of(value, where, what)
    if numbers is None:
        return None
    if not all(number.is_integer() and 0 <= number < 2**31 for number in numbers):
        raise SourceError(f"{where}: {what} holds something that is no token id; name another column")
    return tuple(map(int, numbers))


def verdict_of(value: object, where: str, what: str) -> bool | None:
    """A verdict: a truth value, 1 or 0, or the text of one; null is none."""
    if value is None or isinstance(value, bool):
        return value
    known: dict[str, bool | None] = {"1": True, "1.0": True, "true": True, "correct": True, "c": True}
    known |= {"0": False, "0.0": False, "false": False, "incorrect": False, "wrong": False, "i": False, "": None}
    found = str(value).strip().lower()
    if found not in known:
        raise SourceError(
            f"{where}: {what} is {shortened(repr(value))}, which is neither right nor wrong; give 1 or 0, or `none` "
            "for the column"
        )
    return known[found]


def finish_of(value: object) -> str | None:
    """``stop`` or ``length``; None for what says neither."""
    name = str(value).strip().lower() if value is not None else ""
    return "stop" if name in ENDED else "length" if name in CUT else None
