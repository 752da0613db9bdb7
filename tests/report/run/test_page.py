"""report.html in a real browser: hostile model texts stay texts, and the problem browser shows what is stored."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile_run import HOSTILE, check_browser, shown, store_run

from bon_eval.analysis.analyse import analyse
from bon_eval.analysis.results import Analysis
from bon_eval.draws import parse_draws
from bon_eval.records import Problem
from bon_eval.report.formats.browser import Budget, browser_data
from bon_eval.report.formats.figures import inline_svg
from bon_eval.report.formats.page_json import as_json, pieces
from bon_eval.report.run.figures import figures, write_figures
from bon_eval.report.run.page import page, write_page
from bon_eval.report.run.write import write_report
from bon_eval.store.reader import Run, iter_responses, load_run

N = len(HOSTILE)
NAMES = ["compute", "lift", "accuracy", "log_likelihood", "sharpening"]
"""Of the figures."""


DRAWS = parse_draws(["cold=temperature:0.5,n:5", "many=top_p:0.9,n:40", "one=top_k:3,n:1"])


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Analysis, Path]:
    problems = [
        Problem(f"<i>p{k}</i>\u202e", {"question": f"<script>window.pwned=8</script>{k}"}, "1") for k in range(30)
    ]
    run = load_run(store_run(tmp_path_factory.mktemp("hostile") / "run", problems, HOSTILE, N))
    analysis = analyse(run, draws=200, duplicates=run.duplicates)
    return run, analysis, write_page(run, analysis, run.path)


def test_hostile_texts_run_nothing_and_are_shown_as_they_are(
    hostile: tuple[Run, Analysis, Path], open_page: Any
) -> None:
    run, _, path = hostile
    tab, trouble = open_page(path)
    check_browser(tab, run)
    assert trouble == []
    tab.close()


@pytest.fixture(scope="module")
def with_draws(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Analysis, Path]:
    problems = [Problem(f"<i>p{k}</i>", {"question": "?"}, "1") for k in range(12)]
    run = load_run(store_run(tmp_path_factory.mktemp("draws") / "run", problems, HOSTILE, N, DRAWS))
    analysis = analyse(run, draws=200, duplicates=run.duplicates)
    return run, analysis, write_page(run, analysis, run.path)


def test_the_browser_shows_every_draw_when_it_is_opened(with_draws: tuple[Run, Analysis, Path], open_page: Any) -> None:
    run, analysis, path = with_draws
    tab, trouble = open_page(path)
    tab.click(".problem > button >> nth=0")
    problem = run.pool.problem_ids[0]
    stored = {(r.arm, r.index): r for r in iter_responses(run.path) if r.problem_id == problem}
    worth = {(a.draw, a.arm, a.n): a.correct[0] for a in analysis.draw_problems if a.scorer in (None, "log_likelihood")}
    details = tab.query_selector_all(".problem details.draw")
    mean, best = ({k: f"{v:.2f}" for (k, arm, _), v in worth.items() if arm == of} for of in ("mean", "best-of-n"))
    assert [d.query_selector("summary").text_content() for d in details] == [
        f"cold {mean['cold']}, best-of-5 {best['cold']} temperature 0.5",
        f"many {mean['many']}, best-of-40 {best['many']} temperature 1, top_p 0.9",
        f"one {mean['one']} temperature 1, top_k 3",
    ]
    assert tab.query_selector_all("details.draw .response") == [], "made when they are looked at"
    for box in details:
        box.query_selector("summary").click()
    tab.wait_for_selector("details.draw:last-of-type .response")
    while tab.query_selector("text=more responses"):
        tab.click("text=more responses")
    seen: dict[tuple[str, int], str] = {}
    for spec, holder in zip(DRAWS, tab.query_selector_all("details.draw"), strict=True):
        picked = [box for box in holder.query_selector_all(".response") if "pick" in box.get_attribute("class")]
        assert len(picked) == (spec.n > 1)
        for box in holder.query_selector_all(".response"):
            names = box.query_selector(".head b").text_content().rsplit(" ", 1)
            alike = re.search(rf"the same text: {spec.name} ([\d, ]+)", box.text_content())
            for index in [names[1], *(alike[1].split(", ") if alike else [])]:
                key = (names[0], int(index))
                assert names[0] == spec.name
                assert box.query_selector(":scope > .text").text_content() == shown(stored[key].text[:4000])
                seen[key] = box.text_content()
        if spec.n > 1:
            index = int(picked[0].query_selector(".head b").text_content().split()[1])
            highest = max(r.log_likelihood for key, r in stored.items() if key[0] == spec.name)
            assert stored[spec.name, index].log_likelihood == highest
            assert f"best-of-{spec.n} pick" in picked[0].text_content()
    assert set(seen) == {key for key in stored if key[0] not in ("greedy", "sample")}
    assert len(tab.query_selector_all(".problem section > div .response")) == 1 + N, "greedy and the pool as before"
    assert tab.evaluate("window.pwned") is None
    assert tab.query_selector_all("img, iframe, object, embed") == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= 1280
    tab.click(".problem > button >> nth=0")
    assert tab.query_selector_all(".response") == [], "one problem at a time"
    assert trouble == []
    tab.close()


@pytest.mark.slow
def test_rows_of_draws_share_the_budget_with_the_pools(with_draws: tuple[Run, Analysis, Path]) -> None:
    run, analysis, _ = with_draws
    data = browser_data(run, analysis, Budget(responses=12 * 9))
    small: Any = json.loads("".join(pieces(data.head, (problem.joined() for problem in data.problems.values()))))
    assert [draw["name"] for draw in small["draws"][0]] == ["cold", "many", "one"]
    assert (small["rows"], small["responses"]) == (12 * 9, 12 * (1 + N + 46))
    for problem in small["problems"]:
        assert problem["draw"][:5] == [0, 0, 1, 2, 3]
        assert problem["index"][:5] == [-1, problem["pick"], *problem["picks"]]
        assert {(d, i) for d, i in zip(problem["draw"], problem["index"], strict=True) if i == 0} >= {
            (0, 0),
            (1, 0),
            (2, 0),
        }
    text = "".join(page(run, analysis, Budget(responses=12 * 9)))
    assert "108 of the 732 responses have a row here" in text


@pytest.mark.slow
def test_a_response_of_a_draw_that_was_cut_is_found(with_draws: tuple[Run, Analysis, Path]) -> None:
    run, analysis, _ = with_draws
    low = replace(run.others["one"], truncated=np.arange(12)[:, None] == 4)
    none = {name: replace(pool, truncated=np.zeros_like(pool.truncated)) for name, pool in run.draws.items()}
    one = replace(run, pool=none["sample"], greedy=none["greedy"], others={**none, "one": low})
    del one.others["greedy"], one.others["sample"]  # type: ignore[attr-defined]
    found = browser_data(one, analyse(one, draws=200))
    cut = [json.loads(problem.joined())["cut"] for problem in found.problems.values()]
    assert cut == [int(k == 4) for k in range(12)]
    assert analysis.n_problems == 12


def test_filters_and_search(hostile: tuple[Run, Analysis, Path], open_page: Any) -> None:
    _, analysis, path = hostile
    tab, trouble = open_page(path)
    expected = {
        "all": len(analysis.problems),
        "gained": sum(not p.greedy_correct and p.best_of_n["log_likelihood"] > 0.5 for p in analysis.problems),
        "lost": sum(p.greedy_correct and p.best_of_n["log_likelihood"] < 0.5 for p in analysis.problems),
        "contested": sum(0 < p.pool_accuracy < 1 for p in analysis.problems),
        "cut": sum(p.greedy_truncated or p.pool_truncated > 0 for p in analysis.problems),
        "unscored": sum(p.greedy_unscored or p.pool_unscored > 0 for p in analysis.problems),
    }
    assert expected["gained"] > 0
    assert expected["lost"] > 0
    for value, count in expected.items():
        tab.select_option("#filter", value)
        assert tab.text_content("#status").endswith(f"of {count} problems")
    tab.select_option("#filter", "all")
    tab.fill("#search", "P12<")
    assert tab.text_content("#status") == "1 to 1 of 1 problems"
    assert tab.text_content(".problem .id") == shown("<i>p12</i>\u202e")
    tab.fill("#search", "no such id")
    assert tab.text_content("#status") == "0 to 0 of 0 problems"
    assert trouble == []
    tab.close()


def test_what_every_arm_costs(hostile: tuple[Run, Analysis, Path], open_page: Any) -> None:
    _, analysis, path = hostile
    tab, trouble = open_page(path)
    section = tab.locator("h2:has-text('Accuracy against generated tokens') ~ figure")
    assert section.nth(0).locator("svg").is_visible()
    tab.click("summary:has-text('Best-of-n by the other scorers')")
    tables = [section.nth(1), tab.locator("details:has-text('Best-of-n by the other scorers') figure")]
    rows = [row.locator("th, td").all_inner_texts() for table in tables for row in table.locator("tbody tr").all()]
    assert len(rows) == len(analysis.compute)
    seen = {name: (tokens, accuracy, other) for name, tokens, accuracy, other in rows}
    for row in analysis.compute:
        name = row.arm if row.arm in ("greedy", "sample") else row.name.replace(" ", " by ", 1).replace("_", " ")
        name = name.replace("adaptive by", "adaptive,").replace("log likelihood", "log-likelihood")
        tokens, accuracy, other = seen[name]
        assert tokens.startswith(f"{row.tokens.estimate:.1f} ")
        assert accuracy.startswith(f"{row.accuracy.estimate:.3f} ")
        assert (other == "–") == (row.undercut_by is None)
    assert trouble == []
    tab.close()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "light"), (390, "dark")])
def test_no_sideways_scrolling_and_no_text_outside(
    hostile: tuple[Run, Analysis, Path], open_page: Any, width: int, scheme: str
) -> None:
    tab, trouble = open_page(hostile[2], viewport={"width": width, "height": 800}, color_scheme=scheme)
    tab.click(".problem > button >> nth=0")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    ink, paper = tab.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.documentElement).backgroundColor]"
    )
    brightness = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (ink, paper)]
    assert (brightness[0] > brightness[1]) == (scheme == "dark")
    assert trouble == []
    tab.close()


def test_the_page_without_a_browser(hostile: tuple[Run, Analysis, Path]) -> None:
    run, analysis, path = hostile
    text = path.read_text(encoding="utf-8")
    assert "<script>window.pwned" not in text
    assert "&lt;b&gt;task&lt;/b&gt;" in text
    assert text.count("<script") == text.count("</script>") == 2
    assert "http://" not in re.sub(r"http://www\.w3\.org/\S+|http://example\.invalid", "", text.split('id="data"')[0])
    assert f"{100 * analysis.arms[0].accuracy.estimate:.0f}"[:1] in text
    assert "".join(page(run, analysis)) == text  # the same analysis gives the same page


def test_a_page_without_texts_has_no_texts_and_no_script(hostile: tuple[Run, Analysis, Path]) -> None:
    run, analysis, _ = hostile
    text = "".join(page(run, analysis, texts=False))
    assert "<script" not in text
    assert "script-src 'none'" in text
    assert "pwned=8" not in text
    assert "What explains the lift" in text


def test_budget_leaves_texts_out_and_says_so(hostile: tuple[Run, Analysis, Path]) -> None:
    run, analysis, _ = hostile
    budget = Budget(text_bytes=30 * 200, text_chars=50, responses=30 * 5)
    data = browser_data(run, analysis, budget)
    small: Any = json.loads("".join(pieces(data.head, (problem.joined() for problem in data.problems.values()))))
    assert [problem["id"] for problem in small["problems"]] == [row.problem_id for row in analysis.problems]
    assert small["rows"] == 30 * 5
    assert small["responses"] == 30 * (N + 1)
    assert small["texts_left_out"] > 0
    assert small["texts_cut"] > 0
    for problem in small["problems"]:
        assert problem["index"][:2] == [-1, problem["pick"]]
        assert problem["text"][0] >= 0
        assert problem["text"][1] >= 0
        assert max(map(len, problem["texts"])) <= 50
        assert sum(len(text.encode()) for text in problem["texts"][2:]) <= 200
    text = "".join(page(run, analysis, budget))
    assert "150 of the 450 responses have a row here" in text
    assert "without their text" in text


def test_steps_in_which_a_run_has_grown(run: Run, analysis: Analysis, tmp_path: Path) -> None:
    steps = ["3 problems: greedy 1, sample 2", "3 problems: greedy 1, sample 4"]
    write_page(run, replace(analysis, run={**analysis.run, "extents": steps}), tmp_path, texts=False)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert f"Grown in 2 steps: {steps[0]}; then {steps[1]}. Where a step" in text
    assert "bon-eval report RUN --looks K." in text


def test_json_is_inert_in_a_script_element() -> None:
    content = {"x": "</script><!--&\u2028\ud800"}
    text = as_json(content)
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text)["x"] == "</script><!--&\u2028?"


def test_csv_of_a_hostile_run_loads_unharmed(hostile: tuple[Run, Analysis, Path], tmp_path: Path) -> None:
    import pandas as pd

    run, analysis, _ = hostile
    write_report(analysis, tmp_path)
    problems = pd.read_csv(tmp_path / "problems.csv")
    assert problems["problem_id"].tolist() == list(run.pool.problem_ids)
    assert len(pd.read_csv(tmp_path / "curves.csv")) == len(analysis.curves)


@pytest.mark.slow
def test_figures_are_files_and_inline(analysis: Analysis, tmp_path: Path) -> None:
    written = write_figures(analysis, tmp_path / "figures")
    assert sorted(p.name for p in written) == sorted(f"{name}.{ending}" for name in NAMES for ending in ("png", "svg"))
    before = {p: p.read_bytes() for p in written if p.suffix == ".svg"}
    write_figures(analysis, tmp_path / "figures")
    assert {p: p.read_bytes() for p in before} == before
    for path in written:
        if path.suffix == ".png":
            assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    white = re.compile(r'<g id="patch_1">\s*<path [^>]*fill: #ffffff')
    assert all(len(white.findall(text.decode())) == 1 for text in before.values())
    ids: list[str] = []
    for name, figure in figures(analysis):
        svg = inline_svg(figure, name)
        assert "#ffffff" not in svg, "it lets the page's own colour through"
        root = ET.fromstring(svg)
        ids += [element.get("id") for element in root.iter() if element.get("id")]  # type: ignore[misc]
        links = re.findall(r'(?:href="#|url\(#)([^")]+)', svg)
        assert set(links) <= set(ids)
        assert "currentColor" in svg
    assert len(ids) == len(set(ids))
    assert [name for name, _ in figures(analysis)] == NAMES


def test_figure_texts_do_not_overlap(analysis: Analysis) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    for name, figure in figures(analysis):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        renderer = canvas.get_renderer()
        beyond = {
            label
            for ax in figure.axes
            for axis in (ax.xaxis, ax.yaxis)
            for tick in axis.get_major_ticks()
            if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
            for label in (tick.label1, tick.label2)
        }
        boxes = [
            (t.get_text(), t.get_window_extent(renderer))
            for t in figure.findobj(Text)
            if t.get_visible() and t.get_text().strip() and t not in beyond
        ]
        assert len(boxes) > 8
        for k, (text, box) in enumerate(boxes):
            assert box.x0 >= -1, (name, text)
            assert box.x1 <= figure.bbox.x1 + 1, (name, text)
            for other, its in boxes[k + 1 :]:
                across = min(box.x1, its.x1) - max(box.x0, its.x0)
                down = min(box.y1, its.y1) - max(box.y0, its.y0)
                assert across <= 1 or down <= 1 or text == other, (name, text, other)


def test_axes_are_labelled_with_units(analysis: Analysis) -> None:
    labels = {
        name: {ax.get_xlabel() for ax in f.axes} | {ax.get_ylabel() for ax in f.axes} for name, f in figures(analysis)
    }
    assert labels["lift"] == {"n (responses drawn per problem)", "lift over greedy (percentage points)"}
    assert labels["accuracy"] == {"n (responses drawn per problem)", "accuracy (%)"}
    assert labels["compute"] == {"tokens generated per problem (prompts not counted)", "accuracy (%)"}
    assert labels["sharpening"] == {"power α", "accuracy (%)", "effective sample size (of 4)"}
    assert labels["log_likelihood"] == {"nats per response", "nats per token", "share of pool responses (%)", ""}
