"""A base model whose likelier responses are more often right, and a tuned one that is its best-of-m.

z is a response's log-likelihood, standardised within its problem, and alpha the ease of the problem: it is right with
probability 1 / (1 + exp(-(alpha + slope z))), alpha ~ N(level, `SPREAD`^2).
"""

from __future__ import annotations

import functools
import math

import numpy as np
from scipy import special

SPREAD = 1.5
_GRID = np.linspace(-7.0, 9.0, 3201)


def chance(alpha: np.ndarray, slope: float, z: np.ndarray) -> np.ndarray:
    """Probability that a response is right."""
    return special.expit(alpha + slope * z)


def best_of(alpha: np.ndarray, slope: float, m: int) -> np.ndarray:
    """Accuracy of best-of-m by likelihood on problems of these alpha: over the density of the largest of m normals."""
    density = m * np.exp(-(_GRID**2) / 2) / math.sqrt(2 * math.pi) * special.ndtr(_GRID) ** (m - 1)
    return chance(alpha[:, None], slope, _GRID[None]) @ density * (_GRID[1] - _GRID[0])


@functools.cache
def mean_accuracy(slope: float, m: int, level: float) -> float:
    """The mean of `best_of` over all problems, by Gauss-Hermite quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    return float(weights @ best_of(level + SPREAD * nodes, slope, m) / weights.sum())


def slope_of_gain(n: int, half: int, level: float, gain: float) -> float:
    """The slope at which best-of-n is more accurate than best-of-`half` by a gain, by bisection."""
    low, high = 0.0, 2.0  # beyond, the gain of a doubling falls again
    assert mean_accuracy(high, n, level) - mean_accuracy(high, half, level) > gain
    for _ in range(50):
        middle = (low + high) / 2
        reached = mean_accuracy(middle, n, level) - mean_accuracy(middle, half, level)
        low, high = (low, middle) if reached > gain else (middle, high)
    return high


def scene(
    n: int, rng: np.random.Generator, *, m: int, slope: float, pool: int, level: float, extra: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Base log-likelihoods and correctness, (P, pool), and tuned means of both, (P,), under the base model.

    With probability `extra` a wrong answer of the tuned model is made right, which no likelihood tells of.
    """
    alpha = rng.normal(level, SPREAD, size=(n, 1))
    centre, width = -rng.gamma(3, 8, size=(n, 1)), rng.uniform(1, 6, size=(n, 1))
    z = rng.normal(size=(n, pool))
    right = (rng.random((n, pool)) < chance(alpha, slope, z)).astype(float)
    fresh = rng.normal(size=(n, pool, m)).max(axis=2)
    p = chance(alpha, slope, fresh)
    tuned = (rng.random((n, pool)) < p + extra * (1 - p)).mean(axis=1)
    return centre + width * z, right, (centre + width * fresh).mean(axis=1), tuned
