"""Hand-computed statistics, bad input, and a simulation of coverage, bias and type-I error.

The simulation draws problems with known success probabilities (a beta distribution), greedy's single answer, and a
pool whose score is correlated with correctness. Problems are drawn anew each time, because they are the sampling
unit, so the truth is the mean over the distribution of problems.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import comb

import numpy as np
import pytest
from scipy import special

from bon_eval.errors import ConfigError
from bon_eval.estimators import best_of_n
from bon_eval.stats import (
    align,
    bootstrap_ci,
    bootstrap_cis,
    detectable_difference,
    holm,
    paired_test,
    paired_tests,
    problems_needed,
    step_down,
)
from bon_eval.stats.bootstrap import NOT_ABOVE_0, NOT_BELOW_0
from bon_eval.stats.closed_form import effective_problems
from bon_eval.stats.paired import paired_differences, pseudo_units

N, BEST_OF, DRAWS, REPETITIONS = 16, 4, 999, 1000
SINGLES, MEANS = ("greedy",), ("sample", "best-of-n", "log-likelihood")
PAIRS = ("best-of-n - greedy", "best-of-n - sample", "best-of-N - greedy")
NULLS = ("greedy - greedy", "sample - greedy", "sample - sample")


@dataclass
class Outcome:
    """What the repetitions of one scenario gave."""

    covered: dict[str, list[bool]] = field(default_factory=dict)
    rejected: dict[str, list[bool]] = field(default_factory=dict)
    contested: dict[str, list[int]] = field(default_factory=dict)
    errors: dict[str, list[float]] = field(default_factory=dict)

    def coverage(self, name: str) -> float:
        return float(np.mean(self.covered[name]))


def draw(rng: np.random.Generator, n_problems: int, mean: float, concentration: float) -> dict[str, np.ndarray]:
    p = rng.beta(mean * concentration, (1 - mean) * concentration, size=n_problems)
    correct = rng.random((n_problems, N)) < p[:, None]
    scores = 0.8 * correct + rng.normal(size=correct.shape)
    best = best_of_n(scores, correct, [BEST_OF, N])
    [blind] = best_of_n(rng.random(correct.shape), correct, [BEST_OF])
    out = {f"greedy{i}": (rng.random(n_problems) < p).astype(float) for i in (1, 2)}
    out |= {"sample": correct.mean(axis=1), "best-of-n": best[0], "best-of-N": best[1], "blind": blind}
    out["sample2"] = rng.binomial(N, p) / N
    out["log-likelihood"] = -rng.gamma(2.0, 10.0, size=n_problems) + scores.mean(axis=1)
    return out


def best_of_truth(n: int, mean: float, concentration: float) -> float:
    """Accuracy of best-of-n with fresh samples: n times the integral of p f1(s) (p F1(s) + (1 - p) F0(s))^(n-1).

    f1, F1 and F0 are the score's density and distribution functions for correct and incorrect responses. The integral
    over the beta distribution of p is exact, since the integrand is a polynomial in p.
    """
    nodes, weights = special.roots_jacobi(n, (1 - mean) * concentration - 1, mean * concentration - 1)
    p = (nodes + 1) / 2
    s = np.linspace(-9, 11, 4001)[:, None]
    density = np.exp(-((s - 0.8) ** 2) / 2) / np.sqrt(2 * np.pi)
    below = p * special.ndtr(s - 0.8) + (1 - p) * special.ndtr(s)
    value = n * (p * density * below ** (n - 1)).sum(axis=0) * (s[1, 0] - s[0, 0])
    return float(value @ weights / weights.sum())


def simulate(
    n_problems: int, mean: float, concentration: float, *, seed: int, repetitions: int = REPETITIONS
) -> Outcome:
    rng = np.random.default_rng([seed, n_problems])
    truth = {"greedy": mean, "sample": mean, "log-likelihood": -20.0 + 0.8 * mean}
    truth |= {name: best_of_truth(n, mean, concentration) for name, n in (("best-of-n", BEST_OF), ("best-of-N", N))}
    out = Outcome()
    for _ in range(repetitions):
        seen = draw(rng, n_problems, mean, concentration)
        singles = [bootstrap_ci(seen["greedy1"], rng=rng, draws=DRAWS)]
        means = bootstrap_cis(np.stack([seen[name] for name in MEANS], axis=1), rng=rng, draws=DRAWS)
        for name, interval in zip(SINGLES + MEANS, singles + means, strict=True):
            out.covered.setdefault(name, []).append(interval.low <= truth[name] <= interval.high)
        for name in ("sample", "best-of-n", "best-of-N"):
            out.errors.setdefault(name, []).append(float(seen[name].mean()) - truth[name])
        a = [seen[x] for x in ("best-of-n", "best-of-n", "best-of-N", "greedy2", "sample", "sample")]
        b = [seen[x] for x in ("greedy1", "sample", "greedy1", "greedy1", "greedy1", "sample2")]
        tests = paired_tests(np.stack(a, axis=1), np.stack(b, axis=1), rng=rng, draws=DRAWS)
        gaps = [truth[name] - mean for name in ("best-of-n", "best-of-n", "best-of-N")] + [0.0] * len(NULLS)
        for name, test, gap in zip(PAIRS + NULLS, tests, gaps, strict=True):
            out.covered.setdefault(name, []).append(test.low <= gap <= test.high)
            if gap == 0.0:
                out.rejected.setdefault(name, []).append(test.p_value <= 0.05)
                out.contested.setdefault(name, []).append(test.n_contested)
    return out


SCENARIOS = {
    # problems, mean accuracy, concentration of the beta distribution (small: problems are all or nothing)
    "100 middling": (100, 0.3, 2.0),
    "100 half": (100, 0.5, 2.0),
    "250 alike": (250, 0.4, 4.0),
    "200 all or nothing": (200, 0.6, 0.5),
    "30 middling": (30, 0.3, 2.0),
    "30 near 0": (30, 0.03, 2.0),
    "30 near 1": (30, 0.95, 5.0),
    "100 near 0, alike": (100, 0.02, 20.0),
}


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    return {name: simulate(*scenario, seed=2024) for name, scenario in SCENARIOS.items()}


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_intervals_cover_the_truth(outcomes, scenario):
    n_problems, mean, concentration = SCENARIOS[scenario]
    central = n_problems >= 100 and 0.1 <= mean <= 0.9 and concentration >= 1.0
    for name in SINGLES + MEANS + PAIRS:
        coverage = outcomes[scenario].coverage(name)
        assert coverage >= 0.93, f"{name}: {coverage}"
        # Means of nats are widened below 200 problems, for tails that these values do not have.
        most = 0.99 if name == "log-likelihood" and n_problems < 200 else 0.975
        assert coverage <= most or not central, f"{name}: {coverage}"


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_type_one_error_is_held(outcomes, scenario):
    outcome = outcomes[scenario]
    for name in NULLS:
        rate = float(np.mean(outcome.rejected[name]))
        assert rate <= 0.06, f"{name}: {rate}"
        assert rate >= 0.035 or np.mean(outcome.contested[name]) < 100, f"{name}: {rate}"


@pytest.mark.slow
@pytest.mark.parametrize(
    # At an accuracy of 2 % the few differences are skewed, which sign flips alone do not see: 6.5 % would be rejected.
    "scenario",
    ["100 half", "200 all or nothing", "100 near 0, alike"],
)
def test_a_scorer_that_knows_nothing_is_not_found_to_matter(scenario):
    """Best-of-n by random scores is one sample: the report's two comparisons, with nothing to find."""
    rng = np.random.default_rng([2024, len(scenario)])
    rejected = []
    for _ in range(4000):
        seen = draw(rng, *SCENARIOS[scenario])
        others = np.stack([seen["greedy1"], seen["sample"]], axis=1)
        tests = paired_tests(np.stack([seen["blind"]] * 2, axis=1), others, rng=rng, draws=DRAWS)
        rejected.append([test.p_value <= 0.05 for test in tests])
    assert np.mean(rejected, axis=0).max() <= 0.06


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_best_of_n_is_unbiased(outcomes, scenario):
    for name, found in outcomes[scenario].errors.items():
        errors = np.array(found)
        assert abs(errors.mean()) < 4 * errors.std(ddof=1) / np.sqrt(len(errors)), name


