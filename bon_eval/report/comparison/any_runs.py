"""Stored runs of one task compared, two or more: all between what is asked and what is printed, written or drawn.

The command and Python take this one way.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from bon_eval.analysis.several_runs.comparison import AnyComparison, compare_several
from bon_eval.analysis.two_runs.comparison import Comparison, compare_runs
from bon_eval.analysis.two_runs.names import STORY
from bon_eval.errors import ConfigError, StoreError
from bon_eval.store.files import make_directory, remove_older
from bon_eval.store.reader import Run, load_run

if TYPE_CHECKING:
    from bon_eval.report.comparison.panels import Shown
    from bon_eval.report.formats.columns import CsvRow

TABLES = ("arms", "quantities", "pairs", "curves")
"""Tables of numbers; `pairs` are of three runs or more, `curves` of two."""

_NOT_ALWAYS = {"compare.html", "compare_curves.csv"}
"""Files that not every comparison has: those of an earlier one are removed."""


# Without slots: what is drawn is made once, when it is asked for, and kept.
@dataclass(frozen=True, eq=False)
class Compared:
    """Runs and their comparison."""

    runs: tuple[Run, ...]
    found: AnyComparison

    @property
    def names(self) -> tuple[str, ...]:
        """What the runs are called."""
        return self.found.names.sides if isinstance(self.found, Comparison) else self.found.names

    @cached_property
    def shown(self) -> Shown:
        """What the panels show."""
        from bon_eval.report.comparison.panels import shown_of

        return shown_of(self.runs, self.found)


def compare_any(
    given: Sequence[Path | str | Run],
    *,
    names: Sequence[str] = (),
    seed: int = 0,
    draws: int = 10_000,
    allow_different: Collection[str] = (),
    cluster: str | None = None,
) -> Compared:
    """Compare stored runs: two as `compare_runs` does, more as `compare_several`.

    Args:
        given: directories of runs, or runs that were loaded, two or more.
        names: of the runs, as many; empty: each has its model's. ``before`` and ``after`` are those of a training.
        seed, draws, allow_different, cluster: as in `bon_eval.analysis.two_runs.comparison.compare_runs`.

    Raises:
        ConfigError: fewer than two runs, names that do not fit, runs that cannot be compared.
        StoreError: a run is unfinished, damaged or not graded.
    """
    if len(given) < 2:
        raise ConfigError(f"compare takes two runs or more, and there is {len(given)}; name the others, too")
    if seed < 0:
        raise ConfigError(f"seed {seed} is negative; give a whole number >= 0")
    runs = tuple(map(_finished, given))
    if len(runs) > 2:
        return Compared(
            runs,
            compare_several(
                runs, names=names, seed=seed, draws=draws, allow_different=allow_different, cluster=cluster
            ),
        )
    first, second = runs
    found = compare_runs(
        first,
        second,
        seed=seed,
        draws=draws,
        allow_different=allow_different,
        cluster=cluster,
        tuning=tuple(names) == STORY,
        names=names,
    )
    return Compared(runs, found)


def _finished(given: Path | str | Run) -> Run:
    """A run with all of its problems: fewer would leave the others out without a word."""
    if not isinstance(given, Run):
        return load_run(given)
    if left := len(given.problems) - len(given.pool.problem_ids):
        raise StoreError(
            f"{given.path} was loaded unfinished: {left} of {len(given.problems)} problems lack responses; finish it "
            "and load it again, since runs are compared on all of their problems"
        )
    return given


def render_compared(compared: Compared) -> str:
    """What is printed: lines of text, ending in a newline."""
    if isinstance(compared.found, Comparison):
        from bon_eval.report.comparison.terminal import render

        return render(compared.found)
    from bon_eval.report.comparison.several import render_several

    return render_several(compared.found)


def arms_of(compared: Compared) -> list[list[tuple[str, ...]]]:
    """Accuracies and differences as tables of texts, headings first: one of two runs, two of more."""
    from bon_eval.report.comparison.several import points_text
    from bon_eval.report.comparison.tables import changes_rows, interval_text, p_text

    found = compared.found
    if isinstance(found, Comparison):
        changes = [(change.label, change) for change in (*found.accuracies, *found.draw_accuracies)]
        heads = ("accuracy", *(f"{name} [95 %]" for name in compared.names), "difference", "p")
        return [[heads, *changes_rows(changes)]]
    by_arm: dict[str, list[str]] = {}
    for row in found.accuracies:
        by_arm.setdefault(row.label, []).append(interval_text(row.value, 3, 2))
    pairs = [
        (pair.label, f"{pair.second} - {pair.first}", points_text(pair.difference), p_text(pair.shown_p))
        for pair in found.pairs
    ]
    return [
        [("accuracy", *(f"{name} [95 %]" for name in found.names)), *((arm, *texts) for arm, texts in by_arm.items())],
        [("difference in points", "", "[95 %]", "p"), *pairs],
    ]


def cells_of(compared: Compared, table: str) -> list[CsvRow] | None:
    """One of `TABLES` as the rows of compare.csv, ``curves`` as those of compare_curves.csv; None: it has none."""
    found = compared.found
    if isinstance(found, Comparison):
        from bon_eval.report.comparison.added import curve_rows
        from bon_eval.report.comparison.terminal import change_cells

        if table == "curves":
            return None if found.added is None else list(curve_rows(found.added))
        rows: list[CsvRow] = list(change_cells(found))
    else:
        from bon_eval.report.comparison.several import pair_cells, run_cells

        if table == "pairs":
            return pair_cells(found)
        rows = run_cells(found)
    wanted = {"arms": ("accuracy", "accuracy of draws"), "quantities": ("quantity",)}.get(table)
    return None if wanted is None else [row for row in rows if row["table"] in wanted]


def write_compared(compared: Compared, directory: Path, *, html: bool = True) -> list[str]:
    """Write a comparison's files into a directory, made where it is missing; their names.

    Args:
        compared: the runs and their comparison.
        directory: usually that of the last run.
        html: whether to write the page, too.

    Raises:
        StoreError: a document does not fit its schema, a run is damaged, or a file cannot be written.
    """
    make_directory(directory)
    found = compared.found
    if isinstance(found, Comparison):
        from bon_eval.report.comparison.terminal import write_comparison

        written = list(write_comparison(found, directory))
    else:
        from bon_eval.report.comparison.several import write_several

        written = list(write_several(found, directory))
    if html:
        written.append(_write_page(compared, directory).name)
    remove_older(directory, _NOT_ALWAYS.difference(written))
    return written


def _write_page(compared: Compared, directory: Path) -> Path:
    found = compared.found
    if isinstance(found, Comparison):
        from bon_eval.report.comparison.page import write_comparison_page

        return write_comparison_page(compared.runs, found, compared.shown, directory)
    from bon_eval.report.comparison.several_page import write_several_page

    return write_several_page(compared.runs, found, compared.shown, directory)
