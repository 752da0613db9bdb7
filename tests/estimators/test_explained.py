"""Amortised and explained shares of a gain: by hand, where there is none, and their coverage with known truth."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
from scipy import special

from bon_eval.errors import ConfigError
from bon_eval.estimators.amortised import AmortisedShare, amortised_share
from bon_eval.estimators.explained import ExplainedGain, explained_gain, predictions
from bon_eval.stats import paired_test, paired_tests
from bon_eval.stats.paired import Verdict


def amortised(tuned: np.ndarray, base: np.ndarray, best: np.ndarray, gain: Verdict | None = None) -> AmortisedShare:
    rng = np.random.default_rng(0)
    shown = paired_test(tuned, base, rng=rng, draws=199).verdict() if gain is None else gain
    return amortised_share(tuned, base, best, gain=shown, possible=paired_test(best, base, rng=rng, draws=199))


def arms(seed: int, n: int, share: float, lift: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means of 16 answers: base, its best, which gains `lift` where there is room, and a tuned model with a share."""
    rng = np.random.default_rng([seed, n])
    p = rng.uniform(0.05, 0.6, size=n)
    gain = np.clip(rng.normal(lift, 0.2, size=n), -p, 0.35)
    return tuple(rng.binomial(16, np.clip(x, 0, 1)) / 16 for x in (p + share * gain, p, p + gain))


def test_an_amortised_share_by_hand() -> None:
    rng = np.random.default_rng(0)
    base, possible = rng.uniform(0.0, 0.3, size=40), rng.uniform(0.3, 0.5, size=40)
    noise = np.tile([0.04, -0.04], 20)
    half = amortised(base + possible / 2 + noise, base, base + possible)
    assert half.share == pytest.approx(0.5)
    assert 0.4 < half.low < 0.5 < half.high < 0.6
    assert half.reason == ""
    exact = amortised(base + possible / 2, base, base + possible)
    assert exact.share is None
    assert exact.reason == "every problem shows the same share"


def test_a_loss_has_no_amortised_share() -> None:
    tuned, base, best = arms(0, 60, 0.5, 0.2)
    worse = amortised(np.maximum(base - 0.2, 0.0), base, best)
    assert worse.share is None
    assert "there is a loss" in worse.reason
    no_best = amortised(tuned, base, np.maximum(base - 0.2, 0.0))
    assert no_best.share is None
    assert no_best.reason.startswith("base best-of-N is less accurate than one base sample, -")


def test_a_gain_that_is_not_shown_bounds_nothing() -> None:
    tuned, base, best = arms(0, 60, 0.5, 0.2)
    rng = np.random.default_rng(3)
    open_ended = amortised(tuned, base, base + rng.permutation(np.tile([0.1, -0.1], 30)))
    assert (open_ended.low, open_ended.high) == (-math.inf, math.inf)
    assert "is not shown to gain over one base sample, " in open_ended.reason
    held = amortised(tuned, base, best, gain="not shown")
    assert held.low <= 0.0 < held.high < math.inf


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_problems_have_no_shares(n: int) -> None:
    found = amortised(*arms(0, n, 0.5, 0.2))
    assert found.share is None
    assert found.reason == f"{n} problem{'s' if n > 1 else ''}; from 5 on"
    gain = explained(*sharpened(0, 4, 1.0, n, 1.2))
    assert math.isnan(gain.share)
    assert gain.verdict == "not shown"
    assert gain.reason == f"{n} problem{'s' if n > 1 else ''}; from 10 on"
    assert gain.residual is not None
    assert math.isnan(gain.residual.low)


@pytest.mark.parametrize("n", [20, 60])
@pytest.mark.parametrize(("share", "lift"), [(0.0, 0.2), (0.6, 0.3), (1.0, 0.05)])
def test_amortised_share_covers_the_truth(n: int, share: float, lift: float) -> None:
    found = [amortised(*arms(seed, n, share, lift)) for seed in range(200)]
    inside = [e.low <= share <= e.high for e in found if e.share is not None]
    assert np.mean(inside) >= 0.93
    assert len(inside) >= 180  # a gain of 0 is shown to be a loss in one of 40 runs
    if lift > 0.1 and n > 20:
        assert np.mean([not e.reason for e in found]) > 0.9