@pytest.mark.slow
def test_the_simulation_contests_enough_problems(outcomes):
    for name in ("sample - greedy", "sample - sample"):
        assert np.mean(outcomes["250 alike"].contested[name]) >= 100


# --- intervals


@pytest.mark.parametrize("n", [30, 50, 100, 400])
def test_single_answers_are_covered_at_every_accuracy(n):
    """Exact coverage, summed over the binomial distribution, from accuracy 0 to 1."""
    rng = np.random.default_rng(0)
    limits = [bootstrap_ci([1] * k + [0] * (n - k), rng=rng) for k in range(n + 1)]
    p = np.concatenate([np.linspace(0, 0.02, 400), np.linspace(0.02, 0.5, 400)])[:, None]
    k = np.arange(n + 1)
    weight = np.array([comb(n, int(i)) for i in k], dtype=float) * p**k * (1 - p) ** (n - k)
    inside = (np.array([i.low for i in limits]) <= p) & (p <= np.array([i.high for i in limits]))
    coverage = (weight * inside).sum(axis=1)
    assert coverage.min() >= 0.933
    if n >= 100:
        assert coverage[p[:, 0] >= 0.1].max() <= 0.97


def test_wilson_midp_by_hand():
    rng = np.random.default_rng(0)
    none = bootstrap_ci([0] * 20, rng=rng)
    # Wilson's upper limit for 0 of n is z^2 / (n + z^2); mid-p's is 1 - 0.05^(1/n).
    assert none.low == 0.0
    assert none.high == pytest.approx(max(1.959964**2 / (20 + 1.959964**2), 1 - 0.05 ** (1 / 20)), abs=1e-6)
    every = bootstrap_ci([1] * 20, rng=rng)
    assert (every.low, every.high) == (pytest.approx(1 - none.high), 1.0)


