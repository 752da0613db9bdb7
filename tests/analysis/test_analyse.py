"""The analysis of a run of three problems with a pool of four, every cell of which is known by hand.

Rank weights at N = 4 (best first): n = 1: 1/4 each; n = 2: 3/6, 2/6, 1/6, 0; n = 4: 1, 0, 0, 0.
By log-likelihood the pools are already in order, so values by rank are a: 1 1 0 0, b: 1 0 0 0, c: 0 0 0 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bon_eval.analysis import arms
from bon_eval.analysis.analyse import analyse
from bon_eval.analysis.results import Analysis, ArmRow
from bon_eval.analysis.settings import default_ns
from bon_eval.errors import ConfigError, StoreError
from bon_eval.estimators import best_of_n
from bon_eval.records import Pool, Problem
from bon_eval.stats import holm
from bon_eval.store.reader import Run


@dataclass(frozen=True)
class HandRun:
    meta: dict[str, Any]
    problems: tuple[Problem, ...]
    greedy: Pool
    pool: Pool
    grader: dict[str, str]


@pytest.fixture
def run(make_hand_run: Callable[[], Run]) -> HandRun:
    """Three problems with a pool of four, worked out by hand below; what is analysed need not be a stored run."""
    made = make_hand_run()
    return HandRun(made.meta, made.problems, made.greedy, made.pool, made.grader)


def arm(analysis: Analysis, name: str) -> ArmRow:
    return next(row for row in analysis.arms if row.name == name)


def test_rows_of_the_table_in_order(run: HandRun) -> None:
    names = [row.name for row in analyse(run).arms]
    assert names == [
        "greedy",
        "sample",
        "best-of-2 log_likelihood",
        "best-of-4 log_likelihood",
        "best-of-4 mean_log_likelihood",
        "best-of-4 shortest",
        "best-of-4 random",
        "vote-of-4",
        "oracle-of-4",
    ]


@pytest.mark.parametrize(
    ("name", "accuracy"),
    [
        ("greedy", 1 / 3),
        ("sample", (2 / 4 + 1 / 4 + 1 / 4) / 3),
        ("best-of-2 log_likelihood", (5 / 6 + 3 / 6 + 0) / 3),
        ("best-of-4 log_likelihood", 2 / 3),
        # a: -0.25 wins (correct); b: -0.5 (correct); c: -0.9995 (wrong).
        ("best-of-4 mean_log_likelihood", 2 / 3),
        # a: a tie of a correct and a wrong response of two tokens; b: two tokens, correct; c: one token, wrong.
        ("best-of-4 shortest", (0.5 + 1 + 0) / 3),
        # a: class 0 (correct) has two votes; b: class 1 (wrong) has two; c: class 0 (wrong) has two.
        ("vote-of-4", 1 / 3),
        ("oracle-of-4", 1.0),
    ],
)
def test_accuracy_and_lift_by_hand(run: HandRun, name: str, accuracy: float) -> None:
    row = arm(analyse(run), name)
    assert row.accuracy.estimate == pytest.approx(accuracy, abs=1e-12)
    assert row.accuracy.low <= accuracy + 1e-9
    assert row.accuracy.high >= accuracy - 1e-9
    if name == "greedy":
        assert (row.lift, row.lift_percent) == (None, None)
        assert row.null_reasons["lift"] == "greedy is the baseline"
    else:
        assert row.lift is not None
        assert row.lift.difference == pytest.approx(accuracy - 1 / 3, abs=1e-12)
        assert row.lift_percent == pytest.approx(100 * (accuracy - 1 / 3) / (1 / 3), abs=1e-9)


@pytest.mark.parametrize(
    ("name", "log_likelihood", "n_tokens", "truncated", "unscored"),
    [
        ("greedy", -6 / 3, 7 / 3, 0, 1 / 3),
        ("sample", -(15 + 19 + 13.999) / 12, (16 + 14 + 10) / 12, 1 / 12, 1 / 12),
        # Weights 3/6, 2/6, 1/6 on the first three ranks.
        (
            "best-of-2 log_likelihood",
            -((3 + 4 + 4) + (3 + 10 + 6) + (5.997 + 6 + 4)) / 18,
            ((12 + 4 + 2) + (6 + 6 + 4) + (6 + 6 + 1)) / 18,
            0,
            0,
        ),
        ("best-of-4 log_likelihood", -(1 + 1 + 1.999) / 3, 8 / 3, 0, 0),
        ("best-of-4 shortest", -(3 + 1 + 4) / 3, 5 / 3, 0, 0),
    ],
)
def test_likelihood_length_and_shares_by_hand(
    run: HandRun, name: str, log_likelihood: float, n_tokens: float, truncated: float, unscored: float
) -> None:
    row = arm(analyse(run), name)
    assert row.log_likelihood is not None
    assert row.log_likelihood.estimate == pytest.approx(log_likelihood, abs=1e-12)
    found = (row.n_tokens, row.truncated, row.unscored)
    assert found == pytest.approx((n_tokens, truncated, unscored), abs=1e-12)


def test_vote_and_oracle_have_no_likelihood_and_say_why(run: HandRun) -> None:
    for name in ("vote-of-4", "oracle-of-4"):
        row = arm(analyse(run), name)
        assert (row.log_likelihood, row.n_tokens, row.truncated, row.unscored) == (None,) * 4
        assert row.null_reasons["log_likelihood"] == "the arm picks an answer, not one response"


def test_holm_family_is_the_primary_scorer_over_n(run: HandRun) -> None:
    analysis = analyse(run)
    inside = [row.name for row in analysis.arms if row.p_holm is not None]
    assert inside == ["best-of-2 log_likelihood", "best-of-4 log_likelihood"]
    for row in analysis.arms:
        if row.p_holm is not None and row.lift is not None:
            assert row.lift.p_value <= row.p_holm <= 1


def test_curves_cover_every_n_and_agree_with_the_table(run: HandRun) -> None:
    analysis = analyse(run)
    points = {(point.scorer, point.n): point for point in analysis.curves}
    scorers = ("log_likelihood", "mean_log_likelihood", "shortest", "random", "oracle")
    assert set(points) == {(scorer, n) for scorer in scorers for n in (1, 2, 3, 4)} | {("vote", n) for n in (1, 2, 4)}
    # n = 3 of 4: C(3-r, 2) / C(4, 3) = 3/4, 1/4, 0, 0.
    assert points["log_likelihood", 3].accuracy == pytest.approx((1 + 3 / 4 + 0) / 3)
    assert points["log_likelihood", 3].difference == pytest.approx((1 + 3 / 4 + 0) / 3 - 1 / 3)
    assert points["oracle", 2].accuracy == pytest.approx((5 / 6 + 1 / 2 + 1 / 2) / 3)
    # The fourth response of b has no answer and cannot vote.
    assert points["vote", 1].accuracy == pytest.approx((2 / 4 + 1 / 4 + 1 / 4) / 3)
    assert points["log_likelihood", 1].interval == arm(analysis, "sample").accuracy
    assert points["log_likelihood", 4].lift == arm(analysis, "best-of-4 log_likelihood").lift


def test_curves_of_a_large_pool_have_intervals_at_the_n_of_the_table_only() -> None:
    analysis = analyse(made_up_run(np.random.default_rng(5), 3, 300), ns=(7, 300), draws=100)
    with_interval = {(point.scorer, point.n) for point in analysis.curves if point.interval is not None}
    scorers = (*analysis.settings.scorers, "vote", "oracle")
    assert with_interval == {(scorer, n) for scorer in scorers for n in (1, 7, 300)}
    assert {(point.scorer, point.n) for point in analysis.curves if point.lift is not None} == with_interval


def test_problem_rows_by_hand(run: HandRun) -> None:
    a, b, c = analyse(run).problems
    assert (a.problem_id, a.gold, a.greedy_correct, a.pool_accuracy, a.vote, a.oracle) == ("a", "12", False, 0.5, 1, 1)
    assert (a.greedy_log_likelihood, a.best_log_likelihood) == (-3.0, -1.0)
    assert (a.best_of_n["log_likelihood"], a.best_of_n["shortest"]) == (1.0, 0.5)
    assert (a.above_greedy, a.pool_truncated, a.pool_unscored) == (0.5, 0.25, 0.0)
    assert (b.greedy_correct, b.vote, b.above_greedy, b.pool_unscored) == (True, 0.0, 0.0, 0.25)
    assert (c.greedy_correct, c.greedy_unscored, c.best_of_n["log_likelihood"]) == (False, True, 0.0)


def test_sharper_than_greedy_leaves_out_greedy_itself(run: HandRun) -> None:
    """Problem c's first response is the greedy one, to which the engine gave a log-likelihood that differs a little."""
    facts = analyse(run).facts
    assert (facts.sharper_than_greedy.estimate, facts.same_told_by) == (pytest.approx(1 / 3), "token ids")
    higher = run.pool.log_likelihood.copy()
    higher[2, 0] = -1.0  # in bfloat16 it can be a nat
    still = replace(run, pool=replace(run.pool, log_likelihood=higher))
    assert analyse(still).facts.sharper_than_greedy.estimate == pytest.approx(1 / 3)
    other = replace(run, pool=replace(run.pool, same_as_greedy=np.zeros((3, 4), dtype=np.bool_)))
    assert analyse(other).facts.sharper_than_greedy.estimate == pytest.approx(2 / 3)


