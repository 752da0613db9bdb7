"""Stopping rules against every order of small pools, and their limits."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest

from bon_eval.errors import ConfigError
from bon_eval.estimators import best_of_n
from bon_eval.estimators.stopping import likelihood_stopping, patience_stopping
from bon_eval.stats import array_checks as arrays


def replay(scores, values, stops):
    """Mean samples, value and share exhausted over every order; equal best scores share the value."""
    samples, value, exhausted = [], [], []
    orders = list(permutations(range(len(scores))))
    for order in orders:
        k = next((k for k in range(1, len(order) + 1) if stops([scores[i] for i in order[:k]])), None)
        drawn = order[: k or len(order)]
        best = max(scores[i] for i in drawn)
        # Over all orders, a tie goes to the mean of the whole block, as if broken at random.
        value.append(np.mean([v for s, v in zip(scores, values, strict=True) if s == best]))
        samples.append(len(drawn))
        exhausted.append(k is None)
    return np.mean(samples), np.mean(value), np.mean(exhausted)


def pools(ties, n=6):
    rng = np.random.default_rng(3)
    scores = -rng.integers(0, 4, size=(12, n)) * 0.7 - 0.3 if ties else -rng.exponential(1.5, size=(12, n))
    return scores, rng.random((12, n))


@pytest.mark.parametrize("delta", [0.9, 0.5, 0.1, 1e-3, 1e-9])
@pytest.mark.parametrize("ties", [True, False])
def test_likelihood_rule_against_every_order(delta, ties):
    scores, values = pools(ties)
    found = likelihood_stopping(scores, values, delta)
    bound = math.log(2 / delta)
    for p in range(len(scores)):
        expected = replay(scores[p], values[p], lambda seen: math.exp(-max(seen)) <= len(seen) / bound)
        assert (found.samples[p], found.value[p], found.exhausted[p]) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("patience", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("ties", [True, False])
def test_patience_against_every_order(patience, ties, monkeypatch):
    scores, values = pools(ties)

    def stops(seen):
        record = max(i for i in range(len(seen)) if i == 0 or seen[i] > max(seen[:i]))
        return len(seen) - 1 - record >= patience

    monkeypatch.setattr(arrays, "CHUNK_ELEMENTS", 40)
    found = patience_stopping(scores, values, patience)
    for p in range(len(scores)):
        expected = replay(scores[p], values[p], stops)
        assert (found.samples[p], found.value[p], found.exhausted[p]) == pytest.approx(expected, abs=1e-12)


def test_a_rule_that_never_stops_is_best_of_n():
    scores, values = pools(ties=True)
    best = best_of_n(scores, values, [6])[0]
    for found in (likelihood_stopping(scores - 800.0, values, 0.1), patience_stopping(scores, values, 6)):
        np.testing.assert_allclose(found.value, best, atol=1e-12)
        np.testing.assert_allclose(found.samples, 6.0)
        np.testing.assert_allclose(found.exhausted, 1.0)


def test_a_certain_response_stops_at_once():
    scores, values = np.log([[0.999, 0.999, 1e-9]]), np.array([[1.0, 1.0, 0.0]])
    found = likelihood_stopping(scores, values, 0.75)  # ln(2 / 0.75) = 0.98
    # First draw: certain (2/3), or one more.
    assert found.samples[0] == pytest.approx(4 / 3)
    assert found.value[0] == 1.0


def test_large_pools_keep_their_probability():
    rng = np.random.default_rng(0)
    scores = -rng.exponential(20.0, size=(3, 300))
    for patience in (1, 4, 50):
        found = patience_stopping(scores, np.ones((3, 300)), patience)
        np.testing.assert_allclose(found.value, 1.0, atol=1e-12)
        assert (found.samples <= 300).all()
        assert (found.samples >= patience + 1).all()
    for delta in (0.9, 1e-6):
        np.testing.assert_allclose(likelihood_stopping(scores, np.ones((3, 300)), delta).value, 1.0, atol=1e-10)


def test_a_pool_of_one():
    for found in (likelihood_stopping([[-1.0]], [[1.0]], 0.1), patience_stopping([[-1.0]], [[1.0]], 3)):
        assert (found.samples[0], found.value[0]) == (1.0, 1.0)


def test_bad_input():
    for delta in (0.0, 1.0, math.nan):
        with pytest.raises(ConfigError, match="delta"):
            likelihood_stopping([[-1.0]], [[1.0]], delta)
    with pytest.raises(ConfigError, match="patience of 0"):
        patience_stopping([[-1.0]], [[1.0]], 0)
    with pytest.raises(ConfigError, match="finite"):
        patience_stopping([[-math.inf]], [[1.0]], 2)
