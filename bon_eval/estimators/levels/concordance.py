"""How often the likelier of two responses is the correct one: within a problem and across problems, at any and at like
lengths.

Two responses are of like length where the longer one has at most a tenth more tokens. Among the pairs of a correct and
an incorrect response of like length, those in which the correct one is the longer and those in which it is the shorter
get the same weight, pairs of equal length their own. Where a score says nothing about correctness but by length, it
ranks the longer of two responses higher with some probability q, whichever of them is correct: pairs in which the
correct one is the longer are ranked right with probability q, the others with 1 - q, and their mean is one half. What
is left is how far q differs between the lengths of the two kinds of pairs, within a tenth of length. At equal lengths
log-likelihood and log-likelihood per token rank alike.

Matching is the covariate-adjusted area under the ROC curve of Janes & Pepe 2009 (doi 10.1093/biomet/asp002) with length
as the covariate: cases and controls are compared at the same value of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bon_eval.errors import ConfigError
from bon_eval.stats.array_checks import CHUNK_ELEMENTS, two_dimensional, values_like

LIKE = 10
"""Lengths are alike where their difference is at most the smaller one over this."""
MOST_PAIRS = 40_000_000
"""Pairs that `across_problems` looks at, about: it bounds the responses of each problem that take part."""

Array = NDArray[np.float64]
_LONGER, _SHORTER, _EQUAL = range(3)
"""Kinds of pairs of like length: the correct one is longer, shorter or as long."""


@dataclass(frozen=True, slots=True, eq=False)
class Across:
    """A concordance over pairs of problems."""

    estimate: float
    """Share of pairs in which the correct response has the higher score, ties one half; NaN without pairs."""
    units: Array
    """(P,), one number for each problem, with the estimate as their mean and its spread (see `across_problems`)."""
    sides: Array
    """(2, P), pairs in which the problem's response is the correct one, and in which it is the incorrect one."""


def within_problems(scores: ArrayLike, correct: ArrayLike, n_tokens: ArrayLike) -> Array:
    """`bon_eval.estimators.within_problem_auroc` over pairs of like length, as the module says.

    Args:
        scores: (P, N), or (K, P, N) for K scores of the same responses; higher is better, finite.
        correct: (P, N), bool or 0 and 1.
        n_tokens: (P, N), whole numbers of at least 1.

    Returns:
        (P,), or (K, P), in [0, 1]; 0.5 is chance. NaN where a problem has no such pairs, or only pairs in which the
        correct one is the longer, or only such in which it is the shorter.

    Raises:
        ConfigError: shapes that differ, a score that is not finite, other values of `correct`.

    >>> within_problems([[3.0, 2.0, 1.0]], [[1, 0, 0]], [[20, 21, 19]]).tolist()
    [1.0]
    >>> within_problems([[3.0, 2.0, 1.0]], [[1, 0, 0]], [[20, 21, 40]]).tolist()  # one pair, of one direction
    [nan]
    """
    score, right, length = _checked(scores, correct, n_tokens)
    out = np.full(score.shape[:2], np.nan)
    for row in range(len(right)):
        of = right[row]
        if of.any() and not of.all():
            kinds = _kinds(length[row, of], length[row, ~of]).reshape(3, -1)
            ahead = _ahead(score[:, row, of], score[:, row, ~of]).reshape(len(score), -1)
            counts, sums = kinds.sum(axis=1), ahead @ kinds.T
            shares = np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0.0)
            out[:, row] = shares @ _weights(counts)
    return out if np.asarray(scores).ndim == 3 else out[0]