def test_where_nothing_tells_the_greedy_response_apart_the_report_says_so(run: HandRun) -> None:
    silent = replace(run, pool=replace(run.pool, same_as_greedy=None, same_told_by=None))
    facts = analyse(silent).facts
    assert (facts.sharper_than_greedy.estimate, facts.same_told_by) == (pytest.approx(2 / 3), "nothing")
    assert facts.told_apart == " (greedy's own response is not told apart)"


def test_noise_on_the_greedy_response_makes_nothing_sharper() -> None:
    """A pool that is greedy over again, with the rounding of bfloat16: none is sharper, and greedy ranks first."""
    rng = np.random.default_rng(8)
    run = made_up_run(rng, 30, 6)
    noisy = run.greedy.log_likelihood + rng.normal(scale=0.3, size=(30, 6))
    same = np.ones((30, 6), dtype=np.bool_)
    run = replace(run, pool=replace(run.pool, log_likelihood=noisy, same_as_greedy=same, same_told_by="token ids"))
    found = analyse(run, draws=200)
    assert (found.facts.sharper_than_greedy.estimate, found.facts.above_greedy) == (0.0, 0.0)
    assert found.explanation.greedy_rank.mean.estimate == 1.0
    assert all(row.above_greedy == 0.0 for row in found.problems)


