"""Which picks better from the tuned model's pool: its own likelihood, or what it gained over the base model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from bon_eval.analysis.two_runs.sides import Side, implicit_reward
from bon_eval.estimators import best_of_n
from bon_eval.stats import Interval, PairedTest, bootstrap_cis, paired_test
from bon_eval.stats.bootstrap import UNIT
from bon_eval.stats.streams import Streams
from bon_eval.stats.units import SHARE


@dataclass(frozen=True, slots=True)
class RewardScorer:
    """Best-of-n of the tuned model's pool by two scorers, on the same responses."""

    reward: Annotated[Interval, SHARE]
    """Accuracy by the implicit reward, log pi - log pi_ref (`bon_eval.analysis.two_runs.sides.implicit_reward`)."""
    likelihood: Annotated[Interval, SHARE]
    """Accuracy by the tuned model's own likelihood."""
    difference: PairedTest
    """Reward minus likelihood; by itself, in no family."""


def reward_scorer(
    tuned: Side, n: int, rng: Streams, draws: int, clusters: NDArray[np.intp] | None = None
) -> RewardScorer:
    """Compare the two scorers.

    Args:
        tuned: the tuned model's side, scored by the base model too.
        n: of best-of-n.
        rng, draws, clusters: as in `bon_eval.stats.bootstrap_ci`.
    """
    right = tuned.pool.correct.astype(np.float64)
    by_reward, by_likelihood = (
        np.round(best_of_n(scores, right, [n])[0], 12) for scores in (implicit_reward(tuned), tuned.pool.log_likelihood)
    )
    both = np.column_stack([by_reward, by_likelihood])
    intervals = bootstrap_cis(both, rng=rng("reward"), draws=draws, support=UNIT, clusters=clusters)
    difference = paired_test(
        by_reward, by_likelihood, rng=rng("reward test"), draws=draws, share=True, clusters=clusters
    )
    return RewardScorer(intervals[0], intervals[1], difference)
