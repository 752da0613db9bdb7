"""The heat map of many runs: lift over greedy in percent by model and task, as HTML, PNG and CSV.

Colours diverge from vermillion (best-of-n is worse) over the neutral middle to blue (better): Okabe & Ito's pair, told
apart under every kind of colour blindness. Every number is printed; colour only repeats it.
"""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bon_eval.errors import counted
from bon_eval.report.formats.csv_json import to_csv
from bon_eval.report.formats.figures import load_matplotlib, scorer_label
from bon_eval.report.formats.html import render
from bon_eval.report.summary.draws import SummaryDraw, draws_csv
from bon_eval.report.summary.levels import levels_csv
from bon_eval.report.summary.rows import Summary, SummaryCell
from bon_eval.store.files import write_atomic, write_text

_NONE = "–"
_MINUS = "\u2212"
_BLUE, _MIDDLE, _VERMILLION, _UNDEFINED = (0, 114, 178), (247, 247, 247), (213, 94, 0), (217, 217, 217)
_LIMITS = (5.0, 10.0, 20.0, 50.0, 100.0)
_SIGNIFICANT = 0.05
_KINDS = ("mean", "best-of-n", "vote")
"""Of the arms of a draw, in the order of the table's columns."""


def write_summary(summary: Summary, directory: Path) -> dict[str, Path]:
    """Write summary.html, summary.png and summary.csv into an existing directory, each whole or not at all.

    Where a run has other draws than greedy and the pool, also summary_draws.csv, and where one says whether likelihood
    predicts correctness, summary_levels.csv; else earlier ones are removed.

    Returns:
        File name -> path.

    Raises:
        StoreError: a file cannot be written; its older version is kept.
    """
    written = {name: directory / name for name in ("summary.html", "summary.png", "summary.csv")}
    write_text(written["summary.html"], summary_page(summary))
    write_atomic(written["summary.png"], lambda temporary: _save(summary, temporary))
    write_text(written["summary.csv"], summary_csv(summary))
    names = [{"model": cell.model, "task": cell.task, "run": cell.run} for cell in summary.cells]
    drawn = draws_csv(zip(names, (cell.draws for cell in summary.cells), strict=True))
    levels = levels_csv(zip(names, (cell.levels for cell in summary.cells), strict=True), summary.levels)
    for name, text in {"summary_draws.csv": drawn, "summary_levels.csv": levels}.items():
        if text:
            written[name] = directory / name
            write_text(written[name], text)
        else:
            (directory / name).unlink(missing_ok=True)
    return written


def summary_csv(summary: Summary) -> str:
    """One row for each run; shares are fractions of 1, lifts are in percent and in percentage points."""
    return to_csv(
        {
            "model": cell.model,
            "task": cell.task,
            "run": cell.run,
            "n": cell.n,
            "scorer": cell.scorer,
            "exclude_truncated": cell.exclude_truncated,
            "problems": cell.n_problems,
            "greedy_accuracy": cell.greedy,
            "accuracy": cell.accuracy,
            "lift_percent": cell.lift_percent,
            "lift_percent_low": cell.percent_low,
            "lift_percent_high": cell.percent_high,
            "lift_points": cell.lift_points,
            "lift_points_low": cell.low,
            "lift_points_high": cell.high,
            "problems_missing": cell.n_missing,
            "looks": cell.looks,
            "p_run": cell.p_run,
            "p_summary": cell.p_summary,
        }
        for cell in summary.cells
    )


def colour_limit(summary: Summary) -> float:
    """Lift in percent at which the colour is full: the least of 5, 10, 20, 50 and 100 that holds every run, else 100.

    Lifts beyond it keep their printed number and share the full colour.
    """
    largest = max((abs(cell.lift_percent) for cell in summary.cells if cell.lift_percent is not None), default=0.0)
    return next((limit for limit in _LIMITS if largest <= limit), _LIMITS[-1])


def colour(percent: float | None, limit: float) -> tuple[int, int, int]:
    """sRGB of a lift: linear between the neutral middle (0) and the full colour (`limit`); grey where undefined."""
    if percent is None:
        return _UNDEFINED
    depth = min(abs(percent) / limit, 1.0)
    end = _BLUE if percent > 0 else _VERMILLION
    red, green, blue = (round(m + depth * (e - m)) for m, e in zip(_MIDDLE, end, strict=True))
    return red, green, blue


def ink(background: tuple[int, int, int]) -> str:
    """Black or white, whichever has the higher contrast on a background (WCAG 2.2, relative luminance)."""
    red, green, blue = (c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in background)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return "#000000" if (luminance + 0.05) ** 2 > 0.05 * 1.05 else "#ffffff"


@dataclass(frozen=True, slots=True)
class _Tile:
    """One run in the heat map."""

    background: str
    ink: str
    text: str
    settings: str
    """Empty where all runs have the same."""
    sentence: str


@dataclass(frozen=True, slots=True)
class _TableRow:
    """One run in the table."""

    cell: SummaryCell
    how: Sequence[str]
    """Parts that stand on lines of their own."""
    points: str
    range: str
    percent: str
    percent_range: str
    p: str


