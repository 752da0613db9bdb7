"""Reports of imported runs that lack something: named ones, the run's own, levels, and the run in Python."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from click.testing import CliRunner, Result

import bon_eval
from bon_eval.cli import main
from bon_eval.errors import ConfigError
from bon_eval.records import Problem
from bon_eval.report.stored.own import Asked, own_settings
from bon_eval.store.imported.source import absent
from bon_eval.store.writer import read_meta

Row = dict[str, Any]
Write = Callable[..., Path]
Bring = Callable[..., Result]
LIKELIHOODS = ("log_likelihood", "mean_log_likelihood", "shortest", "random")


def report(run: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["report", str(run), "--no-html", *options])


def stored(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture
def likely(problems: Sequence[Problem]) -> list[Row]:
    """Four responses to each of twelve problems, of one length; the two right ones are the likelier ones."""
    kinds = (("#### {gold}", -1.0), ("#### {gold}", -2.0), ("#### -1", -5.0), ("#### -2", -6.0))
    return [
        {"id": p.id, "text": text.format(gold=p.gold), "log_likelihood": nats - 0.1 * k, "n_tokens": 5}
        for k, p in enumerate(problems)
        for text, nats in kinds[:: 1 if k % 2 else -1]
    ]


def test_named_reports_leave_the_runs_own_as_it_is(rows: list[Row], write: Write, bring: Bring, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert bring(write(rows)).exit_code == 0
    assert report(run, "--draws", "200").output.count("no file was written") == 1
    assert not (run / "report.json").exists()
    assert report(run, "--draws", "200", "--own").exit_code == 0
    before = (run / "report.json").read_bytes()
    assert report(run).exit_code == 0
    assert (run / "report.json").read_bytes() == before, "its own settings make it again"
    assert own_settings(run, {}, absent(read_meta(run))) == (Asked(("random",), draws=200), None)
    said = report(run, "--ns", "3", "--looks", "2").output
    assert "--ns 3 (its own: 2,4); --looks 2 (its own: 1)" in said
    named = report(run, "--ns", "3", "--looks", "2", "--name", "three")
    assert f"written to {run / 'reports' / 'three'}: report.csv" in named.output
    assert "p at most 0.025 in the family" in " ".join(named.output.split())
    there = stored(run / "reports" / "three")
    assert (there["run"]["report"], there["analysis"]["ns"], there["analysis"]["looks"]) == ("three", [3], 2)
    assert CliRunner().invoke(main, ["report", str(run), "--out", str(tmp_path / "paper")]).exit_code == 0
    assert "arith: report paper" in (tmp_path / "paper" / "report.html").read_text(encoding="utf-8")
    assert (run / "report.json").read_bytes() == before


def test_settings_that_were_left_open_follow_what_the_run_has(
    rows: list[Row], write: Write, bring: Bring, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert bring(write(rows)).exit_code == 0
    assert report(run, "--seed", "3", "--own").exit_code == 0
    lacking = absent(read_meta(run))
    assert own_settings(run, {}, lacking)[0] == Asked(("random",), seed=3)
    less = {name: why for name, why in lacking.items() if name == "greedy"}
    assert own_settings(run, {}, less)[0] == Asked(LIKELIHOODS, seed=3)


def test_all_arms_are_those_that_the_run_has_what_they_need_for(
    likely: list[Row], write: Write, bring: Bring, tmp_path: Path
) -> None:
    assert bring(write(likely)).exit_code == 0
    done = report(tmp_path / "run", "--arms", "all", "--name", "all")
    assert done.exit_code == 0, done.output
    assert "left out, since the run does not hold what they need: min_token_logprob" in done.stderr
    assert f"first: bon-eval score {tmp_path / 'run'} --by MODEL --as-own" in done.stderr
    scorers = stored(tmp_path / "run" / "reports" / "all")["analysis"]["scorers"]
    assert {"log_likelihood", "byte_log_likelihood", "longest"} <= set(scorers)
    assert not {"min_token_logprob", "self_certainty", "tail_confidence"} & set(scorers)


def test_levels_are_there_with_likelihoods_and_lengths_and_else_their_reason_is(
    likely: list[Row], write: Write, bring: Bring, tmp_path: Path
) -> None:
    assert bring(write(likely)).exit_code == 0
    done = report(tmp_path / "run")
    assert done.exit_code == 0, done.output
    found = stored(tmp_path / "run")["levels"]
    rows = {(row["level"], row["of"]): row for row in found["rows"]}
    assert found["reason"] is None
    assert set(rows) == {("methods", "all"), ("settings", "best-of-n"), ("pairs", "sample"), ("responses", "sample")}
    # Every right response is likelier than every wrong one, to its own problem and to any other.
    for level in ("responses", "pairs"):
        assert rows[level, "sample"]["summed"] == rows[level, "sample"]["summed_at_length"] == 1.0
    assert rows["methods", "all"]["null_reasons"]["summed"] == "2 methods; from 3 on"
    assert "likelihood predicts correctness across one sample's prompt-answer pairs" in " ".join(done.output.split())
    lines = (tmp_path / "run" / "levels.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + len(rows)
    for name, out in (("n_tokens", "a"), ("log_likelihood", "b")):
        less = [{key: value for key, value in row.items() if key != name} for row in likely]
        assert bring(write(less, f"{out}.jsonl"), out=tmp_path / out).exit_code == 0
        done = CliRunner().invoke(main, ["report", str(tmp_path / out)])
        assert done.exit_code == 0, done.output
        reason = stored(tmp_path / out)["levels"]["reason"]
        assert reason == f"the source states no {'number of tokens' if name == 'n_tokens' else 'log-likelihood'}"
        assert f"correctness is not asked: {reason}" in " ".join(done.output.split())
        assert f"correctness is not asked: {reason}" in (tmp_path / out / "report.html").read_text(encoding="utf-8")


def test_an_imported_run_in_python(
    likely: list[Row], rows: list[Row], write: Write, bring: Bring, tmp_path: Path
) -> None:
    mpl.use("Agg")
    assert bring(write(likely)).exit_code == 0
    assert bring(write(rows, "bare.jsonl"), "--model", "bare", out=tmp_path / "bare").exit_code == 0
    run, bare = (bon_eval.load_run(tmp_path / name) for name in ("run", "bare"))
    assert repr(bare) == f"<Run bare on arith: 12 problems x 4 samples, {tmp_path / 'bare'}>"
    table = [[cell.text for cell in row] for row in ET.fromstring(bare._repr_html_()).iter("tr")]
    assert table[0][:3] == ["arm", "accuracy [95 %]", "over one sample"]
    assert [row[0] for row in table[1:]] == ["sample", "vote-of-2", "vote-of-4", "oracle-of-2", "oracle-of-4"]
    arms = run.to_pandas("arms").set_index(["arm", "n", "scorer"])
    assert arms.loc[("best-of-n", 4, "log_likelihood"), "accuracy"] == 1.0
    assert set(bare.to_pandas("curves")["arm"]) == {"vote", "oracle"}
    responses, of_problems = bare.to_pandas(), bare.to_pandas("problems")
    assert responses[["log_likelihood", "n_tokens", "truncated"]].isna().all(axis=None)
    assert responses["correct"].mean() == 0.25
    assert of_problems[["log_likelihood.sample", "truncated.sample", "best_of_n.sample"]].isna().all(axis=None)
    assert (of_problems["oracle.sample"] == 1.0).all()
    assert not [name for name in of_problems if name.endswith(".greedy")]
    np.testing.assert_array_equal(run.to_pandas("problems")["best_of_n.sample"], np.ones(12))
    assert bare.plot.accuracy().get_ylabel() == "accuracy (%)"
    assert len(run.plot.log_likelihood()) == 2
    for plot, why in ((bare.plot.lift, "no greedy responses"), (bare.plot.tokens, "states no number of tokens")):
        with pytest.raises(ConfigError, match=why):
            plot()
    with pytest.raises(ConfigError, match="no figure of log-likelihoods: the source states no log-likelihood"):
        bare.plot.log_likelihood()
    with pytest.raises(ConfigError, match="scorer 'log_likelihood' needs log-likelihoods"):
        bare.analysis(scorers="log_likelihood")
    assert bare.report(html=False) == bare.path
    assert stored(bare.path)["format"] == "bon-eval report of an imported run"
    assert bare.report(name="two", ns=2) == bare.path / "reports" / "two"
    assert (bare.path / "reports" / "two" / "figures" / "accuracy.png").is_file()
    with pytest.raises(ConfigError, match=r"--ns 2 \(its own: 2,4\); give name= or out="):
        bare.report(ns=[2])


def summary(out: Path, *words: object) -> Result:
    return CliRunner().invoke(main, ["summary", *map(str, words), "--out", str(out)])


def test_a_summary_of_imported_runs(
    rows: list[Row], likely: list[Row], write: Write, bring: Bring, tmp_path: Path
) -> None:
    """One with texts alone, one with log-likelihoods, one with both and greedy responses."""
    bare, stated, both, out = (tmp_path / name for name in ("bare", "stated", "both", "s"))
    greedy = [row | {"draw": "greedy"} for row in likely[::4]]
    sampled = [row | {"draw": "sample"} for row in likely]
    for run, source in ((bare, rows), (stated, likely), (both, sampled + greedy)):
        assert bring(write(source, name=f"{run.name}.jsonl"), out=run).exit_code == 0
        assert report(run, "--draws", "200", "--own").exit_code == 0
    done = summary(out, bare, stated, both)
    assert done.exit_code == 0, done.output
    assert {path.name for path in out.iterdir()} == {
        *("summary.html", "summary.png", "summary.csv", "summary_imported.csv", "summary_levels.csv")
    }
    arms = {(arm["arm"], arm["n"], arm["scorer"]): arm for arm in stored(both)["arms"]}
    best, greedily = arms["best-of-n", 4, "log_likelihood"], arms["greedy", 1, None]["accuracy"]
    [cell] = csv.DictReader((out / "summary.csv").open(encoding="utf-8"))
    assert float(cell["greedy_accuracy"]) == greedily
    assert float(cell["lift_points"]) == best["over_greedy_points"]
    assert float(cell["lift_points_low"]) == best["over_greedy_points_low"]
    assert float(cell["lift_percent"]) == pytest.approx(100 * (1 / greedily - 1))
    assert cell["lift_percent_low"] == ""
    found = list(csv.DictReader((out / "summary_imported.csv").open(encoding="utf-8")))
    assert [(row["run"], row["arm"], row["n"], row["scorer"]) for row in found] == [
        *(("bare", arm, n, "") for arm, n in (("sample", "1"), ("vote", "4"), ("oracle", "4"))),
        ("stated", "sample", "1", ""),
        ("stated", "best-of-n", "4", "log_likelihood"),
        *(("stated", arm, "4", "") for arm in ("vote", "oracle")),
    ]
    of_stated = {row["arm"]: row for row in found if row["run"] == "stated"}
    for arm in stored(stated)["arms"]:
        if arm["arm"] in ("sample", "oracle") and arm["n"] in (1, 4):
            assert float(of_stated[arm["arm"]]["accuracy"]) == arm["accuracy"]
    assert "lacks greedy and lifts over it and best-of-n by log-likelihood" in " ".join(done.output.split())
    page = (out / "summary.html").read_text(encoding="utf-8")
    assert "Imported runs without a lift over greedy" in page
    # Without any lift there is no heat map, and an earlier one does not stand beside.
    again = summary(out, bare, stated, "--n", 2)
    assert again.exit_code == 0, again.output
    assert not {"summary.png", "summary.csv"} & {path.name for path in out.iterdir()}
    found = list(csv.DictReader((out / "summary_imported.csv").open(encoding="utf-8")))
    assert [row["n"] for row in found if row["arm"] == "best-of-n"] == ["2"]
    for options, said in ((("--n", 3), "has no best-of-3 by log_likelihood"), (("--scorer", "longest"), "by longest")):
        refused = summary(out, stated, *options)
        assert refused.exit_code == 2
        assert said in refused.stderr
        assert len(refused.stderr.strip().splitlines()) == 1
