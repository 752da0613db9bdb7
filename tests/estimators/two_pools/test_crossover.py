"""Where two curves of pass@k cross, by hand and on simulated pools of known truth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bon_eval.errors import ConfigError
from bon_eval.estimators import pass_at_n
from bon_eval.estimators.two_pools.crossover import Crossover, crossover
from bon_eval.stats import PairedTest, paired_tests

INF = math.inf


def of(differences: list[float], half: float = 0.05) -> Crossover:
    return crossover([PairedTest(d, d - half, d + half, 0.5, "m", 20) for d in differences])


def test_by_hand() -> None:
    found = of([-0.2, -0.1, 0.1, 0.2])
    assert found.estimate == pytest.approx(2.5)
    assert (found.low, found.high) == (pytest.approx(2.25), pytest.approx(2.75))
    assert found.largest == 4
    assert found.there


def test_above_from_the_first_sample_on() -> None:
    assert (of([0.2, 0.3]).estimate, of([0.2, 0.3]).low, of([0.2, 0.3]).high) == (1.0, 1.0, 1.0)
    open_ = of([0.02, -0.3])
    assert (open_.estimate, open_.low) == (1.0, 1.0)
    assert open_.high == INF, "if it is not above at one sample, it is at none: at two it is shown to be below"


def test_none_up_to_the_last_k_is_an_end_like_any_other() -> None:
    never = of([-0.3, -0.2, -0.1])
    assert (never.estimate, never.low, never.high) == (INF, INF, INF)
    assert not never.there
    unknown = of([-0.3, -0.1, -0.02])
    assert (unknown.estimate, unknown.high) == (INF, INF)
    assert 2 < unknown.low < 3
    late = of([-0.3, -0.1, 0.02])
    assert 2 < late.low < late.estimate < 3
    assert late.high == INF


def test_curves_that_only_meet_have_not_crossed() -> None:
    assert of([-0.3, -0.1, 0.0, 0.0]).estimate == INF
    assert of([-0.3, 0.0, 0.0, 0.1]).estimate == pytest.approx(3.0)
    assert of([0.0, 0.0]).estimate == INF


def test_without_intervals_it_says_why() -> None:
    found = crossover([PairedTest(-0.1, math.nan, math.nan, 1.0, "none: 3 problems; from 5 on", 3)] * 2)
    assert found.reason == "3 problems; from 5 on"
    assert math.isnan(found.low)
    with pytest.raises(ConfigError, match="no tests"):
        crossover([])


def curves(rates: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    return pass_at_n(rng.random((len(rates), n)) < rates[:, None], range(1, n + 1)).T


@pytest.mark.parametrize(("solved", "truth"), [(0.7, "crosses"), (1.0, "never")])
def test_the_interval_covers_a_crossing_that_is_there_and_one_that_is_not(solved: float, truth: str) -> None:
    """The first model has a rate of 1/4 everywhere, the second one of 0.6 on a share of the problems and 0 elsewhere.

    Where that share is 1 the curves only come close to each other; 95 % of intervals must hold "none up to 16".
    """
    n, problems, trials, rng = 16, 60, 300, np.random.default_rng(11)
    k = np.arange(1, n + 1)
    d = (1 - 0.75**k) - solved * (1 - 0.4**k)
    first = int((d > 0).argmax())
    at = first + -d[first - 1] / (d[first] - d[first - 1]) if truth == "crosses" else INF
    assert (d > 0).any() == (truth == "crosses")
    covered = shown = 0
    for _ in range(trials):
        second = np.where(rng.random(problems) < solved, 0.6, 0.0)
        a, b = curves(np.full(problems, 0.25), n, rng), curves(second, n, rng)
        found = crossover(paired_tests(a, b, rng=rng, draws=199, shares=[True] * n))
        covered += found.low - 1e-9 <= at <= found.high + 1e-9
        shown += found.high < n
    assert covered / trials > 0.93
    if truth == "crosses":
        assert shown / trials > 0.5, "an interval that says nothing covers, too"
