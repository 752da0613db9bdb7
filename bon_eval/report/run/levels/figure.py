"""Likelihood and correctness at four levels, drawn: summed and per token, at any length and with length held fixed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bon_eval.analysis.levels.facts import Form, LevelRow, Levels
from bon_eval.draws import GREEDY
from bon_eval.report.formats.figures import BLUE, INK, VERMILLION, legend_below, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STYLES: tuple[tuple[Form, str, str, bool], ...] = (
    ("summed", "log-likelihood", BLUE, False),
    ("per_token", "per token", VERMILLION, False),
    ("summed_at_length", "log-likelihood, length held fixed", BLUE, True),
    ("per_token_at_length", "per token, length held fixed", VERMILLION, True),
)
_APART = 0.19


def has_figure(levels: Levels) -> bool:
    """Whether anything can be drawn."""
    return any(row.form(form) is not None for row in levels.rows for form, *_ in _STYLES)


def levels_figure(levels: Levels) -> Figure:
    """One axis for AUROCs, one for points; a line for each row. Use it within the settings."""
    kinds = [[row for row in levels.rows if row.statistic == kind and _drawn(row)] for kind in ("auroc", "points")]
    shown = [rows for rows in kinds if rows]
    figure, axes = new_figure(1, rows=len(shown))
    for ax, rows in zip(axes, shown, strict=True):
        _rows(ax, rows)
    figure.suptitle("Does likelihood predict correctness? (bars: 95 % interval)", x=0.01, ha="left", fontsize=10)
    legend_below(figure, 2, of=axes[0], handles=None)
    return figure


def _drawn(row: LevelRow) -> bool:
    return any(row.form(form) is not None for form, *_ in _STYLES)


def _rows(ax: Axes, rows: Sequence[LevelRow]) -> None:
    for k, (form, label, colour, hollow) in enumerate(_STYLES):
        found = [(place, interval) for place, row in enumerate(rows) if (interval := row.form(form)) is not None]
        ax.errorbar(
            [i.estimate for _, i in found],
            [place + _APART * (k - 1.5) for place, _ in found],
            xerr=[[i.estimate - i.low for _, i in found], [i.high - i.estimate for _, i in found]],
            color=colour,
            marker="s" if form.startswith("per_token") else "o",
            markersize=4.5,
            markerfacecolor="none" if hollow else colour,
            linestyle="none",
            capsize=2,
            label=label,
        )
    ax.axvline(rows[0].chance, color=INK, linewidth=1.0)
    ax.set_yticks(range(len(rows)), [_short(row) for row in rows])
    ax.set_ylim(len(rows) - 0.5, -0.5)
    auroc = rows[0].statistic == "auroc"
    ax.set_xlabel("AUROC (0.5 is chance)" if auroc else "points from the least to the most likely (0 is chance)")


def _short(row: LevelRow) -> str:
    names = {
        "methods": "methods",
        "settings": f"settings of\n{row.of.replace(' at ', chr(10))}",
        "pairs": f"pairs,\n{'greedy' if row.of == GREEDY else 'one sample'}",
        "responses": "responses\nto one prompt",
    }
    return names[row.level]
