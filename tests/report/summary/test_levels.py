"""Likelihood and correctness over many runs: means by hand, coverage where runs share their problems, the files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_run import MadeRun
from scipy import stats

from bon_eval.analysis.analyse import analyse
from bon_eval.analysis.levels.facts import FORMS
from bon_eval.report.run.rows import document
from bon_eval.report.summary.levels import RunLevel, pooled
from bon_eval.report.summary.page import summary_page, write_summary
from bon_eval.report.summary.rows import summarise
from bon_eval.report.summary.terminal import lines
from bon_eval.stats import bootstrap_ci


@pytest.fixture(scope="module")
def reports() -> list[dict[str, Any]]:
    """Two runs of one task and one of another."""
    found = []
    for seed, task in ((0, "x"), (1, "x"), (2, "y")):
        content = document(analyse(MadeRun(problems=40, n=8, seed=seed), draws=300))
        content["run"]["config"] |= {"model": f"m{seed}", "task": task}
        found.append(content)
    return found


@pytest.fixture
def directories(reports: list[dict[str, Any]], tmp_path: Path) -> list[Path]:
    out = []
    for k, content in enumerate(reports):
        out.append(tmp_path / f"run{k}")
        out[-1].mkdir()
        (out[-1] / "report.json").write_text(json.dumps(content), encoding="utf-8")
    return out


def level(estimate: float, low: float | None, high: float | None, predicts: str = "yes") -> RunLevel:
    return RunLevel("responses", "sample", "auroc", {"summed": (estimate, low, high)}, predicts, "not asked")


def test_means_by_hand() -> None:
    runs = [("x", [level(0.6, 0.5, 0.7)]), ("x", [level(0.8, 0.6, 0.9, "not shown")]), ("y", [level(0.7, 0.66, 0.74)])]
    [found] = pooled(runs)
    assert (found.name, found.runs, found.yes, found.reversed) == ("repeated responses to one prompt", 3, 1 + 1, 0)
    estimate, low, high = found.numbers["summed"]
    assert estimate == pytest.approx(0.7)
    # Task x: distances 0.1 + 0.2 and 0.1 + 0.1; task y: 0.04 each. Runs: standard error 0.1 / sqrt(3).
    of_runs = stats.t.ppf(0.975, 2) * 0.1 / np.sqrt(3)
    assert low == pytest.approx(0.7 - np.sqrt((0.3**2 + 0.04**2) / 9 + of_runs**2))
    assert high == pytest.approx(min(1.0, 0.7 + np.sqrt((0.2**2 + 0.04**2) / 9 + of_runs**2)))
    assert set(found.numbers) == {"summed"}
    assert found.text("per_token") == "not asked"


def test_one_run_has_its_own_interval_and_one_without_leaves_none() -> None:
    assert pooled([("x", [level(0.6, 0.5, 0.7)])])[0].numbers["summed"] == pytest.approx((0.6, 0.5, 0.7))
    both = pooled([("x", [level(0.6, 0.5, 0.7)]), ("y", [level(0.8, None, None)])])
    assert both[0].numbers["summed"] == (pytest.approx(0.7), None, None)
    assert both[0].text("summed") == "AUROC 0.70 (no interval)"
    assert pooled([("x", [RunLevel("pairs", "greedy", "auroc", {}, "not asked", "not asked")])]) == ()


@pytest.mark.parametrize(("of_runs", "of_problems"), [(0.0, 0.2), (0.1, 0.02), (0.06, 0.15)])
def test_intervals_cover_whether_runs_share_their_problems_or_differ(of_runs: float, of_problems: float) -> None:
    rng, hits, samples = np.random.default_rng(0), 0, 200
    for _ in range(samples):
        runs = []
        for task in ("x", "y"):
            shared = of_problems * rng.normal(size=25)
            for _ in range(3):
                values = 0.6 + of_runs * rng.normal() + shared + 0.05 * rng.normal(size=25)
                found = bootstrap_ci(values, rng=rng, draws=200, support=(-np.inf, np.inf))
                runs.append((task, [level(found.estimate, found.low, found.high)]))
        _, low, high = pooled(runs)[0].numbers["summed"]
        assert low is not None
        assert high is not None
        hits += low <= 0.6 <= high
    assert hits / samples > 0.93


def test_every_run_and_the_means_are_in_csv_page_and_terminal(
    reports: list[dict[str, Any]], directories: list[Path], tmp_path: Path
) -> None:
    summary = summarise(directories)
    out = tmp_path / "out"
    out.mkdir()
    frame = pd.read_csv(write_summary(summary, out)["summary_levels.csv"])
    of_runs, means = frame[frame["run"].notna()], frame[frame["run"].isna()]
    stored = [row for content in reports for row in content["levels"]["rows"]]
    assert len(of_runs) == len(stored)
    for form in FORMS:
        assert of_runs[form].tolist() == pytest.approx(
            [np.nan if row[form] is None else row[form] for row in stored], nan_ok=True
        )
    for mean in means.itertuples():
        rows = [row for row in stored if (row["level"], row["of"]) == (mean.level, mean.of)]
        assert mean.summed == pytest.approx(np.mean([row["summed"] for row in rows]))
        assert mean.runs == 3
        assert mean.summed_low < mean.summed < mean.summed_high
    text = (out / "summary.html").read_text(encoding="utf-8")
    section = text.split("Does likelihood predict correctness?</h2>")[1].split("<h2>")[0]
    assert section.count('<th scope="row">') == len(means)
    assert "<td>3 of 3</td>" in section
    printed = list(lines(summary))
    start = printed.index("does likelihood predict correctness?")
    assert printed[start + 1].startswith("  across decoding methods: shown in ")
    assert max(map(len, printed[start:])) <= 100


def test_reports_from_before_have_none(reports: list[dict[str, Any]], directories: list[Path], tmp_path: Path) -> None:
    for path, content in zip(directories, reports, strict=True):
        older = {key: value for key, value in content.items() if key != "levels"}
        (path / "report.json").write_text(json.dumps(older), encoding="utf-8")
    summary = summarise(directories)
    assert summary.levels == ()
    out = tmp_path / "out"
    out.mkdir()
    (out / "summary_levels.csv").write_text("of an earlier summary", encoding="utf-8")
    assert "summary_levels.csv" not in write_summary(summary, out)
    assert not (out / "summary_levels.csv").exists()
    assert "Does likelihood" not in summary_page(summary)
    assert "does likelihood predict correctness?" not in list(lines(summary))
