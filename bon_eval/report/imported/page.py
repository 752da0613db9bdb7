"""report.html of an imported run that lacks something: its arms, its panels, and what is not there."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from bon_eval.analysis.imported.findings import ImportedAnalysis
from bon_eval.report.formats.html import panel, render
from bon_eval.report.formats.text import config_of, model_name
from bon_eval.report.imported.terminal import cells, has_greedy, header, headings, notes
from bon_eval.report.run.levels.notes import level_name, level_text
from bon_eval.store.files import write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CAPTIONS = {
    "accuracy": "Accuracy against n (log axis). The oracle counts a problem where any of n responses is correct.",
    "log_likelihood": (
        "Pool responses by log-likelihood, whole and per token. The outermost bins hold everything beyond them."
    ),
    "levels": "How likelihood and correctness go together at each level; the line is where likelihood says nothing.",
}


def write_imported_page(analysis: ImportedAnalysis, directory: Path, drawn: Iterable[tuple[str, Figure]]) -> Path:
    """Write report.html; raises `StoreError` where it cannot be written."""
    path = directory / "report.html"
    config = config_of(analysis.run)
    title = f"{model_name(config)} on {config['task']}"
    if name := analysis.run.get("report"):
        title += f": report {name}"
    panels = {name: panel(figure, name, _CAPTIONS[name], _CAPTIONS[name]) for name, figure in drawn}
    values = {
        "title": title,
        "sent": header(analysis)[1],
        "analysis": analysis,
        "greedy": has_greedy(analysis),
        "heads": headings(analysis),
        "rows": [cells(row, analysis) for row in analysis.arms],
        "notes": notes(analysis),
        "level_text": level_text(analysis.levels, analysis.settings),
        "level_name": level_name,
        "levels": panels.pop("levels", None),
        "panels": panels.values(),
    }
    write_text(path, render("imported.html.jinja", values))
    return path
