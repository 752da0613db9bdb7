"""What temperature, min-p, top-k and top-p leave of a distribution, in numpy and one step after the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax


def distribution(
    logits: NDArray[np.floating[Any]], given: Mapping[str, Any], *, slack: float = 0.0
) -> NDArray[np.float64]:
    """Probability of each token of one row of logits.

    Args:
        logits: shape (vocabulary,); log-probs do as well.
        given: ``temperature``, and where they are on ``top_p``, ``top_k``, ``min_p``.
        slack: by how much each bound is loosened, for tokens at a bound where logits were computed otherwise.
    """
    p = softmax(np.asarray(logits, dtype=np.float64) / given["temperature"])
    if min_p := given.get("min_p", 0.0):
        p = np.where(p >= min_p * p.max() * (1 - slack), p, 0.0)
        p = p / p.sum()
    if top_k := given.get("top_k", 0):
        last = np.sort(p)[-min(top_k, len(p))]
        p = np.where(p >= last * (1 - slack), p, 0.0)
        p = p / p.sum()
    if (top_p := given.get("top_p", 1.0)) < 1:
        order = np.argsort(-p, kind="stable")
        before = np.cumsum(p[order]) - p[order]
        p[order[before >= top_p + slack]] = 0.0
        p = p / p.sum()
    return p


def chi_square(counts: NDArray[np.float64], p: NDArray[np.float64]) -> float:
    """p-value of counts under probabilities; tokens expected less than ten times are one. 1.0: one class is left."""
    from scipy import stats

    assert counts[p == 0].sum() == 0, "what is cut never comes"
    expected = p * counts.sum()
    common = expected >= 10
    observed = np.append(counts[common], counts[~common].sum())
    wanted = np.append(expected[common], expected[~common].sum())
    if wanted[-1] < 1:
        observed[-2] += observed[-1]
        wanted[-2] += wanted[-1]
        observed, wanted = observed[:-1], wanted[:-1]
    return 1.0 if len(wanted) == 1 else float(stats.chisquare(observed, wanted * observed.sum() / wanted.sum()).pvalue)


GIVEN: tuple[dict[str, Any], ...] = (
    {"temperature": 1.0, "top_p": 0.8},
    {"temperature": 1.0, "top_k": 4},
    {"temperature": 1.0, "min_p": 0.15},
    {"temperature": 1.6, "top_p": 0.7, "min_p": 0.2},
    {"temperature": 0.6, "top_p": 0.9, "top_k": 5},
    {"temperature": 2.0, "top_p": 0.85, "top_k": 9, "min_p": 0.05},
    {"temperature": 1.0, "top_p": 0.01},
    {"temperature": 1.0, "top_k": 10**6},
)
"""Ways to cut, alone and together."""
