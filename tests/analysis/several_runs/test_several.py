"""Three runs and more: every pair in every arm is one family, and every run has its own name."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_runs import in_other_order, made_run

from bon_eval.analysis.several_runs.comparison import SeveralComparison, compare_several
from bon_eval.analysis.two_runs.comparison import compare_runs
from bon_eval.errors import ConfigError
from bon_eval.report.comparison.several import document, render_several, write_several
from bon_eval.stats import holm
from bon_eval.store.reader import Run

NAMES = ("weak", "middle", "strong")


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    """Sixty problems; the strong model is better on all of them, the other two are alike."""
    rates = np.linspace(0.05, 0.75, 60)
    sizes = (12, 16, 16)
    return [
        made_run(name, n=n, seed=k, rates=rates + (0.2 if name == "strong" else 0.0))
        for k, (name, n) in enumerate(zip(NAMES, sizes, strict=True))
    ]


@pytest.fixture(scope="module")
def found(runs: list[Run]) -> SeveralComparison:
    return compare_several(runs, draws=2000)


def test_every_run_and_every_pair_stands_there(runs: list[Run], found: SeveralComparison) -> None:
    assert found.names == NAMES
    assert (found.n, found.sizes) == (12, (12, 16, 16))
    of_sample = {row.run: row.value.estimate for row in found.accuracies if row.name == "accuracy.sample"}
    assert of_sample == {name: pytest.approx(run.pool.correct.mean()) for name, run in zip(NAMES, runs, strict=True)}
    arms = list(dict.fromkeys(pair.name for pair in found.pairs))
    assert arms == [f"accuracy.{arm}" for arm in ("greedy", "sample", "best_own", "vote", "oracle")]
    assert [(p.first, p.second) for p in found.pairs] == list(combinations(NAMES, 2)) * len(arms)
    for pair in found.pairs:
        if pair.name == "accuracy.sample":
            expected = of_sample[pair.second] - of_sample[pair.first]
            assert pair.difference.difference == pytest.approx(expected)


def test_holm_is_over_all_pairs_and_arms(found: SeveralComparison) -> None:
    adjusted = holm([pair.difference.p_value for pair in found.pairs])
    assert [pair.p_holm for pair in found.pairs] == pytest.approx(adjusted.tolist())
    assert min(p.p_holm / p.difference.p_value for p in found.pairs if p.p_holm < 1) >= 1.0


def test_a_pair_has_the_interval_that_two_runs_compared_have(runs: list[Run], found: SeveralComparison) -> None:
    """Of runs whose smaller N is that of all; only the correction is another."""
    two = compare_runs(runs[0], runs[2], draws=2000, tuning=False)
    of_two = {change.name: change.difference for change in two.accuracies}
    pairs = {p.name: p.difference for p in found.pairs if (p.first, p.second) == ("weak", "strong")}
    for name in ("accuracy.greedy", "accuracy.sample", "accuracy.oracle"):
        assert pairs[name].difference == pytest.approx(of_two[name].difference)
        assert (pairs[name].low, pairs[name].high) == pytest.approx((of_two[name].low, of_two[name].high), abs=0.01)


def test_sentences_name_what_is_shown_and_what_is_not(found: SeveralComparison) -> None:
    [sentence] = [s for s in found.sentences if s.startswith("Sample:")]
    assert "strong above weak by" in sentence
    assert "strong above middle by" in sentence
    assert sentence.endswith("not shown: weak and middle.")
    text = " ".join(render_several(found).split())
    assert sentence in text
    assert "Holm-adjusted over all 15 differences" in text
    assert "samples: 12 with weak, 16 with middle, 16 with strong" in text


def test_problems_are_matched_by_content(runs: list[Run], found: SeveralComparison) -> None:
    order = np.random.default_rng(1).permutation(60).tolist()
    moved = in_other_order(runs[1], order, [f"doc-{i}" for i in range(60)])
    again = compare_several([runs[0], moved, runs[2]], draws=2000)
    assert again.pairs == found.pairs


def test_of_few_problems_nothing_is_said(runs: list[Run]) -> None:
    few = [in_other_order(run, range(8), [str(i) for i in range(8)]) for run in runs]
    [sentence] = compare_several(few, draws=2000).sentences
    assert sentence == "No difference is shown: nothing is said of 8 problems, from 10 on."


def test_what_cannot_be_compared(runs: list[Run]) -> None:
    hot = replace(runs[2], meta=runs[2].meta | {"config": runs[2].meta["config"] | {"temperature": 0.5}})
    with pytest.raises(ConfigError, match=r"temperature is 1\.0 with weak and 0\.5 with strong"):
        compare_several([*runs[:2], hot], draws=2000)
    with pytest.raises(ConfigError, match=r"3 pairs of runs: .* adjusted for 18 accuracies; give --draws 720"):
        compare_several(runs, draws=500)
    with pytest.raises(ConfigError, match="three runs or more"):
        compare_several(runs[:2])


def test_files(found: SeveralComparison, tmp_path: Path) -> None:
    write_several(found, tmp_path)
    content: Any = json.loads((tmp_path / "compare.json").read_text())
    assert content == document(found)
    assert content["format"] == "bon-eval comparison of several runs"
    frame = pd.read_csv(tmp_path / "compare.csv")
    assert (frame["table"] == "pair").sum() == len(found.pairs)
    pair = frame[(frame["table"] == "pair") & (frame["name"] == "accuracy.sample")].iloc[1]
    assert (pair["first"], pair["second"]) == ("weak", "strong")
