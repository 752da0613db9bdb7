"""A run's panels at a paper's column width, without titles: PDF with embedded fonts and SVG with real text.

The same analysis gives the same files byte for byte: they hold no date.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bon_eval.analysis.imported.either import AnyAnalysis
from bon_eval.analysis.results import Analysis
from bon_eval.errors import ConfigError
from bon_eval.report.formats.figures import GRID, drawing
from bon_eval.report.run.figures import PANELS
from bon_eval.store.files import make_directory, write_atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTHS = {"single": 3.25, "double": 6.75}
"""Width of a figure in inches by the columns that it takes."""
TOGETHER = ("lift", "accuracy", "log_likelihood")
"""The panels of the one figure, in its order."""
_PANEL_HEIGHT = 2.9
_SETTINGS: dict[str, Any] = {
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "font.size": 8,
    "text.color": "black",
    "axes.labelcolor": "black",
    "axes.edgecolor": "black",
    "xtick.color": "black",
    "ytick.color": "black",
    "legend.labelcolor": "black",
}


def paper_figure(analysis: Analysis, names: Sequence[str], width: float) -> Figure:
    """Panels one below the other, or side by side where each has 3 inches; without titles.

    Args:
        analysis: of a run.
        names: of `PANELS`.
        width: of the figure in inches.
    """
    with drawing(**_SETTINGS):
        from matplotlib.figure import Figure

        across = max(1, min(len(names), int(width // 3)))
        down = -(-len(names) // across)
        figure = Figure(figsize=(width, _PANEL_HEIGHT * down), layout="constrained")
        grid = figure.add_gridspec(down, across)
        for k, name in enumerate(names):
            row, column = divmod(k, across)
            last = k == len(names) - 1
            part: Any = figure.add_subfigure(grid[row, column:] if last else grid[row, column])
            columns, draw = PANELS[name]
            axes = part.subplots(1, columns, squeeze=False).ravel().tolist()
            for ax in axes:
                ax.grid(visible=True, color=GRID, alpha=0.25, linewidth=0.6)
                ax.set_axisbelow(True)
            draw(analysis, part, axes)
            for ax in axes:
                ax.set_title("", loc="left")
            part.suptitle("")
            for legend in part.legends:
                for text in legend.get_texts():
                    text.set_fontsize(6.5)
    return figure


def write_paper_figures(analysis: AnyAnalysis, directory: Path, columns: str) -> list[str]:
    """Write each panel and `TOGETHER` as one figure (``panels``), as PDF and SVG.

    Returns:
        The names of what was written.

    Raises:
        ConfigError: the run is imported and lacks what the panels show.
        StoreError: a file cannot be written.
    """
    if not isinstance(analysis, Analysis):
        raise ConfigError(
            "the run is imported and lacks what the panels of a paper show; bon-eval report draws those that it has"
        )
    make_directory(directory)
    written = []
    for stem, names in [("panels", TOGETHER), *((name, (name,)) for name in PANELS)]:
        figure = paper_figure(analysis, names, WIDTHS[columns])
        for kind, date in (("pdf", "CreationDate"), ("svg", "Date")):

            def save(temporary: Path, kind: str = kind, date: str = date, figure: Figure = figure) -> None:
                figure.savefig(temporary, format=kind, metadata={date: None})

            with drawing(**_SETTINGS):
                write_atomic(directory / f"{stem}.{kind}", save)
            written.append(f"{stem}.{kind}")
    return written
