"""What explains the lift: closed forms against brute force, hand-worked values, coverage in a simulation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bon_eval.analysis.analyse import analyse
from bon_eval.analysis.explain import Explanation, saturation_n
from bon_eval.analysis.shapes import histogram_edges, length_deciles
from bon_eval.errors import ConfigError
from bon_eval.estimators import within_problem_auroc
from bon_eval.records import Pool, Problem
from bon_eval.stats import detectable_difference, problems_needed
from bon_eval.stats.closed_form import ratio_interval
from bon_eval.store.reader import Run


@pytest.fixture
def run(make_hand_run: Callable[[], Run]) -> Run:
    """The run of three problems of tests/analysis/test_analyse.py; correct by rank: a 1 1 0 0, b 1 0 0 0, c 0 0 0 1."""
    return make_hand_run()


def random_run(rng: np.random.Generator, n_problems: int, n: int) -> Run:
    ids = tuple(f"p{i}" for i in range(n_problems))

    def arm(width: int) -> Pool:
        shape = (n_problems, width)
        correct = rng.random(shape) < 0.5
        return Pool(
            problem_ids=ids,
            log_likelihood=-rng.gamma(4.0, 2.0, shape) - 1.0 + correct,
            n_tokens=rng.integers(1, 60, shape, dtype=np.int32),
            truncated=rng.random(shape) < 0.02,
            correct=correct,
            unscored=np.zeros(shape, dtype=np.bool_),
            answer_class=np.where(correct, 0, rng.integers(1, 5, shape)).astype(np.int32),
        )

    problems = tuple(Problem(problem_id, {}, "1") for problem_id in ids)
    meta = {"config": {"n": n}, "versions": {}, "engine": {}, "state": "sampled"}
    return Run(Path(), meta, problems, arm(1), arm(n), {"name": "gsm8k", "version": "1"}, np.zeros(n_problems))


def explained(run: Run, **options: Any) -> Explanation:
    return analyse(run, draws=200, **options).explanation


# --- AUROC


@pytest.mark.parametrize("levels", [2, 5, 10_000])
def test_auroc_equals_the_count_of_pairs(levels: int) -> None:
    rng = np.random.default_rng(levels)
    scores = rng.integers(0, levels, size=(60, 13)) / 7.0
    correct = rng.random((60, 13)) < rng.random((60, 1))
    found = within_problem_auroc(scores, correct)
    for row in range(60):
        right, wrong = scores[row, correct[row]], scores[row, ~correct[row]]
        if len(right) and len(wrong):
            gap = right[:, None] - wrong[None]
            assert found[row] == pytest.approx(((gap > 0) + 0.5 * (gap == 0)).mean(), abs=1e-14)
        else:
            assert np.isnan(found[row])


def test_auroc_takes_infinities_and_refuses_nan() -> None:
    assert within_problem_auroc([[np.inf, 1.0, -np.inf]], [[1, 0, 0]]).tolist() == [1.0]
    with pytest.raises(ConfigError, match="NaN"):
        within_problem_auroc([[np.nan, 1.0]], [[1, 0]])
    with pytest.raises(ConfigError, match="other than 0 and 1"):
        within_problem_auroc([[2.0, 1.0]], [[0.5, 0]])


def test_auroc_by_hand(run: Run) -> None:
    rows = {row.scorer: row for row in explained(run).scorers}
    # a: all four pairs right; b: all three; c: none of three.
    likely = rows["log_likelihood"]
    assert likely.auroc is not None
    assert likely.auroc.estimate == pytest.approx(2 / 3)
    assert (likely.auroc_problems, likely.n_tokens) == (3, pytest.approx(8 / 3))
    # a: lengths 4 2 | 2 8: 1 win of (4, 8), (2, 8), 0 of (4, 2), half of (2, 2); b: 2 | 3 4 5; c: 4 | 2 3 1.
    shortest = rows["shortest"].auroc
    assert shortest is not None
    assert shortest.estimate == pytest.approx((2.5 / 4 + 1 + 0) / 3)


def test_no_auroc_where_no_pool_holds_both_kinds(run: Run) -> None:
    solved = replace(run, pool=replace(run.pool, correct=np.ones((3, 4), dtype=np.bool_)))
    rows = explained(solved).scorers
    assert {(row.auroc, row.auroc_problems, row.saturation_n, row.is_flat) for row in rows} == {(None, 0, None, False)}
    failed = replace(run, pool=replace(run.pool, correct=np.zeros((3, 4), dtype=np.bool_)))
    assert {row.saturation_n for row in explained(failed).scorers} == {None}


# --- saturation, ranks, power


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.5, 0.5, 0.5], 1),
        ([0.1, 0.495, 0.5], 2),
        ([0.1, 0.494, 0.5], 3),
        # Within the band, outside again: only the last stretch counts.
        ([0.5, 0.6, 0.5, 0.5], 3),
        ([0.0, 0.0], None),
        ([0.2], 1),
    ],
)
def test_saturation(values: list[float], expected: int | None) -> None:
    assert saturation_n(dict(enumerate(values, start=1))) == expected


def test_greedy_rank_by_hand(run: Run) -> None:
    rank = explained(run).greedy_rank
    # a: two responses are sharper; b: none; c: one, which is the greedy response over again.
    assert (rank.mean.estimate, rank.median) == (pytest.approx((3 + 1 + 1) / 3), 1.0)
    assert (rank.quartile_low, rank.quartile_high) == (1.0, 2.0)
    assert 1.0 <= rank.mean.low <= rank.mean.estimate <= rank.mean.high <= 5.0


def test_a_greedy_rank_of_one_everywhere_stays_between_one_and_n_plus_one(run: Run) -> None:
    sharp = replace(run, greedy=replace(run.greedy, log_likelihood=np.full((3, 1), -0.5)))
    rank = explained(sharp).greedy_rank
    assert (rank.mean.estimate, rank.mean.low) == (1.0, 1.0)
    assert 1.0 < rank.mean.high <= 5.0


def test_power_is_of_best_of_n_minus_each_arm_and_of_the_test_that_decides(run: Run) -> None:
    for power in explained(run).power:
        assert (power.detectable, set(power.problems.values())) == (None, {None}), "three problems say nothing"
    times = 8
    ids = tuple(f"{i}-{k}" for k in range(times) for i in run.pool.problem_ids)
    rows = list(range(3)) * times
    golds = [replace(p, id=f"{p.id}-{k}") for k in range(times) for p in run.problems]
    pool, greedy = (replace(p.take(rows), problem_ids=ids) for p in (run.pool, run.greedy))
    many = replace(run, pool=pool, greedy=greedy, problems=tuple(golds))
    against = {power.against: power for power in explained(many).power}
    # best-of-4: 1 1 0; greedy: 0 1 0; sample: 1/2 1/4 1/4, each eight times.
    first = detectable_difference([1.0, 0.0, 0.0] * times, pseudo=1.5)
    assert against["greedy"].detectable == pytest.approx(first)
    assert against["sample"].detectable == pytest.approx(detectable_difference([0.5, 0.75, -0.25] * times, pseudo=1.5))
    assert list(against["greedy"].problems) == [1, 2, 5]
    assert against["greedy"].problems[5] == problems_needed([1.0, 0.0, 0.0] * times, 0.05, pseudo=1.5)
    alike = replace(
        many, pool=replace(pool.take([0] * 24), problem_ids=ids), greedy=replace(greedy.take([0] * 24), problem_ids=ids)
    )
    for power in explained(alike).power:
        assert (power.detectable, set(power.problems.values())) == (None, {None})


# --- lengths


def test_length_deciles_never_split_a_length_and_are_about_equal() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.geometric(0.02, size=(300, 16)).astype(np.int32)
    decile = length_deciles(lengths)
    for d in range(9):
        assert lengths[decile == d].max() < lengths[decile == d + 1].min()
    shares = np.bincount(decile.ravel(), minlength=10) / decile.size
    assert np.abs(shares - 0.1).max() < 0.02
    assert set(length_deciles(np.full((4, 4), 7, dtype=np.int32)).ravel().tolist()) == {5}


def test_length_rows_cover_all_responses_and_all_picks() -> None:
    run = random_run(np.random.default_rng(3), 60, 12)
    rows = explained(run).lengths
    assert [row.decile for row in rows] == list(range(1, 11))
    assert sum(row.responses for row in rows) == 60 * 12
    for scorer in ("log_likelihood", "shortest", "random"):
        assert sum(row.picked[scorer] for row in rows) == pytest.approx(1.0)
    assert rows[0].picked["shortest"] > 0.7
    for row in rows:
        inside = (run.pool.n_tokens >= row.tokens_low) & (run.pool.n_tokens <= row.tokens_high)
        assert row.responses == inside.sum()
        assert row.accuracy.estimate == pytest.approx(run.pool.correct[inside].mean())
        assert row.log_likelihood == pytest.approx(run.pool.log_likelihood[inside].mean())
        assert 0.0 <= row.accuracy.low < row.accuracy.estimate < row.accuracy.high <= 1.0


def test_ratio_interval_of_single_answers_is_nearly_wilsons() -> None:
    right = np.array([1.0] * 300 + [0.0] * 700)
    low, high, method = ratio_interval(right, np.ones(1000), 0.95)
    assert (low, high) == (pytest.approx(0.27241, abs=3e-4), pytest.approx(0.32914, abs=3e-4))
    assert method == "wilson-design ratio"
    # A problem without a response of that length changes nothing.
    padded = ratio_interval(np.append(right, 0.0), np.append(np.ones(1000), 0.0), 0.95)
    assert padded == (low, high, method)


def test_ratio_interval_without_spread_is_wide() -> None:
    none = ratio_interval(np.zeros(40), np.full(40, 16.0), 0.95)
    assert (none[0], 0.05 < none[1] < 0.15) == (0.0, True)
    one = ratio_interval(np.array([3.0]), np.array([4.0]), 0.95)
    assert (one[0] < 0.2, one[1] > 0.95) == (True, True)


@pytest.mark.parametrize(
    ("n_problems", "mean", "concentration"), [(30, 0.3, 2.0), (100, 0.5, 2.0), (100, 0.05, 2.0), (200, 0.9, 0.5)]
)
def test_ratio_interval_covers_the_truth(n_problems: int, mean: float, concentration: float) -> None:
    """Easy problems have more responses of the length, so the ratio is not the mean of the problems' shares."""
    rng = np.random.default_rng([7, n_problems])

    def drawn(count: int) -> tuple[np.ndarray, np.ndarray]:
        p = rng.beta(mean * concentration, (1 - mean) * concentration, size=count)
        sizes = rng.binomial(16, 0.05 + 0.3 * p)
        return rng.binomial(sizes, p).astype(float), sizes.astype(float)

    right, sizes = drawn(2_000_000)
    truth = right.sum() / sizes.sum()
    inside = []
    for _ in range(1000):
        right, sizes = drawn(n_problems)
        low, high, _ = ratio_interval(right, sizes, 0.95)
        inside.append(low <= truth <= high)
    assert 0.93 <= np.mean(inside) <= 0.985