def test_same_seed_same_analysis_and_intervals_do_not_depend_on_what_else_is_asked() -> None:
    run = made_up_run(np.random.default_rng(6), 40, 8)
    first = analyse(run, seed=3, draws=500)
    assert analyse(run, seed=3, draws=500) == first
    assert analyse(run, seed=4, draws=500) != first
    alone = analyse(run, seed=3, draws=500, scorers=("log_likelihood",), ns=(2,))
    name = "best-of-2 log_likelihood"
    assert arm(alone, name).accuracy.method == "bootstrap-t"
    assert arm(alone, name).accuracy == arm(first, name).accuracy
    assert arm(alone, name).log_likelihood == arm(first, name).log_likelihood


def test_the_random_control_is_its_expectation() -> None:
    run = made_up_run(np.random.default_rng(0), 60, 8)
    analysis = analyse(run, draws=200)
    assert arm(analysis, "best-of-8 random").accuracy.estimate == pytest.approx(run.pool.correct.mean(), abs=1e-12)
    for point in analysis.curves:
        if point.scorer == "random":
            assert point.accuracy == pytest.approx(run.pool.correct.mean(), abs=1e-12)
    at = {(p.arm, p.other): p.test for p in analysis.pairs}
    assert (at["best-of-8 random", "sample"].n_contested, at["best-of-8 random", "sample"].p_value) == (0, 1.0)
    auroc = next(row.auroc for row in analysis.explanation.scorers if row.scorer == "random")
    assert auroc is not None
    assert auroc.estimate == 0.5


