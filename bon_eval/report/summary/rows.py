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
from bon_eval.report.run.rows import FORMAT_VERSION
from bon_eval.report.summary.draws import SummaryDraw, draws_of
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
        return pooled([(cell.task, cell.levels) for cell in self.cells])

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

    Raises:
        ConfigError: no paths.
        StoreError: a directory has no report.json, one that is damaged or of another format, another report than the
            run's own, or one without best-of-`n` by `scorer`; the message names the command that writes it.
    """
    if not paths:
        raise ConfigError("no run was given; name at least one run directory")
    directories = list(dict.fromkeys(Path(path).resolve() for path in paths))
    cells = [_cell(directory, scorer, n) for directory in directories]
    runs = Counter((cell.model, cell.task) for cell in cells)
    names = Counter((cell.model, cell.task, cell.run) for cell in cells)

    def row(cell: SummaryCell) -> str:
        if runs[cell.model, cell.task] == 1:
            return cell.model
        # Directories of one name lie in different places: only the path tells them apart.
        alike = names[cell.model, cell.task, cell.run] > 1
        return f"{cell.model} ({cell.path if alike else cell.run})"

    decided = {k: p for k, cell in enumerate(cells) if (p := _p_of_run(cell)) is not None}
    adjusted = dict(zip(decided, holm(list(decided.values())).tolist(), strict=True))
    return Summary(tuple(replace(c, row=row(c), p_summary=adjusted.get(k)) for k, c in enumerate(cells)))


def _p_of_run(cell: SummaryCell) -> float | None:
    """What is compared with 5 % for one run alone; None where nothing is decided."""
    if cell.p_run is None or cell.n_units < LEAST_PROBLEMS or (cell.n_missing and cell.looks == 1):
        return None
    return min(1.0, cell.looks * cell.p_run)


def _cell(directory: Path, scorer: str | None, n: int | None) -> SummaryCell:
    content = _read(directory)
    config, analysis = content["run"]["config"], content["analysis"]
    n = max(analysis["ns"]) if n is None else n
    scorer = analysis["primary_scorer"] if scorer is None else scorer
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
        lift_percent=best["lift_percent"],
        percent_low=best["lift_percent_low"],
        percent_high=best["lift_percent_high"],
        lift_points=best["lift_points"],
        low=best["lift_points_low"],
        high=best["lift_points_high"],
        p_run=best["p_joint"] if best["p_holm"] is None else best["p_holm"],
        looks=analysis["looks"],
        n_missing=analysis["problems_missing"],
        draws=draws_of(content, scorer),
        levels=levels_of(content),
    )


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
    if isinstance(content, dict) and content.get("format") == IMPORTED:
        raise StoreError(
            f"{path} is of an imported run that lacks what a summary shows (best-of-n against greedy); leave it out"
        )
    version = content.get("format_version") if isinstance(content, dict) else None
    if version != FORMAT_VERSION:
        raise StoreError(f"{path} has report format {version}, this version reads {FORMAT_VERSION}; {remedy}")
    try:
        validate(content)
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
