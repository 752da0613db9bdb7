"""Measures of pairs against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bon_eval.dpo.tracking.measures import PAIR_MEASURES, SideScores, ches, pair_measures, problem_sums, side_scores
from bon_eval.errors import EngineError
from bon_eval.records import Forced

LN2, LN3, LN5 = 0.6931471805599453, 1.0986122886681098, 1.6094379124341003
"""Natural logarithms of 2, 3 and 5."""


def forced(*positions: tuple[float, float], key: str = "held-out, q7/0") -> Forced:
    """(own, argmax) log-probs of each position."""
    own, top = zip(*positions, strict=True)
    return Forced(key, own, top)


def test_side_scores_on_a_two_token_model() -> None:
    # First response: own 1/2 and 1/4, argmax 1/2 and 3/4. Second: own 1/5, argmax 4/5 = 2^2 / 5.
    found = side_scores([forced((-LN2, -LN2), (-2 * LN2, LN3 - 2 * LN2)), forced((-LN5, 2 * LN2 - LN5))])
    np.testing.assert_allclose(found.log_likelihood, [-3 * LN2, -LN5], rtol=1e-14)
    np.testing.assert_array_equal(found.n_tokens, [2, 1])
    # 1/2 * 3/4 = 3/8; 4/5.
    np.testing.assert_allclose(found.argmax_log_likelihood, [LN3 - 3 * LN2, 2 * LN2 - LN5], rtol=1e-14)
    # (1/2 + 1/4) / 2; 1/5.
    np.testing.assert_allclose(found.mass_outside_argmax, [0.375, 0.2], rtol=1e-14)
    # (log 1/2 + log 1/4) / 2; log 1/5.
    np.testing.assert_allclose(found.log_mass_outside_argmax, [-1.5 * LN2, -LN5], rtol=1e-14)


def test_saturated_positions_leave_the_log_of_the_mass_but_not_the_mass() -> None:
    # Positions: p = 1 exactly; a rounding above 1; 4/5. The mass outside is (0 + 0 + 1/5) / 3.
    found = side_scores([forced((0.0, 0.0), (-3e-8, 5e-8), (-LN5, 2 * LN2 - LN5))])
    assert found.mass_outside_argmax[0] == pytest.approx(1 / 15, rel=1e-14)
    assert found.log_mass_outside_argmax[0] == pytest.approx(-LN5, rel=1e-14)
    assert found.n_tokens[0] == 3


def test_all_positions_saturated() -> None:
    found = side_scores([forced((0.0, 0.0), (0.0, 0.0)), forced((-LN2, -LN2))])
    assert found.mass_outside_argmax[0] == 0.0
    assert math.isnan(found.log_mass_outside_argmax[0])
    assert found.log_mass_outside_argmax[1] == pytest.approx(-LN2), "the other response keeps its number"


def test_a_tiny_mass_is_not_rounded_away() -> None:
    # 1 - exp(-1e-20) is 1e-20, where 1 - p in floating point would be 0; log(1e-20) = -20 log 10.
    found = side_scores([forced((-1e-20, -1e-20))])
    assert found.log_mass_outside_argmax[0] == pytest.approx(-20 * (LN2 + LN5), rel=1e-12)


@pytest.mark.parametrize(
    "wrong",
    [
        Forced("held-out, q7/1", (-1.0, -2.0), (-1.0, -2.001)),
        Forced("held-out, q7/1", (-1.0, -2.0), (-1.0,)),
    ],
    ids=["argmax below the own token", "a position lacks"],
)
def test_impossible_argmax_is_named(wrong: Forced) -> None:
    with pytest.raises(EngineError, match=r"^held-out, q7/1: .*argmax") as caught:
        side_scores([forced((-1.0, -0.5)), wrong])
    assert "\n" not in str(caught.value)


def test_a_rounding_below_the_own_token_is_accepted() -> None:
    found = side_scores([forced((-1.0, -1.00005))])
    assert found.argmax_log_likelihood[0] == -1.00005


def side(log_likelihood: list[float], n_tokens: list[int], offset: float = 0.0) -> SideScores:
    """A side whose other columns count up from an offset, so that a column of the wrong side is seen."""
    count = np.arange(len(n_tokens), dtype=np.float64)
    tokens = np.array(n_tokens, dtype=np.float64)
    return SideScores(np.array(log_likelihood), tokens, offset + count, offset + 0.1 + count, offset + 0.2 + count)


# Five pairs: base -> now of chosen, then of rejected, with the margin (change of chosen - change of rejected).
#   A: -4 -> -5   (4 tokens), -3 -> -7   (2): margin  3.0, wrong -> right; per token -1.25 against -3.5:   right
#   B: -1 -> -3   (1),        -2 -> -2.5 (4): margin -1.5, right -> wrong; per token -3    against -0.625: wrong
#   C: -2 -> -2   (2),        -2 -> -2   (4): margin  0.0, ties count as right; per token -1 against -0.5: wrong
#   D: -2 -> -2.5 (2),        -1 -> -1   (1): margin -0.5, wrong -> wrong; only chosen falls
#   E: -6 -> -6   (6),        -5 -> -4   (1): margin -1.0, wrong -> wrong; per token -1 against -4: right
BASE = side([-4, -1, -2, -2, -6], [4, 1, 2, 2, 6], 100), side([-3, -2, -2, -1, -5], [2, 4, 4, 1, 1], 200)
NOW = side([-5, -3, -2, -2.5, -6], [4, 1, 2, 2, 6], 300), side([-7, -2.5, -2, -1, -4], [2, 4, 4, 1, 1], 400)
EXPECTED: dict[str, list[float]] = {
    "log_likelihood.chosen": [-5, -3, -2, -2.5, -6],
    "log_likelihood.rejected": [-7, -2.5, -2, -1, -4],
    "both_fall": [1, 1, 0, 0, 0],
    "ranking_accuracy": [1, 0, 1, 0, 0],
    "ranking_accuracy_per_token": [1, 0, 0, 0, 1],
    "flips.right_right": [0, 0, 1, 0, 0],
    "flips.right_wrong": [0, 1, 0, 0, 0],
    "flips.wrong_right": [1, 0, 0, 0, 0],
    "flips.wrong_wrong": [0, 0, 0, 1, 1],
    "reward_accuracy": [1, 0, 0, 0, 0],
    "reward_margin": [3, -1.5, 0, -0.5, -1],
    # log(1 + exp(-m / 2)) at beta 1/2, that is of -1.5, 0.75, 0, 0.25 and 0.5.
    "dpo_loss": [0.20141327798275246, 1.1368710061148999, LN2, 0.8259394198788435, 0.9740769841801067],
    "argmax_along_chosen": [300, 301, 302, 303, 304],
    "mass_outside_argmax": [300.1, 301.1, 302.1, 303.1, 304.1],
    "log_mass_outside_argmax": [300.2, 301.2, 302.2, 303.2, 304.2],
}


@pytest.mark.parametrize("name", PAIR_MEASURES)
def test_pair_measures_by_hand(name: str) -> None:
    found = pair_measures(*BASE, *NOW, beta=0.5)
    np.testing.assert_allclose(found[name], EXPECTED[name], rtol=1e-14, atol=1e-15)


def test_pair_measures_are_all_there_in_table_order() -> None:
    assert list(pair_measures(*BASE, *NOW, beta=0.5)) == list(PAIR_MEASURES) == list(EXPECTED)


def test_flips_sum_to_one_and_their_margins_are_the_rankings() -> None:
    rng = np.random.default_rng(1)
    # Whole numbers, so that ties come up at the reference and now.
    draws = [side(rng.integers(-4, 0, 500).astype(float).tolist(), rng.integers(1, 5, 500).tolist()) for _ in range(4)]
    found = pair_measures(*draws, beta=0.1)
    assert any(a == b for a, b in zip(draws[0].log_likelihood, draws[1].log_likelihood, strict=True))
    cells = {name: values for name, values in found.items() if name.startswith("flips.")}
    np.testing.assert_array_equal(sum(cells.values()), np.ones(500))
    now_right = cells["flips.right_right"] + cells["flips.wrong_right"]
    np.testing.assert_array_equal(now_right, found["ranking_accuracy"])


def test_at_the_base_model_itself() -> None:
    found = pair_measures(*BASE, *BASE, beta=0.1)
    for name in ("reward_accuracy", "reward_margin", "both_fall", "flips.right_wrong", "flips.wrong_right"):
        np.testing.assert_array_equal(found[name], np.zeros(5), err_msg=name)
    np.testing.assert_allclose(found["dpo_loss"], np.full(5, LN2), rtol=1e-14)
    np.testing.assert_array_equal(found["ranking_accuracy"], [0, 1, 1, 0, 0])


def test_loss_stays_finite_at_large_margins() -> None:
    far = side([-1000.0], [1]), side([0.0], [1])
    near = side([0.0], [1]), side([-1000.0], [1])
    # m = 2000 and beta 1: exp(-2000) underflows to a loss of 0; the other way round the loss is beta |m|.
    assert pair_measures(*far, *near, beta=1.0)["dpo_loss"][0] == 0.0
    assert pair_measures(*near, *far, beta=1.0)["dpo_loss"][0] == 2000.0


CHES_CASES = {
    # Sums (4, 1) and (3, 3): 12 + 3 - (16 + 1) = -2. Means (2, 1/2) and (1, 1): 2 + 1/2 - (4 + 1/4) = -1.75.
    "two against three": ([[1, 2], [3, -1]], [[0, 1], [2, 2], [1, 0]], -2.0, -1.75),
    # Rejected says chosen's state four times: sums (1, 0) and (4, 0), 4 - 1; the means are equal.
    "longer rejected": ([[1, 0]], [[1, 0]] * 4, 3.0, 0.0),
    # And the other way round: 4 - 16.
    "longer chosen": ([[1, 0]] * 4, [[1, 0]], -12.0, 0.0),
    # Orthogonal: only -|h|^2 is left, of (2, 0) and of (1, 0).
    "orthogonal": ([[1, 0], [1, 0]], [[0, 5]], -4.0, -1.0),
}


@pytest.mark.parametrize(("chosen", "rejected", "plain", "per_token"), CHES_CASES.values(), ids=CHES_CASES)
def test_ches_by_hand(chosen: list[list[float]], rejected: list[list[float]], plain: float, per_token: float) -> None:
    sides = [np.array(states, dtype=float) for states in (chosen, rejected)]
    found = ches(*(side.sum(axis=0)[None] for side in sides), tokens=tuple(np.array([len(side)]) for side in sides))
    assert found.tolist() == [[plain, per_token]]


def test_sums_of_each_problem() -> None:
    # b: 2 + 6 and 1 + 1; a: 1 and 0; b comes first.
    values = np.array([[2.0, 1.0], [1.0, 0.0], [6.0, 1.0]])
    problems, sums, sizes = problem_sums(values, ["b", "a", "b"])
    assert problems == ("b", "a")
    assert sums.tolist() == [[8.0, 2.0], [1.0, 0.0]]
    assert sizes.tolist() == [2.0, 1.0]
    assert problem_sums(values[:, 0], ["b", "a", "b"])[1].tolist() == [8.0, 1.0]