@pytest.mark.slow
def test_the_selected_scorer_is_worth_less_on_problems_that_did_not_select_it() -> None:
    """Scorers that know nothing: the naive best is above the truth on average, the cross-fitted one is not."""
    rng = np.random.default_rng(1)
    naive, fair = [], []
    for _ in range(60):
        run = made_up_run(rng, 40, 8)
        pool = run.pool
        blind = replace(
            pool,
            log_likelihood=rng.normal(-20, 1, size=pool.correct.shape),
            n_tokens=rng.integers(1, 99, size=pool.correct.shape).astype(np.int32),
        )
        found = analyse(
            replace(run, pool=blind),
            scorers=["log_likelihood", "mean_log_likelihood", "shortest", "longest"],
            draws=100,
        )
        selected = found.selected
        assert selected is not None
        assert selected.accuracy.estimate == max(row.accuracy.estimate for row in found.explanation.scorers)
        truth = float(pool.correct.mean())
        naive.append(selected.accuracy.estimate - truth)
        fair.append(selected.cross_fitted.estimate - truth)
    assert np.mean(naive) > 4 * np.std(naive) / 60**0.5
    assert abs(np.mean(fair)) < 2.5 * np.std(fair) / 60**0.5


def test_pools_are_matched_by_problem_id(run: HandRun) -> None:
    shuffled = replace(run, greedy=run.greedy.take([2, 0, 1]), problems=tuple(reversed(run.problems)))
    assert analyse(shuffled) == analyse(run)


def test_a_loaded_run_is_an_analysed_run(run: HandRun, tmp_path: Path) -> None:
    loaded = Run(
        tmp_path, run.meta, run.problems, run.greedy, run.pool, run.grader, duplicates=np.zeros(len(run.problems))
    )
    assert analyse(loaded) == analyse(run)


def test_one_problem_has_an_accuracy_but_no_likelihood_interval(run: HandRun) -> None:
    single = replace(run, greedy=run.greedy.take([0]), pool=run.pool.take([0]), problems=run.problems[:1])
    analysis = analyse(single)
    best = arm(analysis, "best-of-4 log_likelihood")
    assert (best.accuracy.estimate, analysis.facts.comparisons[0].verdict) == (1.0, "not shown")
    assert best.log_likelihood is not None
    assert np.isnan(best.log_likelihood.low)


def test_excluding_truncated_keeps_whole_problems(run: HandRun) -> None:
    analysis = analyse(run, exclude_truncated=True)
    assert (analysis.n_problems, analysis.n_excluded) == (2, 1)
    assert [row.problem_id for row in analysis.problems] == ["b", "c"]
    assert arm(analysis, "best-of-4 log_likelihood").accuracy.estimate == 0.5
    assert all(not row.truncated for row in analysis.arms)
    cut = replace(run, greedy=replace(run.greedy, truncated=np.ones((3, 1), dtype=np.bool_)))
    with pytest.raises(ConfigError, match="every problem has a truncated response"):
        analyse(cut, exclude_truncated=True)


def test_lift_in_percent_has_fieller_s_interval_and_excludes_0_where_the_lift_does() -> None:
    rows = analyse(made_up_run(np.random.default_rng(4), 60, 4), draws=199).arms[1:]
    for row in rows:
        assert row.lift is not None
        assert row.lift_percent is not None
        assert row.lift_percent_low is not None
        assert row.lift_percent_high is not None
        assert row.lift_percent_low < row.lift_percent < row.lift_percent_high
        assert (row.lift_percent_low > 0.0) == (row.lift.low > 0.0)
        assert (row.lift_percent_high < 0.0) == (row.lift.high < 0.0)
    assert any(row.lift is not None and row.lift.low > 0.0 for row in rows)


def test_lift_in_percent_has_no_bound_where_greedy_s_accuracy_may_be_0() -> None:
    run = made_up_run(np.random.default_rng(4), 20, 4)
    one = np.zeros((20, 1), dtype=np.bool_)
    one[0] = True
    row = arm(analyse(replace(run, greedy=replace(run.greedy, correct=one)), draws=199), "best-of-4 log_likelihood")
    assert row.lift_percent_low is not None
    assert row.lift_percent_low >= -100.0
    assert row.lift_percent_high is None
    assert row.null_reasons["lift_percent_high"] == "no bound: greedy's accuracy may be 0"


