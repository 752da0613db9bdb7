"""A trajectory made by hand as text, CSV, JSON, figures and page; names given by a user stay text everywhere."""

from __future__ import annotations

import json
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bon_eval.dpo.tracking.points import Point
from bon_eval.dpo.tracking.trajectory import Trajectory
from bon_eval.errors import StoreError
from bon_eval.report.formats.csv_json import validate
from bon_eval.report.trajectory.figures import trajectory_figures
from bon_eval.report.trajectory.page import write_trajectory_page
from bon_eval.report.trajectory.rows import document
from bon_eval.report.trajectory.terminal import arrow, mark, render, write_trajectory
from bon_eval.stats.bootstrap import Interval
from bon_eval.stats.heavy_tails import SignTest
from bon_eval.stats.paired import PairedTest

HOSTILE = [
    '<script>window.pwned = 1</script>"',
    "\"><img src=x onerror='window.pwned=2'> --> & $\\frac{1}{",
]


def point(
    step: int,
    name: str,
    value: float,
    change: tuple[float, float] | None = None,
    *,
    unit: str = "nats",
    label: str = "",
) -> Point:
    """A value with an interval of 0.5 on both sides; a change with its interval's ends."""
    tested = None
    if step:
        low, high = change or (-1.0, 1.0)
        p_value = 0.04 if low > 0.0 or high < 0.0 else 0.3
        tested = PairedTest((low + high) / 2, low, high, p_value, "bootstrap-t + student-t", 3)
    return Point(step, name, label or name, unit, Interval(value, value - 0.5, value + 0.5, "bootstrap-t"), tested)


def made(
    points: Sequence[Point], *, pairs: Sequence[str] = (), probes: Sequence[str] = (), skipped: Sequence[str] = ()
) -> Trajectory:
    """Steps 0, 10 and 20; a best-of-4 accuracy at each, since the figures draw its line."""
    anchor = [point(step, "accuracy.best_own", 0.5, unit="share") for step in (0, 10, 20)]
    return Trajectory(
        steps=(0, 10, 20),
        points=tuple(sorted([*anchor, *points], key=lambda p: p.step)),
        columns={},
        ches={
            name: (Interval(-31.25, -40.0, -20.0, "student-t"), Interval(0.125, 0.0, 0.25, "student-t"))
            for name in pairs
        },
        n=4,
        n_problems=3,
        pair_counts=dict.fromkeys(pairs, 1200),
        probe_counts=dict.fromkeys(probes, 2),
        beta=0.1,
        base={
            "config": {"model": "m</title><b>", "task": "<i>t</i>", "engine": "transformers", "n": 4},
            "versions": {"python": "3"},
            "engine": {"name": "<u>none</u>"},
        },
        base_source="forced",
        skipped=tuple(skipped),
    )


@pytest.fixture
def small() -> Trajectory:
    return made(
        [
            point(0, "accuracy.greedy", 0.25, unit="share"),
            point(10, "accuracy.greedy", 0.5, (0.1, 0.4), unit="share"),
            point(20, "accuracy.greedy", 0.125, (-0.2, -0.05), unit="share"),
            point(0, "held-out.log_likelihood.chosen", -12.0, label="log-likelihood of chosen (held-out)"),
            point(
                10, "held-out.log_likelihood.chosen", -13.0, (-2.0, 0.0), label="log-likelihood of chosen (held-out)"
            ),
            point(
                20, "held-out.log_likelihood.chosen", -15.5, (-4.0, -3.0), label="log-likelihood of chosen (held-out)"
            ),
            point(20, "gold.log_likelihood", -7.25, (0.0, 1.0)),
        ],
        pairs=["held-out"],
        probes=["gold"],
        skipped=["checkpoint-30 is skipped: half-written (no trainer_state.json)"],
    )


def row(text: str, title: str, step: int) -> list[str]:
    """The cells of one step in the table under a title."""
    lines = text.split("\n")
    start = lines.index(title)
    return next(line.split() for line in lines[start + 3 :] if line.split()[:1] == [str(step)])


def test_the_terminal_shows_a_row_for_each_checkpoint(small: Trajectory) -> None:
    text = render(small)
    title = "accuracy of what each checkpoint says"
    # greedy and best-of-4, which are all there is: an arrow only where the change's interval lies on one side of 0.
    assert row(text, title, 0) == ["0", "0.250", "0.500"]
    assert row(text, title, 10) == ["10", "0.500↑", "0.500"]
    assert row(text, title, 20) == ["20", "0.125↓", "0.500"]
    pairs = "1,200 pairs, held-out"
    assert [row(text, pairs, step)[1] for step in (0, 10, 20)] == ["-12.00", "-13.00", "-15.50↓"]
    assert [row(text, "log-likelihood of probes", step)[1] for step in (0, 10, 20)] == ["-", "-", "-7.25"]
    assert "best-of-4" in text
    assert "{n}" not in text
    assert text.endswith("\n")


