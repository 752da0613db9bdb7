"""Whether likelihood predicts correctness, as sentences, rows, section and figure."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from made_run import MadeRun

from bon_eval.analysis.analyse import analyse
from bon_eval.analysis.levels.facts import FORMS, LevelName, LevelRow, Levels, Predicts
from bon_eval.analysis.results import Analysis
from bon_eval.analysis.settings import resolve_settings
from bon_eval.draws import as_stored, parse_draws
from bon_eval.report.formats.csv_json import validate
from bon_eval.report.run.figures import figures
from bon_eval.report.run.levels.figure import has_figure
from bon_eval.report.run.levels.notes import level_text
from bon_eval.report.run.page import page
from bon_eval.report.run.terminal import WIDTH, render
from bon_eval.report.run.write import write_report
from bon_eval.stats import Interval
from bon_eval.store.reader import Run

SPECS = parse_draws(["t=temperature:0.25/0.5,n:3", "cut=top_k:5,n:2"])
SETTINGS = resolve_settings(8, 50)


def made(level: LevelName, of: str, predicts: Predicts, at_length: Predicts = "not shown") -> LevelRow:
    """A row with numbers where it is asked."""
    auroc = level in ("pairs", "responses")
    number = Interval(0.8125, 0.71, 0.9, "m") if auroc else Interval(-3.14, -7.0, 1.0, "m")
    form = {"summed": predicts, "per_token": predicts, "summed_at_length": at_length, "per_token_at_length": at_length}
    asked = {name: None if verdict == "not asked" else number for name, verdict in form.items()}
    reasons = {name: "2 of them; from 3 on" for name, found in asked.items() if found is None}
    statistic: Any = "auroc" if auroc else "points"
    compared = () if auroc else ("a", "b")
    return LevelRow(
        level,
        of,
        statistic,
        compared,
        50,
        50,
        None,
        **asked,
        predicts=predicts,
        predicts_at_length=at_length,
        reasons=reasons,
    )


@pytest.fixture(scope="module")
def drawn() -> Analysis:
    run = MadeRun(problems=40, n=8)
    run.meta["config"] |= {"n": 8, "draws": [as_stored(spec) for spec in SPECS]}
    rng_run = MadeRun(problems=40, n=3, seed=1)
    run.others = {spec.name: rng_run.pool for spec in SPECS[:2]}  # type: ignore[attr-defined]
    run.others |= {"cut": MadeRun(problems=40, n=2, seed=2).pool}  # type: ignore[attr-defined]
    return analyse(run, draws=300)


def test_the_sentence_says_which_levels_hold() -> None:
    levels = Levels(
        (
            made("methods", "all", "not asked", "not asked"),
            made("settings", "best-of-n", "yes"),
            made("settings", "temperature", "reversed", "not asked"),
            made("pairs", "greedy", "not shown"),
            made("pairs", "sample", "yes", "yes"),
            made("responses", "sample", "yes"),
        )
    )
    assert level_text(levels, SETTINGS) == [
        "likelihood predicts correctness across one sample's prompt-answer pairs, repeated responses to one prompt and "
        "the settings of best-of-n; the likelier is the less correct across the settings of temperature; no relation "
        "is shown across greedy's prompt-answer pairs; it is not asked across decoding methods (2 of them; from 3 on).",
        "with length held fixed likelihood predicts correctness across one sample's prompt-answer pairs; no relation "
        "is shown across greedy's prompt-answer pairs, repeated responses to one prompt and the settings of best-of-n; "
        "it is not asked across decoding methods (2 of them; from 3 on).",
    ]
    with_numbers = level_text(levels, SETTINGS, numbers=True)[0]
    assert "across one sample's prompt-answer pairs (AUROC 0.81 [0.71, 0.90])" in with_numbers
    assert "across the settings of temperature (-3.1 points [-7.0, +1.0])" in with_numbers


def test_the_sentence_where_nothing_is_shown_or_asked() -> None:
    none = Levels((made("responses", "sample", "not shown"),))
    assert level_text(none, SETTINGS)[0] == (
        "no relation of likelihood and correctness is shown across repeated responses to one prompt."
    )
    unasked = Levels((made("responses", "sample", "not asked", "not asked"),))
    assert level_text(unasked, SETTINGS)[1] == (
        "with length held fixed it is not asked whether likelihood predicts correctness across repeated responses to "
        "one prompt (2 of them; from 3 on)."
    )
    assert level_text(none, replace(SETTINGS, partial=True)) == [
        "whether likelihood predicts correctness is not decided before the run is finished."
    ]
    assert level_text(Levels(reason="no log-likelihoods"), SETTINGS) == [
        "whether likelihood predicts correctness is not asked: no log-likelihoods."
    ]


def test_the_files_hold_every_number(drawn: Analysis, tmp_path: Path) -> None:
    written = write_report(drawn, tmp_path)
    content = json.loads(written["report.json"].read_text(encoding="utf-8"))
    validate(content)
    frame = pd.read_csv(written["levels.csv"])
    assert len(frame) == len(drawn.levels.rows) == len(content["levels"]["rows"]) == 7
    assert content["levels"]["reason"] is None
    for row, stored, csv in zip(drawn.levels.rows, content["levels"]["rows"], frame.to_dict("records"), strict=True):
        assert (stored["level"], stored["of"], stored["predicts"]) == (row.level, row.of, row.predicts)
        assert tuple(stored["compared"]) == row.compared
        for form in FORMS:
            found = row.form(form)
            if found is None:
                assert stored[form] is None
                assert stored["null_reasons"][form] == row.reasons[form]
                assert pd.isna(csv[form])
            else:
                assert (stored[form], stored[f"{form}_low"]) == (found.estimate, found.low)
                assert (csv[form], csv[f"{form}_high"]) == pytest.approx((found.estimate, found.high))


def test_the_terminal_keeps_to_its_width(drawn: Analysis) -> None:
    text = render(drawn)
    assert max(map(len, text.splitlines())) <= WIDTH
    joined = " ".join(text.split())
    assert "likelihood predicts correctness across" in joined
    assert "with length held fixed" in joined


def test_the_page_has_the_section_its_stars_and_the_reasons(drawn: Analysis, run: Run) -> None:
    text = "".join(page(run, drawn, texts=False))
    section = text.split("Does likelihood predict correctness?</h2>")[1].split("<h2>")[0]
    assert section.count('<th scope="row">') == len(drawn.levels.rows)
    stars = sum(row.predicts in ("yes", "reversed") for row in drawn.levels.rows)
    stars += sum(row.predicts_at_length in ("yes", "reversed") for row in drawn.levels.rows)
    assert section.count("* <span") == stars > 0
    assert 'title="2 settings; from 3 on"' in section
    assert "The settings of temperature: greedy, t@0.25, t@0.5, sample." in section
    assert "arXiv 2606.27359" in section
    assert "<svg" in section


def test_a_run_without_log_likelihoods_says_why(drawn: Analysis, run: Run) -> None:
    without = replace(drawn, levels=Levels(reason="the source states no log-likelihoods"))
    assert not has_figure(without.levels)
    assert "levels" not in [name for name, _ in figures(without)]
    text = "".join(page(run, without, texts=False))
    section = text.split("Does likelihood predict correctness?</h2>")[1].split("<h2>")[0]
    assert "Whether likelihood predicts correctness is not asked: the source states no log-likelihoods." in section
    assert "<table" not in section
    assert "<svg" not in section


def test_the_figure_has_every_number_and_its_texts_are_apart(drawn: Analysis) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    figure = dict(figures(drawn))["levels"]
    renderer: Any = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    texts = [t for t in figure.findobj(Text) if isinstance(t, Text) and t.get_text().strip() and t.get_visible()]
    boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in texts]
    inside = [(name, box) for name, box in boxes if box.width > 0]
    for (one, a), (other, b) in combinations(inside, 2):
        assert not a.overlaps(b), (one, other)
    drawn_points = sum(
        len(line.get_xdata()) for ax in figure.axes for line in ax.lines if line.get_marker() in ("o", "s")
    )
    assert drawn_points == sum(row.form(form) is not None for row in drawn.levels.rows for form in FORMS)


def test_the_section_fits_desktop_and_phone(drawn: Analysis, run: Run, tmp_path: Path, open_page: Any) -> None:
    path = tmp_path / "report.html"
    path.write_text("".join(page(run, drawn, texts=False)), encoding="utf-8")
    for width in (1400, 390):
        tab, trouble = open_page(path, viewport={"width": width, "height": 900})
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.get_by_text("Does likelihood predict correctness?").first.is_visible()
        assert not trouble
