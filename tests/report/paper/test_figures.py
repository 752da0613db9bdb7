"""Figures for a paper: their width, fonts, text and room, and that they are the same each time."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np
import pytest
from matplotlib.transforms import Bbox

from bon_eval.analysis.results import Analysis
from bon_eval.report.formats.figures import SETTINGS, drawing, legend_below, load_matplotlib, new_figure
from bon_eval.report.paper.figures import panels, run_figures, write_figures
from bon_eval.report.paper.fit import fit
from bon_eval.report.paper.media import MEDIA

PLACES = [(name, columns) for name, medium in MEDIA.items() for columns in medium.widths]
_TITLES = "Best-of-n minus greedy|Accuracy of best-of-n|Log-likelihood of correct|Best-of-n by scorer|Sharpening:"


def written(analysis: Analysis, folder: Path, name: str, columns: str) -> list[str]:
    medium = MEDIA[name]
    folder.mkdir()
    with drawing(**medium.settings):
        width = medium.widths[columns]
        return write_figures(run_figures(analysis, medium, width), folder, medium, width)


@pytest.mark.parametrize(("name", "columns"), PLACES)
def test_files_have_the_width_real_text_embedded_fonts_and_no_date(
    found: Analysis, tmp_path: Path, name: str, columns: str
) -> None:
    names = written(found, tmp_path / "a", name, columns)
    assert {"lift.pdf", "accuracy.svg", "compute.pdf", "log_likelihood.svg", "levels.pdf"} <= set(names)
    assert ("panels.pdf" in names) == MEDIA[name].together
    assert {Path(n).suffix for n in names} == {f".{kind}" for kind in MEDIA[name].kinds}
    inches = MEDIA[name].widths[columns]
    for file in names:
        content = (tmp_path / "a" / file).read_bytes()
        if file.endswith(".pdf"):
            [box] = re.findall(rb"/MediaBox \[ 0 0 ([0-9.]+) ", content)
            assert float(box) == pytest.approx(72 * inches)
            assert b"/FontFile2" in content
            assert b"/Subtype /Type3" not in content
            assert b"CreationDate" not in content
        elif file.endswith(".svg"):
            text = content.decode()
            assert len(re.findall("<text ", text)) > 8, file
            assert "<dc:date>" not in text
            assert not re.search(_TITLES, text), file
        else:
            assert struct.unpack(">I", content[16:20])[0] == pytest.approx(inches * (MEDIA[name].dots or 0), abs=1)


def test_the_same_analysis_gives_the_same_bytes(found: Analysis, tmp_path: Path) -> None:
    names = written(found, tmp_path / "a", "paper", "single")
    assert written(found, tmp_path / "b", "paper", "single") == names
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


@pytest.mark.parametrize("columns", ["single", "double"])
def test_a_layout_stays_and_holds_nothing_that_its_solver_leaves_open(found: Analysis, columns: str) -> None:
    """In about one of twenty-four calls the solver gave other last digits, and the files other bytes."""
    medium = MEDIA["paper"]
    with drawing(**medium.settings):
        figure = panels(found, medium, medium.widths[columns])
        fit(figure, medium.legend)
        parts = figure.subfigs  # type: ignore[attr-defined]
        assert (len(parts), len(figure.axes)) == (2, 4)
        for part in parts:
            np.testing.assert_array_equal(part.bbox_relative.get_points(), part.bbox_relative.get_points().round(6))
        places = [ax.get_position().bounds for ax in figure.axes]
        # As wide as from its left to its right end, of which both are rounded.
        assert places == [Bbox.from_bounds(*np.round(place, 6)).bounds for place in places]
        figure.draw_without_rendering()
    assert [ax.get_position().bounds for ax in figure.axes] == places


@pytest.mark.parametrize("columns", ["single", "double"])
def test_labels_have_room_and_shared_entries_stand_once(found: Analysis, columns: str) -> None:
    medium = MEDIA["paper"]
    with drawing(**medium.settings):
        figure = panels(found, medium, medium.widths[columns])
        fit(figure, medium.legend)
        figure.draw_without_rendering()
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["(a)", "(b)", "(c)", "(d)"]
    for ax in figure.axes:
        box, label = ax.get_window_extent(), ax.yaxis.label
        assert not label.get_text() or label.get_window_extent().height <= box.height
    upper = figure.subfigs[0]
    [legend] = upper.legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert len(labels) == len(set(labels))
    assert {"log-likelihood", "vote", "oracle"} < set(labels)
    assert legend.get_window_extent().width <= upper.bbox.width


def test_a_legend_that_is_too_wide_gets_fewer_columns_and_the_figure_grows() -> None:
    names = [f"a model with a rather long name, number {k}" for k in range(8)]
    with drawing(**MEDIA["paper"].settings):
        figure, [ax] = new_figure()
        for name in names:
            ax.plot([0, 1], [0, 1], label=name)
        ax.set_ylabel("something that is far too long to stand beside an axis of this height and has no unit")
        legend_below(figure, 4)
        figure.set_size_inches(3.25, 2.7)
        fit(figure, 7.0)
        figure.draw_without_rendering()
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == names
    assert legend.get_window_extent().width <= figure.bbox.width
    assert figure.get_figheight() > 3.0
    assert "\n" in ax.get_ylabel()
    assert ax.yaxis.label.get_window_extent().height <= ax.get_window_extent().height


def test_settings_hold_within_settings_and_end_with_them() -> None:
    rc = load_matplotlib().rcParams
    before = rc["font.size"]
    with drawing(**MEDIA["paper"].settings):
        with drawing():
            assert rc["font.size"] == 8.0
        assert rc["font.size"] == 8.0
    assert rc["font.size"] == before
    with drawing():
        assert rc["font.size"] == SETTINGS["font.size"]
