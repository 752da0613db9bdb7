"""What a training added: worked out by hand, at unequal sizes, and on made runs of known truth."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_runs import made_run

from bon_eval.analysis.two_runs.added import Added, added
from bon_eval.analysis.two_runs.comparison import Comparison, compare_runs
from bon_eval.analysis.two_runs.names import BEFORE_AFTER
from bon_eval.analysis.two_runs.sides import Side
from bon_eval.estimators import pass_at_n
from bon_eval.report.comparison.rows import document
from bon_eval.report.comparison.terminal import render, write_comparison
from bon_eval.store.reader import Run


def with_correct(run: Run, correct: np.ndarray) -> Run:
    pool = replace(run.pool, correct=correct, answer_class=np.where(correct, 0, 1).astype(np.int32))
    return replace(run, pool=pool)


def of(first: Run, second: Run) -> Added:
    return added(Side.of(first), Side.of(second), None, BEFORE_AFTER, seed=0, draws=300)


# --- by hand

# Kept, lost, gained, neither, and twice kept.
FIRST = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 0, 0]], dtype=bool)
SECOND = np.array([[1, 1, 0, 0], [0, 0, 0, 0], [0, 1, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 0]], dtype=bool)


def small(correct: np.ndarray, name: str) -> Run:
    return with_correct(made_run(name, problems=len(correct), n=correct.shape[1]), correct)


def test_solved_sets_by_hand() -> None:
    found = of(small(FIRST, "a"), small(SECOND, "b"))
    solved = found.solved
    shares = [getattr(solved, name).estimate for name in ("kept", "lost", "gained", "neither")]
    assert shares == pytest.approx([3 / 6, 1 / 6, 1 / 6, 1 / 6])
    assert {getattr(solved, name).method for name in ("kept", "lost")} == {"wilson-midp"}
    assert [p.before.estimate for p in found.pass_at_k] == pytest.approx(pass_at_n(FIRST, range(1, 5)).mean(axis=1))
    at_least_two = [point.after.estimate for point in found.thresholds][1]
    assert at_least_two == pytest.approx(3 / 6), "the first, third and fifth problem of the second run"
    chance = found.by_chance
    assert chance is not None
    assert chance.n == 2
    passing = pass_at_n(FIRST, [2, 4])
    assert chance.lost_by_chance.estimate == pytest.approx((passing[1] - passing[0]).mean())
    two = [pass_at_n(values, [2])[0] for values in (FIRST, SECOND)]
    assert chance.lost.estimate == pytest.approx((two[0] * (1 - two[1])).mean())
    assert chance.gained_beyond.difference == pytest.approx(
        (two[1] * (1 - two[0]) - np.diff(pass_at_n(SECOND, [2, 4]), axis=0)[0]).mean()
    )


def test_pools_of_unequal_size_are_compared_at_the_smaller() -> None:
    """Every pair of subsets of two, problem by problem."""
    found = of(small(FIRST, "a"), small(SECOND[:, :2], "b"))
    assert found.n == 2
    assert len(found.pass_at_k) == len(found.thresholds) == 2
    lost = [
        np.mean([row[list(s)].any() and not other[:2].any() for s in combinations(range(4), 2)])
        for row, other in zip(FIRST, SECOND, strict=True)
    ]
    assert found.solved.lost.estimate == pytest.approx(np.mean(lost))
    total = sum(getattr(found.solved, name).estimate for name in ("kept", "lost", "gained", "neither"))
    assert total == pytest.approx(1.0)
    assert found.thresholds[1].before.estimate == pytest.approx(np.mean([0, 0, 0, 0, 1, 1 / 6]))
    entropy = {c.name: c for c in found.quantities}["answer_entropy"]
    assert entropy.label == "entropy of 2 answers"
    assert entropy.before.estimate == pytest.approx(np.log(2) * np.mean([3 / 6, 3 / 6, 0, 0, 0, 4 / 6]))


def test_one_sample_each() -> None:
    found = of(small(FIRST[:, :1], "a"), small(SECOND[:, :1], "b"))
    assert found.by_chance is None
    assert [point.k for point in found.pass_at_k] == [1]


# --- known truth


def pair(before: list[float], after: list[float], n: int = 32) -> tuple[Run, Run]:
    count = len(before)
    return (
        made_run("base", problems=count, n=n, rates=before, seed=1),
        made_run("tuned", problems=count, n=n, rates=after, seed=2),
    )


@pytest.fixture(scope="module")
def sharpened() -> Comparison:
    """The base model has a rate of 0.15 on all of 120 problems; the tuned one of 0.9 on 80 of them and 0 on 40."""
    return compare_runs(*pair([0.15] * 120, [0.9] * 80 + [0.0] * 40), draws=500, tuning=False, names=("base", "tuned"))


def test_a_model_that_was_sharpened(sharpened: Comparison) -> None:
    """True curves: 1 - 0.85^k and 2/3 (1 - 0.1^k), which cross between k = 6 and 7."""
    found = sharpened.added
    assert found is not None
    crossing = found.crossovers[found.leads()]
    assert found.leads() == "before above after"
    assert crossing.low < 6.76 < crossing.high
    assert 4 < crossing.low < crossing.estimate < crossing.high < 12
    assert found.crossovers["after above before"].estimate == 1.0
    assert found.solved.lost.low < 1 / 3 < found.solved.lost.high
    chance = found.by_chance
    assert chance is not None
    assert chance.lost_beyond.low > 0
    [finding] = [f for f in sharpened.findings if f.name == "added"]
    assert finding.verdict == "no"
    text = finding.sentence
    assert text.startswith("tuned is sharper and solves less: one sample is more accurate, and within 32 samples fewer")
    assert f"pass@k of base rises above that of tuned at k = {crossing.estimate:.1f} [" in text


def test_two_runs_of_one_model_lose_and_gain_by_chance_alone() -> None:
    found = of(*pair([0.03] * 150, [0.03] * 150))
    assert found.solved.lost.low > 0.05, "what a comparison without the chance would call lost"
    chance = found.by_chance
    assert chance is not None
    for test in (chance.lost_beyond, chance.gained_beyond):
        assert test.low < 0 < test.high
    crossing = found.crossovers["before above after"]
    assert (crossing.low, crossing.high) == (1.0, np.inf)


@pytest.mark.parametrize(
    ("before", "after", "verdict", "words"),
    [
        ([0.0] * 40 + [0.5] * 60, [0.4] * 40 + [0.5] * 60, "yes", "Training added: within 32 samples more problems"),
        ([0.5] * 100, [0.5] * 60 + [0.0] * 40, "lost", "Training lost: within 32 samples fewer problems"),
        (
            [0.4] * 100,
            [0.8] * 100,
            "not shown",
            "neither more nor fewer problems are shown to be solved; one sample is",
        ),
    ],
)
def test_verdicts(before: list[float], after: list[float], verdict: str, words: str) -> None:
    found = compare_runs(*pair(before, after), draws=500, allow_different=["prompts"])
    [finding] = [f for f in found.findings if f.name == "added"]
    assert finding.verdict == verdict
    assert words in finding.sentence


def test_thresholds_are_of_samples_and_average_to_the_accuracy(sharpened: Comparison) -> None:
    found = sharpened.added
    assert found is not None
    by_name: dict[str, Any] = {c.name: c for c in sharpened.accuracies}
    for side in ("before", "after"):
        mean = np.mean([getattr(point, side).estimate for point in found.thresholds])
        assert mean == pytest.approx(getattr(by_name["accuracy.sample"], side).estimate)


# --- written and printed


def test_it_is_written_and_printed(sharpened: Comparison, tmp_path: Any) -> None:
    written = write_comparison(sharpened, tmp_path)
    assert list(written) == ["compare.csv", "compare.json", "compare_curves.csv"]
    content: Any = document(sharpened)
    section = content["added"]
    assert [row["k"] for row in section["pass_at_k"]] == list(range(1, 33))
    assert section["crossovers"]["after above before"]["estimate"] == "at most 1"
    assert content["null_reasons"]["added.rank in the other run's pool"].startswith("the prompts differ")
    frame = pd.read_csv(tmp_path / "compare_curves.csv")
    assert frame["curve"].value_counts().to_dict() == {"pass@k": 32, "at least k of 32": 32}
    assert frame["before"][0] == pytest.approx(section["pass_at_k"][0]["before"])
    text = " ".join(render(sharpened).split())
    assert "What does tuned solve that base does not?" in text
    assert "at least 8 of 32" in text
    assert "beyond chance" in text


def test_of_few_problems_nothing_is_said() -> None:
    found = compare_runs(*pair([0.5] * 3, [0.9] * 3, n=4), draws=300, tuning=False)
    [finding] = [f for f in found.findings if f.name == "added"]
    assert finding.verdict == "not shown"
    assert finding.sentence == "Whether tuned solves more is not shown: nothing is said of 3 problems, from 10 on."
    assert found.added is not None
    assert found.added.crossovers["before above after"].reason == "3 problems; from 5 on"
    content: Any = document(found)
    assert content["null_reasons"]["added.crossovers.before above after"] == "3 problems; from 5 on"
    assert "nan" not in render(found).lower()
