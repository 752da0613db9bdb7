"""Likelihood and correctness at four levels: which rows there are, their numbers, and their verdicts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from made_run import MadeRun

from bon_eval.analysis.analyse import analyse
from bon_eval.analysis.levels.compute import _line, _Means, levels
from bon_eval.analysis.levels.facts import FORMS, LevelRow, Levels
from bon_eval.analysis.levels.ways import Way
from bon_eval.analysis.responses import Drawn, Responses
from bon_eval.analysis.settings import Settings, resolve_settings
from bon_eval.draws import as_stored, parse_draws
from bon_eval.estimators import best_of_n, within_problem_auroc
from bon_eval.estimators.levels.concordance import across_problems, within_problems
from bon_eval.estimators.levels.lines import line_gain
from bon_eval.records import Pool
from bon_eval.stats.bootstrap import UNBOUNDED

SPECS = parse_draws(["t=temperature:0.25/0.5/1,n:3", "cut=top_k:5/20,n:2", "mixed=temperature:0.5,top_p:0.9,n:2"])
P, N = 50, 8


def pool(rng: np.random.Generator, n: int, *, right: float = 0.4, likelier: float = 1.0, p: int = P) -> Pool:
    """Responses of about 30 tokens; correct ones are likelier by so many standard deviations."""
    length = rng.integers(25, 36, size=(p, n)).astype(np.int32)
    correct = rng.random((p, n)) < right
    no = np.zeros((p, n), dtype=np.bool_)
    return Pool(
        problem_ids=tuple(str(i) for i in range(p)),
        log_likelihood=-10.0 + rng.normal(size=(p, n)) + likelier * correct,
        n_tokens=length,
        truncated=no,
        correct=correct,
        unscored=no,
        answer_class=np.where(correct, 0, 1).astype(np.int32),
    )


def responses(seed: int = 0, **of: Any) -> Responses:
    rng = np.random.default_rng(seed)
    p = of.get("p", P)
    drawn = {spec.name: Drawn(pool(rng, spec.n, **of), {}, {}, None) for spec in SPECS}
    greedy, sampled = pool(rng, 1, **of), pool(rng, N, **of)
    return Responses(("1",) * p, greedy, sampled, {"log_likelihood": sampled.log_likelihood}, None, others=drawn)


def settings(p: int = P, **more: Any) -> Settings:
    return resolve_settings(N, p, scorers=("log_likelihood",), draws=2000, **more)


@pytest.fixture(scope="module")
def drawn() -> Responses:
    return responses()


@pytest.fixture(scope="module")
def found(drawn: Responses) -> Levels:
    return levels(drawn, settings(), SPECS, 1.0)


def row(of: Levels, level: str, what: str) -> LevelRow:
    [only] = [each for each in of.rows if (each.level, each.of) == (level, what)]
    return only


def test_methods_are_kinds_and_settings_are_scales(found: Levels) -> None:
    assert {(each.level, each.of): each.compared for each in found.rows if each.statistic == "points"} == {
        ("methods", "all"): (
            "greedy",
            "sample",
            "best-of-8",
            "temperature (3 draws)",
            "top_k (2 draws)",
            "mixed",
        ),
        ("settings", "best-of-n"): ("sample", "best-of-2", "best-of-4", "best-of-8"),
        # The draw at temperature 1 is the pool's setting, and the pool is the end of the scale.
        ("settings", "temperature"): ("greedy", "t@0.25", "t@0.5", "sample"),
        ("settings", "top_p at temperature 0.5"): ("mixed", "t@0.5"),
        ("settings", "top_k"): ("cut@5", "cut@20", "sample"),
    }
    assert [(each.level, each.of) for each in found.rows if each.statistic == "auroc"] == [
        ("pairs", "greedy"),
        ("pairs", "sample"),
        ("responses", "sample"),
    ]


def test_two_settings_make_no_line_and_three_none_beside_length(found: Levels) -> None:
    two = row(found, "settings", "top_p at temperature 0.5")
    assert [two.form(form) for form in FORMS] == [None] * 4
    assert two.reasons == {
        "summed": "2 settings; from 3 on",
        "per_token": "2 settings; from 3 on",
        "summed_at_length": "2 settings; from 4 on",
        "per_token_at_length": "2 settings; from 4 on",
    }
    assert (two.predicts, two.predicts_at_length) == ("not asked", "not asked")
    three = row(found, "settings", "top_k")
    assert three.summed is not None
    assert three.summed_at_length is None
    assert three.predicts_at_length == "not asked"


def test_lines_are_those_through_the_means(drawn: Responses, found: Levels) -> None:
    pools = [drawn.greedy, drawn.others["t@0.25"].pool, drawn.others["t@0.5"].pool, drawn.pool]
    right, length = (np.stack([getattr(p, k).mean(axis=1) for p in pools]) for k in ("correct", "n_tokens"))
    of = row(found, "settings", "temperature")
    for k, form in enumerate(FORMS):
        scores = [p.log_likelihood if k % 2 == 0 else p.log_likelihood / p.n_tokens for p in pools]
        expected = line_gain(np.stack([s.mean(axis=1) for s in scores]), right, length if k > 1 else None)
        interval = of.form(form)
        assert interval is not None
        assert expected is not None
        assert interval.estimate == pytest.approx(100 * expected.mean())
        assert interval.low < interval.estimate < interval.high
    best = [
        best_of_n(drawn.pool.log_likelihood, v, [1, 2, 4, 8]) for v in (drawn.pool.log_likelihood, drawn.pool.correct)
    ]
    expected = line_gain(*best)
    summed = row(found, "settings", "best-of-n").summed
    assert expected is not None
    assert summed is not None
    assert summed.estimate == pytest.approx(100 * expected.mean())


def test_pairs_and_responses_are_the_estimators(drawn: Responses, found: Levels) -> None:
    for name, of in (("greedy", drawn.greedy), ("sample", drawn.pool)):
        scores = np.stack([of.log_likelihood, of.log_likelihood / of.n_tokens])
        across = across_problems(scores, of.correct, of.n_tokens)
        pairs = row(found, "pairs", name)
        assert pairs.responses == of.n
        for k, form in enumerate(FORMS):
            interval = pairs.form(form)
            assert interval is not None
            assert interval.estimate == across[k % 2][k // 2].estimate
    within = row(found, "responses", "sample")
    plain = within_problem_auroc(scores[0], drawn.pool.correct)
    alike = within_problems(scores, drawn.pool.correct, drawn.pool.n_tokens)
    assert within.summed is not None
    assert within.per_token_at_length is not None
    assert within.summed.estimate == pytest.approx(np.nanmean(plain))
    assert within.per_token_at_length.estimate == pytest.approx(np.nanmean(alike[1]))
    assert within.problems == np.isfinite(plain).sum()
    assert within.problems_at_length == np.isfinite(alike[0]).sum()


def test_responses_to_one_prompt_have_the_auroc_of_the_scorers() -> None:
    analysis = analyse(MadeRun(), draws=400)
    within = row(analysis.levels, "responses", "sample")
    for name, form in (("log_likelihood", "summed"), ("mean_log_likelihood", "per_token")):
        [scorer] = [s for s in analysis.explanation.scorers if s.scorer == name]
        assert scorer.auroc == within.form(form)  # type: ignore[arg-type]
        assert scorer.auroc_problems == within.problems


def test_a_strong_relation_is_shown_and_turns_round(found: Levels) -> None:
    assert row(found, "responses", "sample").predicts == "yes"
    assert row(found, "pairs", "sample").predicts_at_length == "yes"
    assert row(found, "settings", "best-of-n").predicts == "yes"
    other = levels(responses(likelier=-1.0), settings(), SPECS, 1.0)
    assert row(other, "responses", "sample").predicts == "reversed"
    assert row(other, "pairs", "sample").predicts == "reversed"
    assert row(other, "settings", "best-of-n").predicts == "reversed"


def test_without_a_relation_a_verdict_is_rare() -> None:
    """5 % over all rows of a run, a little more of a few settings with few single answers."""
    wrong = 0
    for seed in range(60):
        of = responses(seed, likelier=0.0)
        wrong += any(each.predicts in ("yes", "reversed") for each in levels(of, settings(), SPECS, 1.0).rows)
    assert wrong <= 7  # binomial of 60 at 5 %: 7 or fewer in 99.5 %


def test_verdicts_are_stricter_than_the_interval_and_none_is_early(drawn: Responses) -> None:
    early = levels(drawn, settings(partial=True), SPECS, 1.0)
    assert {each.predicts for each in early.rows} == {"not shown", "not asked"}
    assert [each.summed for each in early.rows] == [each.summed for each in levels(drawn, settings(), SPECS, 1.0).rows]
    looks = levels(drawn, settings(looks=4), SPECS, 1.0)
    assert row(looks, "responses", "sample").predicts == "yes"
    weak = [levels(responses(seed, likelier=0.2), settings(), SPECS, 1.0) for seed in range(12)]
    excluded = [
        each
        for of in weak
        for each in of.rows
        if each.summed is not None and not each.summed.low <= each.chance <= each.summed.high
    ]
    assert any(each.predicts == "not shown" for each in excluded), "Bonferroni over the rows"
    assert any(each.predicts == "yes" for each in excluded)


def test_few_problems_are_not_asked() -> None:
    of = levels(responses(p=9), settings(9), SPECS, 1.0)
    assert {each.predicts for each in of.rows} == {"not asked"}
    assert row(of, "pairs", "greedy").reasons["summed"].endswith("from 10 on")
    assert row(of, "methods", "all").reasons["summed"] == "9 problems; from 10 on"


def test_clusters_of_one_change_nothing_and_large_ones_widen(drawn: Responses, found: Levels) -> None:
    alone = levels(replace(drawn, clusters=np.arange(P)), settings(), SPECS, 1.0)
    for one, other in zip(found.rows, alone.rows, strict=True):
        for form in FORMS:
            a, b = one.form(form), other.form(form)
            assert (a is None) == (b is None)
            if a is not None and b is not None:
                assert (b.estimate, b.low, b.high) == pytest.approx((a.estimate, a.low, a.high))
    twice = np.arange(P) // 2
    doubled = drawn.take(twice)
    copied = levels(replace(doubled, clusters=twice), settings(), SPECS, 1.0)
    plain = levels(doubled, settings(), SPECS, 1.0)
    for what in ("greedy", "sample"):
        wide, narrow = row(copied, "pairs", what).summed, row(plain, "pairs", what).summed
        assert wide is not None
        assert narrow is not None
        assert wide.estimate == pytest.approx(narrow.estimate)
        assert wide.high - wide.low > narrow.high - narrow.low, "each problem stands there twice"
    one = levels(replace(drawn, clusters=np.zeros(P, dtype=np.intp)), settings(), SPECS, 1.0)
    assert row(one, "pairs", "sample").reasons["summed"] == "1 cluster; from 2 on"


def test_without_log_likelihoods_there_is_nothing(drawn: Responses) -> None:
    unknown = replace(drawn.pool, log_likelihood=np.full((P, N), np.nan))
    of = levels(replace(drawn, pool=unknown), settings(), SPECS, 1.0)
    assert (of.rows, of.reason) == ((), "not all responses have a log-likelihood")
    lengths = replace(drawn.pool, n_tokens=np.zeros((P, N), dtype=np.int32))
    assert (
        levels(replace(drawn, pool=lengths), settings(), SPECS, 1.0).reason
        == "not all responses have a number of tokens"
    )


def test_a_pool_of_one_response_has_no_best_of_n() -> None:
    run = MadeRun(n=1)
    run.meta["config"] |= {"n": 1, "draws": [as_stored(spec) for spec in SPECS]}
    rows = analyse(run, draws=200).levels.rows
    assert [(each.level, each.of) for each in rows] == [
        ("methods", "all"),
        ("settings", "temperature"),
        ("pairs", "greedy"),
        ("pairs", "sample"),
        ("responses", "sample"),
    ]
    assert rows[0].reasons["summed"] == "2 methods; from 3 on"
    assert rows[-1].predicts == "not asked"


def test_a_line_beyond_what_accuracies_can_be_is_no_number() -> None:
    """Of three coefficients on four points, where length says nearly all of the likelihood."""
    p = 40
    likelihood, length = np.array([-10.0, -8.0, -6.0, -4.0]), np.array([10.0, 12.1, 13.9, 16.0])
    ways = [
        Way(str(k), np.full((2, p), likelihood[k]), np.full(p, length[k]), np.full(p, right))
        for k, right in enumerate((0.2, 0.4, 0.2, 0.4))
    ]
    held = line_gain(
        *(np.stack(of) for of in zip(*((w.likelihood[0], w.correct, w.n_tokens) for w in ways), strict=True))
    )
    assert held is not None
    assert abs(held.mean()) > 1
    asked = _line("settings", "temperature", ways, _Means(settings(p), "x", UNBOUNDED, None))
    assert not isinstance(asked.found["summed"], str)
    for form in FORMS[2:]:
        assert asked.found[form] == (
            f"the line would gain {100 * held.mean():+.0f} points, more than accuracies can differ: likelihood and "
            "length go together too closely over the settings"
        )
