"""Stopping rules against every order of small pools, and their limits."""

from __future__ import annotations

import math
from itertools import permutations, product

import numpy as np
import pytest

from bon_eval.errors import ConfigError
from bon_eval.estimators import best_of_n
from bon_eval.estimators.stopping import likelihood_stopping, patience_stopping
from bon_eval.stats import array_checks as arrays


def replay(scores, values, costs, stops):
    """Mean samples, value, share exhausted and cost over every order; equal best scores share the value."""
    samples, value, exhausted, cost = [], [], [], []
    orders = list(permutations(range(len(scores))))
    for order in orders:
        k = next((k for k in range(1, len(order) + 1) if stops([scores[i] for i in order[:k]])), None)
        drawn = order[: k or len(order)]
        best = max(scores[i] for i in drawn)
        # Over all orders, a tie goes to the mean of the whole block, as if broken at random.
        value.append(np.mean([v for s, v in zip(scores, values, strict=True) if s == best]))
        samples.append(len(drawn))
        exhausted.append(k is None)
        cost.append(sum(costs[i] for i in drawn))
    return np.mean(samples), np.mean(value), np.mean(exhausted), np.mean(cost)


def numbers(found, p):
    return found.samples[p], found.value[p], found.exhausted[p], found.cost[p]


def pools(ties, n=6):
    rng = np.random.default_rng(3)
    scores = -rng.integers(0, 4, size=(12, n)) * 0.7 - 0.3 if ties else -rng.exponential(1.5, size=(12, n))
    return scores, rng.random((12, n)), rng.integers(1, 40, size=(12, n))


@pytest.mark.parametrize("delta", [0.9, 0.5, 0.1, 1e-3, 1e-9])
@pytest.mark.parametrize("ties", [True, False])
def test_likelihood_rule_against_every_order(delta, ties):
    scores, values, costs = pools(ties)
    found = likelihood_stopping(scores, values, delta, costs)
    bound = math.log(2 / delta)
    for p in range(len(scores)):
        expected = replay(scores[p], values[p], costs[p], lambda seen: math.exp(-max(seen)) <= len(seen) / bound)
        assert numbers(found, p) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("patience", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("ties", [True, False])
def test_patience_against_every_order(patience, ties, monkeypatch):
    scores, values, costs = pools(ties)

    def stops(seen):
        record = max(i for i in range(len(seen)) if i == 0 or seen[i] > max(seen[:i]))
        return len(seen) - 1 - record >= patience

    monkeypatch.setattr(arrays, "CHUNK_ELEMENTS", 40)
    found = patience_stopping(scores, values, patience, costs)
    for p in range(len(scores)):
        expected = replay(scores[p], values[p], costs[p], stops)
        assert numbers(found, p) == pytest.approx(expected, abs=1e-12)


def test_a_rule_that_never_stops_is_best_of_n():
    scores, values, costs = pools(ties=True)
    best = best_of_n(scores, values, [6])[0]
    for found in (likelihood_stopping(scores - 800.0, values, 0.1, costs), patience_stopping(scores, values, 6, costs)):
        np.testing.assert_allclose(found.value, best, atol=1e-12)
        np.testing.assert_allclose(found.samples, 6.0)
        np.testing.assert_allclose(found.exhausted, 1.0)
        np.testing.assert_allclose(found.cost, costs.sum(axis=1))


def test_costs_default_to_one_each():
    scores, values, _ = pools(ties=True)
    for rule, parameter in ((likelihood_stopping, 0.1), (patience_stopping, 2)):
        ones = rule(scores, values, parameter, np.ones_like(scores))
        np.testing.assert_allclose(ones.cost, ones.samples)
        np.testing.assert_array_equal(rule(scores, values, parameter).cost, ones.samples)


def test_costs_of_likely_responses_weigh_more_where_the_rule_looks_for_them():
    """Pools without ties: patience draws all responses alike, the likelihood rule stops at the likely ones."""
    scores, values, costs = pools(ties=False)
    found = patience_stopping(scores, values, 2, costs)
    np.testing.assert_allclose(found.cost, found.samples * costs.mean(axis=1))
    found = likelihood_stopping([[-0.1, -9.0, -9.5]], [[1, 0, 0]], 0.9, [[10, 1, 1]])
    # Orders with the likely one first stop at once (10), second at two (11), third at three (12).
    assert found.samples[0] == pytest.approx(2.0)
    assert found.cost[0] == pytest.approx(11.0)
    assert found.cost[0] > 2.0 * 4.0


def test_mean_cost_is_unbiased_for_fresh_sampling():
    """Responses drawn until the rule stops, at most N, from a known distribution: exact, against replayed pools."""
    kinds = np.array([[math.log(0.6), 1.0, 7.0], [math.log(0.3), 0.0, 2.0], [math.log(0.1), 0.0, 30.0]])
    chances, n, bound = np.exp(kinds[:, 0]), 4, math.log(2 / 0.1)
    truth = 0.0
    for drawn in product(range(3), repeat=n):
        stop = next((k for k in range(1, n) if math.exp(-max(kinds[list(drawn[:k]), 0])) <= k / bound), n)
        truth += np.prod(chances[list(drawn)]) * kinds[list(drawn[:stop]), 2].sum()
    rng = np.random.default_rng(0)
    pool = kinds[rng.choice(3, size=(40_000, n), p=chances)]
    found = likelihood_stopping(pool[..., 0], pool[..., 1], 0.1, pool[..., 2]).cost
    assert abs(found.mean() - truth) < 4 * found.std() / math.sqrt(len(found))


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
    with pytest.raises(ConfigError, match="costs have shape"):
        likelihood_stopping([[-1.0]], [[1.0]], 0.1, [[1.0, 2.0]])
    with pytest.raises(ConfigError, match="costs hold NaN"):
        patience_stopping([[-1.0]], [[1.0]], 2, [[math.nan]])
