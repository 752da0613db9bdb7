"""The stored responses of one arm as arrays: what scorers, estimators and statistics work on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bon_eval.errors import ConfigError

_ARRAYS = ("log_likelihood", "n_tokens", "truncated", "correct", "unscored", "answer_class")
_STRICT = ("correct_strict", "unscored_strict")
_OPTIONAL = (*_STRICT, "n_bytes")


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
    token_logprobs: NDArray[np.float32] | None = None
    """All token log-probs, responses in row-major order of (P, N); None unless loaded."""
    token_offsets: NDArray[np.int64] | None = None
    """Shape (P * N + 1,): response k owns token_logprobs[offsets[k]:offsets[k + 1]]."""
    n_bytes: NDArray[np.int32] | None = None
    """UTF-8 bytes of each text."""
    token_stats: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    """``topk``, ``entropy``, ``self_certainty`` -> one number for each token, as in `token_logprobs`; what was
    loaded."""
    own_scores: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    """Name of a user's own scorer -> its scores, (P, N); what was loaded."""

    def __post_init__(self) -> None:
        shape = (len(self.problem_ids), self.n)
        named = {name: getattr(self, name) for name in (*_ARRAYS, *(() if self.correct_strict is None else _STRICT))}
        if self.n_bytes is not None:
            named["n_bytes"] = self.n_bytes
        for name, array in (*named.items(), *self.own_scores.items()):
            if array is None or array.shape != shape:
                found = "is missing" if array is None else f"has shape {array.shape}"
                raise ValueError(f"{name} {found}, expected (problems, N) = {shape}")

    @property
    def n(self) -> int:
        """Responses per problem."""
        return int(self.log_likelihood.shape[1])

    def has(self, need: str) -> bool:
        """Whether it holds ``token_logprobs``, ``n_bytes`` or a statistic of each token."""
        if need == "n_bytes":
            return self.n_bytes is not None
        tokens = self.token_logprobs if need == "token_logprobs" else self.token_stats.get(need)
        return tokens is not None and self.token_offsets is not None

    def take(self, rows: Sequence[int] | NDArray[np.intp]) -> Pool:
        """The same pool with the given problems only (without token log-probs)."""
        index = np.asarray(rows, dtype=np.intp)
        arrays = {name: getattr(self, name) for name in (*_ARRAYS, *_OPTIONAL)}
        taken: dict[str, Any] = {name: None if array is None else array[index] for name, array in arrays.items()}
        taken["own_scores"] = {name: scores[index] for name, scores in self.own_scores.items()}
        return Pool(problem_ids=tuple(self.problem_ids[i] for i in index), **taken)

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
