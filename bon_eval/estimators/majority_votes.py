"""The majority vote of a random n-subset of a pool: vectorised, seeded Monte Carlo, exact at both ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bon_eval.errors import ConfigError
from bon_eval.stats.array_checks import checked_ns, row_chunks, two_dimensional, values_like

DRAWS = 200
"""Random subsets of a pool behind a vote of fewer than all of its responses."""


def majority_vote(
    answer_class: ArrayLike,
    values: ArrayLike,
    ns: Sequence[int],
    *,
    rng: np.random.Generator,
    draws: int = DRAWS,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Expected value of the most frequent answer in a random n-subset of each pool (self-consistency).

    Votes are counted by answer class; the classes with most votes share (each tied class counts alike). A class is
    worth the mean value of its responses. Responses without an answer (class -1) do not vote; a subset in which
    nobody votes is worth 0: it answers nothing, so it is not correct. Exact for n = 1 and n = N (standard error 0);
    otherwise the mean over `draws` random n-subsets. The subsets of one draw are nested in n, and drawn
    independently for each problem, so a mean over problems has standard error sqrt(sum(se ** 2)) / P.

    Source: Wang et al. 2023 (arXiv 2203.11171).

    Args:
        answer_class: (P, N) integers, numbered within each problem; -1 for no answer.
        values: (P, N), finite; usually 1 for correct and 0 for not correct.
        ns: subset sizes, each 1 <= n <= N.
        rng: the generator that draws the subsets.
        draws: subsets per problem, at least 2.

    Returns:
        The mean, (len(ns), P), and its Monte Carlo standard error, (len(ns), P).

    Raises:
        ConfigError: n out of range, shapes that differ, a class below -1, draws < 2, a value that is not finite.

    >>> rng = np.random.default_rng(0)
    >>> mean, error = majority_vote([[0, 0, 1, -1]], [[1, 1, 0, 0]], [1, 4], rng=rng)
    >>> mean.ravel().tolist(), error.ravel().tolist()
    ([0.5, 1.0], [0.0, 0.0])
    """
    classes = two_dimensional("answer_class", answer_class)
    if not np.issubdtype(classes.dtype, np.integer) or (classes.size and classes.min() < -1):
        raise ConfigError("majority_vote got an answer_class that is not an integer >= -1; number the answers from 0")
    value = values_like(classes, values)
    if value.ndim != 2:
        raise ConfigError(f"majority_vote got values of shape {value.shape}; pass one (problems, N) array at a time")
    if draws < 2:
        raise ConfigError(f"majority_vote got draws = {draws}; at least 2 are needed for a standard error")
    n_problems, n_responses = classes.shape
    sizes = checked_ns(ns, n_responses)
    mean = np.empty((len(sizes), n_problems))
    error = np.zeros((len(sizes), n_problems))
    steps = sorted({n for n in sizes if 1 < n < n_responses})
    for rows in row_chunks(n_problems, n_responses * (draws if steps else 1)):
        voted = np.where(classes[rows] >= 0, value[rows].astype(np.float64), 0.0)
        codes, worth = _vote_codes(classes[rows], voted)
        result = {1: voted.mean(axis=1)}
        result[n_responses] = next(_prefix_votes(codes[:, None], worth, [n_responses]))[:, 0]
        spread = dict.fromkeys(result, 0.0) | dict.fromkeys(steps, np.zeros(len(codes)))
        if steps:
            shuffled = np.repeat(codes[:, None], draws, axis=1)
            rng.permuted(shuffled, axis=2, out=shuffled)
            for n, outcome in zip(steps, _prefix_votes(shuffled, worth, steps), strict=True):
                result[n] = outcome.mean(axis=1)
                spread[n] = outcome.std(axis=1, ddof=1) / np.sqrt(draws)
        for i, n in enumerate(sizes):
            mean[i, rows], error[i, rows] = result[n], spread[n]
    return mean, error


def _vote_codes(classes: NDArray[Any], voted: NDArray[np.float64]) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """Dense codes (rows, N) and the worth of each code (rows, C).

    Code 0: no answer. Code 1: any answer given once in the pool (such answers are interchangeable: they get one vote
    each, so only their number in a subset matters). Codes from 2: the other answers of the problem.
    """
    n_rows, n_responses = classes.shape
    width = int(classes.max(initial=-1)) + 2
    keys = np.arange(n_rows, dtype=np.int64)[:, None] * width + (classes.astype(np.int64) + 1)
    groups, group_of, count = np.unique(keys.ravel(), return_inverse=True, return_counts=True)
    row, answered = np.divmod(groups, width)
    repeated = (answered > 0) & (count > 1)
    before = np.cumsum(repeated) - repeated
    first_of_row = np.searchsorted(row, np.arange(n_rows))
    code = np.where(answered == 0, 0, np.where(repeated, 2 + before - before[first_of_row][row], 1))
    codes = code[group_of].reshape(n_rows, n_responses)
    n_codes = int(codes.max()) + 1
    cell = (np.arange(n_rows)[:, None] * n_codes + codes).ravel()
    total = np.bincount(cell, weights=voted.ravel(), minlength=n_rows * n_codes)
    members = np.bincount(cell, minlength=n_rows * n_codes)
    worth = (total / np.maximum(members, 1)).reshape(n_rows, n_codes)
    return codes.astype(np.int16), worth


def _prefix_votes(
    codes: NDArray[np.int16], worth: NDArray[np.float64], steps: Sequence[int]
) -> Iterator[NDArray[np.float64]]:
    """For each increasing n in steps: the value (rows, draws) of the vote among the first n of each draw.

    A class counts with its mean over the pool: given the vote counts, that is the mean over its drawn members.
    """
    n_rows, n_draws, _ = codes.shape
    n_codes = worth.shape[1]
    base = np.arange(n_rows * n_draws, dtype=np.int64).reshape(n_rows, n_draws, 1) * n_codes
    counts = np.zeros(n_rows * n_draws * n_codes, dtype=np.int32)
    start = 0
    for n in steps:
        counts += np.bincount((base + codes[:, :, start:n]).ravel(), minlength=counts.size).astype(np.int32)
        start = n
        votes = counts.reshape(n_rows, n_draws, n_codes)
        singles = votes[:, :, 1] if n_codes > 1 else np.zeros((n_rows, n_draws), dtype=np.int32)
        single_worth = worth[:, 1:2] if n_codes > 1 else np.zeros((n_rows, 1))
        most = np.maximum(votes[:, :, 2:].max(axis=2, initial=0), singles > 0)
        wins = (votes[:, :, 2:] == most[:, :, None]) & (most > 0)[:, :, None]
        tied_singles = np.where(most == 1, singles, 0)
        total = np.einsum("pdc,pc->pd", wins, worth[:, 2:]) + tied_singles * single_worth
        yield total / np.maximum(wins.sum(axis=2) + tied_singles, 1)
