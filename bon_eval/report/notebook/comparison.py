"""`bon_eval.compare`: stored runs compared, as the command does; in a notebook, as frames and axes, as files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bon_eval.analysis.two_runs.comparison import Comparison as OfTwo
from bon_eval.errors import ConfigError, counted, unknown_name
from bon_eval.report.comparison.any_runs import (
    TABLES,
    Compared,
    arms_of,
    cells_of,
    compare_any,
    write_compared,
)
from bon_eval.stats import PairedTest
from bon_eval.store import reader
from bon_eval.store.comparable import check_differences, same_problems

if TYPE_CHECKING:
    import pandas as pd

    from bon_eval.report.notebook.comparison_plots import ComparisonPlots

ComparisonTable = Literal["arms", "quantities", "pairs", "curves", "problems", "responses"]
_OF_RUNS = ("problems", "responses")


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Compared):
    """Two runs or more of one task, compared problem by problem: what `bon_eval.compare` gives.

    `found` holds every number: of two runs `bon_eval.analysis.two_runs.comparison.Comparison`, of more
    `bon_eval.analysis.several_runs.comparison.SeveralComparison`; `runs` are the runs in their order.
    """

    def __repr__(self) -> str:
        """One line: runs, task, problems, and the accuracy of one sample: the last run's minus the first one's."""
        *others, last = self.names
        text = (
            f"<Comparison of {', '.join(others)} and {last} on {self.runs[0].meta['config']['task']}: "
            f"{counted(self.found.n_problems)}, one sample of {last} minus one of {others[0]} {self._main()} points>"
        )
        return " ".join(text.split())

    def report(self, *, out: Path | str | None = None, html: bool = True) -> Path:
        """Write the comparison's files, as `bon-eval compare` does; the directory in which they lie.

        Args:
            out: where they go; default: to the last run.
            html: also the page.

        Raises:
            StoreError: a run is damaged, or a file cannot be written.
        """
        directory = self.runs[-1].path if out is None else Path(out)
        write_compared(self, directory, html=html)
        return directory

    @property
    def plot(self) -> ComparisonPlots:
        """The figures of the comparison, as matplotlib axes."""
        from bon_eval.report.notebook.comparison_plots import ComparisonPlots

        return ComparisonPlots(self)

    def to_pandas(self, table: ComparisonTable = "arms") -> pd.DataFrame:
        """The comparison as a tidy frame.

        Args:
            table: ``arms`` and ``quantities``: the rows of compare.csv, of two runs one for each arm or quantity with
                both runs (``before`` is the first) and their difference, of more one for each of each run. ``pairs``,
                of three runs or more: one for each arm of each pair of runs. ``curves``, of two runs: those of
                compare_curves.csv. ``problems`` and ``responses``: those of every run (`bon_eval.Run.to_pandas`),
                with ``run`` before them; rows are in the order of the first run's problems, and ``problem_id`` is the
                first run's, which makes it one and the same for what the runs share; ``own_id`` is what the run
                itself calls the problem.

        Raises:
            ConfigError: a table that this comparison does not have.
        """
        import pandas as pd

        if table in _OF_RUNS:
            return pd.concat([self._of_run(k, table) for k in range(len(self.runs))], ignore_index=True)
        rows = cells_of(self, table)
        if rows is None:
            valid = [name for name in TABLES if cells_of(self, name) is not None]
            raise ConfigError(unknown_name(f"table of {len(self.runs)} runs", table, [*valid, *_OF_RUNS]))
        return pd.DataFrame(rows)

    def _repr_html_(self) -> str:
        """Accuracies and their differences, for a notebook."""
        from bon_eval.report.notebook.table import html_table

        captions = [repr(self), "Every pair of runs; p is adjusted over all of them (Holm)."]
        tables = [html_table(caption, rows) for caption, rows in zip(captions, arms_of(self), strict=False)]
        return f"<div>{''.join(tables)}</div>"

    def _main(self) -> str:
        """The difference of one sample in points, with its interval."""
        from bon_eval.report.comparison.several import points_text

        test = self._of_one_sample()
        return points_text(test) if test.reason is None else f"{points_text(test)} (no interval)"

    def _of_one_sample(self) -> PairedTest:
        if isinstance(self.found, OfTwo):
            return next(c.difference for c in self.found.accuracies if c.name == "accuracy.sample")
        ends = self.names[0], self.names[-1]
        pairs = (pair for pair in self.found.pairs if (pair.first, pair.second) == ends)
        return next(pair.difference for pair in pairs if pair.name == "accuracy.sample")

    def _of_run(self, k: int, table: str) -> pd.DataFrame:
        """Problems or responses of one run, matched with the first one's problems."""
        first, run = self.runs[0], self.runs[k]
        own = [run.pool.problem_ids[row] for row in same_problems(first, run)]
        known = dict(zip(own, first.pool.problem_ids, strict=True))
        place = {problem_id: at for at, problem_id in enumerate(own)}
        frame = run.to_pandas("problems" if table == "problems" else "responses")
        ids = frame["problem_id"].tolist()
        frame["problem_id"] = [known[i] for i in ids]
        frame.insert(0, "run", self.names[k])
        frame.insert(2, "own_id", ids)
        draws = frame["arm"].tolist() if table == "responses" else [""] * len(ids)
        block = {draw: at for at, draw in enumerate(dict.fromkeys(draws))}
        order = sorted(range(len(ids)), key=lambda row: (block[draws[row]], place[ids[row]]))
        return frame.iloc[order]