def test_the_terminal_says_what_was_skipped_and_ches(small: Trajectory) -> None:
    text = render(small)
    assert "checkpoint-30 is skipped: half-written (no trainer_state.json)." in text
    assert "CHES of held-out at the base model: -31.2 [-40.0, -20.0]; length-normalised 0.12 [0.00, 0.25]." in text
    assert max(len(line) for line in text.split("\n")) <= 120


def test_csv_has_one_row_for_each_checkpoint(small: Trajectory, tmp_path: Path) -> None:
    assert write_trajectory(small, tmp_path) == ("trajectory.csv", "trajectory.json")
    found = pd.read_csv(tmp_path / "trajectory.csv")
    assert found["step"].tolist() == [0, 10, 20]
    assert found["accuracy.greedy"].tolist() == [0.25, 0.5, 0.125]
    assert found["held-out.log_likelihood.chosen.low"].tolist() == [-12.5, -13.5, -16.0]
    assert found["accuracy.greedy.change_high"].tolist()[1:] == [0.4, -0.05]
    assert math.isnan(found["accuracy.greedy.change"][0]), "step 0 has no change"
    assert found["gold.log_likelihood"].isna().tolist() == [True, True, False]
    assert len(found.columns) == 1 + 9 * 4


def test_json_fits_its_schema_and_holds_every_point(small: Trajectory, tmp_path: Path) -> None:
    write_trajectory(small, tmp_path)
    found = json.loads((tmp_path / "trajectory.json").read_text(encoding="utf-8"))
    validate(found, "trajectory")
    assert found["steps"] == [0, 10, 20]
    assert found["pairs"] == {"held-out": 1200}
    assert found["skipped"] == list(small.skipped)
    assert found["ches"]["held-out"]["ches"] == {
        "estimate": -31.25,
        "low": -40.0,
        "high": -20.0,
        "method": "student-t",
        "marked": False,
    }
    assert [(p["step"], p["name"], p["estimate"]) for p in found["points"]] == [
        (p.step, p.name, p.value.estimate) for p in small.points
    ]
    [point_] = [p for p in found["points"] if (p["step"], p["name"]) == (20, "accuracy.greedy")]
    assert point_["change"]["low"] == -0.2
    assert point_["change"]["p_value"] == 0.04
    assert (point_["verdict"], point_["change"]["marked"]) == ("lower", False)
    assert all(p["change"] is None for p in found["points"] if p["step"] == 0)


def test_one_problem_has_no_interval(tmp_path: Path) -> None:
    nan = math.nan
    lone = Point(10, "accuracy.greedy", "g", "share", Interval(1.0, nan, nan, "none: 1 problem; from 5 on"), None)
    changed = replace(lone, step=20, change=PairedTest(1.0, nan, nan, 1.0, "none: 1 problem; from 5 on", 1))
    found_ = replace(made([lone, changed], pairs=["held-out"]), ches={"held-out": (lone.value, lone.value)})
    write_trajectory(found_, tmp_path)
    found = json.loads((tmp_path / "trajectory.json").read_text(encoding="utf-8"))
    last = found["points"][-1]
    assert (last["low"], last["high"], last["change"]["low"]) == (None, None, None)
    assert pd.read_csv(tmp_path / "trajectory.csv")["accuracy.greedy.low"].isna().all()
    text = render(found_)
    assert "1.000 " in text, "no arrow without an interval"
    assert "No interval (1 problem; from 5 on): g; change of g." in text
    assert "1.0 (no interval: 1 problem; from 5 on); length-normalised 1.00 (no interval" in " ".join(text.split())
    assert "nan" not in text
    write_trajectory_page(found_, tmp_path)
    page = (tmp_path / "trajectory.html").read_text(encoding="utf-8")
    assert "No interval (1 problem; from 5 on): g; change of g." in page
    assert "nan" not in re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL)


