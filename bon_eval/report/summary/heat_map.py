"""The heat map of many runs as a figure, and its colours, which the page shares.

Colours diverge from vermillion (best-of-n is worse) over the neutral middle to blue (better): Okabe & Ito's pair, told
apart under every kind of colour blindness. Every number is printed; colour only repeats it.
"""

from __future__ import annotations

import itertools
import textwrap
from pathlib import Path

from bon_eval.report.formats.figures import load_matplotlib
from bon_eval.report.summary.rows import Summary
from bon_eval.report.summary.texts import how, percent_text, settings_text

BLUE, MIDDLE, VERMILLION, UNDEFINED = (0, 114, 178), (247, 247, 247), (213, 94, 0), (217, 217, 217)
_LIMITS = (5.0, 10.0, 20.0, 50.0, 100.0)


def colour_limit(summary: Summary) -> float:
    """Lift in percent at which the colour is full: the least of 5, 10, 20, 50 and 100 that holds every run, else 100.

    Lifts beyond it keep their printed number and share the full colour.
    """
    largest = max((abs(cell.lift_percent) for cell in summary.cells if cell.lift_percent is not None), default=0.0)
    return next((limit for limit in _LIMITS if largest <= limit), _LIMITS[-1])


def colour(percent: float | None, limit: float) -> tuple[int, int, int]:
    """sRGB of a lift: linear between the neutral middle (0) and the full colour (`limit`); grey where undefined."""
    if percent is None:
        return UNDEFINED
    depth = min(abs(percent) / limit, 1.0)
    end = BLUE if percent > 0 else VERMILLION
    red, green, blue = (round(m + depth * (e - m)) for m, e in zip(MIDDLE, end, strict=True))
    return red, green, blue


def ink(background: tuple[int, int, int]) -> str:
    """Black or white, whichever has the higher contrast on a background (WCAG 2.2, relative luminance)."""
    red, green, blue = (c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in background)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return "#000000" if (luminance + 0.05) ** 2 > 0.05 * 1.05 else "#ffffff"


def save_heat_map(summary: Summary, path: Path) -> None:
    """Write it as PNG; of a summary with at least one cell."""
    matplotlib = load_matplotlib()
    limit, rows, tasks = colour_limit(summary), summary.rows, summary.tasks
    labels = [textwrap.fill(row, 34, break_on_hyphens=False) for row in rows]
    heights = [max(0.55, 0.2 * (label.count("\n") + 2)) for label in labels]
    with matplotlib.rc_context({"font.size": 10, "font.family": "DejaVu Sans", "text.parse_math": False}):
        figure = matplotlib.figure.Figure(figsize=(2.9 + 1.55 * len(tasks), 1.25 + sum(heights)), layout="constrained")
        axes = figure.subplots()
        edges = [0.0]
        for height in heights:
            edges.append(edges[-1] + height)
        for (top, bottom), row in zip(itertools.pairwise(edges), rows, strict=True):
            for k, task in enumerate(tasks):
                cell = summary.at(row, task)
                background = (255, 255, 255) if cell is None else colour(cell.lift_percent, limit)
                corners = [k, k + 1, k + 1, k], [top, top, bottom, bottom]
                axes.fill(*corners, facecolor=[c / 255 for c in background], edgecolor="white", linewidth=2)
                text = "no run" if cell is None else percent_text(cell)
                if cell is not None and summary.settings_differ:
                    text += "\n" + textwrap.fill(settings_text(cell), 20)
                tint = "#6b6b6b" if cell is None else ink(background)
                axes.text(k + 0.5, (top + bottom) / 2, text, ha="center", va="center", color=tint, fontsize=9)
        axes.set_xlim(0, len(tasks))
        axes.set_ylim(edges[-1], 0)
        axes.set_xticks([k + 0.5 for k in range(len(tasks))], [textwrap.fill(task, 16) for task in tasks])
        axes.set_yticks([(a + b) / 2 for a, b in itertools.pairwise(edges)], labels)
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        same = "" if summary.settings_differ else f"\nbest-of-{summary.cells[0].n} by {how(summary.cells[0])}"
        axes.set_xlabel(f"lift over greedy, % of greedy’s accuracy (*: p ≤ 0.05, Holm over the runs){same}", fontsize=9)
        figure.savefig(path, format="png", dpi=200, facecolor="white")