def compare(
    runs: Sequence[Path | str | reader.Run],
    *,
    as_: Sequence[str] | str | None = None,
    seed: int = 0,
    draws: int = 10_000,
    cluster: str | None = None,
    allow_different: Sequence[str] | str = (),
    allow_different_prompts: bool = False,
) -> Comparison:
    """Compare stored runs of one task, problem by problem, as `bon-eval compare` does; nothing is written.

    Args:
        runs: two or more: directories, or runs as `bon_eval.run` and `bon_eval.load_run` give them.
        as_: what they are called, a name for each: ``("one", "other")`` or ``"one,other"``; default: their models.
            ``before,after``: the second model is tuned from the first.
        seed: of the bootstrap.
        draws: bootstrap draws.
        cluster: column whose equal values mark problems that are resampled together; default: the task's.
        allow_different: what the runs may differ in besides the model: ``prompts``, ``grader``, ``dtype``, ``engine``.
        allow_different_prompts: as ``allow_different="prompts"``.

    Raises:
        BonEvalError: of the kind that fits, one line each: runs that cannot be compared, or that are unfinished,
            damaged or not graded.
    """
    if isinstance(runs, Path | str | reader.Run):
        raise ConfigError("compare takes a list of runs, and this is one; give two or more: compare([RUN_A, RUN_B])")
    given = list(runs)
    for one in given:
        if not isinstance(one, Path | str | reader.Run):
            raise ConfigError(f"compare takes directories and runs, and there is a {type(one).__name__} among them")
    compared = compare_any(
        given,
        names=_parts(as_),
        seed=seed,
        draws=draws,
        allow_different=check_differences(
            [*_parts(allow_different), *(["prompts"] if allow_different_prompts else [])]
        ),
        cluster=cluster,
    )
    return Comparison(compared.runs, compared.found)


def _parts(given: Sequence[str] | str | None) -> list[str]:
    """Names as a sequence has them, or as an option does: between commas.

    >>> _parts("before, after"), _parts(("a,b", "c")), _parts("")
    (['before', 'after'], ['a,b', 'c'], [])
    """
    if isinstance(given, str):
        return [part.strip() for part in given.split(",")] if given else []
    parts = list(given or ())
    for part in parts:
        if not isinstance(part, str):
            raise ConfigError(f"a name is a text, and there is {part!r} among {parts!r}")
    return parts