def test_few_problems_give_no_interval_of_the_percent(run: HandRun) -> None:
    row = arm(analyse(run), "best-of-4 log_likelihood")
    assert row.lift_percent_low is None
    assert row.null_reasons["lift_percent_low"] == "no interval: 3 problems; from 5 on"


def test_no_percent_of_a_greedy_accuracy_of_zero(run: HandRun) -> None:
    wrong = replace(run, greedy=replace(run.greedy, correct=np.zeros((3, 1), dtype=np.bool_)))
    row = arm(analyse(wrong), "best-of-4 log_likelihood")
    assert row.lift_percent is None
    for name in ("lift_percent", "lift_percent_low", "lift_percent_high"):
        assert row.null_reasons[name] == "greedy's accuracy is 0"
    assert row.lift is not None
    assert row.lift.difference == pytest.approx(2 / 3)


def test_verdict_higher_lower_and_not_shown() -> None:
    rng = np.random.default_rng(1)
    run = made_up_run(rng, 200, 4)
    likely_is_right = np.where(run.pool.correct, -1.0, -9.0)
    up = replace(run, pool=replace(run.pool, log_likelihood=likely_is_right))
    down = replace(run, pool=replace(run.pool, log_likelihood=-10.0 - likely_is_right))
    for given, verdict in ((up, "higher"), (down, "lower"), (run, "not shown")):
        against_greedy = analyse(given, draws=500).facts.comparisons[0]
        assert against_greedy.verdict == verdict
        assert verdict in against_greedy.sentence
        low, high = against_greedy.test.low, against_greedy.test.high
        assert {"higher": low > 0, "lower": high < 0, "not shown": low <= 0 <= high}[verdict]


def test_problems_that_both_arms_solve_are_not_contested() -> None:
    """Rank weights sum to 1 up to rounding; the rounding must not look like a difference."""
    run = made_up_run(np.random.default_rng(2), 50, 23)
    right = replace(run.pool, correct=np.ones((50, 23), dtype=np.bool_))
    solved = replace(run, pool=right, greedy=replace(run.greedy, correct=np.ones((50, 1), dtype=np.bool_)))
    for row in analyse(solved, ns=(2, 5, 23), draws=200).arms:
        if row.arm == "best-of-n":
            assert row.lift is not None
            assert (row.lift.n_contested, row.lift.difference) == (0, 0.0)


def test_vote_below_the_pool_size_carries_its_monte_carlo_error(run: HandRun) -> None:
    row = arm(analyse(run, ns=(2, 3)), "vote-of-3")
    assert row.monte_carlo_error is not None
    assert 0 < row.monte_carlo_error < 0.1
    assert arm(analyse(run), "vote-of-4").monte_carlo_error is None


def test_duplicates_are_reported_when_given(run: HandRun) -> None:
    assert analyse(run).facts.duplicate_share is None
    assert analyse(run, duplicates=np.array([0.0, 0.25, 0.5])).facts.duplicate_share == pytest.approx(0.25)
    with pytest.raises(ConfigError, match="duplicates have shape"):
        analyse(run, duplicates=np.zeros(2))