def test_bootstrap_t_of_normal_values_is_close_to_students():
    values = np.random.default_rng(0).normal(-50, 7, size=400)
    ci = bootstrap_ci(values, rng=np.random.default_rng(1))
    half = 1.966 * values.std(ddof=1) / 20
    assert (ci.method, ci.marked) == ("bootstrap-t + student-t", False)
    assert ci.estimate == pytest.approx(values.mean())
    assert ci.low == pytest.approx(values.mean() - half, abs=0.08 * half)
    assert ci.high == pytest.approx(values.mean() + half, abs=0.08 * half)


def test_bootstrap_t_leans_to_the_long_tail():
    values = np.random.default_rng(0).exponential(size=60)
    ci = bootstrap_ci(values, rng=np.random.default_rng(1), support=None)
    assert ci.high - ci.estimate > 1.2 * (ci.estimate - ci.low)


def test_confidence_widens():
    values = np.random.default_rng(0).random(80)
    narrow, wide = (bootstrap_ci(values, rng=np.random.default_rng(1), confidence=c) for c in (0.8, 0.99))
    assert wide.low < narrow.low < narrow.estimate < narrow.high < wide.high


def test_columns_do_not_depend_on_their_company():
    values = np.random.default_rng(0).random((60, 6))
    together = bootstrap_cis(values, rng=np.random.default_rng(1), draws=500)
    for k in range(6):
        alone = bootstrap_ci(values[:, k], rng=np.random.default_rng(1), draws=500)
        assert (alone.low, alone.high) == (pytest.approx(together[k].low), pytest.approx(together[k].high))


def test_seeded():
    values = np.random.default_rng(0).random(60)
    one, two, other = (bootstrap_ci(values, rng=np.random.default_rng(seed), draws=500) for seed in (1, 1, 2))
    assert one == two
    assert one != other


def test_degenerate_values_say_so():
    rng = np.random.default_rng(0)
    one = bootstrap_ci([-3.0], rng=rng)
    assert (one.estimate, one.method) == (-3.0, "none: 1 problem; from 10 on")
    assert np.isnan(one.low)
    assert np.isnan(one.high)
    same = bootstrap_ci([-3.0] * 50, rng=rng)
    assert (same.estimate, same.method) == (-3.0, "none: no problems differ")
    assert np.isnan(same.low)
    half = bootstrap_ci([0.5] * 50, rng=rng)
    assert half.method == "wilson-design"
    assert 0.3 < half.low < 0.5 < half.high < 0.7
    assert bootstrap_ci([0.25], rng=rng).method == "wilson-design"
    assert bootstrap_ci([1.0], rng=rng).method == "wilson-midp"
    assert bootstrap_ci([-1.0, -2.0, -4.0], rng=rng).method == "none: 3 problems; from 10 on"
    assert bootstrap_ci([-1.0] * 20 + [-2.0, -4.0], rng=rng).method == "none: only 3 problems differ"
    none = bootstrap_ci([0.0] * 50, rng=rng, support=(-1, 1))
    assert none.method == "pseudo-t"
    assert -0.1 < none.low < 0.0 < none.high < 0.1


