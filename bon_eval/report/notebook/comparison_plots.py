"""A comparison's figures as matplotlib axes: those of its page, drawn on figures that pyplot knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bon_eval.report.comparison.any_runs import Compared

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class ComparisonPlots:
    """The figures of one comparison. Each call draws a new one; `axes.figure` saves it.

    What the comparison lacks for a figure raises `ConfigError`, which says what it is.
    """

    def __init__(self, compared: Compared) -> None:
        self._compared = compared

    def lift(self) -> Axes:
        """Best-of-n minus greedy in percentage points against n, a line for each run, with 95 % intervals."""
        return self._axes("lift")

    def accuracy(self) -> Axes:
        """Accuracy of best-of-n, vote and oracle against n, a colour for each run."""
        return self._axes("accuracy")

    def tokens(self) -> Axes:
        """Accuracy of greedy and best-of-n against generated tokens per problem, a colour for each run."""
        return self._axes("tokens")

    def log_likelihood(self) -> Axes:
        """Histograms of log-likelihoods under the first of two models, which were scored by each other."""
        return self._axes("log_likelihood")

    def pass_at_k(self) -> Axes:
        """pass@k of two runs against k, and where the curves may cross."""
        return self._axes("pass_at_k")

    def thresholds(self) -> Axes:
        """The share of problems of which at least so many samples are correct, of two runs."""
        return self._axes("thresholds")

    def solved(self) -> Axes:
        """The share of problems that both, one or none of two runs solve."""
        return self._axes("solved")

    def entropies(self) -> Axes:
        """Entropy of answers against that of tokens, of two runs."""
        return self._axes("entropies")

    def _axes(self, name: str) -> Axes:
        from bon_eval.report.comparison.panels import draw_panel

        [axes] = draw_panel(self._compared.shown, name, pyplot=True).axes
        return axes
