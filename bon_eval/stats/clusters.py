"""Problems that share a source (a document, a template, a contest) as one sampling unit.

The estimate stays the mean over problems, a ratio of two sums over clusters. Each cluster counts by its linearised
value m + (S_c - m n_c) / mean(n), with S_c the sum and n_c the number of its problems and m the mean: the mean of these
values over clusters is m, and their spread is that of the ratio (Cochran 1977, Sampling Techniques, section 2.11).
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bon_eval.errors import ConfigError
from bon_eval.records import Problem


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


def count_text(n: int, word: str) -> str:
    """As in ``1 cluster`` and ``2 clusters``."""
    return f"{n} {word}{'s' if n != 1 else ''}"


def checked_clusters(clusters: ArrayLike, n_problems: int) -> NDArray[np.intp]:
    """The clusters, or `ConfigError` unless they are whole numbers 0 .. C - 1, one for each problem."""
    out = np.asarray(clusters)
    if out.shape != (n_problems,) or not np.issubdtype(out.dtype, np.integer):
        raise ConfigError(f"clusters have shape {out.shape}; expected a whole number for each of {n_problems} problems")
    if len(out) and not np.array_equal(np.unique(out), np.arange(out.max() + 1)):
        raise ConfigError("clusters are not numbered 0 .. C - 1 without gaps; see number_clusters")
    return out.astype(np.intp)


def cluster_sums(columns: NDArray[np.float64], clusters: NDArray[np.intp]) -> NDArray[np.float64]:
    """Sums over the problems of each cluster, (P, K) -> (C, K)."""
    out = np.zeros((int(clusters.max()) + 1, columns.shape[1]))
    np.add.at(out, clusters, columns)
    return out


def linearised(parts: ArrayLike, sizes: ArrayLike) -> NDArray[np.float64]:
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


def effective_number(sizes: NDArray[np.float64]) -> float:
    """Kish's effective number of problems or clusters of these sizes, (P,); where all are equal, P."""
    return float(sizes.sum() ** 2 / (sizes @ sizes))
