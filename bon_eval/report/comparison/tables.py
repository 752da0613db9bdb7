"""Tables of what changed between two runs, and its intervals, as text."""

from __future__ import annotations

from collections.abc import Sequence

from bon_eval.analysis.two_runs.findings import Change
from bon_eval.report.formats.text import ends, shortened, text_table
from bon_eval.stats import Interval, PairedTest

_HEAD_WIDTH = 20
"""Of a run's name above its column."""


def changes_table(title: str, labels: Sequence[tuple[str, Change]], sides: tuple[str, str]) -> list[str]:
    """Lines of a table with a row for each change, which has the label that stands beside it."""
    return text_table([heads(title, sides), *changes_rows(labels)])


def changes_rows(labels: Sequence[tuple[str, Change]]) -> list[tuple[str, ...]]:
    """The rows of such a table, without its headings."""
    rows: list[tuple[str, ...]] = []
    for label, change in labels:
        digits = 3 if change.unit == "share" or change.name == "entropy_per_token" else 2
        of_ends = 2 if change.unit == "share" else digits
        rows.append(
            (
                label.replace(" likelihood", " log-lik"),
                interval_text(change.before, digits, of_ends),
                interval_text(change.after, digits, of_ends),
                difference_text(change.difference, digits),
                p_text(change.shown_p),
            )
        )
    return rows


def heads(title: str, sides: tuple[str, str]) -> tuple[str, ...]:
    """The headings of such a table."""
    return (title, *(shortened(side, _HEAD_WIDTH) for side in sides), "difference", "p")


def p_text(p: float | None) -> str:
    """A p-value, or a dash."""
    return "-" if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"


def difference_text(test: PairedTest, digits: int) -> str:
    """A difference with its interval."""
    return f"{test.difference:+.{digits}f}{ends(test.low, test.high, f'+.{digits}f', marked=test.marked)}"


def interval_text(interval: Interval, digits: int, of_ends: int | None = None) -> str:
    """An estimate with its interval."""
    form = f".{digits if of_ends is None else of_ends}f"
    return f"{interval.estimate:.{digits}f}{ends(interval.low, interval.high, form, marked=interval.marked)}"
