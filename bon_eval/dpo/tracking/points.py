"""Measures of checkpoints as points: values with intervals, and changes from the base model as one family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np

from bon_eval.analysis.two_runs.findings import UNITS
from bon_eval.dpo.tracking.measures import ZERO_BY_DEFINITION, Array, problem_sums
from bon_eval.stats.bootstrap import UNIT, Interval, Support, bootstrap_cis
from bon_eval.stats.clusters import number_clusters
from bon_eval.stats.families import step_down
from bon_eval.stats.heavy_tails import LEAST_PROBLEMS
from bon_eval.stats.paired import PairedTest, Verdict, paired_differences, paired_tests
from bon_eval.stats.ratio_means import Word, ratio_means, ratio_tests
from bon_eval.stats.streams import streams
from bon_eval.stats.units import Count, Limits, Share

_FAMILY_DRAWS = 2_000
"""Of signs, for the hundreds of changes of one trajectory."""


Unit = str | tuple[str, int]
"""What has one number of a measure: a problem, by its id, or a pair, by its set's name and its place there."""


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """One measure at one checkpoint, a number for each problem of the task or for each pair."""

    label: str
    unit: str
    values: Array
    """(K,); the measure is their mean."""
    support: Support
    """Where the values can lie."""
    units: tuple[Unit, ...]
    """(K,): values are paired by them."""
    behind: tuple[str, ...] | None = None
    """(K,), the problem behind each pair; None where the units are problems."""

    @property
    def bounded(self) -> bool:
        """Whether the values are shares."""
        return self.support == UNIT

    @property
    def problems(self) -> tuple[str, ...]:
        """(K,), the problem of each value."""
        return tuple(map(str, self.units)) if self.behind is None else self.behind

    def at(self, units: tuple[Unit, ...]) -> Array:
        """The values of some of the units."""
        if units == self.units:
            return self.values
        places = {unit: k for k, unit in enumerate(self.units)}
        return self.values[[places[unit] for unit in units]]


@dataclass(frozen=True, slots=True)
class Point:
    """One measure at one checkpoint."""

    step: Count
    name: str
    label: str
    unit: Annotated[str, Limits(enum=(*UNITS, "nats per token"))]
    value: Interval
    change: PairedTest | None
    """From the base model; None at step 0."""
    p_family: Share | None = None
    """Step-down p-value of the change in the family of all changes of the trajectory (`bon_eval.stats.step_down`)."""
    few: bool = False
    """Whether fewer than `LEAST_PROBLEMS` units, problems or clusters, are behind the change: no verdict then."""

    @property
    def verdict(self) -> Verdict:
        """What is shown of the change, all changes of the trajectory taken together; nothing of few problems."""
        return "not shown" if self.change is None or self.few else self.change.verdict(p_value=self.p_family)


@dataclass(frozen=True, slots=True)
class Clusters:
    """What is resampled in place of problems."""

    of: Mapping[str, int] = field(default_factory=dict)
    """Problem -> number of its cluster; a problem that is not here stands by itself."""

    @property
    def word(self) -> Word:
        """For reasons."""
        return "cluster" if self.of else "problem"

    def units(self, problems: Sequence[str]) -> list[int | str]:
        """(K,), the sampling unit of each problem."""
        return [self.of.get(problem, problem) for problem in problems]


NO_CLUSTERS = Clusters()


def make_points(
    columns: Mapping[int, Mapping[str, Measured]], seed: int, draws: int, clusters: Clusters = NO_CLUSTERS
) -> list[Point]:
    """Every measure at every step, by step and then in table order, from step -> measure -> its numbers."""
    base, out = columns[0], []
    changes = {step: _changes(base, found, seed, draws, clusters) for step, found in columns.items() if step}
    family = _family(columns, changes, seed, draws, clusters)
    for step, found in columns.items():
        values: dict[str, Interval] = {}
        for k, (units, names) in enumerate(_groups({name: column.units for name, column in found.items()})):
            table, sampled = _table(found, names, units), clusters.units(found[names[0]].problems)
            supports = [found[name].support for name in names]
            rng = streams(seed)(f"values-{k}")
            if clusters.of and found[names[0]].behind is None:
                numbers = number_clusters(sampled)
                means = bootstrap_cis(table, support=list(supports), rng=rng, draws=draws, clusters=numbers)
            else:
                _, sums, sizes = problem_sums(table, sampled)
                means = ratio_means(sums, sizes, supports=supports, rng=rng, draws=draws, word=clusters.word)
            values |= zip(names, means, strict=True)
        tests = changes.get(step, {})
        out += [
            Point(
                step,
                n,
                found[n].label,
                found[n].unit,
                values[n],
                tests.get(n),
                family.get((step, n)),
                step > 0 and _changed_units(columns[0].get(n), found[n], clusters) < LEAST_PROBLEMS,
            )
            for n in found
        ]
    order = {name: k for k, name in enumerate(dict.fromkeys(n for found in columns.values() for n in found))}
    return sorted(out, key=lambda point: (point.step, order[point.name]))


