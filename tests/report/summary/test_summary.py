"""Many runs as a matrix: what is read of each, how rows are named, and the three files."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bon_eval.analysis.analyse import analyse
from bon_eval.errors import ConfigError, StoreError
from bon_eval.report.run.rows import document
from bon_eval.report.summary.heat_map import colour, colour_limit, ink
from bon_eval.report.summary.page import summary_csv, summary_page, write_summary
from bon_eval.report.summary.rows import summarise
from bon_eval.report.summary.terminal import lines
from bon_eval.store.reader import Run


@pytest.fixture(scope="module")
def report(make_hand_run: Callable[[], Run]) -> dict[str, Any]:
    return document(analyse(make_hand_run(), draws=200))


def put(directory: Path, report: dict[str, Any], **changes: Any) -> Path:
    """A run directory with the report under another configuration; `lift` sets best-of-4's lift in points."""
    content = copy.deepcopy(report)
    lift, greedy = changes.pop("lift", None), changes.pop("greedy", None)
    content["run"]["config"] |= changes
    for arm in content["arms"]:
        if arm["arm"] == "greedy" and greedy is not None:
            arm["accuracy"] = greedy
        if (arm["arm"], arm["n"], arm["scorer"]) != ("best-of-n", 4, "log_likelihood"):
            continue
        # Three problems have no interval; a report of more has one.
        arm["lift_points_low"], arm["lift_points_high"] = -20.0, 80.0
        if lift is not None:
            arm["lift_points"], base = lift, arm["accuracy"] if greedy is None else greedy
            arm["lift_percent"] = lift / base if base else None
            if not base:
                arm["null_reasons"]["lift_percent"] = "greedy's accuracy is 0"
    directory.mkdir(parents=True)
    (directory / "report.json").write_text(json.dumps(content), encoding="utf-8")
    return directory


def test_one_run_is_read_as_its_report_says(report: dict[str, Any], tmp_path: Path) -> None:
    [cell] = summarise([put(tmp_path / "abc", report)]).cells
    assert (cell.model, cell.task, cell.run, cell.row) == ("arith-mixed", "arith", "abc", "arith-mixed")
    assert (cell.n, cell.scorer, cell.n_problems) == (4, "log_likelihood", 3)
    assert cell.greedy == pytest.approx(1 / 3)
    assert cell.accuracy == pytest.approx(2 / 3)
    assert cell.lift_points == pytest.approx(100 / 3)
    assert cell.lift_percent == pytest.approx(100)
    assert cell.low is not None
    assert cell.high is not None
    assert cell.low < cell.lift_points < cell.high


def test_models_are_rows_and_tasks_are_columns(report: dict[str, Any], tmp_path: Path) -> None:
    runs = [
        put(tmp_path / "1", report, model="a", task="x"),
        put(tmp_path / "2", report, model="a", task="y"),
        put(tmp_path / "3", report, model="a", task="x", adapter="tuned"),
    ]
    summary = summarise([*runs, runs[0]])
    assert summary.rows == ("a", "a + tuned")
    assert summary.tasks == ("x", "y")
    assert len(summary.cells) == 3
    assert summary.at("a + tuned", "y") is None
    assert summary.at("a", "y") is summary.cells[1]


