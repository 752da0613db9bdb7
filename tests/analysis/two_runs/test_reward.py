"""Best-of-n of a tuned pool by its implicit reward and by its likelihood, against brute force."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from bon_eval.analysis.two_runs.reward import reward_scorer
from bon_eval.analysis.two_runs.sides import Side, implicit_reward
from bon_eval.records import Pool
from bon_eval.stats.streams import streams

P, N = 14, 5


def made(seed: int = 0) -> Side:
    """Whole log-likelihoods under both models, so that ties come up."""
    rng = np.random.default_rng(seed)

    def pool(n: int) -> Pool:
        shape = (P, n)
        return Pool(
            problem_ids=tuple(f"p{i}" for i in range(P)),
            log_likelihood=-rng.integers(1, 5, shape).astype(float),
            n_tokens=np.ones(shape, np.int32),
            truncated=np.zeros(shape, np.bool_),
            correct=rng.random(shape) < 0.5,
            unscored=np.zeros(shape, np.bool_),
            answer_class=np.zeros(shape, np.int32),
        )

    greedy, sample = pool(1), pool(N)
    own = {"greedy": greedy.log_likelihood, "sample": sample.log_likelihood}
    base = {draw: -rng.integers(1, 5, values.shape).astype(float) for draw, values in own.items()}
    return Side(greedy, sample, np.zeros(P), own, base)


def brute(scores: np.ndarray, right: np.ndarray, n: int) -> float:
    """Mean over problems and n-subsets of the accuracy of the best-scored, ties shared."""
    found = []
    for score, correct in zip(scores, right, strict=True):
        for subset in map(list, combinations(range(len(score)), n)):
            best = score[subset] == score[subset].max()
            found.append(correct[subset][best].mean())
    return float(np.mean(found))


@pytest.mark.parametrize("n", [1, 3, N])
def test_both_scorers_pick_from_the_same_subsets(n: int) -> None:
    side = made()
    reward = side.own["sample"] - side.base["sample"]
    assert implicit_reward(side).tolist() == reward.tolist()
    found = reward_scorer(side, n, streams(0), 300)
    assert found.reward.estimate == pytest.approx(brute(reward, side.pool.correct, n))
    assert found.likelihood.estimate == pytest.approx(brute(side.pool.log_likelihood, side.pool.correct, n))
    assert found.difference.difference == pytest.approx(found.reward.estimate - found.likelihood.estimate)


def test_at_the_base_model_the_reward_picks_one_sample() -> None:
    side = made()
    base = replace(side, base=side.own)
    found = reward_scorer(base, N, streams(0), 300)
    assert found.reward.estimate == pytest.approx(side.pool.correct.mean())


def test_clusters_of_one_problem_change_no_number() -> None:
    side = made(1)
    clustered = reward_scorer(side, N, streams(0), 300, np.arange(P))
    assert clustered.difference == reward_scorer(side, N, streams(0), 300).difference
