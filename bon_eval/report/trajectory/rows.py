"""The rows of trajectory.json, column by column, and the document that they make."""

from __future__ import annotations

from typing import Any

from bon_eval.dpo.tracking.points import Point
from bon_eval.dpo.tracking.trajectory import Trajectory
from bon_eval.dpo.training.checkpoints import Stage
from bon_eval.report.formats.columns import (
    Column,
    Keyed,
    Many,
    Maybe,
    Row,
    Stored,
    later,
    limits,
    own,
    renamed,
    stamp,
    where_tested,
)
from bon_eval.stats import Interval, PairedTest

FORMAT_VERSION = 2
"""Of trajectory.json."""

_BASE = Stored({}, required=("config", "versions", "engine"))

CHANGE = Row[PairedTest](
    "change",
    (
        *renamed(PairedTest, estimate="difference"),
        *limits(),
        *where_tested(own(PairedTest, "p_value")),
        *own(PairedTest, "method", "marked"),
    ),
    finite=True,
)

_POINT = Row[Point](
    "point",
    (
        *own(Point, "step", "name", "label", "unit", "value.estimate"),
        *limits("value."),
        *own(Point, "value.method", "value.marked"),
        Column("change", Maybe(CHANGE), lambda point: point.change),
        *where_tested(own(Point, "p_family"), "change"),
        *own(Point, "verdict"),
    ),
    finite=True,
)

_LIMITS = Row[Interval](
    "limits",
    (*own(Interval, "estimate"), *limits(), *own(Interval, "method", "marked")),
    finite=True,
)

_CHES = Row[tuple[Interval, Interval]](
    "",
    (
        Column("ches", _LIMITS, lambda found: found[0]),
        Column("length_normalised", _LIMITS, lambda found: found[1]),
    ),
)

_STAGES = (
    "The trainings of a chain in their order, each with the steps before it and with the last of it; left out where "
    "one training was followed."
)
_STAGE = Row[Stage]("", own(Stage, "directory", "method", "loss", "first", "last"))

DOCUMENT = Row[Trajectory](
    "",
    (
        *stamp("bon-eval trajectory", FORMAT_VERSION),
        Column("base", _BASE, lambda found: {key: found.base[key] for key in _BASE.required}),
        *own(Trajectory, "n"),
        *renamed(Trajectory, problems="n_problems"),
        *own(Trajectory, "cluster", "n_clusters"),
        *renamed(Trajectory, pairs="pair_counts", probes="probe_counts"),
        *own(Trajectory, "beta", "steps", "skipped", "base_source"),
        *later(Column("stages", Many(_STAGE, 2), lambda found: found.stages, description=_STAGES)),
        *later(*own(Trajectory, "sampled", "unclustered")),
        Column("ches", Keyed(_CHES), lambda found: found.ches),
        Column("points", Many(_POINT), lambda found: found.points),
    ),
    description="trajectory.json: every measure at every checkpoint of a training, with its paired change from the "
    "base model (step 0). Shares are fractions of 1; log-likelihoods are nats per response.",
)


def document(found: Trajectory) -> dict[str, Any]:
    """The content of trajectory.json."""
    content = DOCUMENT.json(found)
    if not found.stages:
        del content["stages"]
    return content
