"""How much of best-of-n's estimate is luck of the responses: its variance over fresh pools for the same problems."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bon_eval.errors import ConfigError
from bon_eval.estimators.selection import pick_weights
from bon_eval.stats.array_checks import (
    checked_ns,
    ranked_scores,
    row_chunks,
    share_ties,
    two_dimensional,
    values_like,
)


def response_variance(scores: ArrayLike, values: ArrayLike, ns: Sequence[int]) -> NDArray[np.float64]:
    """Variance over redrawn responses of each problem's best-of-n estimate, by the jackknife.

    Let psi_j be the mean value of the pick over the n-subsets that hold response j, and V that over all subsets.
    Without response j the estimate is (N V - n psi_j) / (N - n), so that the jackknife variance is
    (N - 1) / N * (n / (N - n))^2 * sum_j (psi_j - V)^2, exactly and in one pass over the ranked pool. It is not too
    small in expectation (Efron & Stein 1981, doi 10.1214/aos/1176345462). For n = N, where no response can be left
    out, it is that of n = N - 1. For n = 1 it is the variance of the pool's mean.

    Args:
        scores, values: (P, N), as in `bon_eval.estimators.best_of_n`; N at least 2.
        ns: subset sizes, each 1 <= n <= N.

    Returns:
        (len(ns), P), in the squared unit of `values`.

    Raises:
        ConfigError: a pool of one response, n out of range, shapes that differ, a NaN score or a value not finite.

    >>> response_variance([[4.0, 3.0, 2.0, 1.0]], [[1.0, 0.0, 1.0, 0.0]], [1, 2]).round(4).tolist()
    [[0.0833], [0.1667]]
    """
    score = two_dimensional("scores", scores)
    value = values_like(score, values)
    n_responses = score.shape[1]
    sizes = checked_ns(ns, n_responses)
    if value.ndim != 2:
        raise ConfigError(f"response_variance got values of shape {value.shape}; expected (problems, N)")
    if n_responses < 2:
        raise ConfigError("a pool of one response has no spread; sample at least two for each problem")
    used = sorted({min(n, n_responses - 1) for n in sizes})
    weights = {n: _weights(n_responses, n) for n in used}
    found = {n: np.empty(len(score)) for n in used}
    for rows in row_chunks(len(score), n_responses):
        order, block_starts = ranked_scores(score[rows])
        ranked = np.take_along_axis(value[rows].astype(np.float64), order, axis=1)
        for n, (better, own) in weights.items():
            psi = _means_of_holding(ranked, better, own, block_starts)
            spread = np.sum((psi - psi.mean(axis=1, keepdims=True)) ** 2, axis=1)
            found[n][rows] = (n_responses - 1.0) / n_responses * (n / (n_responses - n)) ** 2 * spread
    return np.stack([found[min(n, n_responses - 1)] for n in sizes])


def _means_of_holding(
    ranked: NDArray[np.float64],
    better: NDArray[np.float64],
    own: NDArray[np.float64],
    block_starts: NDArray[np.intp] | None,
) -> NDArray[np.float64]:
    """psi of each response, (rows, N) in the order of ranks; the weights are those of `_weights`.

    Tied responses take the ranks of their block in random order: a response is then picked with the block's mean of
    `own`, and another one of its block with the mean of the `better` weights of the block's ranks before it.
    """
    shared = share_ties(ranked, block_starts)
    above = np.cumsum(shared * better, axis=1) - shared * better
    if block_starts is None:
        return above + ranked * own
    lengths = np.diff(block_starts, append=ranked.size)
    size = np.repeat(lengths, lengths).reshape(ranked.shape)

    def first_of_block(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.repeat(values.ravel()[block_starts], lengths).reshape(ranked.shape)

    rank_weights = np.broadcast_to(np.cumsum(better) - better, ranked.shape)
    tied = share_ties(rank_weights - first_of_block(rank_weights), block_starts)
    picked = share_ties(np.broadcast_to(own, ranked.shape), block_starts)
    others = (shared * size - ranked) / np.maximum(size - 1, 1)
    psi: NDArray[np.float64] = first_of_block(above) + picked * ranked + tied * others
    return psi


def _weights(n_responses: int, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of the subsets that hold a response: share whose pick is each better rank, and share whose pick is itself."""
    own = pick_weights(n_responses, [n])[:, 0] * n_responses / n
    better = np.zeros(n_responses)
    if n > 1:
        better[:-1] = pick_weights(n_responses - 1, [n - 1])[:, 0]
    return better, own
