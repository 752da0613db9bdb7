"""Control scorers: what best-of-N picks by length alone, and by nothing at all."""

from __future__ import annotations

import hashlib

import numpy as np

from bon_eval.records import Pool, Response
from bon_eval.scorers.base import Array, Scorer, scorer

_MASK = (1 << 64) - 1


@scorer(lambda pool: -pool.n_tokens.astype(np.float64), reads=["n_tokens"])
def shortest(response: Response) -> float:
    """Minus the number of tokens: picks the shortest response (a control for the short-answer failure).

    score(y) = -|y|. Whole numbers, so ties are common; best-of-n shares them.
    Source: the length confound that Huang et al. 2024 (arXiv 2412.01951) discuss.
    Known failure: picks immediate answers over worked ones.
    """
    return -float(response.n_tokens)


@scorer(lambda pool: pool.n_tokens.astype(np.float64), weight="score", reads=["n_tokens"])
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

    def over(pool: Pool) -> Array:
        keys = np.array([key_of(problem_id) for problem_id in pool.problem_ids], dtype=np.uint64)[:, None]
        steps = np.array([(j + 1) * 0x9E3779B97F4A7C15 & _MASK for j in range(pool.n)], dtype=np.uint64)
        z = keys + steps  # uint64 arithmetic wraps, which is what SplitMix64 wants
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.ldexp(((z ^ (z >> np.uint64(31))) >> np.uint64(11)).astype(np.float64), -53)

    @scorer(over, weight="score", blind=True)
    def random(response: Response) -> float:
        """A fixed random number for each response (a control): best-of-n by it equals one sample.

        score(y) = SplitMix64(hash(problem id), index) / 2^64, uniform in [0, 1).
        Source: the null scorer; its lift over `sample` is 0 in expectation, and reports show that expectation, exactly.
        Known failure: none.
        """
        z = (key_of(response.problem_id) + (response.index + 1) * 0x9E3779B97F4A7C15) & _MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return ((z ^ (z >> 31)) >> 11) * 2.0**-53

    return random


random = seeded_random(0)
