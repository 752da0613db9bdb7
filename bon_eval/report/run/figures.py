"""The panels of a run as figures: lift, accuracy against tokens and n, log-likelihoods, sharpening, levels.

Colours are Okabe & Ito's (2008), which colour-blind readers can tell apart; lines differ in marker and dash too.
Figures are made without pyplot, so no global state is touched; the same analysis gives the same SVG byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bon_eval.analysis.results import Analysis
from bon_eval.analysis.shapes import Histogram
from bon_eval.report.formats.curves import accuracy_line, chance_line, lift_line
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
    save_figure,
    scorer_label,
)
from bon_eval.report.run.compute_figure import compute
from bon_eval.report.run.grid_figure import grid_figure, grids
from bon_eval.report.run.levels.figure import has_figure, levels_figure
from bon_eval.report.run.reweighting_figure import sharpening
from bon_eval.store.files import make_directory

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINES = (
    (BLUE, "o", "-"),
    (VERMILLION, "s", "-"),
    (GREEN, "^", "--"),
    (PURPLE, "D", ":"),
    (ORANGE, "v", "-."),
    (SKY, "P", "--"),
    (BLUE, "X", ":"),
)
MOST_SCORERS = 6
"""Lines of scorers in one figure, the first ones; the tables and CSV files hold all. One style more is the vote's."""


def figures(analysis: Analysis) -> Iterator[tuple[str, Figure]]:
    """(file stem, figure) of the panels: four, sharpening and levels where there are any, and one for each grid."""
    for name in PANELS:
        yield name, draw_panel(analysis, name)
    if analysis.replayed.reweighted:
        with drawing():
            yield "sharpening", sharpening(analysis)
    if has_figure(analysis.levels):
        with drawing():
            yield "levels", levels_figure(analysis.levels)
    for grid in grids(analysis.draws):
        with drawing():
            yield f"draw_{grid.name}", grid_figure(grid, analysis.settings.primary_scorer)


def draw_panel(analysis: Analysis, name: str, *, pyplot: bool = False) -> Figure:
    """One of the `PANELS`; `pyplot`: as a figure of pyplot, which a notebook shows."""
    columns, draw = PANELS[name]
    with drawing():
        figure, axes = new_figure(columns, pyplot=pyplot)
        draw(analysis, figure, axes)
    return figure


def write_figures(analysis: Analysis, directory: Path, drawn: Iterable[tuple[str, Figure]] | None = None) -> list[Path]:
    """Write every panel as PNG (200 dots per inch, white) and SVG into a directory, made where it is missing.

    Figures of grids that the analysis does not have, left by an earlier report, are removed.

    `drawn` is what `figures` gave, where a page has drawn them already.

    Raises:
        StoreError: a file cannot be written.
    """
    written: list[Path] = []
    make_directory(directory)
    for name, figure in figures(analysis) if drawn is None else drawn:
        written += save_figure(figure, directory, name)
    for older in {*directory.glob("draw_*.png"), *directory.glob("draw_*.svg")} - set(written):
        older.unlink(missing_ok=True)
    return written


def _lift_title(scorers: int) -> str:
    if scorers <= MOST_SCORERS:
        return "Best-of-n minus greedy, by scorer (bars: 95 % interval)"
    return f"Best-of-n minus greedy, {MOST_SCORERS} of {scorers} scorers (95 % bars)"


def _style(k: int) -> tuple[str, str, str]:
    return _LINES[k % len(_LINES)]


def _lift(analysis: Analysis, figure: Figure, axes: list[Axes]) -> None:
    [ax] = axes
    scorers = analysis.settings.scorers[:MOST_SCORERS]
    ax.axhline(0.0, color=INK, linewidth=1.0)
    for k, scorer in enumerate(scorers):
        side = 2 ** (0.09 * (k - (len(scorers) - 1) / 2))
        lift_line(ax, analysis, scorer, _style(k), side=side, label=scorer_label(scorer), bar_width=1.1)
    n_axis(ax, analysis.pool_size)
    ax.set_ylabel("lift over greedy (percentage points)")
    ax.set_title(_lift_title(len(analysis.settings.scorers)), loc="left")
    legend_below(figure, len(scorers) if len(scorers) <= 3 else 2)


def _accuracy(analysis: Analysis, figure: Figure, axes: list[Axes]) -> None:
    [ax] = axes
    names = [*analysis.settings.scorers[:MOST_SCORERS], "vote", "oracle"]
    for k, name in enumerate(names):
        style = (GRID, "x", "-") if name == "oracle" else _style(k)
        accuracy_line(ax, analysis, name, style, width=1.5, label=scorer_label(name))
    references = {"greedy": "-", "sample": (0, (1, 1.5))}
    for row in analysis.arms:
        if row.arm in references:
            value = 100 * row.accuracy.estimate
            ax.axhline(
                value, color=INK, linewidth=1.2, linestyle=references[row.arm], label=f"{row.arm} ({value:.1f} %)"
            )
    chance_line(ax, analysis)
    n_axis(ax, analysis.pool_size)
    ax.set_ylabel("accuracy (%)")
    ax.set_title("Accuracy of best-of-n, vote and oracle", loc="left")
    legend_below(figure)


def _compute(analysis: Analysis, figure: Figure, axes: list[Axes]) -> None:
    compute(analysis, _LINES, MOST_SCORERS, figure, axes[0])


def _log_likelihood(analysis: Analysis, figure: Figure, axes: list[Axes]) -> None:
    histograms(analysis.explanation.histograms, figure, axes)


def histograms(found: Sequence[Histogram], figure: Figure, axes: list[Axes]) -> None:
    """Log-likelihoods of correct and incorrect responses side by side, raw and per token where both are there."""
    for ax, histogram in zip(axes, found, strict=True):
        _histogram(ax, histogram)
    axes[0].set_ylabel("share of pool responses (%)")
    figure.suptitle("Log-likelihood of correct and incorrect responses", x=0.01, ha="left", fontsize=10)
    legend_below(figure, of=axes[0], handles=None)


def _histogram(ax: Axes, histogram: Histogram) -> None:
    edges = list(histogram.edges)
    if len(edges) > 3:
        # The outer bins hold the extremes; drawn as wide as the others, they keep the middle readable.
        width = edges[2] - edges[1]
        edges[0], edges[-1] = max(edges[0], edges[1] - width), min(edges[-1], edges[-2] + width)
    total = sum(histogram.correct) + sum(histogram.incorrect)
    for counts, colour, dash, label in (
        (histogram.incorrect, VERMILLION, "--", "incorrect or unscored"),
        (histogram.correct, BLUE, "-", "correct"),
    ):
        shares = [100 * c / total for c in counts]
        ax.stairs(shares, edges, color=colour, fill=True, alpha=0.25)
        ax.stairs(shares, edges, color=colour, linestyle=dash, linewidth=1.4, label=label)
    raw = histogram.quantity == "log_likelihood"
    ax.set_xlabel("nats per response" if raw else "nats per token")
    ax.set_ylim(bottom=0.0)


PANELS: Mapping[str, tuple[int, Callable[[Analysis, Figure, list[Axes]], None]]] = {
    "compute": (1, _compute),
    "lift": (1, _lift),
    "accuracy": (1, _accuracy),
    "log_likelihood": (2, _log_likelihood),
}
"""What every run has, by file stem: the number of axes side by side, and what draws on them."""
