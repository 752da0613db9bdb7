"""Accuracy against generated tokens per problem: what every way to answer gives for what it costs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from bon_eval.analysis.compute import ComputeRow
from bon_eval.analysis.results import Analysis
from bon_eval.report.formats.curves import Style
from bon_eval.report.formats.figures import INK, legend_below, scorer_label
from bon_eval.scorers import get_scorer
from bon_eval.stats import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DRAWS = ("*", "h", "p", "8", "H", "d")
"""Markers of the draws: points, in ink."""
_DASHES = ("--", "-.", "-")
"""Lines of best-of-n of other draws, in ink."""
_ADAPTIVE = ("o", "D")
"""Markers of the stopping rules: hollow, in ink."""
_TICKS = (((1, 1.5, 2, 3, 4, 5, 6, 8), 1), ((1, 2, 5), 1), ((1, 3), 1), ((1,), 1), ((1,), 2), ((1,), 3))
"""Numbers within a decade, and every how manyth decade has them: the first that leave their labels apart are taken."""
_CHARACTER = 0.019
"""Width of a digit, as a share of the axis."""


@dataclass(frozen=True, slots=True)
class _Line:
    label: str
    style: Style
    """Without a dash: points."""
    rows: tuple[ComputeRow, ...]
    side: float = 1.0
    """Factor that moves markers and bars, so that intervals of several lines at one n do not hide each other."""
    hollow: bool = False
    start: ComputeRow | None = None
    """Where the line begins, without a marker."""


def compute(analysis: Analysis, styles: Sequence[Style], most_scorers: int, figure: Figure, ax: Axes) -> None:
    """Draw a point for each draw, a line for each scorer, vote and stopping rule. Use it within the settings.

    Args:
        analysis: of one run.
        styles: of scorers and the vote, in the order of the figure of accuracy against n.
        most_scorers: lines of scorers; blind ones are left out, which are one sample at n times the price.
        figure, ax: what it is drawn on.
    """
    # A log axis has no place for nothing.
    shown = [row for row in analysis.compute if row.tokens.estimate > 0]
    lines = [
        *_fixed(analysis, shown, styles, most_scorers),
        *_adaptive(shown),
        *_draws(shown),
        *_best_of_draws(shown, analysis.settings.primary_scorer),
    ]
    for line in lines:
        if line.rows:
            _draw(ax, line)
    _token_axis(ax, shown)
    ax.set_ylabel("accuracy (%)")
    ax.set_title("Best-of-n by scorer, vote and draws (bars: 95 % interval)", loc="left")
    legend_below(figure)


def compute_of_runs(analyses: Sequence[Analysis], labels: Sequence[str], styles: Sequence[Style], ax: Axes) -> None:
    """Draw best-of-n by the primary scorer and greedy of several runs. Use it within the settings.

    Args:
        analyses: of the runs.
        labels: what they are called.
        styles: one for each run.
        ax: what it is drawn on.
    """
    lines = []
    for k, (analysis, label, style) in enumerate(zip(analyses, labels, styles, strict=True)):
        rows = [row for row in analysis.compute if row.draw is None and row.tokens.estimate > 0]
        by_arm = {row.arm: (row,) for row in rows if row.arm in ("greedy", "sample")}
        best = tuple(row for row in rows if (row.arm, row.by) == ("best-of-n", analysis.settings.primary_scorer))
        [start] = by_arm.get("sample", (None,))
        side = 1.0 + 0.04 * (k - (len(labels) - 1) / 2)
        lines += [
            _Line(f"best-of-n, {label}", style, best, side=side, start=start),
            _Line(f"greedy, {label}", (style[0], "*", ""), by_arm.get("greedy", ()), side=side),
        ]
    for line in lines:
        if line.rows:
            _draw(ax, line)
    _token_axis(ax, [row for line in lines for row in (line.start, *line.rows) if row is not None])
    ax.set_ylabel("accuracy (%)")
    ax.set_title("Best-of-n and greedy (bars: 95 % interval)", loc="left")


def _fixed(
    analysis: Analysis, rows: Sequence[ComputeRow], styles: Sequence[Style], most_scorers: int
) -> Iterator[_Line]:
    """Best-of-n and the vote; best-of-n begins at one sample."""
    scorers = analysis.settings.scorers
    named = {name: k for k, name in enumerate(scorers[:most_scorers]) if not get_scorer(name).blind}
    kinds = [("best-of-n", name, k) for name, k in named.items()] + [("vote", None, min(len(scorers), most_scorers))]
    sample = next((row for row in rows if row.arm == "sample"), None)
    for place, (arm, by, k) in enumerate(kinds):
        yield _Line(
            "vote" if by is None else scorer_label(by),
            styles[k % len(styles)],
            tuple(row for row in rows if (row.draw, row.arm, row.by) == (None, arm, by)),
            side=2 ** (0.06 * (place - (len(kinds) - 1) / 2)),
            start=sample if arm == "best-of-n" else None,
        )


def _adaptive(rows: Sequence[ComputeRow]) -> Iterator[_Line]:
    found = [(row.by.partition(" ")[0], row) for row in rows if row.arm == "adaptive" and row.by]
    for rule, marker in zip(dict.fromkeys(rule for rule, _ in found), _ADAPTIVE, strict=False):
        members = sorted((row for of, row in found if of == rule), key=lambda row: row.tokens.estimate)
        yield _Line(f"adaptive, {rule}", (INK, marker, ":"), tuple(members), hollow=True)


def _draws(rows: Sequence[ComputeRow]) -> Iterator[_Line]:
    draws = [row for row in rows if _is_draw(row)]
    for k, row in enumerate(draws):
        yield _Line(row.name, (INK, _DRAWS[k % len(_DRAWS)], ""), (row,))


def _best_of_draws(rows: Sequence[ComputeRow], primary: str) -> Iterator[_Line]:
    """Best-of-n of the other draws, where they are few enough to be told apart."""
    names = dict.fromkeys(row.draw for row in rows if row.draw is not None)
    if len(names) > len(_DASHES):
        return
    for name, dash in zip(names, _DASHES, strict=False):
        own = [row for row in rows if row.draw == name]
        start = next(row for row in own if row.arm == "mean")
        members = tuple(row for row in own if (row.arm, row.by) == ("best-of-n", primary))
        if members:
            yield _Line(f"{name}, best-of-n", (INK, "s", dash), members, hollow=True, start=start)


def _is_draw(row: ComputeRow) -> bool:
    return row.arm in ("greedy", "sample", "mean")


def _draw(ax: Axes, line: _Line) -> None:
    colour, marker, dash = line.style
    face = "none" if line.hollow else colour
    size = 9.0 if marker == "*" else 5.0
    path = [row for row in (line.start, *line.rows) if row is not None]
    if dash:
        x, y = [row.tokens.estimate for row in path], [100 * row.accuracy.estimate for row in path]
        ax.plot(x, y, color=colour, linestyle=dash, linewidth=1.5)
    ax.errorbar(
        [line.side * row.tokens.estimate for row in line.rows],
        [100 * row.accuracy.estimate for row in line.rows],
        yerr=_ends([row.accuracy for row in line.rows], 100.0),
        xerr=None if dash else _ends([row.tokens for row in line.rows]),
        color=colour,
        marker=marker,
        markersize=size,
        markerfacecolor=face,
        linestyle="none",
        elinewidth=1.0,
        capsize=2,
    )
    ax.plot(
        [],
        [],
        color=colour,
        linestyle=dash or "none",
        marker=marker,
        markersize=size,
        markerfacecolor=face,
        label=line.label,
    )


def _ends(intervals: Sequence[Interval], scale: float = 1.0) -> list[list[float]]:
    """How far the ends lie from the estimates; NaN draws none."""
    return [[scale * (i.estimate - i.low) for i in intervals], [scale * (i.high - i.estimate) for i in intervals]]


def _token_axis(ax: Axes, rows: Sequence[ComputeRow]) -> None:
    """A log axis with round numbers around all arms, and the intervals of the draws."""
    tokens = [row.tokens.estimate for row in rows] or [1.0, 10.0]
    tokens += [end for row in rows if _is_draw(row) for end in (row.tokens.low, row.tokens.high) if end > 0]
    low, high = min(tokens) / 1.25, max(tokens) * 1.25
    exponents = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    for steps, every in _TICKS:
        numbers = [step * 10.0**e for e in exponents if e % every == 0 for step in steps]
        ticks = [number for number in numbers if low <= number <= high]
        labels = [f"{tick:,.0f}" if tick >= 10 else f"{tick:g}" for tick in ticks]
        # In decades, with a blank on both sides.
        width = _CHARACTER * (2 + max(map(len, labels), default=0)) * math.log10(high / low)
        if ticks and all(math.log10(right / left) > width for left, right in pairwise(ticks)):
            break
    ax.set_xscale("log")
    ax.set_xticks(ticks, labels)
    ax.minorticks_off()
    ax.set_xlim(low, high)
    ax.set_xlabel("tokens generated per problem (prompts not counted)")
