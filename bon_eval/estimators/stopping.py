"""Best-of-N that decides from what it has drawn whether to go on, replayed exactly on stored pools.

Responses arrive in random order; a rule looks at the highest log-likelihood so far and stops, and the answer is the
best response drawn. Both rules have closed forms over all orders of a pool, so no orders are drawn. A pool that ends
before the rule stops answers with its best: then the mean number of samples is a lower bound.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bon_eval.errors import ConfigError
from bon_eval.estimators.selection import pick_weights
from bon_eval.stats.array_checks import ranked_scores, row_chunks, share_ties, two_dimensional, values_like

Array = NDArray[np.float64]

_NOTHING = 1e-16
"""Probability of a state below which the rest of a chain is not followed: the rounding of what has been summed."""


@dataclass(frozen=True, slots=True, eq=False)
class Stopping:
    """What a stopping rule does on each problem, in expectation over the order of its pool; arrays of shape (P,)."""

    samples: Array
    """Responses drawn, at most N."""
    value: Array
    """Value of the answer, in the unit of the values given."""
    exhausted: Array
    """Probability that the pool ended before the rule stopped."""
    cost: Array
    """Sum of the costs of the responses drawn, in the unit of the costs given; `samples` where none were given."""


def likelihood_stopping(
    log_likelihood: ArrayLike, values: ArrayLike, delta: float, costs: ArrayLike | None = None
) -> Stopping:
    """Stop at the first k with 1 / max_{j <= k} pi(y_j|x) <= k / ln(2 / delta).

    A response of probability p is missed by k draws with probability at most exp(-k p): once k is that large for the
    best response seen, one that is much likelier would have been seen as well.
    Source: the adaptive sampling of Huang et al. 2024 (arXiv 2412.01951), appendix D.

    The response of rank r alone stops the rule at k(r) = ceil(ln(2/delta) / pi(y_r|x)). With m_k responses of k(r) > k,
    the rule goes on after k draws with probability C(m_k, k) / C(N, k), and stops at k with an answer of rank r with
    probability C(N-1-r, k-1) / C(N, k) where k(r) = k, or C(m_{k-1}, k-1) / C(N-1, k-1) / N where k(r) < k. Where it
    goes on, k of those m_k have been drawn, any k of them alike, and the next draw is any other response.

    Args:
        log_likelihood: (P, N), finite, in nats.
        values: (P, N), finite.
        delta: of the rule, in (0, 1).
        costs: (P, N), finite: what it costs to draw each response, such as its tokens; 1 each by default.

    Raises:
        ConfigError: delta out of range, shapes that differ, a number that is not finite.

    >>> import math
    >>> found = likelihood_stopping([[math.log(0.5), math.log(0.01)]], [[1, 0]], 0.9)
    >>> found.samples.tolist(), found.value.tolist(), found.exhausted.tolist()
    ([2.0], [1.0], [0.0])
    """
    if not 0.0 < delta < 1.0:
        raise ConfigError(f"delta = {delta:g} is no probability of failure; give one between 0 and 1")
    own, value, cost = _checked(log_likelihood, values, costs)
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
    exhausted, samples = alive[:, n], alive[:, :n].sum(axis=1)
    result += exhausted * ranked[:, 0]
    if cost is None:
        return Stopping(samples, result, exhausted, samples)
    sums[:, 1:] = np.take_along_axis(cost, order, axis=1).cumsum(axis=1)
    drawn_from = left[:, :n]
    quicker = np.take_along_axis(sums, n - drawn_from, axis=1)
    undrawn = (drawn_from - np.arange(n)) / np.maximum(drawn_from, 1) * (sums[:, n:] - quicker)
    next_cost = (quicker + undrawn) / np.arange(n, 0, -1)
    return Stopping(samples, result, exhausted, (alive[:, :n] * next_cost).sum(axis=1))


def patience_stopping(
    log_likelihood: ArrayLike, values: ArrayLike, patience: int, costs: ArrayLike | None = None
) -> Stopping:
    """Stop once `patience` draws in a row did not raise the highest log-likelihood; an equal one does not raise it.

    The best response so far and the number of draws since it came are a Markov chain: after k draws, with b responses
    of the pool above the best, the next draw raises it with probability b / (N - k), to each of them alike. Each
    response is the next after k draws with probability 1 / N, and is drawn if the rule goes on after those k draws from
    the pool without it. Without ties every pool without one response is the same chain: all responses are drawn with
    one probability, and the cost is `samples` times their mean cost.

    Args:
        log_likelihood: (P, N), finite, in nats.
        values: (P, N), finite.
        patience: >= 1.
        costs: as in `likelihood_stopping`.

    Raises:
        ConfigError: patience below 1, shapes that differ, a number that is not finite.

    >>> found = patience_stopping([[-1.0, -2.0]], [[1, 0]], 1)
    >>> found.samples.tolist(), found.value.tolist(), found.exhausted.tolist()
    ([2.0], [1.0], [0.5])
    """
    if patience != int(patience) or patience < 1:
        raise ConfigError(f"a patience of {patience} stops before anything is drawn; give a whole number of at least 1")
    own, value, cost = _checked(log_likelihood, values, costs)
    n_problems, n = own.shape
    order, block_starts = ranked_scores(own)
    ranked = share_ties(np.take_along_axis(value, order, axis=1), block_starts)
    # The chain knows the ties of a pool and nothing else of it: pools without ties have one chain.
    if block_starts is None:
        kinds, kind_of = np.ones((1, n)), np.zeros(n_problems, dtype=np.intp)
    else:
        kinds, kind_of = np.unique(_block_sizes((n_problems, n), block_starts), axis=0, return_inverse=True)
        kind_of = kind_of.ravel()
    samples, exhausted, picked = np.empty(len(kinds)), np.empty(len(kinds)), np.empty(kinds.shape)
    for rows in row_chunks(len(kinds), n * patience):
        samples[rows], exhausted[rows], picked[rows], _ = _patience(kinds[rows], patience)
    result = (picked[kind_of] * ranked).sum(axis=1)
    if cost is None:
        return Stopping(samples[kind_of], result, exhausted[kind_of], samples[kind_of])
    paid = samples[kind_of] * cost.mean(axis=1)
    tied = np.flatnonzero((kinds != 1.0).any(axis=1)[kind_of] & (np.ptp(cost, axis=1) > 0.0))
    for chunk in row_chunks(len(tied), 2 * n * patience):
        rows_of = tied[chunk]
        by_rank = np.take_along_axis(cost[rows_of], order[rows_of], axis=1)
        *_, paid[rows_of] = _patience(kinds[kind_of[rows_of]], patience, by_rank)
    return Stopping(samples[kind_of], result, exhausted[kind_of], paid)


def _patience(sizes: Array, patience: int, cost: Array | None = None) -> tuple[Array, Array, Array, Array]:
    """Mean samples, probability of exhaustion and of each block as the answer, and the mean cost.

    Args:
        sizes: (rows, N), of the block of ties that begins at each rank; 0 within blocks.
        patience: of the rule.
        cost: (rows, N), of each rank; without it the mean cost is 0.

    A best that came as the j-th draw and has `a` responses above it is still the best after the p draws that follow
    with probability prod_{t = j .. j+p-1} (1 - a / (N - t)); they are any p of the N - a - j others not above it.
    """
    n_rows, n = sizes.shape
    above = np.arange(n, dtype=np.float64)
    of_block, not_above = np.zeros(sizes.shape), np.zeros(sizes.shape)
    if cost is not None:
        not_above = cost[:, ::-1].cumsum(axis=1)[:, ::-1]
        starts = np.flatnonzero(sizes)
        of_block.ravel()[starts] = np.add.reduceat(cost.ravel(), starts)
    # The probability that each block holds the best so far, and the expected cost so far there.
    mass, spent = sizes / n, of_block / n
    born = deque([(mass, spent)])
    samples, paid, picked = np.zeros(n_rows), np.zeros(n_rows), np.zeros(sizes.shape)
    for k in range(1, n):
        if mass.max() < _NOTHING:
            break
        below = _sum_below(mass)
        new, new_spent = sizes * below / (n - k), spent
        # More responses above the best than are left to draw cannot be: such states have no mass.
        staying = np.maximum(1.0 - above / (n - k), 0.0)
        if cost is not None:
            new_spent = (sizes * _sum_below(spent) + of_block * below) / (n - k)
            # All that was drawn is not above the best: the next such draw is any of the others.
            spent = spent * staying + (mass * not_above - spent) / (n - k)
        mass = mass * staying
        if len(born) == patience:
            j = k + 1 - patience
            lasting = np.maximum(1.0 - above[:, None] / (n - np.arange(j, k + 1)), 0.0).prod(axis=1)
            first, first_spent = born.popleft()
            stopped = first * lasting
            mass -= stopped
            samples += (k + 1) * stopped.sum(axis=1)
            picked += stopped
            if cost is not None:
                mean_left = (first * not_above - first_spent) / np.maximum(n - above - j, 1.0)
                stopped_spent = (first_spent + patience * mean_left) * lasting
                spent -= stopped_spent
                paid += stopped_spent.sum(axis=1)
        mass += new
        if cost is not None:
            spent += new_spent
        born.append((new, new_spent))
    rest = np.maximum(mass, 0.0)  # differences round to less than nothing
    return samples + n * rest.sum(axis=1), rest.sum(axis=1), picked + rest, paid + spent.sum(axis=1)


def _sum_below(values: Array) -> Array:
    """Sum over the ranks behind each, (rows, N)."""
    out = np.zeros(values.shape)
    out[:, :-1] = values[:, :0:-1].cumsum(axis=1)[:, ::-1]
    return out


def _block_sizes(shape: tuple[int, ...], block_starts: NDArray[np.intp]) -> Array:
    """How many responses are tied in the block that begins at each rank; 0 within blocks."""
    out = np.zeros(shape)
    out.ravel()[block_starts] = np.diff(block_starts, append=out.size)
    return out


def _subset_ratio(largest: int, n: int) -> Array:
    """(n + 1, n + 1): C(m, k) / C(largest, k) for m, k = 0..n; 0 where k > m."""
    out = np.zeros((n + 1, n + 1))
    out[:, 0] = 1.0
    m = np.arange(n + 1, dtype=np.float64)
    for k in range(1, largest + 1):
        out[:, k] = out[:, k - 1] * np.maximum(m - k + 1, 0.0) / (largest - k + 1)
    return out


def _checked(
    log_likelihood: ArrayLike, values: ArrayLike, costs: ArrayLike | None
) -> tuple[Array, Array, Array | None]:
    own = two_dimensional("log_likelihood", log_likelihood).astype(np.float64)
    value = values_like(own, values).astype(np.float64)
    cost = None if costs is None else values_like(own, costs, name="costs").astype(np.float64)
    if value.ndim != 2 or (cost is not None and cost.ndim != 2) or not np.isfinite(own).all():
        raise ConfigError("a stopping rule takes (problems, N) finite log-likelihoods, values and costs")
    return own, value, cost
