"""Panels of a comparison: all runs on the same axes, and of two everything under the first one's model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bon_eval.analysis.imported.either import AnyAnalysis
from bon_eval.analysis.results import Analysis
from bon_eval.analysis.two_runs.names import STORY, Names
from bon_eval.report.formats.curves import accuracy_line, chance_line, lift_line
from bon_eval.report.formats.figures import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    legend_below,
    n_axis,
)
from bon_eval.report.formats.text import shortened
from bon_eval.report.run.compute_figure import compute_of_runs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Groups = Mapping[str, NDArray[np.float64]]
"""Label -> base log-likelihoods in nats."""

_STYLES_OF_RUNS = (
    (BLUE, "o", "-"),
    (VERMILLION, "s", "--"),
    (GREEN, "^", "-."),
    (PURPLE, "D", ":"),
    (ORANGE, "v", "-"),
    (SKY, "P", "--"),
)
"""Colour, marker and dash; from the seventh run on they come again."""
_BINS = 40
_SHORT_NAME = 16
"""Characters of a run's name that leave room for two columns in a legend."""


def run_styles(count: int) -> list[tuple[str, str, str]]:
    """Colour, marker and dash of so many runs."""
    return [_STYLES_OF_RUNS[k % len(_STYLES_OF_RUNS)] for k in range(count)]


def lift(analyses: Sequence[Analysis], names: Sequence[str], figure: Figure, ax: Axes) -> None:
    """Best-of-n minus greedy over n, a line for each run."""
    ax.axhline(0.0, color=INK, linewidth=1.0)
    for k, (label, style, analysis) in enumerate(zip(names, run_styles(len(names)), analyses, strict=True)):
        side = 1.0 + 0.06 * (k - (len(names) - 1) / 2.0)
        lift_line(ax, analysis, analysis.settings.primary_scorer, style, side=side, label=shortened(label, 48))
    n_axis(ax, max(analysis.pool_size for analysis in analyses))
    ax.set_ylabel("lift over own greedy (percentage points)")
    ax.set_title("Best-of-n minus greedy (bars: 95 % interval)", loc="left")
    legend_below(figure, 2 if max(map(len, names)) <= 2 * _SHORT_NAME else 1, handles=None)


def accuracy(analyses: Sequence[AnyAnalysis], names: Sequence[str], figure: Figure, ax: Axes) -> None:
    """Accuracy of best-of-n, vote and oracle over n, with greedy's, a colour for each run."""
    for label, (colour, _, dash), analysis in zip(names, run_styles(len(names)), analyses, strict=True):
        for name, marker, what in (
            (analysis.settings.primary_scorer, "o", "best-of-n"),
            ("vote", "^", "vote"),
            ("oracle", "x", "oracle"),
        ):
            accuracy_line(ax, analysis, name, (colour, marker, dash), width=1.3, label=f"{what}, {label}")
        if (greedy := _greedy(analysis)) is not None:
            ax.axhline(
                greedy, color=colour, linewidth=1.0, linestyle=(0, (1, 1.5)), label=f"greedy, {label} ({greedy:.1f} %)"
            )
    short = len(names) == 2 and max(map(len, names)) <= _SHORT_NAME
    if not short:
        _label_apart(ax, analyses, names)
    chance_line(ax, analyses[0])
    n_axis(ax, max(analysis.pool_size for analysis in analyses))
    ax.set_ylabel("accuracy (%)")
    ax.set_title("Accuracy before and after" if tuple(names) == STORY else "Accuracy", loc="left")
    # One column for each of two runs.
    legend_below(figure, 2 if max(map(len, names)) <= _SHORT_NAME else 1)


def _greedy(analysis: AnyAnalysis) -> float | None:
    """Accuracy of greedy decoding in percent; None where there are no greedy responses."""
    arm = analysis.arms[0]
    return 100 * arm.accuracy.estimate if arm.arm == "greedy" else None


def _label_apart(ax: Axes, analyses: Sequence[AnyAnalysis], names: Sequence[str]) -> None:
    """Runs by their colours and arms by their markers, where a line in the legend for each of both has no room."""
    for line in ax.get_lines():
        line.set_label("_")
    for name, (colour, _, dash), analysis in zip(names, run_styles(len(names)), analyses, strict=True):
        greedy = _greedy(analysis)
        words = f"{shortened(name, 2 * _SHORT_NAME)}" + ("" if greedy is None else f" (greedy {greedy:.1f} %)")
        ax.plot([], [], color=colour, linestyle=dash, label=words)
    for marker, what in (("o", "best-of-n"), ("^", "vote"), ("x", "oracle")):
        ax.plot([], [], color=INK, marker=marker, linestyle="none", markersize=4.5, label=what)
    ax.plot([], [], color=INK, linewidth=1.0, linestyle=(0, (1, 1.5)), label="greedy")


def tokens(analyses: Sequence[Analysis], names: Sequence[str], figure: Figure, ax: Axes) -> None:
    """Accuracy of greedy and of best-of-n against generated tokens per problem, a colour for each run."""
    labels = [shortened(name, 2 * _SHORT_NAME) for name in names]
    compute_of_runs(analyses, labels, run_styles(len(names)), ax)
    legend_below(figure, 2 if max(map(len, names)) <= _SHORT_NAME else 1)


def distributions(groups: Groups, names: Names, figure: Figure, ax: Axes) -> None:
    """Histograms of log-likelihoods under the first model, of what is compared."""
    everything = np.concatenate([values.ravel() for values in groups.values()])
    low, high = np.quantile(everything, [0.005, 1.0])
    edges = np.linspace(low, high if high > low else low + 1.0, _BINS + 1)
    for (label, values), (colour, dash) in zip(groups.items(), _STYLES, strict=False):
        shares = np.histogram(np.maximum(values.ravel(), low), edges)[0] / values.size
        ax.stairs(100 * shares, edges, color=colour, linestyle=dash, linewidth=1.5, label=label)
        ax.axvline(float(values.mean()), color=colour, linestyle=dash, linewidth=0.8, alpha=0.8)
    ax.set_xlabel(f"log-likelihood under {names.models[0]} (nats per response)")
    ax.set_ylabel("share of responses (%)")
    ax.set_ylim(bottom=0.0)
    ax.set_title(f"Under {names.models[0]} (thin lines: means)", loc="left")
    legend_below(figure)


_STYLES = ((BLUE, "-"), (SKY, "--"), (PURPLE, ":"), (VERMILLION, "-"), (ORANGE, "--"))
