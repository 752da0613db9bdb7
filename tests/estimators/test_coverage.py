"""Coverage and sharpness: hand-computed, and bounds that hold where the truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bon_eval.errors import ConfigError
from bon_eval.estimators.coverage import DELTAS, best_seen, is_sharp, log_coverage


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


def test_bad_input():
    with pytest.raises(ConfigError, match="drop the others"):
        log_coverage([-math.inf, -1.0])
    with pytest.raises(ConfigError, match="delta"):
        is_sharp([-1.0], 1.0)
    with pytest.raises(ConfigError, match="shape"):
        best_seen([[-1.0]], [[True, False]])
