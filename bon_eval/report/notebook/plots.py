"""A run's figures as matplotlib axes: the report's own, drawn on figures that pyplot knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bon_eval.analysis.imported.either import AnyAnalysis
from bon_eval.report.stored.any_run import panel_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Plots:
    """The figures of one analysis. Each call draws a new one; `axes.figure` saves it.

    Of an imported run that lacks what a figure shows it raises `ConfigError`.
    """

    def __init__(self, analysis: AnyAnalysis) -> None:
        self._analysis = analysis

    def lift(self) -> Axes:
        """Best-of-n minus greedy in percentage points against n, by scorer, with 95 % intervals."""
        return self._axes("lift")[0]

    def accuracy(self) -> Axes:
        """Accuracy of best-of-n, vote and oracle against n."""
        return self._axes("accuracy")[0]

    def tokens(self) -> Axes:
        """Accuracy against generated tokens per problem, for every way to answer."""
        return self._axes("compute")[0]

    def log_likelihood(self) -> tuple[Axes, ...]:
        """Histograms of the pool's log-likelihoods by correctness: of whole responses, and per token where lengths are
        known."""
        return tuple(self._axes("log_likelihood"))

    def _axes(self, name: str) -> list[Axes]:
        axes: list[Axes] = panel_of(self._analysis, name).axes
        return axes
