"""The panels of what a training added: curves of both runs with their crossing, the solved sets, two entropies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bon_eval.analysis.two_runs.added import Added, CurvePoint
from bon_eval.analysis.two_runs.names import Names
from bon_eval.report.comparison.figures import run_styles
from bon_eval.report.formats.figures import GREEN, GRID, INK, VERMILLION, legend_below, n_axis
from bon_eval.report.formats.text import shortened
from bon_eval.stats import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NAME = 40
"""Characters of a run's name in a legend."""


def passing(found: Added, names: Names, figure: Figure, ax: Axes) -> None:
    """pass@k of both runs, and where the curves may cross."""
    ks = [float(point.k) for point in found.pass_at_k]
    _curves(ax, ks, found.pass_at_k, names)
    n_axis(ax, found.n)
    crossing = found.crossovers[found.leads()]
    ends = [end for end in (crossing.low, crossing.high) if not math.isnan(end)]
    if crossing.there and crossing.estimate > 1.0:
        ax.axvline(crossing.estimate, color=GRID, linewidth=1.0, linestyle=(0, (4, 2)))
    if ends and min(ends) < math.inf and crossing.low != crossing.high:
        low, high = (min(end, ax.get_xlim()[1]) for end in ends)
        ax.axvspan(low, high, color=GRID, alpha=0.15, linewidth=0.0, label="where they may cross (95 %)")
    ax.set_xlabel("k (samples of each run)")
    ax.set_ylabel("pass@k (% of problems)")
    ax.set_title("pass@k (bands: 95 % interval at each k)", loc="left")
    legend_below(figure, _columns(names))


def thresholds(found: Added, names: Names, figure: Figure, ax: Axes) -> None:
    """Shares of problems of which at least so many samples are correct."""
    taus = [point.k / found.n for point in found.thresholds]
    _curves(ax, taus, found.thresholds, names)
    ax.set_xlim(0.0, 1.02)
    ax.set_ylim(bottom=0.0)
    ax.set_xlabel(f"share of {found.n} samples that are correct, at least")
    ax.set_ylabel("problems (%)")
    ax.set_title("Coverage at a threshold (bands: 95 % interval)", loc="left")
    legend_below(figure, _columns(names))


def _curves(ax: Axes, at: Sequence[float], points: Sequence[CurvePoint], names: Names) -> None:
    for k, (name, (colour, marker, dash)) in enumerate(zip(names.sides, run_styles(2), strict=True)):
        values = [point.after if k else point.before for point in points]
        ax.fill_between(at, *_ends(values), color=colour, alpha=0.18, linewidth=0.0)
        ax.plot(
            at,
            [100 * value.estimate for value in values],
            color=colour,
            linestyle=dash,
            linewidth=1.5,
            marker=marker if len(at) < 3 else None,
            label=shortened(name, _NAME),
        )


def _ends(values: Sequence[Interval]) -> tuple[list[float], list[float]]:
    return [100 * value.low for value in values], [100 * value.high for value in values]


def solved(found: Added, names: Names, figure: Figure, ax: Axes) -> None:
    """Problems that both runs solve, one alone, or neither."""
    within, chance = found.solved, found.by_chance
    bars: list[tuple[str, Interval, str]] = [
        ("by both", within.kept, GREEN),
        (f"{shortened(names.places[0], 24)} alone", within.lost, run_styles(2)[0][0]),
        (f"{shortened(names.places[1], 24)} alone", within.gained, VERMILLION),
        ("by neither", within.neither, GRID),
    ]
    rows = list(range(len(bars)))[::-1]
    for row, (_, share, colour) in zip(rows, bars, strict=True):
        ax.barh(row, 100 * share.estimate, color=colour, alpha=0.75, height=0.6)
        ax.plot([100 * share.low, 100 * share.high], [row, row], color=INK, linewidth=1.2, marker="|")
    if chance is not None:
        for k, (row, own, by_chance) in enumerate(
            ((2, chance.lost, chance.lost_by_chance), (1, chance.gained, chance.gained_by_chance))
        ):
            first = k == 0
            ax.plot(
                [100 * own.estimate],
                [row - 0.4],
                color=INK,
                marker="o",
                markersize=4.5,
                linestyle="none",
                label=f"within {chance.n} samples" if first else None,
            )
            ax.plot(
                [100 * by_chance.estimate],
                [row - 0.4],
                color=INK,
                marker="x",
                markersize=5.0,
                linestyle="none",
                label=f"between two pools of {chance.n} of one run" if first else None,
            )
    ax.set_yticks(rows, [label for label, *_ in bars])
    ax.set_xlim(left=0.0)
    ax.set_xlabel("problems (%)")
    ax.set_title(f"Solved within {within.n} samples (lines: 95 % interval)", loc="left")
    if chance is not None:
        legend_below(figure, 1)


def entropies(found: Added, names: Names, figure: Figure, ax: Axes) -> None:
    """Entropy of answers against that of tokens; the runs must have that of tokens."""
    by_name = {change.name: change for change in found.quantities}
    tokens, answers = by_name["entropy_per_token"], by_name["answer_entropy"]
    sides = ((tokens.before, answers.before), (tokens.after, answers.after))
    for name, (x, y), (colour, marker, _) in zip(names.sides, sides, run_styles(2), strict=True):
        ax.errorbar(
            [x.estimate],
            [y.estimate],
            xerr=None if math.isnan(x.low) else [[x.estimate - x.low], [x.high - x.estimate]],
            yerr=None if math.isnan(y.low) else [[y.estimate - y.low], [y.high - y.estimate]],
            color=colour,
            marker=marker,
            linestyle="none",
            capsize=3,
            label=shortened(name, _NAME),
        )
    (x0, y0), (x1, y1) = ((x.estimate, y.estimate) for x, y in sides)
    ax.annotate("", (x1, y1), (x0, y0), arrowprops={"arrowstyle": "->", "color": GRID, "shrinkA": 8, "shrinkB": 8})
    ax.set_xlim(left=0.0)
    ax.set_ylim(bottom=0.0)
    ax.set_xlabel("entropy estimate of tokens (nats per token)")
    ax.set_ylabel(f"entropy of {found.n} answers (nats)")
    ax.set_title("Entropy of answers against that of tokens (bars: 95 %)", loc="left")
    legend_below(figure, _columns(names))


def _columns(names: Names) -> int:
    return 2 if max(map(len, names.sides)) <= 24 else 1
