"""Clusters of problems: estimates as without, intervals over clusters, by hand and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bon_eval.errors import ConfigError
from bon_eval.estimators.amortised import amortised_share
from bon_eval.estimators.coverage import log_coverage_interval
from bon_eval.estimators.equivalent_n import kl_divergence, sharpening_equivalent_n
from bon_eval.estimators.explained import explained_gain
from bon_eval.records import Problem
from bon_eval.stats import bootstrap_ci, bootstrap_cis, paired_test, paired_tests, step_down
from bon_eval.stats.closed_form import ratio_interval, student_t
from bon_eval.stats.clusters import alike_size, clusters_of
from bon_eval.stats.paired import linear_units, pseudo_units
from bon_eval.stats.ratios import relative_difference


def test_the_estimate_is_the_mean_over_problems() -> None:
    rng = np.random.default_rng(0)
    clusters = np.repeat(np.arange(25), rng.integers(1, 9, size=25))
    values = rng.random((len(clusters), 3))
    assert linear_units(values, clusters, 0.95)[0].mean(axis=0) == pytest.approx(values.mean(axis=0))
    plain = bootstrap_cis(values, rng=rng, draws=200)
    for found, other in zip(bootstrap_cis(values, rng=rng, draws=200, clusters=clusters), plain, strict=True):
        assert found.estimate == pytest.approx(other.estimate)
        assert found.method == "wilson-design ratio"
    tests = paired_tests(values, values[:, ::-1], rng=rng, draws=200, clusters=clusters)
    assert [t.difference for t in tests] == pytest.approx((values - values[:, ::-1]).mean(axis=0).tolist())


def test_shares_are_a_ratio_over_clusters() -> None:
    clusters, values = np.repeat(np.arange(12), [2, 2] * 5 + [3, 1]), np.array([1, 1, 0, 0] * 6, dtype=float)
    found = bootstrap_ci(values, rng=np.random.default_rng(0), clusters=clusters)
    by_hand = ratio_interval(np.array([2.0, 0.0] * 6), np.array([2.0, 2.0] * 5 + [3.0, 1.0]), 0.95)
    assert (found.low, found.high, found.method) == by_hand
    # Of one size the clusters' own means are the values.
    alike = bootstrap_ci(values, rng=np.random.default_rng(0), clusters=np.repeat(np.arange(12), 2))
    assert alike == bootstrap_ci([1.0, 0.0] * 6, rng=np.random.default_rng(0))
    alone = bootstrap_ci(values, rng=np.random.default_rng(0))
    assert found.high - found.low > 1.2 * (alone.high - alone.low)


def test_clusters_of_one_problem_are_the_problems() -> None:
    values = np.random.default_rng(0).normal(size=40)
    one, other = (
        paired_test(values, np.zeros(40), rng=np.random.default_rng(1), share=False, draws=500, clusters=clusters)
        for clusters in (None, np.arange(40))
    )
    assert (one.low, one.high, one.p_value) == pytest.approx((other.low, other.high, other.p_value))
    assert one.signs == other.signs


def test_repeating_every_problem_ten_times_changes_nothing() -> None:
    values = np.random.default_rng(0).normal(size=30)
    many, clusters = np.repeat(values, 10), np.repeat(np.arange(30), 10)
    alone = paired_test(values, np.zeros(30), rng=np.random.default_rng(1), share=False, draws=999)
    found = paired_test(many, np.zeros(300), rng=np.random.default_rng(1), share=False, draws=999, clusters=clusters)
    assert (found.low, found.high, found.p_value) == pytest.approx((alone.low, alone.high, alone.p_value))
    low, high = student_t(values, 0.95)
    assert found.low <= low + 1e-9
    assert found.high >= high - 1e-9
    p = [
        step_down(d, [0.01, 0.02], rng=np.random.default_rng(2), clusters=c).tolist()
        for d, c in (
            (np.column_stack([values, -values]), None),
            (np.column_stack([many, -many]), clusters),
        )
    ]
    assert p[0] == pytest.approx(p[1])


def test_few_clusters_have_no_interval_of_nats() -> None:
    values = np.random.default_rng(0).normal(size=90)
    found = paired_test(values, np.zeros(90), rng=np.random.default_rng(1), clusters=np.repeat(np.arange(9), 10))
    assert np.isnan(found.low)
    assert (found.method, found.p_value) == ("none: 9 clusters; from 10 on", 1.0)


def test_bad_clusters() -> None:
    rng = np.random.default_rng(0)
    for clusters, message in (
        ([0, 1], "clusters have shape"),
        ([0, 0, 2], "without gaps"),
        ([0.0, 1.0, 1.0], "whole number"),
    ):
        with pytest.raises(ConfigError, match=message):
            bootstrap_ci([0.1, 0.2, 0.3], rng=rng, clusters=clusters)


def test_a_column_names_the_clusters() -> None:
    problems = [
        Problem("a", {"source": "x", "q": "?"}, "1"),
        Problem("b", {"source": "y", "q": "?"}, "1"),
        Problem("c", {"source": "x", "q": "?"}, "1"),
    ]
    assert clusters_of(problems, ["c", "b", "a"], "source").tolist() == [0, 1, 0]
    with pytest.raises(ConfigError, match="no column 'page' to cluster by; the run stored: q, source"):
        clusters_of(problems, ["a"], "page")


def test_a_cluster_for_each_problem_changes_no_number() -> None:
    generator = np.random.default_rng(3)
    n, own = 120, np.arange(120)
    pool, log_likelihood = generator.random((n, 6)) < 0.4, -generator.gamma(2.0, size=(n, 6))
    greedy, sample = (generator.random(n) < 0.5).astype(float), pool.mean(axis=1)
    tuned, tuned_ll = np.clip(sample + 0.2 * generator.random(n), 0, 1), log_likelihood.mean(axis=1) + 0.2

    def numbers(clusters: np.ndarray | None) -> list[object]:
        def rng() -> np.random.Generator:
            return np.random.default_rng(0)

        options = {"draws": 200, "clusters": clusters}
        columns = np.column_stack([greedy, sample, -log_likelihood[:, 0]])
        lift = paired_test(sample, greedy, rng=rng(), **options)
        gain = paired_test(tuned, sample, rng=rng(), **options)
        return [
            bootstrap_cis(columns, rng=rng(), **options),
            paired_tests(columns, columns[:, ::-1], rng=rng(), **options),
            [paired_test(a, b, rng=rng(), **options) for a in (greedy, sample) for b in (greedy, tuned)],
            relative_difference(sample, greedy, lift, clusters=clusters),
            pseudo_units(sample, greedy, clusters),
            linear_units(columns, clusters, 0.95)[0].tolist(),
            step_down(columns - 0.5, [0.01, 0.02, 0.5], rng=rng(), draws=200, clusters=clusters).tolist(),
            sharpening_equivalent_n(log_likelihood, log_likelihood, tuned_ll, rng=rng(), **options),
            kl_divergence(log_likelihood, log_likelihood - 0.1 * pool, rng=rng(), **options),
            log_coverage_interval(-generator_values, rng=rng(), **options),
            amortised_share(tuned, sample, tuned, gain="higher", possible=gain, clusters=clusters),
            explained_gain(
                log_likelihood, pool, tuned_ll, tuned, gain="higher", sharper="higher", rng=rng(), **options
            ),
        ]

    generator_values = generator.random(n)
    assert str(numbers(own)) == str(numbers(None))


def test_clusters_that_say_nothing_new_say_nothing_new() -> None:
    """Every problem twice: the numbers of the problems once, whatever takes clusters."""
    generator = np.random.default_rng(4)
    a, b = generator.random(40), generator.random(40)
    lift = paired_test(a, b, rng=np.random.default_rng(0), draws=200)
    twice = [np.repeat(x, 2) for x in (a, b)]
    clusters = np.repeat(np.arange(40), 2)
    found = paired_test(*twice, rng=np.random.default_rng(0), draws=200, clusters=clusters)
    assert (found.low, found.high, found.p_value) == pytest.approx((lift.low, lift.high, lift.p_value))
    ratio, plain = (
        relative_difference(x, y, test, clusters=c) for x, y, test, c in ((*twice, found, clusters), (a, b, lift, None))
    )
    assert (ratio.low, ratio.high) == pytest.approx((plain.low, plain.high))
    kl = kl_divergence(twice[0][:, None], twice[1][:, None], rng=np.random.default_rng(0), draws=200, clusters=clusters)
    once = kl_divergence(a[:, None], b[:, None], rng=np.random.default_rng(0), draws=200)
    assert (kl.low, kl.high, kl.standard_error) == pytest.approx((once.low, once.high, once.standard_error))


@pytest.mark.parametrize("count", [1, 2, 4, 5, 9])
@pytest.mark.parametrize("equal", [True, False])
def test_few_clusters_crash_nothing(count: int, equal: bool) -> None:
    sizes = np.full(count, 7) if equal else np.arange(count) + 7
    clusters, rng = np.repeat(np.arange(count), sizes), np.random.default_rng(count)
    right = (rng.random((len(clusters), 2)) < 0.5).astype(float)
    options = {"rng": rng, "draws": 200, "clusters": clusters}
    [share, nats] = bootstrap_cis(np.column_stack([right[:, 0], 9 * rng.random(len(right))]), **options)
    test = paired_test(right[:, 0], right[:, 1], **options)
    word = "cluster" if count == 1 else "clusters"
    assert nats.method == f"none: {count} {word}; from {2 if count == 1 else 10} on"
    if count == 1:
        assert (share.method, test.method) == ("none: 1 cluster; from 2 on",) * 2
        assert share.estimate == right[:, 0].mean()
    else:
        assert 0.0 <= share.low < share.high <= 1.0
        assert test.method.startswith("none" if count < 5 else "pseudo-t")
    ratio = relative_difference(right[:, 0], right[:, 1], test, clusters=clusters)
    assert math.isnan(ratio.low) == (count < 5)
    assert test.p_value == 1.0 or count >= 5


def test_one_giant_cluster_leaves_no_nats() -> None:
    clusters = np.repeat(np.arange(40), [200] + [10] * 39)
    values = np.random.default_rng(0).normal(size=len(clusters))
    found = bootstrap_ci(values, rng=np.random.default_rng(1), draws=200, clusters=clusters)
    assert found.method == "none: 40 clusters of unequal sizes count as 7.9; from 10 on"
    assert log_coverage_interval(-np.abs(values), rng=np.random.default_rng(1), clusters=clusters).method == (
        "none: 40 clusters; from 100 on"
    )
    many = np.repeat(np.arange(120), [400] + [10] * 119)
    found = log_coverage_interval(-np.ones(len(many)), rng=np.random.default_rng(1), clusters=many)
    assert found.method == "none: 120 clusters of unequal sizes count as 14.7; from 100 on"


def test_pseudo_clusters_count_what_is_alike() -> None:
    sizes = np.full(30, 10.0)
    clusters = np.repeat(np.arange(30), 10)
    whole = np.repeat([1.0, -1.0, 0.0] * 10, 10)
    assert alike_size(whole, np.bincount(clusters, weights=whole), sizes) == pytest.approx(1.0)
    apart = np.random.default_rng(0).choice([1.0, -1.0], size=300)
    found = alike_size(apart, np.bincount(clusters, weights=apart), sizes)
    residual = np.bincount(clusters, weights=apart - apart.mean())
    seen = np.abs(residual - np.median(residual)).sum() ** 2 / ((residual - np.median(residual)) ** 2).sum()
    effect = (residual @ residual) / 29 * 30 / ((apart - apart.mean()) ** 2).sum() * 299 / 300
    assert found == pytest.approx((seen * max(effect, 1.0) / 10 + 4) / (seen + 4))
    assert 0.1 < found < 0.4


def test_columns_of_any_type_name_clusters() -> None:
    values: list[object] = [["a", 1], ["a", 1], 3, "3", 3, {"x": 1}]
    problems = [Problem(str(i), {"source": value}, "1") for i, value in enumerate(values)]  # type: ignore[dict-item]
    assert clusters_of(problems, [str(i) for i in range(6)], "source").tolist() == [0, 0, 1, 2, 1, 3]
    for nothing in (None, "", []):
        problems[2] = Problem("2", {"source": nothing}, "1")  # type: ignore[dict-item]
        with pytest.raises(ConfigError, match="problem 2 has no value in column 'source' to cluster by"):
            clusters_of(problems, [str(i) for i in range(6)], "source")


def cluster_sizes(kind: str, count: int, rng: np.random.Generator) -> np.ndarray:
    if kind == "10":
        return np.full(count, 10)
    if kind == "1 to 19":
        return rng.integers(1, 20, size=count)
    if kind == "4 or 32":
        return rng.permutation(np.where(np.arange(count) < count // 5, 32, 4))
    return np.where(np.arange(count) == 0, 5 * (count - 1), 10)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["10", "1 to 19", "4 or 32", "a third in one"])
@pytest.mark.parametrize("correlation", [0.5, 0.1])
@pytest.mark.parametrize("count", [20, 30, 50])
def test_clusters_of_any_sizes(count: int, correlation: float, kind: str) -> None:
    """600 trials: .925 is .93 within a standard error. A lift raises all chances of two clusters in five."""
    rng, total = np.random.default_rng([count, int(100 * correlation)]), 1 / correlation - 1
    inside: dict[str, list[bool]] = {}
    wrong: dict[str, list[bool]] = {}
    for _ in range(600):
        sizes = cluster_sizes(kind, count, rng)
        of = np.repeat(np.arange(count), sizes)
        p, q = (rng.beta(0.4 * total, 0.6 * total, size=count)[of] for _ in range(2))
        better = p + 0.25 * (1 - p) * (rng.random(count) < 0.4)[of] / 0.4
        one, other, risen = ((rng.random(len(of)) < chance).astype(float) for chance in (p, q, better))
        pool, others, pool_risen = (rng.binomial(16, chance) / 16 for chance in (p, q, better))
        options = {"rng": rng, "draws": 199, "clusters": of}
        for name, share in zip(("single", "pool"), bootstrap_cis(np.column_stack([one, pool]), **options), strict=True):
            inside.setdefault(name, []).append(share.low <= 0.4 <= share.high)
        tests = paired_tests(
            np.column_stack([risen, risen, pool_risen, other, others]),
            np.column_stack([one, pool, pool, one, pool]),
            **options,
        )
        for k, test in enumerate(tests):
            if k < 3:
                inside.setdefault(f"lift {k}", []).append(test.low <= 0.15 <= test.high)
            else:
                wrong.setdefault(f"null {k}", []).append(test.p_value <= 0.05)
        normal = math.sqrt(correlation) * rng.normal(size=count)[of] + math.sqrt(1 - correlation) * rng.normal(
            size=len(of)
        )
        nats = paired_test(np.exp(0.8 * normal) - math.exp(0.32), np.zeros(len(of)), share=False, **options)
        if math.isnan(nats.low):
            assert sizes.sum() ** 2 / (sizes @ sizes) < 10
        elif not nats.marked:
            inside.setdefault("nats", []).append(nats.low <= 0.0 <= nats.high)
    for name, found in inside.items():
        assert np.mean(found) >= (0.925 if len(found) > 100 else 0.8), name
    for name, found in wrong.items():
        assert np.mean(found) <= 0.06 + 0.01, name


@pytest.mark.slow
@pytest.mark.parametrize("equal", [True, False])
@pytest.mark.parametrize("count", [20, 50])
def test_clusters_of_ten_with_a_correlation_of_one_half_are_covered(count: int, equal: bool) -> None:
    """Problem by problem, the interval of greedy's accuracy covers 62 to 71 % here."""
    rng = np.random.default_rng([count, equal])
    covered: dict[str, list[bool]] = {}
    for _ in range(500):
        sizes = np.full(count, 10) if equal else 1 + rng.geometric(0.11, size=count)
        clusters = np.repeat(np.arange(count), sizes)
        p = rng.beta(0.4, 0.6, size=count)[clusters]  # correlation 1 / (0.4 + 0.6 + 1)
        greedy, pool = (rng.random(len(p)) < p).astype(float), rng.binomial(16, p) / 16
        better = p + 0.4 * rng.random(count)[clusters] * (1 - p)
        nats = rng.normal(size=count)[clusters] + rng.normal(size=len(p))
        options = {"rng": rng, "draws": 399, "clusters": clusters}
        for name, found, truth in (
            ("greedy", bootstrap_ci(greedy, **options), 0.4),
            ("pool", bootstrap_ci(pool, **options), 0.4),
            ("lift", paired_test((rng.random(len(p)) < better).astype(float), greedy, **options), 0.12),
            ("nats", paired_test(nats, np.zeros(len(p)), share=False, **options), 0.0),
        ):
            if not np.isnan(found.low):  # nats of clusters that count as fewer than ten
                covered.setdefault(name, []).append(found.low <= truth <= found.high)
    for name, found in covered.items():
        assert np.mean(found) >= 0.93, name


@pytest.mark.parametrize(
    ("sizes", "p", "q"),
    [
        ([60] * 3 + [4] * 57, 0.9, 0.05),
        ([25] * 4 + [3] * 36, 0.8, 0.05),
        ([50] + [2] * 99, 0.8, 0.05),
        ([10] * 20, 0.97, 0.4),
        ([20] * 20, 0.9, 0.3),
    ],
)
def test_large_differences_of_independent_problems_in_clusters_are_covered(
    sizes: list[int], p: float, q: float
) -> None:
    """Pseudo-clusters must not pull the interval off a difference that nearly every problem shows."""
    rng, clusters = np.random.default_rng(0), np.repeat(np.arange(len(sizes)), sizes)
    inside = []
    for _ in range(150):
        a, b = ((rng.random(len(clusters)) < chance).astype(float) for chance in (p, q))
        test = paired_test(a, b, rng=rng, draws=199, clusters=clusters)
        assert test.low <= test.difference <= test.high
        inside.append(test.low <= p - q <= test.high)
    assert np.mean(inside) >= 0.93
