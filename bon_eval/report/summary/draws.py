"""What a summary shows of the draws besides greedy and the pool: of each run's report.json those that it has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bon_eval.report.formats.columns import CsvRow
from bon_eval.report.formats.csv_json import to_csv


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
    """One response, best-of-n by the summary's scorer and the vote of all n; the first alone where n is 1."""


def draws_of(report: Mapping[str, Any], scorer: str) -> tuple[SummaryDraw, ...]:
    """The draws of a report.json, best-of-n by a scorer; none of one that was written before there were any."""
    return tuple(
        SummaryDraw(
            **{name: draw[name] for name in ("draw", "n", "temperature", "top_p", "top_k", "min_p")},
            arms=tuple(_arm(arm) for arm in draw["arms"] if _is_main(arm, draw["n"], scorer)),
        )
        for draw in report.get("draws", ())
    )


def draws_csv(runs: Iterable[tuple[Mapping[str, str], Sequence[SummaryDraw]]]) -> str:
    """One row for each arm of each draw of a run; shares are fractions of 1, lifts over greedy in percentage points.

    Empty where there are no draws. `runs`: model, task and run of each, and its draws.
    """
    rows = [{**names, **cells} for names, draws in runs for draw in draws for cells in _cells(draw)]
    return to_csv(rows) if rows else ""


def _cells(draw: SummaryDraw) -> Iterator[CsvRow]:
    """A row for each arm."""
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