# --- histograms


def test_histograms_hold_every_response_once_despite_outliers() -> None:
    run = random_run(np.random.default_rng(4), 50, 16)
    likelihood = run.pool.log_likelihood.copy()
    likelihood[0, 0], likelihood[1, 1] = -9e5, -1e-9
    run = replace(run, pool=replace(run.pool, log_likelihood=likelihood))
    raw, per_token = explained(run).histograms
    values = {raw.quantity: likelihood, per_token.quantity: likelihood / run.pool.n_tokens}
    for histogram in (raw, per_token):
        edges = np.array(histogram.edges)
        assert (np.diff(edges) > 0).all()
        assert len(edges) - 1 == len(histogram.correct) == len(histogram.incorrect) <= 42
        assert (edges[0], edges[-1] >= values[histogram.quantity].max()) == (values[histogram.quantity].min(), True)
        for counts, kind in ((histogram.correct, run.pool.correct), (histogram.incorrect, ~run.pool.correct)):
            assert list(counts) == np.histogram(values[histogram.quantity][kind], edges)[0].tolist()
        assert np.count_nonzero(np.array(histogram.correct) + np.array(histogram.incorrect)) > 12


@pytest.mark.parametrize("values", [[-3.0], [-3.0] * 9, [-3.0, -3.0 + 1e-15], [-5.0] * 200 + [-1.0]])
def test_edges_of_values_that_hardly_differ(values: list[float]) -> None:
    edges = histogram_edges(np.array(values))
    assert (np.diff(edges) > 0).all()
    assert (edges[0] <= min(values), edges[-1] >= max(values)) == (True, True)


