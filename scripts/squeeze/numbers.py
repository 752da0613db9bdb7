"""What a claim's part is made of: a measure's course under a condition, and the number of it that the part asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from bon_eval.dpo.tracking.courses import Course, What, course, minus
from bon_eval.dpo.tracking.summaries import summarise, trapezoids
from bon_eval.dpo.tracking.trajectory import Trajectory
from bon_eval.errors import ConfigError
from bon_eval.stats.bootstrap import Interval

BASE = "base"
"""The condition's name for the base model itself."""
When = Literal["last", "mean", "some"]
"""Of a training: its last checkpoint, the area under its course by its length, or the checkpoint that shows it best."""
Trajectories = Mapping[str, Sequence[Trajectory]]
"""Condition -> one trajectory for each seed."""
_LAST = (1,)
"""Steps of a course that is cut down to its last checkpoint, so that trainings of other lengths can be subtracted."""


def measured(trajectories: Trajectories, condition: str, measure: str, what: What, when: When) -> Course:
    """A measure's course through a condition's trainings; the base model has no seeds and stands there once.

    Raises:
        ConfigError: no such condition or measure.
    """
    seeds = next(iter(trajectories.values()))[:1] if condition == BASE else trajectories.get(condition)
    if not seeds:
        raise ConfigError(f"a claim names condition {condition!r}, which there is not")
    if condition == BASE:
        if what == "change" or when != "last":
            raise ConfigError(f"a claim asks for a course of {measure!r} at the base model, which has values alone")
        if measure not in seeds[0].columns[0]:
            raise ConfigError(f"a claim names measure {measure!r}, which the base model has not")
        return _only(course(_at_step_0(seeds), measure, "value"), 0)
    found = course(seeds, measure, what)
    if when == "last":
        return _only(found, len(found.steps) - 1)
    return found


def subtracted(a: Course, b: Course, other: str) -> Course:
    """The difference of two courses, named by the condition that is subtracted."""
    return replace(minus(a, b), label=f"{a.label} minus {other}: {b.label}")


def number(
    found: Course, when: When, sign: int, *, seed: int, draws: int, confidence: float
) -> tuple[Interval, tuple[float, ...]]:
    """The number that is asked for, and the same of every seed.

    Args:
        found: as `measured` gives it.
        when: which number.
        sign: of ``some``: 1 the highest checkpoint, -1 the lowest.
        seed, draws, confidence: of the interval.
    """
    summary = summarise(found, seed=seed, draws=draws, confidence=confidence)
    if when == "last":
        return summary.last, tuple(found.means[:, -1].tolist())
    if when == "mean":
        return summary.mean, tuple((found.means @ trapezoids(found.steps)).tolist())
    extreme = summary.highest if sign == 1 else summary.lowest
    return extreme.value, tuple(found.means[:, found.steps.index(extreme.step)].tolist())


def _at_step_0(seeds: Sequence[Trajectory]) -> list[Trajectory]:
    """Trajectories whose only checkpoint is the base model, as if it were one."""
    return [replace(t, steps=_LAST, columns={_LAST[0]: t.columns[0], 0: {}}) for t in seeds]


def _only(found: Course, k: int) -> Course:
    """A course of checkpoint k alone."""
    at = slice(k, k + 1)
    return replace(found, steps=_LAST, sums=found.sums[:, :, at], sizes=found.sizes[:, :, at])
