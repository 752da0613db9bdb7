"""A run in Python: sampled by a function, shown in a notebook, as frames and axes; the page's block as it stands."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

import bon_eval
from bon_eval.analysis.analyse import analyse
from bon_eval.errors import ConfigError
from bon_eval.report.notebook.run import Run
from bon_eval.report.run.figures import figures
from bon_eval.report.run.write import write_report
from bon_eval.report.stored.own import Asked, own_settings

ROOT = Path(__file__).resolve().parents[3]
SMALL: dict[str, Any] = {"model": "arith-mixed", "task": "arith", "limit": 12, "engine": "transformers", "quiet": True}


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that the function sampled."""
    mpl.use("Agg")
    out = tmp_path_factory.mktemp("python") / "run"
    return bon_eval.run(**SMALL, n=4, draws=500, scorers=["log_likelihood", "shortest"], out=out)


def test_the_pages_block_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mpl.use("Agg")
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    [block] = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(block, "python.md", "exec"), names)  # noqa: S102 (our own page)
    assert repr(names["run"]).startswith(
        "<Run arith-mixed on arith: 12 problems x 8 samples, results/arith/arith-mixed/"
    )
    assert names["accuracy"].shape == (3, 12)
    assert isinstance(names["axes"], Axes)
    assert (tmp_path / "lift.png").stat().st_size > 10_000
    assert json.loads((names["folder"] / "report.json").read_text())["analysis"]["ns"] == [1, 3]
    best = names["arms"][names["arms"]["arm"] == "best-of-n"].set_index(["n", "scorer"])["accuracy"]
    assert best[8, "log_likelihood"] == pytest.approx(names["accuracy"][2].mean())
    assert repr(names["both"]).startswith(
        "<Comparison of mixed and worked on arith: 12 problems, one sample of worked "
    )
    change = names["differences"].set_index("name").loc["accuracy.best_own"]
    assert change["before"] == pytest.approx(names["accuracy"][2].mean())
    assert json.loads((names["compared"] / "compare.json").read_text())["names"] == ["mixed", "worked"]
    assert (tmp_path / "pass_at_k.png").stat().st_size > 10_000


