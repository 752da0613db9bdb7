"""Best-of-N that decides from what it has drawn whether to go on, replayed exactly on stored pools.

Responses arrive in random order; a rule looks at the highest log-likelihood so far and stops, and the answer is the
best response drawn. Both rules have closed forms over all orders of a pool, so no orders are drawn. A pool that ends
before the rule stops answers with its best: then the mean number of samples is a lower bound.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bon_eval.errors import ConfigError
from bon_eval.estimators.selection import pick_weights
from bon_eval.stats.array_checks import ranked_scores, row_chunks, share_ties, two_dimensional, values_like

Array = NDArray[np.float64]

_NOTHING = 1e-18
"""Probability below which the rest of a chain is not followed: less than the rounding of what has been summed."""


@dataclass(frozen=True, slots=True, eq=False)
class Stopping:
    """What a stopping rule does on each problem, in expectation over the order of its pool; arrays of shape (P,)."""

    samples: Array
    """Responses drawn, at most N."""
    value: Array
    """Value of the answer, in the unit of the values given."""
    exhausted: Array
    """Probability that the pool ended before the rule stopped."""


def likelihood_stopping(log_likelihood: ArrayLike, values: ArrayLike, delta: float) -> Stopping:
    """Stop at the first k with 1 / max_{j <= k} pi(y_j|x) <= k / ln(2 / delta).

    A response of probability p is missed by k draws with probability at most exp(-k p): once k is that large for the
    best response seen, one that is much likelier would have been seen as well.
    Source: the adaptive sampling of Huang et al. 2024 (arXiv 2412.01951), appendix D.

    The response of rank r alone stops the rule at k(r) = ceil(ln(2/delta) / pi(y_r|x)). With m_k responses of k(r) > k,
    the rule goes on after k draws with probability C(m_k, k) / C(N, k), and stops at k with an answer of rank r with
    probability C(N-1-r, k-1) / C(N, k) where k(r) = k, or C(m_{k-1}, k-1) / C(N-1, k-1) / N where k(r) < k.

    Args:
        log_likelihood: (P, N), finite, in nats.
        values: (P, N), finite.
        delta: of the rule, in (0, 1).

    Raises:
        ConfigError: delta out of range, shapes that differ, a number that is not finite.

    >>> import math
    >>> found = likelihood_stopping([[math.log(0.5), math.log(0.01)]], [[1, 0]], 0.9)
    >>> found.samples.tolist(), found.value.tolist(), found.exhausted.tolist()
    ([2.0], [1.0], [0.0])
    """
    if not 0.0 < delta < 1.0:
        raise ConfigError(f"delta = {delta:g} is no probability of failure; give one between 0 and 1")
    own, value = _checked(log_likelihood, values)
    n_problems, n = own.shape
    order, block_starts = ranked_scores(own)
    ranked = share_ties(np.take_along_axis(value, order, axis=1), block_starts)
    # In logarithms: the inverse of a probability overflows. Anything beyond N never stops this pool.
    log_k = math.log(math.log(2.0 / delta)) - np.take_along_axis(own, order, axis=1)
    stops_at = np.where(log_k > math.log(n), n + 1, np.ceil(np.exp(np.minimum(log_k, math.log(n)))))
    stops_at = np.maximum(stops_at, 1.0).astype(np.int64)
    going_on, going_on_without_last = _subset_ratio(n, n), _subset_ratio(n - 1, n)

    weights = pick_weights(n, range(1, n + 1))
    inside = stops_at <= n
    own_time = np.where(inside, weights[np.arange(n), np.minimum(stops_at, n) - 1], 0.0)
    result = (ranked * own_time).sum(axis=1)
    cell = np.arange(n_problems)[:, None] * (n + 2) + stops_at
    quick = np.bincount(cell.ravel(), minlength=n_problems * (n + 2)).reshape(n_problems, n + 2).cumsum(axis=1)
    left = n - quick[:, : n + 1]  # m_k for k = 0..N
    sums = np.concatenate([np.zeros((n_problems, 1)), ranked.cumsum(axis=1)], axis=1)
    k = np.arange(1, n)
    late = np.take_along_axis(sums, n - left[:, 1:n], axis=1) / n * going_on_without_last[left[:, 1:n], k]
    result += late.sum(axis=1)
    alive = going_on[left, np.arange(n + 1)]
    exhausted = alive[:, n]
    return Stopping(alive[:, :n].sum(axis=1), result + exhausted * ranked[:, 0], exhausted)


def patience_stopping(log_likelihood: ArrayLike, values: ArrayLike, patience: int) -> Stopping:
    """Stop once `patience` draws in a row did not raise the highest log-likelihood; an equal one does not raise it.

    The best response so far and the number of draws since it came are a Markov chain: after k draws, with b responses
    of the pool above the best, the next draw raises it with probability b / (N - k), to each of them alike.

    Args:
        log_likelihood: (P, N), finite, in nats.
        values: (P, N), finite.
        patience: >= 1.

    Raises:
        ConfigError: patience below 1, shapes that differ, a number that is not finite.

    >>> found = patience_stopping([[-1.0, -2.0]], [[1, 0]], 1)
    >>> found.samples.tolist(), found.value.tolist(), found.exhausted.tolist()
    ([2.0], [1.0], [0.5])
    """
    if patience != int(patience) or patience < 1:
        raise ConfigError(f"a patience of {patience} stops before anything is drawn; give a whole number of at least 1")
    own, value = _checked(log_likelihood, values)
    n_problems, n = own.shape
    order, block_starts = ranked_scores(own)
    ranked = share_ties(np.take_along_axis(value, order, axis=1), block_starts)
    # The chain knows the ties of a pool and nothing else of it: pools without ties have one chain.
    if block_starts is None:
        kinds, kind_of = _above((1, n), None), np.zeros(n_problems, dtype=np.intp)
    else:
        kinds, kind_of = np.unique(_above((n_problems, n), block_starts), axis=0, return_inverse=True)
    samples, exhausted, picked = np.empty(len(kinds)), np.empty(len(kinds)), np.empty(kinds.shape)
    for rows in row_chunks(len(kinds), n * patience):
        samples[rows], exhausted[rows], picked[rows] = _patience(kinds[rows], patience)
    kind_of = kind_of.ravel()
    return Stopping(samples[kind_of], (picked[kind_of] * ranked).sum(axis=1), exhausted[kind_of])


def _patience(above: NDArray[np.int64], patience: int) -> tuple[Array, Array, Array]:
    """Mean samples, probability of exhaustion and of each rank as the answer, from the number strictly above each."""
    n_rows, n = above.shape
    # mass[row, s, r]: r is the best so far and came s draws ago.
    mass = np.zeros((n_rows, patience, n))
    mass[:, 0] = 1.0 / n
    samples, picked = np.zeros(n_rows), np.zeros((n_rows, n))
    cell = (np.arange(n_rows)[:, None] * n + above).ravel()
    for k in range(1, n):
        total = mass.sum(axis=1)
        if total.sum() < _NOTHING:
            break
        raised = np.bincount(cell, weights=total.ravel(), minlength=n_rows * n).reshape(n_rows, n)
        # To rank r from every best that has more than r responses above it.
        better = np.zeros((n_rows, n))
        better[:, :-1] = raised[:, :0:-1].cumsum(axis=1)[:, ::-1] / (n - k)
        # More responses above the best than are left to draw cannot be: such states have no mass.
        mass *= np.maximum(1.0 - above / (n - k), 0.0)[:, None]
        samples += (k + 1) * mass[:, -1].sum(axis=1)
        picked += mass[:, -1]
        mass[:, 1:] = mass[:, :-1]
        mass[:, 0] = better
    rest = mass.sum(axis=1)
    return samples + n * rest.sum(axis=1), rest.sum(axis=1), picked + rest


def _above(shape: tuple[int, ...], block_starts: NDArray[np.intp] | None) -> NDArray[np.int64]:
    """How many responses score strictly higher than that of each rank."""
    n_rows, n = shape
    if block_starts is None:
        return np.broadcast_to(np.arange(n, dtype=np.int64), shape).copy()
    lengths = np.diff(block_starts, append=n_rows * n)
    return np.repeat(block_starts % n, lengths).reshape(shape).astype(np.int64)


def _subset_ratio(largest: int, n: int) -> Array:
    """(n + 1, n + 1): C(m, k) / C(largest, k) for m, k = 0..n; 0 where k > m."""
    out = np.zeros((n + 1, n + 1))
    out[:, 0] = 1.0
    m = np.arange(n + 1, dtype=np.float64)
    for k in range(1, largest + 1):
        out[:, k] = out[:, k - 1] * np.maximum(m - k + 1, 0.0) / (largest - k + 1)
    return out


def _checked(log_likelihood: ArrayLike, values: ArrayLike) -> tuple[Array, Array]:
    own = two_dimensional("log_likelihood", log_likelihood).astype(np.float64)
    value = values_like(own, values).astype(np.float64)
    if value.ndim != 2 or not np.isfinite(own).all():
        raise ConfigError("a stopping rule takes (problems, N) finite log-likelihoods and values")
    return own, value
