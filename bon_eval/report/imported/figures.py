"""The panels of an imported run that lacks something: those of a full report for which it has what they show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bon_eval.analysis.imported.absent import ESSENTIAL
from bon_eval.analysis.imported.findings import ImportedAnalysis
from bon_eval.errors import ConfigError
from bon_eval.report.formats.figures import (
    BLUE,
    GREEN,
    GRID,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    drawing,
    legend_below,
    n_axis,
    new_figure,
    scorer_label,
)
from bon_eval.report.run.figures import histograms
from bon_eval.report.run.levels.figure import has_figure, levels_figure
from bon_eval.store.imported.source import absent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
_MARKERS = "os^DvP"
_OTHERS = {
    "lift": ("best-of-n minus greedy", ("greedy", "log_likelihood")),
    "log_likelihood": ("log-likelihoods", ("log_likelihood",)),
    "compute": ("accuracy against tokens", ("n_tokens", "greedy", "log_likelihood")),
}
"""Panel -> what it shows, and what it needs first of all."""


def imported_figures(analysis: ImportedAnalysis) -> Iterator[tuple[str, Figure]]:
    """(file stem, figure) of each panel."""
    yield "accuracy", draw_imported_panel(analysis, "accuracy")
    if analysis.histograms:
        yield "log_likelihood", draw_imported_panel(analysis, "log_likelihood")
    if has_figure(analysis.levels):
        with drawing():
            yield "levels", levels_figure(analysis.levels)


def draw_imported_panel(analysis: ImportedAnalysis, name: str, *, pyplot: bool = False) -> Figure:
    """One of the panels of a full report (`bon_eval.report.run.figures.PANELS`); `pyplot`: as a figure of pyplot.

    Raises:
        ConfigError: the run lacks what the panel shows.
    """
    if name == "accuracy":
        with drawing():
            figure, axes = new_figure(pyplot=pyplot)
            _accuracy(analysis, figure, axes[0])
        return figure
    if name == "log_likelihood" and analysis.histograms:
        with drawing():
            figure, axes = new_figure(len(analysis.histograms), pyplot=pyplot)
            histograms(analysis.histograms, figure, axes)
        return figure
    what, why = why_absent(analysis, name)
    raise ConfigError(f"the run is imported and there is no figure of {what}: {why}")


def why_absent(analysis: ImportedAnalysis, name: str) -> tuple[str, str]:
    """What a panel that the run cannot have shows, and why it has none."""
    lacking = absent(analysis.run)
    what, needs = _OTHERS[name]
    first = [lacking[need] for need in needs if need in lacking]
    return what, "; ".join(first or [lacking[need] for need in ESSENTIAL if need in lacking])


def _accuracy(analysis: ImportedAnalysis, figure: Figure, ax: Axes) -> None:
    names = list(dict.fromkeys(point.arm for point in analysis.curves))
    for k, name in enumerate(names):
        points = sorted((p for p in analysis.curves if p.arm == name), key=lambda p: p.n)
        oracle = name == "oracle"
        ax.plot(
            [p.n for p in points],
            [100 * p.accuracy for p in points],
            color=GRID if oracle else _COLOURS[k % len(_COLOURS)],
            marker="x" if oracle else _MARKERS[k % len(_MARKERS)],
            markevery=[i for i, p in enumerate(points) if p.n in {1, *analysis.settings.ns}],
            markersize=4.5,
            linewidth=1.5,
            label=scorer_label(name),
        )
    for row in analysis.arms:
        if row.arm in ("greedy", "sample"):
            value = 100 * row.accuracy.estimate
            style = "-" if row.arm == "greedy" else (0, (1, 1.5))
            ax.axhline(value, color=INK, linewidth=1.2, linestyle=style, label=f"{row.arm} ({value:.1f} %)")
    n_axis(ax, analysis.pool_size)
    ax.set_ylabel("accuracy (%)")
    ax.set_title("Accuracy against n", loc="left")
    legend_below(figure)