def test_scorers_that_need_token_log_probs_work_on_chosen_problems(run: HandRun) -> None:
    lengths = run.pool.n_tokens.ravel()
    tokens = np.repeat(run.pool.log_likelihood.ravel() / lengths, lengths).astype(np.float32)
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    loaded = replace(run, pool=replace(run.pool, token_logprobs=tokens, token_offsets=offsets))
    analysis = analyse(loaded, scorers=("min_token_logprob",), exclude_truncated=True)
    assert analysis.settings.primary_scorer == "min_token_logprob"
    # All tokens of a response are alike here, so this is mean_log_likelihood: b correct, c wrong.
    assert arm(analysis, "best-of-4 min_token_logprob").accuracy.estimate == 0.5
    with pytest.raises(ConfigError, match="needs token log-probs"):
        analyse(run, scorers=("min_token_logprob",))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ns": (2, 8)}, "n = 8 is larger than the stored pool of 4"),
        ({"ns": (0, 2)}, "n = 0 is not a number of responses"),
        ({"ns": ()}, "list of n is empty"),
        ({"scorers": ()}, "no scorer was given"),
        ({"scorers": ("loglik",)}, "unknown scorer 'loglik'; valid: .*log_likelihood"),
        ({"seed": -1}, "seed -1 is negative"),
        ({"draws": 10}, "10 bootstrap draws"),
    ],
)
def test_bad_options_name_the_remedy(run: HandRun, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        analyse(run, **options)


def test_a_problem_missing_on_one_side_is_named(run: HandRun) -> None:
    with pytest.raises(StoreError, match="'b' has a pool but no greedy response"):
        analyse(replace(run, greedy=run.greedy.take([0, 2])))
    with pytest.raises(StoreError, match="'c' has a greedy response but no pool"):
        analyse(replace(run, pool=run.pool.take([0, 1])))
    with pytest.raises(StoreError, match="'c' has responses but is not among the run's problems"):
        analyse(replace(run, problems=run.problems[:2]))


def test_default_ns_is_powers_of_two_and_the_pool_size() -> None:
    assert default_ns(32) == (2, 4, 8, 16, 32)
    assert default_ns(50) == (2, 4, 8, 16, 32, 50)


def made_up_run(rng: np.random.Generator, n_problems: int, n: int) -> HandRun:
    """Accuracy 0.5 in both arms, likelihood unrelated to it."""
    ids = tuple(f"p{i}" for i in range(n_problems))

    def arm_of(width: int) -> Pool:
        shape = (n_problems, width)
        none = np.zeros(shape, dtype=np.bool_)
        correct = rng.random(shape) < 0.5
        return Pool(
            problem_ids=ids,
            log_likelihood=-rng.gamma(4.0, 2.0, shape),
            n_tokens=rng.integers(1, 60, shape, dtype=np.int32),
            truncated=none,
            correct=correct,
            unscored=none,
            answer_class=np.where(correct, 0, rng.integers(1, 5, shape)).astype(np.int32),
        )

    problems = tuple(Problem(problem_id, {}, "1") for problem_id in ids)
    meta = {"config": {"n": n}, "versions": {}, "engine": {}, "state": "sampled"}
    return HandRun(meta, problems, arm_of(1), arm_of(n), {"name": "gsm8k", "version": "1"})


# --- every arm against every other


def test_pairs_cover_every_two_arms_once_and_agree_with_the_table(run: HandRun) -> None:
    analysis = analyse(run, draws=500)
    names = [row.name for row in analysis.arms]
    assert [(p.arm, p.other) for p in analysis.pairs] == [(b, a) for i, b in enumerate(names) for a in names[:i]]
    at = {(p.arm, p.other): p for p in analysis.pairs}
    for row in analysis.arms[1:]:
        assert at[row.name, "greedy"].test == row.lift
        if row.p_holm is not None:
            assert at[row.name, "greedy"].p_holm == row.p_holm
            assert row.p_joint is None
        else:
            assert row.p_joint is not None
            assert row.p_joint >= row.lift.p_value
    accuracy = {row.name: row.accuracy.estimate for row in analysis.arms}
    for pair in analysis.pairs:
        assert pair.test.difference == pytest.approx(accuracy[pair.arm] - accuracy[pair.other])
        assert pair.p_family >= pair.test.p_value
        assert (pair.p_holm is None) == (pair.family == "other pairs") != (pair.p_joint is None)
    best = f"best-of-{analysis.settings.ns[-1]} log_likelihood"
    assert at[best, "sample"].test == analysis.facts.comparisons[1].test


def test_pairs_are_adjusted_family_by_family(run: HandRun) -> None:
    analysis = analyse(run, draws=500)
    for family, count in (("n against greedy", 2), ("n against sample", 2)):
        members = [p for p in analysis.pairs if p.family == family]
        assert len(members) == count == len(analysis.settings.ns)
        assert [p.p_holm for p in members] == holm([p.test.p_value for p in members]).tolist()
    others = [p for p in analysis.pairs if p.family == "other pairs"]
    assert all(p.p_joint is not None and p.test.p_value <= p.p_joint <= 1.0 for p in others)
    assert len(others) + 4 == len(analysis.pairs)


def test_a_pool_of_one_has_no_pair_of_an_arm_with_itself(run: HandRun) -> None:
    analysis = analyse(run, ns=[1], draws=500)
    assert all(p.arm != p.other for p in analysis.pairs)
    names = {p.arm for p in analysis.pairs} | {p.other for p in analysis.pairs}
    assert "sample" in names
    assert not any(name.startswith("best-of-1") for name in names)


# --- looks and margins


def big_difference(n: int) -> HandRun:
    run = made_up_run(np.random.default_rng(5), n, 8)
    correct = np.ones(run.pool.correct.shape, dtype=np.bool_)
    return replace(
        run, pool=replace(run.pool, correct=correct), greedy=replace(run.greedy, correct=np.zeros((n, 1), bool))
    )


def test_an_unfinished_run_has_no_verdict_unless_looks_were_planned() -> None:
    run = big_difference(60)
    assert analyse(run, draws=200).facts.comparisons[0].verdict == "higher"
    partial = replace(run, problems=(*run.problems, Problem("left", {"question": "q"}, "1")))
    early = analyse(partial, draws=200)
    assert {c.verdict for c in early.facts.comparisons} == {"not shown"}
    assert all("before the run is finished" in c.sentence for c in early.facts.comparisons)
    assert early.settings.alpha == 0.0
    planned = analyse(partial, draws=200, looks=4)
    assert planned.settings.alpha == 0.0125
    assert planned.facts.comparisons[0].verdict == "higher"
    with pytest.raises(ConfigError, match="planned looks"):
        analyse(run, looks=0)


def test_no_limit_of_a_log_likelihood_is_above_0_and_scores_of_any_sign_are_analysed() -> None:
    run = made_up_run(np.random.default_rng(0), 30, 4)
    nats = np.full((30, 4), -0.1) - np.arange(4)
    nats[0] -= 300.0
    rows = analyse(replace(run, pool=replace(run.pool, log_likelihood=nats)), draws=200).arms
    tops = [row.log_likelihood.high for row in rows if row.log_likelihood is not None]
    shown = [top for top in tops if not np.isnan(top)]
    assert shown
    assert max(shown) <= 0.0
    scores = replace(run, pool=replace(run.pool, log_likelihood=np.random.default_rng(1).normal(size=(30, 4))))
    [best] = [row for row in analyse(scores, draws=200).arms if (row.n, row.scorer) == (4, "log_likelihood")]
    assert best.log_likelihood is not None
    assert best.log_likelihood.high > 0.0


def test_a_look_before_the_end_does_not_call_a_curve_flat() -> None:
    run = big_difference(3000)
    done = analyse(run, draws=200)
    assert {row.is_flat for row in done.explanation.scorers} == {True}
    partial = replace(run, problems=(*run.problems, Problem("left", {"question": "q"}, "1")))
    for early in (analyse(partial, draws=200), analyse(partial, draws=200, looks=4), analyse(run, draws=200, looks=2)):
        assert {row.is_flat for row in early.explanation.scorers} == {False}
        assert {row.saturation_n for row in early.explanation.scorers} == {None}


def test_the_random_control_never_differs_from_the_sample() -> None:
    """Best-of-n is rounded and the pool's mean is not: accuracies such as 1/7 and 2/11 are one and the same."""
    for n in (6, 7, 11, 13):
        correct = np.arange(n) < (np.arange(60) % 4)[:, None]
        run = made_up_run(np.random.default_rng(n), 60, n)
        run = replace(run, pool=replace(run.pool, correct=correct))
        found = analyse(run, draws=200, scorers=["log_likelihood", "random"])
        [pair] = [p for p in found.pairs if "random" in p.arm and p.other == "sample"]
        assert (pair.test.n_contested, pair.test.p_value, pair.p_joint) == (0, 1.0, 1.0)
        assert analyse(run, draws=200, scorers=["random"]).facts.comparisons[1].verdict in ("not shown", "same")


def test_arms_that_are_the_same_are_shown_to_be_within_the_margin() -> None:
    """Alike on 3,000 problems but for three each way; 30 problems show nothing."""
    for n, verdict in ((3000, "same"), (30, "not shown")):
        run = made_up_run(np.random.default_rng(6), n, 2)
        correct = np.ones((n, 2), dtype=np.bool_)
        greedy = np.ones((n, 1), dtype=np.bool_)
        correct[:3], greedy[3:6] = False, False
        alike = replace(run, pool=replace(run.pool, correct=correct), greedy=replace(run.greedy, correct=greedy))
        headline = analyse(alike, draws=200).facts.comparisons[0]
        assert headline.verdict == verdict, headline
        assert ("within 2 points" in headline.sentence) == (verdict == "same")
    with pytest.raises(ConfigError, match="margin of 200 points"):
        analyse(big_difference(20), margin=2.0)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 9])
