"""The stored responses of one arm as arrays: what scorers, estimators and statistics work on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray


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
    token_logprobs: NDArray[np.float32] | None = None
    """All token log-probs, responses in row-major order of (P, N); None unless loaded."""
    token_offsets: NDArray[np.int64] | None = None
    """Shape (P * N + 1,): response k owns token_logprobs[offsets[k]:offsets[k + 1]]."""

    def __post_init__(self) -> None:
        shape = (len(self.problem_ids), self.n)
        for name in ("log_likelihood", "n_tokens", "truncated", "correct", "unscored", "answer_class"):
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}, expected (problems, N) = {shape}")

    @property
    def n(self) -> int:
        """Responses per problem."""
        return int(self.log_likelihood.shape[1])

    def take(self, rows: Sequence[int] | NDArray[np.intp]) -> Pool:
        """The same pool with the given problems only (without token log-probs)."""
        index = np.asarray(rows, dtype=np.intp)
        arrays = {
            f.name: getattr(self, f.name)[index]
            for f in fields(self)
            if f.name not in ("problem_ids", "token_logprobs", "token_offsets")
        }
        return Pool(problem_ids=tuple(self.problem_ids[i] for i in index), **arrays)
