"""The row of what changed between two runs, column by column."""

from __future__ import annotations

from collections.abc import Callable

from bon_eval.analysis.two_runs.findings import Change
from bon_eval.report.formats.columns import Column, Row, interval, later, limits, marked, own, renamed, where_tested
from bon_eval.stats.units import Count


def _signs(side: str) -> Callable[[Change], int | None]:
    return lambda change: None if change.difference.signs is None else getattr(change.difference.signs, side)


_NO_SIGNS = "of shares nothing goes by signs"

CHANGE = Row[Change](
    "change",
    (
        *own(Change, "name", "label", "unit"),
        *interval(Change, "before"),
        *interval(Change, "after"),
        *own(Change, "difference.difference"),
        *limits("difference.", "difference_"),
        *renamed(Change, difference_method="difference.method", contested="difference.n_contested"),
        *(marked(side) for side in ("before", "after", "difference")),
        *(
            Column(name, Count | None, _signs(side), why=_NO_SIGNS)
            for name, side in (("rose", "above"), ("fell", "below"))
        ),
        *where_tested(own(Change, "difference.p_value", "p_holm"), "difference"),
        *later(*where_tested(own(Change, "p_joint"), "difference")),
    ),
    finite=True,
)
