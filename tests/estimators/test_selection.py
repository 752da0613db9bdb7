"""Closed forms against brute-force enumeration of every subset, hand-computed pools, and bad input."""

from __future__ import annotations

import itertools
from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bon_eval.errors import ConfigError
from bon_eval.estimators import best_of_n, chosen_index, majority_vote, pass_at_n, pick_probability, pick_weights
from bon_eval.stats import array_checks as arrays

SIZES = st.integers(1, 7)
TIED_SCORES = st.integers(-2, 2).map(float) | st.just(-np.inf) | st.floats(-5, 0)


@st.composite
def pools(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = (draw(st.integers(1, 3)), draw(SIZES))
    scores = draw(hnp.arrays(np.float64, shape, elements=TIED_SCORES))
    values = draw(hnp.arrays(np.float64, shape, elements=st.floats(-100, 100)))
    return scores, values


def brute_best(scores: np.ndarray, values: np.ndarray, n: int) -> float:
    """Mean over all n-subsets of the mean value of the subset's best-scored responses."""
    picks = []
    for subset in itertools.combinations(range(len(scores)), n):
        best = max(scores[i] for i in subset)
        picks.append(np.mean([values[i] for i in subset if scores[i] == best]))
    return float(np.mean(picks))


def brute_vote(classes: np.ndarray, values: np.ndarray, n: int) -> float:
    outcomes = []
    for subset in itertools.combinations(range(len(classes)), n):
        members: dict[int, list[float]] = {}
        for i in subset:
            if classes[i] >= 0:
                members.setdefault(classes[i], []).append(values[i])
        most = max(map(len, members.values()), default=0)
        outcomes.append(np.mean([np.mean(m) for m in members.values() if len(m) == most]) if members else 0.0)
    return float(np.mean(outcomes))


@given(pools())
@settings(max_examples=150, deadline=None)
def test_best_of_n_equals_enumeration(pool):
    scores, values = pool
    ns = range(1, scores.shape[1] + 1)
    expected = [[brute_best(s, v, n) for s, v in zip(scores, values, strict=True)] for n in ns]
    np.testing.assert_allclose(best_of_n(scores, values, ns), expected, rtol=1e-12, atol=1e-10)


@given(pools())
@settings(max_examples=50, deadline=None)
def test_pick_probability_gives_best_of_n(pool):
    scores, values = pool
    for n in range(1, scores.shape[1] + 1):
        probability = pick_probability(scores, n)
        np.testing.assert_allclose(probability.sum(axis=1), 1.0, atol=1e-12)
        np.testing.assert_allclose((probability * values).sum(axis=1), best_of_n(scores, values, [n])[0], atol=1e-10)


@given(hnp.arrays(np.bool_, st.tuples(st.integers(1, 3), SIZES)))
@settings(max_examples=100, deadline=None)
def test_pass_at_n_equals_enumeration(correct):
    ns = range(1, correct.shape[1] + 1)
    expected = [[np.mean([any(s) for s in itertools.combinations(row, n)]) for row in correct] for n in ns]
    np.testing.assert_allclose(pass_at_n(correct, ns), expected, atol=1e-12)
    # An oracle is best-of-n by correctness itself.
    np.testing.assert_allclose(pass_at_n(correct, ns), best_of_n(correct, correct, ns), atol=1e-12)


@given(hnp.arrays(np.int64, st.tuples(st.integers(1, 3), SIZES), elements=st.integers(-1, 3)), st.integers(0, 2**32))
@settings(max_examples=100, deadline=None)
def test_vote_is_exact_at_both_ends(classes, seed):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=classes.shape)
    mean, error = majority_vote(classes, values, [1, classes.shape[1]], rng=rng, draws=2)
    for i, n in enumerate((1, classes.shape[1])):
        expected = [brute_vote(c, v, n) for c, v in zip(classes, values, strict=True)]
        np.testing.assert_allclose(mean[i], expected, atol=1e-12)
    assert not error.any()


def test_vote_matches_enumeration_within_its_own_error():
    rng = np.random.default_rng(5)
    classes = rng.integers(-1, 4, size=(40, 8))
    values = rng.random(classes.shape)
    mean, error = majority_vote(classes, values, range(1, 9), rng=rng, draws=4000)
    expected = np.array([[brute_vote(c, v, n) for c, v in zip(classes, values, strict=True)] for n in range(1, 9)])
    z = (mean - expected)[1:-1] / np.maximum(error[1:-1], 1e-9)
    assert np.abs(z).max() < 5.0
    assert 0.8 < z.std() < 1.2  # the stated error is the true one
    assert error[1:-1].max() < 0.01


def test_vote_does_not_depend_on_chunks(monkeypatch):
    classes = np.random.default_rng(0).integers(-1, 5, size=(30, 12))
    values = (classes == 2).astype(float)
    whole = majority_vote(classes, values, [3, 7, 12], rng=np.random.default_rng(1), draws=50)
    monkeypatch.setattr(arrays, "CHUNK_ELEMENTS", 12 * 50 * 4)
    parts = majority_vote(classes, values, [3, 7, 12], rng=np.random.default_rng(1), draws=50)
    np.testing.assert_array_equal(whole, parts)


