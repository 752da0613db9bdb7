"""The values that cross the borders between rooms: problems, requests, responses."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from bon_eval.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Draw = str
"""The name of a way of sampling. ``greedy`` (temperature 0, one response) and ``sample`` (the pool of N) are always
there; any other is the user's."""

ToldBy = Literal["token ids", "text"]
"""What tells that two responses are the same one: their token ids, or their text where a server gave no ids."""

TOPK = 20
"""Most likely tokens behind the top-k confidence of a token (all of them in a smaller vocabulary)."""


COLDEST = 0.01
"""The lowest temperature above 0: vLLM would silently sample at it instead of a lower one."""


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
    """What an engine is asked for. Nothing else (no penalty, no model default) shapes the distribution.

    Each token is drawn from softmax(logits / temperature) without the tokens that are cut from it: first by `min_p` and
    `top_k`, which keep the same tokens in either order, then by `top_p`, of the probability that these have left. What
    is left is renormalised. The log-probs that come back are those of temperature 1 with nothing cut, in every case.

    Raises:
        ConfigError: a parameter out of its range, or one of the last three beside temperature 0.
    """

    temperature: float
    """0 for greedy, otherwise at least `COLDEST`."""
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
    top_p: float = 1.0
    """Above 0 and at most 1: the fewest most likely tokens that hold this share are kept; 1: off."""
    top_k: int = 0
    """So many most likely tokens are kept; of those that tie with the last one an engine keeps some or all; 0: off."""
    min_p: float = 0.0
    """From 0 to 1: tokens that have at least this share of the most likely one's probability are kept; 0: off."""

    def __post_init__(self) -> None:
        t, top_p, top_k, min_p = self.temperature, self.top_p, self.top_k, self.min_p
        for name, value, fits, range_ in (
            ("temperature", t, t == 0 or COLDEST <= t < math.inf, f"0 (greedy) or a number from {COLDEST} on"),
            ("top_p", top_p, 0 < top_p <= 1, "above 0 and at most 1 (off)"),
            ("top_k", top_k, isinstance(top_k, int) and top_k >= 0, "a whole number of tokens, or 0 (off)"),
            ("min_p", min_p, 0 <= min_p <= 1, "from 0 (off) to 1"),
        ):
            if not fits:
                raise ConfigError(f"{name} must be {range_}, got {value!r}")
        if self.temperature == 0 and self.truncation:
            given = ", ".join(f"{name} {value}" for name, value in self.truncation.items())
            raise ConfigError(
                f"temperature 0 takes the most likely token, so {given} would change nothing; give a temperature above "
                "0, or leave it out"
            )

    @property
    def truncation(self) -> dict[str, float]:
        """What cuts tokens from the distribution: of ``top_p``, ``top_k`` and ``min_p`` those that are on."""
        off = {"top_p": 1.0, "top_k": 0, "min_p": 0.0}
        return {name: getattr(self, name) for name, value in off.items() if getattr(self, name) != value}

    @property
    def own_distribution(self) -> bool:
        """Whether responses are drawn from the model's own distribution: temperature 1 and nothing cut."""
        return self.temperature == 1 and not self.truncation


@dataclass(frozen=True, slots=True)
class Request:
    """N responses to one prompt."""

    problem_id: str
    arm: Draw
    prompt_token_ids: tuple[int, ...]
    n: int
    sampling: Sampling
    messages: tuple[Mapping[str, str], ...] | None = None
    """What the chat template made the prompt of, each with ``role`` and ``content``; None for plain text."""


@dataclass(frozen=True, slots=True)
class Response:
    """One generated text with the log-probs of its own tokens under the model's raw distribution, in nats."""

    problem_id: str
    arm: Draw
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
    stated: tuple[float, int] | None = None
    """Of an imported response without token log-probs: the log-likelihood (NaN: unknown) and the number of tokens (0:
    unknown) that its source states."""

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
        return len(self.token_logprobs) if self.stated is None else self.stated[1]

    @property
    def log_likelihood(self) -> float:
        """Sum of token_logprobs in nats (float64 sum in token order)."""
        return float(sum(self.token_logprobs)) if self.stated is None else self.stated[0]

    @property
    def truncated(self) -> bool:
        """Whether the response was cut before its end token."""
        return self.finish_reason == "length"


@dataclass(frozen=True, slots=True)
class ForcedSequence:
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


