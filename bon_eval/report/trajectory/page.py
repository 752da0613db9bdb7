"""trajectory.html and its figures, in the style of report.html; without texts and without a script."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bon_eval.dpo.tracking.measures import PAIR_MEASURES
from bon_eval.dpo.tracking.points import Point
from bon_eval.dpo.tracking.trajectory import Trajectory
from bon_eval.errors import counted
from bon_eval.report.formats.figures import save_figure
from bon_eval.report.formats.html import panel, render
from bon_eval.report.formats.text import config_of
from bon_eval.report.trajectory.figures import FOLDER, PAGE, trajectory_figures
from bon_eval.report.trajectory.terminal import (
    cluster_notes,
    extent_text,
    listed,
    mark,
    skewed_text,
    source_text,
    stage_notes,
    without_intervals,
)
from bon_eval.stats import Interval
from bon_eval.store.files import make_directory, write_text

_CAPTIONS = {
    "accuracy.": "Accuracy",
    "auroc": "Accuracy",
    "log_likelihood.base_": "The base model's responses under each checkpoint",
    "base_mass.": "The base model's responses under each checkpoint",
    "log_likelihood_self": "What each checkpoint says, under itself",
    "log_likelihood_base": "What each checkpoint says, under the base model",
    "base_rank.": "What each checkpoint says, under the base model",
}
"""How a measure's name begins -> its group."""
_SPREAD = "Length and spread of what each checkpoint says"


@dataclass(frozen=True, slots=True)
class MeasureCell:
    """One measure at one checkpoint."""

    value: Interval
    mark: str
    """An arrow where the change from the base model is shown."""


@dataclass(frozen=True, slots=True)
class MeasureRow:
    """One measure by checkpoint; None where a checkpoint has none."""

    label: str
    unit: str
    scale: float
    digits: int
    cells: tuple[MeasureCell | None, ...]


def write_trajectory_page(found: Trajectory, directory: Path) -> tuple[str, ...]:
    """Write trajectory.html and figures/trajectory_*; returns their names.

    Raises:
        StoreError: a file cannot be written.
    """
    panels = []
    folder = directory / FOLDER
    make_directory(folder)
    for stem, title, figure in trajectory_figures(found):
        save_figure(figure, folder, stem)
        panels.append(panel(figure, stem, title))
    config = config_of(found.base)
    values = {
        "title": f"{config['model']} on {config['task']} through training",
        "found": found,
        "extent": extent_text(found),
        "source": " ".join([*cluster_notes(found), *([] if found.n is None else [source_text(found)])]),
        "stages": stage_notes(found),
        "panels": panels,
        "steps": tuple(f"step {step}" for step in found.steps),
        "groups": list(measure_groups(found)),
        "checkpoints": counted(len(found.steps) - 1, "checkpoint"),
        "skewed": skewed_text(found),
        "without": [(why, listed(labels)) for why, labels in without_intervals(found).items()],
    }
    write_text(directory / PAGE, render("trajectory.html.jinja", values))
    return PAGE, f"{FOLDER}/"


def measure_groups(found: Trajectory) -> Iterator[tuple[str, list[MeasureRow]]]:
    """(caption, a row for each measure), in groups."""
    suffixes = {f"{group}.{name}": f" ({group})" for group in found.pair_counts for name in PAIR_MEASURES}
    captions = {f"{group}.{name}": f"Pairs: {group}" for group in found.pair_counts for name in PAIR_MEASURES}
    captions |= {f"{name}.log_likelihood": "Probes" for name in found.probe_counts}
    groups: dict[str, list[str]] = {}
    for name in dict.fromkeys(p.name for p in found.points):
        groups.setdefault(captions.get(name) or _caption(name), []).append(name)
    points = found.by_place
    for caption, names in groups.items():
        rows = []
        for name in names:
            by_step = [points.get((step, name)) for step in found.steps]
            rows.append(_measure_row(by_step, suffixes.get(name, "")))
        yield caption, rows


def _caption(name: str) -> str:
    """The group of a measure that is of no pairs and no probe."""
    return next((caption for start, caption in _CAPTIONS.items() if name.startswith(start)), _SPREAD)


def _measure_row(points: list[Point | None], suffix: str) -> MeasureRow:
    first = next(point for point in points if point is not None)
    share = first.unit == "share"
    return MeasureRow(
        label=first.label.removesuffix(suffix),
        unit="%" if share else first.unit,
        scale=100.0 if share else 1.0,
        digits=1 if share else 3 if first.unit == "nats per token" else 2,
        cells=tuple(None if point is None else _measure_cell(point) for point in points),
    )


def _measure_cell(point: Point) -> MeasureCell:
    sign = mark(point)
    return MeasureCell(point.value, f" {sign}" if sign else "")