def summary_page(summary: Summary) -> str:
    """summary.html: the heat map, a table of the same runs, and what the numbers are. It holds no script."""
    limit, cell = colour_limit(summary), summary.cells[0]
    values = {
        "title": "Best-of-n against greedy decoding",
        "same": "" if summary.settings_differ else f" at n = {cell.n} by {_how(cell)}",
        "runs": counted(len(summary.cells), "run"),
        "tasks": summary.tasks,
        "heat": [
            (row, [_tile(summary.at(row, task), limit, summary.settings_differ) for task in summary.tasks])
            for row in summary.rows
        ],
        "limit": f"{limit:g}",
        "gradient": [_css(c) for c in (_VERMILLION, _MIDDLE, _BLUE)],
        "beyond": any(c.lift_percent is not None and abs(c.lift_percent) > limit for c in summary.cells),
        "rows": [_table_row(c) for c in summary.cells],
        "decided": sum(c.p_summary is not None for c in summary.cells),
        "unfinished": any(c.n_missing for c in summary.cells),
        "looks": any(c.looks > 1 for c in summary.cells),
        "levels": summary.levels,
        "draws": [(c, draw, [_arm_cell(draw, kind) for kind in _KINDS]) for c in summary.cells for draw in c.draws],
    }
    return render("summary.html.jinja", values)


def _tile(cell: SummaryCell | None, limit: float, settings_differ: bool) -> _Tile | None:
    if cell is None:
        return None
    background = colour(cell.lift_percent, limit)
    return _Tile(
        background=_css(background),
        ink=ink(background),
        text=_percent(cell),
        settings=_settings(cell) if settings_differ else "",
        sentence=_sentence(cell),
    )


def _table_row(cell: SummaryCell) -> _TableRow:
    return _TableRow(
        cell=cell,
        how=_how(cell).split(", "),
        points=_signed(cell.lift_points),
        range=range_text(cell.low, cell.high),
        percent=_NONE if cell.lift_percent is None else _signed(cell.lift_percent),
        percent_range="" if cell.lift_percent is None else range_text(cell.percent_low, cell.percent_high),
        p=_NONE if cell.p_summary is None else "< 0.001" if cell.p_summary < 0.001 else f"{cell.p_summary:.3f}",
    )


def _arm_cell(draw: SummaryDraw, kind: str) -> tuple[str, str] | None:
    """Accuracy and lift with its interval of an arm; None where the draw does not have it."""
    arm = next((arm for arm in draw.arms if arm.arm == kind), None)
    return (
        None if arm is None else (f"{arm.accuracy:.3f}", f"{_signed(arm.lift_points)} {range_text(arm.low, arm.high)}")
    )


def _save(summary: Summary, path: Path) -> None:
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
                text = "no run" if cell is None else _percent(cell)
                if cell is not None and summary.settings_differ:
                    text += "\n" + textwrap.fill(_settings(cell), 20)
                tint = "#6b6b6b" if cell is None else ink(background)
                axes.text(k + 0.5, (top + bottom) / 2, text, ha="center", va="center", color=tint, fontsize=9)
        axes.set_xlim(0, len(tasks))
        axes.set_ylim(edges[-1], 0)
        axes.set_xticks([k + 0.5 for k in range(len(tasks))], [textwrap.fill(task, 16) for task in tasks])
        axes.set_yticks([(a + b) / 2 for a, b in itertools.pairwise(edges)], labels)
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        same = "" if summary.settings_differ else f"\nbest-of-{summary.cells[0].n} by {_how(summary.cells[0])}"
        axes.set_xlabel(f"lift over greedy, % of greedy’s accuracy (*: p ≤ 0.05, Holm over the runs){same}", fontsize=9)
        figure.savefig(path, format="png", dpi=200, facecolor="white")


def _percent(cell: SummaryCell) -> str:
    mark = "*" if cell.p_summary is not None and cell.p_summary <= _SIGNIFICANT else ""
    if cell.lift_percent is None:
        return f"{_signed(cell.lift_points)} points{mark}"
    return f"{_signed(cell.lift_percent)} %{mark}"


def _sentence(cell: SummaryCell) -> str:
    if cell.lift_percent is None:
        percent = " Greedy’s accuracy is 0, so the lift has no percent."
    else:
        percent = (
            f" {_signed(cell.lift_percent)} % {range_text(cell.percent_low, cell.percent_high)} of greedy’s accuracy."
        )
    return (
        f"{_signed(cell.lift_points)} points {range_text(cell.low, cell.high)} over "
        f"{counted(cell.n_problems)}: greedy {cell.greedy:.3f}, best-of-{cell.n} {cell.accuracy:.3f}, "
        f"{_how(cell)}; run {cell.run}.{percent}"
    )


def range_text(low: float | None, high: float | None) -> str:
    """An interval of a lift.

    >>> range_text(None, None), range_text(5.0, None), range_text(5.0, 10.0)
    ('(no interval)', '[+5.0, no bound]', '[+5.0, +10.0]')
    """
    if low is None:
        return "(no interval)"
    return f"[{_signed(low)}, {'no bound' if high is None else _signed(high)}]"


def _how(cell: SummaryCell) -> str:
    """The scorer, and how the run's table differs from a finished run's of all problems."""
    parts = [scorer_label(cell.scorer)]
    parts += ["without truncated"] if cell.exclude_truncated else []
    parts += [f"{counted(cell.n_missing)} not finished"] if cell.n_missing else []
    return ", ".join(parts)


def _settings(cell: SummaryCell) -> str:
    return f"n = {cell.n}, {_how(cell)}"


def _signed(value: float) -> str:
    """One decimal with a sign, and no sign where it rounds to 0."""
    rounded = round(value, 1)
    if rounded == 0.0:
        return "0.0"
    return f"{'+' if rounded > 0 else _MINUS}{math.fabs(rounded):.1f}"


def _css(rgb: tuple[int, int, int]) -> str:
    return "#" + "".join(f"{c:02x}" for c in rgb)
