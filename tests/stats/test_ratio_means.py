"""Means over unequal numbers of pairs: by hand, against the plain mean, and against truths that are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bon_eval.errors import ConfigError
from bon_eval.stats.bootstrap import DIFFERENCE, UNBOUNDED, bootstrap_ci
from bon_eval.stats.closed_form import with_seeds
from bon_eval.stats.clusters import effective_number, linearised
from bon_eval.stats.paired import paired_test
from bon_eval.stats.ratio_means import ratio_mean, ratio_means, ratio_test, ratio_tests

UNIT = (0.0, 1.0)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_linearised_by_hand() -> None:
    # Sums 4 and 8 of 2 and 1 pairs: R = 12 / 3 = 4, mean size 3/2: 4 + (4 - 8) / 1.5 = 4/3, 4 + (8 - 4) / 1.5 = 20/3.
    values = linearised(np.array([4.0, 8.0]), np.array([2.0, 1.0]))
    np.testing.assert_allclose(values, [4 / 3, 20 / 3], rtol=1e-14)
    # Cochran's variance of the ratio: sum (s - R n)^2 / (P - 1) / (P mean(n)^2) = (16 + 16) / 1 / (2 * 9/4) = 64/9.
    assert values.var(ddof=1) / 2 == pytest.approx(64 / 9, rel=1e-14)


def test_effective_number_by_hand() -> None:
    assert effective_number(np.array([3.0, 3.0])) == 2.0
    # (8 + 1 + 1)^2 / (64 + 1 + 1)
    assert effective_number(np.array([8.0, 1.0, 1.0])) == pytest.approx(100 / 66)


@pytest.mark.parametrize("support", [UNIT, DIFFERENCE, UNBOUNDED])
def test_equal_sizes_are_the_problems_own_means(support: tuple[float, float]) -> None:
    values = np.random.default_rng(1).random(30)
    plain = bootstrap_ci(values, support=support, rng=rng(), draws=200)
    assert ratio_mean(4.0 * values, np.full(30, 4), support=support, rng=rng(), draws=200) == plain
    if support != DIFFERENCE:
        other, share = values[::-1] ** 2, support == UNIT
        test = paired_test(values, other, share=share, rng=rng(), draws=200)
        assert ratio_test(4.0 * values, 4.0 * other, np.full(30, 4), share=share, rng=rng(), draws=200) == test


def test_difference_of_shares_by_hand() -> None:
    # Sums 1, -1, 2, 0, 0 of 1, 1, 2, 1, 1 pairs: R = 2/6, mean size 6/5, P' = 36/8, scale^2 = P / P' = 10/9 = 1/.9.
    test = ratio_test([1, 0, 2, 1, 0], [0, 1, 0, 1, 0], [1, 1, 2, 1, 1], share=True, rng=rng(), draws=100)
    ratio, mean, counted = 1 / 3, 1.2, 4.5
    # Residuals S - R n over mean n, stretched by t(.975; 3.5) / t(.975; 4) = 2.936 / 2.776 from tables.
    residual = np.array([2 / 3, -4 / 3, 4 / 3, -1 / 3, -1 / 3]) / mean * (2.93606 / 2.77645) * (5 / counted) ** 0.125
    weight, scale = 1.5 * 5 / counted, math.sqrt(5 / counted)
    values = (ratio + residual) / scale
    n = 5 + 2 * weight
    shrunk = values.sum() / n
    variance = ((values @ values) + 2 * weight) / n - shrunk**2
    half = 2.77645 * math.sqrt(variance / (n - 1))
    assert test.difference == pytest.approx(ratio)
    assert test.low == pytest.approx(scale * (shrunk - half), abs=1e-3)
    assert test.high == pytest.approx(min(1.0, scale * (shrunk + half)), abs=1e-3)
    assert (test.n_contested, test.method, test.signs) == (3, "pseudo-t ratio", None)


def test_all_right_is_no_certainty() -> None:
    found = ratio_mean([2, 1, 1, 1, 1], [2, 1, 1, 1, 1], support=UNIT, rng=rng())
    assert (found.estimate, found.high) == (1.0, 1.0)
    assert found.low < 0.5


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 20])
def test_no_limit_lies_outside_the_support(n: int) -> None:
    generator = np.random.default_rng(n)
    for _ in range(40):
        sizes = generator.integers(1, 9, n)
        a, b = generator.binomial(sizes, 0.95), generator.binomial(sizes, 0.05)
        found = ratio_mean(a, sizes, support=UNIT, rng=generator, draws=100)
        assert 0.0 <= found.low < found.high <= 1.0
        test = ratio_test(a, b, sizes, share=True, rng=generator, draws=100)
        if n < 5 and len(set(sizes.tolist())) > 1:
            assert test.method == f"none: {n} problems; from 5 on"
            assert math.isnan(test.low)
            assert test.p_value == 1.0
        elif n >= 5:
            assert -1.0 <= test.low < test.high <= 1.0
            assert -1.0 <= test.inner_low < test.inner_high <= 1.0


def test_p_value_and_interval_agree() -> None:
    generator = np.random.default_rng(3)
    found = set()
    for _ in range(300):
        n = int(generator.integers(8, 60))
        sizes = generator.integers(1, 9, n)
        parts = sizes * (generator.normal(size=n) + generator.choice([0.0, 0.3, 0.6]))
        shares = generator.binomial(sizes, 0.5), generator.binomial(sizes, generator.choice([0.3, 0.5]))
        tests = [
            ratio_test(parts, np.zeros(n), sizes, share=False, rng=generator, draws=200),
            ratio_test(*shares, sizes, share=True, rng=generator, draws=200),
        ]
        for test in tests:
            excludes = test.low > 0.0 or test.high < 0.0
            assert (test.p_value <= 0.05) == excludes, test
            found.add((excludes, test.method))
    assert {(True, "pseudo-t ratio"), (False, "pseudo-t ratio")} <= found
    assert {(True, "bootstrap-t + student-t ratio"), (False, "bootstrap-t + student-t ratio")} <= found


def test_nats_count_problems_by_their_pairs() -> None:
    sizes = np.array([8, 8] + [1] * 10)
    # (16 + 10)^2 / (128 + 10) = 4.9
    found = ratio_mean(np.arange(12.0), sizes, support=UNBOUNDED, rng=rng())
    assert math.isnan(found.low)
    assert found.method == "none: 12 problems of unequal sizes count as 4.9; from 10 on"
    few = ratio_mean(np.arange(4.0), [1, 2, 1, 1], support=UNBOUNDED, rng=rng())
    assert few.method == "none: 4 problems; from 10 on"
    # Two of thirty problems changed.
    sizes = np.tile([1, 2, 3], 10)
    still = ratio_test(np.eye(30)[0] + np.eye(30)[5], np.zeros(30), sizes, share=False, rng=rng())
    assert still.method == "none: only 3 problems differ"
    none = ratio_test(sizes, sizes, sizes, share=False, rng=rng())
    assert (none.method, none.p_value, none.difference) == ("none: no problems differ", 1.0, 0.0)


def test_a_wild_problem_marks_nats() -> None:
    sizes = np.tile([1, 2, 3], 10)
    parts = sizes * np.linspace(0.1, 0.2, 30)
    parts[4] = 1e5
    test = ratio_test(parts, np.zeros(30), sizes, share=False, rng=rng(), draws=500)
    assert test.marked
    assert test.by_signs
    assert test.verdict() == "higher"


def test_problems_without_pairs_contribute_nothing() -> None:
    sizes, parts = np.array([2, 1, 3, 1, 1, 2]), np.array([1, 1, 2, 0, 1, 0])
    with_empty = ratio_mean(np.append(parts, 0), np.append(sizes, 0), support=UNIT, rng=rng())
    assert with_empty == ratio_mean(parts, sizes, support=UNIT, rng=rng())


def test_a_column_does_not_depend_on_its_neighbours() -> None:
    generator = np.random.default_rng(6)
    sizes = generator.integers(1, 9, 40)
    a = np.column_stack([generator.binomial(sizes, 0.6), sizes * generator.normal(size=40)])
    b = np.column_stack([generator.binomial(sizes, 0.4), np.zeros(40)])
    both = ratio_tests(a, b, sizes, shares=[True, False], rng=rng(), draws=200)
    alone = [
        ratio_test(a[:, k], b[:, k], sizes, share=share, rng=rng(), draws=200) for k, share in enumerate([True, False])
    ]
    assert both == alone
    values = ratio_means(a, sizes, supports=[UNIT, UNBOUNDED], rng=rng(), draws=200)
    assert [v.method for v in values] == ["wilson-design ratio", "bootstrap-t + student-t ratio"]
    assert values[1].estimate == pytest.approx(a[:, 1].sum() / sizes.sum())


BAD = {
    "no pairs": ([0.0], [0], UNIT, "not all 0"),
    "negative": ([0.0, 1.0], [1, -1], UNIT, "not all 0"),
    "not finite": ([math.nan, 1.0], [1, 2], UNIT, "must be finite"),
    "outside": ([3.0, 1.0], [2, 1], UNIT, "outside their support"),
    "support": ([1.0, 1.0], [2, 1], (0.0, 2.0), "is not"),
    "shapes": ([1.0, 1.0], [2, 1, 1], UNIT, "expected"),
}


@pytest.mark.parametrize(("parts", "sizes", "support", "message"), BAD.values(), ids=BAD)
def test_what_is_refused(parts: list[float], sizes: list[int], support: tuple[float, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ratio_mean(parts, sizes, support=support, rng=rng())


def outcomes(sizes: np.ndarray, alike: float, chances: list[float], generator: np.random.Generator) -> np.ndarray:
    """Pairs of each outcome; with probability `alike` all pairs of a problem have the same."""
    apart = generator.multinomial(sizes, chances)
    whole = generator.multinomial(1, chances, size=len(sizes)) * sizes[:, None]
    return np.where((generator.random(len(sizes)) < alike)[:, None], whole, apart).astype(np.float64)


def drawn_sizes(kind: str, n: int, generator: np.random.Generator) -> np.ndarray:
    return generator.integers(1, 9, n) if kind == "1 to 8" else np.where(generator.random(n) < 0.2, 8, 1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["1 to 8", "8 or 1"])
@pytest.mark.parametrize("alike", [0.0, 0.7])
@pytest.mark.parametrize("n", [5, 20, 50])
def test_coverage_and_type_one_error_of_shares(n: int, alike: float, kind: str) -> None:
    # 1,000 trials: a standard error of 0.7 points at 95 %.
    generator, trials = np.random.default_rng(n), 1000
    share, change, error = 0, 0, 0
    for _ in range(trials):
        sizes = drawn_sizes(kind, n, generator)
        found = ratio_mean(
            outcomes(sizes, alike, [0.8, 0.2], generator)[:, 0], sizes, support=UNIT, rng=generator, draws=100
        )
        share += found.low <= 0.8 <= found.high
        for k, (up, down) in enumerate(((0.45, 0.45), (0.4, 0.1))):
            counts = outcomes(sizes, alike, [up, down, 1 - up - down], generator)
            test = ratio_test(counts[:, 0], counts[:, 1], sizes, share=True, rng=generator, draws=100)
            error += k == 0 and test.p_value <= 0.05
            change += k == 1 and test.low <= 0.3 <= test.high
    assert share >= 0.93 * trials
    assert change >= 0.93 * trials
    assert error <= 0.06 * trials


@pytest.mark.slow
@pytest.mark.parametrize(("n", "sigma"), [(20, 0.8), (50, 0.8), (50, 1.2)])
@pytest.mark.parametrize("alike", [0.0, 0.7])
def test_type_one_error_of_nats(n: int, sigma: float, alike: float) -> None:
    generator, trials, error = np.random.default_rng(n), 1000, 0
    for _ in range(trials):
        sizes = drawn_sizes("1 to 8", n, generator)
        of = np.repeat(np.arange(n), sizes)
        normal = math.sqrt(alike) * generator.normal(size=n)[of] + math.sqrt(1 - alike) * generator.normal(size=len(of))
        parts = np.bincount(of, weights=np.exp(sigma * normal) - math.exp(sigma**2 / 2), minlength=n)
        error += ratio_test(parts, np.zeros(n), sizes, share=False, rng=generator, draws=200).p_value <= 0.05
    assert error <= 0.06 * trials


def test_seeds_by_hand() -> None:
    # Means .19 and .21: sd / sqrt(2) = .01, t(.975; 1) = 12.706: .12706. Low: .2 - sqrt(.03^2 + .12706^2).
    low, high = with_seeds(0.2, (0.17, 0.24), np.array([0.19, 0.21]), 0.95)
    assert low == pytest.approx(0.2 - math.hypot(0.03, 0.12706), abs=1e-5)
    assert high == pytest.approx(0.2 + math.hypot(0.04, 0.12706), abs=1e-5)
    assert with_seeds(0.2, (0.17, 0.24), np.array([0.2]), 0.95) == (0.17, 0.24)
    assert with_seeds(0.2, (0.17, 0.24), np.array([0.2, 0.2]), 0.95) == pytest.approx((0.17, 0.24))
    assert all(map(math.isnan, with_seeds(0.2, (math.nan, math.nan), np.array([0.1, 0.3]), 0.95)))


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("sd_seed", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("sd_rest", [0.3, 3.0])
def test_coverage_over_seeds(seeds: int, sd_seed: float, sd_rest: float) -> None:
    generator, n, trials = np.random.default_rng(seeds), 50, 4000
    problem, seed = generator.normal(size=(trials, 1, n)), sd_seed * generator.normal(size=(trials, seeds, 1))
    values = problem + seed + sd_rest * generator.normal(size=(trials, seeds, n))
    covered = 0
    for of_trial in values:
        means = of_trial.mean(axis=0)
        half = 2.0096 * means.std(ddof=1) / math.sqrt(n)
        low, high = with_seeds(means.mean(), (means.mean() - half, means.mean() + half), of_trial.mean(axis=1), 0.95)
        covered += low <= 0.0 <= high
    assert covered >= 0.94 * trials