def test_hand_computed_pool():
    # Sorted by score the values are 1, 0, 0, 1; weights at n = 2: 3/6, 2/6, 1/6, 0.
    scores, values = [[-1.0, -4.0, -2.0, -3.0]], [[1.0, 1.0, 0.0, 0.0]]
    np.testing.assert_allclose(best_of_n(scores, values, [1, 2, 3, 4])[:, 0], [1 / 2, 1 / 2, 3 / 4, 1])
    assert chosen_index(scores).tolist() == [0]
    # Of the ten pairs, {0,1}, {0,4} and {1,4} are worth 1, and the four of a 7 with another answer are worth 1/2.
    classes, correct = [[7, 7, 2, 5, -1]], [[1, 1, 0, 0, 0]]
    assert brute_vote(np.array(classes[0]), np.array(correct[0]), 2) == pytest.approx(0.5)
    mean, _ = majority_vote(classes, correct, [1, 5], rng=np.random.default_rng(0))
    np.testing.assert_allclose(mean[:, 0], [2 / 5, 1.0])


def test_a_pool_without_votes_is_worth_nothing():
    mean, error = majority_vote([[-1, -1, -1]], [[1, 1, 1]], [1, 2, 3], rng=np.random.default_rng(0), draws=10)
    assert not mean.any()
    assert not error.any()


def test_several_values_share_the_picks():
    rng = np.random.default_rng(3)
    scores, values = rng.integers(0, 5, (20, 16)).astype(float), rng.normal(size=(3, 20, 16))
    together = best_of_n(scores, values, [1, 5, 16])
    assert together.shape == (3, 3, 20)
    for k in range(3):
        np.testing.assert_array_equal(together[k], best_of_n(scores, values[k], [1, 5, 16]))


def test_chunks_do_not_change_best_of_n(monkeypatch):
    rng = np.random.default_rng(3)
    scores, values = rng.integers(0, 9, (50, 16)).astype(float), rng.random((50, 16))
    whole = best_of_n(scores, values, range(1, 17))
    monkeypatch.setattr(arrays, "CHUNK_ELEMENTS", 16 * 7)
    np.testing.assert_allclose(best_of_n(scores, values, range(1, 17)), whole, rtol=1e-14)


@pytest.mark.parametrize("n_responses", [1, 2, 64, 4096])
def test_weights_are_accurate(n_responses):
    ns = sorted({1, 2, 3, n_responses // 3, n_responses - 1, n_responses} & set(range(1, n_responses + 1)))
    weights = pick_weights(n_responses, ns)
    np.testing.assert_allclose(weights.sum(axis=0), 1.0, atol=1e-12)
    for column, n in enumerate(ns):
        for r in {0, 1, n_responses // 7, n_responses // 2, n_responses - 1} & set(range(n_responses)):
            exact = float(Fraction(comb(n_responses - 1 - r, n - 1), comb(n_responses, n)))
            assert weights[r, column] == pytest.approx(exact, rel=1e-12, abs=1e-300)


def test_pass_at_n_is_accurate_at_4096():
    for c in (1, 17, 2048, 4095, 4096):
        value = np.zeros((1, 4096))
        value[0, :c] = 1
        for n, got in zip((1, 2, 100, 4096), pass_at_n(value, (1, 2, 100, 4096))[:, 0], strict=True):
            assert got == pytest.approx(float(1 - Fraction(comb(4096 - c, n), comb(4096, n))), abs=1e-12)


def test_best_of_n_is_the_expectation_under_fresh_sampling():
    rng = np.random.default_rng(0)
    correct = rng.random((40_000, 12)) < 0.3
    scores = correct + rng.normal(size=correct.shape)
    estimate = best_of_n(scores, correct, [4])[0]
    fresh = np.take_along_axis(correct[:, :4], scores[:, :4].argmax(axis=1)[:, None], axis=1)[:, 0]
    gap = estimate - fresh
    assert abs(gap.mean()) < 4 * gap.std() / np.sqrt(len(gap))
    assert estimate.var() < fresh.var() / 2  # it uses the whole pool, not only the first n


@pytest.mark.parametrize("n", [0, -1, 4, 1.5])
def test_n_outside_the_pool_is_an_error(n):
    one = np.ones((2, 3))
    message = f"n = {n} is not a whole number between 1 and the pool size N = 3"
    for call in (
        lambda: best_of_n(one, one, [1, n]),
        lambda: pass_at_n(one, [n]),
        lambda: majority_vote(one.astype(int), one, [n], rng=np.random.default_rng(0)),
        lambda: pick_weights(3, [n]),
    ):
        with pytest.raises(ConfigError, match=message):
            call()


def test_bad_numbers_are_errors():
    one = np.ones((2, 3))
    broken = one.copy()
    broken[1, 2] = np.nan
    with pytest.raises(ConfigError, match="response 2 of problem row 1 is NaN"):
        best_of_n(broken, one, [1])
    with pytest.raises(ConfigError, match="response 2 of problem row 1 is NaN"):
        chosen_index(broken)
    with pytest.raises(ConfigError, match="NaN or infinity"):
        best_of_n(one, broken, [1])
    with pytest.raises(ConfigError, match=r"shape \(2, 2\)"):
        best_of_n(one, one[:, :2], [1])
    with pytest.raises(ConfigError, match="expected \\(problems, N\\)"):
        best_of_n(one[0], one[0], [1])
    with pytest.raises(ConfigError, match="other than 0 and 1"):
        pass_at_n(one * 0.5, [1])
    rng = np.random.default_rng(0)
    with pytest.raises(ConfigError, match="integer >= -1"):
        majority_vote(one, one, [1], rng=rng)
    with pytest.raises(ConfigError, match="integer >= -1"):
        majority_vote(one.astype(int) - 3, one, [1], rng=rng)
    with pytest.raises(ConfigError, match="draws = 1"):
        majority_vote(one.astype(int), one, [2], rng=rng, draws=1)
