"""A grid of draws: what changes with the one parameter in which they differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bon_eval.analysis.draws.facts import DrawArm, DrawFacts
from bon_eval.report.formats.figures import BLUE, GREEN, INK, VERMILLION, legend_below, new_figure
from bon_eval.stats import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PARAMETERS = ("temperature", "top_p", "top_k", "min_p")
_TICKS = 9
"""Values that are named, at most about."""
_APART = 0.012
"""Between the bars of one value, as a share of the axis."""
_LINES = {
    "mean": ("one response", INK, "o", "-"),
    "best-of-n": ("best-of-{n}", BLUE, "s", "-"),
    "vote": ("vote-of-{n}", GREEN, "^", "--"),
}


@dataclass(frozen=True, slots=True)
class Grid:
    """Draws of one grid that differ in one parameter, by its value."""

    name: str
    parameter: str
    draws: tuple[DrawFacts, ...]


def grids(draws: Iterable[DrawFacts]) -> tuple[Grid, ...]:
    """The grids among the draws: ``name@value``, two or more, of which one parameter has several values."""
    found = []
    named: dict[str, list[DrawFacts]] = {}
    for draw in draws:
        name, at, _ = draw.draw.partition("@")
        if at:
            named.setdefault(name, []).append(draw)
    for name, own in named.items():
        varied = [p for p in _PARAMETERS if len({getattr(draw, p) for draw in own}) > 1]
        if len(varied) == 1:
            parameter = varied[0]
            found.append(Grid(name, parameter, tuple(sorted(own, key=lambda draw: float(getattr(draw, parameter))))))
    return tuple(found)


def grid_figure(grid: Grid, primary: str) -> Figure:
    """Accuracy, raw log-likelihood, answer entropy and duplicates against the parameter. Use it within the settings."""
    figure, axes = new_figure(2, rows=2)
    x = [float(getattr(draw, grid.parameter)) for draw in grid.draws]
    _accuracy(axes[0], grid, x, primary)
    means = [draw.arms[0].log_likelihood for draw in grid.draws]
    _bars(axes[1], x, [mean for mean in means if mean is not None], 1.0, VERMILLION, "D", "-", None)
    axes[1].set_ylabel("log-likelihood (nats)")
    axes[2].plot(x, [draw.answer_entropy for draw in grid.draws], color=BLUE, marker="o")
    axes[2].set_ylabel("answer entropy (nats)")
    axes[2].set_ylim(bottom=0.0)
    shares = [(value, draw.duplicate_share) for value, draw in zip(x, grid.draws, strict=True)]
    known = [(value, 100 * share) for value, share in shares if share is not None]
    axes[3].plot([value for value, _ in known], [share for _, share in known], color=GREEN, marker="^")
    axes[3].set_ylabel("duplicates (%)")
    axes[3].set_ylim(bottom=0.0)
    ticks = x[:: 1 + len(x) // _TICKS]
    for ax in axes:
        ax.set_xticks(ticks, [f"{value:g}" for value in ticks])
    for ax in axes[2:]:
        ax.set_xlabel(grid.parameter)
    legend_below(figure, 3, of=axes[0])
    figure.suptitle(f"Draw {grid.name} by {grid.parameter} (bars: 95 % interval)", x=0.01, ha="left", fontsize=10)
    return figure


def _accuracy(ax: Axes, grid: Grid, x: Sequence[float], primary: str) -> None:
    sizes = {draw.n for draw in grid.draws}
    size = sizes.pop() if len(sizes) == 1 else "n"
    step = _APART * (max(x) - min(x))
    for k, (kind, (label, colour, marker, dash)) in enumerate(_LINES.items()):
        found = [(value, arm) for value, draw in zip(x, grid.draws, strict=True) if (arm := _arm(draw, kind, primary))]
        if found:
            places, intervals = [value + (k - 1) * step for value, _ in found], [arm.accuracy for _, arm in found]
            _bars(ax, places, intervals, 100.0, colour, marker, dash, label.format(n=size))
    ax.set_ylabel("accuracy (%)")


def _arm(draw: DrawFacts, kind: str, primary: str) -> DrawArm | None:
    """The draw's mean, its best-of-n by the primary scorer at its n, or its majority vote."""
    for arm in reversed(draw.arms):
        if arm.arm == kind and arm.scorer == (primary if kind == "best-of-n" else None):
            return arm
    return None


def _bars(
    ax: Axes,
    x: Sequence[float],
    intervals: Sequence[Interval],
    scale: float,
    colour: str,
    marker: str,
    dash: str,
    label: str | None,
) -> None:
    ax.errorbar(
        list(x),
        [scale * i.estimate for i in intervals],
        yerr=[[scale * (i.estimate - i.low) for i in intervals], [scale * (i.high - i.estimate) for i in intervals]],
        color=colour,
        marker=marker,
        linestyle=dash,
        linewidth=1.5,
        markersize=5,
        capsize=2,
        label=label,
    )
