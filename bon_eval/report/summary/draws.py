"""What a summary shows of the draws besides greedy and the pool: of each run's report.json those that it has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bon_eval.report.formats.columns import CsvRow


@dataclass(frozen=True, slots=True)
class SummaryArm:
    """A way to answer from a draw; accuracies are fractions of 1, points are percentage points."""

    arm: str
    """``mean``, ``best-of-n`` or ``vote``."""
    n: int
    scorer: str | None
    """What best-of-n picks by; None for the others."""
    accuracy: float
    accuracy_low: float | None
    accuracy_high: float | None
    lift_points: float
    low: float | None
    high: float | None
    """95 % interval of `lift_points`, paired by problem; None where there is none, as are the accuracy's."""

    @property
    def name(self) -> str:
        """What it is, of its draw.

        >>> SummaryArm("vote", 8, None, 0.5, 0.4, 0.6, 10.0, 2.0, 18.0).name
        'vote-of-8'
        """
        return {"mean": "one response", "best-of-n": f"best-of-{self.n}", "vote": f"vote-of-{self.n}"}[self.arm]


@dataclass(frozen=True, slots=True)
class SummaryDraw:
    """A draw of one run."""

    draw: str
    n: int
    temperature: float
    top_p: float
    top_k: float
    min_p: float
    arms: tuple[SummaryArm, ...]
    """One response, best-of-n by the run's primary scorer and the vote of all n; the first alone where n is 1."""


def draws_of(report: Mapping[str, Any]) -> tuple[SummaryDraw, ...]:
    """The draws of a report.json; none of one that was written before there were any."""
    scorer = report["analysis"]["primary_scorer"]
    return tuple(
        SummaryDraw(
            **{name: draw[name] for name in ("draw", "n", "temperature", "top_p", "top_k", "min_p")},
            arms=tuple(_arm(arm) for arm in draw["arms"] if _is_main(arm, draw["n"], scorer)),
        )
        for draw in report.get("draws", ())
    )


def draw_cells(draw: SummaryDraw) -> Iterator[CsvRow]:
    """For CSV a row for each arm."""
    for arm in draw.arms:
        yield {
            **{name: getattr(draw, name) for name in ("draw", "temperature", "top_p", "top_k", "min_p")},
            **{name: getattr(arm, name) for name in ("arm", "n", "scorer")},
            **{name: getattr(arm, name) for name in ("accuracy", "accuracy_low", "accuracy_high", "lift_points")},
            "lift_points_low": arm.low,
            "lift_points_high": arm.high,
        }


def _is_main(arm: Mapping[str, Any], n: int, scorer: str) -> bool:
    kinds = (("best-of-n", scorer), ("vote", None))
    return arm["arm"] == "mean" or (arm["n"] == n and (arm["arm"], arm["scorer"]) in kinds)


def _arm(arm: Mapping[str, Any]) -> SummaryArm:
    same = ("arm", "n", "scorer", "accuracy", "accuracy_low", "accuracy_high", "lift_points")
    return SummaryArm(**{name: arm[name] for name in same}, low=arm["lift_points_low"], high=arm["lift_points_high"])
