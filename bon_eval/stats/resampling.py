"""The studentised bootstrap over problems (Efron & Tibshirani 1993, section 12.5)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bon_eval.stats.array_checks import CHUNK_ELEMENTS


def inner_confidence(confidence: float) -> float:
    """Of the interval that two one-sided tests of the same level go by: 90 % for 95 %."""
    return max(1.0 - 2.0 * (1.0 - confidence), 0.0)


def bootstrap_t(
    columns: NDArray[np.float64], factors: NDArray[np.float64], rng: np.random.Generator, draws: int, confidence: float
) -> tuple[list[float], ...]:
    """Studentised bootstrap of every column: low, high, p-value, low and high of the inner interval, K each.

    Limits are not finite where too many resamples had no spread; `factors` move them away from the mean. The two-sided
    p-value of a mean of 0 is at most 1 - confidence exactly where the limits exclude 0.
    """
    n, k = columns.shape
    if k == 0:
        return [], [], [], [], []
    mean = columns.mean(axis=0)
    centred = columns - mean
    error = centred.std(axis=0, ddof=1) / np.sqrt(n)
    t = np.empty((draws, k))
    step = max(1, CHUNK_ELEMENTS // n)
    for start in range(0, draws, step):
        rows = min(step, draws - start)
        shift, square = _resampled_moments(centred, rng.integers(0, n, size=(rows, n)))
        spread = np.sqrt(np.maximum(square - shift**2, 0.0) / (n - 1))
        flat = spread <= 1e-12 * error * np.sqrt(n)
        t[start : start + rows] = np.where(flat, np.copysign(np.inf, shift), shift / np.where(flat, 1.0, spread))
    t.sort(axis=0)
    observed = mean / (factors * error)
    further = np.minimum(np.sum(t >= observed, axis=0), np.sum(t <= observed, axis=0))
    p_values = np.minimum(1.0, 2.0 * (further + 1.0) / (draws + 1.0))
    ends = []
    for level in (confidence, inner_confidence(confidence)):
        # So many draws may lie at least as far out as the data for the p-value to stay within the level.
        allowed = math.floor((1.0 - level) / 2.0 * (draws + 1) + 1e-9)
        lower, upper = t[max(allowed - 1, 0)], t[min(draws - allowed, draws - 1)]
        ends += [mean - factors * upper * error, mean - factors * lower * error]
    low, high, *inner = (end.tolist() for end in ends)
    return low, high, p_values.tolist(), *inner


def _resampled_moments(
    centred: NDArray[np.float64], chosen: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and mean square of every column (n, K) over the chosen rows (draws, n): (draws, K) each."""
    (rows, n), k = chosen.shape, centred.shape[1]
    if k <= 2:  # gathering is faster than counting for so few columns
        drawn = [column[chosen] for column in np.ascontiguousarray(centred.T)]
        squares = [np.einsum("ij,ij->i", x, x) / n for x in drawn]
        return np.stack([x.mean(axis=1) for x in drawn], axis=1), np.stack(squares, axis=1)
    chosen += np.arange(0, rows * n, n)[:, None]
    times = np.bincount(chosen.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)
    moments = times @ np.concatenate([centred, centred**2], axis=1) / n
    return moments[:, :k], moments[:, k:]
