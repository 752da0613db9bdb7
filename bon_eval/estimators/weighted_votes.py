"""Votes in which responses weigh differently: by a score, by its softmax, by its rank, or only the best of them.

A rule turns the scores of the responses of a draw into weights; `weighted_vote` counts them by answer class.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bon_eval.errors import ConfigError
from bon_eval.stats.array_checks import checked_ns, ranked_scores, row_chunks, share_ties, two_dimensional, values_like

Array = NDArray[np.float64]
Rule = Callable[[Array, NDArray[np.bool_]], Array]
"""(scores (rows, n), whether each response has an answer (rows, n)) -> weights (rows, n), >= 0."""

_TIE = 1e-12
"""Weights are sums in floating point: classes whose totals differ by less than this share of the most are tied."""


def weighted_vote(
    answer_class: ArrayLike,
    scores: ArrayLike,
    values: ArrayLike,
    ns: Sequence[int],
    rule: Rule,
    *,
    rng: np.random.Generator,
    draws: int = 200,
) -> tuple[Array, Array]:
    """Expected value of the answer of most weight in a random n-subset of each pool.

    Classes of equal weight share (each counts alike), a class is worth the mean value of its responses, responses
    without an answer (class -1) do not vote, and a subset in which nobody votes is worth 0. Exact for n = 1 and n = N
    (standard error 0); otherwise the mean over `draws` random n-subsets, nested in n.

    Args:
        answer_class: (P, N) integers; -1 for no answer.
        scores: (P, N), finite, higher is better.
        values: (P, N), finite; usually 1 for correct and 0 for not correct.
        ns: subset sizes, each 1 <= n <= N.
        rule: makes the weights, such as `softmax_weights`.
        rng: the generator that draws the subsets.
        draws: subsets per problem, at least 2.

    Returns:
        The mean, (len(ns), P), and its Monte Carlo standard error, (len(ns), P).

    Raises:
        ConfigError: n out of range, shapes that differ, a score or value that is not finite, draws < 2, or a score
            that the rule cannot make a weight of.

    >>> rng = np.random.default_rng(0)
    >>> mean, _ = weighted_vote([[0, 0, 1]], [[0.1, 0.1, 0.9]], [[1, 1, 0]], [3], score_weights("score"), rng=rng)
    >>> mean.tolist()
    [[0.0]]
    """
    classes = two_dimensional("answer_class", answer_class)
    if not np.issubdtype(classes.dtype, np.integer) or (classes.size and classes.min() < -1):
        raise ConfigError("weighted_vote got an answer_class that is not an integer >= -1; number the answers from 0")
    score, value = values_like(classes, scores, name="scores"), values_like(classes, values)
    if score.ndim != 2 or value.ndim != 2:
        raise ConfigError("weighted_vote takes one (problems, N) array of scores and one of values")
    if draws < 2:
        raise ConfigError(f"weighted_vote got draws = {draws}; at least 2 are needed for a standard error")
    n_problems, n_responses = classes.shape
    sizes = checked_ns(ns, n_responses)
    mean, error = np.empty((len(sizes), n_problems)), np.zeros((len(sizes), n_problems))
    sampled = any(1 < n < n_responses for n in sizes)
    for rows in row_chunks(n_problems, n_responses * (draws if sampled else 1)):
        codes, worth = _dense(classes[rows], value[rows].astype(np.float64))
        own = score[rows].astype(np.float64)
        n_rows = len(codes)
        if sampled:
            order = np.broadcast_to(np.arange(n_responses, dtype=np.int32), (n_rows, draws, n_responses)).copy()
            rng.permuted(order, axis=2, out=order)
            order = order.reshape(n_rows, draws * n_responses)
            shuffled_codes = np.take_along_axis(codes, order, axis=1).reshape(n_rows, draws, n_responses)
            shuffled_scores = np.take_along_axis(own, order, axis=1).reshape(n_rows, draws, n_responses)
        for i, n in enumerate(sizes):
            if n == 1:
                mean[i, rows] = np.where(codes > 0, np.take_along_axis(worth, codes, axis=1), 0.0).mean(axis=1)
            elif n == n_responses:
                mean[i, rows] = _outcomes(codes[:, None], own[:, None], worth, rule)[:, 0]
            else:
                found = _outcomes(shuffled_codes[:, :, :n], shuffled_scores[:, :, :n], worth, rule)
                mean[i, rows], error[i, rows] = found.mean(axis=1), found.std(axis=1, ddof=1) / np.sqrt(draws)
    return mean, error


def equal_weights(scores: Array, voters: NDArray[np.bool_]) -> Array:
    """One vote each (self-consistency, Wang et al. 2023, arXiv 2203.11171); scores do not matter."""
    return voters.astype(np.float64)


def score_weights(kind: Literal["exp", "score"]) -> Rule:
    """The score itself (``score``), or exp(score) where the score is a logarithm (``exp``).

    exp(log pi(y|x)) weighs an answer by its probability among the responses drawn; exp of a mean log-prob is the
    geometric-mean token probability. The scale does not matter, so the largest of a draw is taken as exp(0).
    Source: the confidence-weighted majority vote of DeepConf (arXiv 2508.15260), V(a) = sum of C over its responses.

    Raises:
        ConfigError: with ``score``, a negative score of a response that votes.
    """
    if kind == "exp":
        return softmax_weights(1.0)

    def weights(scores: Array, voters: NDArray[np.bool_]) -> Array:
        if (scores[voters] < 0).any():
            raise ConfigError(
                f"a weighted vote got the score {scores[voters].min():g}, and a weight is not negative; take a softmax "
                "or borda vote, which order the scores"
            )
        return np.where(voters, scores, 0.0)

    return weights


def softmax_weights(temperature: float) -> Rule:
    """exp(score / T), normalised over the draw.

    Source: CISC (Taubenfeld et al. 2025, arXiv 2502.06233), w_i = exp(c_i / T) / sum_j exp(c_j / T). There c is the
    length-normalised probability of the response, exp(log pi(y|x) / |y|), and T is fitted on held-out problems; here c
    is whatever scorer is given and T is given too: fitted on the problems it is reported on, it would flatter itself.

    Raises:
        ConfigError: a temperature that is not above 0.
    """
    if not 0.0 < temperature < float("inf"):
        raise ConfigError(f"a softmax vote got the temperature {temperature:g}; give one above 0")

    def weights(scores: Array, voters: NDArray[np.bool_]) -> Array:
        top = np.max(scores, axis=1, keepdims=True, where=voters, initial=-np.inf)
        shift = np.where(np.isfinite(top), top, 0.0)
        with np.errstate(over="ignore"):  # so far below the best that the weight is 0
            exponent = np.where(voters, (scores - shift) / temperature, -np.inf)
        out: Array = np.exp(exponent)
        return out

    return weights


def borda_weights(exponent: float) -> Rule:
    """(n - r)^p for the response of rank r = 0..n-1 among the n drawn, best first; ties share their weights' mean.

    Responses without an answer keep their rank and do not vote.
    Source: Borda voting of Kang et al. 2025 (arXiv 2502.18581), v(r) = (N - r + 1)^p with ranks from 1; p = 0 is the
    majority vote, p -> infinity best-of-n.

    Raises:
        ConfigError: an exponent that is negative or not finite.
    """
    if not 0.0 <= exponent < float("inf"):
        raise ConfigError(f"a borda vote got the exponent {exponent:g}; give one of at least 0")

    def weights(scores: Array, voters: NDArray[np.bool_]) -> Array:
        # Over n^p, so that no exponent overflows.
        n = scores.shape[1]
        by_rank = (np.arange(n, 0, -1) / n) ** exponent
        return np.where(voters, _by_rank(scores, np.broadcast_to(by_rank, scores.shape)), 0.0)

    return weights


def filtered_weights(share: float, kind: Literal["exp", "score"]) -> Rule:
    """The weights of `score_weights` for the top share of the responses with an answer, 0 for the others.

    ceil(share * m) of m are kept; responses tied at the border share the places that are left.
    Source: confidence filtering of DeepConf offline (arXiv 2508.15260): the top 10 % or 90 %, then the weighted vote.

    Raises:
        ConfigError: a share that is not in (0, 1].
    """
    if not 0.0 < share <= 1.0:
        raise ConfigError(f"a filtered vote got the share {share:g}; give one above 0 and at most 1, such as 0.1")
    base = score_weights(kind)

    def weights(scores: Array, voters: NDArray[np.bool_]) -> Array:
        # 0.1 * 30 is a little more than 3 in floating point; that little is no reason to keep a fourth.
        keep = np.ceil(np.round(share * voters.sum(axis=1), 9))
        ranked = np.where(voters, scores, -np.inf)
        kept = np.arange(scores.shape[1]) < keep[:, None]
        return base(scores, voters) * _by_rank(ranked, kept.astype(np.float64))

    return weights


def _by_rank(scores: Array, by_rank: Array) -> Array:
    """Numbers by rank (rows, n) given to the responses of those ranks, ties sharing."""
    order, block_starts = ranked_scores(scores)
    out = np.empty(scores.shape)
    np.put_along_axis(out, order, share_ties(np.ascontiguousarray(by_rank), block_starts), axis=1)
    return out


def _dense(classes: NDArray[np.int64], values: Array) -> tuple[NDArray[np.int64], Array]:
    """Codes (rows, N), 0 for no answer and the answers of each row from 1, and the worth of each code (rows, C)."""
    n_rows = len(classes)
    order = np.argsort(classes, axis=1, kind="stable")
    ascending = np.take_along_axis(classes, order, axis=1)
    first = np.diff(ascending, axis=1, prepend=-1) != 0
    codes = np.empty(classes.shape, dtype=np.int64)
    np.put_along_axis(codes, order, first.cumsum(axis=1), axis=1)
    width = int(codes.max(initial=0)) + 1
    cell = (np.arange(n_rows)[:, None] * width + codes).ravel()
    total = np.bincount(cell, weights=values.ravel(), minlength=n_rows * width)
    members = np.bincount(cell, minlength=n_rows * width)
    worth = (total / np.maximum(members, 1)).reshape(n_rows, width)
    worth[:, 0] = 0.0
    return codes, worth


def _outcomes(codes: NDArray[np.int64], scores: Array, worth: Array, rule: Rule) -> Array:
    """The value of the vote, (rows, draws), of draws of shape (rows, draws, n)."""
    n_rows, n_draws, n = codes.shape
    width = worth.shape[1]
    flat = codes.reshape(-1, n)
    voters = flat > 0
    weights = rule(scores.reshape(-1, n), voters)
    cell = (np.arange(len(flat))[:, None] * width + flat).ravel()
    total = np.bincount(cell, weights=weights.ravel(), minlength=len(flat) * width).reshape(n_rows, n_draws, width)
    there = np.bincount(cell, minlength=len(flat) * width).reshape(n_rows, n_draws, width) > 0
    there[:, :, 0] = False
    most = np.max(total, axis=2, keepdims=True, where=there, initial=0.0)
    wins = there & (total >= most * (1.0 - _TIE))
    winners = wins.sum(axis=2)
    value: Array = np.einsum("pdc,pc->pd", wins, worth) / np.maximum(winners, 1)
    return value
