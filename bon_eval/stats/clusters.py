"""What is resampled: problems, or clusters of those that share a source (a document, a template, a contest).

The estimate stays the mean over problems, a ratio of two sums over clusters. Each cluster counts by its linearised
value m + (S_c - m n_c) / mean(n), with S_c the sum and n_c the number of its problems and m the mean: the mean of these
values over clusters is m, and their spread is that of the ratio (Cochran 1977, Sampling Techniques, section 2.11). What
follows for intervals is in `bon_eval.stats.means`.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bon_eval.errors import ConfigError, counted
from bon_eval.records import Problem
from bon_eval.stats.closed_form import effective_problems, pseudo_weight
from bon_eval.stats.heavy_tails import widening

Array = NDArray[np.float64]
_FEW = 50
"""Units up to which unequal sizes widen an interval of nats in full."""
_PRIOR_UNITS = 4.0
"""Weight of units whose problems are all alike when `alike_size` is estimated."""


def number_clusters(labels: Sequence[Hashable]) -> NDArray[np.intp]:
    """Labels as numbers 0 .. C - 1 in the order of their first problem, (P,).

    >>> number_clusters(["b", "a", "b"]).tolist()
    [0, 1, 0]
    """
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(label, len(numbers)) for label in labels], dtype=np.intp)


def clusters_of(problems: Iterable[Problem], problem_ids: Sequence[str], column: str) -> NDArray[np.intp]:
    """The cluster of each problem id, (P,), by the values of a column of the task.

    Raises:
        ConfigError: a problem without that column (the message names those that all problems have), or without a
            value in it.
    """
    fields = {problem.id: problem.fields for problem in problems}
    missing = next((i for i in problem_ids if column not in fields[i]), None)
    if missing is not None:
        there = set.intersection(*(set(fields[i]) for i in problem_ids))
        raise ConfigError(
            f"problem {missing} has no column {column!r} to cluster by; the run stored: {', '.join(sorted(there))}; "
            f"to store it, sample with --cluster {column}"
        )
    empty = next((i for i in problem_ids if fields[i][column] in (None, "", [], {})), None)
    if empty is not None:
        raise ConfigError(
            f"problem {empty} has no value in column {column!r} to cluster by; give a column without gaps"
        )
    # Problems made in Python may hold lists or numbers.
    return number_clusters([json.dumps(fields[i][column], sort_keys=True, default=str) for i in problem_ids])


def rows_of(clusters: NDArray[np.intp] | None, kept: NDArray[Any]) -> NDArray[np.intp] | None:
    """The clusters of some of the problems, by their rows or a mask, numbered anew; None where there are none."""
    return None if clusters is None else number_clusters(clusters[kept].tolist())


def sampling_units(n_problems: int, clusters: NDArray[np.intp] | None) -> tuple[int, str]:
    """How many of what are resampled: ``problem`` or ``cluster``.

    >>> sampling_units(3, None), sampling_units(3, np.array([0, 1, 0]))
    ((3, 'problem'), (2, 'cluster'))
    """
    return (n_problems, "problem") if clusters is None else (int(clusters.max()) + 1, "cluster")


def checked_clusters(clusters: ArrayLike, n_problems: int) -> NDArray[np.intp]:
    """The clusters, or `ConfigError` unless they are whole numbers 0 .. C - 1, one for each problem."""
    out = np.asarray(clusters)
    if out.shape != (n_problems,) or not np.issubdtype(out.dtype, np.integer):
        raise ConfigError(f"clusters have shape {out.shape}; expected a whole number for each of {n_problems} problems")
    if len(out) and not np.array_equal(np.unique(out), np.arange(out.max() + 1)):
        raise ConfigError("clusters are not numbered 0 .. C - 1 without gaps; see number_clusters")
    return out.astype(np.intp)


def cluster_sums(columns: Array, clusters: NDArray[np.intp]) -> Array:
    """Sums over the problems of each cluster, (P, K) -> (C, K)."""
    out = np.zeros((int(clusters.max()) + 1, columns.shape[1]))
    np.add.at(out, clusters, columns)
    return out


def linearised(parts: ArrayLike, sizes: ArrayLike) -> Array:
    """One number for each problem or cluster, whose mean is sum(parts) / sum(sizes) and whose spread is this ratio's.

    Args:
        parts: (P,) or (P, K), a sum for each problem or cluster.
        sizes: (P,), how many are in it; not all 0.

    >>> linearised([4.0, 8.0], [2, 1]).round(3).tolist()
    [1.333, 6.667]
    """
    part, size = np.asarray(parts, dtype=np.float64), np.asarray(sizes, dtype=np.float64)
    size = size.reshape(-1, *(1,) * (part.ndim - 1))
    ratio = part.sum(axis=0) / size.sum()
    return np.asarray(ratio + (part - ratio * size) / size.mean(), dtype=np.float64)


def effective_number(sizes: Array) -> float:
    """Kish's effective number of problems or clusters of these sizes, (P,); where all are equal, P."""
    return float(sizes.sum() ** 2 / (sizes @ sizes))


