"""What a scorer is: ``scorer(response) -> float``, higher is better, with a form for whole pools."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bon_eval.errors import ConfigError, EngineError
from bon_eval.records import Pool, Response

Array = NDArray[np.float64]

Need = Literal["token_logprobs", "n_bytes", "topk", "entropy", "self_certainty"]
"""What a scorer reads beyond the responses' log-likelihoods and lengths."""

Read = Literal["log_likelihood", "n_tokens"]
"""What every run has but one that was imported from a source that does not state it."""

STATS: tuple[Need, ...] = ("topk", "entropy", "self_certainty")
"""The needs that a run does not store by default: one number for each token."""

_READ: dict[Read, str] = {"log_likelihood": "log-likelihoods", "n_tokens": "numbers of tokens"}
_REMEDY: dict[Need, str] = {
    "token_logprobs": "token log-probs; load the pool with its token log-probs",
    "n_bytes": "the texts' lengths in bytes; load the pool from a stored run",
    "topk": "the top-k confidence of each token; sample with --token-stats topk or run: bon-eval score RUN --stats "
    "topk, then load the run with scorers=[...]",
    "entropy": "the entropy at each token; run: bon-eval score RUN --stats entropy, then load the run with "
    "scorers=[...]",
    "self_certainty": "the self-certainty at each token; run: bon-eval score RUN --stats self_certainty, then load the "
    "run with scorers=[...]",
}


class Scorer:
    """A score of one response (call it) and of every response of a pool (`over`), equal by contract."""

    name: str
    """Name in the registry and on the command line."""
    needs: frozenset[Need]
    """What it reads beyond log-likelihoods and lengths."""
    reads: frozenset[Read]
    """Which of these two it reads."""
    weight: Literal["exp", "score"]
    """How a weighted vote makes a weight of the score: ``exp`` for logarithms (and minus a length), ``score`` for
    numbers that are weights as they are."""
    blind: bool
    """Whether it knows nothing of the response: the exact expectation of best-of-n by it is one sample."""

    def __init__(
        self,
        one: Callable[[Response], float],
        over: Callable[[Pool], Array],
        *,
        name: str | None = None,
        needs: frozenset[Need] = frozenset(),
        weight: Literal["exp", "score"] = "exp",
        blind: bool = False,
        reads: frozenset[Read] = frozenset(),
    ) -> None:
        self._one = one
        self._over = over
        functools.update_wrapper(self, one, updated=())
        self.name = one.__name__ if name is None else name
        self.needs = needs
        self.reads = reads
        self.weight = weight
        self.blind = blind

    @property
    def summary(self) -> str:
        """First line of the docstring."""
        return (self.__doc__ or self.name).strip().splitlines()[0]

    @property
    def needs_tokens(self) -> bool:
        """Whether `over` needs the pool's token log-probs (``pool.token_logprobs``)."""
        return "token_logprobs" in self.needs

    @property
    def stats(self) -> tuple[Need, ...]:
        """The needs that a run does not store by default."""
        return tuple(stat for stat in STATS if stat in self.needs)

    def __call__(self, response: Response) -> float:
        """Score of one response, higher is better.

        Raises:
            EngineError: the response has no tokens.
            ConfigError: the response lacks what the scorer needs; the message says which command makes it.
        """
        if not response.n_tokens and response.stated is None:
            raise EngineError(_no_tokens(response.problem_id, response.index))
        for stat in self.stats:
            values = response.stat(stat)
            if values is None:
                raise ConfigError(f"scorer {self.name!r} needs {_REMEDY[stat]}")
            if len(values) != response.n_tokens:
                raise EngineError(_other_tokens(stat, response.problem_id, response.index))
        return self._one(response)

    def over(self, pool: Pool) -> Array:
        """Scores of a pool, shape (P, N); column j is the response of index j.

        Raises:
            EngineError: a response has no tokens.
            ConfigError: the pool lacks what the scorer needs; the message says which command makes it.
        """
        for read in sorted(self.reads & pool.absent.keys()):
            raise ConfigError(f"scorer {self.name!r} needs {_READ[read]}, and {pool.absent[read]}")
        empty = np.argwhere(pool.n_tokens < 1)
        if len(empty) and "n_tokens" not in pool.absent:
            raise EngineError(_no_tokens(pool.problem_ids[empty[0, 0]], int(empty[0, 1])))
        for need in sorted(self.needs):
            if not pool.has(need):
                raise ConfigError(f"scorer {self.name!r} needs {_REMEDY[need]}")
        return self._over(pool)

    def __repr__(self) -> str:
        return f"<scorer {self.name}>"


def _no_tokens(problem_id: str, index: int) -> str:
    return f"response {index} of problem {problem_id!r} has no tokens and cannot be scored; sample it again"


def _other_tokens(stat: str, problem_id: str, index: int) -> str:
    return f"response {index} of problem {problem_id!r} has not one {stat} for each token; score the run again"


def scorer(
    over: Callable[[Pool], Array],
    *needs: Need,
    name: str | None = None,
    weight: Literal["exp", "score"] = "exp",
    blind: bool = False,
    reads: Collection[Read] = (),
) -> Callable[[Callable[[Response], float]], Scorer]:
    """Make a scorer of a function of one response, given its form for pools and what it needs."""
    return lambda one: Scorer(
        one, over, name=name, needs=frozenset(needs), weight=weight, blind=blind, reads=frozenset(reads)
    )
