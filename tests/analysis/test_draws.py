"""Draws besides greedy and the pool: their arms by brute force, their pairs, and that nothing else sees them."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_run import MadeRun

from bon_eval.analysis.analyse import analyse
from bon_eval.analysis.draws.facts import DrawArm, DrawFacts
from bon_eval.draws import as_stored, parse_draws
from bon_eval.errors import StoreError
from bon_eval.estimators.distinct import answer_entropy
from bon_eval.report.run.write import write_report

SPECS = parse_draws(["low=temperature:0.25,n:4", "hot=temperature:1.3,top_p:0.9,n:5", "one=top_k:3,n:1"])
DRAWS = 300
OF_DRAWS = ("draws", "draw_pairs", "draw_curves", "draw_problems")
"""Of an analysis."""


class DrawnRun(MadeRun):
    """With three draws more."""

    def __init__(self, problems: int = 40, seed: int = 0) -> None:
        super().__init__(problems=problems, n=8, seed=seed)
        rng = np.random.default_rng([seed, 1])
        self.meta["config"] |= {"n": 8, "draws": [as_stored(spec) for spec in SPECS]}
        self.others = {spec.name: self._pool(rng, self.pool.problem_ids, spec.n) for spec in SPECS}
        self.other_duplicates = {spec.name: rng.random(problems) for spec in SPECS}


@pytest.fixture(scope="module")
def run() -> DrawnRun:
    return DrawnRun()


@pytest.fixture(scope="module")
def found(run: DrawnRun) -> Any:
    return analyse(run, draws=DRAWS)


def arm(facts: DrawFacts, kind: str, n: int, scorer: str | None = None) -> DrawArm:
    [only] = [a for a in facts.arms if (a.arm, a.n, a.scorer) == (kind, n, scorer)]
    return only


def test_each_draw_says_what_it_is(run: DrawnRun, found: Any) -> None:
    low, hot, one = found.draws
    assert [(d.draw, d.n, d.temperature, d.top_p, d.top_k, d.min_p) for d in found.draws] == [
        ("low", 4, 0.25, 1.0, 0, 0.0),
        ("hot", 5, 1.3, 0.9, 0, 0.0),
        ("one", 1, 1.0, 1.0, 3, 0.0),
    ]
    assert [d.own_distribution for d in (low, hot, one)] == [False] * 3
    for facts in found.draws:
        pool = run.others[facts.draw]
        assert facts.tokens.estimate == pytest.approx(pool.n_tokens.mean())
        assert facts.duplicate_share == pytest.approx(run.other_duplicates[facts.draw].mean())
        counts = [len(set(row[row >= 0])) for row in pool.answer_class]
        assert facts.distinct_answers == pytest.approx(np.mean(counts))
    assert [a.arm for a in one.arms] == ["mean"], "of one response there is nothing to pick"


def test_the_arms_are_those_of_every_subset(run: DrawnRun, found: Any) -> None:
    for facts in found.draws[:2]:
        pool = run.others[facts.draw]
        assert arm(facts, "mean", 1).accuracy.estimate == pytest.approx(pool.correct.mean())
        mean = arm(facts, "mean", 1)
        assert mean.log_likelihood is not None
        assert mean.log_likelihood.estimate == pytest.approx(pool.log_likelihood.mean())
        assert arm(facts, "oracle", pool.n).accuracy.estimate == pytest.approx(pool.correct.any(axis=1).mean())
        for n in (2, 4):
            values, likely = [], []
            for row in range(len(pool.problem_ids)):
                score, right = pool.log_likelihood[row], pool.correct[row]
                for subset in map(list, combinations(range(pool.n), n)):
                    best = score[subset] == score[subset].max()  # ties share
                    values.append(right[subset][best].mean())
                    likely.append(score[subset].max())
            best_of = arm(facts, "best-of-n", n, "log_likelihood")
            assert best_of.accuracy.estimate == pytest.approx(np.mean(values))
            assert best_of.log_likelihood is not None
            assert best_of.log_likelihood.estimate == pytest.approx(np.mean(likely))
        votes = []
        for classes, right in zip(pool.answer_class, pool.correct, strict=True):
            counts = {c: (classes == c).sum() for c in set(classes[classes >= 0])}
            top = [c for c, size in counts.items() if size == max(counts.values())]
            votes.append(np.mean([right[classes == c].mean() for c in top]) if top else 0.0)
        assert arm(facts, "vote", pool.n).accuracy.estimate == pytest.approx(np.mean(votes))


def test_lifts_are_paired_with_greedy_and_pairs_with_the_pool_and_each_other(run: DrawnRun, found: Any) -> None:
    greedy = run.greedy.correct.mean()
    for facts in found.draws:
        for each in facts.arms:
            assert each.lift.difference == pytest.approx(each.accuracy.estimate - greedy)
            assert each.p_joint >= each.lift.p_value - 1e-12
    named = {a.name: a.accuracy.estimate for facts in found.draws for a in facts.arms}
    named |= {row.name: row.accuracy.estimate for row in found.arms}
    for pair in found.draw_pairs:
        assert pair.test.difference == pytest.approx(named[pair.arm] - named[pair.other]), pair
        assert pair.p_joint >= pair.test.p_value - 1e-12
    pairs = {(pair.arm, pair.other) for pair in found.draw_pairs}
    own = [
        "low",
        "low best-of-4 log_likelihood",
        "low vote-of-4",
        "hot",
        "hot best-of-5 log_likelihood",
        "hot vote-of-5",
    ]
    expected = {(a, b) for a in [*own, "one"] for b in ("sample", "best-of-8 log_likelihood", "vote-of-8")}
    expected |= {("hot", "low"), ("one", "low"), ("one", "hot"), (own[4], own[1]), (own[5], own[2])}
    assert pairs == expected


def test_nothing_else_sees_them(run: DrawnRun, found: Any) -> None:
    """What assumes samples of the model's own distribution, and every number of the table, is of the pool alone."""
    plain = MadeRun(problems=40, n=8)
    plain.meta["config"] |= {"n": 8}
    without = analyse(plain, draws=DRAWS)
    for field in fields(found):
        if field.name not in ("run", *OF_DRAWS, "compute", "levels"):
            assert str(getattr(found, field.name)) == str(getattr(without, field.name)), field.name
    assert [row.summed for row in found.levels.rows if row.statistic == "auroc"] == [
        row.summed for row in without.levels.rows if row.statistic == "auroc"
    ]
    of_pool = [row for row in found.compute if row.draw is None]
    assert [(r.name, r.tokens, r.accuracy) for r in of_pool] == [
        (r.name, r.tokens, r.accuracy) for r in without.compute
    ]