def across_problems(scores: ArrayLike, correct: ArrayLike, n_tokens: ArrayLike) -> tuple[tuple[Across, Across], ...]:
    """How often a correct response to one problem scores higher than an incorrect one to another problem.

    Of each problem one response is taken, the r-th of all of them, and the pairs of all r are put together: r by r they
    are data sets of one prompt-answer pair for each problem, over which the area under the ROC curve is that of Hanley
    & McNeil 1982. The first responses of each problem take part, as many as `MOST_PAIRS` allows (`columns`).

    Problems are the sampling unit. With s_i the concordant ones of the n_i pairs that problem i takes part in, S and n
    their numbers over all pairs and A = S / n, the estimate is to first order the mean of A + P (s_i - A n_i) / n: for
    one response a problem these are the structural components of DeLong et al. 1988 (doi 10.2307/2531595). At like
    lengths the shares of the three kinds of pairs are weighted, and the weights taken as given.

    Args:
        scores: (K, P, N), K scores of the same responses; higher is better, finite.
        correct: (P, N), bool or 0 and 1.
        n_tokens: (P, N), whole numbers of at least 1.

    Returns:
        For each score the concordance over all pairs, and over those of like length.

    Raises:
        ConfigError: shapes that differ, a score that is not finite, other values of `correct`.

    >>> found = across_problems([[[3.0], [2.0], [1.0]]], [[1], [0], [1]], [[20], [20], [20]])
    >>> found[0][0].estimate, found[0][0].units.tolist()
    (0.5, [1.25, 0.5, -0.25])
    """
    score, right, length = _checked(scores, correct, n_tokens)
    counts, sums = np.zeros((2, 4, len(right))), np.zeros((len(score), 4, len(right)))
    for r in range(columns(*right.shape)):
        first, second = np.flatnonzero(right[:, r]), np.flatnonzero(~right[:, r])
        step = max(1, CHUNK_ELEMENTS // max(1, len(second)))
        for start in range(0, len(first) if len(second) else 0, step):
            some = first[start : start + step]
            kinds = _kinds(length[some, r], length[second, r])
            ahead = _ahead(score[:, some, r], score[:, second, r])
            counts[0, 0, some] += len(second)
            counts[1, 0, second] += len(some)
            counts[0, 1:, some] += kinds.sum(axis=2).T
            counts[1, 1:, second] += kinds.sum(axis=1).T
            for k, of in enumerate(ahead):
                sums[k, 0, some] += of.sum(axis=1)
                sums[k, 0, second] += of.sum(axis=0)
                sums[k, 1:, some] += np.einsum("cij,ij->ic", kinds, of)
                sums[k, 1:, second] += np.einsum("cij,ij->jc", kinds, of)
    like = _weights(counts[0, 1:].sum(axis=1))
    return tuple((_over(counts[:, :1], of[:1], np.ones(1)), _over(counts[:, 1:], of[1:], like)) for of in sums)


def columns(n_problems: int, n_responses: int) -> int:
    """Responses of each problem that `across_problems` takes: all of them where that is not too much work.

    >>> columns(200, 32), columns(5000, 256)
    (32, 6)
    """
    return min(n_responses, max(1, MOST_PAIRS // max(1, n_problems**2 // 4)))


def _kinds(first: NDArray[np.int64], second: NDArray[np.int64]) -> Array:
    """(kinds, R, W), 1 where a pair is of a kind, from the lengths of correct and incorrect responses."""
    a, b = first[:, None], second
    out = np.empty((3, len(first), len(second)))
    # Alike is where LIKE times the longer one is at most LIKE + 1 times the shorter one.
    np.logical_and(a > b, LIKE * a <= (LIKE + 1) * b, out=out[_LONGER])
    np.logical_and(a < b, LIKE * b <= (LIKE + 1) * a, out=out[_SHORTER])
    np.equal(a, b, out=out[_EQUAL])
    return out


def _ahead(first: Array, second: Array) -> Array:
    """(K, R, W), 1 where the correct response has the higher of the scores, (K, R) and (K, W), and 0.5 for a tie."""
    one, other = first[:, :, None], second[:, None]
    return 0.5 * np.add(one > other, one >= other, dtype=np.float64)


def _weights(counts: Array) -> Array:
    """Of the shares of longer, shorter and equal pairs: both directions alike. NaN without pairs."""
    both = min(counts[_LONGER], counts[_SHORTER])
    total = counts[_EQUAL] + 2.0 * both
    return np.array([both, both, counts[_EQUAL]]) / total if total > 0.0 else np.full(3, np.nan)


def _over(sides: Array, sums: Array, weights: Array) -> Across:
    """The weighted shares of kinds of pairs, from (2, kinds, P) pairs by side and (kinds, P) concordant ones."""
    counts, n = sides.sum(axis=0), sides.shape[2]
    if not counts.sum() or np.isnan(weights).any():
        return Across(float("nan"), np.full(n, np.nan), sides.sum(axis=1))
    estimate, units = 0.0, np.zeros(n)
    for pairs, concordant, weight in zip(counts, sums, weights.tolist(), strict=True):
        if weight > 0.0:
            share = float(concordant.sum() / pairs.sum())
            estimate += weight * share
            units += weight * n * (concordant - share * pairs) / (pairs.sum() / 2.0)
    return Across(estimate, estimate + units, sides.sum(axis=1))


def _checked(
    scores: ArrayLike, correct: ArrayLike, n_tokens: ArrayLike
) -> tuple[Array, NDArray[np.bool_], NDArray[np.int64]]:
    """(K, P, N) scores, and (P, N) correct and lengths."""
    value, length = two_dimensional("correct", correct), two_dimensional("n_tokens", n_tokens)
    score = values_like(value, scores, name="scores")
    if length.shape != value.shape or not np.all((value == 0) | (value == 1)) or not np.all(length >= 1):
        raise ConfigError(
            f"correct and n_tokens have shapes {value.shape} and {length.shape}; expected the same, whether each "
            "response is correct and its number of tokens, at least 1"
        )
    return score.reshape(-1, *value.shape).astype(np.float64), value.astype(np.bool_), length.astype(np.int64)
