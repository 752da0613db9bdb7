"""The figures of runs at the size of a paper's columns or a slide: PDF with embedded fonts, SVG with real text.

The same analysis gives the same files byte for byte: they hold no date.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bon_eval.analysis.imported.either import AnyAnalysis
from bon_eval.analysis.results import Analysis
from bon_eval.report.formats.figures import GRID, drawing
from bon_eval.report.imported.figures import imported_figures
from bon_eval.report.paper.fit import fit, without_titles
from bon_eval.report.paper.media import Medium
from bon_eval.report.run.figures import PANELS, figures
from bon_eval.store.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Drawn = Iterable[tuple[str, "Figure"]]
"""File stem and figure; each is drawn when it is asked for."""

_ON_PAGE = 3.9
"""Height in inches of a page's figure with one row of panels."""
_SIDE_BY_SIDE = 6.0
"""From so many inches on the one figure has two panels in a row."""
_DATES = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}
"""Where a file would hold the time at which it was made."""


def run_figures(analysis: AnyAnalysis, medium: Medium, width: float) -> Iterator[tuple[str, Figure]]:
    """(file stem, figure) of all that the run's page shows, after its `panels` as one figure where it has them.

    Use it within the medium's settings.
    """
    if not isinstance(analysis, Analysis):
        yield from imported_figures(analysis)
        return
    if medium.together:
        yield "panels", panels(analysis, medium, width)
    yield from figures(analysis)


def panels(analysis: Analysis, medium: Medium, width: float) -> Figure:
    """Lift, accuracy and log-likelihood as one figure, lettered, with one legend for what two panels share.

    Use it within the medium's settings.
    """
    from matplotlib.figure import Figure

    beside = width >= _SIDE_BY_SIDE
    rows = (1, 1) if beside else (2, 1)
    figure = Figure(figsize=(width, 0.95 * medium.height * sum(rows)), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=rows)
    upper, lower = parts
    two = upper.subplots(rows[0], 3 - rows[0], squeeze=False).ravel().tolist()
    columns = PANELS["log_likelihood"][0]
    below = lower.subplots(1, columns, squeeze=False).ravel().tolist()
    for ax in (*two, *below):
        ax.grid(visible=True, color=GRID, alpha=0.25, linewidth=0.6)
        ax.set_axisbelow(True)
    for name, part, axes in (("lift", upper, two[:1]), ("accuracy", upper, two[1:]), ("log_likelihood", lower, below)):
        PANELS[name][1](analysis, part, axes)
    without_titles(figure)
    _one_legend(upper)
    for letter, ax in zip("abcdefgh", (*two, *below), strict=False):
        ax.set_title(f"({letter})", loc="left", fontweight="bold", fontsize=medium.font)
    return figure


def _one_legend(part: Any) -> None:
    """In place of a legend for each axes, one in which what they share stands once."""
    entries: dict[str, Any] = {}
    for ax in part.axes:
        entries |= {label: handle for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    for legend in list(part.legends):
        legend.remove()
    part.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=2, handlelength=2.6)


def write_figures(drawn: Drawn, directory: Path, medium: Medium, width: float) -> list[str]:
    """Write figures into an existing directory, each as the medium's kinds of file.

    Args:
        drawn: within the medium's settings, of any size; those of a page are made as wide as `width`.
        directory: where they go.
        medium: whose settings hold.
        width: in inches.

    Returns:
        The names of what was written.

    Raises:
        StoreError: a file cannot be written.
    """
    written = []
    for stem, figure in drawn:
        if stem != "panels":
            figure.set_size_inches(width, medium.height * figure.get_figheight() / _ON_PAGE)
            without_titles(figure)
        fit(figure, medium.legend)
        for kind in medium.kinds:

            def save(temporary: Path, kind: str = kind, figure: Figure = figure) -> None:
                figure.savefig(temporary, format=kind, metadata=_DATES[kind], dpi=medium.dots or 72)

            with drawing(**medium.settings):
                write_atomic(directory / f"{stem}.{kind}", save)
            written.append(f"{stem}.{kind}")
    return written
