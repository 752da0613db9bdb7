"""The heat map of many runs: lift over greedy in percent by model and task, as HTML, PNG and CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bon_eval.errors import counted
from bon_eval.report.formats.csv_json import to_csv
from bon_eval.report.formats.html import render
from bon_eval.report.summary.draws import SummaryDraw, draws_csv
from bon_eval.report.summary.heat_map import BLUE, MIDDLE, VERMILLION, colour, colour_limit, ink, save_heat_map
from bon_eval.report.summary.imported import ImportedArmRow, imported_csv
from bon_eval.report.summary.levels import levels_csv
from bon_eval.report.summary.rows import Summary, SummaryCell
from bon_eval.report.summary.texts import how, percent_text, range_text, settings_text, signed
from bon_eval.store.files import write_atomic, write_text

_NONE = "–"
_KINDS = ("mean", "best-of-n", "vote")
"""Of the arms of a draw, in the order of the table's columns."""


def write_summary(summary: Summary, directory: Path) -> dict[str, Path]:
    """Write summary.html, summary.png and summary.csv into an existing directory, each whole or not at all.

    Without a run that has a lift over greedy there is neither heat map nor table of lifts. Where a run has other draws
    than greedy and the pool, also summary_draws.csv, where one says whether likelihood predicts correctness,
    summary_levels.csv, and of imported runs without a lift summary_imported.csv; else earlier ones are removed.

    Returns:
        File name -> path.

    Raises:
        StoreError: a file cannot be written; its older version is kept.
    """
    page = directory / "summary.html"
    write_text(page, summary_page(summary))
    written = {page.name: page}
    heat = directory / "summary.png"
    if summary.cells:
        write_atomic(heat, lambda temporary: save_heat_map(summary, temporary))
        written[heat.name] = heat
    else:
        heat.unlink(missing_ok=True)
    names = [{"model": run.model, "task": run.task, "run": run.run} for run in summary.runs]
    texts = {
        "summary.csv": summary_csv(summary) if summary.cells else "",
        "summary_draws.csv": draws_csv(zip(names, (cell.draws for cell in summary.cells), strict=False)),
        "summary_levels.csv": levels_csv(zip(names, (run.levels for run in summary.runs), strict=True), summary.levels),
        "summary_imported.csv": imported_csv(summary.imported),
    }
    for name, text in texts.items():
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
    limit = colour_limit(summary)
    values = {
        "title": "Best-of-n against greedy decoding",
        "same": ""
        if summary.settings_differ or not summary.cells
        else f" at n = {summary.cells[0].n} by {how(summary.cells[0])}",
        "runs": counted(len(summary.cells), "run"),
        "tasks": summary.tasks,
        "heat": [
            (row, [_tile(summary.at(row, task), limit, summary.settings_differ) for task in summary.tasks])
            for row in summary.rows
        ],
        "limit": f"{limit:g}",
        "gradient": [_css(c) for c in (VERMILLION, MIDDLE, BLUE)],
        "beyond": any(c.lift_percent is not None and abs(c.lift_percent) > limit for c in summary.cells),
        "rows": [_table_row(c) for c in summary.cells],
        "decided": counted(sum(c.p_summary is not None for c in summary.cells), "run"),
        "unfinished": any(c.n_missing for c in summary.cells),
        "looks": any(c.looks > 1 for c in summary.cells),
        "levels": summary.levels,
        "imported": [(run, [_imported_cells(arm) for arm in run.arms]) for run in summary.imported],
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
        text=percent_text(cell),
        settings=settings_text(cell) if settings_differ else "",
        sentence=_sentence(cell),
    )


def _table_row(cell: SummaryCell) -> _TableRow:
    return _TableRow(
        cell=cell,
        how=how(cell).split(", "),
        points=signed(cell.lift_points),
        range=range_text(cell.low, cell.high),
        percent=_NONE if cell.lift_percent is None else signed(cell.lift_percent),
        percent_range="" if cell.lift_percent is None else range_text(cell.percent_low, cell.percent_high),
        p=_NONE if cell.p_summary is None else "< 0.001" if cell.p_summary < 0.001 else f"{cell.p_summary:.3f}",
    )


def _arm_cell(draw: SummaryDraw, kind: str) -> tuple[str, str] | None:
    """Accuracy and lift with its interval of an arm; None where the draw does not have it."""
    arm = next((arm for arm in draw.arms if arm.arm == kind), None)
    return (
        None if arm is None else (f"{arm.accuracy:.3f}", f"{signed(arm.lift_points)} {range_text(arm.low, arm.high)}")
    )


def _imported_cells(arm: ImportedArmRow) -> tuple[str, ...]:
    """Name, accuracy, and points over one sample and over greedy, of an arm."""
    accuracy = "" if arm.accuracy_low is None else f" [{arm.accuracy_low:.3f}, {arm.accuracy_high:.3f}]"
    over = (
        _NONE if points is None else f"{signed(points[0])} {range_text(*points[1:])}"
        for points in (arm.over_sample, arm.over_greedy)
    )
    return (arm.name, f"{arm.accuracy:.3f}{accuracy}", *over)


def _sentence(cell: SummaryCell) -> str:
    if cell.lift_percent is None:
        percent = " Greedy’s accuracy is 0, so the lift has no percent."
    else:
        percent = (
            f" {signed(cell.lift_percent)} % {range_text(cell.percent_low, cell.percent_high)} of greedy’s accuracy."
        )
    return (
        f"{signed(cell.lift_points)} points {range_text(cell.low, cell.high)} over "
        f"{counted(cell.n_problems)}: greedy {cell.greedy:.3f}, best-of-{cell.n} {cell.accuracy:.3f}, "
        f"{how(cell)}; run {cell.run}.{percent}"
    )


def _css(rgb: tuple[int, int, int]) -> str:
    return "#" + "".join(f"{c:02x}" for c in rgb)