def test_two_runs_of_one_model_and_task_stand_in_rows_named_by_run(report: dict[str, Any], tmp_path: Path) -> None:
    first, second = put(tmp_path / "r1", report), put(tmp_path / "r2", report)
    other = put(tmp_path / "r3", report, task="y")
    assert summarise([first, second, other]).rows == ("arith-mixed (r1)", "arith-mixed (r2)", "arith-mixed")
    same_name = put(tmp_path / "elsewhere" / "r1", report)
    assert summarise([first, same_name]).rows == (f"arith-mixed ({first})", f"arith-mixed ({same_name})")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "has no report.json"),
        (lambda path: path.write_text("{", encoding="utf-8"), "cannot be read"),
        (lambda path: path.write_text("[]", encoding="utf-8"), "has report format None"),
        (lambda path: path.write_text('{"format_version": 1}', encoding="utf-8"), "has report format 1"),
        (lambda path: path.write_text('{"format_version": 5}', encoding="utf-8"), "does not fit the schema"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "cannot be read"),
    ],
)
def test_a_bad_report_names_the_command(report: dict[str, Any], tmp_path: Path, damage: Any, message: str) -> None:
    run = put(tmp_path / "run", report)
    damage(run / "report.json")
    with pytest.raises(StoreError, match=message) as caught:
        summarise([run])
    assert str(caught.value).endswith(f"run: bon-eval report {run}")
    assert "\n" not in str(caught.value)


def test_no_run_is_an_error() -> None:
    with pytest.raises(ConfigError, match="at least one"):
        summarise([])


def test_csv_holds_every_number(report: dict[str, Any], tmp_path: Path) -> None:
    runs = [put(tmp_path / "1", report, model="=1+1", lift=-5.0), put(tmp_path / "2", report, greedy=0.0, lift=3.0)]
    summary = summarise(runs)
    (tmp_path / "summary.csv").write_text(summary_csv(summary), encoding="utf-8")
    frame = pd.read_csv(tmp_path / "summary.csv")
    assert frame["model"].tolist() == ["'=1+1", "arith-mixed"]
    assert frame["lift_points"].tolist() == [-5.0, 3.0]
    assert frame["lift_percent"].isna().tolist() == [False, True]
    assert frame["lift_points_low"].tolist() == pytest.approx([cell.low for cell in summary.cells])
    assert frame["n"].tolist() == [4, 4]


def test_early_looks_have_no_star_unless_they_were_planned(report: dict[str, Any], tmp_path: Path) -> None:
    early, planned, done = (copy.deepcopy(report) for _ in range(3))
    for content, missing, looks in ((early, 2, 1), (planned, 2, 7), (done, 0, 1)):
        content["analysis"] |= {"problems_missing": missing, "partial": missing > 0, "looks": looks, "problems": 20}
        for arm in content["arms"]:
            if (arm["arm"], arm["n"], arm["scorer"]) == ("best-of-n", 4, "log_likelihood"):
                arm |= {"p_value": 0.004, "p_holm": 0.004}
    runs = [
        put(tmp_path / name, content, task=name) for name, content in zip("xyz", (early, planned, done), strict=True)
    ]
    summary = summarise(runs)
    # Two runs decide: 7 looks at the planned one, and Holm doubles the smaller of 0.028 and 0.004.
    assert [cell.p_summary for cell in summary.cells] == [None, pytest.approx(0.028), pytest.approx(0.008)]
    assert [cell.p_run for cell in summary.cells] == [0.004] * 3
    page = summary_page(summary)
    assert page.count(" %*") + page.count(" points*") == 2
    assert "2 problems not finished" in page
    assert "multiplied by the planned looks" in page
    assert "a run that is not finished has none" in page
    assert "planned" not in summary_page(summarise(runs[2:]))


def test_the_page_shows_points_intervals_and_escapes_names(report: dict[str, Any], tmp_path: Path) -> None:
    summary = summarise([put(tmp_path / "1", report, model="<script>x</script>", greedy=0.5, lift=10.0)])
    text = summary_page(summary)
    assert "<script" not in text
    assert "&lt;script&gt;x" in text
    assert "script-src 'none'" in text
    assert "+20.0 %" in text
    assert text.count("+10.0 points [") == 1
    assert text.count("n = 4") == 1


def test_runs_of_different_n_say_so_in_the_cell(report: dict[str, Any], tmp_path: Path) -> None:
    fewer = copy.deepcopy(report)
    fewer["analysis"]["ns"] = [2]
    text = summary_page(summarise([put(tmp_path / "1", report), put(tmp_path / "2", fewer, task="y")]))
    assert "<small>n = 4, log-likelihood</small>" in text
    assert "<small>n = 2, log-likelihood</small>" in text


