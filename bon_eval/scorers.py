"""Scorers: what best-of-N picks by. A scorer is ``scorer(response) -> float``, higher is better.

``scorer.over(pool)`` gives the same numbers for a whole pool, shape (P, N), float64. `SCORERS` holds the public ones
by name. All of them need nothing but what a run has stored.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bon_eval.errors import ConfigError, EngineError, unknown_name
from bon_eval.pool import Pool
from bon_eval.records import Response

_MASK = (1 << 64) - 1
_CHUNK_ELEMENTS = 1 << 22


class Scorer:
    """A score of one response (call it) and of every response of a pool (`over`), equal by contract."""

    name: str
    """Name in `SCORERS` and on the command line."""
    needs_tokens: bool
    """Whether `over` needs the pool's token log-probs (``pool.token_logprobs``)."""

    def __init__(
        self,
        one: Callable[[Response], float],
        over: Callable[[Pool], NDArray[np.float64]],
        *,
        needs_tokens: bool = False,
    ) -> None:
        self._one = one
        self._over = over
        self.needs_tokens = needs_tokens
        self.name = one.__name__
        functools.update_wrapper(self, one, updated=())

    @property
    def summary(self) -> str:
        """First line of the docstring."""
        return (self.__doc__ or "").strip().splitlines()[0]

    def __call__(self, response: Response) -> float:
        """Score of one response, higher is better.

        Raises:
            EngineError: the response has no tokens.
        """
        if not response.token_ids:
            raise EngineError(_no_tokens(response.problem_id, response.index))
        return self._one(response)

    def over(self, pool: Pool) -> NDArray[np.float64]:
        """Scores of a pool, shape (P, N); column j is the response of index j.

        Raises:
            EngineError: a response has no tokens.
            ConfigError: the scorer needs token log-probs and the pool was loaded without them.
        """
        empty = np.argwhere(pool.n_tokens < 1)
        if len(empty):
            raise EngineError(_no_tokens(pool.problem_ids[empty[0, 0]], int(empty[0, 1])))
        if self.needs_tokens and (pool.token_logprobs is None or pool.token_offsets is None):
            raise ConfigError(f"scorer {self.name!r} needs token log-probs; load the pool with its token log-probs")
        return self._over(pool)

    def __repr__(self) -> str:
        return f"<scorer {self.name}>"


def _no_tokens(problem_id: str, index: int) -> str:
    return f"response {index} of problem {problem_id!r} has no tokens and cannot be scored; sample it again"


def _scorer(
    over: Callable[[Pool], NDArray[np.float64]], *, needs_tokens: bool = False
) -> Callable[[Callable[[Response], float]], Scorer]:
    return lambda one: Scorer(one, over, needs_tokens=needs_tokens)


@_scorer(lambda pool: pool.log_likelihood.astype(np.float64))
def log_likelihood(response: Response) -> float:
    """Sum of the log-probs of the response's tokens, end token included, in nats (the default).

    score(y) = log pi(y|x) = sum_t log pi(y_t | x, y_<t).
    Source: Huang et al. 2024 (arXiv 2412.01951), the sharpening objective.
    Known failure: short answers have few factors and win; a response cut by max_tokens lacks its end token's factor.
    """
    return response.log_likelihood


@_scorer(lambda pool: pool.log_likelihood / pool.n_tokens)
def mean_log_likelihood(response: Response) -> float:
    """Mean log-prob per token, in nats: log-likelihood over the number of tokens.

    score(y) = log pi(y|x) / |y|.
    Source: Huang et al. 2024 (arXiv 2412.01951), the length-normalised variant.
    Known failure: long responses with much boilerplate or repetition win, since easy tokens raise the mean.
    """
    return response.log_likelihood / response.n_tokens


@_scorer(lambda pool: -pool.n_tokens.astype(np.float64))
def shortest(response: Response) -> float:
    """Minus the number of tokens: picks the shortest response (a control for the short-answer failure).

    score(y) = -|y|. Whole numbers, so ties are common; best-of-n shares them.
    Source: the length confound that Huang et al. 2024 (arXiv 2412.01951) discuss.
    Known failure: picks immediate answers over worked ones.
    """
    return -float(response.n_tokens)


@_scorer(lambda pool: pool.n_tokens.astype(np.float64))
def longest(response: Response) -> float:
    """Number of tokens: picks the longest response (a control).

    score(y) = |y|. Whole numbers, so ties are common; best-of-n shares them.
    Source: the opposite control to `shortest`.
    Known failure: picks responses that ran on until max_tokens cut them.
    """
    return float(response.n_tokens)