def test_few_problems_carry_no_statement_with_a_number(n: int) -> None:
    for comparison in analyse(big_difference(n), draws=200).facts.comparisons:
        assert comparison.verdict == "not shown"
        assert "from 10 on" in comparison.sentence
        assert "points" not in comparison.sentence


def test_the_verdict_follows_holms_correction() -> None:
    """Where the last n alone would be significant, and the family is not, the headline has no verdict and no star."""
    rng = np.random.default_rng(26)
    seen = 0
    for _ in range(200):
        run = made_up_run(rng, 30, 16)
        analysis = analyse(run, draws=200)
        best = next(
            row for row in analysis.arms if row.arm == "best-of-n" and row.n == 16 and row.scorer == "log_likelihood"
        )
        headline = analysis.facts.comparisons[0]
        assert best.lift is not None
        assert best.p_holm is not None
        assert headline.p_holm == best.p_holm
        assert (headline.verdict in ("higher", "lower")) == (best.p_holm <= 0.05)
        seen += best.lift.p_value <= 0.05 < best.p_holm
        if seen > 1:
            break
    assert seen


@pytest.mark.slow
def test_redrawn_responses_and_fresh_runs_are_covered() -> None:
    """Sixty problems stay as they are, their responses are drawn anew: the known truth of these very problems."""
    rng = np.random.default_rng(9)
    p, draws, n = rng.beta(1, 1.5, size=60), 250, 8

    def pools(count: int) -> tuple[np.ndarray, np.ndarray]:
        correct = rng.random((count, 60, n)) < p[:, None]
        return correct, rng.normal(-20, 2, size=correct.shape) + 1.5 * correct

    correct, scores = pools(4000)
    best = np.take_along_axis(correct, scores.argmax(axis=2)[..., None], axis=2)[..., 0].mean(axis=1)
    truths = {"best-of-8 log_likelihood": float(best.mean()), "sample": float(p.mean())}
    held: dict[str, list[bool]] = {}
    base = made_up_run(rng, 60, n)
    for correct, scores in zip(*pools(draws), strict=True):
        pool = replace(base.pool, correct=correct, log_likelihood=scores, unscored=np.zeros_like(correct))
        analysis = analyse(replace(base, pool=pool), ns=[n], scorers=["log_likelihood"], draws=100)
        for name, truth in truths.items():
            row = arm(analysis, name)
            assert row.responses is not None
            assert row.fresh is not None
            held.setdefault(f"{name} responses", []).append(row.responses.low <= truth <= row.responses.high)
            fresh = float(rng.choice(best)) if name != "sample" else float((rng.random(60) < p).mean())
            held.setdefault(f"{name} fresh", []).append(row.fresh.low <= fresh <= row.fresh.high)
    for name, found in held.items():
        assert np.mean(found) >= 0.92, name


@pytest.mark.parametrize("n", [2, 5, 7, 8])
def test_the_last_doubling_begins_at_half_of_n_however_many_scorers_there_are(
    n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = made_up_run(np.random.default_rng(3), 30, n)
    half, last = best_of_n(run.pool.log_likelihood, run.pool.correct[None].astype(float), [max(1, n // 2), n])[0]
    expected = float((last - half).mean())
    for most in (arms._MOST_COLUMNS, 0):  # with intervals along the curves, and without
        monkeypatch.setattr(arms, "_MOST_COLUMNS", most)
        for scorers in (("log_likelihood",), ("log_likelihood", "shortest", "random")):
            found = analyse(run, draws=200, scorers=scorers).explanation.scorers[0].last_doubling
            assert found is not None
            assert found.difference == pytest.approx(expected)
