"""Whether likelihood predicts correctness, over many runs: of each run's report.json its rows, and their means."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bon_eval.analysis.levels.facts import FORMS, Form, LevelName
from bon_eval.report.formats.columns import CsvRow
from bon_eval.report.formats.csv_json import to_csv
from bon_eval.report.run.levels.notes import level_name
from bon_eval.stats.closed_form import with_seeds

Ends = tuple[float, float | None, float | None]
"""Estimate, low and high; both None where there is no interval."""


@dataclass(frozen=True, slots=True)
class RunLevel:
    """One row of one run (`bon_eval.analysis.levels.facts.LevelRow`)."""

    level: LevelName
    of: str
    statistic: str
    numbers: Mapping[Form, Ends]
    """Those that the run has."""
    predicts: str
    predicts_at_length: str


@dataclass(frozen=True, slots=True)
class PooledLevel:
    """The rows of one level in all runs that ask it."""

    level: LevelName
    of: str
    statistic: str
    runs: int
    """That ask it, of any length."""
    yes: int
    """Runs in which likelihood is shown to predict correctness; of any length, as the next."""
    reversed: int
    numbers: Mapping[Form, Ends]
    """Means over runs (`pooled`)."""

    @property
    def name(self) -> str:
        """What it is across."""
        return level_name(self.level, self.of)

    @property
    def sentence(self) -> str:
        """In how many runs it holds, and the mean."""
        found = f"across {self.name}: shown in {self.yes} of {self.runs} runs" + (
            f", the other way round in {self.reversed}" if self.reversed else ""
        )
        return f"{found}; mean {self.text('summed')}, with length held fixed {self.text('summed_at_length')}"

    def text(self, form: Form, *, unit: bool = True) -> str:
        """One of the numbers with its interval."""
        if form not in self.numbers:
            return "not asked"
        auroc = self.statistic == "auroc"
        estimate, *ends = (None if number is None else _signed(number, auroc) for number in self.numbers[form])
        found = f"{estimate}{'' if auroc or not unit else ' points'}"
        interval = "(no interval)" if ends[0] is None else f"[{ends[0]}, {ends[1]}]"
        return f"{'AUROC ' if auroc and unit else ''}{found} {interval}"


def _signed(value: float, auroc: bool) -> str:
    return f"{value:.2f}" if auroc else f"{value:+z.1f}"


def levels_of(report: Mapping[str, Any]) -> tuple[RunLevel, ...]:
    """The rows of a report.json; none of one that was written before there were any."""
    return tuple(
        RunLevel(
            **{name: row[name] for name in ("level", "of", "statistic", "predicts", "predicts_at_length")},
            numbers={
                form: (row[form], row[f"{form}_low"], row[f"{form}_high"]) for form in FORMS if row[form] is not None
            },
        )
        for row in report.get("levels", {"rows": ()})["rows"]
    )


def pooled(runs: Sequence[tuple[str, Sequence[RunLevel]]]) -> tuple[PooledLevel, ...]:
    """Means over runs, level by level, of those that ask it; each run counts the same.

    An interval is for other problems and other such runs. Runs of one task have answered the same problems: over
    problems each of its ends lies as far from the mean as theirs do on average, and these distances of the tasks are
    independent. To that comes the spread of the runs, as that of seeds (`bon_eval.stats.closed_form.with_seeds`). One
    run has its own interval.

    Args:
        runs: the task of each run, and its rows.
    """
    keys = dict.fromkeys((row.level, row.of) for _, rows in runs for row in rows)
    out = []
    for key in keys:
        found = [(task, row) for task, rows in runs for row in rows if (row.level, row.of) == key]
        numbers = {form: mean for form in FORMS if (mean := _mean(found, form)) is not None}
        if numbers:
            verdicts = [row.predicts for _, row in found]
            asked = sum("summed" in row.numbers for _, row in found)
            out.append(
                PooledLevel(
                    *key, found[0][1].statistic, asked, verdicts.count("yes"), verdicts.count("reversed"), numbers
                )
            )
    return tuple(out)


def _mean(found: Sequence[tuple[str, RunLevel]], form: Form) -> Ends | None:
    known = [(task, row.numbers[form]) for task, row in found if form in row.numbers]
    if not known:
        return None
    estimates = np.array([number[0] for _, number in known])
    mean = float(estimates.mean())
    tasks: dict[str, list[tuple[float, float]]] = {}
    for task, (estimate, low, high) in known:
        if low is None or high is None:
            return mean, None, None
        tasks.setdefault(task, []).append((estimate - low, high - estimate))
    sums = np.array([np.sum(distances, axis=0) for distances in tasks.values()])
    below, above = (math.hypot(*side) / len(known) for side in sums.T.tolist())
    low, high = with_seeds(mean, (mean - below, mean + above), estimates, 0.95)
    return (mean, max(low, 0.0), min(high, 1.0)) if found[0][1].statistic == "auroc" else (mean, low, high)


def levels_csv(runs: Iterable[tuple[Mapping[str, str], Sequence[RunLevel]]], pools: Sequence[PooledLevel]) -> str:
    """summary_levels.csv: a row for each level of each run, then one for each over all runs, without names of a run.

    Args:
        runs: model, task and run of each, and its rows.
        pools: of all of them; none: the text is empty.
    """
    none = {"model": None, "task": None, "run": None}
    of_runs = [{**names, **_cells(row)} for names, rows in runs for row in rows]
    return to_csv([*of_runs, *({**none, **_cells(row)} for row in pools)]) if pools else ""


def _cells(row: RunLevel | PooledLevel) -> CsvRow:
    cells: CsvRow = {"level": row.level, "of": row.of, "statistic": row.statistic}
    for form in FORMS:
        estimate, low, high = row.numbers.get(form, (None, None, None))
        cells |= {form: estimate, f"{form}_low": low, f"{form}_high": high}
    if isinstance(row, RunLevel):
        yes, other = (int(row.predicts == verdict) for verdict in ("yes", "reversed"))
        return {**cells, "runs": int("summed" in row.numbers), "yes": yes, "reversed": other}
    return {**cells, "runs": row.runs, "yes": row.yes, "reversed": row.reversed}


def lines(pools: Sequence[PooledLevel], n_runs: int) -> Iterator[str]:
    """For the terminal; none of a single run, whose report says it."""
    if pools and n_runs > 1:
        yield "does likelihood predict correctness?"
        yield from (f"  {pool.sentence}" for pool in pools)
