"""Coverage and sharpness: hand-computed, and bounds that hold where the truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bon_eval.errors import ConfigError
from bon_eval.estimators.coverage import DELTAS, best_seen, is_sharp, log_coverage, log_coverage_interval


def test_the_best_finished_response():
    best, column = best_seen([[-3.0, -1.0, -2.0], [-1.0, -1.0, -4.0]], [[1, 0, 1], [0, 0, 0]])
    assert best.tolist() == [-2.0, -math.inf]
    assert column[0] == 2


def test_coverage_by_hand_and_without_overflow():
    assert math.exp(log_coverage(np.log([0.5, 0.1, 0.2]))) == pytest.approx((2 + 10 + 5) / 3)
    assert log_coverage([-2000.0, -1.0]) == pytest.approx(2000.0 - math.log(2))


def test_bounds_hold_for_a_known_distribution():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.full(30, 0.2), size=200)
    drawn = np.array([rng.choice(30, size=8, p=row) for row in p])
    best, _ = best_seen(np.log(np.take_along_axis(p, drawn, axis=1)), np.ones(drawn.shape, dtype=bool))
    assert log_coverage(best) >= math.log((1 / p.max(axis=1)).mean()) - 1e-12
    for delta in DELTAS:
        assert 1 - is_sharp(best, delta).mean() >= (p.max(axis=1) < 1 - delta).mean() - 1e-12


def test_an_interval_of_ln_coverage_where_the_mean_has_one():
    rng = np.random.default_rng(0)
    inside = []
    for _ in range(150):
        surprisal = 900.0 + rng.normal(scale=0.8, size=100)  # beyond what exp can hold
        found = log_coverage_interval(-surprisal, rng=rng, draws=199)
        assert found.estimate == pytest.approx(log_coverage(-surprisal))
        inside += [found.low <= 900.0 + 0.8**2 / 2 <= found.high] if math.isfinite(found.low) else []
    assert len(inside) > 100
    assert np.mean(inside) >= 0.93
    sure = log_coverage_interval(rng.uniform(-0.02, 0.0, size=100), rng=rng, draws=199)
    assert 0.0 <= sure.low < sure.estimate < sure.high


@pytest.mark.parametrize(
    ("surprisal", "method"),
    [
        ([2.0], "none: 1 problem; from 100 on"),
        ([2.0, 3.0, 4.0], "none: 3 problems; from 100 on"),
        ([2.0] * 100, "none: no problems differ"),
        ([30.0, *np.linspace(1, 2, 99)], "none: too skewed, one problem carries 100 % of the mean"),
        (np.linspace(1, 9, 100), "none: too skewed, one problem carries 8 % of the mean"),
    ],
)
def test_no_interval_of_ln_coverage_and_why(surprisal, method):
    found = log_coverage_interval(-np.asarray(surprisal), rng=np.random.default_rng(0), draws=199)
    assert found.method == method
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_the_interval_reaches_as_far_as_coxs_widened_by_half():
    """Worked out by hand for -ln pi of mean 2 and standard deviation 0.5, exactly symmetrical."""
    surprisal = 2.0 + np.resize([-1.0, 1.0], 100) * 0.5 * math.sqrt(99 / 100)
    found = log_coverage_interval(-surprisal, rng=np.random.default_rng(0), draws=199)
    centre, half = 2.0 + 0.125, 1.5 * 1.959964 * math.sqrt(0.25 / 100 + 0.0625 / 198)
    assert found.low == pytest.approx(centre - half, abs=1e-6)
    assert found.high == pytest.approx(centre + half + 2 * math.sqrt(0.06) * 0.125 / 6, abs=1e-6)
    assert found.method == "bootstrap-t + student-t, cox"


@pytest.mark.parametrize(
    ("draw", "truth"),
    [
        (lambda rng: rng.gamma(10.0, 0.2, size=100), -10.0 * math.log1p(-0.2)),
        (lambda rng: rng.normal(12.0, 1.5, size=100), 12.0 + 1.5**2 / 2),
    ],
    ids=["gamma", "normal"],
)
def test_samples_that_are_given_an_interval_by_chance_are_covered(draw, truth):
    """Worlds whose spread or skewness is beyond the rules, of which one sample in ten shows neither."""
    rng = np.random.default_rng(0)
    found = [log_coverage_interval(-draw(rng), rng=rng, draws=199) for _ in range(600)]
    held = [f.low <= truth <= f.high for f in found if math.isfinite(f.low)]
    assert 30 < len(held) < 150
    assert np.mean(held) >= 0.93


def test_bad_input():
    with pytest.raises(ConfigError, match="drop the others"):
        log_coverage([-math.inf, -1.0])
    with pytest.raises(ConfigError, match="delta"):
        is_sharp([-1.0], 1.0)
    with pytest.raises(ConfigError, match="shape"):
        best_seen([[-1.0]], [[True, False]])
