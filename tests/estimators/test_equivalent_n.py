"""Sharpening-equivalent N and divergence on pools whose right value is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special

from bon_eval.errors import ConfigError
from bon_eval.estimators import best_of_n
from bon_eval.estimators.equivalent_n import accepted, crossing, kl_divergence, sharpening_equivalent_n


def base_and_tuned(seed: int, n: int, problems: int = 80, pool: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """A base pool of log-likelihoods, and the mean of a tuned pool that *is* base best-of-n with fresh draws."""
    rng = np.random.default_rng(seed)
    centre, width = -rng.gamma(3, 8, size=(problems, 1)), rng.uniform(1, 6, size=(problems, 1))
    base = centre + width * rng.normal(size=(problems, pool))
    fresh = centre[:, :, None] + width[:, :, None] * rng.normal(size=(problems, pool, n))
    return base, fresh.max(axis=2).mean(axis=1)


@pytest.mark.parametrize("n", [1, 2, 8])
def test_a_tuned_model_that_is_base_best_of_n(n: int) -> None:
    found = [
        sharpening_equivalent_n(base, base, tuned, rng=np.random.default_rng(seed), draws=200)
        for seed in range(200)
        for base, tuned in [base_and_tuned(seed, n)]
    ]
    inside = np.mean([e.low <= n <= e.high for e in found])
    assert inside >= 0.93, inside
    assert all(e.low <= e.estimate <= e.high for e in found)
    if n > 1:
        assert inside < 1.0, inside
        assert np.median([e.estimate for e in found]) == pytest.approx(n, rel=0.05)


@pytest.mark.parametrize("problems", [20, 50])
@pytest.mark.parametrize("slope", [0.0, 1.0, -0.5])
def test_equivalent_n_by_accuracy_covers_where_the_curve_rises_is_flat_or_falls(problems: int, slope: float) -> None:
    """The tuned model is base best-of-4 by likelihood; where that is no better than one sample, 1 is the truth."""
    inside = []
    for seed in range(150):
        rng = np.random.default_rng([seed, problems])
        level = rng.normal(-0.5, 1.5, size=(problems, 1))
        base = rng.normal(size=(problems, 16))
        right = rng.random(base.shape) < special.expit(level + slope * base)
        best = rng.normal(size=(problems, 16, 4)).max(axis=2)
        tuned = (rng.random(best.shape) < special.expit(level + slope * best)).mean(axis=1)
        found = sharpening_equivalent_n(base, right, tuned, rng=rng, draws=100, shares=True)
        truth = 4.0 if slope > 0.0 else 1.0
        inside.append(found.low <= truth <= found.high)
    assert np.mean(inside) >= 0.93


def test_a_number_that_a_few_problems_decide_is_not_given() -> None:
    """149 of 150 problems are likelier, one is less likely by 400 nats: no n says how sharp the tuned model is."""
    base = -np.random.default_rng(0).gamma(3, 8, size=(150, 8))
    tuned = base.mean(axis=1) + np.where(np.arange(150) == 0, -400.0, 0.3)
    found = sharpening_equivalent_n(base, base, tuned, rng=np.random.default_rng(0), draws=200)
    assert found.reason.startswith("a few problems decide it")
    assert math.isnan(found.low)


def test_no_divergence_is_below_0() -> None:
    apart = np.random.default_rng(0).normal(0.3, 1.0, size=(60, 4))
    apart[0] += 40.0
    kl = kl_divergence(apart - 50.0, np.full((60, 4), -50.0), rng=np.random.default_rng(0), draws=200)
    assert (kl.marked, kl.low) == (True, 0.0)


def test_more_than_n_and_at_most_1() -> None:
    base, tuned = base_and_tuned(0, 8, pool=4)
    high = sharpening_equivalent_n(base, base, tuned + 50, rng=np.random.default_rng(0), draws=200)
    assert (high.estimate, high.low, high.high, high.reached) == (math.inf, math.inf, math.inf, False)
    low = sharpening_equivalent_n(base, base, tuned - 50, rng=np.random.default_rng(0), draws=200)
    assert (low.estimate, low.low, low.high) == (1.0, 1.0, 1.0)
    noise = np.random.default_rng(1).normal(scale=0.1, size=len(base))
    edge = best_of_n(base, base, [4])[0] + noise - noise.mean()
    at_end = sharpening_equivalent_n(base, base, edge, rng=np.random.default_rng(0), draws=200)
    assert at_end.estimate == pytest.approx(4.0)
    assert 3.5 < at_end.low < 4.0
    assert at_end.high == math.inf


def test_interpolation_is_linear_between_whole_n() -> None:
    pool = np.array([[-3.0, -2.0, -1.0]] * 5)  # best-of-n: -2, -4/3, -1
    for target, expected in ((-2.0, 1.0), (-5 / 3, 1.5), (-4 / 3, 2.0), (-7 / 6, 2.5), (-1.0, 3.0), (0.0, math.inf)):
        found = sharpening_equivalent_n(pool, pool, [target] * 5, rng=np.random.default_rng(0), draws=100)
        assert found.estimate == pytest.approx(expected)
        assert crossing(pool[0][[1]], target) == (1.0 if target <= -2.0 else math.inf)


def test_ends_are_where_the_limits_pass_zero() -> None:
    """Limits by hand: U = -0.2, 0.2, ... passes 0 at 1.5; L = ..., -0.1, 0.3 at 2.25 and does not come back."""
    assert accepted([-1.0, -0.1, 0.3], [-0.2, 0.2, 0.5]) == pytest.approx((1.5, 2.25))
    assert accepted([-1.0, 0.2, -0.2], [0.1, 0.4, 0.2]) == (1.0, math.inf)  # a curve that falls again
    assert accepted([-3.0, -2.0], [-2.0, -1.0]) == (math.inf, math.inf)
    assert accepted([0.1, -0.2], [0.3, 0.4]) == (1.0, 1.0)
    # An n without limits is not excluded, nor anything between it and its neighbours.
    nan = math.nan
    assert accepted([-1.0, nan, 0.3], [-0.2, nan, 0.5]) == (1.0, 3.0)


@pytest.mark.parametrize(
    ("problems", "of_nats", "of_accuracy"), [(1, "1 problem;", "1 problem;"), (3, "3", "3"), (9, "9", "")]
)
def test_too_few_problems_have_no_interval(problems: int, of_nats: str, of_accuracy: str) -> None:
    base, tuned = base_and_tuned(0, 2, problems=problems)
    nats = sharpening_equivalent_n(base, base, tuned, rng=np.random.default_rng(0), draws=100)
    assert nats.reason.startswith(of_nats)
    assert nats.reason.endswith("from 10 on")
    assert math.isnan(nats.low)
    right = (base > base.mean(axis=1, keepdims=True)).astype(float)
    shares = sharpening_equivalent_n(base, right, right.mean(axis=1), rng=np.random.default_rng(0), shares=True)
    assert shares.reason.startswith(of_accuracy)
    assert math.isnan(shares.low) == bool(of_accuracy)


def test_the_same_difference_everywhere_is_no_interval_of_width_zero() -> None:
    pool = np.array([[-3.0, -2.0, -1.0]] * 40)
    found = sharpening_equivalent_n(pool, pool, [-4 / 3] * 40, rng=np.random.default_rng(0), draws=100)
    assert found.estimate == pytest.approx(2.0)
    assert math.isnan(found.low)
    assert found.reason == "no problems differ"


def test_equivalent_n_of_accuracy_takes_the_first_crossing() -> None:
    scores = np.array([[3.0, 2.0, 1.0, 0.0]] * 6)
    values = np.array([[0.0, 1.0, 1.0, 0.0]] * 6)  # best-of-n: 0.5, 0.5, 0.25, 0
    found = sharpening_equivalent_n(scores, values, [0.5] * 6, rng=np.random.default_rng(0), draws=100, shares=True)
    assert found.estimate == 1.0
    never = sharpening_equivalent_n(scores, values, [0.75] * 6, rng=np.random.default_rng(0), draws=100, shares=True)
    assert never.estimate == math.inf


def test_kl_of_known_distributions() -> None:
    rng = np.random.default_rng(0)
    p, q = rng.dirichlet(np.ones(6), size=40), rng.dirichlet(np.ones(6), size=40)
    truth = float((p * np.log(p / q)).sum(axis=1).mean())
    drawn = np.array([rng.choice(6, size=400, p=row) for row in p])
    own, other = (np.log(np.take_along_axis(x, drawn, axis=1)) for x in (p, q))
    found = kl_divergence(own, other, rng=rng)
    spread = (own - other).std(axis=1, ddof=1) / np.sqrt(400)
    assert abs(found.estimate - truth) < 4 * float(np.sqrt((spread**2).sum()) / 40)
    by_problem = (own - other).mean(axis=1)
    assert found.standard_error == pytest.approx(by_problem.std(ddof=1) / np.sqrt(40))
    assert found.low < found.estimate < found.high
    assert kl_divergence(own, own, rng=rng).estimate == 0.0


def test_bad_input_is_named() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ConfigError, match=r"\(2, 2\) and tuned of shape \(3,\)"):
        sharpening_equivalent_n(np.zeros((2, 2)), np.zeros((2, 2)), np.zeros(3), rng=rng)
    with pytest.raises(ConfigError, match="not finite"):
        sharpening_equivalent_n(np.zeros((2, 2)), np.zeros((2, 2)), [0.0, np.nan], rng=rng)
    with pytest.raises(ConfigError, match="draws = 5"):
        sharpening_equivalent_n(np.zeros((2, 2)), np.zeros((2, 2)), [0.0, 0.0], rng=rng, draws=5)
    with pytest.raises(ConfigError, match="both must be"):
        kl_divergence(np.zeros((2, 2)), np.zeros((2, 3)), rng=rng)
