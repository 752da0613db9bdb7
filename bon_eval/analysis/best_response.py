"""The base model's best response, before and after tuning: coverage and (epsilon, delta)-sharpness of both models.

Huang et al. 2024 (arXiv 2412.01951): sharpening moves probability onto the most likely responses of the *base* model; a
tuned model is (epsilon, delta)-sharpened if it gives them at least 1 - delta for all but a share epsilon of problems.
The most likely response seen, in either run, stands for the most likely one, so shares are bounds from below and
coverage is one from above; see `bon_eval.estimators.coverage`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bon_eval.analysis.arms import Array
from bon_eval.analysis.sides import Side
from bon_eval.errors import ConfigError
from bon_eval.estimators.coverage import best_seen, is_sharp, log_coverage

SHARP = {"50": 0.5, "90": 0.1}
"""Percent of probability -> delta."""


@dataclass(frozen=True, slots=True, eq=False)
class BestResponses:
    """What both models give the best responses."""

    before: Mapping[str, Array]
    after: Mapping[str, Array]
    """Quantity of `bon_eval.analysis.sides.LABELS` -> (P,)."""
    log_coverage: Mapping[str, float]
    """``before``, ``after`` (its own best) and ``after, at the base model's best`` -> ln of the mean of 1 / pi."""
    left_out: int
    """Problems without a finished response: not sharp, and left out of the likelihoods and of coverage."""


def best_responses(first: Side, second: Side) -> BestResponses:
    """Compare the two models at the responses of both runs.

    Args:
        first, second: before and after, rows aligned; every response scored by both models.

    Raises:
        ConfigError: the responses were not scored by the other model.
    """
    under_base = [first.base_pool, first.base_greedy, second.base_pool, second.base_greedy]
    under_tuned = [
        second.base_under,
        second.base_under_greedy,
        second.pool.log_likelihood,
        second.greedy.log_likelihood,
    ]
    base, tuned = (_joined(arrays) for arrays in (under_base, under_tuned))
    finished = ~np.concatenate(
        [first.pool.truncated, first.greedy.truncated, second.pool.truncated, second.greedy.truncated], axis=1
    )
    best, column = best_seen(base, finished)
    own_best, _ = best_seen(tuned, finished)
    there = np.isfinite(best)
    at_best = np.where(there, np.take_along_axis(tuned, column[:, None], axis=1)[:, 0], -np.inf)
    before: dict[str, Array] = {}
    after: dict[str, Array] = {}
    if there.all():
        before["log_likelihood_best"], after["log_likelihood_best"] = best, at_best
    for percent, delta in SHARP.items():
        sharp = is_sharp(best, delta).astype(np.float64)
        before |= {f"sharp_base.{percent}": sharp, f"sharp_own.{percent}": sharp}
        after[f"sharp_base.{percent}"] = is_sharp(at_best, delta).astype(np.float64)
        after[f"sharp_own.{percent}"] = is_sharp(own_best, delta).astype(np.float64)
    coverage = {}
    if there.any():
        coverage = {
            "before": log_coverage(best[there]),
            "after": log_coverage(own_best[there]),
            "after, at the base model's best": log_coverage(at_best[there]),
        }
    return BestResponses(before, after, coverage, int(np.count_nonzero(~there)))


def _joined(arrays: list[Array | None]) -> Array:
    known = [array for array in arrays if array is not None]
    if len(known) != len(arrays):
        raise ConfigError("the best responses need every response scored by both models; run: bon-eval score --by")
    return np.concatenate(known, axis=1)
