"""Many runs at once: lift over greedy by model and task, from each run's report.json. No response is read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bon_eval.errors import ConfigError, StoreError
from bon_eval.report.formats.csv_json import validate
from bon_eval.report.formats.text import model_name
from bon_eval.report.imported.rows import FORMAT as IMPORTED
from bon_eval.report.imported.rows import FORMAT_VERSION as IMPORTED_VERSION
from bon_eval.report.run.rows import FORMAT_VERSION
from bon_eval.report.summary.draws import SummaryDraw, draws_of
from bon_eval.report.summary.imported import ImportedRun, imported_arms
from bon_eval.report.summary.levels import PooledLevel, RunLevel, levels_of, pooled
from bon_eval.stats import holm
from bon_eval.stats.heavy_tails import LEAST_PROBLEMS


@dataclass(frozen=True, slots=True)
class SummaryCell:
    """One run: best-of-n at one n of its own report's table, by one scorer, against greedy decoding.

    Accuracies are fractions of 1, points are percentage points.
    """

    row: str
    """Label of the row it stands in: the model, and the run where the model has several runs of the task."""
    model: str
    """With the adapter, where there is one."""
    task: str
    run: str
    """Name of the run's directory: its run id, unless the user named the directory."""
    path: Path
    n: int
    scorer: str
    n_problems: int
    n_units: int
    """Clusters where problems are resampled in clusters, else problems."""
    exclude_truncated: bool
    """Whether problems with a truncated response were left out."""
    greedy: float
    accuracy: float
    """Of best-of-n."""
    lift_percent: float | None
    """The lift in percent of greedy's accuracy; None where that is 0."""
    percent_low: float | None
    percent_high: float | None
    """95 % interval of `lift_percent`; None where there is none, or no bound above."""
    lift_points: float
    low: float | None
    high: float | None
    """95 % interval of `lift_points`, paired by problem; None where one problem gives none."""
    p_run: float | None
    """Adjusted over the run's own table: of the primary scorer over its n (Holm), else over all other arms (max-t)."""
    looks: int
    """Planned looks at the run, each with its part of the 5 %."""
    n_missing: int
    """Problems that the run has not finished."""
    p_summary: float | None = None
    """`p_run` times the planned looks, Holm-adjusted once more over the runs of the summary: what the star goes by.
    None without an interval, of fewer than `LEAST_PROBLEMS` units, and for a run that is not finished and whose looks
    were not planned."""
    draws: tuple[SummaryDraw, ...] = ()
    """Besides greedy and the pool."""
    levels: tuple[RunLevel, ...] = ()
    """Whether likelihood predicts correctness."""


@dataclass(frozen=True, slots=True)
class Summary:
    """Runs as a matrix of models and tasks; a place without a run has no cell."""

    cells: tuple[SummaryCell, ...]
    """In the order given; no two have the same row and task."""
    imported: tuple[ImportedRun, ...] = ()
    """Imported runs without a lift over greedy, in the order given."""

    @property
    def runs(self) -> list[SummaryCell | ImportedRun]:
        """All of them, those with a lift first."""
        return [*self.cells, *self.imported]

    @property
    def rows(self) -> tuple[str, ...]:
        """Row labels, in the order of their first run."""
        return tuple(dict.fromkeys(cell.row for cell in self.cells))

    @property
    def tasks(self) -> tuple[str, ...]:
        """Column labels, in the order of their first run."""
        return tuple(dict.fromkeys(cell.task for cell in self.cells))

    def at(self, row: str, task: str) -> SummaryCell | None:
        """The run of a place, or None."""
        return next((cell for cell in self.cells if (cell.row, cell.task) == (row, task)), None)

    @property
    def levels(self) -> tuple[PooledLevel, ...]:
        """Whether likelihood predicts correctness, over the runs that ask it."""
        return pooled([(run.task, run.levels) for run in self.runs])

    @property
    def settings_differ(self) -> bool:
        """Whether the runs differ in n, scorer or the treatment of truncated responses."""
        return len({(cell.n, cell.scorer, cell.exclude_truncated) for cell in self.cells}) > 1


def summarise(paths: Sequence[Path | str], *, scorer: str | None = None, n: int | None = None) -> Summary:
    """Collect runs. Runs of one model and task stand in rows of their own, named by the run.

    Args:
        paths: run directories with a report.json each; the same directory given twice counts once.
        scorer: what best-of-n picks by in all of them; default: the primary scorer of each run's own report.
        n: of best-of-n in all of them; default: the largest of each run's own report.

    An imported run without greedy responses, or without anything that best-of-n could pick by, has no cell: it stands
    in `Summary.imported` with the arms that it has.

    Raises:
        ConfigError: no paths.
        StoreError: a directory has no report.json, one that is damaged or of another format, another report than the
            run's own, or one without best-of-`n` by `scorer`; the message names the command that writes it.
    """
    if not paths:
        raise ConfigError("no run was given; name at least one run directory")
    directories = list(dict.fromkeys(Path(path).resolve() for path in paths))
    runs = [_run(directory, scorer, n) for directory in directories]
    of_task = Counter((run.model, run.task) for run in runs)
    names = Counter((run.model, run.task, run.run) for run in runs)

    def row(run: SummaryCell | ImportedRun) -> str:
        if of_task[run.model, run.task] == 1:
            return run.model
        # Directories of one name lie in different places: only the path tells them apart.
        alike = names[run.model, run.task, run.run] > 1
        return f"{run.model} ({run.path if alike else run.run})"

    cells = [run for run in runs if isinstance(run, SummaryCell)]
    decided = {k: p for k, cell in enumerate(cells) if (p := _p_of_run(cell)) is not None}
    adjusted = dict(zip(decided, holm(list(decided.values())).tolist(), strict=True))
    return Summary(
        tuple(replace(cell, row=row(cell), p_summary=adjusted.get(k)) for k, cell in enumerate(cells)),
        tuple(replace(run, row=row(run)) for run in runs if isinstance(run, ImportedRun)),
    )


