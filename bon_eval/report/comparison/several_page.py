"""compare.html of several runs, in the style and under the rules of report.html."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bon_eval.analysis.several_runs.comparison import SeveralComparison
from bon_eval.report.comparison.page import side_by_side
from bon_eval.report.comparison.panels import ON_PAGE, Shown, draw_panels
from bon_eval.report.comparison.several import notes, several_samples
from bon_eval.report.formats.browser import Budget
from bon_eval.report.formats.html import panel, render_pieces
from bon_eval.report.formats.page_json import left_out
from bon_eval.report.formats.text import clusters_text, config_of
from bon_eval.store.comparable import same_problems
from bon_eval.store.files import write_pieces
from bon_eval.store.reader import Run


def write_several_page(runs: Sequence[Run], found: SeveralComparison, shown: Shown, directory: Path) -> Path:
    """Write compare.html into an existing directory.

    Args:
        runs: in the order of the comparison.
        found: their comparison.
        shown: what its panels show.
        directory: usually that of the last run.

    Raises:
        StoreError: a part is damaged, or the file cannot be written.
    """
    budget = Budget(text_bytes=14_000_000 // len(runs), responses=70_000 // len(runs))
    rows = [same_problems(runs[0], run) for run in runs[1:]]
    browser = side_by_side(runs, shown.analyses, found.names, rows, budget)
    panels = [panel(figure, name, figure.axes[0].get_title(loc="left")) for name, figure in draw_panels(shown, ON_PAGE)]
    values = {
        "title": f"{', '.join(found.names[:-1])} and {found.names[-1]} on {config_of(found.runs[0])['task']}",
        "found": found,
        "samples": several_samples(found),
        "clusters": None if found.n_clusters is None else clusters_text(found.n_clusters, found.cluster),
        "notes": [note for note in notes(found) if note not in found.sentences],
        "panels": panels,
        "facts": list(zip(found.names, found.runs, strict=True)),
        "left_out": None if browser is None else left_out(browser.head),
        "with_draws": browser is not None and any(browser.head["draws"]),
    }
    path = directory / "compare.html"
    listed = None if browser is None else browser.pieces()
    write_pieces(path, render_pieces("compare_several.html.jinja", values, listed))
    return path