def test_an_undefined_percentage_shows_points(report: dict[str, Any], tmp_path: Path) -> None:
    summary = summarise([put(tmp_path / "1", report, greedy=0.0, lift=3.0)])
    text = summary_page(summary)
    assert "+3.0 points" in text
    assert "has no percent" in text
    assert colour_limit(summary) == 5.0


@pytest.mark.parametrize(("lift", "limit"), [(0.0, 5.0), (2.5, 5.0), (-2.6, 10.0), (26.0, 100.0), (80.0, 100.0)])
def test_the_scale_holds_the_largest_lift_up_to_100_percent(
    report: dict[str, Any], tmp_path: Path, lift: float, limit: float
) -> None:
    summary = summarise([put(tmp_path / "1", report, greedy=0.5, lift=lift)])
    assert colour_limit(summary) == limit
    assert ("full colour beyond" in summary_page(summary)) == (abs(lift) / 0.5 > 100)


def test_colours_diverge_and_their_text_is_readable() -> None:
    assert colour(10.0, 10.0) == (0, 114, 178)
    assert colour(-10.0, 10.0) == colour(-50.0, 10.0) == (213, 94, 0)
    assert colour(0.0, 10.0) == (247, 247, 247)
    assert len({colour(None, 10.0), colour(0.0, 10.0)}) == 2

    def luminance(rgb: tuple[int, ...]) -> float:
        linear = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for percent in np.linspace(-10, 10, 41):
        background = colour(float(percent), 10.0)
        text = tuple(bytes.fromhex(ink(background)[1:]))
        lighter, darker = sorted((luminance(background), luminance(text)), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5  # WCAG 2.2, level AA


def test_the_files_are_written_and_nothing_else(report: dict[str, Any], tmp_path: Path) -> None:
    summary = summarise([put(tmp_path / "in" / "1", report), put(tmp_path / "in" / "2", report, model="b", task="$y$")])
    out = tmp_path / "out"
    out.mkdir()
    written = write_summary(summary, out)
    assert set(written) == {"summary.html", "summary.png", "summary.csv"} == {path.name for path in out.iterdir()}
    assert written["summary.png"].read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    with pytest.raises(StoreError, match="cannot write"):
        write_summary(summary, tmp_path / "missing")


def draw(name: str, n: int, **how: float) -> dict[str, Any]:
    """A draw of a report: one response .2, best-of-n .2 + n / 100, the vote .4, the oracle .9."""
    kinds = [("mean", 1, None, 0.2)]
    if n > 1:
        best = [("best-of-n", k, "log_likelihood", 0.2 + k / 100) for k in (2, n)]
        kinds += [*best, ("best-of-n", n, "shortest", 0.1), ("vote", n, None, 0.4), ("oracle", n, None, 0.9)]
    arm = {
        **{"accuracy_low": 0.1, "accuracy_high": 0.95, "accuracy_method": "wilson-design"},
        **{"lift_points_low": -20.0, "lift_points_high": None, "lift_method": "pseudo-t", "p_value": 0.5},
        **{"contested": 1, "p_joint": 0.5, "log_likelihood": -1.0, "log_likelihood_low": None},
        **{"log_likelihood_high": None, "log_likelihood_method": "none: few", "n_tokens": 3.0, "truncated": 0.0},
        **{"unfinished": 0.0, "unscored": 0.0, "monte_carlo_error": None, "null_reasons": {}},
    }
    arms = [
        arm | {"name": f"{name} {k}", "arm": k, "n": of, "scorer": s, "accuracy": a, "lift_points": 100 * (a - 1 / 3)}
        for k, of, s, a in kinds
    ]
    facts = {
        **{"draw": name, "n": n, "temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "own_distribution": False},
        **{"tokens": 3.0, "tokens_low": None, "tokens_high": None, "tokens_method": "none: few"},
        **{"tokens_marked": False, "duplicate_share": 0.0, "distinct_answers": 1.0, "answer_entropy": 0.0},
    }
    return facts | how | {"arms": arms, "null_reasons": {}}


def test_draws_of_any_run_are_in_terminal_table_and_page(report: dict[str, Any], tmp_path: Path) -> None:
    drawn, older = copy.deepcopy(report), copy.deepcopy(report)
    drawn["draws"] = [draw("low", 8, temperature=0.25), draw("one", 1, top_p=0.5)]
    del older["draws"]
    summary = summarise([put(tmp_path / "1", drawn, task="x"), put(tmp_path / "2", older, task="y")])
    with_draws, without = summary.cells
    assert [(d.draw, [arm.name for arm in d.arms]) for d in with_draws.draws] == [
        ("low", ["one response", "best-of-8", "vote-of-8"]),
        ("one", ["one response"]),
    ]
    assert without.draws == ()
    found = list(lines(summary))
    assert found[1:-1] == [
        "  low (temperature 0.25): one response 0.200, -13.3 points [−20.0, no bound]; best-of-8 0.280, -5.3",
        "  points [−20.0, no bound]; vote-of-8 0.400, +6.7 points [−20.0, no bound]",
        "  one (temperature 1, top_p 0.5): one response 0.200, -13.3 points [−20.0, no bound]",
    ]
    out = tmp_path / "out"
    out.mkdir()
    frame = pd.read_csv(write_summary(summary, out)["summary_draws.csv"])
    assert frame[["task", "draw", "arm", "n", "accuracy"]].values.tolist() == [
        ["x", "low", "mean", 1, 0.2],
        ["x", "low", "best-of-n", 8, 0.28],
        ["x", "low", "vote", 8, 0.4],
        ["x", "one", "mean", 1, 0.2],
    ]
    assert frame["lift_points"].tolist() == pytest.approx([-40 / 3, -16 / 3, 20 / 3, -40 / 3])
    assert frame["temperature"].tolist() == [0.25] * 3 + [1.0]
    assert frame["lift_points_low"].tolist() == [-20.0] * 4
    assert frame["lift_points_high"].isna().all()
    text = (out / "summary.html").read_text(encoding="utf-8")
    assert "<td>low</td><td>temperature 0.25</td><td>8</td><td>0.200 " in text
    assert "<td>one</td><td>temperature 1, top_p 0.5</td><td>1</td><td>0.200 " in text
    assert text.count("<td>–</td><td>–</td></tr>") == 1
    later = summarise([put(tmp_path / "3", older)])
    assert "<h2>Draws</h2>" not in summary_page(later)
    assert "summary_draws.csv" not in write_summary(later, out)
    assert {path.name for path in out.iterdir()} == {"summary.html", "summary.png", "summary.csv"}


def test_hover_and_focus_show_points_and_interval(report: dict[str, Any], tmp_path: Path, open_page: Any) -> None:
    drawn = copy.deepcopy(report)
    drawn["draws"] = [draw("a-draw-with-a-long-name-of-its-own@0.25@0.95", 8, temperature=0.25, top_p=0.95)]
    runs = [put(tmp_path / str(k), drawn, model=f"organisation/model-{k}", task=f"task {k % 3}") for k in range(9)]
    path = write_summary(summarise(runs), tmp_path)["summary.html"]
    for width in (1280, 390):
        tab, trouble = open_page(path, viewport={"width": width, "height": 900})
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        cells = tab.query_selector_all(".heat td[tabindex]")
        assert len(cells) == 9
        for act in ("focus", "hover"):
            for cell in cells:
                getattr(cell, act)()
                tip = cell.query_selector(".more")
                assert tip.is_visible()
                assert "+33.3 points [" in tip.text_content()
                box = tip.bounding_box()
                assert box["x"] >= 0
                assert box["x"] + box["width"] <= width
        assert trouble == []
        tab.close()
