"""What tables, tiles and the terminal say of one run of a summary."""

from __future__ import annotations

import math

from bon_eval.errors import counted
from bon_eval.report.formats.figures import scorer_label
from bon_eval.report.summary.rows import SummaryCell

_MINUS = "\u2212"
_SIGNIFICANT = 0.05


def percent_text(cell: SummaryCell) -> str:
    mark = "*" if cell.p_summary is not None and cell.p_summary <= _SIGNIFICANT else ""
    if cell.lift_percent is None:
        return f"{signed(cell.lift_points)} points{mark}"
    return f"{signed(cell.lift_percent)} %{mark}"


def range_text(low: float | None, high: float | None) -> str:
    """An interval of a lift.

    >>> range_text(None, None), range_text(5.0, None), range_text(5.0, 10.0)
    ('(no interval)', '[+5.0, no bound]', '[+5.0, +10.0]')
    """
    if low is None:
        return "(no interval)"
    return f"[{signed(low)}, {'no bound' if high is None else signed(high)}]"


def how(cell: SummaryCell) -> str:
    """The scorer, and how the run's table differs from a finished run's of all problems."""
    parts = [scorer_label(cell.scorer)]
    parts += ["without truncated"] if cell.exclude_truncated else []
    parts += [f"{counted(cell.n_missing)} not finished"] if cell.n_missing else []
    return ", ".join(parts)


def settings_text(cell: SummaryCell) -> str:
    return f"n = {cell.n}, {how(cell)}"


def signed(value: float) -> str:
    """One decimal with a sign, and no sign where it rounds to 0."""
    rounded = round(value, 1)
    if rounded == 0.0:
        return "0.0"
    return f"{'+' if rounded > 0 else _MINUS}{math.fabs(rounded):.1f}"