def test_importing_costs_nothing_and_run_is_a_package_and_a_function() -> None:
    code = (
        "import sys, bon_eval; assert not {'numpy', 'pyarrow', 'matplotlib', 'click', 'yaml'} & set(sys.modules); "
        "first = bon_eval.run; import bon_eval.run.options; from bon_eval import run; "
        "assert first is run is bon_eval.run and callable(run); "
        "assert bon_eval.run.options.RunOptions.__name__ == 'RunOptions'; "
        "assert not {'torch', 'matplotlib', 'pandas'} & set(sys.modules); "
        "from bon_eval import Run, load_run; assert Run.__module__ == 'bon_eval.report.notebook.run'; "
        "assert not {'torch', 'matplotlib', 'pandas', 'jinja2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_it_is_the_run_of_the_command(sampled: Run) -> None:
    assert own_settings(sampled.path, {})[0] == Asked(scorers=("log_likelihood", "shortest"), draws=500)
    stored = json.loads((sampled.path / "report.json").read_text(encoding="utf-8"))
    assert stored["run"]["config"]["n"] == 4
    assert not (sampled.path / "report.html").exists()
    # The same again samples nothing; more samples are joined to it.
    again = bon_eval.run(**SMALL, n=4, draws=500, out=str(sampled.path))
    assert np.array_equal(again.pool.log_likelihood, sampled.pool.log_likelihood)
    assert len(again.meta["sessions"]) == 1
    bon_eval.run(**SMALL, n=4, draws=500, scorers=["log_likelihood", "shortest"], out=sampled.path)


def test_it_is_shown_in_one_line_and_as_a_table(sampled: Run) -> None:
    assert repr(sampled) == f"<Run arith-mixed on arith: 12 problems x 4 samples, {sampled.path}>"
    table = ET.fromstring(sampled._repr_html_())
    rows = [["".join(cell.itertext()) for cell in row] for row in table.iter("tr")]
    assert rows[0][:3] == ["arm", "accuracy [95 %]", "lift, points"]
    assert [row[0].strip() for row in rows[1:]] == [
        *("greedy", "sample", "best-of-2", "best-of-4", "by shortest", "vote-of-4", "oracle-of-4"),
    ]
    arms = sampled.to_pandas("arms")
    assert [row[1][:5] for row in rows[1:]] == [f"{value:.3f}" for value in arms["accuracy"]]


def test_texts_in_the_table_are_escaped(make_hand_run: Callable[[], Any], tmp_path: Path) -> None:
    hand = make_hand_run()
    config = {**hand.meta["config"], "model": "<script>alert(1)</script>", "task": "a&b"}
    kept = {"meta": {**hand.meta, "config": config}, "path": tmp_path}
    names = ("problems", "greedy", "pool", "grader", "duplicates")
    run = Run(**kept, **{name: getattr(hand, name) for name in names})
    html = run._repr_html_()
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt; on a&amp;b: 3 problems x 4 samples" in html
    ET.fromstring(html)


def test_frames_are_the_reports_tables(sampled: Run, tmp_path: Path) -> None:
    files = write_report(sampled.analysis(), tmp_path)
    for table, file in (("arms", "report.csv"), ("curves", "curves.csv")):
        frame, stored = sampled.to_pandas(table), pd.read_csv(files[file])  # type: ignore[arg-type]
        assert list(frame.columns) == list(stored.columns)
        assert len(frame) == len(stored)
        np.testing.assert_allclose(frame["accuracy"], stored["accuracy"])
    assert len(sampled.to_pandas()) == 12 * 5
    assert len(sampled.to_pandas("problems")) == 12
    other = sampled.to_pandas("arms", ns=3, scorers="min_token_logprob")  # which needs the log-probs of tokens
    assert set(other["scorer"].dropna()) == {"min_token_logprob"}
    assert set(other.loc[other["arm"] == "best-of-n", "n"]) == {3}


def test_plots_are_the_reports_figures(sampled: Run) -> None:
    plt.close("all")
    drawn = dict(figures(sampled.analysis()))
    plot = sampled.plot
    for name, axes in (
        ("lift", [plot.lift()]),
        ("accuracy", [plot.accuracy()]),
        ("compute", [plot.tokens()]),
        ("log_likelihood", list(plot.log_likelihood())),
    ):
        there = drawn[name].axes
        assert len(axes) == len(there)
        for one, other in zip(axes, there, strict=True):
            assert one.get_ylabel() == other.get_ylabel()
            assert len(one.lines) == len(other.lines)
            for line, same in zip(one.lines, other.lines, strict=True):
                np.testing.assert_array_equal(line.get_xydata(), same.get_xydata())
    assert len(plt.get_fignums()) == 4  # pyplot shows them; a report's figures are none of its
    assert sampled.plots(scorers=["shortest"]).lift().get_title(loc="left").startswith("Best-of-n minus greedy")
    plt.close("all")


def test_reports(sampled: Run, tmp_path: Path) -> None:
    before = (sampled.path / "report.json").read_bytes()
    assert sampled.report(html=False) == sampled.path
    assert (sampled.path / "report.json").read_bytes() == before
    with pytest.raises(ConfigError, match=r"not the run's own: --ns 3 \(its own: 2,4\); give name= or out="):
        sampled.report(ns=[3])
    with pytest.raises(ConfigError, match="drop it, or name and out"):
        sampled.report(ns=[3], own=True, name="x")
    there = sampled.report(ns=[3], out=tmp_path / "three")
    assert {path.name for path in there.iterdir()} >= {"report.json", "report.html", "figures"}
    assert sampled.report(name="four", html=False) == sampled.path / "reports" / "four"
    assert (sampled.path / "report.json").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"task": "sharpening"}, "sharpening is a group of tasks"),
        ({"max_token": 3}, "unknown option 'max_token'; valid: "),
        ({"chat": None}, "unknown option 'chat'"),
        ({"engine": "vllm", "base_url": "http://x"}, "base_url names a server"),
        ({"scorers": "self_certainty"}, "needs self_certainty, which sampling does not store"),
        ({"scorers": "lucky"}, "unknown scorer 'lucky'"),
        ({"ns": [9]}, "n = 9 is larger than the stored pool of 4"),
        ({"draw": "low=temp:1"}, "unknown parameter 'temp'"),
        ({"n": 0}, "n"),
    ],
)
def test_what_cannot_be_run_is_said_before_anything_is_sampled(
    tmp_path: Path, options: dict[str, Any], part: str
) -> None:
    with pytest.raises(bon_eval.errors.BonEvalError, match=re.escape(part)):
        bon_eval.run(**{**SMALL, "n": 4, "out": tmp_path / "run", **options})
    assert not (tmp_path / "run").exists()


def test_settings_and_tables_that_are_none(sampled: Run) -> None:
    with pytest.raises(ConfigError, match="unknown setting 'scorer'; valid: "):
        sampled.analysis(scorer="shortest")
    with pytest.raises(ConfigError, match="unknown table 'arm'; valid: arms, curves, problems, responses"):
        sampled.to_pandas("arm")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="the table problems is of the stored run itself; drop ns"):
        sampled.to_pandas("problems", ns=[2])


def test_an_analysis_is_made_once(sampled: Run) -> None:
    assert sampled.analysis() is sampled.analysis()
    assert sampled.analysis(ns=[4, 2]) is not sampled.analysis()
    own = replace(own_settings(sampled.path, {})[0])
    assert sampled.analysis().settings == analyse(sampled, **own.arguments()).settings
