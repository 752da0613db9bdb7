"""What the terminal's reports and the pages share in words: tables of plain text, notes, a model's name."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from bon_eval.errors import counted

WIDTH = 100
"""Columns of the terminal that a report takes at most."""


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

    >>> ends(0.1, 0.25, "+z.0f", 100.0), ends(math.nan, math.nan, ".2f"), ends(-2.0, math.inf, ".0f")
    (' [+10, +25]', '', ' [-2, no bound]')
    """
    if math.isnan(low) or math.isnan(high):
        return ""
    first, last = (f"{scale * end:{form}}" if math.isfinite(end) else "no bound" for end in (low, high))
    return f" [{first}, {last}]" + ("†" if marked else "")


def wrapped(notes: Iterable[str]) -> list[str]:
    """Lines of notes, each of them indented from its second line on."""
    return [
        line for note in notes for line in textwrap.wrap(note, WIDTH, subsequent_indent="  ", break_on_hyphens=False)
    ]


def model_name(config: Mapping[str, object], joint: str = " + ") -> str:
    """Model and adapter of a run's configuration.

    >>> model_name({"model": "m", "adapter": "a"}, " + adapter "), model_name({"model": "m"})
    ('m + adapter a', 'm')
    """
    return f"{config['model']}" + (f"{joint}{config['adapter']}" if config.get("adapter") else "")


class Sampled(Protocol):
    """What shapes the distribution of a draw."""

    @property
    def temperature(self) -> float: ...
    @property
    def top_p(self) -> float: ...
    @property
    def top_k(self) -> float: ...
    @property
    def min_p(self) -> float: ...


def sampled_with(draw: Sampled) -> str:
    """The parameters of a draw that are on, its temperature first.

    >>> from bon_eval.draws import DrawSpec
    >>> sampled_with(DrawSpec("nucleus", 8, top_p=0.95))
    'temperature 1, top_p 0.95'
    """
    cut = (("top_p", draw.top_p, 1.0), ("top_k", draw.top_k, 0), ("min_p", draw.min_p, 0.0))
    return ", ".join([f"temperature {draw.temperature:g}", *(f"{name} {v:g}" for name, v, off in cut if v != off)])


def shortened(name: str, width: int) -> str:
    """A draw's name with its middle left out where it would make a table too wide; a note has all of it.

    >>> shortened("nucleus", 19), shortened("a-long-name-of-a-grid@0.25@0.95", 19)
    ('nucleus', 'a-long-n…@0.25@0.95')
    """
    head = width * 8 // 19
    return name if len(name) <= width else f"{name[:head]}…{name[head - width + 1 :]}"


def clusters_text(n_clusters: int, column: str | None) -> str:
    """A sentence on what is resampled in place of problems.

    >>> clusters_text(20, "source")
    'Resampled are 20 clusters of problems with one source.'
    """
    be = "is" if n_clusters == 1 else "are"
    return f"Resampled {be} {counted(n_clusters, 'cluster')} of problems with one {column}."


def config_of(facts: Mapping[str, object]) -> Mapping[str, object]:
    """The configuration in what a run stored of itself."""
    config = facts["config"]
    assert isinstance(config, Mapping)
    return config
