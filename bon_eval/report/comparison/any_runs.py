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

_NOT_ALWAYS = {"compare.html", "compare_curves.csv"}
"""Files that not every comparison has: those of an earlier one are removed."""


# Without slots: what is drawn is made once, when it is asked for, and kept.
@dataclass(frozen=True, eq=False)
class Compared:
    """Runs and their comparison."""

    runs: tuple[Run, ...]
    found: AnyComparison

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