def test_a_marked_change_goes_by_the_signs(tmp_path: Path) -> None:
    wide = PairedTest(
        1.0, -1.0, 3.0, 0.3, "bootstrap-t + student-t", 12, marked=True, signs=SignTest(12, 0, 0.7, 1, 5e-4)
    )
    skewed = Point(10, "accuracy.greedy", "g", "nats", Interval(1.0, 0.5, 4.0, "bootstrap-t + student-t", True), wide)
    of_many = replace(skewed, p_family=0.2)
    assert (arrow(skewed), arrow(of_many), mark(skewed), mark(of_many)) == ("↑", "", "↑†", "†")
    text = render(made([skewed]))
    assert "1.000↑†" in text
    assert "†: the problems' numbers are too skewed" in text
    write_trajectory(made([skewed]), tmp_path)
    found = json.loads((tmp_path / "trajectory.json").read_text(encoding="utf-8"))["points"]
    [only] = [p for p in found if p["name"] == "accuracy.greedy"]
    assert (only["change"]["marked"], only["verdict"], only["change"]["p_value"]) == (True, "higher", 0.3)
    write_trajectory_page(made([skewed]), tmp_path)
    page = re.sub(r"<.*?>", "", (tmp_path / "trajectory.html").read_text(encoding="utf-8"))
    assert "1.00 [0.50, 4.00]† ↑†" in page


