"""A stored tracking in, one trajectory out: every measure at every checkpoint, with its change from the base model.

No model is touched. Problems are the sampling unit; changes are paired by problem (by the problems behind the pairs,
for pair measures). All randomness comes from one seed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from bon_eval.analysis.findings import UNITS
from bon_eval.analysis.sides import LABELS, Side, accuracies, quantities, unit
from bon_eval.dpo.tracking.forced import read_forced
from bon_eval.dpo.tracking.measures import PAIR_MEASURES, Array, pair_measures, problem_sums, side_scores
from bon_eval.dpo.tracking.plan import BASE_BEST, BASE_GREEDY
from bon_eval.dpo.tracking.track import FORMAT
from bon_eval.errors import StoreError
from bon_eval.estimators import within_problem_auroc
from bon_eval.stats.bootstrap import UNBOUNDED, Interval
from bon_eval.stats.families import step_down
from bon_eval.stats.paired import PairedTest, Verdict
from bon_eval.stats.ratio_means import ratio_means, ratio_tests
from bon_eval.stats.streams import streams
from bon_eval.stats.units import Count, Limits, Positive, Share, Size
from bon_eval.store.forced import load_forced_by
from bon_eval.store.reader import Run, load_run

_FAMILY_DRAWS = 2_000
"""Of signs, for the hundreds of changes of one trajectory."""

Unit = str | tuple[str, int]
"""What has one number of a measure: a problem, by its id, or a pair, by its set's name and its place there."""


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One measure at one checkpoint, a number for each problem of the task or for each pair."""

    label: str
    unit: str
    values: Array
    """(K,); the measure is their mean."""
    bounded: bool
    """Whether the values are shares in [0, 1]."""
    units: tuple[Unit, ...]
    """(K,): values are paired by them."""
    behind: tuple[str, ...] | None = None
    """(K,), the problem behind each pair; None where the units are problems."""

    @property
    def problems(self) -> tuple[str, ...]:
        """(K,), the sampling unit of each value."""
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

    @property
    def verdict(self) -> Verdict:
        """What is shown of the change, all changes of the trajectory taken together."""
        return "not shown" if self.change is None else self.change.verdict(p_value=self.p_family)


@dataclass(frozen=True, slots=True, eq=False)
class Trajectory:
    """Everything that `bon-eval track` prints."""

    steps: Annotated[tuple[Count, ...], Limits(min_items=2)]
    points: tuple[Point, ...]
    """By step, then in table order."""
    columns: Mapping[int, Mapping[str, Column]]
    """Step -> measure -> its numbers; for further statistics over several trajectories."""
    ches: Mapping[str, tuple[Interval, Interval]]
    """Pair set -> CHES and its length-normalised form at the base model, means over pairs."""
    n: Size
    n_problems: Size
    pair_counts: Mapping[str, Size]
    probe_counts: Mapping[str, Size]
    beta: Positive
    base: Mapping[str, Any]
    """run.json of the base run."""
    skipped: tuple[str, ...]

    @property
    def by_place(self) -> dict[tuple[int, str], Point]:
        """The points by step and name."""
        return {(point.step, point.name): point for point in self.points}

    def at(self, step: int, name: str) -> Point:
        """One point; KeyError where there is none."""
        if (point := self.by_place.get((step, name))) is None:
            raise KeyError(f"no {name} at step {step}")
        return point

    def series(self, name: str) -> list[Point]:
        """One measure over all steps where it exists."""
        return [point for point in self.points if point.name == name]


def load_trajectory(out: Path, *, seed: int = 0, draws: int = 10_000, intervals: bool = True) -> Trajectory:
    """Read a tracking directory and compute every measure.

    Args:
        out: the tracking directory.
        seed: of all randomness.
        draws: bootstrap and permutation draws.
        intervals: False leaves `points` and `ches` empty, for statistics over several trajectories by `columns`.

    Raises:
        StoreError: no tracking, an unfinished one, or one with damaged files.
    """
    path = out / "track.json"
    if not path.is_file():
        raise StoreError(f"{out} is not a tracking directory: it has no track.json")
    stored = json.loads(path.read_text(encoding="utf-8"))
    if stored.get("format") != FORMAT:
        raise StoreError(f"{path} is not of tracking format {FORMAT}; read it with the version that wrote it")
    if not stored["complete"]:
        raise StoreError(f"{out} is unfinished; run the same `bon-eval track` command to finish it")
    base_run = load_run(out / "runs" / "base")
    base_side = Side.of_base(base_run)
    forced_base = _scores(out, "base")
    columns: dict[int, dict[str, Column]] = {}
    for step, name in [(0, "base"), *((int(c["step"]), str(c["run"])) for c in stored["checkpoints"])]:
        forced = forced_base if step == 0 else _scores(out, name)
        found = _arms(out / "runs" / name, base_run, base_side, seed) if step else _side_columns(base_side, seed)
        own = base_run.pool.log_likelihood.max(axis=1), base_run.greedy.log_likelihood[:, 0]
        for set_name, label, at_base in (
            (BASE_BEST, f"log-likelihood of base best-of-{base_run.pool.n}", own[0]),
            (BASE_GREEDY, "log-likelihood of base greedy", own[1]),
        ):
            values = at_base if step == 0 else forced[set_name].log_likelihood
            key = f"log_likelihood.{set_name.replace('/', '_')}"
            found[key] = Column(label, "nats", values, False, base_run.pool.problem_ids)
        for set_name, facts in stored["pairs"].items():
            found |= _pair_columns(set_name, facts["problem_ids"], forced_base, forced, stored["beta"])
        for set_name, facts in stored["probes"].items():
            values, ids = forced[set_name].log_likelihood, tuple(facts["problem_ids"])
            units = tuple((set_name, k) for k in range(len(ids)))
            label = f"log-likelihood of {set_name}"
            found[f"{set_name}.log_likelihood"] = Column(label, "nats", values, False, units, ids)
        columns[step] = found
    return Trajectory(
        steps=tuple(columns),
        points=tuple(_points(columns, seed, draws)) if intervals else (),
        columns=columns,
        ches=_ches(out, stored["pairs"], seed, draws) if intervals else {},
        n=base_run.pool.n,
        n_problems=len(base_run.pool.problem_ids),
        pair_counts={name: len(facts["problem_ids"]) for name, facts in stored["pairs"].items()},
        probe_counts={name: len(facts["problem_ids"]) for name, facts in stored["probes"].items()},
        beta=float(stored["beta"]),
        base=base_run.meta,
        skipped=tuple(stored["skipped"]),
    )


def _scores(out: Path, name: str) -> dict[str, Any]:
    return {key: side_scores(forced) for key, forced in read_forced(out / "forced" / f"{name}.parquet").items()}


def _arms(directory: Path, base: Run, base_side: Side, seed: int) -> dict[str, Column]:
    run = load_run(directory)
    if run.pool.problem_ids != base_side.pool.problem_ids:
        raise StoreError(f"{directory} holds other problems than the base run; track again into another directory")
    return _side_columns(Side.of_tuned(run, load_forced_by(run, base)), seed)


def _side_columns(side: Side, seed: int) -> dict[str, Column]:
    n, ids = side.pool.n, side.pool.problem_ids
    found = {
        f"accuracy.{name}": Column(f"accuracy, {LABELS[name].format(n=n)}", "share", values, True, ids)
        for name, values in accuracies(side, n, streams(seed)).items()
    }
    for name, values in quantities(side, n).items():
        found[name] = Column(LABELS[name].format(n=n), unit(name), values, unit(name) == "share", ids)
    auroc = within_problem_auroc(side.pool.log_likelihood, side.pool.correct)
    both = np.isfinite(auroc)
    if both.any():
        kept = tuple(problem for problem, k in zip(ids, both, strict=True) if k)
        found["auroc"] = Column("AUROC of log-likelihood within problems", "share", auroc[both], True, kept)
    return found


def _pair_columns(
    set_name: str, problem_ids: Sequence[str], base: Mapping[str, Any], now: Mapping[str, Any], beta: float
) -> dict[str, Column]:
    sides = [scores[f"{set_name}/{side}"] for scores in (base, now) for side in ("chosen", "rejected")]
    found = {}
    for name, values in pair_measures(*sides, beta=beta).items():
        kind = PAIR_MEASURES[name]
        kept = np.isfinite(values)
        if not kept.any():
            continue
        # A response whose every argmax is saturated has no log of the mass outside it: it takes no part.
        places = np.flatnonzero(kept).tolist()
        units, ids = tuple((set_name, k) for k in places), tuple(problem_ids[k] for k in places)
        label = f"{kind.label} ({set_name})"
        found[f"{set_name}.{name}"] = Column(label, kind.unit, values[kept], kind.unit == "share", units, ids)
    return found


def _ches(out: Path, pairs: Mapping[str, Any], seed: int, draws: int) -> dict[str, tuple[Interval, Interval]]:
    stored = json.loads((out / "forced" / "ches.json").read_text(encoding="utf-8"))
    found = {}
    for name, facts in pairs.items():
        _, sums, sizes = problem_sums(np.asarray(stored[name], dtype=np.float64)[:, :2], facts["problem_ids"])
        both = ratio_means(sums, sizes, supports=[UNBOUNDED] * 2, rng=streams(seed)("ches"), draws=draws)
        found[name] = (both[0], both[1])
    return found


def _points(columns: Mapping[int, Mapping[str, Column]], seed: int, draws: int) -> list[Point]:
    base, out = columns[0], []
    changes = {step: _changes(base, found, seed, draws) for step, found in columns.items() if step}
    family = _family(columns, changes, seed, draws)
    for step, found in columns.items():
        values: dict[str, Interval] = {}
        for k, (units, names) in enumerate(_groups({name: column.units for name, column in found.items()})):
            _, sums, sizes = problem_sums(_table(found, names, units), found[names[0]].problems)
            supports = [(0.0, 1.0) if found[name].bounded else UNBOUNDED for name in names]
            rng = streams(seed)(f"values-{k}")
            values |= zip(names, ratio_means(sums, sizes, supports=supports, rng=rng, draws=draws), strict=True)
        tests = changes.get(step, {})
        out += [
            Point(step, n, found[n].label, found[n].unit, values[n], tests.get(n), family.get((step, n))) for n in found
        ]
    order = {name: k for k, name in enumerate(dict.fromkeys(n for found in columns.values() for n in found))}
    return sorted(out, key=lambda point: (point.step, order[point.name]))


def _family(
    columns: Mapping[int, Mapping[str, Column]],
    changes: Mapping[int, Mapping[str, PairedTest]],
    seed: int,
    draws: int,
) -> dict[tuple[int, str], float]:
    """Step-down p-values over all changes at all steps, which share their problems' signs.

    A problem counts by the sum of its changes, of which a mean over problems or pairs is a multiple.
    """
    cells = [(step, name) for step, tests in changes.items() for name in tests]
    if not cells:
        return {}
    sums: list[dict[str, float]] = []
    for step, name in cells:
        now, before = columns[step][name], columns[0][name]
        units = _shared(before, now)
        places = dict(zip(now.units, now.problems, strict=True))
        found: dict[str, float] = {}
        for place, change in zip(units, (now.at(units) - before.at(units)).tolist(), strict=True):
            found[places[place]] = found.get(places[place], 0.0) + change
        sums.append(found)
    rows = {problem: row for row, problem in enumerate(dict.fromkeys(p for found in sums for p in found))}
    differences = np.zeros((len(rows), len(cells)))
    for k, found in enumerate(sums):
        differences[[rows[problem] for problem in found], k] = list(found.values())
    p_values = [changes[step][name].verdict_p_value for step, name in cells]
    adjusted = step_down(differences, p_values, rng=streams(seed)("family of changes"), draws=min(draws, _FAMILY_DRAWS))
    return dict(zip(cells, adjusted.tolist(), strict=True))


def _changes(base: Mapping[str, Column], now: Mapping[str, Column], seed: int, draws: int) -> dict[str, PairedTest]:
    """Changes of what has a number in both: a problem may have no AUROC, a pair no log of its mass, in one of them."""
    shared = {name: _shared(base[name], column) for name, column in now.items() if name in base}
    out: dict[str, PairedTest] = {}
    for k, (units, names) in enumerate(_groups({name: units for name, units in shared.items() if units})):
        problems = dict(zip(now[names[0]].units, now[names[0]].problems, strict=True))
        behind = [problems[unit] for unit in units]
        _, after, sizes = problem_sums(_table(now, names, units), behind)
        _, before, _ = problem_sums(_table(base, names, units), behind)
        shares, rng = [now[name].bounded for name in names], streams(seed)(f"changes-{k}")
        out |= zip(names, ratio_tests(after, before, sizes, shares=shares, rng=rng, draws=draws), strict=True)
    return out


def _shared(base: Column, now: Column) -> tuple[Unit, ...]:
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


def _table(columns: Mapping[str, Column], names: Sequence[str], units: tuple[Unit, ...]) -> Array:
    return np.column_stack([columns[name].at(units) for name in names])