def seeded_random(seed: int) -> Scorer:
    """A random scorer with its own seed: a hash of (seed, problem id, index) as a uniform number in [0, 1).

    No generator state is involved, so a stored run gives the same picks whatever was computed before. The problem
    id enters through BLAKE2b, the index through SplitMix64 (Steele et al. 2014, doi 10.1145/2660193.2660195).
    """

    def key_of(problem_id: str) -> int:
        text = f"{seed}:{problem_id}".encode("utf-8", "surrogatepass")
        return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")

    def over(pool: Pool) -> NDArray[np.float64]:
        keys = np.array([key_of(problem_id) for problem_id in pool.problem_ids], dtype=np.uint64)[:, None]
        steps = np.array([(j + 1) * 0x9E3779B97F4A7C15 & _MASK for j in range(pool.n)], dtype=np.uint64)
        z = keys + steps  # uint64 arithmetic wraps, which is what SplitMix64 wants
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.ldexp(((z ^ (z >> np.uint64(31))) >> np.uint64(11)).astype(np.float64), -53)

    @_scorer(over)
    def random(response: Response) -> float:
        """A fixed random number for each response (a control): best-of-n by it equals one sample.

        score(y) = SplitMix64(hash(problem id), index) / 2^64, uniform in [0, 1).
        Source: the null scorer; its lift over `sample` is 0 in expectation.
        Known failure: none; any lift that it shows is noise.
        """
        z = (key_of(response.problem_id) + (response.index + 1) * 0x9E3779B97F4A7C15) & _MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return ((z ^ (z >> 31)) >> 11) * 2.0**-53

    return random


random = seeded_random(0)


def _min_over(pool: Pool) -> NDArray[np.float64]:
    tokens, offsets = _tokens_of(pool)
    return np.minimum.reduceat(tokens, offsets[:-1]).astype(np.float64).reshape(pool.n_tokens.shape)


@_scorer(_min_over, needs_tokens=True)
def min_token_logprob(response: Response) -> float:
    """Log-prob of the least likely token, in nats: one doubtful step sinks the response.

    score(y) = min_t log pi(y_t | x, y_<t).
    Source: the one-token limit of the group confidences of DeepConf (arXiv 2508.15260).
    Known failure: punishes a rare but harmless wording; longer responses have lower minima.
    """
    return min(response.token_logprobs)


@_scorer(lambda pool: _lowest_decile(*_tokens_of(pool)).reshape(pool.n_tokens.shape), needs_tokens=True)
def lowest_decile_mean(response: Response) -> float:
    """Mean log-prob of the least likely tenth of the tokens, in nats.

    score(y) = mean of the ceil(|y| / 10) smallest log pi(y_t | x, y_<t).
    Source: the bottom-10 % confidence of DeepConf (arXiv 2508.15260), on single tokens instead of windows.
    Known failure: with ten tokens or fewer it is the least likely token alone.
    """
    tokens = np.array(response.token_logprobs, dtype=np.float64)
    return float(_lowest_decile(tokens, np.array([0, len(tokens)]))[0])


def _tokens_of(pool: Pool) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    if pool.token_logprobs is None or pool.token_offsets is None:
        raise ConfigError("the pool was loaded without token log-probs; load it with them")
    if not np.array_equal(np.diff(pool.token_offsets), pool.n_tokens.ravel()):
        raise EngineError("token log-probs and token counts of the pool disagree; sample the run again")
    return pool.token_logprobs, pool.token_offsets


def _lowest_decile(
    tokens: NDArray[np.float32] | NDArray[np.float64], offsets: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Mean of the lowest tenth (rounded up) of each segment; shape (segments,)."""
    lengths = np.diff(offsets)
    by_length = np.argsort(lengths, kind="stable")
    ascending = lengths[by_length]
    out = np.empty(len(lengths))
    start = 0
    while start < len(by_length):
        # Neighbours in length are padded together, to at most twice their own length.
        width = 2 * int(ascending[start])
        stop = min(start + max(1, _CHUNK_ELEMENTS // width), int(np.searchsorted(ascending, width, side="right")))
        part = by_length[start:stop]
        column = np.arange(int(ascending[stop - 1]))
        inside = column < lengths[part][:, None]
        padded = np.where(inside, tokens[np.where(inside, offsets[part][:, None] + column, 0)], np.inf)
        padded.sort(axis=1)
        keep = -(-lengths[part] // 10)
        lowest = padded[:, : int(keep[-1])].astype(np.float64)
        lowest[np.arange(lowest.shape[1]) >= keep[:, None]] = 0.0
        # cumsum adds in order, so padding cannot change the last bit of a sum.
        out[part] = lowest.cumsum(axis=1)[:, -1] / keep
        start = stop
    return out


SCORERS: dict[str, Scorer] = {
    scorer.name: scorer
    for scorer in (
        log_likelihood,
        mean_log_likelihood,
        min_token_logprob,
        lowest_decile_mean,
        shortest,
        longest,
        random,
    )
}
"""The public scorers by name; `log_likelihood` is the default."""

DEFAULT_SCORER = log_likelihood.name


def get_scorer(name: str) -> Scorer:
    """The public scorer of that name.

    Raises:
        ConfigError: no such scorer; the message lists the valid names.
    """
    if name not in SCORERS:
        raise ConfigError(unknown_name("scorer", name, list(SCORERS)))
    return SCORERS[name]