def sharpened(seed: int, m: int, share: float, n: int, slope: float) -> tuple[np.ndarray, ...]:
    """A base pool whose likelier responses are more often right, and a tuned pool that is its best-of-m, with so many
    more right answers, of which no likelihood tells, that sharpening explains `share` of the gain."""
    rng = np.random.default_rng([seed, n])
    level = rng.normal(-1.0, 1.0, size=(n, 1))
    centre, width = -rng.gamma(3, 8, size=(n, 1)), rng.uniform(1, 6, size=(n, 1))
    z, fresh = rng.normal(size=(n, 16)), rng.normal(size=(n, 16, m)).max(axis=2)
    right = rng.random(z.shape) < special.expit(level + slope * z)
    p = special.expit(level + slope * fresh)
    one, many = (expected(slope, k) for k in (1, m))
    more = (one + (many - one) / share - many) / (1 - many) if share else 0.15
    tuned = rng.random(p.shape) < p + more * (1 - p)
    return centre + width * z, right.astype(float), (centre + width * fresh).mean(axis=1), tuned.mean(axis=1)


@functools.cache
def expected(slope: float, m: int) -> float:
    """Accuracy of best-of-m over the problems of `sharpened`, by quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    z = np.linspace(-6, 8, 2801)
    density = m * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) * special.ndtr(z) ** (m - 1) * (z[1] - z[0])
    return float(weights @ special.expit(-1.0 + nodes[:, None] + slope * z) @ density / weights.sum())


def explained(base: np.ndarray, right: np.ndarray, tuned: np.ndarray, tuned_right: np.ndarray) -> ExplainedGain:
    rng = np.random.default_rng(0)
    gain = paired_test(tuned_right, right.mean(axis=1), rng=rng, draws=199)
    own = base.mean(axis=1)[:, None]
    [sharper] = paired_tests(tuned[:, None], own, rng=rng, draws=199, shares=[False])
    verdicts = {"gain": gain.verdict(), "sharper": sharper.verdict()}
    return explained_gain(base, right, tuned, tuned_right, **verdicts, rng=rng, draws=199)


def test_a_prediction_by_hand() -> None:
    """n* = 1.5: halfway on both curves; half of a problem's distance in nats comes back as a tenth of accuracy."""
    likelihood, accuracy = np.array([[-4.0, -2.0], [-6.0, -4.0]]), np.array([[0.2, 0.6], [0.4, 0.8]])
    found = predictions(likelihood, accuracy, np.array([-3.5, -4.5]))
    # Means -5, -3 and .3, .7; target -4; slope .2 per nat; halfway -3 and -5, .4 and .6.
    assert found == pytest.approx([0.4 + 0.2 * -0.5, 0.6 + 0.2 * 0.5])
    below = predictions(likelihood, accuracy, np.array([-5.5, -5.5]))
    assert below is not None
    assert below.mean() == pytest.approx(0.3 - 0.2 * 0.5)
    assert predictions(likelihood, accuracy, np.array([-1.0, -1.0])) is None
    alone = predictions(likelihood[:, :1], accuracy[:, :1], np.array([-6.0, -6.0]))
    assert alone == pytest.approx([0.2, 0.4])


@pytest.mark.slow
@pytest.mark.parametrize("n", [20, 60])
@pytest.mark.parametrize(
    ("m", "share", "slope"), [(1, 0.0, 1.0), (4, 1.0, 0.3), (4, 1.0, 1.2), (2, 0.5, 1.2), (8, 0.5, 0.3)]
)
def test_explained_share_and_residual_cover_the_truth(n: int, m: int, share: float, slope: float) -> None:
    found = [explained(*sharpened(seed, m, share, n, slope)) for seed in range(200)]
    one, many = (expected(slope, k) for k in (1, m))
    left = (many - one) / share - (many - one) if share else 0.15 * (1 - one)
    residuals = [e.residual for e in found if e.residual is not None]
    assert np.mean([r.low <= left <= r.high for r in residuals]) >= 0.93
    shares = [e.share_low <= share <= e.share_high for e in found if math.isfinite(e.share)]
    assert len(shares) >= 180
    assert np.mean(shares) >= 0.93
    wrong = {0.0: ("yes",), 0.5: ("yes", "no"), 1.0: ("no",)}[share]
    assert np.mean([e.verdict in wrong for e in found]) <= 0.06