def test_intervals_stay_within_the_support():
    rng = np.random.default_rng(0)
    for mean in (0.01, 0.1, 0.9, 0.99):
        for _ in range(20):
            ci = bootstrap_ci(rng.beta(mean, 1 - mean, size=25), rng=rng, draws=200)
            assert 0.0 <= ci.low <= ci.estimate <= ci.high <= 1.0


def test_effective_problems():
    assert effective_problems(np.array([0.0] * 90 + [1.0] * 10)) == 10.0
    assert effective_problems(np.full(9, 0.3)) == 0.0


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ([], {}, "at least one problem"),
        ([1.0, np.nan], {}, "value of problem row 1 is not finite"),
        ([[1.0]], {}, r"expected \(problems,\)"),
        ([1.0, 2.0], {"draws": 10}, "draws = 10 is too few"),
        ([1.0, 2.0], {"draws": 198, "confidence": 0.99}, "use at least 199"),
        ([1.0, 2.0], {"confidence": 95}, "confidence = 95 is not between 0 and 1"),
        ([1.0, 2.0], {"support": (0, 1)}, r"outside their support \(0, 1\)"),
        ([1.0, 2.0], {"support": (0, 3)}, r"support \(0, 3\) is not"),
    ],
)
def test_bad_input_to_intervals(values, options, message):
    with pytest.raises(ConfigError, match=message):
        bootstrap_ci(values, rng=np.random.default_rng(0), **options)


# --- paired tests


def test_pseudo_t_by_hand():
    """Ten contested single answers, 8 to 2, and two that tie: 3/2 of a problem with +1 and with -1 are added."""
    a, b = [1] * 8 + [0] * 2 + [1, 0], [0] * 8 + [1] * 2 + [1, 0]
    test = paired_test(a, b, rng=np.random.default_rng(0))
    mean, n = 6 / 15, 15
    error = np.sqrt(((10 + 3) / n - mean**2) / (n - 1))
    assert (test.n_contested, test.difference, test.method) == (10, pytest.approx(0.5), "pseudo-t")
    assert test.p_value == pytest.approx(2 * special.stdtr(11, -mean / error))
    assert test.low == pytest.approx(mean - special.stdtrit(11, 0.975) * error)
    assert test.signs is None


