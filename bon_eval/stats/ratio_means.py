"""Means over pairs where problems have unequal numbers of them: ratios of two sums over problems.

With S_i the sum over the n_i pairs of problem i the mean over pairs is R = sum S_i / sum n_i. Problems are the sampling
unit, so its spread is that of the linearised values v_i = R + (S_i - R n_i) / mean(n), whose mean is R (Cochran 1977,
Sampling Techniques, section 2.11). Where every problem has the same number of pairs these are the problems' own means,
and they go to `bon_eval.stats.bootstrap` and `bon_eval.stats.paired` as they are.

The methods are those of `bon_eval.stats.means`, with all pairs of a problem taken to be alike.

benchmarks/coverage.py has the simulations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bon_eval.errors import ConfigError
from bon_eval.stats.bootstrap import bootstrap_cis, check_draws
from bon_eval.stats.clusters import units_of
from bon_eval.stats.heavy_tails import sign_test
from bon_eval.stats.means import DIFFERENCE, NOT_ABOVE_0, NOT_BELOW_0, UNBOUNDED, UNIT, Interval, Support, resolve
from bon_eval.stats.paired import PairedTest, as_test, paired_differences, paired_tests

Array = NDArray[np.float64]
Word = Literal["problem", "cluster"]
"""What is resampled, for reasons."""
_ROUNDING = 1e-9


def ratio_mean(
    parts: ArrayLike,
    sizes: ArrayLike,
    *,
    support: Support,
    rng: np.random.Generator,
    draws: int = 10_000,
    confidence: float = 0.95,
) -> Interval:
    """Confidence interval of the mean over pairs, sum(parts) / sum(sizes), where problems are the sampling unit.

    Args:
        parts: (P,), the sum over the pairs of each problem.
        sizes: (P,), their numbers; a problem without any contributes nothing.
        support: of one pair's number: (0, 1) for shares, (-1, 1) for differences of shares, `UNBOUNDED` for nats.
        rng: resamples problems (used by bootstrap-t only).
        draws: bootstrap draws, at least 100.
        confidence: coverage in (0, 1).

    Returns:
        The interval; it lies within the support.

    Raises:
        ConfigError: no pairs, shapes that differ, a number that is not finite or outside the support, draws or
            confidence out of range.

    >>> found = ratio_mean([2, 1, 1, 1, 1], [2, 1, 1, 1, 1], support=(0, 1), rng=np.random.default_rng(0))
    >>> found.estimate, round(found.low, 3), found.high, found.method
    (1.0, 0.342, 1.0, 'wilson-design ratio')
    """
    columns = _column(parts)
    return ratio_means(columns, sizes, supports=[support], rng=rng, draws=draws, confidence=confidence)[0]


def ratio_means(
    parts: ArrayLike,
    sizes: ArrayLike,
    *,
    supports: Sequence[Support],
    rng: np.random.Generator,
    draws: int = 10_000,
    confidence: float = 0.95,
    word: Word = "problem",
) -> list[Interval]:
    """`ratio_mean` of every column of parts (P, K), all of the same sizes (P,) and from the same resampled problems.

    `word`: what is resampled, where that is not problems but clusters of them.
    """
    columns, size = _checked(parts, sizes, supports)
    if _equal(size):
        means, clusters = _means(columns, size, supports), _named(word, len(size))
        return bootstrap_cis(
            means, rng=rng, draws=draws, confidence=confidence, support=list(supports), clusters=clusters
        )
    check_draws(draws, confidence)
    units, none = units_of(size, word), [np.inf] * len(supports)
    found = resolve(columns, units, supports, none, [1.0] * len(supports), rng, draws, confidence)
    return [resolved.interval for resolved in found]


def ratio_test(
    parts_a: ArrayLike,
    parts_b: ArrayLike,
    sizes: ArrayLike,
    *,
    share: bool,
    rng: np.random.Generator,
    draws: int = 10_000,
    confidence: float = 0.95,
) -> PairedTest:
    """Compare two means over the same pairs, problem by problem; p-value and interval are of one method.

    Args:
        parts_a, parts_b: (P,), the sums over the pairs of each problem on either side.
        sizes: (P,), the numbers of pairs; a problem without any contributes nothing.
        share: whether a pair's numbers are shares in [0, 1], and not nats.
        rng, draws, confidence: as in `ratio_mean`.

    Raises:
        ConfigError: as `ratio_mean`.

    >>> test = ratio_test([6, 1, 1, 2, 5, 1], [0] * 6, [6, 1, 1, 2, 5, 1], share=True, rng=np.random.default_rng(0))
    >>> test.difference, round(test.low, 3), test.high, test.n_contested, test.method, test.verdict()
    (1.0, -0.246, 1.0, 6, 'pseudo-t ratio', 'not shown')
    """
    sides = _column(parts_a), _column(parts_b)
    return ratio_tests(*sides, sizes, shares=[share], rng=rng, draws=draws, confidence=confidence)[0]


def ratio_tests(
    parts_a: ArrayLike,
    parts_b: ArrayLike,
    sizes: ArrayLike,
    *,
    shares: Sequence[bool],
    rng: np.random.Generator,
    draws: int = 10_000,
    confidence: float = 0.95,
    word: Word = "problem",
) -> list[PairedTest]:
    """`ratio_test` of every column of parts_a (P, K) against that of parts_b; `shares` has one entry for each."""
    sides = [UNIT if share else UNBOUNDED for share in shares]
    (a, size), (b, other) = _checked(parts_a, sizes, sides), _checked(parts_b, sizes, sides)
    if a.shape != b.shape or len(size) != len(other):
        raise ConfigError(f"ratio_tests got shapes {a.shape} and {b.shape}; expected (problems, K) twice")
    if _equal(size):
        means = _means(a, size, sides), _means(b, size, sides)
        clusters = _named(word, len(size))
        return paired_tests(*means, rng=rng, draws=draws, confidence=confidence, shares=shares, clusters=clusters)
    check_draws(draws, confidence)
    difference = paired_differences(a, b, shares)
    supports = [DIFFERENCE if share else UNBOUNDED for share in shares]
    # Single pairs on either side: what was not seen would count a whole problem.
    rarest = [0.0 if share else np.inf for share in shares]
    found = resolve(difference, units_of(size, word), supports, rarest, [1.0] * len(shares), rng, draws, confidence)
    return [
        as_test(resolved, int(np.count_nonzero(column)), None if share else sign_test(column, confidence))
        for column, share, resolved in zip(difference.T, shares, found, strict=True)
    ]


def _column(values: ArrayLike) -> Array:
    return np.asarray(values, dtype=np.float64)[:, None]


def _checked(parts: ArrayLike, sizes: ArrayLike, supports: Sequence[Support]) -> tuple[Array, Array]:
    """Parts (P, K) and sizes (P,) of the problems that have pairs."""
    part, size = np.asarray(parts, dtype=np.float64), np.asarray(sizes, dtype=np.float64)
    if part.ndim != 2 or size.shape != part.shape[:1] or len(supports) != part.shape[1]:
        raise ConfigError(
            f"parts have shape {part.shape}, sizes {size.shape}, and there are {len(supports)} supports; expected "
            "(problems, K), (problems,) and K"
        )
    if not (np.isfinite(part).all() and np.isfinite(size).all() and (size >= 0.0).all() and (size > 0.0).any()):
        raise ConfigError("parts must be finite, and sizes numbers of pairs that are not all 0")
    part, size = part[size > 0.0], size[size > 0.0]
    for column, support in zip(part.T, supports, strict=True):
        if support not in (UNIT, DIFFERENCE, UNBOUNDED, NOT_ABOVE_0, NOT_BELOW_0):
            raise ConfigError(f"support {support} is not (0, 1), (-1, 1), unbounded, or bounded by 0")
        room = _ROUNDING * size
        if support != UNBOUNDED and not np.all(
            (column >= support[0] * size - room) & (column <= support[1] * size + room)
        ):
            raise ConfigError(f"the numbers of a problem's pairs reach outside their support {support}")
    return part, size


def _named(word: Word, n: int) -> NDArray[np.intp] | None:
    """Clusters of one each, which change no number and are called clusters in reasons."""
    return np.arange(n) if word == "cluster" else None


def _equal(size: Array) -> bool:
    return bool((size == size[0]).all())


def _means(columns: Array, size: Array, supports: Sequence[Support]) -> Array:
    """Each problem's own mean over its pairs, within the support."""
    low, high = np.array(supports).T
    return np.asarray(np.clip(columns / size[:, None], low, high), dtype=np.float64)
