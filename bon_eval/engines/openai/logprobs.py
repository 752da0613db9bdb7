"""The log-probs of an answer, in both shapes of the API: each can be true, or the answer is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bon_eval.errors import EngineError

_TOKEN_ID = "token_id:"
# Numbers are printed with few digits: an own log-prob above what the list says by more is another number.
_NATS = 0.01
_REMEDY = "use a server and model that return true log-probs, or engine vllm or transformers"


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """Of one response, one entry for each token."""

    tokens: tuple[str, ...]
    """As text; empty where the server gives none."""
    logprobs: tuple[float, ...]
    """At least one, finite, at most 0."""
    top: tuple[tuple[float, ...], ...]
    """Of the most likely tokens at each position, as many as the server names; empty where it names none."""


def read_logprobs(choice: Mapping[str, Any], where: str) -> TokenLogprobs:
    """The log-probs of one choice.

    Args:
        choice: of the answer.
        where: the response, for messages.

    Raises:
        EngineError: there are none, one is no number of at most 0, there are more or fewer than tokens, or they
            contradict the server's own list of most likely tokens.
    """
    given = choice.get("logprobs")
    tokens: Sequence[Any] = ()
    values: Sequence[Any] = ()
    listed: Sequence[Any] = ()
    if isinstance(given, Mapping) and isinstance(content := given.get("content"), list):
        if not all(isinstance(entry, Mapping) for entry in content):
            raise EngineError(f"{where}: the server's log-probs are no list of tokens; {_REMEDY}")
        tokens = [entry.get("token") for entry in content]
        values = [entry.get("logprob") for entry in content]
        listed = [entry.get("top_logprobs") for entry in content]
    elif isinstance(given, Mapping) and isinstance(given.get("token_logprobs"), list):
        values = given["token_logprobs"]
        tokens, listed = (_list(given.get(key), key, where) for key in ("tokens", "top_logprobs"))
    if not values or any(value is None for value in values):
        raise EngineError(
            f"{where}: the server gave no log-prob for each token, without which there is no log-likelihood; use a "
            "server and model that return them"
        )
    if tokens and len(tokens) != len(values):
        raise EngineError(
            f"{where}: the server gave {len(tokens)} tokens and {len(values)} log-probs, so that they cannot be told "
            "apart; report it there"
        )
    own = tuple(_own(value, where) for value in values)
    names = tuple(map(str, tokens))
    tops = [pairs(entries, where) for entries in listed]
    for name, value, top in zip(names, own, tops, strict=False):
        _check(name, value, top, where)
    _check_all(names, own, tops, where)
    return TokenLogprobs(names, own, tuple(tuple(value for _, value in top) for top in tops))


def pairs(entries: object, where: str) -> list[tuple[str, float]]:
    """The most likely tokens of one position with their log-probs; null is none of them.

    Raises:
        EngineError: a log-prob is no number.
    """
    if entries is None:
        return []
    if isinstance(entries, Mapping):
        named = list(entries.items())
    elif isinstance(entries, list) and all(isinstance(entry, Mapping) for entry in entries):
        named = [(entry.get("token"), entry.get("logprob")) for entry in entries]
    else:
        raise EngineError(f"{where}: the server's top_logprobs are no list of tokens; {_REMEDY}")
    for token, value in named:
        if not _is_number(value) or math.isnan(value):
            raise EngineError(
                f"{where}: the server gave {value!r} as the log-prob of {token!r} in top_logprobs, which is no number; "
                f"{_REMEDY}"
            )
    return [(str(token), float(value)) for token, value in named]


def count(choice: object) -> int:
    """How many tokens of a choice have a log-prob."""
    given = choice.get("logprobs") if isinstance(choice, Mapping) else None
    listed = (given.get("content") or given.get("token_logprobs")) if isinstance(given, Mapping) else None
    return len(listed) if isinstance(listed, list) else 0


def read_ids(choice: Mapping[str, Any], tokens: Sequence[str], where: str) -> list[int]:
    """The token ids of one choice; empty where the server gives none.

    Raises:
        EngineError: one is no token id.
    """
    content = (choice.get("logprobs") or {}).get("content")
    if isinstance(choice.get("token_ids"), list):
        found = choice["token_ids"]
    elif tokens and all(token.startswith(_TOKEN_ID) for token in tokens):
        found = [_digits(token.removeprefix(_TOKEN_ID)) for token in tokens]
    elif isinstance(content, list) and content and all(isinstance(entry.get("id"), int) for entry in content):
        found = [entry["id"] for entry in content]
    else:
        return []
    for token in found:
        if isinstance(token, bool) or not isinstance(token, int) or token < 0:
            raise EngineError(f"{where}: the server gave the token id {token!r}, which is none; report it there")
    return list(found)


def _check(token: str, own: float, top: Sequence[tuple[str, float]], where: str) -> None:
    """Raise `EngineError` where a token's log-prob contradicts the list of most likely tokens beside it.

    Only what no list can say of a true one is refused: tokens that read the same share one entry there.
    """
    same = [value for name, value in top if name == token]
    if same:
        if own <= max(same) + _NATS:
            return
        says = f"{max(same):.3f} for the same token"
    else:
        others = sum(math.exp(min(value, 0.0)) for _, value in top)
        if math.exp(own) + others <= math.exp(_NATS):
            return
        says = f"that other tokens have {100 * others:.1f} % of the probability"
    raise EngineError(
        f"{where}: the server gave token {token!r} the log-prob {own:.3f}, and its own list of most likely tokens says "
        f"{says}: both cannot be true, so there is no log-likelihood; {_REMEDY}"
    )


def _check_all(
    names: Sequence[str], own: Sequence[float], tops: Sequence[Sequence[tuple[str, float]]], where: str
) -> None:
    """Raise `EngineError` where most tokens of a response are below their own entry in the lists beside them.

    One may honestly be: it reads as another token does, which has the entry.
    """
    listed = [
        (value, max(same))
        for name, value, top in zip(names, own, tops, strict=False)
        if (same := [v for other, v in top if other == name])
    ]
    below = [pair for pair in listed if pair[0] < pair[1] - _NATS]
    if len(below) > 2 and 2 * len(below) > len(listed):
        value, other = below[0]
        raise EngineError(
            f"{where}: the server gave {len(below)} of {len(listed)} tokens another log-prob than its own list of most "
            f"likely tokens has for them (the first {value:.3f}, there {other:.3f}): both cannot be true; {_REMEDY}"
        )


def _own(value: Any, where: str) -> float:
    if not _is_number(value) or not math.isfinite(value) or value > 0:
        raise EngineError(
            f"{where}: the server gave the log-prob {value!r}, which must be a finite number of at most 0; {_REMEDY}"
        )
    return float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _digits(text: str) -> object:
    return int(text) if text.isdecimal() else text


def _list(value: object, key: str, where: str) -> Sequence[Any]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise EngineError(f"{where}: the server's {key} are no list; {_REMEDY}")
    return value