# --- variants


def test_without_truncated_is_the_table_of_exclude_truncated() -> None:
    run = random_run(np.random.default_rng(5), 80, 8)
    analysis = analyse(run, draws=300, seed=2)
    [variant] = analysis.variants
    alone = analyse(run, draws=300, seed=2, exclude_truncated=True)
    assert (variant.name, variant.n_problems) == ("without truncated", alone.n_problems)
    assert variant.n_problems < 80
    assert f"the {alone.n_problems} of 80 problems" in variant.note
    for row, other in zip(variant.arms, alone.arms, strict=True):
        assert (row.name, row.accuracy.method) == (other.name, other.accuracy.method)
        numbers = [(r.accuracy.estimate, r.accuracy.low, r.accuracy.high) for r in (row, other)]
        assert numbers[0] == pytest.approx(numbers[1], abs=1e-9)
    assert "leaves out" in alone.variant_reasons["without truncated"]
    assert analysis.variant_reasons == {"strict format": "the grades hold no verdicts under a strict format"}


def test_strict_format_takes_the_strict_verdicts(run: Run) -> None:
    strict = run.pool.correct.copy()
    strict[0, 0] = False
    none = np.zeros((3, 4), dtype=np.bool_)
    greedy = replace(run.greedy, correct_strict=run.greedy.correct, unscored_strict=run.greedy.unscored)
    pool = replace(run.pool, correct_strict=strict, unscored_strict=none)
    graded = replace(run, greedy=greedy, pool=pool)
    analysis = analyse(graded)
    variant = next(v for v in analysis.variants if v.name == "strict format")
    rows = {row.name: row for row in variant.arms}
    # a's likeliest response is correct under lenient grading only.
    assert rows["best-of-4 log_likelihood"].accuracy.estimate == pytest.approx(1 / 3)
    assert analysis.arms[3].accuracy.estimate == pytest.approx(2 / 3)
    assert rows["greedy"].accuracy == analysis.arms[0].accuracy
    # Its own share without a verdict: the strict format has none here, lenient grading has one of twelve.
    assert (rows["sample"].unscored, analysis.arms[1].unscored) == (0.0, pytest.approx(1 / 12))


def test_strict_format_that_changes_nothing_is_left_out(run: Run) -> None:
    same = {
        arm: replace(pool, correct_strict=pool.correct, unscored_strict=pool.unscored)
        for arm, pool in (("greedy", run.greedy), ("pool", run.pool))
    }
    analysis = analyse(replace(run, **same))
    assert [variant.name for variant in analysis.variants] == ["without truncated"]
    assert "same under the strict format" in analysis.variant_reasons["strict format"]


def test_strict_verdicts_come_with_their_unscored_share(run: Run) -> None:
    with pytest.raises(ValueError, match="unscored_strict is missing"):
        replace(run.pool, correct_strict=run.pool.correct)
    with pytest.raises(ConfigError, match="no verdicts under a strict format"):
        run.pool.under_strict_format()
    cut = replace(run, pool=replace(run.pool, truncated=np.ones((3, 4), dtype=np.bool_)))
    assert "every problem" in analyse(cut).variant_reasons["without truncated"]
    uncut = replace(run, pool=replace(run.pool, truncated=np.zeros((3, 4), dtype=np.bool_)))
    assert "no response was truncated" in analyse(uncut).variant_reasons["without truncated"]
