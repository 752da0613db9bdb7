"""Sharpening-equivalent N, amortised share and divergence on pools whose right value is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bon_eval.errors import ConfigError
from bon_eval.estimators import best_of_n
from bon_eval.estimators.amortised import amortised_share, explained_gain
from bon_eval.estimators.equivalent_n import kl_divergence, sharpening_equivalent_n


def base_and_tuned(seed: int, n: int, problems: int = 150, pool: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """A base pool of log-likelihoods, and the mean of a tuned pool that *is* base best-of-n with fresh draws."""
    rng = np.random.default_rng(seed)
    centre, width = -rng.gamma(3, 8, size=(problems, 1)), rng.uniform(1, 6, size=(problems, 1))
    base = centre + width * rng.normal(size=(problems, pool))
    fresh = centre[:, :, None] + width[:, :, None] * rng.normal(size=(problems, pool, n))
    return base, fresh.max(axis=2).mean(axis=1)


@pytest.mark.parametrize("n", [1, 2, 8])
def test_a_tuned_model_that_is_base_best_of_n(n: int) -> None:
    found = [
        sharpening_equivalent_n(base, base, tuned, rng=np.random.default_rng(seed), draws=400)
        for seed in range(200)
        for base, tuned in [base_and_tuned(seed, n)]
    ]
    inside = np.mean([e.low <= n <= e.high for e in found])
    assert 0.91 <= inside <= 1.0, inside  # 200 runs: 0.95 - 2.6 standard errors
    if n > 1:
        assert inside <= 0.985, inside
        assert np.median([e.estimate for e in found]) == pytest.approx(n, rel=0.05)


def test_not_reached_and_not_sharper() -> None:
    base, tuned = base_and_tuned(0, 8, pool=4)
    high = sharpening_equivalent_n(base, base, tuned + 50, rng=np.random.default_rng(0), draws=200)
    assert (high.estimate, high.low, high.high, high.reached) == (math.inf, math.inf, math.inf, False)
    low = sharpening_equivalent_n(base, base, tuned - 50, rng=np.random.default_rng(0), draws=200)
    assert (low.estimate, low.low, low.high) == (1.0, 1.0, 1.0)
    edge = sharpening_equivalent_n(base, base, best_of_n(base, base, [4])[0], rng=np.random.default_rng(0), draws=200)
    assert edge.estimate == pytest.approx(4.0)


def test_interpolation_is_linear_between_whole_n() -> None:
    pool = np.array([[-3.0, -2.0, -1.0]] * 5)  # best-of-n: -2, -4/3, -1
    for target, expected in ((-2.0, 1.0), (-5 / 3, 1.5), (-4 / 3, 2.0), (-7 / 6, 2.5), (-1.0, 3.0)):
        found = sharpening_equivalent_n(pool, pool, [target] * 5, rng=np.random.default_rng(0), draws=100)
        assert (found.estimate, found.low, found.high) == pytest.approx((expected,) * 3)


def test_equivalent_n_of_accuracy_takes_the_first_crossing() -> None:
    scores = np.array([[3.0, 2.0, 1.0, 0.0]] * 6)
    values = np.array([[0.0, 1.0, 1.0, 0.0]] * 6)  # best-of-n: 0.5, 0.5, 0.25, 0
    found = sharpening_equivalent_n(scores, values, [0.5] * 6, rng=np.random.default_rng(0), draws=100)
    assert found.estimate == 1.0
    never = sharpening_equivalent_n(scores, values, [0.75] * 6, rng=np.random.default_rng(0), draws=100)
    assert never.estimate == math.inf


def test_amortised_share_by_hand_and_its_refusal() -> None:
    base, best = np.array([0.2, 0.5, 0.3, 0.6]), np.array([0.8, 0.9, 0.9, 1.0])
    half = amortised_share(base + (best - base) / 2, base, best)
    assert (half.share, half.low, half.high) == pytest.approx((0.5, 0.5, 0.5))
    assert amortised_share(base, base, best).share == 0.0
    refused = amortised_share(base + 0.1, base, base + np.array([0.1, -0.1, 0.1, -0.05]))
    assert refused.share is None
    assert math.isnan(refused.low)
    assert "holds 0" in refused.reason
    assert "points [" in refused.reason


def test_amortised_share_covers_the_truth() -> None:
    inside = []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        possible = rng.normal(0.2, 0.3, size=120)
        gain = 0.6 * possible + rng.normal(0.0, 0.15, size=120)
        base = rng.uniform(size=120)
        found = amortised_share(base + gain, base, base + possible)
        inside.append(found.low <= 0.6 <= found.high)
    assert 0.92 <= np.mean(inside) <= 0.98


def sharpened(seed: int, n: int, extra: float) -> tuple[np.ndarray, ...]:
    """A base pool whose likelier responses are more often right, and a tuned pool that is its best-of-n, plus `extra`
    right answers that no likelihood tells of."""
    rng = np.random.default_rng(seed)
    problems, pool = 200, 32

    def draw(size: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        z = rng.normal(size=size)
        return centre[:, : 1 if len(size) == 2 else None] + z, (rng.uniform(size=size) < 1 / (1 + np.exp(1 - 1.2 * z)))

    centre = -rng.gamma(3, 8, size=(problems, 1))
    base, right = draw((problems, pool))
    centre = centre[:, :, None]
    fresh, fresh_right = draw((problems, pool, n))
    picked = fresh.argmax(axis=2)[:, :, None]
    tuned = np.take_along_axis(fresh, picked, axis=2)[:, :, 0].mean(axis=1)
    tuned_right = np.take_along_axis(fresh_right, picked, axis=2)[:, :, 0].mean(axis=1)
    return base, right.astype(float), tuned, tuned_right + extra


def test_a_gain_that_is_sharpening_alone_is_explained_in_full() -> None:
    shares, residuals = [], []
    for seed in range(120):
        found = explained_gain(*sharpened(seed, 4, 0.0), rng=np.random.default_rng(seed), draws=400)
        assert found.reason == ""
        shares.append(found.share_low <= 1.0 <= found.share_high)
        residuals.append(found.residual_low <= 0.0 <= found.residual_high)
    assert 0.89 <= np.mean(shares) <= 1.0
    assert 0.89 <= np.mean(residuals) <= 1.0


def test_a_gain_beyond_sharpening_is_left_over() -> None:
    found = explained_gain(*sharpened(0, 4, 0.3), rng=np.random.default_rng(0), draws=500)
    assert 0.2 < found.residual_low < 0.3 < found.residual_high < 0.4
    assert found.share_high < 0.7
    base, right, tuned, tuned_right = sharpened(1, 1, 0.0)
    none = explained_gain(base, right, tuned, right.mean(axis=1), rng=np.random.default_rng(0), draws=500)
    assert "not shown" in none.reason
    assert math.isnan(none.share)
    beyond = explained_gain(base, right, tuned + 40, tuned_right, rng=np.random.default_rng(0), draws=500)
    assert "not reached" in beyond.reason
    assert math.isnan(beyond.predicted)


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
    with pytest.raises(ConfigError, match="amortised_share got shapes"):
        amortised_share([0.1], [0.1], [0.2])
    with pytest.raises(ConfigError, match="both must be"):
        kl_divergence(np.zeros((2, 2)), np.zeros((2, 3)), rng=rng)
