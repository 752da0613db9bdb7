"""Ranks in the base pool and probabilities of its likeliest responses, against brute force and simulations."""

from __future__ import annotations

import numpy as np
import pytest

from bon_eval.dpo.tracking.base_pool import TOP, likeliest_different, top_mass
from bon_eval.errors import EngineError
from bon_eval.estimators.two_pools.ranks import rank_in_own_pool, rank_in_pool


def brute_rank(value: float, key: int, pool: np.ndarray, keys: np.ndarray) -> float:
    """Share of a pool below, one response at a time."""
    return sum(
        0.5 if k == key or v == value else float(v < value) for v, k in zip(pool.tolist(), keys.tolist(), strict=True)
    ) / len(pool)


def test_rank_is_the_share_below() -> None:
    rng = np.random.default_rng(0)
    pool, own = rng.integers(-5, 0, (6, 9)).astype(float), rng.integers(-5, 0, (6, 4)).astype(float)
    pool_keys, keys = rng.integers(0, 4, (6, 9)).astype(np.uint64), rng.integers(0, 4, (6, 4)).astype(np.uint64)
    found = rank_in_pool(own, keys, pool, pool_keys)
    for p, m in np.ndindex(found.shape):
        assert found[p, m] == pytest.approx(brute_rank(own[p, m], int(keys[p, m]), pool[p], pool_keys[p]), abs=1e-15)


def test_the_same_response_is_a_tie_whatever_rounding_says() -> None:
    # Forced by one kernel and sampled by another, always a little higher: as likely as itself all the same.
    pool = np.array([[-2.0, -2.0, -2.0]])
    keys = np.array([[7, 7, 7]], dtype=np.uint64)
    assert rank_in_pool(pool + 1e-6, keys, pool, keys).tolist() == [[0.5, 0.5, 0.5]]


def test_the_base_models_own_pool_has_rank_one_half_in_every_problem() -> None:
    rng = np.random.default_rng(1)
    for n in (2, 3, 16):
        keys = rng.integers(0, 5, (40, n)).astype(np.uint64)
        # Equal responses have nearly equal numbers, as two batches give them.
        pool = -keys.astype(float) + rng.normal(0.0, 1e-6, keys.shape)
        found = rank_in_own_pool(pool, keys)
        np.testing.assert_allclose(found.mean(axis=1), 0.5, atol=1e-15 * n)
        for p, i in np.ndindex(found.shape):
            others = np.delete(pool[p], i), np.delete(keys[p], i)
            assert found[p, i] == pytest.approx(brute_rank(pool[p, i], int(keys[p, i]), *others), abs=1e-14)
    with pytest.raises(ValueError, match="one alone has none"):
        rank_in_own_pool(np.zeros((3, 1)), np.zeros((3, 1), dtype=np.uint64))


def test_fresh_samples_of_the_base_model_have_rank_one_half_in_expectation() -> None:
    """And a model that is sharper has more, as the probability that its response is the likelier says."""
    rng = np.random.default_rng(2)
    base, tuned = np.array([0.5, 0.25, 0.125, 0.125]), np.array([0.8, 0.1, 0.05, 0.05])
    pool_keys = rng.choice(4, (20_000, 5), p=base).astype(np.uint64)
    log_p = np.log(base)
    for law in (base, tuned):
        keys = rng.choice(4, (20_000, 3), p=law).astype(np.uint64)
        found = rank_in_pool(log_p[keys], keys, log_p[pool_keys], pool_keys).mean(axis=1)
        exact = sum(
            a * b * (0.5 if log_p[i] == log_p[j] else float(log_p[j] < log_p[i]))
            for i, a in enumerate(law)
            for j, b in enumerate(base)
        )
        assert found.mean() == pytest.approx(exact, abs=4 * found.std() / np.sqrt(len(found)))
        if law is base:
            assert exact == pytest.approx(0.5)


def test_the_likeliest_different_responses() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        n = int(rng.integers(1, 12))
        keys = rng.integers(0, 6, n).astype(np.uint64)
        whole = rng.random(6) < 0.7
        values = -keys.astype(float)
        found = likeliest_different(values, keys, whole[keys], 3)
        expected = sorted({int(k) for k in keys if whole[k]})[:3]
        assert [int(keys[i]) for i in found] == expected
        assert found == [keys.tolist().index(k) for k in expected], "the lowest index of each"


def test_the_mass_is_the_sum_of_probabilities() -> None:
    rng = np.random.default_rng(4)
    behind, values = [], []
    for p in range(7):
        several = np.sort(np.log(rng.dirichlet(np.ones(20)))[: 1 + 3 * p])[::-1]
        behind += [f"p{p}"] * len(several)
        values += several.tolist()
    found = top_mass(np.array(values), behind)
    assert tuple(found) == TOP
    for k, (problems, mass) in found.items():
        assert problems == tuple(f"p{p}" for p in range(7))
        for problem, number in zip(problems, mass.tolist(), strict=True):
            own = [v for v, b in zip(values, behind, strict=True) if b == problem]
            assert number == pytest.approx(np.exp(own[:k]).sum(), rel=1e-12)


def test_a_mass_above_one_is_rounding_or_no_distribution() -> None:
    _, mass = top_mass(np.log([0.6, 0.4000001]), ["a", "a"])[4]
    assert mass.tolist() == [1.0]
    with pytest.raises(EngineError, match=r"^problem b: different responses have a probability of 1\.300 together"):
        top_mass(np.log([0.6, 0.7, 0.6]), ["a", "b", "b"])
