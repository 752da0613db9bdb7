"""Weighted votes: hand-computed pools, brute force over subsets, and the limits that are other arms."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from bon_eval.analysis.vote_rules import VOTES, get_vote
from bon_eval.errors import ConfigError
from bon_eval.estimators import best_of_n, majority_vote
from bon_eval.estimators.weighted_votes import (
    borda_weights,
    equal_weights,
    filtered_weights,
    score_weights,
    softmax_weights,
    weighted_vote,
)
from bon_eval.stats import array_checks as arrays

RULES = {
    "equal": equal_weights,
    "exp": score_weights("exp"),
    "score": score_weights("score"),
    "softmax": softmax_weights(0.3),
    "borda": borda_weights(0.7),
    "filtered": filtered_weights(0.4, "exp"),
    "filtered score": filtered_weights(0.5, "score"),
}


def vote(classes, scores, values, ns, rule, draws=200, seed=0):
    return weighted_vote(classes, scores, values, ns, rule, rng=np.random.default_rng(seed), draws=draws)


def by_hand(classes, weights, values):
    """One pool, in plain Python."""
    total: dict[int, float] = {}
    for c, w in zip(classes, weights, strict=True):
        if c >= 0:
            total[c] = total.get(c, 0.0) + w
    if not total:
        return 0.0
    winners = [c for c in total if total[c] >= max(total.values()) - 1e-12]
    worth = [np.mean([v for v, d in zip(values, classes, strict=True) if d == c]) for c in winners]
    return float(np.mean(worth))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (equal_weights, [1, 1, 1, 1, 1]),
        (score_weights("score"), [3, 1, 2, 2, 5]),
        (score_weights("exp"), np.exp([-2, -4, -3, -3, 0])),
        (softmax_weights(2.0), np.exp([-1, -2, -1.5, -1.5, 0])),
        # Ranks 2, 5, 3.5, 3.5, 1: tied weights are averaged.
        (borda_weights(1.0), np.array([4, 1, 2.5, 2.5, 5]) / 5),
        (borda_weights(2.0), np.array([16, 1, 6.5, 6.5, 25]) / 25),
        (borda_weights(0.0), [1, 1, 1, 1, 1]),
        (filtered_weights(0.2, "score"), [0, 0, 0, 0, 5]),
        (filtered_weights(0.6, "score"), [3, 0, 1, 1, 5]),  # one place for the two that are tied
        (filtered_weights(1.0, "score"), [3, 1, 2, 2, 5]),
    ],
)
def test_weights_by_hand(rule, expected):
    scores = np.array([[3.0, 1.0, 2.0, 2.0, 5.0]])
    np.testing.assert_allclose(rule(scores, np.ones((1, 5), dtype=bool))[0], expected, rtol=1e-12)


def test_responses_without_an_answer_do_not_vote_and_keep_their_borda_rank():
    scores, voters = np.array([[4.0, 3.0, 2.0, 1.0]]), np.array([[False, True, True, True]])
    for rule in RULES.values():
        assert rule(scores, voters)[0, 0] == 0.0
    np.testing.assert_allclose(borda_weights(1.0)(scores, voters)[0], [0, 0.75, 0.5, 0.25])
    np.testing.assert_allclose(filtered_weights(0.4, "score")(scores, voters)[0], [0, 3, 2, 0])
    assert vote([[-1, -1]], [[1.0, 2.0]], [[1, 1]], [1, 2], equal_weights)[0].tolist() == [[0.0], [0.0]]


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_against_brute_force(rule, monkeypatch):
    rng = np.random.default_rng(5)
    n = 6
    classes = rng.integers(-1, 3, size=(7, n)) * 100
    classes[classes < 0] = -1
    scores = rng.integers(1, 5, size=(7, n)).astype(float)
    values = rng.random((7, n))
    monkeypatch.setattr(arrays, "CHUNK_ELEMENTS", 4000)
    mean, error = vote(classes, scores, values, [1, 3, n], rule, draws=4000)
    assert (error[[0, 2]] == 0).all()
    for p in range(7):
        class_mean = [np.mean(values[p][classes[p] == c]) for c in classes[p]]
        for i, size in enumerate((1, 3, n)):
            found = []
            for chosen in combinations(range(n), size):
                rows = list(chosen)
                own, c = scores[p, rows], classes[p, rows]
                weights = rule(own[None], (c >= 0)[None])[0]
                found.append(by_hand(c, weights, [class_mean[j] for j in rows]))
            assert mean[i, p] == pytest.approx(np.mean(found), abs=max(1e-12, 5 * error[i, p]))


def test_equal_weights_are_the_majority_vote():
    rng = np.random.default_rng(1)
    classes, values = rng.integers(-1, 5, size=(40, 9)), rng.random((40, 9))
    ours, _ = vote(classes, rng.random((40, 9)), values, [1, 9], equal_weights)
    theirs, _ = majority_vote(classes, values, [1, 9], rng=rng)
    np.testing.assert_allclose(ours, theirs, atol=1e-12)


@pytest.mark.parametrize("rule", [softmax_weights(1e-3), borda_weights(2000.0), filtered_weights(1e-9, "exp")])
def test_sharp_rules_are_best_of_n(rule):
    rng = np.random.default_rng(2)
    scores, values = rng.random((30, 8)), rng.integers(0, 2, size=(30, 8))
    distinct = np.tile(np.arange(8), (30, 1))
    ours, _ = vote(distinct, scores, values, [8], rule)
    np.testing.assert_allclose(ours, best_of_n(scores, values, [8]), atol=1e-12)


def test_equal_totals_reached_by_different_sums_are_a_tie():
    weights = [[0.1, 0.2, 0.3]]
    mean, _ = vote([[0, 0, 1]], weights, [[1, 1, 0]], [3], score_weights("score"))
    assert 0.1 + 0.2 != 0.3
    assert mean.tolist() == [[0.5]]


def test_the_scale_of_log_likelihoods_does_not_underflow():
    mean, _ = vote([[0, 1, 1]], [[-2000.0, -2001.0, -2001.0]], [[1, 0, 0]], [3], score_weights("exp"))
    assert mean.tolist() == [[1.0]]  # 1 against 2/e


@pytest.mark.parametrize(
    "name", ["majority", "weighted/log_likelihood", "softmax@0.5", "borda", "filtered@0.25/longest"]
)
def test_votes_by_name(name):
    rule = get_vote(name)
    assert rule.name == name
    assert rule.scorer == (name.partition("/")[2] or "mean_log_likelihood")
    assert rule.weights(np.ones((2, 3)), np.ones((2, 3), dtype=bool)).shape == (2, 3)


@pytest.mark.filterwarnings("error")
def test_scores_further_apart_than_a_double_holds():
    mean, _ = vote([[0, 0, 1]], [[-1e308, -1e308, 1e308]], [[0, 0, 1]], [3], softmax_weights(1.0))
    assert mean.tolist() == [[1.0]]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bord", "unknown vote 'bord'; valid: borda, filtered, majority, softmax, weighted"),
        ("borda@x", "'x' is no number; give borda@0.5"),
        ("borda@-1", "the exponent -1; give one of at least 0"),
        ("softmax@0", "the temperature 0; give one above 0"),
        ("filtered@1.5", "the share 1.5"),
        ("weighted@2", "weighted takes no parameter"),
        ("majority/shortest", "give weighted/shortest"),
        ("borda/best", "unknown scorer 'best'"),
    ],
)
def test_names_that_are_none(name, message):
    with pytest.raises(ConfigError, match=message):
        get_vote(name)


def test_bad_input():
    with pytest.raises(ConfigError, match="score -1, and a weight is not negative"):
        vote([[0, 1]], [[-1.0, 2.0]], [[1, 0]], [2], score_weights("score"))
    with pytest.raises(ConfigError, match=r"^scores hold NaN or infinity"):
        vote([[0, 1]], [[np.inf, 2.0]], [[1, 0]], [2], equal_weights)
    with pytest.raises(ConfigError, match="answer_class"):
        vote([[0.5, 1]], [[1.0, 2.0]], [[1, 0]], [2], equal_weights)
    with pytest.raises(ConfigError, match="draws = 1"):
        vote([[0, 1]], [[1.0, 2.0]], [[1, 0]], [2], equal_weights, draws=1)
    assert set(VOTES) == {"majority", "weighted", "softmax", "borda", "filtered"}