@pytest.mark.slow
@pytest.mark.parametrize("n", [*range(3, 31), 41, 48, 73, 100, 113, 250])
def test_single_answers_hold_their_level(n):
    """The exact size of the test of two arms of equal accuracy, whatever share of the problems they contest."""
    rng = np.random.default_rng(0)
    size = np.zeros(n + 1)
    for contested in range(n + 1):
        for k in range(contested // 2 + 1):
            ties = [1] * (n - contested)
            a, b = [1] * k + [0] * (contested - k) + ties, [0] * k + [1] * (contested - k) + ties
            if paired_test(a, b, rng=rng, draws=100).p_value > 0.05:
                break
            size[contested] += (2 if 2 * k < contested else 1) * comb(contested, k) / 2**contested
    q, c = np.linspace(0.01, 1.0, 100)[:, None], np.arange(n + 1)
    weight = np.array([float(comb(n, int(i))) for i in c]) * q**c * (1 - q) ** (n - c)
    assert (weight @ size).max() <= 0.06


@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("margin", [0.02, 0.05, 0.1, 0.2])
def test_differences_as_large_as_the_margin_are_seldom_called_the_same(margin, single):
    """Flips, all one way round, of a binomial number of problems: the largest that is still called the same."""
    for n in (10, 15, 20, 30, 50, 75, 100, 110, 150, 250):
        rng = np.random.default_rng(n)
        agreed = np.resize([0.0, 1.0], n) if single else rng.random(n)
        called = []
        for k in range(int(margin * n) + 1):
            flips = np.arange(n) < k
            test = paired_test(
                np.where(flips, 1.0, agreed), np.where(flips, 0.0, agreed), rng=rng, draws=199, share=True
            )
            called += [k] if test.is_within(margin) else []
        assert called == list(range(len(called)))
        assert not called or special.bdtr(called[-1], n, margin) <= 0.06, n


@pytest.mark.slow
@pytest.mark.parametrize("draws", [199, 333, 999, 10_000])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_a_p_value_and_its_interval_never_disagree(draws, confidence):
    rng = np.random.default_rng([draws, int(100 * confidence)])
    near = 0
    for repetition in range(300):
        n = int(rng.integers(3, 60))
        p = rng.beta(1, 2, size=n)
        shift = rng.normal(0, 0.15)
        single = (rng.random((2, n)) < np.clip(p + np.array([[0], [shift]]), 0, 1)).astype(float)
        many = rng.binomial(16, np.clip(p + np.array([[0], [shift / 2]]), 0, 1)) / 16
        nats = np.exp(rng.normal(size=n)) * [[1.0], [0.0]] - [[1.6 + shift], [0.0]]
        sides = [np.stack([single[k], many[k], single[0] if k else many[1], nats[k]], axis=1) for k in (0, 1)]
        shares = [True, True, True, False]
        tests = paired_tests(*sides, rng=rng, draws=draws, confidence=confidence, shares=shares)
        for test in tests:
            if np.isnan(test.low):
                assert test.p_value == 1.0, test
                continue
            near += abs(test.p_value - (1 - confidence)) < 0.02
            assert (test.low > 0 or test.high < 0) == (test.p_value <= 1 - confidence + 1e-12), (repetition, test)
    assert near > 20


def test_alike_differences_are_found():
    """15 problems whose differences all lie near +.2 had p = 1e-4 beside an interval that held 0."""
    rng = np.random.default_rng(0)
    for n in (15, 16, 20, 40):
        differences = 0.2 + rng.normal(0, 0.01, size=n)
        test = paired_test(0.3 + differences, np.full(n, 0.3), rng=rng)
        assert (test.p_value <= 0.05) == (test.low > 0)
        assert test.verdict() == ("higher" if test.low > 0 else "not shown")


def test_rounding_contests_nothing():
    a = np.random.default_rng(0).random(50)
    test = paired_test(a, a * (1 + 2e-16) + 1e-17, rng=np.random.default_rng(0))
    assert (test.n_contested, test.p_value, test.difference) == (0, 1.0, 0.0)
    assert (
        bootstrap_ci(np.full(50, -3.0) + 1e-15 * a, rng=np.random.default_rng(0)).method == "none: no problems differ"
    )


@pytest.mark.parametrize("n", [6, 7, 11, 13, 14])
def test_two_sums_of_one_accuracy_contest_nothing(n):
    """A mean rounded to 12 digits and the mean itself, on many problems: no difference, however it is tested."""
    mean = np.repeat(np.arange(7) % 4, 10) / n
    test = paired_test(np.round(mean, 12), mean, rng=np.random.default_rng(0))
    assert (test.difference, test.n_contested, test.p_value) == (0.0, 0, 1.0)
    assert not paired_differences(np.round(mean, 12), mean, True).any()
    assert pseudo_units(np.round(mean, 12), mean, None) == pseudo_units(mean, mean, None)


def test_rounding_takes_no_part_in_a_family():
    rng = np.random.default_rng(0)
    real = rng.normal(0.1, 0.3, size=(40, 1))
    alone = step_down(real, [0.04], rng=np.random.default_rng(1), draws=2000)
    rounding = 1e-17 * rng.normal(size=(40, 5))
    beside = step_down(np.hstack([real, rounding]), [0.04, *[1.0] * 5], rng=np.random.default_rng(1), draws=2000)
    assert beside.tolist() == [alone[0], *[1.0] * 5]


@pytest.mark.parametrize("confidence", [0.3, 0.5, 0.8, 0.95])
def test_an_interval_holds_its_own_mean(confidence):
    for ones in (1, 5, 10):
        values = np.arange(10) < ones
        test = paired_test(values, np.zeros(10), rng=np.random.default_rng(0), confidence=confidence)
        assert test.low <= test.difference <= test.high


def test_limits_lie_where_numbers_can_be():
    values = np.append(-np.random.default_rng(1).random(29), -400.0)
    ci = bootstrap_ci(values, rng=np.random.default_rng(0), draws=199, support=NOT_ABOVE_0)
    assert (ci.high, ci.marked) == (0.0, True)
    assert bootstrap_ci(-values, rng=np.random.default_rng(0), draws=199, support=NOT_BELOW_0).low == 0.0
    assert bootstrap_ci(values, rng=np.random.default_rng(0), draws=199).high > 0.0
    with pytest.raises(ConfigError, match="outside their support"):
        bootstrap_ci(-values, rng=np.random.default_rng(0), draws=199, support=NOT_ABOVE_0)


def test_sampled_p_values_are_never_zero():
    rng = np.random.default_rng(0)
    test = paired_test(rng.normal(9, 1, 100), np.zeros(100), rng=rng, draws=1000)
    assert test.p_value == pytest.approx(2 / 1001)


@pytest.mark.parametrize("gap", [1.0, 0.5, 1e-8, -0.3, 40.0])
@pytest.mark.parametrize("n_problems", [1, 2, 30, 500])
def test_one_contested_problem_proves_nothing(gap, n_problems):
    b = np.zeros(n_problems)
    a = b.copy()
    a[0] = gap
    test = paired_test(a, b, rng=np.random.default_rng(0), draws=200)
    assert test.n_contested == 1
    assert test.p_value >= 0.5
    assert np.isnan(test.low) or test.low <= 0.0 <= test.high


def test_swapping_the_sides_changes_the_sign_only():
    rng = np.random.default_rng(0)
    a, b = rng.random(40), rng.random(40)
    one, two = (paired_test(x, y, rng=np.random.default_rng(1)) for x, y in ((a, b), (b, a)))
    assert one.difference == pytest.approx(-two.difference)
    assert one.p_value == pytest.approx(two.p_value, abs=0.02)


def test_paired_columns_equal_single_tests():
    rng = np.random.default_rng(0)
    a, b = rng.random((50, 4)), (rng.random((50, 1)) < 0.5).astype(float)
    together = paired_tests(a, b, rng=np.random.default_rng(1))
    for k in range(4):
        alone = paired_test(a[:, k], b[:, 0], rng=np.random.default_rng(1))
        assert alone.difference == together[k].difference
        assert alone.p_value == pytest.approx(together[k].p_value)
        assert (alone.low, alone.high) == (pytest.approx(together[k].low), pytest.approx(together[k].high))


def test_bad_input_to_paired_tests():
    rng = np.random.default_rng(0)
    with pytest.raises(ConfigError, match=r"shapes \(2,\) and \(3,\)"):
        paired_test([1, 0], [1, 0, 1], rng=rng)
    with pytest.raises(ConfigError, match="shapes"):
        paired_test([], [], rng=rng)
    with pytest.raises(ConfigError, match="not finite"):
        paired_test([1, np.inf], [1, 0], rng=rng)
    with pytest.raises(ConfigError, match="draws = 1"):
        paired_test([1, 0], [1, 0], rng=rng, draws=1)


def test_align_pairs_by_id_and_names_what_is_missing():
    ids_a, ids_b = ["x", "y", "z"], ["z", "x", "y"]
    assert [ids_b[i] for i in align(ids_a, ids_b)] == ids_a
    with pytest.raises(ConfigError, match="problem 'q7' is missing on the second side"):
        align(["x", "q7"], ["x"])
    with pytest.raises(ConfigError, match="problem 'q8' is missing on the first side"):
        align(["x"], ["x", "q8"])
    with pytest.raises(ConfigError, match="problem 'x' occurs twice on the first side"):
        align(["x", "x"], ["x"])
    with pytest.raises(ConfigError, match="problem 'x' occurs twice on the second side"):
        align(["x"], ["x", "x"])


# --- families and power


def test_holm_by_hand():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.6, 0.7]), [1.0, 1.0])
    assert holm([]).shape == (0,)
    for bad in ([0.1, np.nan], [1.2], [[0.1]]):
        with pytest.raises(ConfigError, match="between 0 and 1"):
            holm(bad)


