"""Random subsets of one pool: how many of them are correct, exactly."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bon_eval.errors import ConfigError
from bon_eval.estimators.selection import pass_at_n
from bon_eval.stats.array_checks import checked_ns, two_dimensional

Array = NDArray[np.float64]


@functools.lru_cache(maxsize=4)
def subset_counts(size: int, n: int) -> Array:
    """Probability that x of a random n-subset of `size` responses are of a kind of which there are c.

    The hypergeometric distribution C(c, x) C(size - c, n - x) / C(size, n), by drawing one response after the other: a
    sum of products of numbers above 0, so that nothing is lost.

    Args:
        size: N, of the pool.
        n: of the subset, 1 <= n <= N.

    Returns:
        (N + 1, n + 1): rows c = 0 .. N, columns x = 0 .. n.

    Raises:
        ConfigError: n out of range.

    >>> subset_counts(4, 2).round(6).tolist()[2]
    [0.166667, 0.666667, 0.166667]
    """
    [wanted] = checked_ns([n], size)
    there = np.arange(size + 1, dtype=np.float64)[:, None]
    seen = np.arange(wanted + 1, dtype=np.float64)[None, :]
    chances = np.zeros((size + 1, wanted + 1))
    chances[:, 0] = 1.0
    for drawn in range(wanted):
        left = size - drawn
        hit = np.maximum(there - seen, 0.0) / left
        moved = chances * hit
        chances *= np.maximum(left - np.maximum(there - seen, 0.0), 0.0) / left
        chances[:, 1:] += moved[:, :-1]
    chances.setflags(write=False)
    return chances


def at_least(values: ArrayLike, n: int) -> Array:
    """Probability that at least m of a random n-subset of each pool are correct, for m = 1 .. n.

    Under fresh sampling this is the unbiased estimate of the probability that m of n new responses are correct. It is
    not whether a problem's success rate is at least m / n: of n responses m can be correct by luck. For m = 1 it is
    pass@n, and its mean over m is the accuracy of one response.

    After Cover@tau (Dragoi et al. 2025, arXiv 2510.08325), the share of problems of which at least tau of the
    responses are correct: for n = N that share itself.

    Args:
        values: (P, N), 1 for correct and 0 for not correct.
        n: 1 <= n <= N.

    Returns:
        (n, P): rows m = 1 .. n.

    Raises:
        ConfigError: n out of range, or a value that is neither 0 nor 1.

    >>> at_least([[1, 1, 0, 0]], 2).ravel().round(6).tolist()
    [0.833333, 0.166667]
    """
    right = _correct(values)
    chances = subset_counts(right.shape[1], n)
    tails = np.cumsum(chances[:, ::-1], axis=1)[:, ::-1][:, 1:]
    # Sums of what is 0 or 1 at n = N are so exactly.
    return np.ascontiguousarray(np.round(tails, 12)[np.count_nonzero(right, axis=1)].T)


def answer_entropy_of_n(answer_class: NDArray[np.integer], n: int) -> Array:
    """Expected entropy of the answers' shares in a random n-subset of each pool, (P,), in nats; of all at n = N.

    The entropy of n answers is below that of the model's distribution, by more the smaller n is: pools are compared at
    one n. By linearity each class counts for itself: with c of the N responses it has the expectation of -(x / n)
    ln(x / n), x hypergeometric. -1, no answer, is an answer of its own.

    Args:
        answer_class: (P, N), classes numbered within each problem.
        n: 1 <= n <= N.

    Raises:
        ConfigError: n out of range, or classes that are not integers.

    >>> answer_entropy_of_n(np.array([[0, 0, 1, -1], [3, 3, 3, 3]]), 4).round(4).tolist()
    [1.0397, 0.0]
    """
    classes = two_dimensional("answer_class", answer_class)
    if not np.issubdtype(classes.dtype, np.integer):
        raise ConfigError("answer_entropy_of_n got an answer_class that is not an integer; number the answers from 0")
    size = classes.shape[1]
    shares = np.arange(1, n + 1) / n
    of_count = subset_counts(size, n)[:, 1:] @ -(shares * np.log(shares))
    out = np.zeros(len(classes))
    for row, own in enumerate(classes):
        out[row] = of_count[np.unique(own, return_counts=True)[1]].sum()
    return np.round(out, 12) + 0.0  # no -0.0, which a pool of one answer would have


def lost_by_chance(values: ArrayLike, n: int) -> Array:
    """Probability that of two pools of n from one model the first solves a problem and the second does not, (P,).

    Two disjoint n-subsets of one pool: C(N - c, n) / C(N, n) - C(N - c, 2 n) / C(N, 2 n), which is pass@2n - pass@n,
    unbiased for P(solved) P(not solved). What two models' pools lose and gain has to be held against this.

    Args:
        values: (P, N), 1 for correct and 0 for not correct.
        n: 1 <= 2 n <= N.

    Raises:
        ConfigError: n out of range, or a value that is neither 0 nor 1.

    >>> lost_by_chance([[1, 0, 0, 0]], 2).tolist()
    [0.5]
    """
    once, twice = pass_at_n(values, [n, 2 * n])
    return np.asarray(np.round(twice - once, 12) + 0.0, dtype=np.float64)


def _correct(values: ArrayLike) -> NDArray[np.bool_]:
    value = two_dimensional("values", values)
    if not np.all((value == 0) | (value == 1)):
        raise ConfigError("got values other than 0 and 1; pass whether each response is correct")
    return np.asarray(value != 0)