def test_a_document_that_breaks_its_schema_writes_nothing(small: Trajectory, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="trajectory does not fit its schema at beta"):
        write_trajectory(replace(small, beta=0.0), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_every_point_needs_a_unit_of_the_schema(small: Trajectory) -> None:
    wrong = replace(small, points=(replace(small.points[0], unit="bits"), *small.points[1:]))
    with pytest.raises(StoreError, match="bits"):
        validate(document(wrong), "trajectory")


def hostile(names: Sequence[str], probes: Sequence[str]) -> Trajectory:
    points = [point(s, "accuracy.greedy", 0.5, unit="share") for s in (0, 10, 20)]
    for step in (0, 10, 20):
        for name in names:
            label = f"log-likelihood of chosen ({name})"
            points.append(point(step, f"{name}.log_likelihood.chosen", -12.0, (-4.0, -3.0), label=label))
            label = f"ranking accuracy ({name})"
            points.append(point(step, f"{name}.ranking_accuracy", 0.5, unit="share", label=label))
        points += [point(step, f"{name}.log_likelihood", -7.0, label=f"log-likelihood of {name}") for name in probes]
    lines = [f"{name} is skipped: <b>half-written</b>" for name in names]
    return made(points, pairs=names, probes=probes, skipped=lines)


class Page(HTMLParser):
    """Tags with attributes, and text by the tag that holds it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self.tags[-1][0] if self.tags else "", []).append(data)


def test_the_page_of_hostile_names(tmp_path: Path) -> None:
    # Names of probes reach the page and the legend of a figure alike.
    found = hostile(HOSTILE, ["<em>probe</em>", "$x_", *(f"p{k}" for k in range(6))])
    assert write_trajectory_page(found, tmp_path) == ("trajectory.html", "figures/")
    text = (tmp_path / "trajectory.html").read_text(encoding="utf-8")
    page = Page(text)
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "img", "b", "i", "u", "em"}
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    warnings = [attributes for tag, attributes in page.tags if attributes.get("class") == "warning"]
    assert len(warnings) == len(found.skipped)
    assert "<h1>m&lt;/title&gt;&lt;b&gt; on &lt;i&gt;t&lt;/i&gt; through training</h1>" in text
    for name in found.pair_counts:
        caption = f"Pairs: {name}"
        assert caption in "".join(page.texts["figcaption"]), "each pair set has a table of its own"
    assert "Probes" in page.texts["figcaption"]
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids)), "ids are unique in the page"
    files = sorted(path.name for path in (tmp_path / "figures").iterdir())
    # Accuracy and probes, and two for each pair set; PNG and SVG.
    assert len(files) == 2 * (2 + 2 * len(HOSTILE))
    for path in (tmp_path / "figures").glob("*.svg"):
        ET.parse(path)
    referred = set(re.findall(r'(?:href="|url\()#([^")]+)', text))
    assert referred <= set(ids)


def test_figures_of_other_names_have_other_files() -> None:
    stems = [stem for stem, _, _ in trajectory_figures(hostile(["a b", "a_b", "a~20b", "../a", "é"], []))]
    assert len(set(stems)) == len(stems) == 1 + 2 * 5
    assert all(re.fullmatch(r"[A-Za-z0-9_.~-]+", stem) for stem in stems)


def test_figures_of_plain_names_are_named_by_them(small: Trajectory) -> None:
    names = [
        ("log_likelihood_self.best", "nats"),
        ("log_likelihood_self.greedy", "nats"),
        ("base_mass.4", "share"),
        ("held-out.ranking_accuracy", "share"),
        ("entropy_per_token", "nats"),
    ]
    more = [point(step, name, 0.5, unit=unit) for step in (0, 20) for name, unit in names]
    stems = [stem for stem, _, _ in trajectory_figures(replace(small, points=(*small.points, *more)))]
    assert stems == [
        "trajectory_accuracy",
        "trajectory_best_of_n",
        "trajectory_greedy",
        "trajectory_mass",
        "trajectory_likelihood_held-out",
        "trajectory_ranking_held-out",
        "trajectory_probes",
        "trajectory_spread",
    ]
    # What no checkpoint has is not drawn.
    stems = [stem for stem, _, _ in trajectory_figures(small)]
    assert stems == ["trajectory_accuracy", "trajectory_likelihood_held-out", "trajectory_probes"]


def test_every_probe_has_a_line() -> None:
    names = [f"p{k}" for k in range(9)]
    figures: dict[str, Any] = {stem: figure for stem, _, figure in trajectory_figures(hostile([], names))}
    [axes] = figures["trajectory_probes"].axes
    assert [line.get_label() for line in axes.get_lines()] == names


def test_lines_draw_the_points(small: Trajectory) -> None:
    figures: dict[str, Any] = {stem: figure for stem, _, figure in trajectory_figures(small)}
    [axes] = figures["trajectory_accuracy"].axes
    greedy = next(line for line in axes.get_lines() if line.get_label() == "greedy")
    assert greedy.get_xdata().tolist() == [0, 10, 20]
    assert greedy.get_ydata().tolist() == [25.0, 50.0, 12.5], "in percent"


def measure_tables(found: Trajectory, directory: Path) -> list[str]:
    write_trajectory_page(found, directory)
    text = (directory / "trajectory.html").read_text(encoding="utf-8")
    part = text[text.index("<h2>Every measure") : text.index("<h2>CHES")]
    return re.findall(r'<figure class="table">.*?</figure>', part, re.DOTALL)


def test_a_set_named_like_an_arms_measure_keeps_the_arms_apart(tmp_path: Path) -> None:
    tables = measure_tables(hostile(["accuracy", "held.out"], ["held"]), tmp_path)
    captions = [re.search(r"<figcaption>(.*?)</figcaption>", table) for table in tables]
    assert [c and c[1] for c in captions] == [
        "Accuracy",
        "Pairs: accuracy",
        "Pairs: held.out",
        "Probes",
    ]
    assert "accuracy.greedy" in tables[0]
    assert '<th scope="row">log-likelihood of chosen</th>' in tables[1], "the caption names the set once"


def test_cells_of_the_page(small: Trajectory, tmp_path: Path) -> None:
    own, pairs, probes = measure_tables(small, tmp_path)
    cells = re.findall(r"<td>(.*?)</td>", own[own.index("accuracy.greedy") :])[:4]
    plain = [re.sub(r"<.*?>", "", cell) for cell in cells]
    assert plain == ["%", "25.0 [-25.0, 75.0]", "50.0 [0.0, 100.0] ↑", "12.5 [-37.5, 62.5] ↓"]
    assert re.sub(r"<.*?>", "", pairs).count("↓") == 1
    assert probes.count("<td>-</td>") == 2
    assert own.count('<th scope="col">step') == 3


def test_names_do_not_run_in_a_spreadsheet(tmp_path: Path) -> None:
    write_trajectory(hostile(["=HYPERLINK(A1)"], []), tmp_path)
    header = (tmp_path / "trajectory.csv").read_text(encoding="utf-8").split("\n")[0]
    assert ",'=HYPERLINK(A1).log_likelihood.chosen," in header
    assert ",=" not in header


def test_no_pairs_and_no_probes(tmp_path: Path) -> None:
    found = made([])
    write_trajectory(found, tmp_path)
    write_trajectory_page(found, tmp_path)
    assert "No pairs were given." in (tmp_path / "trajectory.html").read_text(encoding="utf-8")
    assert "pairs," not in render(found)


def test_a_folder_that_cannot_be_written(small: Trajectory, tmp_path: Path) -> None:
    (tmp_path / "figures").write_text("a file")
    with pytest.raises(StoreError, match=r"cannot write .*figures"):
        write_trajectory_page(small, tmp_path)
