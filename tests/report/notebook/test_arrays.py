"""Arrays without a run: by brute force, and the same numbers as the analysis of a run that holds them."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest
from made_run import MadeRun

import bon_eval
from bon_eval.analysis.analyse import analyse as analyse_run
from bon_eval.errors import ConfigError

SCORES = [[0.3, 0.9, 0.1, 0.9], [0.5, 0.2, 0.4, 0.1], [0.1, 0.2, 0.3, 0.4]]
CORRECT = [[1, 0, 0, 1], [0, 1, 0, 0], [1, 1, 1, 1]]


def by_hand(n: int) -> float:
    """Best-of-n over all subsets, ties shared."""
    means = []
    for scores, correct in zip(SCORES, CORRECT, strict=True):
        values = []
        for subset in itertools.combinations(range(4), n):
            top = max(scores[j] for j in subset)
            values.append(np.mean([correct[j] for j in subset if scores[j] == top]))
        means.append(np.mean(values))
    return float(np.mean(means))


def test_best_of_n_is_that_over_all_subsets() -> None:
    found = bon_eval.analyse(SCORES, CORRECT, ns=[1, 2, 3, 4], draws=200)
    assert repr(found) == "<ArrayAnalysis of 3 problems x 4 responses, lift over sample>"
    best = {arm.n: arm.accuracy.estimate for arm in found.arms if arm.arm == "best-of-n"}
    assert best == {n: pytest.approx(by_hand(n)) for n in (1, 2, 3, 4)}
    others = {arm.arm: arm.accuracy.estimate for arm in found.arms if arm.arm != "best-of-n"}
    assert others == {"sample": pytest.approx(7 / 12), "oracle": 1.0}


def test_it_gives_the_numbers_of_a_runs_report() -> None:
    run = MadeRun(problems=40, n=8)
    report = analyse_run(run, scorers=["log_likelihood", "mean_log_likelihood"], draws=500, seed=3)
    pool = run.pool
    answers = np.where(pool.answer_class < 0, np.nan, pool.answer_class)
    found = bon_eval.analyse(
        {"log_likelihood": pool.log_likelihood, "mean_log_likelihood": pool.log_likelihood / pool.n_tokens},
        pool.correct,
        greedy=run.greedy.correct[:, 0],
        answers=answers,
        draws=500,
        seed=3,
    )
    assert found.reference == "greedy"
    ours = {(arm.arm, arm.n, arm.scorer): arm for arm in found.arms}
    shared = [row for row in report.arms if (row.arm, row.n, row.scorer) in ours]
    assert len(shared) == 8  # greedy, sample, best-of-2, 4 and 8, by mean log-likelihood, vote, oracle
    for row in shared:
        arm = ours[row.arm, row.n, row.scorer]
        assert arm.accuracy == row.accuracy, row.arm
        if row.lift is None:
            assert arm.lift is None
            continue
        assert arm.lift is not None
        for name in ("difference", "low", "high", "p_value", "method"):
            assert getattr(arm.lift, name) == getattr(row.lift, name), (row.arm, name)


def test_the_family_is_best_of_n_and_the_vote() -> None:
    run = MadeRun(problems=60, n=4)
    found = bon_eval.analyse(
        run.pool.log_likelihood, run.pool.correct, answers=run.pool.answer_class.tolist(), draws=500
    )
    tested = [arm for arm in found.arms if arm.p_holm is not None]
    assert [(arm.arm, arm.n) for arm in tested] == [("best-of-n", 2), ("best-of-n", 4), ("vote", 4)]
    smallest = min(tested, key=lambda arm: arm.lift.p_value)  # type: ignore[union-attr]
    assert smallest.p_holm == pytest.approx(min(1.0, 3 * smallest.lift.p_value))  # type: ignore[union-attr]


def test_clusters_widen_what_repeats() -> None:
    run = MadeRun(problems=30, n=4)
    thrice = [np.repeat(array, 3, axis=0) for array in (run.pool.log_likelihood, run.pool.correct)]
    alone = bon_eval.analyse(run.pool.log_likelihood, run.pool.correct, draws=500)
    naive = bon_eval.analyse(*thrice, draws=500)
    grouped = bon_eval.analyse(*thrice, draws=500, clusters=np.repeat(np.arange(30), 3).tolist())
    widths = [arms.arms[1].accuracy.high - arms.arms[1].accuracy.low for arms in (alone, naive, grouped)]
    assert widths[2] == pytest.approx(widths[0], rel=1e-6)
    assert widths[1] < 0.7 * widths[0]


def test_answers_of_any_kind_vote() -> None:
    words = [["a", "b", "a", None], ["x", "y", "y", "z"], [None, None, None, None]]
    found = bon_eval.analyse(SCORES, [[1, 0, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]], answers=words, draws=200)
    [vote] = [arm.accuracy.estimate for arm in found.arms if arm.arm == "vote"]
    assert vote == pytest.approx((1 + 0 + 0) / 3)


def test_frame_and_table() -> None:
    run = MadeRun(problems=30, n=4)
    found = bon_eval.analyse({"a<b": run.pool.log_likelihood}, run.pool.correct, draws=200)
    frame = found.to_pandas()
    assert frame["arm"].tolist() == ["sample", "best-of-n", "best-of-n", "oracle"]
    assert frame["lift_points"].tolist()[1:] == [pytest.approx(100 * arm.lift.difference) for arm in found.arms[1:]]  # type: ignore[union-attr]
    assert frame["p_holm"].isna().tolist() == [True, False, False, True]
    rows = [["".join(cell.itertext()) for cell in row] for row in ET.fromstring(found._repr_html_()).iter("tr")]
    assert [row[0] for row in rows] == ["arm", "sample", "best-of-2 by a<b", "best-of-4 by a<b", "oracle-of-4"]
    few = bon_eval.analyse([[0.1, 0.9]], [[0, 1]])
    assert "+50.0 (no interval)" in few._repr_html_()


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"scores": [0.1, 0.2]}, "scores has shape (2,); expected (problems, N)"),
        ({"scores": {"a": [[1.0, 2.0]]}}, "a have shape (1, 2) and correct has (3, 4)"),
        ({"scores": {}}, "0 arrays of scores"),
        ({"scores": [[float("nan")] * 4] * 3}, "score of response 0 of problem row 0 is NaN"),
        ({"scores": [["x"] * 4] * 3}, "scores are no numbers"),
        ({"correct": [[2, 0, 0, 1]] * 3}, "correct holds other values than True and False"),
        ({"correct": [[None, 0, 0, 1]] * 3}, "correct holds other values than True and False"),
        ({"greedy": [1, 0]}, "greedy has shape (2,); expected one for each of the 3 problems"),
        ({"greedy": [1, 0, 0.5]}, "greedy holds other values"),
        ({"answers": [[1, 2]] * 3}, "answers are not of shape (problems, N) = (3, 4)"),
        ({"clusters": ["a"]}, "clusters has shape (1,)"),
        ({"ns": [5]}, "n = 5 is larger than the stored pool of 4"),
        ({"draws": 3}, "3 bootstrap draws cannot give a 95 % interval"),
    ],
)
def test_arrays_that_do_not_fit(changes: dict[str, Any], part: str) -> None:
    given = {"scores": SCORES, "correct": CORRECT, **changes}
    with pytest.raises(ConfigError) as caught:
        bon_eval.analyse(given.pop("scores"), given.pop("correct"), **given)
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)
