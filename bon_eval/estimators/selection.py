"""What picking from a pool of N gives in expectation: best-of-n and pass@n, for every n <= N, and how well scores rank.

Both describe the same experiment, as the votes do: draw a random n-subset of the pool without replacement, answer with
one of its responses. Under fresh sampling the pool is exchangeable, so the expectation over subsets is the unbiased
estimate of the same arm with n fresh samples (the U-statistic argument behind pass@k, Chen et al. 2021, arXiv
2107.03374, section 2.1). n > N has no such estimate and is an error.

Arrays have shape (P, N): P problems, N responses each. Work is done in chunks of problems, so memory beyond the
result and the (N, len(ns)) weights is bounded.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bon_eval.errors import ConfigError
from bon_eval.stats.array_checks import (
    checked_ns,
    ranked_scores,
    reject_nan,
    row_chunks,
    share_ties,
    two_dimensional,
    values_like,
)


def best_of_n(scores: ArrayLike, values: ArrayLike, ns: Sequence[int]) -> NDArray[np.float64]:
    """Exact expected value of the best-scored response of a random n-subset of each pool.

    With a pool sorted by score, best first, the response of rank r = 0..N-1 is the pick of a random n-subset with
    probability C(N-1-r, n-1) / C(N, n). The estimate is the sum of that times the value of rank r; responses with
    equal scores share the mean value of their block, as if ties were broken at random.

    Args:
        scores: (P, N), higher is better. Infinities are allowed, NaN is not.
        values: (P, N), or (K, P, N) for K quantities of the same picks, in any unit; finite.
        ns: subset sizes, each 1 <= n <= N.

    Returns:
        (len(ns), P), or (K, len(ns), P), in the unit of `values`.

    Raises:
        ConfigError: n out of range, shapes that differ, a NaN score or a value that is not finite.

    >>> best_of_n([[3.0, 2.0, 1.0]], [[1.0, 0.0, 1.0]], [1, 2, 3]).ravel().round(6).tolist()
    [0.666667, 0.666667, 1.0]
    >>> best_of_n([[1.0, 1.0]], [[1.0, 0.0]], [2]).tolist()  # a tie shares its block
    [[0.5]]
    """
    score = two_dimensional("scores", scores)
    value = values_like(score, values)
    sizes = checked_ns(ns, score.shape[1])
    weights = pick_weights(score.shape[1], sizes)
    stacked = value if value.ndim == 3 else value[None]
    out = np.empty((stacked.shape[0], len(sizes), score.shape[0]))
    for rows in row_chunks(score.shape[0], score.shape[1]):
        order, block_starts = ranked_scores(score[rows])
        for k in range(stacked.shape[0]):
            ranked = np.take_along_axis(stacked[k, rows].astype(np.float64, copy=False), order, axis=1)
            out[k, :, rows] = (share_ties(ranked, block_starts) @ weights).T
    return out if value.ndim == 3 else out[0]


def pass_at_n(values: ArrayLike, ns: Sequence[int]) -> NDArray[np.float64]:
    """Probability that a random n-subset of the pool holds a correct response (the oracle arm).

    With c correct of N: 1 - C(N-c, n) / C(N, n) (Chen et al. 2021, arXiv 2107.03374, equation 1).

    Args:
        values: (P, N), 1 for correct and 0 for not correct (bool or number).
        ns: subset sizes, each 1 <= n <= N.

    Returns:
        (len(ns), P).

    Raises:
        ConfigError: n out of range, or a value that is neither 0 nor 1.

    >>> pass_at_n([[1, 0, 0, 0]], [1, 2, 4]).ravel().tolist()
    [0.25, 0.5, 1.0]
    """
    value = two_dimensional("values", values)
    if not np.all((value == 0) | (value == 1)):
        raise ConfigError("pass_at_n got values other than 0 and 1; pass whether each response is correct")
    n_responses = value.shape[1]
    sizes = np.asarray(checked_ns(ns, n_responses), dtype=np.float64)
    correct = np.count_nonzero(value, axis=1)
    # C(N-c-1, n) / C(N-c, n) = (N-c-n) / (N-c): one factor for each further correct response.
    left = np.arange(n_responses, 0, -1, dtype=np.float64)[:, None]
    miss = np.ones((n_responses + 1, len(sizes)))
    np.multiply.accumulate(np.maximum(left - sizes, 0.0) / left, axis=0, out=miss[1:])
    return np.ascontiguousarray(1.0 - miss[correct].T)


def pick_weights(n_responses: int, ns: Sequence[int]) -> NDArray[np.float64]:
    """Probability C(N-1-r, n-1) / C(N, n) that rank r (0 = best) is the pick of a random n-subset.

    Args:
        n_responses: N, the pool size.
        ns: subset sizes, each 1 <= n <= N.

    Returns:
        (N, len(ns)); every column sums to 1.

    Raises:
        ConfigError: n out of range.

    >>> pick_weights(3, [2]).ravel().round(6).tolist()
    [0.666667, 0.333333, 0.0]
    """
    sizes = np.asarray(checked_ns(ns, n_responses), dtype=np.float64)
    # Rank r+1 over rank r is (N-1-r-(n-1)) / (N-1-r). Log-gamma would lose 1e-11 at N = 4096; this product does not.
    left = np.arange(n_responses - 1, 0, -1, dtype=np.float64)[:, None]
    weights = np.empty((n_responses, len(sizes)))
    weights[0] = sizes / n_responses
    np.divide(np.maximum(left - (sizes - 1.0), 0.0), left, out=weights[1:])
    np.multiply.accumulate(weights, axis=0, out=weights)
    return weights


def pick_probability(scores: ArrayLike, n: int) -> NDArray[np.float64]:
    """Probability that each response is the pick of best-of-n, ties shared.

    Args:
        scores: (P, N), higher is better; NaN is an error.
        n: subset size, 1 <= n <= N.

    Returns:
        (P, N) in the order of `scores`; every row sums to 1.

    Raises:
        ConfigError: n out of range or a NaN score.

    >>> pick_probability([[1.0, 3.0, 3.0]], 3).tolist()
    [[0.0, 0.5, 0.5]]
    """
    score = two_dimensional("scores", scores)
    weights = pick_weights(score.shape[1], [n])[:, 0]
    out = np.empty(score.shape)
    for rows in row_chunks(*score.shape):
        order, block_starts = ranked_scores(score[rows])
        ranked = np.repeat(weights[None], len(order), axis=0)
        shared = np.empty_like(ranked)
        np.put_along_axis(shared, order, share_ties(ranked, block_starts), axis=1)
        out[rows] = shared
    return out


def chosen_index(scores: ArrayLike) -> NDArray[np.intp]:
    """Index of the best-scored response of each pool, for showing one; a tie goes to the lowest index.

    Numbers come from `best_of_n`, which shares ties.

    Args:
        scores: (P, N), higher is better; NaN is an error.

    Returns:
        (P,).

    Raises:
        ConfigError: a NaN score.

    >>> chosen_index([[-2.0, -1.0, -1.0]]).tolist()
    [1]
    """
    score = two_dimensional("scores", scores)
    reject_nan(score)
    return np.asarray(np.argmax(score, axis=1), dtype=np.intp)


def within_problem_auroc(scores: ArrayLike, correct: ArrayLike) -> NDArray[np.float64]:
    """Probability that a correct response of a pool scores higher than an incorrect one of it, ties one half.

    With c correct of N and ascending ranks 0..N-1 (ties share their mean rank), the rank sum of the correct ones
    minus c (c - 1) / 2, over c (N - c). Source: the Mann-Whitney form of the area under the ROC curve (Hanley &
    McNeil 1982, doi 10.1148/radiology.143.1.7063747).

    Args:
        scores: (P, N), higher is better. Infinities are allowed, NaN is not.
        correct: (P, N), 1 for correct and 0 for not correct (bool or number).

    Returns:
        (P,), in [0, 1]; 0.5 is chance. NaN where a pool holds only one kind: there is no pair to compare.

    Raises:
        ConfigError: shapes that differ, a NaN score, or a value of `correct` that is neither 0 nor 1.

    >>> within_problem_auroc([[3.0, 2.0, 1.0], [1.0, 1.0, 0.0]], [[1, 0, 1], [1, 0, 0]]).tolist()
    [0.5, 0.75]
    """
    score = two_dimensional("scores", scores)
    value = values_like(score, correct)
    if value.ndim != 2 or not np.all((value == 0) | (value == 1)):
        raise ConfigError("within_problem_auroc got values other than 0 and 1; pass whether each response is correct")
    n_responses = score.shape[1]
    ascending = np.arange(n_responses - 1, -1, -1, dtype=np.float64)
    rank_sum = np.empty(len(score))
    for rows in row_chunks(*score.shape):
        order, block_starts = ranked_scores(score[rows])
        ranked = np.take_along_axis(value[rows].astype(np.float64), order, axis=1)
        rank_sum[rows] = share_ties(ranked, block_starts) @ ascending
    right = np.count_nonzero(value, axis=1).astype(np.float64)
    pairs = right * (n_responses - right)
    out = np.full(len(score), np.nan)
    # Half-pairs are whole numbers once doubled: the last bits of shared ties are no part of the value.
    np.divide(np.round(2.0 * (rank_sum - right * (right - 1.0) / 2.0)), 2.0 * pairs, out=out, where=pairs > 0.0)
    return out
