"""Fieller's set by hand, where it has no bounds, and its coverage where the truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bon_eval.errors import ConfigError
from bon_eval.stats import paired_test
from bon_eval.stats.ratios import fieller, relative_difference


def test_an_interval_by_hand() -> None:
    # Means 1 and 2, variances of the means 1/6 each, covariance 0; t^2 with 3 degrees of freedom is 10.12796:
    # 2.312 s^2 - 4 s - 0.688 <= 0.
    found = fieller([1, 1, 2, 0], [1, 3, 2, 2])
    assert (found.estimate, found.low, found.high) == pytest.approx((0.5, -0.15764, 1.88773), abs=1e-4)
    assert found.bounded


def test_a_constant_denominator_is_student_t_over_it() -> None:
    found = fieller([1, 2, 3], [2, 2, 2])
    half = 4.302653 / math.sqrt(3) / 2
    assert (found.low, found.high) == pytest.approx((1 - half, 1 + half), abs=1e-6)
    wider = fieller([1, 2, 3], [2, 2, 2], widening=1.5)
    assert wider.high - 1 == pytest.approx(1.5 * half, abs=1e-6)


def test_a_denominator_that_may_be_zero_gives_no_bounds() -> None:
    both = fieller([0.5, 0.7, 0.6], [-1, 1.1, 0.3])
    assert (both.low, both.high, both.bounded) == (-math.inf, math.inf, False)
    # Means 5.1 and 1.0, the latter's error 1.2: all ratios but those of a gap around 0 are in the set. Of a denominator
    # that is above 0 only the upper part can be.
    top, bottom = [5.0, 5.1, 5.2], [-1.0, 1.0, 3.0]
    assert not fieller(top, bottom).bounded
    upper = fieller(top, bottom, positive=True)
    assert 0.0 < upper.low < upper.estimate < upper.high == math.inf
    below = fieller([-x for x in top], bottom, positive=True)
    assert (below.low, below.high) == (-math.inf, -upper.low)
    t, n = 4.302653, 3
    edge = np.array(top) - upper.low * np.array(bottom)
    assert abs(edge.mean()) / (edge.std(ddof=1) / math.sqrt(n)) == pytest.approx(t, abs=1e-5)


def test_no_interval_without_a_spread() -> None:
    for top, bottom in (([0.3], [0.6]), ([1, 1.1, 1.2], [2, 2.2, 2.4])):
        found = fieller(top, bottom)
        assert found.estimate == pytest.approx(0.5)
        assert math.isnan(found.low)
        assert math.isnan(found.high)
    assert math.isnan(fieller([1, 2], [-1, 1]).estimate)
    with pytest.raises(ConfigError, match="fieller got shapes"):
        fieller([1, 2], [1])
    with pytest.raises(ConfigError, match="fieller got shapes"):
        fieller([], [])
    with pytest.raises(ConfigError, match="not finite"):
        fieller([1, np.nan], [1, 2])
    with pytest.raises(ConfigError, match="confidence"):
        fieller([1, 2], [1, 2], confidence=1.0)


def test_the_ratio_excludes_nothing_gained_exactly_where_the_test_does() -> None:
    rng, agreed, excluded = np.random.default_rng(0), 0, 0
    for n in (5, 8, 20, 40, 80) * 20:
        p = rng.uniform(0.1, 0.8, size=n)
        greedy = (rng.random(n) < p).astype(float)
        arm = rng.binomial(16, np.minimum(p + rng.choice([0.0, 0.2]), 1.0)) / 16
        for clusters in (None, np.arange(n) // 2):
            test = paired_test(arm, greedy, rng=rng, draws=199, clusters=clusters)
            found = relative_difference(arm, greedy, test, clusters=clusters)
            if math.isnan(test.low):
                assert math.isnan(found.low)
                continue
            agreed += (found.low <= 0 <= found.high) == (test.low <= 0 <= test.high)
            excluded += not test.low <= 0 <= test.high
            assert found.low <= found.estimate <= found.high or not greedy.any()
            assert found.low >= -1.0
    assert agreed == 160  # all but the 40 samples of fewer than five clusters
    assert 20 < excluded < 160


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_problems_have_no_relative_interval(n: int) -> None:
    arm, greedy = np.linspace(0.4, 0.8, n), np.eye(n)[0]
    found = relative_difference(arm, greedy, paired_test(arm, greedy, rng=np.random.default_rng(0)))
    assert math.isnan(found.low)
    assert found.estimate == pytest.approx(arm.mean() * n - 1)


@pytest.mark.parametrize(("greedy", "ratio"), [(0.2, 1.5), (0.6, 0.7)])
def test_relative_lift_covers_the_truth(greedy: float, ratio: float) -> None:
    for n in (20, 100):
        rng = np.random.default_rng([n, 1])
        inside = []
        for _ in range(400):
            p = rng.beta(2 * greedy, 2 - 2 * greedy, size=n)
            single = (rng.random(n) < p).astype(float)
            better = p * ratio if ratio <= 1 else p + (1 - p) * greedy * (ratio - 1) / (1 - greedy)
            arm = rng.binomial(16, better) / 16
            found = relative_difference(arm, single, paired_test(arm, single, rng=rng, draws=100))
            inside.append(found.low <= ratio - 1 <= found.high)
        assert np.mean(inside) >= 0.93
