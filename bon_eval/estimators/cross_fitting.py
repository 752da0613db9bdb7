"""The accuracy of the best of several arms, on problems that did not take part in selecting it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bon_eval.errors import ConfigError
from bon_eval.stats.array_checks import two_dimensional
from bon_eval.stats.clusters import checked_clusters, cluster_sums

SPLITS = 100
"""Random halves."""


@dataclass(frozen=True, slots=True, eq=False)
class CrossFitted:
    """What the arm that one half of the problems selects is worth on the other half, over random halves."""

    values: NDArray[np.float64]
    """(P,), each problem's mean value over the splits; it never takes part in selecting what answers it."""
    widening: float
    """Jackknife standard error of the whole procedure over that of `values` alone, at least 1: one problem moves the
    others' values too, by what it helps to select."""


def cross_fitted(
    values: ArrayLike, *, rng: np.random.Generator, splits: int = SPLITS, clusters: ArrayLike | None = None
) -> CrossFitted:
    """Cross-fit the selection of the arm of highest mean.

    In each split one half of the problems selects the arm for the other half and the other way round; of arms that are
    equally good the first is taken. Problems of one cluster are in one half. The jackknife leaves out one problem (or
    cluster) at a time, in every split, and selects anew.

    Args:
        values: (P, K), what each of K arms is worth on each problem; at least two problems (or clusters).
        rng: draws the halves.
        splits: how many.
        clusters: (P,), the number 0 .. C - 1 of each problem's cluster.

    Raises:
        ConfigError: a shape that is not (P, K), a value that is not finite, or fewer than two to split.

    >>> cross_fitted([[0.0, 1.0]] * 4, rng=np.random.default_rng(0)).values.round(12).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    value = two_dimensional("values", values).astype(np.float64)
    numbers = np.arange(len(value)) if clusters is None else checked_clusters(clusters, len(value))
    sums, sizes = cluster_sums(value, numbers), np.bincount(numbers).astype(np.float64)
    units = len(sums)
    if units < 2 or not np.isfinite(value).all():
        raise ConfigError(f"{units} problems or clusters cannot be split in halves, or a value is not finite")
    chosen = np.zeros((units, value.shape[1]))
    without = np.zeros(units)
    for _ in range(splits):
        order = rng.permutation(units)
        halves = order[: units // 2], order[units // 2 :]
        for own, other in (halves, halves[::-1]):
            there, here = sums[other].sum(axis=0), sums[own].sum(axis=0)
            arm = int(there.argmax())
            chosen[own, arm] += 1.0 / splits
            without[own] += here[arm] - sums[own, arm]
            # Means of all arms are over the same problems, so that sums select as they do.
            without[other] += here[(there - sums[other]).argmax(axis=1)]
    total = sizes.sum()
    held = (chosen * sums).sum(axis=1)
    anew = _jackknife_error(without / splits / (total - sizes))
    alone = _jackknife_error((held.sum() - held) / (total - sizes))
    return CrossFitted((chosen[numbers] * value).sum(axis=1), max(1.0, anew / alone) if alone > 0.0 else 1.0)


def _jackknife_error(left_out: NDArray[np.float64]) -> float:
    n = len(left_out)
    return float(np.sqrt((n - 1.0) / n * ((left_out - left_out.mean()) ** 2).sum()))
