"""Importance weights: hand-computed, exact against a known distribution, and the arms at both ends."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bon_eval.errors import ConfigError
from bon_eval.estimators import best_of_n
from bon_eval.estimators.reweighting import ALPHAS, effective_sample_size, power_weights


@pytest.fixture
def pool():
    rng = np.random.default_rng(0)
    scores = -rng.integers(0, 30, size=(50, 16)) * 1.7
    return scores, rng.random((50, 16))


def test_alpha_one_is_the_sample_arm_and_infinity_is_best_of_n(pool):
    scores, values = pool
    sample = (power_weights(scores, 1.0) * values).sum(axis=1)
    best = (power_weights(scores, math.inf) * values).sum(axis=1)
    assert np.abs(sample - values.mean(axis=1)).max() < 1e-12
    assert np.abs(best - best_of_n(scores, values, [16])[0]).max() < 1e-12
    # The limit, not only the point.
    near = (power_weights(scores, 1e6) * values).sum(axis=1)
    assert np.abs(near - best).max() < 1e-12


def test_by_hand():
    weights = power_weights(np.log([[0.5, 0.25, 0.25]]), 3.0)
    np.testing.assert_allclose(weights, [[4 / 6, 1 / 6, 1 / 6]])
    assert effective_sample_size(weights)[0] == pytest.approx(36 / 18)


def test_it_estimates_the_power_distribution():
    """A known distribution over four responses: with many draws the weighted mean is that of pi^alpha."""
    rng = np.random.default_rng(1)
    p, value = np.array([0.4, 0.3, 0.2, 0.1]), np.array([0.0, 1.0, 0.0, 1.0])
    drawn = rng.choice(4, size=(40, 4000), p=p)
    for alpha in (1.5, 2.0, 4.0):
        exact = (p**alpha * value).sum() / (p**alpha).sum()
        found = (power_weights(np.log(p)[drawn], alpha) * value[drawn]).sum(axis=1)
        assert found.mean() == pytest.approx(exact, abs=4 * found.std() / math.sqrt(40))


def test_effective_sample_size_falls_from_n_to_the_number_of_best(pool):
    scores, _ = pool
    sizes = np.array([effective_sample_size(power_weights(scores, alpha)) for alpha in ALPHAS])
    np.testing.assert_allclose(sizes[0], 16.0)
    assert (np.diff(sizes, axis=0) <= 1e-9).all()
    np.testing.assert_allclose(sizes[-1], (scores == scores.max(axis=1, keepdims=True)).sum(axis=1))


def test_long_responses_neither_overflow_nor_vanish():
    weights = power_weights([[-5000.0, -5001.0]], 16.0)
    assert weights.sum() == pytest.approx(1.0)
    assert weights[0, 1] == pytest.approx(math.exp(-15.0), rel=1e-4)


@pytest.mark.parametrize("alpha", [0.5, math.nan, -1.0])
def test_bad_alpha(alpha):
    with pytest.raises(ConfigError, match="give one of at least 1"):
        power_weights([[-1.0]], alpha)
    with pytest.raises(ConfigError, match="finite"):
        power_weights([[-math.inf]], 2.0)
