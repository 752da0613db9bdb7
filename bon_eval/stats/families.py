"""Many comparisons at once: step-down p-values that hold for a whole family."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bon_eval.errors import ConfigError
from bon_eval.stats.array_checks import CHUNK_ELEMENTS
from bon_eval.stats.clusters import checked_clusters, cluster_sums

_ROUNDING = 1e-12
"""Differences so far below the largest of a family are none."""


def holm(p_values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Holm's step-down correction of a family of m tests, valid under any dependence.

    The i-th smallest p-value (i = 0..m-1) becomes the largest of (m - j) * p_(j) over j <= i, at most 1.
    Source: Holm 1979, Scandinavian Journal of Statistics 6, 65-70.

    Args:
        p_values: (m,), each in [0, 1].

    Returns:
        (m,) adjusted p-values in the given order.

    Raises:
        ConfigError: a p-value outside [0, 1] or NaN.

    >>> holm([0.04, 0.01, 0.03]).round(6).tolist()
    [0.06, 0.03, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not np.all((p >= 0.0) & (p <= 1.0)):
        raise ConfigError("holm got p-values that are not a flat list of numbers between 0 and 1")
    order = np.argsort(p, kind="stable")
    adjusted = np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order])
    out = np.empty(len(p))
    out[order] = np.minimum(adjusted, 1.0)
    return out


def step_down(
    differences: ArrayLike,
    p_values: ArrayLike,
    *,
    rng: np.random.Generator,
    draws: int = 10_000,
    clusters: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """Step-down p-values of a family of m comparisons on the same problems, by their joint distribution (max-t).

    In each draw the differences of every problem change their signs together, in all comparisons alike: what depends
    on each other stays so. The comparison with the smallest p-value is held against the largest |t| of all, the next
    one against the largest of those left. Where comparisons are alike, as best-of-8 and best-of-16 are, this costs
    less than Holm's correction. An adjusted p-value is never below the comparison's own.

    Source: Westfall & Young 1993, Resampling-Based Multiple Testing, section 2.8; Romano & Wolf 2005,
    doi 10.1198/016214504000000539.

    Args:
        differences: (P, m), a - b of each problem; 0 where a comparison leaves a problem out.
        p_values: (m,), each comparison's own p-value, whatever test it comes from: it is compared as the |t| of P - 1
            degrees of freedom that has this p-value.
        rng: draws the signs.
        draws: sign patterns, at least 100.
        clusters: (P,), the number 0 .. C - 1 of each problem's cluster, whose signs change together.

    Returns:
        (m,) adjusted p-values in the given order; 1 for a comparison without differences.

    Raises:
        ConfigError: shapes that differ, fewer than two problems, a value that is not finite or a p-value outside
            [0, 1].

    >>> alike = np.repeat(np.linspace(-0.2, 0.8, 30)[:, None], 5, axis=1)
    >>> adjusted = step_down(alike, [0.01] * 5, rng=np.random.default_rng(0))
    >>> bool(adjusted.max() < 0.012), holm([0.01] * 5).tolist()
    (True, [0.05, 0.05, 0.05, 0.05, 0.05])
    """
    from scipy import special

    d, p = np.asarray(differences, dtype=np.float64), np.asarray(p_values, dtype=np.float64)
    if d.ndim != 2 or p.shape != d.shape[1:]:
        raise ConfigError(f"step_down got shapes {d.shape} and {p.shape}; expected (problems, m) and (m,)")
    if not np.isfinite(d).all() or not np.all((p >= 0.0) & (p <= 1.0)):
        raise ConfigError("step_down got a difference that is not finite or a p-value outside [0, 1]")
    if draws < 100:
        raise ConfigError(f"draws = {draws} is too few for a family; use at least 100")
    d = np.where(np.abs(d) <= _ROUNDING * np.abs(d).max(initial=0.0), 0.0, d)  # the rounding of equal arms
    if clusters is not None:
        d = cluster_sums(d, checked_clusters(clusters, len(d)))
    n, m = d.shape
    if n < 2:  # one problem shows nothing
        return np.ones(m)
    observed = special.stdtrit(n - 1, 1.0 - np.maximum(p, 1e-15) / 2.0)
    scale = np.sqrt(np.sum(d**2, axis=0))
    unit = d / np.where(scale > 0.0, scale, 1.0)
    order = np.argsort(-observed, kind="stable")
    beyond = np.zeros(m)
    step = max(1, CHUNK_ELEMENTS // max(n, m))
    for start in range(0, draws, step):
        flips = rng.integers(0, 2, size=(min(step, draws - start), n), dtype=np.int8).astype(np.float64)
        sums = (2.0 * flips - 1.0) @ unit
        t = np.abs(sums) * np.sqrt((n - 1.0) / np.maximum(n - sums**2, 1e-12))
        largest = np.maximum.accumulate(t[:, order[::-1]], axis=1)[:, ::-1]
        beyond += np.sum(largest >= observed[order] * (1.0 - 1e-9), axis=0)
    adjusted = np.maximum.accumulate(np.maximum((beyond + 1.0) / (draws + 1.0), p[order]))
    out = np.empty(m)
    out[order] = np.minimum(adjusted, 1.0)
    return np.where(scale > 0.0, out, 1.0)
