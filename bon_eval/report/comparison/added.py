"""What a training added, as text, as rows of compare.json and as compare_curves.csv."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import Any, Literal

from bon_eval.analysis.two_runs.added import Added, ByChance, CurvePoint, Rank, SolvedSets
from bon_eval.analysis.two_runs.added_verdict import crossing_text
from bon_eval.analysis.two_runs.comparison import Comparison
from bon_eval.estimators.two_pools.crossover import Crossover
from bon_eval.report.comparison.change_rows import CHANGE
from bon_eval.report.comparison.tables import changes_table, difference_text, heads, interval_text
from bon_eval.report.formats.columns import (
    Column,
    CsvRow,
    Keyed,
    Many,
    Maybe,
    Row,
    interval,
    limits,
    own,
    renamed,
    where_tested,
)
from bon_eval.report.formats.text import ends, text_table

_End = float | Literal["at most 1", "none up to N"] | None


def _in_words(field: str) -> Any:
    get = attrgetter(field)

    def value(row: Crossover) -> object:
        number = get(row)
        return None if math.isnan(number) else {1.0: "at most 1", math.inf: "none up to N"}.get(number, number)

    return value


def _tested(cls: type[Any], name: str) -> tuple[Column[Any], ...]:
    """A field that is a test of two shares."""
    return (
        Column(f"{name}_difference", float, attrgetter(f"{name}.difference")),
        *limits(f"{name}.", f"{name}_difference_"),
        *renamed(cls, **{f"{name}_method": f"{name}.method"}),
    )


_POINT = Row[CurvePoint](
    "curvePoint",
    (
        *own(CurvePoint, "k"),
        *interval(CurvePoint, "before"),
        *interval(CurvePoint, "after"),
        *own(CurvePoint, "difference.difference"),
        *limits("difference.", "difference_"),
        *renamed(CurvePoint, difference_method="difference.method"),
        *where_tested(own(CurvePoint, "difference.p_value"), "difference"),
    ),
    finite=True,
)
_CROSSOVER = Row[Crossover](
    "crossover",
    (
        *(Column[Crossover](name, _End, _in_words(name)) for name in ("estimate", "low", "high")),
        *own(Crossover, "largest"),
    ),
)
_SHARES = ("kept", "lost", "gained", "neither")
_SOLVED = Row[SolvedSets](
    "", (*own(SolvedSets, "n"), *(column for name in _SHARES for column in interval(SolvedSets, name)))
)
_BY_CHANCE = Row[ByChance](
    "",
    (
        *own(ByChance, "n"),
        *(
            column
            for name in ("lost", "lost_by_chance", "gained", "gained_by_chance")
            for column in interval(ByChance, name)
        ),
        *_tested(ByChance, "lost_beyond"),
        *_tested(ByChance, "gained_beyond"),
    ),
)
_RANK = Row[Rank]("", (*own(Rank, "by"), *interval(Rank, "rank"), *_tested(Rank, "difference")))
_Direction = Literal["before above after", "after above before"]

ADDED = Row[Added](
    "",
    (
        *own(Added, "n"),
        Column("pass_at_k", Many(_POINT, 1), lambda found: found.pass_at_k),
        Column("crossovers", Keyed(_CROSSOVER, _Direction), lambda found: found.crossovers),
        Column("solved", _SOLVED, lambda found: found.solved),
        Column(
            "by_chance",
            Maybe(_BY_CHANCE),
            lambda found: found.by_chance,
            description="Lost and gained at half of n, beside what two pools of that size of one run lose; null where "
            "n is 1.",
        ),
        Column(
            "thresholds",
            Many(_POINT, 1),
            lambda found: found.thresholds,
            description="Shares of problems of which at least k of n samples are correct.",
        ),
        Column("quantities", Many(CHANGE), lambda found: found.quantities),
        Column("ranks", Many(_RANK), lambda found: found.ranks),
    ),
    description="What the second run's model solves that the first one's does not, and the other way round, of n "
    "samples.",
)


def curve_rows(found: Added) -> Iterator[CsvRow]:
    """Every point of both curves, for compare_curves.csv."""
    for curve, points in (("pass@k", found.pass_at_k), (f"at least k of {found.n}", found.thresholds)):
        for point in points:
            yield {"curve": curve, **_POINT.cells(point)}


def heading(found: Comparison) -> str:
    """The question that the section answers."""
    first, second = found.names.sides
    return (
        "Did training add, or only sharpen?"
        if found.names.tuning
        else f"What does {second} solve that {first} does not?"
    )


def added_lines(found: Comparison) -> list[str]:
    """The section for the terminal, without its verdict; the curves at powers of two and at the last k."""
    added = found.added
    if added is None:
        return []
    sides = found.names.sides
    lines = [heading(found), ""]
    for title, points in (("pass@k", shown_points(added)), ("correct of n", shown_thresholds(added))):
        rows = [heads(title, sides)[:-1]]
        for point in points:
            label = f"k = {point.k}" if title == "pass@k" else f"at least {point.k} of {added.n}"
            cells = (interval_text(side, 3, 2) for side in (point.before, point.after))
            rows.append((label, *cells, difference_text(point.difference, 3)))
        lines += [*text_table(rows), ""]
    return [*lines, *changes_table("quantity", [(c.label, c) for c in added.quantities], sides), ""]


def shown_points(found: Added) -> list[CurvePoint]:
    """pass@k at powers of two and at the last k."""
    return [point for point in found.pass_at_k if point.k & (point.k - 1) == 0 or point.k == found.n]


def shown_thresholds(found: Added) -> list[CurvePoint]:
    """Coverage at thresholds of quarters."""
    wanted = {1, *(math.ceil(found.n * part / 4) for part in (1, 2, 3, 4))}
    return [point for point in found.thresholds if point.k in wanted]


def added_text(found: Comparison) -> dict[str, str]:
    """What stands in the section besides curves and quantities, by its label."""
    added, names = found.added, found.names
    if added is None:
        return {}
    solved = added.solved
    of = {
        "kept": "by both",
        "lost": f"{names.places[0]} alone",
        "gained": f"{names.places[1]} alone",
        "neither": "by neither",
    }
    out = {
        "crossover": crossing_text(added, added.leads(), names),
        f"solved within {solved.n} samples": ", ".join(
            f"{_percent(getattr(solved, name))} {where}{f' ({name})' if name != 'neither' else ''}"
            for name, where in of.items()
        ),
    }
    if (chance := added.by_chance) is not None:
        parts = (
            f"{name} {_percent(share)}, and by chance {_percent(by_chance)} between two {names.pools(side)}: "
            f"{100 * beyond.difference:+z.1f} points{ends(beyond.low, beyond.high, '+z.1f', 100.0)} beyond chance"
            for name, share, by_chance, beyond, side in (
                ("lost", chance.lost, chance.lost_by_chance, chance.lost_beyond, 0),
                ("gained", chance.gained, chance.gained_by_chance, chance.gained_beyond, 1),
            )
        )
        out[f"within {chance.n}"] = "; ".join(parts)
    for rank in added.ranks:
        text = f"{rank.rank.estimate:.3f}{ends(rank.rank.low, rank.rank.high, '.3f')}"
        out[f"rank of {names.sample(1)} in the {names.adjectives[0]} pool by {names.adjectives[0]} {rank.by}"] = (
            f"{text} of it is less likely; 0.5 for {names.sample(0)}"
        )
    return out


def _percent(share: Any) -> str:
    return f"{100 * share.estimate:.1f} %{ends(share.low, share.high, '.1f', 100.0)}"


def absent(found: Comparison) -> Mapping[str, str]:
    """Why what belongs to the section is not there."""
    if found.added is None:
        return {}
    out = {f"crossovers.{name}": c.reason for name, c in found.added.crossovers.items() if c.reason}
    if found.added.by_chance is None:
        out["by chance"] = "two pools of one run take two samples of it or more"
    if not found.added.ranks:
        why = found.reasons.get("log_likelihood_base", "the runs were not scored by each other's models")
        out["rank in the other run's pool"] = why
    return out