_ARRAYS = ("log_likelihood", "n_tokens", "truncated", "correct", "unscored", "answer_class")
_STRICT = ("correct_strict", "unscored_strict")
_LENGTHS = ("reasoning_chars", "answer_chars", "special_inside")
_OPTIONAL = (*_STRICT, *_LENGTHS, "n_bytes", "same_as_greedy")


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """P problems x N responses of one arm (N = 1 for greedy). Row order is that of `problem_ids`.

    All two-dimensional arrays have shape (P, N).
    """

    problem_ids: tuple[str, ...]
    log_likelihood: NDArray[np.float64]
    """Sum of token log-probs in nats, end token included."""
    n_tokens: NDArray[np.int32]
    truncated: NDArray[np.bool_]
    """Cut by max_tokens: the log-likelihood lacks the end token."""
    correct: NDArray[np.bool_]
    """Graded correct; unscored responses are False here and True in `unscored`."""
    unscored: NDArray[np.bool_]
    answer_class: NDArray[np.int32]
    """Class of the answer under the task's own equivalence, numbered within the problem; -1: no answer was read."""
    correct_strict: NDArray[np.bool_] | None = None
    """As `correct`, under the task's strict answer format; None where the grades hold no verdicts under it."""
    unscored_strict: NDArray[np.bool_] | None = None
    """Without a verdict under the strict format; present where `correct_strict` is."""
    reasoning_chars: NDArray[np.int32] | None = None
    """Characters of reasoning before the answer; -1: none. None where the grades are of a version without it."""
    answer_chars: NDArray[np.int32] | None = None
    """Characters behind the reasoning; -1: it was not finished. Present where `reasoning_chars` is."""
    special_inside: NDArray[np.bool_] | None = None
    """Whether a special token stands before a response's last one; None where the run or its grades do not tell."""
    token_logprobs: NDArray[np.float32] | None = None
    """All token log-probs, responses in row-major order of (P, N); None unless loaded."""
    token_offsets: NDArray[np.int64] | None = None
    """Shape (P * N + 1,): response k owns token_logprobs[offsets[k]:offsets[k + 1]]."""
    n_bytes: NDArray[np.int32] | None = None
    """UTF-8 bytes of each text."""
    same_as_greedy: NDArray[np.bool_] | None = None
    """Whether a sampled response is its problem's greedy response over again; None where that was not told."""
    same_told_by: ToldBy | None = None
    """By what; None where `same_as_greedy` is."""
    token_stats: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    """``topk``, ``entropy``, ``self_certainty`` -> one number for each token, as in `token_logprobs`; what was
    loaded."""
    plugin_scores: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    """Name of a user's own scorer -> its scores, (P, N); what was loaded."""
    absent: Mapping[str, str] = field(default_factory=dict)
    """Of an imported run: ``log_likelihood`` (NaN then), ``n_tokens`` (0 then), ``truncated`` (False then) and others
    that its source does not state -> why."""

    def __post_init__(self) -> None:
        shape = (len(self.problem_ids), self.n)
        named = {name: getattr(self, name) for name in (*_ARRAYS, *(() if self.correct_strict is None else _STRICT))}
        optional = {name: getattr(self, name) for name in (*_LENGTHS, "n_bytes", "same_as_greedy")}
        named |= {name: array for name, array in optional.items() if array is not None}
        for name, array in (*named.items(), *self.plugin_scores.items()):
            if array is None or array.shape != shape:
                found = "is missing" if array is None else f"has shape {array.shape}"
                raise ValueError(f"{name} {found}, expected (problems, N) = {shape}")

    @property
    def n(self) -> int:
        """Responses per problem."""
        return int(self.log_likelihood.shape[1])

    @property
    def unfinished(self) -> NDArray[np.bool_]:
        """Responses whose reasoning was not finished: they have no answer. All False where that is not known."""
        import numpy as np  # the command line names records without it

        return np.zeros(self.correct.shape, np.bool_) if self.answer_chars is None else self.answer_chars < 0

    def has(self, need: str) -> bool:
        """Whether it holds ``token_logprobs``, ``n_bytes`` or a statistic of each token."""
        if need == "n_bytes":
            return self.n_bytes is not None
        tokens = self.token_logprobs if need == "token_logprobs" else self.token_stats.get(need)
        return tokens is not None and self.token_offsets is not None

    def take(self, rows: Sequence[int] | NDArray[np.intp]) -> Pool:
        """The same pool with the given problems only (without token log-probs)."""
        import numpy as np  # the command line names records without it

        index = np.asarray(rows, dtype=np.intp)
        arrays = {name: getattr(self, name) for name in (*_ARRAYS, *_OPTIONAL)}
        taken: dict[str, Any] = {name: None if array is None else array[index] for name, array in arrays.items()}
        taken["plugin_scores"] = {name: scores[index] for name, scores in self.plugin_scores.items()}
        ids = tuple(self.problem_ids[i] for i in index)
        return Pool(problem_ids=ids, same_told_by=self.same_told_by, absent=self.absent, **taken)

    def under_strict_format(self) -> Pool:
        """The same pool with the verdicts of the strict format as its verdicts (without token log-probs).

        Raises:
            ConfigError: the grades hold no verdicts under a strict format.
        """
        if self.correct_strict is None or self.unscored_strict is None:
            raise ConfigError("the grades hold no verdicts under a strict format; the task's grader defines none")
        return replace(
            self,
            correct=self.correct_strict,
            unscored=self.unscored_strict,
            token_logprobs=None,
            token_offsets=None,
            token_stats={},
        )