def subsets(run: DrawnRun, draw: str, n: int) -> Any:
    """Best-of-n by log-likelihood on each problem, by every subset: (P,) of correct and of log-likelihood."""
    pool = run.pool if draw == "sample" else run.others[draw]
    right, likely = [], []
    for row in range(len(pool.problem_ids)):
        score, correct = pool.log_likelihood[row], pool.correct[row]
        chosen = [list(subset) for subset in combinations(range(pool.n), n)]
        right.append(np.mean([correct[s][score[s] == score[s].max()].mean() for s in chosen]))
        likely.append(np.mean([score[s].max() for s in chosen]))
    return np.array(right), np.array(likely)


@pytest.fixture(scope="module")
def tables(found: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """File -> frame, as a user reads them."""
    folder = tmp_path_factory.mktemp("tables")
    write_report(found, folder)
    return lambda name: pd.read_csv(folder / f"{name}.csv", dtype={"problem_id": str})


def test_every_arm_stands_on_every_problem(run: DrawnRun, found: Any, tables: Any) -> None:
    rows = tables("draw_problems")
    assert len(rows) == 40 * len(found.draw_problems) == rows.groupby(["problem_id", "name"]).ngroups
    assert list(dict.fromkeys(rows["problem_id"])) == list(run.pool.problem_ids)
    wide = rows.pivot(index="problem_id", columns="name").loc[list(run.pool.problem_ids)]
    for name, pool in (("greedy", run.greedy), ("sample", run.pool), *run.others.items()):
        assert wide["accuracy", name].to_numpy() == pytest.approx(pool.correct.mean(axis=1))
        assert wide["log_likelihood", name].to_numpy() == pytest.approx(pool.log_likelihood.mean(axis=1))
        assert wide["n_tokens", name].to_numpy() == pytest.approx(pool.n_tokens.mean(axis=1))
        assert wide["truncated", name].eq(pool.truncated.mean(axis=1)).all()
        assert wide["unscored", name].eq(pool.unscored.mean(axis=1)).all()
    for draw, name, n in (("low", "low best-of-2", 2), ("hot", "hot best-of-5", 5), ("sample", "best-of-4", 4)):
        right, likely = subsets(run, draw, n)
        assert wide["accuracy", f"{name} log_likelihood"].to_numpy() == pytest.approx(right)
        assert wide["log_likelihood", f"{name} log_likelihood"].to_numpy() == pytest.approx(likely)
    assert wide["accuracy", "low oracle-of-4"].eq(run.others["low"].correct.any(axis=1)).all()
    assert wide["log_likelihood", "low vote-of-4"].isna().all()
    assert rows["unfinished"].isna().all(), "the grades of this run do not tell"


def test_a_user_pairs_any_two_arms_himself(found: Any, tables: Any) -> None:
    wide = tables("draw_problems").pivot(index="problem_id", columns="name", values="accuracy")
    pairs = tables("draw_pairs")
    for pair in pairs.itertuples():
        difference = 100 * (wide[pair.arm] - wide[pair.other])
        assert difference.mean() == pytest.approx(pair.difference_points, abs=1e-9), pair
        assert (difference.abs() > 1e-9).sum() == pair.contested
    for arm in tables("draws").itertuples():
        [name] = [
            a.name
            for d in found.draws
            for a in d.arms
            if (a.draw, a.arm, a.n, a.scorer or "")
            == (arm.draw, arm.arm, arm.n, "" if isinstance(arm.scorer, float) else arm.scorer)
        ]
        assert wide[name].mean() == pytest.approx(arm.accuracy)
        assert 100 * (wide[name] - wide["greedy"]).mean() == pytest.approx(arm.lift_points, abs=1e-9)
    for arm in tables("report").itertuples():
        kind = {"best-of-n": f"best-of-{arm.n} {arm.scorer}"}.get(arm.arm, arm.arm)
        assert wide[f"{kind}-of-{arm.n}" if kind in ("vote", "oracle") else kind].mean() == pytest.approx(arm.accuracy)


def test_curves_of_draws_are_those_of_every_subset(run: DrawnRun, tables: Any) -> None:
    curves, pool, arms = tables("draw_curves"), tables("curves"), tables("draws")
    assert list(curves.columns) == ["draw", *pool.columns], "one below the other they are one frame"
    of = curves.set_index(["draw", "scorer", "n"]).sort_index()
    for draw, drawn in run.others.items():
        for scorer in ("log_likelihood", "mean_log_likelihood", "shortest", "random", "oracle"):
            assert of.loc[(draw, scorer)].index.tolist() == list(range(1, drawn.n + 1))
        for n in range(1, drawn.n + 1):
            right, likely = subsets(run, draw, n)
            row = of.loc[(draw, "log_likelihood", n)]
            assert row["accuracy"] == pytest.approx(right.mean())
            assert row["log_likelihood"] == pytest.approx(likely.mean())
            assert row["lift_points"] == pytest.approx(100 * (right.mean() - run.greedy.correct.mean()), abs=1e-9)
            some = [drawn.correct[:, list(s)].any(axis=1).mean() for s in combinations(range(drawn.n), n)]
            assert of.loc[(draw, "oracle", n)]["accuracy"] == pytest.approx(np.mean(some))
    for arm in arms[arms["arm"].isin(["best-of-n", "mean"])].itertuples():
        row = of.loc[(arm.draw, "log_likelihood" if arm.arm == "mean" else arm.scorer, arm.n)]
        assert (row["accuracy_low"], row["accuracy_high"]) == (arm.accuracy_low, arm.accuracy_high)
    assert of.loc[("hot", "log_likelihood", 3)].isna()["accuracy_low"]


def test_draws_under_other_rules() -> None:
    made = DrawnRun()
    rng = np.random.default_rng(5)
    for name, pool in {"greedy": made.greedy, "pool": made.pool, **made.others}.items():
        strict = pool.correct & (rng.random(pool.correct.shape) < 0.7)
        one = replace(pool, correct_strict=strict, unscored_strict=np.zeros_like(strict))
        if name in made.others:
            made.others[name] = one
        else:
            setattr(made, name, one)
    made.others["low"].truncated[3, 1] = made.pool.truncated[7, 0] = True
    found = analyse(made, draws=DRAWS)
    variants = {variant.name: variant for variant in found.variants}
    kept = [row for row in range(40) if row not in (3, 7)]
    assert variants["without truncated"].n_problems == 38
    for facts in variants["without truncated"].draws:
        expected = made.others[facts.draw].correct[kept].mean()
        assert arm(facts, "mean", 1).accuracy.estimate == pytest.approx(expected)
    again = analyse(made, draws=DRAWS, exclude_truncated=True)
    assert str(again.draws) == str(variants["without truncated"].draws)
    low = variants["strict format"].draws[0]
    pool = made.others["low"]
    assert pool.correct_strict is not None
    assert arm(low, "mean", 1).accuracy.estimate == pytest.approx(pool.correct_strict.mean())
    best = [pool.correct_strict[k][score == score.max()].mean() for k, score in enumerate(pool.log_likelihood)]
    assert arm(low, "best-of-n", 4, "log_likelihood").accuracy.estimate == pytest.approx(np.mean(best))


def test_draws_alone_can_have_other_verdicts_under_the_strict_format() -> None:
    made = DrawnRun()
    for name, pool in {"greedy": made.greedy, "pool": made.pool, **made.others}.items():
        one = replace(pool, correct_strict=pool.correct & (name != "hot"), unscored_strict=pool.unscored)
        if name in made.others:
            made.others[name] = one
        else:
            setattr(made, name, one)
    [strict] = analyse(made, draws=DRAWS).variants
    assert [arm(facts, "mean", 1).accuracy.estimate > 0 for facts in strict.draws] == [True, False, True]


def test_draws_stand_on_the_axis_of_tokens(run: DrawnRun, found: Any) -> None:
    rows = {row.name: row for row in found.compute if row.draw is not None}
    for facts in found.draws:
        for each in facts.arms:
            if each.arm != "oracle":
                row = rows.pop(each.name)
                assert row.tokens.estimate == pytest.approx(each.n * run.others[facts.draw].n_tokens.mean())
                assert row.accuracy == each.accuracy
    assert not rows


def test_truncated_responses_of_a_draw_leave_their_problem_out(run: DrawnRun) -> None:
    cut = DrawnRun()
    cut.others["low"].truncated[3, 1] = True
    assert analyse(cut, draws=DRAWS).n_problems == 40
    found = analyse(cut, draws=DRAWS, exclude_truncated=True)
    assert (found.n_problems, found.n_excluded) == (39, 1)
    assert arm(found.draws[0], "mean", 1).accuracy.estimate == pytest.approx(
        np.delete(cut.others["low"].correct, 3, axis=0).mean()
    )


def test_a_draw_of_other_problems_is_refused() -> None:
    other = DrawnRun()
    other.others["low"] = other.others["low"].take(range(39))
    with pytest.raises(StoreError, match="draw 'low' does not cover the problems of the pool"):
        analyse(other, draws=DRAWS)


def test_votes_and_scorers_are_asked_of_draws_too(run: DrawnRun) -> None:
    found = analyse(run, draws=DRAWS, scorers=("shortest",), votes=("borda@0.5/shortest",), ns=(1, 3))
    low = found.draws[0]
    assert {a.scorer for a in low.arms if a.arm == "best-of-n"} == {"shortest"}
    assert arm(low, "vote", 4, found.settings.votes[0]).accuracy.estimate >= 0
    assert ("low", "best-of-3 shortest") in {(pair.arm, pair.other) for pair in found.draw_pairs}


def test_entropy_of_answers() -> None:
    classes = np.array([[0, 1, 2, 3], [0, 0, 0, 0], [-1, -1, 0, 0]], dtype=np.int32)
    assert answer_entropy(classes).tolist() == pytest.approx([np.log(4), 0.0, np.log(2)])


@pytest.mark.slow
def test_draws_of_one_distribution_are_told_apart_no_more_often_than_is_said() -> None:
    """One response of each draw is as good as one sample; other pairs of the family do differ."""
    starred = 0
    for seed in range(60):
        found = analyse(DrawnRun(problems=30, seed=seed), draws=200)
        same = [pair for pair in found.draw_pairs if {pair.arm, pair.other} <= {"sample", "low", "hot", "one"}]
        assert len(same) == 6
        starred += any(found.settings.shows(pair.p_joint, 30) for pair in same)
    assert starred <= 9, "5 % of 60 is 3; more than 9 has a chance of 0.1 %"
