"""What a summary shows of imported runs without greedy responses or without what best-of-n picks by.

They have no lift over greedy and so no place in the heat map; of each run's report.json the arms that it has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bon_eval.analysis.imported.absent import NEEDED
from bon_eval.errors import counted
from bon_eval.report.formats.columns import CsvRow
from bon_eval.report.formats.csv_json import to_csv
from bon_eval.report.summary.levels import RunLevel

_TESTS = ("over_sample", "over_greedy")


@dataclass(frozen=True, slots=True)
class ImportedArmRow:
    """One way to answer; accuracies are fractions of 1, points are percentage points paired by problem."""

    arm: str
    """``greedy``, ``sample``, ``best-of-n``, ``vote`` or ``oracle``."""
    n: int
    scorer: str | None
    accuracy: float
    accuracy_low: float | None
    accuracy_high: float | None
    over_sample: tuple[float, float | None, float | None] | None
    """Points over one sample with their 95 % interval; None for the sample and for greedy."""
    over_greedy: tuple[float, float | None, float | None] | None
    """Points over greedy; None for greedy, and without greedy responses."""

    @property
    def name(self) -> str:
        """As tables print it.

        >>> ImportedArmRow("vote", 8, None, 0.5, 0.4, 0.6, None, None).name
        'vote-of-8'
        """
        own = {"greedy": "greedy", "sample": "one sample", "best-of-n": f"best-of-{self.n} by {self.scorer}"}
        return own.get(self.arm, f"{self.arm}-of-{self.n}")


@dataclass(frozen=True, slots=True)
class ImportedRun:
    """One imported run without a lift over greedy."""

    row: str
    model: str
    task: str
    run: str
    path: Path
    n: int
    n_problems: int
    arms: tuple[ImportedArmRow, ...]
    """Greedy, one sample, best-of-n by the summary's scorer, plain vote and oracle, as far as the report has them."""
    absent: Mapping[str, str]
    """Part of a full report -> why this one does not have it."""
    levels: tuple[RunLevel, ...]

    @property
    def lacks(self) -> list[str]:
        """What a lift over greedy takes and the run does not have."""
        return [NEEDED[name][0] for name in ("greedy", "log_likelihood") if NEEDED[name][0] in self.absent]

    @property
    def sentence(self) -> str:
        """Its arms in one line for the terminal."""
        listed = "; ".join(f"{arm.name} {arm.accuracy:.3f}" for arm in self.arms)
        return f"{self.row} on {self.task} (imported, {counted(self.n_problems)}): {listed}"


def imported_arms(
    report: Mapping[str, Any], best: Mapping[str, Any] | None, n: int | None
) -> tuple[ImportedArmRow, ...]:
    """The arms that a summary shows, in the order of the report.

    Args:
        report: report.json of an imported run.
        best: its arm best-of-n, where it has one that looks at the responses.
        n: of the plain vote and the oracle; None: the largest of each.
    """

    def largest(kind: str) -> int:
        return max((arm["n"] for arm in report["arms"] if arm["arm"] == kind), default=0)

    wanted = {kind: largest(kind) if n is None else n for kind in ("vote", "oracle")}
    return tuple(
        _arm(arm)
        for arm in report["arms"]
        if arm["arm"] in ("greedy", "sample")
        or arm is best
        or (arm["scorer"] is None and wanted.get(arm["arm"]) == arm["n"])
    )


def _arm(arm: Mapping[str, Any]) -> ImportedArmRow:
    def over(name: str) -> tuple[float, float | None, float | None] | None:
        found = arm[f"{name}_points"]
        return None if found is None else (found, arm[f"{name}_points_low"], arm[f"{name}_points_high"])

    return ImportedArmRow(
        **{name: arm[name] for name in ("arm", "n", "scorer", "accuracy", "accuracy_low", "accuracy_high")},
        over_sample=over("over_sample"),
        over_greedy=over("over_greedy"),
    )


def imported_csv(runs: Iterable[ImportedRun]) -> str:
    """summary_imported.csv: a row for each arm of each run; empty without runs."""
    rows = [{**_names(run), **_cells(arm)} for run in runs for arm in run.arms]
    return to_csv(rows) if rows else ""


def _names(run: ImportedRun) -> CsvRow:
    return {"model": run.model, "task": run.task, "run": run.run, "problems": run.n_problems}


def _cells(arm: ImportedArmRow) -> CsvRow:
    named = ("arm", "n", "scorer", "accuracy", "accuracy_low", "accuracy_high")
    cells: CsvRow = {name: getattr(arm, name) for name in named}
    for name in _TESTS:
        points = getattr(arm, name) or (None, None, None)
        cells |= dict(zip((f"{name}_points{end}" for end in ("", "_low", "_high")), points, strict=True))
    return cells


def lines(runs: Sequence[ImportedRun]) -> Iterator[str]:
    """For the terminal: each run's arms, and why it has no lift."""
    for run in runs:
        yield run.sentence
        yield f"  no lift over greedy: it lacks {' and '.join(run.lacks)}"
