"""How often best-of-n picks another response where scores are computed a second time, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

import numpy as np
from numpy.typing import NDArray


def changed_picks(
    scores: NDArray[np.float64], again: NDArray[np.float64], same: NDArray[np.int64], ns: Sequence[int]
) -> NDArray[np.float64]:
    """Probability that a random n-subset of a pool has another best response by `again` than by `scores`.

    The pick is not another one where some response is best by both, so ties change nothing, nor where a best one by
    `scores` and a best one by `again` are the same response twice.

    Args:
        scores, again: of one pool, shape (N,), higher is better.
        same: shape (N,), equal numbers for equal responses.
        ns: subset sizes, each in 1..N.

    Returns:
        Shape (len(ns),): the share of the n-subsets.

    Raises:
        ValueError: shapes that differ, an n outside 1..N, or a score that is NaN.

    >>> changed_picks(np.array([3.0, 2.0, 1.0]), np.array([2.0, 3.0, 1.0]), np.arange(3), [1, 2, 3]).round(3).tolist()
    [0.0, 0.333, 1.0]
    """
    size = len(scores)
    if not (scores.shape == again.shape == same.shape == (size,)):
        raise ValueError(f"shapes {scores.shape}, {again.shape} and {same.shape} are not one pool's")
    if bad := [n for n in ns if not 1 <= n <= size]:
        raise ValueError(f"n = {bad[0]} is not in 1..{size}")
    if np.isnan(scores).any() or np.isnan(again).any():
        raise ValueError("a score is NaN")
    subsets = np.zeros(size + 1)
    # Every subset has one best value by each: sum over the pairs of best values.
    for best in np.unique(scores):
        for best_again in np.unique(again):
            first = same[(scores == best) & (again < best_again)]
            second = same[(scores < best) & (again == best_again)]
            if len(first) and len(second):
                below = int(((scores < best) & (again < best_again)).sum())
                ways = np.convolve(_apart(first, second), _any_of(below))
                subsets += ways[: size + 1] if len(ways) > size else np.pad(ways, (0, size + 1 - len(ways)))
    return np.array([subsets[n] / comb(size, n) for n in ns])


def _any_of(k: int) -> NDArray[np.float64]:
    """Coefficients of (1 + x)^k: how many subsets of each size k things have."""
    return np.array([float(comb(k, size)) for size in range(k + 1)])


def _apart(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.float64]:
    """Ways, by number taken, to take some of `first` and some of `second` with no equal response in both."""
    ways = np.ones(1)
    for response in np.union1d(first, second):
        of_first, of_second = _any_of(int((first == response).sum())), _any_of(int((second == response).sum()))
        either = np.zeros(max(len(of_first), len(of_second)))
        either[: len(of_first)] += of_first
        either[: len(of_second)] += of_second
        either[0] -= 1.0
        ways = np.asarray(np.convolve(ways, either), dtype=np.float64)
    for one_side in (first, second):
        taken = _any_of(len(one_side))
        ways[: len(taken)] -= taken
    ways[0] += 1.0
    return ways
