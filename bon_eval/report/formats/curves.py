"""Lines over n: what an arm of one analysis is worth, drawn alike on every page that shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bon_eval.analysis.curves import CurvePoint
from bon_eval.analysis.imported.either import AnyAnalysis
from bon_eval.analysis.imported.findings import ImportedPoint
from bon_eval.analysis.results import Analysis
from bon_eval.report.formats.figures import GRID

if TYPE_CHECKING:
    from matplotlib.axes import Axes


Style = tuple[str, str, str]
"""Colour, marker and dash."""


def chance_line(ax: Axes, analysis: AnyAnalysis) -> None:
    """The accuracy of guesses in percent, where a guess is known to be right at times."""
    if known := analysis.facts.chance if isinstance(analysis, Analysis) else analysis.chance:
        chance = 100 * known
        label = f"chance ({chance:.1f} %)"
        ax.axhline(chance, color=GRID, linewidth=0.8, linestyle=(0, (5, 3)), label=label)


def lift_line(
    ax: Axes,
    analysis: Analysis,
    scorer: str,
    style: Style,
    *,
    side: float,
    label: str,
    bar_width: float | None = None,
) -> None:
    """Lift over greedy in points, with markers and 95 % bars at n = 1 and the n of the table.

    `side` moves the bars by a factor, so that intervals of several lines at one n do not hide each other.
    """
    colour, marker, dash = style
    points = _curve(analysis, scorer)
    ax.plot([p.n for p in points], [100 * p.difference for p in points], color=colour, linestyle=dash, linewidth=1.5)
    marked = [(p.n, p.lift) for p in points if p.n in {1, *analysis.settings.ns} and p.lift is not None]
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
        elinewidth=bar_width,
        capsize=2,
    )
    ax.plot([], [], color=colour, marker=marker, linestyle=dash, markersize=4.5, label=label)


def accuracy_line(ax: Axes, analysis: AnyAnalysis, name: str, style: Style, *, width: float, label: str) -> None:
    """Accuracy in percent, with markers at n = 1 and the n of the table; nothing of an arm that the run lacks."""
    colour, marker, dash = style
    found: list[CurvePoint | ImportedPoint] = [p for p in analysis.curves if p.scorer == name]
    points = sorted(found, key=lambda p: p.n)
    if not points:
        return
    ax.plot(
        [p.n for p in points],
        [100 * p.accuracy for p in points],
        color=colour,
        linestyle=dash,
        marker=marker,
        markevery=[i for i, p in enumerate(points) if p.n in {1, *analysis.settings.ns}],
        markersize=4.5,
        linewidth=width,
        label=label,
    )


def _curve(analysis: Analysis, name: str) -> list[CurvePoint]:
    return sorted((p for p in analysis.curves if p.scorer == name), key=lambda p: p.n)