@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """What is resampled."""

    sizes: Array | None
    """(C,), the number of problems or pairs in each, all above 0; None where all have the same."""
    n: int
    word: str
    """``problem`` or ``cluster``, for reasons."""

    @property
    def counted(self) -> float:
        """The effective number of units."""
        return float(self.n) if self.sizes is None else effective_number(self.sizes)

    def too_few(self, least: int) -> str:
        """Why there is no interval of fewer than so many."""
        if self.n < least or self.sizes is None:
            return f"{counted(self.n, self.word)}; from {least} on"
        return f"{self.n} {self.word}s of unequal sizes count as {self.counted:.1f}; from {least} on"

    def stretch(self, confidence: float, *, nats: bool = False) -> float:
        """What residuals are stretched by for n units to count as fewer; 1 where sizes are equal."""
        if self.sizes is None:
            return 1.0
        from scipy import special

        quantile = 1.0 - (1.0 - confidence) / 2.0
        freedom = np.maximum([self.counted - 1.0, self.n - 1.0], 1.0)
        student = float(np.divide(*special.stdtrit(freedom, quantile)))
        part = min(1.0, (widening(self.counted) - 1.0) / (widening(_FEW) - 1.0))
        return float(student * (1.0 + part * ((self.n / self.counted) ** (0.25 if nats else 0.125) - 1.0)))

    def values(self, parts: Array, stretch: float | Array = 1.0) -> Array:
        """(C, K) numbers of which the mean is that of `parts`, (C, K), and the spread its own.

        `parts` are the units' sums where sizes are unequal, else their means.
        """
        if self.sizes is None:
            return parts
        ratio = parts.sum(axis=0) / self.sizes.sum()
        return np.asarray(ratio + stretch * (linearised(parts, self.sizes) - ratio), dtype=np.float64)

    def pseudo(self, values: Array, rarest: float, alike: float) -> tuple[float, float]:
        """Pseudo-units of each sign that ``pseudo-t`` adds to a difference of shares, and the size of each.

        One of which only a part, `alike`, is a unit of its own counts as that part in the mean, and its square by the
        part's: otherwise the centre is pulled further towards 0 than the spread says.
        """
        each = self.n / self.counted
        return pseudo_weight(values, rarest) * each * alike, float(np.sqrt(each * alike))


def units_of(sizes: Array, word: str) -> Units:
    """Units of given sizes."""
    return Units(None if (sizes == sizes[0]).all() else sizes, len(sizes), word)


def alike_size(column: Array, sums: Array, sizes: Array) -> float:
    """How much a pseudo-cluster counts of one whose problems all have the difference 1, between 1 / size and 1.

    The design effect of clusters, the variance of the mean over that of independent problems, is 1 where the problems
    of a cluster are independent and sum n^2 / sum n where they are all alike. Its share of that largest value says
    which part of a cluster is one unit; it is pulled towards 1 by 4 C / C' clusters, as in ``wilson-design ratio``. For
    clusters of one problem it is 1.

    Args:
        column: (P,), the values.
        sums: (C,), their sums over clusters.
        sizes: (C,), the numbers of problems.
    """
    n, count, mean = len(column), len(sums), float(column.mean())
    if count < 2 or n == count:
        return 1.0
    residual, single = sums - mean * sizes, column - mean
    plain = float(single @ single) * n / (n - 1.0)
    if plain == 0.0:
        return 1.0
    largest = float(sizes @ sizes) / n
    effect = float(residual @ residual) * count / (count - 1.0) / plain
    seen, prior = effective_problems(residual), _PRIOR_UNITS * count / effective_number(sizes)
    return (seen * min(max(effect, 1.0) / largest, 1.0) + prior) / (seen + prior)
