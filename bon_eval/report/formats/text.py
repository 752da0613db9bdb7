"""What the terminal's reports share: tables of plain text."""

from __future__ import annotations

import math
from collections.abc import Sequence


def text_table(rows: Sequence[Sequence[str]], *, left: int | None = None) -> list[str]:
    """Lines of a table: the headings (the first row), a rule, the other rows.

    Args:
        rows: cells, as many in each row.
        left: so many columns are aligned left, the others right; None: all are.

    >>> text_table([("arm", "tokens"), ("greedy", "8.0")], left=1)
    ['arm     tokens', '--------------', 'greedy     8.0']
    """
    columns = len(rows[0])
    left = columns if left is None else left
    widths = [max(len(row[k]) for row in rows) for k in range(columns)]
    if left == columns:
        widths[-1] = 0  # no blanks at the ends of lines
    lines = [
        "  ".join(
            cell.ljust(width) if k < left else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]


def ends(low: float, high: float, form: str, scale: float = 1.0, *, marked: bool = False) -> str:
    """The ends of an interval with a blank before them; nothing where there is none, a dagger where it is marked.

    >>> ends(0.1, 0.25, "+.0f", 100.0), ends(math.nan, math.nan, ".2f")
    (' [+10, +25]', '')
    """
    if math.isnan(low) or math.isnan(high):
        return ""
    return f" [{scale * low:{form}}, {scale * high:{form}}]" + ("†" if marked else "")
