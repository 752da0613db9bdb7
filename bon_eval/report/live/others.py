"""What is said of comparisons, trainings, trackings and summaries, for their lines of the index."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bon_eval.dpo.training.checkpoints import TRAINING_FILE, read_training
from bon_eval.errors import StoreError, counted, first_line
from bon_eval.report.formats.text import model_name
from bon_eval.report.live.entries import Heading, State
from bon_eval.report.live.memo import Memo, Unreadable, at, read_object, text_at
from bon_eval.report.live.progress import Owners
from bon_eval.report.live.runs import read_run_at
from bon_eval.report.live.tree import Place

_STEP = re.compile(r"checkpoint-(\d{1,12})")
SUMMARY_TABLES = ("summary.csv", "summary_imported.csv")
"""Between them a row or more for each run of a summary."""
_LEADING = ("accuracy.greedy", "accuracy.sample", "accuracy.best_own")
"""Measures of a trajectory of which the first that it has is told."""


@dataclass(frozen=True, slots=True)
class Other:
    """What is no run."""

    heading: Heading
    verdict: str = ""


def read_comparison(path: Path) -> Other:
    """Of compare.json, of two runs or of several; raises `StoreError` where it is damaged."""
    content = read_object(path)
    several = at(content, "runs")
    runs = several if isinstance(several, list) else [content.get("before"), content.get("after")]
    configs = [config for run in runs if isinstance(config := at(run, "config"), dict)]
    if len(configs) < 2 or not all({"model", "task"} <= config.keys() for config in configs):
        raise StoreError(f"{path.name} is damaged: it does not name the models and tasks of its runs")
    models = [model_name(config) for config in configs]
    given = at(content, "names")
    names = [str(name) for name in given] if isinstance(given, list) else []
    note = "" if not names or names == models else ", ".join(names)
    verdict = text_at(content, "findings", 0, "sentence") or text_at(content, "sentences", 0) or ""
    return Other(Heading("comparison", " and ".join(models), _together(str(c["task"]) for c in configs), note), verdict)


def read_trajectory(path: Path) -> Other:
    """Of trajectory.json; raises `StoreError` where it is damaged."""
    content = read_object(path)
    config, steps = at(content, "base", "config"), at(content, "steps")
    if not isinstance(config, dict) or not {"model", "task"} <= config.keys() or not isinstance(steps, list):
        raise StoreError(f"{path.name} is damaged: it does not name its model, task and steps")
    note = f"steps {steps[0]} to {steps[-1]}" if steps else ""
    return Other(Heading("tracking", model_name(config), str(config["task"]), note), _change(content, steps))


def _change(content: Mapping[str, Any], steps: list[Any]) -> str:
    """What the training has changed at its last checkpoint, in a sentence."""
    points = content.get("points")
    listed = [point for point in points if isinstance(point, dict)] if isinstance(points, list) else []
    last = {str(point.get("name")): point for point in listed if steps and point.get("step") == steps[-1]}
    name = next((name for name in (*_LEADING, *last) if name in last), None)
    if name is None:
        return ""
    point = last[name]
    scale, unit, form = (100.0, "points", ".1f") if point.get("unit") == "share" else (1.0, point.get("unit"), ".2f")
    value, label = point.get("estimate"), point.get("label")
    difference, low, high = (at(point, "change", end) for end in ("estimate", "low", "high"))
    if not isinstance(value, (int, float)):
        return ""
    said = f"After step {steps[-1]}: {label} {value:.3f}"
    if not isinstance(difference, (int, float)):
        return f"{said}."
    ends = ""
    if isinstance(low, (int, float)) or isinstance(high, (int, float)):
        limits = (f"{scale * end:+{form}}" if isinstance(end, (int, float)) else "no bound" for end in (low, high))
        ends = f" [{', '.join(limits)}]"
    shown = "" if point.get("verdict") in ("higher", "lower") else "; a change is not shown"
    return f"{said}, {scale * difference:+{form}} {unit}{ends} from the base model{shown}."


def tracking(place: Place, memo: Memo, owners: Owners | None) -> tuple[Other | Unreadable, State]:
    """A tracking, finished or not; without `owners` nobody asks whether a process works on it."""
    content = memo.of(place.path / "track.json", "track", _read_complete)
    told = memo.of(place.path / "trajectory.json", "trajectory", read_trajectory)
    going = owners is not None and owners.has(place.path)
    if isinstance(content, Unreadable):
        return content, State("unreadable", content.why, bad=True)
    if told is not None and not isinstance(told, Unreadable):
        state = State("measuring again", going=True) if going else State("reported" if content else "measured in part")
        return told, state
    base = read_run_at(memo, place.path / "runs" / "base")
    known = None if base is None or isinstance(base, Unreadable) else base.heading
    heading = Heading("tracking", "" if known is None else known.model, "" if known is None else known.task)
    if isinstance(told, Unreadable):
        return Other(heading), State("measured", told.why, bad=True)
    models = _count_folders(place.path / "forced")
    if going:
        return Other(heading), State("measuring", f"{counted(models, 'model')} so far", going=True)
    word = "measured" if content else "stopped"
    return Other(heading), State(word, "the same bon-eval track command goes on")


def _read_complete(path: Path) -> bool:
    return read_object(path).get("complete") is True


def _count_folders(path: Path) -> int:
    try:
        return sum(entry.is_dir() for entry in path.iterdir())
    except OSError:
        return 0


def training(place: Place, memo: Memo, owners: Owners | None) -> tuple[Other | Unreadable, State]:
    """A training, as `tracking`."""
    found = memo.of(place.path / TRAINING_FILE, "training", _read_settings)
    if found is None:
        found = Unreadable(f"{TRAINING_FILE} is a link or gone")
    if isinstance(found, Unreadable):
        return found, State("unreadable", found.why, bad=True)
    heading, steps = found
    done = max((int(m[1]) for name in place.folders if (m := _STEP.fullmatch(name))), default=0)
    detail = f"{done} of {counted(steps, 'step')} saved"
    if owners is not None and owners.has(place.path):
        return Other(heading), State("training", detail, going=True)
    if done >= steps:
        return Other(heading), State("trained", counted(steps, "step"))
    return Other(heading), State("stopped", f"{detail}; the same command goes on")


def _read_settings(path: Path) -> tuple[Heading, int]:
    stored = read_training(path)
    settings = stored["settings"]
    method, loss = text_at(settings, "method") or "training", text_at(settings, "loss")
    start = text_at(stored, "start", "directory")
    note = ", ".join(filter(None, (loss and f"loss {loss}", start and f"from {start}")))
    return Heading("training", "", method, note), int(settings["steps"])


def read_summary(path: Path) -> Other:
    """Of a summary, by the rows of its summary.csv; raises `StoreError` where it cannot be read."""
    rows: list[dict[str, str]] = []
    try:
        for name in SUMMARY_TABLES:
            file = path.parent / name
            if file.is_file() and not file.is_symlink():
                with file.open(encoding="utf-8", newline="") as lines:
                    rows += csv.DictReader(lines)
    except (UnicodeDecodeError, csv.Error) as error:
        raise StoreError(f"{name} is damaged: {first_line(error)}") from error
    runs = len({(row.get("model"), row.get("task"), row.get("run")) for row in rows})
    models = {row.get("model") or "" for row in rows}
    tasks = _together(row.get("task") or "" for row in rows)
    model = next(iter(models)) if len(models) == 1 else counted(len(models), "model")
    return Other(Heading("summary", model, tasks, counted(runs, "run")))


def _together(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))
