"""Tidy frames of a run: every array's cell where it belongs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bon_eval.analysis.analyse import analyse
from bon_eval.errors import ConfigError
from bon_eval.store.reader import Run


def test_responses_row_by_row(make_hand_run: Callable[[], Run]) -> None:
    run = make_hand_run()
    frame = run.to_pandas()
    assert len(frame) == 3 * (1 + 4)
    assert frame.groupby("arm").size().to_dict() == {"greedy": 3, "sample": 12}
    for draw, pool in (("greedy", run.greedy), ("sample", run.pool)):
        rows = frame[frame["arm"] == draw].set_index(["problem_id", "index"])
        for i, problem in enumerate(pool.problem_ids):
            for k in range(pool.n):
                row = rows.loc[(problem, k)]
                assert row["log_likelihood"] == pool.log_likelihood[i, k]
                assert row["n_tokens"] == pool.n_tokens[i, k]
                assert row["truncated"] == pool.truncated[i, k]
                assert row["answer_class"] == pool.answer_class[i, k]
                if pool.unscored[i, k]:
                    assert row["correct"] is pd.NA
                else:
                    assert row["correct"] == pool.correct[i, k]
    means = (
        frame[frame["arm"] == "sample"]
        .groupby("problem_id", sort=False)["correct"]
        .agg(lambda x: x.fillna(False).mean())
    )
    assert means.to_numpy(dtype=float) == pytest.approx(run.pool.correct.mean(axis=1))


def test_an_unscored_response_is_neither_right_nor_wrong(make_hand_run: Callable[[], Run]) -> None:
    run = make_hand_run()
    unscored = np.zeros_like(run.pool.unscored)
    unscored[1, 2] = True
    pool = replace(
        run.pool, unscored=unscored, correct=run.pool.correct & ~unscored, plugin_scores={"f.py:g": unscored * 2.5}
    )
    frame = replace(run, pool=pool).to_pandas()
    row = frame[(frame["arm"] == "sample") & (frame["problem_id"] == pool.problem_ids[1]) & (frame["index"] == 2)]
    assert row["correct"].isna().tolist() == [True]
    assert frame["correct"].isna().sum() == 1 + run.greedy.unscored.sum()
    assert row["score.f.py:g"].tolist() == [2.5]


def test_problems_finished_and_not(make_hand_run: Callable[[], Run]) -> None:
    run = make_hand_run()
    part = replace(run, pool=run.pool.take([0, 2]), greedy=run.greedy.take([0, 2]))
    frame = part.to_pandas("problems")
    assert frame["problem_id"].tolist() == [p.id for p in run.problems]
    assert frame["gold"].tolist() == [p.gold for p in run.problems]
    assert frame["finished"].tolist() == [True, False, True]
    assert frame["fields.question"].tolist() == ["q", "q", "q"]


def test_draws_on_each_problem(make_hand_run: Callable[[], Run]) -> None:
    run = make_hand_run()
    other = run.pool.take([0, 1, 2])
    run = replace(run, others={"low": replace(other, correct=~other.correct & ~other.unscored)})
    frame = run.to_pandas("problems")
    for draw, pool in run.draws.items():
        assert frame[f"accuracy.{draw}"].to_numpy() == pytest.approx(pool.correct.mean(axis=1))
        assert frame[f"log_likelihood.{draw}"].to_numpy() == pytest.approx(pool.log_likelihood.mean(axis=1))
        assert frame[f"n_tokens.{draw}"].to_numpy() == pytest.approx(pool.n_tokens.mean(axis=1))
        assert (f"vote.{draw}" in frame) == (pool.n > 1)
        if pool.n > 1:
            best = pool.log_likelihood == pool.log_likelihood.max(axis=1, keepdims=True)
            assert frame[f"best_of_n.{draw}"].to_numpy() == pytest.approx((pool.correct * best).sum(1) / best.sum(1))
            assert frame[f"oracle.{draw}"].to_numpy() == pytest.approx(pool.correct.max(axis=1).astype(float))
    found = {row.problem_id: row for row in analyse(replace(run, others={}), draws=100).problems}
    assert frame["vote.sample"].to_numpy() == pytest.approx([found[p].vote for p in frame["problem_id"]])
    part = replace(run, pool=run.pool.take([0, 2]), greedy=run.greedy.take([0, 2]), others={})
    assert part.to_pandas("problems")["accuracy.sample"].isna().tolist() == [False, True, False]


def test_another_table_is_refused(make_hand_run: Callable[[], Run]) -> None:
    with pytest.raises(ConfigError, match="unknown table"):
        make_hand_run().to_pandas("response")  # type: ignore[arg-type]