def _family(
    columns: Mapping[int, Mapping[str, Measured]],
    changes: Mapping[int, Mapping[str, PairedTest]],
    seed: int,
    draws: int,
    clusters: Clusters,
) -> dict[tuple[int, str], float]:
    """Step-down p-values over all changes at all steps, which share their problems' (or clusters') signs.

    A problem counts by the sum of its changes, of which a mean over problems or pairs is a multiple.
    """
    cells = [(step, name) for step, tests in changes.items() for name in tests]
    if not cells:
        return {}
    sums: list[dict[int | str, float]] = []
    for step, name in cells:
        now, before = columns[step][name], columns[0][name]
        units = _shared(before, now)
        places = dict(zip(now.units, clusters.units(now.problems), strict=True))
        found: dict[int | str, float] = {}
        change_of = paired_differences(now.at(units), before.at(units), now.bounded)
        for place, change in zip(units, change_of.tolist(), strict=True):
            found[places[place]] = found.get(places[place], 0.0) + change
        sums.append(found)
    rows = {problem: row for row, problem in enumerate(dict.fromkeys(p for found in sums for p in found))}
    differences = np.zeros((len(rows), len(cells)))
    for k, found in enumerate(sums):
        differences[[rows[problem] for problem in found], k] = list(found.values())
    p_values = [changes[step][name].verdict_p_value for step, name in cells]
    adjusted = step_down(differences, p_values, rng=streams(seed)("family of changes"), draws=min(draws, _FAMILY_DRAWS))
    return dict(zip(cells, adjusted.tolist(), strict=True))


def _changes(
    base: Mapping[str, Measured], now: Mapping[str, Measured], seed: int, draws: int, clusters: Clusters
) -> dict[str, PairedTest]:
    """Changes of what has a number in both: a problem may have no AUROC, a pair no log of its mass, in one of them."""
    tested = {name: column for name, column in now.items() if not _is_zero_by_definition(name)}
    shared = {name: _shared(base[name], column) for name, column in tested.items() if name in base}
    out: dict[str, PairedTest] = {}
    for k, (units, names) in enumerate(_groups({name: units for name, units in shared.items() if units})):
        problems = dict(zip(now[names[0]].units, now[names[0]].problems, strict=True))
        sampled = clusters.units([problems[unit] for unit in units])
        sides = _table(now, names, units), _table(base, names, units)
        shares, rng = [now[name].bounded for name in names], streams(seed)(f"changes-{k}")
        if clusters.of and now[names[0]].behind is None:
            tests = paired_tests(*sides, shares=shares, rng=rng, draws=draws, clusters=number_clusters(sampled))
        else:
            (_, after, sizes), (_, before, _) = (problem_sums(side, sampled) for side in sides)
            tests = ratio_tests(after, before, sizes, shares=shares, rng=rng, draws=draws, word=clusters.word)
        out |= zip(names, tests, strict=True)
    return out


def _changed_units(base: Measured | None, now: Measured, clusters: Clusters) -> int:
    """Problems or clusters that have a number at both steps."""
    problems = dict(zip(now.units, now.problems, strict=True))
    shared = () if base is None else _shared(base, now)
    return len(set(clusters.units([problems[unit] for unit in shared])))


def _is_zero_by_definition(name: str) -> bool:
    return name.rpartition(".")[2] in ZERO_BY_DEFINITION


def _shared(base: Measured, now: Measured) -> tuple[Unit, ...]:
    if base.units == now.units:
        return now.units
    there = set(base.units)
    return tuple(unit for unit in now.units if unit in there)


def _groups(units: Mapping[str, tuple[Unit, ...]]) -> list[tuple[tuple[Unit, ...], list[str]]]:
    """Names by the units that they have numbers of: those of one group share their resampled problems."""
    found: dict[tuple[Unit, ...], list[str]] = {}
    for name, of_name in units.items():
        found.setdefault(of_name, []).append(name)
    return list(found.items())


def _table(columns: Mapping[str, Measured], names: Sequence[str], units: tuple[Unit, ...]) -> Array:
    return np.column_stack([columns[name].at(units) for name in names])