def test_power_is_what_it_says():
    rng = np.random.default_rng(0)
    pilot = rng.choice([-1.0, 0.0, 1.0], p=[0.1, 0.8, 0.1], size=2000)
    n = problems_needed(pilot, 0.06, pseudo=1.5)
    assert n == pytest.approx((1.959964 + 0.841621) ** 2 * pilot.var() / 0.06**2, rel=0.04)
    found = []
    for _ in range(400):
        d = rng.choice([-1.0, 0.0, 1.0], p=[0.07, 0.8, 0.13], size=n)
        found.append(paired_test(d > 0, d < 0, rng=rng, draws=100).p_value <= 0.05)
    assert abs(np.mean(found) - 0.8) < 0.08
    assert detectable_difference(pilot, pseudo=1.5) == pytest.approx(0.06 * np.sqrt(n / 2000), rel=0.02)
    assert problems_needed(pilot, -0.06, pseudo=1.5) == n


def test_power_without_spread_is_unknown():
    for flat in ([], [0.1], [0.0] * 30, [0.0, 1.0] * 9):
        assert detectable_difference(flat) is None
        assert problems_needed(flat, 0.01) is None
    with pytest.raises(ConfigError, match="difference of 0"):
        problems_needed([0.0, 1.0], 0.0)
    with pytest.raises(ConfigError, match="power = 80"):
        detectable_difference([0.0, 1.0], power=80)
