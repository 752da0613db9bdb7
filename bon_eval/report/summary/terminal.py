"""A summary for the terminal: a line for each run, and below it its draws."""

from __future__ import annotations

from collections.abc import Iterator

from bon_eval.report.formats.figures import scorer_label
from bon_eval.report.formats.text import sampled_with, wrapped
from bon_eval.report.summary.imported import lines as imported_lines
from bon_eval.report.summary.levels import lines as level_lines
from bon_eval.report.summary.rows import Summary, SummaryCell
from bon_eval.report.summary.texts import range_text


def lines(summary: Summary) -> Iterator[str]:
    """What the terminal shows of the runs, in their order."""
    for cell in summary.cells:
        lift = f"{cell.lift_points:+z.1f} points {range_text(cell.low, cell.high)}"
        best = f"best-of-{cell.n} by {scorer_label(cell.scorer)} {cell.accuracy:.3f}"
        yield f"{cell.row} on {cell.task}: {best}, greedy {cell.greedy:.3f}, {lift}"
        yield from _draws(cell)
    yield from wrapped(imported_lines(summary.imported))
    yield from wrapped(level_lines(summary.levels, len(summary.runs)))


def _draws(cell: SummaryCell) -> list[str]:
    return wrapped(
        f"  {draw.draw} ({sampled_with(draw)}): "
        + "; ".join(
            f"{arm.name} {arm.accuracy:.3f}, {arm.lift_points:+z.1f} points {range_text(arm.low, arm.high)}"
            for arm in draw.arms
        )
        for draw in cell.draws
    )
