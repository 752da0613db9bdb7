"""The values that cross the borders between rooms: problems, requests, responses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Arm = Literal["greedy", "sample"]
"""How a stored response was drawn: ``greedy`` (temperature 0, one) or ``sample`` (one of the pool of N)."""


TOPK = 20
"""Most likely tokens behind the top-k confidence of a token (all of them in a smaller vocabulary)."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One row of a task."""

    id: str
    """Unique within the task."""
    fields: dict[str, str]
    """The row's columns that templates may name, as text."""
    gold: str
    """The gold answer as the grader takes it; never empty."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """What an engine is asked for. Nothing else (no top-k, no penalty, no model default) shapes the distribution."""

    temperature: float
    """0 for greedy, otherwise > 0; the log-probs that come back are those of temperature 1 in every case."""
    max_tokens: int
    """Most tokens of a response, end token included; >= 1."""
    stop_token_ids: tuple[int, ...] = ()
    """Tokens that end a response. The end token is part of the response: it is kept and its log-prob counts."""
    stop: tuple[str, ...] = ()
    """Strings that end a response. Tokens up to and including the one that completes the string are kept; the text
    ends before the string."""
    topk: bool = False
    """Whether responses carry the top-k confidence of each token: minus the mean log-prob of the `TOPK` most likely
    ones."""


@dataclass(frozen=True, slots=True)
class Request:
    """N responses to one prompt."""

    problem_id: str
    arm: Arm
    prompt_token_ids: tuple[int, ...]
    n: int
    sampling: Sampling
    messages: tuple[Mapping[str, str], ...] | None = None
    """What the chat template made the prompt of, each with ``role`` and ``content``; None for plain text."""


@dataclass(frozen=True, slots=True)
class Response:
    """One generated text with the log-probs of its own tokens under the model's raw distribution, in nats."""

    problem_id: str
    arm: Arm
    index: int
    """0 .. n-1 within the problem and arm."""
    text: str
    token_ids: tuple[int, ...]
    """Empty where a server gave the tokens' log-probs without their ids."""
    token_logprobs: tuple[float, ...]
    """One for each token; finite, <= 0."""
    finish_reason: str
    """``stop`` (end token or stop string) or ``length`` (cut by max_tokens: the log-likelihood lacks the end)."""
    token_topk: tuple[float, ...] | None = None
    """Top-k confidence at each token (see `bon_eval.scorers.mean_confidence`), in nats; None unless it was asked for,
    like the two below."""
    token_entropy: tuple[float, ...] | None = None
    token_self_certainty: tuple[float, ...] | None = None

    @property
    def n_bytes(self) -> int:
        """UTF-8 bytes of the text as it is stored: half of a surrogate pair counts as one."""
        return len(self.text.encode("utf-8", "replace"))

    def stat(self, name: str) -> tuple[float, ...] | None:
        """``topk``, ``entropy`` or ``self_certainty`` of each token; None where it was not computed."""
        return {
            "topk": self.token_topk,
            "entropy": self.token_entropy,
            "self_certainty": self.token_self_certainty,
        }[name]

    @property
    def n_tokens(self) -> int:
        """Number of tokens, end token included."""
        return len(self.token_logprobs)

    @property
    def log_likelihood(self) -> float:
        """Sum of token_logprobs in nats (float64 sum in token order)."""
        return float(sum(self.token_logprobs))

    @property
    def truncated(self) -> bool:
        """Whether the response was cut before its end token."""
        return self.finish_reason == "length"


@dataclass(frozen=True, slots=True)
class Sequence:
    """A given response to be scored by teacher forcing."""

    key: str
    """The caller's name for it; comes back with the log-probs."""
    prompt_token_ids: tuple[int, ...]
    response_token_ids: tuple[int, ...]
    """At least one token."""


@dataclass(frozen=True, slots=True)
class Forced:
    """Teacher-forced log-probs of one sequence's response tokens, in nats."""

    key: str
    logprobs: tuple[float, ...]
    """Of the response's own tokens."""
    argmax_logprobs: tuple[float, ...]
    """Of the most likely token at each of these positions; never below the own token's but for rounding."""
