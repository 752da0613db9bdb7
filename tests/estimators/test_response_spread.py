"""Variance of best-of-n over responses: against leaving each response out, and against redrawn pools."""

from __future__ import annotations

import numpy as np
import pytest

from bon_eval.errors import ConfigError
from bon_eval.estimators import best_of_n
from bon_eval.estimators.response_spread import response_variance


@pytest.mark.parametrize("ties", [False, True])
def test_it_is_the_jackknife_over_responses(ties: bool) -> None:
    rng = np.random.default_rng(0)
    n_responses = 7
    scores = rng.integers(0, 3, size=(5, 7)).astype(float) if ties else rng.normal(size=(5, 7))
    values = rng.random((5, 7))
    found = response_variance(scores, values, [1, 2, 4, 6])
    for k, n in enumerate((1, 2, 4, 6)):
        left_out = np.stack(
            [best_of_n(np.delete(scores, j, 1), np.delete(values, j, 1), [n])[0] for j in range(n_responses)]
        )
        expected = (n_responses - 1) * left_out.var(axis=0)
        assert found[k] == pytest.approx(expected)
    assert found[0] == pytest.approx(values.var(axis=1, ddof=1) / n_responses)
    assert response_variance(scores, values, [7])[0] == pytest.approx(found[3])


def test_a_scorer_that_ranks_nothing_spreads_as_one_sample_does() -> None:
    values = np.random.default_rng(2).random((4, 6))
    found = response_variance(np.zeros((4, 6)), values, [1, 3, 6])
    assert found == pytest.approx(np.broadcast_to(values.var(axis=1, ddof=1) / 6, (3, 4)))


@pytest.mark.slow
def test_fresh_pools_spread_as_it_says() -> None:
    """One problem, 4,000 pools: the mean jackknife variance is the variance of the estimate, or above it."""
    rng = np.random.default_rng(1)
    correct = rng.random((4000, 16)) < 0.3
    scores = rng.normal(size=correct.shape) + 0.8 * correct
    ns = [1, 2, 4, 8, 16]
    values = best_of_n(scores, correct, ns)
    said = response_variance(scores, correct, ns).mean(axis=1)
    for k, n in enumerate(ns):
        true = values[k].var()
        assert 0.9 * true < said[k] < (1.15 if n <= 4 else 2.0) * true, (n, said[k], true)


def test_bad_input() -> None:
    with pytest.raises(ConfigError, match="pool of one response"):
        response_variance([[1.0]], [[1.0]], [1])
    with pytest.raises(ConfigError, match="n = 3"):
        response_variance([[1.0, 2.0]], [[1.0, 2.0]], [3])
