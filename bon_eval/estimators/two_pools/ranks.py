"""Where one model's responses stand among another one's, by how likely that other model finds them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bon_eval.stats.array_checks import row_chunks

Array = NDArray[np.float64]


def rank_in_pool(log_likelihood: Array, keys: NDArray[np.uint64], pool: Array, pool_keys: NDArray[np.uint64]) -> Array:
    """Where a model's responses stand among the base model's pool: share of it that is less likely at the base model.

    Responses of equal likelihood count one half, and so does one that is the same as the response itself. The mean over
    fresh samples of the base model is 1/2, whatever the pool's size.

    Args:
        log_likelihood: (P, M), nats under the base model.
        keys: (P, M), equal for equal responses.
        pool, pool_keys: (P, N), the same of the base model's own responses, which are others than those ranked.

    Returns:
        (P, M), in [0, 1].

    >>> pool, keys = np.array([[-1.0, -2.0]]), np.array([[7, 9]])
    >>> rank_in_pool(np.array([[-1.0, -5.0]]), np.array([[7, 8]]), pool, keys).tolist()
    [[0.75, 0.0]]
    """
    out = np.empty(log_likelihood.shape)
    for rows in row_chunks(len(out), log_likelihood.shape[1] * pool.shape[1]):
        own, others = log_likelihood[rows, :, None], pool[rows, None, :]
        same = (own == others) | (keys[rows, :, None] == pool_keys[rows, None, :])
        out[rows] = np.where(same, 0.5, others < own).mean(axis=2)
    return out


def rank_in_own_pool(pool: Array, keys: NDArray[np.uint64]) -> Array:
    """`rank_in_pool` of the base model's own pool, each response among the others: (P, N), whose means are 1/2.

    A response is not held against itself. What beats another is beaten by it the other way round, so that each
    problem's mean is 1/2 exactly, up to the last bit of a sum.

    Raises:
        ValueError: a pool of one response has no others.
    """
    n = pool.shape[1]
    if n < 2:
        raise ValueError("a response is ranked among the others of its pool; one alone has none")
    return np.asarray((n * rank_in_pool(pool, keys, pool, keys) - 0.5) / (n - 1), dtype=np.float64)