def test_the_verdict_needs_a_shown_gain() -> None:
    base, right, tuned, tuned_right = sharpened(1, 4, 1.0, 100, 1.2)
    full = explained(base, right, tuned, tuned_right)
    assert full.verdict == "yes"
    assert 0.5 < full.share_low < 1.0 < full.share_high
    rng = np.random.default_rng(0)
    kept = explained_gain(base, right, tuned, tuned_right, gain="not shown", sharper="higher", rng=rng, draws=199)
    assert (kept.verdict, kept.share_low, kept.share_high) == ("not shown", -math.inf, math.inf)
    assert kept.reason == "a gain in accuracy is not shown"
    lost = explained(base, right, tuned, np.maximum(right.mean(axis=1) - 0.2, 0.0))
    assert math.isnan(lost.share)
    assert "there is a loss" in lost.reason


def test_a_gain_beyond_sharpening_is_left_over() -> None:
    base, right, tuned, _ = sharpened(0, 1, 0.0, 200, 1.2)
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, size=200)
    found = explained(base, right, tuned, right.mean(axis=1) * 0.6 + 0.3 + noise)
    assert found.verdict == "no"
    assert found.residual is not None
    assert found.residual.low > 0.1
    assert found.share_high < 0.5


def test_likelihoods_that_a_few_problems_decide_explain_nothing() -> None:
    base, right, tuned, tuned_right = sharpened(0, 4, 1.0, 150, 1.2)
    assert explained(base, right, tuned, tuned_right).verdict == "yes"
    tuned[0] -= 4000.0
    found = explained(base, right, tuned, tuned_right)
    assert (found.verdict, found.reason.split(":")[0]) == ("not shown", "a few problems decide it")
    assert math.isnan(found.share_low)


def test_a_pool_of_one_says_why_there_is_no_share() -> None:
    base, right, tuned, tuned_right = sharpened(0, 4, 1.0, 60, 1.2)
    found = explained(base[:, :1], right[:, :1], tuned, tuned_right)
    assert found.reason == "a base pool of one response has no best-of-n"
    alike = amortised(tuned_right, right[:, 0], right[:, 0])
    assert alike.reason == "base best-of-N is as accurate as one base sample on every problem: there is no gain"


def test_n_that_is_not_reached_and_a_model_that_is_less_sharp() -> None:
    base, right, tuned, tuned_right = sharpened(1, 4, 1.0, 100, 1.2)
    beyond = explained(base, right, tuned + 40, tuned_right)
    assert "likelier under the base model than best-of-16" in beyond.reason
    assert math.isnan(beyond.predicted)
    assert beyond.residual is None
    blunt = explained(base, right, tuned - 40, tuned_right)
    assert "less sharp" in blunt.reason
    assert math.isnan(blunt.share)


def test_bad_input_is_named() -> None:
    rng = np.random.default_rng(0)
    possible = paired_test([0.1, 0.2], [0.1, 0.2], rng=rng)
    with pytest.raises(ConfigError, match="amortised_share got shapes"):
        amortised_share([0.1], [0.1, 0.2], [0.2], gain="higher", possible=possible)
    with pytest.raises(ConfigError, match="not finite"):
        amortised_share([0.1, np.nan], [0.1, 0.2], [0.2, 0.3], gain="higher", possible=possible)
    with pytest.raises(ConfigError, match="explained_gain got shapes"):
        explained_gain(np.zeros((2, 2)), np.zeros((2, 3)), [0, 0], [0, 0], gain="higher", sharper="higher", rng=rng)
