"""Random subsets of a pool against every subset that there is."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from bon_eval.errors import ConfigError
from bon_eval.estimators import pass_at_n
from bon_eval.estimators.distinct import answer_entropy
from bon_eval.estimators.two_pools.subsets import answer_entropy_of_n, at_least, lost_by_chance, subset_counts

RIGHT = np.array([[1, 1, 0, 0, 0, 1], [0, 0, 0, 0, 0, 1], [1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0]])
CLASSES = np.array([[0, 0, 1, 2, -1, -1], [0, 1, 2, 3, 4, 5], [7, 7, 7, 7, 7, 7], [0, 0, 0, 1, 1, 1]], dtype=np.int32)


@pytest.mark.parametrize("n", [1, 2, 4, 6])
def test_every_subset(n: int) -> None:
    subsets = [list(s) for s in combinations(range(6), n)]
    counts = np.array([[row[s].sum() for s in subsets] for row in RIGHT])
    expected = [(counts >= m).mean(axis=1) for m in range(1, n + 1)]
    np.testing.assert_allclose(at_least(RIGHT, n), expected, atol=1e-12)
    entropies = [[answer_entropy(row[None, s])[0] for s in subsets] for row in CLASSES]
    np.testing.assert_allclose(answer_entropy_of_n(CLASSES, n), np.mean(entropies, axis=1), atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_two_disjoint_subsets(n: int) -> None:
    found = []
    for row in RIGHT:
        pairs = [
            row[list(one)].any() and not row[list(other)].any()
            for one in combinations(range(6), n)
            for other in combinations(sorted(set(range(6)) - set(one)), n)
        ]
        found.append(np.mean(pairs))
    np.testing.assert_allclose(lost_by_chance(RIGHT, n), found, atol=1e-12)


def test_what_it_agrees_with() -> None:
    """Its first row is pass@n and its mean over m the accuracy; of all responses it is 0 or 1 exactly."""
    right = np.random.default_rng(0).random((40, 24)) < np.linspace(0, 1, 40)[:, None]
    for n in (5, 24):
        found = at_least(right, n)
        np.testing.assert_allclose(found[0], pass_at_n(right, [n])[0], atol=1e-11)
        np.testing.assert_allclose(found.mean(axis=0), right.mean(axis=1), atol=1e-11)
        assert (np.diff(found, axis=0) <= 0).all()
    assert set(np.unique(at_least(right, 24))) == {0.0, 1.0}
    np.testing.assert_allclose(answer_entropy_of_n(CLASSES, 6), answer_entropy(CLASSES), atol=1e-11)


def test_it_is_unbiased_for_fresh_samples_of_the_smaller_number() -> None:
    """Known truth: 3 of 4 new responses are correct with the binomial probability, whatever the pool's size."""
    rates, rng = np.array([0.2, 0.7]), np.random.default_rng(1)
    truth = 4 * rates**3 * (1 - rates) + rates**4
    for size in (4, 12):
        pools = rng.random((20_000, 2, size)) < rates[:, None]
        found = at_least(pools.reshape(-1, size), 4)[2].reshape(-1, 2).mean(axis=0)
        np.testing.assert_allclose(found, truth, atol=0.012)
        chance = lost_by_chance(pools.reshape(-1, size), 2).reshape(-1, 2).mean(axis=0)
        solved = 1 - (1 - rates) ** 2
        np.testing.assert_allclose(chance, solved * (1 - solved), atol=0.012)


def test_large_pools_lose_nothing() -> None:
    table = subset_counts(1024, 512)
    np.testing.assert_allclose(table.sum(axis=1), 1.0, atol=1e-12)
    np.testing.assert_allclose(table @ np.arange(513), np.arange(1025) / 2, atol=1e-9)


def test_what_is_refused() -> None:
    with pytest.raises(ConfigError, match="values other than 0 and 1"):
        at_least([[0.5, 1.0]], 1)
    with pytest.raises(ConfigError):
        at_least(RIGHT, 7)
    with pytest.raises(ConfigError):
        lost_by_chance(RIGHT, 4)
    with pytest.raises(ConfigError, match="not an integer"):
        answer_entropy_of_n(CLASSES.astype(float), 2)  # type: ignore[arg-type]