def _p_of_run(cell: SummaryCell) -> float | None:
    """What is compared with 5 % for one run alone; None where nothing is decided."""
    if cell.p_run is None or cell.n_units < LEAST_PROBLEMS or (cell.n_missing and cell.looks == 1):
        return None
    return min(1.0, cell.looks * cell.p_run)


def _run(directory: Path, scorer: str | None, n: int | None) -> SummaryCell | ImportedRun:
    content = _read(directory)
    if content.get("format") != IMPORTED:
        return _cell(directory, content, scorer or content["analysis"]["primary_scorer"], n)
    arms, absent = content["arms"], content["absent"]
    # Best-of-n at random is one sample: a run that has no other has nothing to pick by.
    scorers = [name for name in content["analysis"]["scorers"] if name != "random"]
    by = (scorer or scorers[0]) if scorers else None
    if by is not None and any(arm["arm"] == "greedy" for arm in arms):
        return _cell(directory, content, by, n)
    name, analysis = model_name(content["run"]["config"]), content["analysis"]
    best = None if by is None else _best(directory, arms, by, max(analysis["ns"]) if n is None else n)
    return ImportedRun(
        row=name,
        model=name,
        task=str(content["run"]["config"]["task"]),
        run=directory.name,
        path=directory,
        n=analysis["pool_size"],
        n_problems=analysis["problems"],
        arms=imported_arms(content, best, n),
        absent=absent,
        levels=levels_of(content),
    )


def _cell(directory: Path, content: Mapping[str, Any], scorer: str, n: int | None) -> SummaryCell:
    config, analysis = content["run"]["config"], content["analysis"]
    n = max(analysis["ns"]) if n is None else n
    arms = content["arms"]
    greedy = next(arm for arm in arms if arm["arm"] == "greedy")
    best = _best(directory, arms, scorer, n)
    name = model_name(config)
    return SummaryCell(
        row=name,
        model=name,
        task=str(config["task"]),
        run=directory.name,
        path=directory,
        n=n,
        scorer=scorer,
        n_problems=analysis["problems"],
        n_units=analysis["n_clusters"] or analysis["problems"],
        exclude_truncated=analysis["exclude_truncated"],
        greedy=greedy["accuracy"],
        accuracy=best["accuracy"],
        **_lift(best, greedy["accuracy"]),
        looks=analysis["looks"],
        n_missing=analysis.get("problems_missing", 0),
        draws=draws_of(content, scorer),
        levels=levels_of(content),
    )


def _lift(best: Mapping[str, Any], greedy: float) -> dict[str, Any]:
    """The lift of an arm; the report of an imported run has no interval of it in percent."""
    if "over_greedy_points" in best:
        points = best["over_greedy_points"]
        return {
            "lift_percent": points / greedy if greedy else None,
            "percent_low": None,
            "percent_high": None,
            "lift_points": points,
            "low": best["over_greedy_points_low"],
            "high": best["over_greedy_points_high"],
            "p_run": best["p_over_greedy"],
        }
    return {
        "lift_percent": best["lift_percent"],
        "percent_low": best["lift_percent_low"],
        "percent_high": best["lift_percent_high"],
        "lift_points": best["lift_points"],
        "low": best["lift_points_low"],
        "high": best["lift_points_high"],
        "p_run": best["p_joint"] if best["p_holm"] is None else best["p_holm"],
    }


def _best(directory: Path, arms: Sequence[Mapping[str, Any]], scorer: str, n: int) -> Mapping[str, Any]:
    """The arm best-of-n of a table; raises `StoreError` where it has none by that scorer at that n."""
    best = [arm for arm in arms if arm["arm"] == "best-of-n"]
    for arm in best:
        if (arm["n"], arm["scorer"]) == (n, scorer):
            return arm
    held: dict[str, list[str]] = {}
    for arm in best:
        held.setdefault(arm["scorer"], []).append(str(arm["n"]))
    listed = "; ".join(f"{name} at n = {', '.join(ns)}" for name, ns in held.items())
    raise StoreError(
        f"the own report of {directory} has no best-of-{n} by {scorer} (it has {listed}); make it with that scorer "
        f"first: bon-eval report {directory} --scorer {scorer} --ns {n} --own"
    )


def _read(directory: Path) -> Mapping[str, Any]:
    path, remedy = directory / "report.json", f"run: bon-eval report {directory}"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StoreError(f"{directory} has no report.json; {remedy}") from error
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read ({error}); {remedy}") from error
    imported = isinstance(content, dict) and content.get("format") == IMPORTED
    version = content.get("format_version") if isinstance(content, dict) else None
    reads = IMPORTED_VERSION if imported else FORMAT_VERSION
    if version != reads:
        raise StoreError(f"{path} has report format {version}, this version reads {reads}; {remedy}")
    try:
        validate(content, "imported" if imported else "report")
    except StoreError as error:
        raise StoreError(f"{path} does not fit the schema of reports; {remedy}") from error
    if not {"model", "task"} <= content["run"]["config"].keys():
        raise StoreError(f"{path} does not name its model and task; {remedy}")
    if name := content["run"].get("report"):
        raise StoreError(
            f"{directory} is the report {name!r} of a run and may have other settings than its own; give the run's "
            "directory"
        )
    found: Mapping[str, Any] = content
    return found
