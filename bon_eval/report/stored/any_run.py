"""What is printed, written and drawn of a stored run, by the analysis that it can have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bon_eval.analysis.imported.either import AnyAnalysis
from bon_eval.analysis.results import Analysis
from bon_eval.report.formats.columns import CsvRow
from bon_eval.store.reader import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def render_any(analysis: AnyAnalysis) -> str:
    """Header, arms table, notes and verdicts as lines of text, ending in a newline."""
    if isinstance(analysis, Analysis):
        from bon_eval.report.run.terminal import render

        return render(analysis)
    from bon_eval.report.imported.terminal import render_imported

    return render_imported(analysis)


def arms_of(analysis: AnyAnalysis) -> Sequence[Sequence[str]]:
    """The arms table as texts, headings first."""
    if isinstance(analysis, Analysis):
        from bon_eval.report.run.terminal import arms_table

        return arms_table(analysis)
    from bon_eval.report.imported.terminal import imported_table

    return imported_table(analysis)


def cells_of(analysis: AnyAnalysis, table: Literal["arms", "curves"]) -> list[CsvRow]:
    """The rows of report.csv or curves.csv."""
    if isinstance(analysis, Analysis):
        from bon_eval.report.run.rows import ARM, CURVE

        if table == "arms":
            return [ARM.cells(row) for row in analysis.arms]
        return [CURVE.cells(point) for point in analysis.curves]
    from bon_eval.report.imported.rows import ARM as IMPORTED_ARM
    from bon_eval.report.imported.rows import CURVE as IMPORTED_CURVE

    if table == "arms":
        return [IMPORTED_ARM.cells(row) for row in analysis.arms]
    return [IMPORTED_CURVE.cells(point) for point in analysis.curves]


def panel_of(analysis: AnyAnalysis, name: str) -> Figure:
    """One of `bon_eval.report.run.figures.PANELS` as a figure of pyplot.

    Raises:
        ConfigError: the run lacks what it shows.
    """
    if isinstance(analysis, Analysis):
        from bon_eval.report.run.figures import draw_panel

        return draw_panel(analysis, name, pyplot=True)
    from bon_eval.report.imported.figures import draw_imported_panel

    return draw_imported_panel(analysis, name, pyplot=True)


def write_any(
    run: Run, analysis: AnyAnalysis, directory: Path, *, html: bool = True, texts: bool = True, name: str | None = None
) -> list[str]:
    """Write a report's files; arguments, return value and errors as of `bon_eval.report.run.write.write_files`."""
    if isinstance(analysis, Analysis):
        from bon_eval.report.run.write import write_files

        return write_files(run, analysis, directory, html=html, texts=texts, name=name)
    from bon_eval.report.imported.write import write_imported_files

    return write_imported_files(analysis, directory, html=html, name=name)
