"""The sharpening curve: accuracy and effective sample size of the pool reweighted to pi^alpha, against alpha."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bon_eval.analysis.results import Analysis
from bon_eval.estimators.reweighting import BELIEVABLE
from bon_eval.report.formats.figures import BLUE, INK, VERMILLION, legend_below, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TICKS = (1.0, 1.5, 2.0, 4.0, math.inf)


def sharpening(analysis: Analysis) -> Figure:
    """Two axes over 1 - 1/alpha; points that are not to be believed are hollow. Use it within the settings."""
    figure, [left, right] = new_figure(2)
    points = analysis.replayed.reweighted
    x = [1.0 - 1.0 / p.alpha for p in points]
    value = [100 * p.accuracy.estimate for p in points]
    left.fill_between(
        x, [100 * p.accuracy.low for p in points], [100 * p.accuracy.high for p in points], color=BLUE, alpha=0.18
    )
    left.plot(x, value, color=BLUE, linewidth=1.5)
    right.plot(x, [p.ess_median for p in points], color=BLUE, linewidth=1.5)
    right.fill_between(x, [p.ess_low for p in points], [p.ess_high for p in points], color=BLUE, alpha=0.18)
    for believable, face, label in (
        (True, BLUE, "reweighted pool"),
        (False, "none", f"effective sample size below {BELIEVABLE:g}: not to be believed"),
    ):
        chosen = [k for k, p in enumerate(points) if p.believable == believable]
        for ax, heights in ((left, value), (right, [p.ess_median for p in points])):
            ax.plot(
                [x[k] for k in chosen],
                [heights[k] for k in chosen],
                linestyle="none",
                marker="o",
                markersize=5,
                color=BLUE,
                markerfacecolor=face,
                label=label if ax is left and chosen else None,
            )
    greedy = 100 * analysis.arms[0].accuracy.estimate
    left.axhline(greedy, color=INK, linewidth=1.2, label=f"greedy ({greedy:.1f} %)")
    right.axhline(BELIEVABLE, color=VERMILLION, linewidth=1.2, linestyle="--")
    for ax in (left, right):
        _alpha_axis(ax)
    left.set_ylabel("accuracy (%)")
    right.set_ylabel(f"effective sample size (of {analysis.pool_size})")
    right.set_ylim(bottom=0.0)
    figure.suptitle("Sharpening: pool reweighted to the power α", x=0.01, ha="left", fontsize=10)
    legend_below(figure, 1, of=left, handles=None)
    return figure


def _alpha_axis(ax: Axes) -> None:
    ax.set_xticks([1.0 - 1.0 / a for a in _TICKS], ["∞" if math.isinf(a) else f"{a:g}" for a in _TICKS])
    ax.set_xlabel("power α")
