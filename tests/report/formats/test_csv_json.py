"""The files of a report: all or none, loadable with pandas, harmless in a spreadsheet."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bon_eval.analysis.results import Analysis
from bon_eval.errors import StoreError
from bon_eval.report.formats.csv_json import inert, to_csv, validate
from bon_eval.report.run.write import write_report

NAMES = {"report.json", "report.csv", "curves.csv", "problems.csv", "pairs.csv", "scorers.csv", "lengths.csv"}
NAMES |= {"sharpening.csv", "adaptive.csv", "compute.csv", "levels.csv"}


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_the_files_and_nothing_else(analysis: Analysis, tmp_path: Path) -> None:
    written = write_report(analysis, tmp_path)
    assert set(written) == NAMES
    assert {path.name for path in tmp_path.iterdir()} == NAMES
    validate(json.loads(written["report.json"].read_text(encoding="utf-8")))


def test_same_analysis_same_bytes(analysis: Analysis, tmp_path: Path) -> None:
    write_report(analysis, tmp_path)
    first = contents(tmp_path)
    write_report(analysis, tmp_path)
    assert contents(tmp_path) == first


def test_arms_load_in_pandas(analysis: Analysis, tmp_path: Path) -> None:
    arms = pd.read_csv(write_report(analysis, tmp_path)["report.csv"])
    assert list(arms["arm"]) == ["greedy", "sample", *["best-of-n"] * 5, "vote", "oracle"]
    best = arms[(arms["arm"] == "best-of-n") & (arms["scorer"] == "log_likelihood") & (arms["n"] == 4)].iloc[0]
    assert best["accuracy"] == pytest.approx(2 / 3)
    assert best["lift_points"] == pytest.approx(100 / 3)
    assert best["log_likelihood"] == pytest.approx(-3.999 / 3)
    assert arms["lift_points"].isna().tolist() == [True] + [False] * 8
    assert arms["accuracy"].dtype == np.float64


def test_curves_load_in_pandas_with_every_n(analysis: Analysis, tmp_path: Path) -> None:
    curves = pd.read_csv(write_report(analysis, tmp_path)["curves.csv"])
    one = curves[curves["scorer"] == "log_likelihood"].set_index("n")
    assert list(one.index) == [1, 2, 3, 4]
    assert one["accuracy"].tolist() == pytest.approx([1 / 3, 4 / 9, (1 + 3 / 4) / 3, 2 / 3])
    assert (one["accuracy_low"] <= one["accuracy"]).all()
    assert one["lift_points"].tolist() == pytest.approx([0, 100 / 9, 25, 100 / 3])
    oracle = curves[curves["scorer"] == "oracle"]
    assert oracle["log_likelihood"].isna().all()


def test_problems_load_in_pandas(analysis: Analysis, tmp_path: Path) -> None:
    problems = pd.read_csv(write_report(analysis, tmp_path)["problems.csv"])
    assert problems["problem_id"].tolist() == ["a", "b", "c"]
    assert problems["gold"].tolist() == ["12", "'=7+1", "-3"]
    assert problems["greedy_correct"].tolist() == [False, True, False]
    assert problems["best_of_n_shortest"].tolist() == [0.5, 1.0, 0.0]
    assert problems["above_greedy"].tolist() == [0.5, 0.0, 0.0]


def test_compute_loads_in_pandas(analysis: Analysis, tmp_path: Path) -> None:
    written = write_report(analysis, tmp_path)
    compute = pd.read_csv(written["compute.csv"]).set_index("name")
    assert compute.loc["greedy", "tokens"] == pytest.approx(7 / 3)
    assert compute.loc["best-of-4 log_likelihood", "tokens"] == pytest.approx(40 / 3)
    assert compute.loc["best-of-4 log_likelihood", "accuracy"] == pytest.approx(2 / 3)
    assert compute["tokens_low"].isna().all(), "three problems give means of tokens no interval"
    adaptive = pd.read_csv(written["adaptive.csv"])
    assert adaptive["tokens"].tolist() == compute.loc[compute["arm"] == "adaptive", "tokens"].tolist()


def test_scorers_and_lengths_load_in_pandas(analysis: Analysis, tmp_path: Path) -> None:
    written = write_report(analysis, tmp_path)
    scorers = pd.read_csv(written["scorers.csv"]).set_index("scorer")
    assert scorers.loc["log_likelihood", "auroc"] == pytest.approx(2 / 3)
    assert np.isnan(scorers.loc["log_likelihood", "saturation_n"]), "three problems show no curve to be flat"
    assert scorers.loc["log_likelihood", "last_doubling_points"] == pytest.approx(100 / 3, abs=40)
    lengths = pd.read_csv(written["lengths.csv"])
    assert lengths["responses"].sum() == 12
    assert lengths["picked_shortest"].sum() == pytest.approx(1.0)
    assert (lengths["tokens_low"] <= lengths["tokens_high"]).all()


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+A1", "-A1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "=cmd|' /C calc'!A0", "\uff1d1+1", "-1+1"],
)
def test_text_that_a_spreadsheet_would_run_is_made_inert(text: str) -> None:
    assert inert(text) == "'" + text


@pytest.mark.parametrize("text", ["12", "-5", "+5", "-0.25", "x=1", "\\frac{1}{2}", "", "1,000"])
def test_other_text_is_left_alone(text: str) -> None:
    assert inert(text) == text


def test_text_with_commas_quotes_and_line_ends_comes_back(tmp_path: Path) -> None:
    text = 'a "b", c\nd'
    (tmp_path / "t.csv").write_text(to_csv([{"gold": text, "n": None}]), encoding="utf-8", newline="")
    assert pd.read_csv(tmp_path / "t.csv")["gold"].tolist() == [text]


def test_a_report_that_breaks_its_schema_leaves_the_old_files(analysis: Analysis, tmp_path: Path) -> None:
    write_report(analysis, tmp_path)
    before = contents(tmp_path)
    with pytest.raises(StoreError, match="report does not fit its schema"):
        write_report(replace(analysis, pool_size=0), tmp_path)
    assert contents(tmp_path) == before


def test_a_full_disk_leaves_the_old_files_and_no_rest(
    analysis: Analysis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_report(analysis, tmp_path)
    before = contents(tmp_path)
    calls = iter(range(10))

    def full(descriptor: int) -> None:
        if next(calls) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="disk full while writing"):
        write_report(replace(analysis, problems=analysis.problems[:1]), tmp_path)
    assert contents(tmp_path) == before


def test_a_directory_that_is_not_there_is_one_line(analysis: Analysis, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file or directory"):
        write_report(analysis, tmp_path / "absent")
