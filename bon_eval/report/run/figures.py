"""The panels of a run as figures: lift over greedy, accuracy against n, log-likelihoods by correctness, sharpening.

Colours are Okabe & Ito's (2008), which colour-blind readers can tell apart; lines differ in marker and dash too.
Figures are made without pyplot, so no global state is touched; the same analysis gives the same SVG byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bon_eval.analysis.results import Analysis, CurvePoint
from bon_eval.analysis.shapes import Histogram
from bon_eval.report.formats.figures import (
    BLUE,
    GREEN,
    GRID,
    INK,
    ORANGE,
    PURPLE,
    SETTINGS,
    SKY,
    VERMILLION,
    n_axis,
    new_figure,
    save_figure,
    scorer_label,
)
from bon_eval.report.run.reweighting_figure import sharpening
from bon_eval.store.files import cannot_write

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
)
MOST_SCORERS = 6
"""Lines of scorers in one figure, the first ones; the tables and CSV files hold all."""


def figures(analysis: Analysis) -> Iterator[tuple[str, Figure]]:
    """(file stem, figure) of the panels: three, and the sharpening curve where there is one."""
    import matplotlib

    panels = [("lift", _lift), ("accuracy", _accuracy), ("log_likelihood", _log_likelihood)]
    if analysis.replayed.reweighted:
        panels.append(("sharpening", sharpening))
    for name, draw in panels:
        with matplotlib.rc_context(SETTINGS):
            yield name, draw(analysis)


def write_figures(analysis: Analysis, directory: Path) -> list[Path]:
    """Write every panel as PNG (200 dots per inch, white) and SVG into a directory, made where it is missing.

    Raises:
        StoreError: a file cannot be written.
    """
    written: list[Path] = []
    try:
        directory.mkdir(exist_ok=True)
    except OSError as error:
        raise cannot_write(directory, error) from error
    for name, figure in figures(analysis):
        written += save_figure(figure, directory, name)
    return written


def _points(analysis: Analysis, scorer: str) -> list[CurvePoint]:
    return sorted((p for p in analysis.curves if p.scorer == scorer), key=lambda p: p.n)


def _lift_title(scorers: int) -> str:
    if scorers <= MOST_SCORERS:
        return "Best-of-n minus greedy, by scorer (bars: 95 % interval)"
    return f"Best-of-n minus greedy, {MOST_SCORERS} of {scorers} scorers (95 % bars)"


def _style(k: int) -> tuple[str, str, str]:
    return _LINES[k % len(_LINES)]


def _legend(figure: Figure, entries: int) -> None:
    figure.legend(loc="outside lower center", ncols=2 if entries > 3 else entries, fontsize=9, handlelength=2.6)


def _lift(analysis: Analysis) -> Figure:
    figure, [ax] = new_figure()
    shown = {1, *analysis.settings.ns}
    scorers = analysis.settings.scorers[:MOST_SCORERS]
    ax.axhline(0.0, color=INK, linewidth=1.0)
    for k, scorer in enumerate(scorers):
        colour, marker, dash = _style(k)
        points = _points(analysis, scorer)
        ax.plot(
            [p.n for p in points], [100 * p.difference for p in points], color=colour, linestyle=dash, linewidth=1.5
        )
        marked = [(p.n, p.lift) for p in points if p.n in shown and p.lift is not None]
        # Side by side, so that intervals at one n do not hide each other.
        side = 2 ** (0.09 * (k - (len(scorers) - 1) / 2))
        middle = [100 * t.difference for _, t in marked]
        ax.errorbar(
            [n * side for n, _ in marked],
            middle,
            yerr=[
                [m - 100 * t.low for m, (_, t) in zip(middle, marked, strict=True)],
                [100 * t.high - m for m, (_, t) in zip(middle, marked, strict=True)],
            ],
            color=colour,
            marker=marker,
            markersize=4.5,
            linestyle="none",
            elinewidth=1.1,
            capsize=2,
        )
        ax.plot([], [], color=colour, marker=marker, linestyle=dash, markersize=4.5, label=scorer_label(scorer))
    n_axis(ax, analysis.pool_size)
    ax.set_ylabel("lift over greedy (percentage points)")
    ax.set_title(_lift_title(len(analysis.settings.scorers)), loc="left")
    _legend(figure, len(scorers))
    return figure


def _accuracy(analysis: Analysis) -> Figure:
    figure, [ax] = new_figure()
    names = [*analysis.settings.scorers[:MOST_SCORERS], "vote", "oracle"]
    for k, name in enumerate(names):
        points = _points(analysis, name)
        colour, marker, dash = (GRID, "x", "-") if name == "oracle" else _style(k)
        values = [100 * p.accuracy for p in points]
        marks = [i for i, p in enumerate(points) if p.n in {1, *analysis.settings.ns}]
        ax.plot(
            [p.n for p in points],
            values,
            color=colour,
            linestyle=dash,
            marker=marker,
            markevery=marks,
            markersize=4.5,
            linewidth=1.5,
            label=scorer_label(name),
        )
    references = {"greedy": "-", "sample": (0, (1, 1.5))}
    for row in analysis.arms:
        if row.arm in references:
            value = 100 * row.accuracy.estimate
            ax.axhline(
                value, color=INK, linewidth=1.2, linestyle=references[row.arm], label=f"{row.arm} ({value:.1f} %)"
            )
    n_axis(ax, analysis.pool_size)
    ax.set_ylabel("accuracy (%)")
    ax.set_title("Accuracy of best-of-n, vote and oracle", loc="left")
    _legend(figure, len(names) + 2)
    return figure


def _log_likelihood(analysis: Analysis) -> Figure:
    figure, axes = new_figure(2)
    for ax, histogram in zip(axes, analysis.explanation.histograms, strict=True):
        _histogram(ax, histogram)
    axes[0].set_ylabel("share of pool responses (%)")
    figure.suptitle("Log-likelihood of correct and incorrect responses", x=0.01, ha="left", fontsize=10)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=9)
    return figure


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
