"""The panels of a before-and-after comparison: both runs on the same axes, and everything under the base model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bon_eval.analysis.results import Analysis
from bon_eval.report.formats.curves import accuracy_line, chance_line, lift_line
from bon_eval.report.formats.figures import (
    BLUE,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    drawing,
    legend_below,
    n_axis,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Groups = Mapping[str, NDArray[np.float64]]
"""Label -> base log-likelihoods in nats."""

_SIDES = (("before", BLUE, "o", "-"), ("after", VERMILLION, "s", "--"))
_BINS = 40


def comparison_figures(before: Analysis, after: Analysis, groups: Groups) -> Iterator[tuple[str, Figure]]:
    """(file stem, figure): lift, accuracy, base log-likelihood.

    Args:
        before, after: analyses of the two runs with the same settings.
        groups: base log-likelihoods of what is compared; empty where the prompts differ.
    """
    with drawing():
        yield "compare_lift", _lift(before, after)
        yield "compare_accuracy", _accuracy(before, after)
        if groups:
            yield "compare_log_likelihood", _distributions(groups)


def _largest(before: Analysis, after: Analysis) -> int:
    return max(before.pool_size, after.pool_size)


def _lift(before: Analysis, after: Analysis) -> Figure:
    figure, [ax] = new_figure()
    ax.axhline(0.0, color=INK, linewidth=1.0)
    for (label, colour, marker, dash), analysis, side in zip(_SIDES, (before, after), (0.97, 1.03), strict=True):
        scorer = analysis.settings.primary_scorer
        lift_line(ax, analysis, scorer, (colour, marker, dash), side=side, label=label)
    n_axis(ax, _largest(before, after))
    ax.set_ylabel("lift over own greedy (percentage points)")
    ax.set_title("Best-of-n minus greedy (bars: 95 % interval)", loc="left")
    legend_below(figure, handles=None)
    return figure


def _accuracy(before: Analysis, after: Analysis) -> Figure:
    figure, [ax] = new_figure()
    for (label, colour, _, dash), analysis in zip(_SIDES, (before, after), strict=True):
        for name, marker, what in (
            (analysis.settings.primary_scorer, "o", "best-of-n"),
            ("vote", "^", "vote"),
            ("oracle", "x", "oracle"),
        ):
            accuracy_line(ax, analysis, name, (colour, marker, dash), width=1.3, label=f"{what}, {label}")
        greedy = 100 * analysis.arms[0].accuracy.estimate
        ax.axhline(
            greedy, color=colour, linewidth=1.0, linestyle=(0, (1, 1.5)), label=f"greedy, {label} ({greedy:.1f} %)"
        )
    chance_line(ax, before)
    n_axis(ax, _largest(before, after))
    ax.set_ylabel("accuracy (%)")
    ax.set_title("Accuracy before and after", loc="left")
    # One column for each run.
    legend_below(figure)
    return figure


def _distributions(groups: Groups) -> Figure:
    figure, [ax] = new_figure()
    everything = np.concatenate([values.ravel() for values in groups.values()])
    low, high = np.quantile(everything, [0.005, 1.0])
    edges = np.linspace(low, high if high > low else low + 1.0, _BINS + 1)
    for (label, values), (colour, dash) in zip(groups.items(), _STYLES, strict=False):
        shares = np.histogram(np.maximum(values.ravel(), low), edges)[0] / values.size
        ax.stairs(100 * shares, edges, color=colour, linestyle=dash, linewidth=1.5, label=label)
        ax.axvline(float(values.mean()), color=colour, linestyle=dash, linewidth=0.8, alpha=0.8)
    ax.set_xlabel("log-likelihood under the base model (nats per response)")
    ax.set_ylabel("share of responses (%)")
    ax.set_ylim(bottom=0.0)
    ax.set_title("Under the base model (thin lines: means)", loc="left")
    legend_below(figure)
    return figure


_STYLES = ((BLUE, "-"), (SKY, "--"), (PURPLE, ":"), (VERMILLION, "-"), (ORANGE, "--"))
