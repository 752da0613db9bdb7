"""A measure through trainings as arrays: changes from the base model, or numbers, by seed, problem and checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from bon_eval.dpo.tracking.measures import Array
from bon_eval.dpo.tracking.points import NO_CLUSTERS, Clusters, Measured
from bon_eval.dpo.tracking.trajectory import Trajectory
from bon_eval.errors import ConfigError
from bon_eval.stats.bootstrap import DIFFERENCE, UNBOUNDED, UNIT, Support
from bon_eval.stats.clusters import cluster_sums, number_clusters

What = Literal["change", "value"]


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """A measure at K checkpoints under S seeds of training, summed over what P problems have of it."""

    steps: tuple[int, ...]
    """(K,), ascending; of changes none is step 0, where a change is 0."""
    problems: tuple[str, ...]
    sums: Array
    """(S, P, K)."""
    sizes: Array
    """(S, P, K), how many numbers each sum has: pairs of a problem, or 1; 0 where a problem has none."""
    label: str
    unit: str
    support: Support
    """Where a number can lie, over `reach`."""
    reach: float = 1.0
    """Differences of two changes of shares reach as far as 2."""
    clusters: Clusters = NO_CLUSTERS
    """What is resampled in place of problems."""

    @property
    def means(self) -> Array:
        """(S, K), the mean of each seed at each checkpoint; the measure is the mean over all numbers of all seeds."""
        return np.asarray(self.sums.sum(axis=1) / self.sizes.sum(axis=1), dtype=np.float64)

    def by_unit(self) -> tuple[Array, Array]:
        """Sums and sizes, (U, K) each: over the seeds, of each problem or cluster of them."""
        sums, sizes = self.sums.sum(axis=0), self.sizes.sum(axis=0)
        if not self.clusters.of:
            return sums, sizes
        numbers = number_clusters(self.clusters.units(self.problems))
        return cluster_sums(sums, numbers), cluster_sums(sizes, numbers)


def course(trajectories: Sequence[Trajectory], measure: str, what: What = "change") -> Course:
    """A measure's course under each seed.

    Args:
        trajectories: one for each seed of training, with the same steps.
        measure: name of a column. Checkpoints without it (those that did not sample, say) are left out.
        what: ``change``: from step 0, number by number; ``value``: the numbers themselves, step 0 included.

    Raises:
        ConfigError: other steps or other clusters under another seed, or no checkpoint after step 0 that has the
            measure.
    """
    of_seeds = [_by_step(trajectory, measure, what) for trajectory in trajectories]
    steps = tuple(of_seeds[0]) if of_seeds else ()
    if any(tuple(found) != steps for found in of_seeds):
        raise ConfigError(f"{measure!r} has other steps under another seed of training; track all seeds alike")
    clusters = trajectories[0].clusters if trajectories else NO_CLUSTERS
    if any(dict(trajectory.clusters.of) != dict(clusters.of) for trajectory in trajectories):
        raise ConfigError(f"{measure!r} has other clusters under another seed of training; load all with one cluster")
    if not any(steps):
        raise ConfigError(f"no checkpoint after step 0 has {measure!r}")
    rows: dict[str, int] = {}
    for found in of_seeds:
        for _, behind, _ in found.values():
            for problem in behind:
                rows.setdefault(problem, len(rows))
    sums, sizes = np.zeros((2, len(of_seeds), len(rows), len(steps)))
    for s, found in enumerate(of_seeds):
        for k, (values, behind, _) in enumerate(found.values()):
            at = [rows[problem] for problem in behind]
            np.add.at(sums[s, :, k], at, values)
            np.add.at(sizes[s, :, k], at, 1.0)
    column = of_seeds[0][steps[-1]][2]
    share = UNIT if what == "value" else DIFFERENCE
    support = share if column.bounded else UNBOUNDED
    return Course(steps, tuple(rows), sums, sizes, column.label, column.unit, support, clusters=clusters)


def _by_step(trajectory: Trajectory, measure: str, what: What) -> dict[int, tuple[Array, tuple[str, ...], Measured]]:
    """Step -> numbers, the problem of each, and the column that they are from."""
    out = {}
    base = trajectory.columns[0].get(measure)
    for step, columns in trajectory.columns.items():
        column = columns.get(measure)
        if column is None or (what == "change" and (step == 0 or base is None)):
            continue
        units, values = column.units, column.values
        if what == "change":
            assert base is not None
            there = set(base.units)
            units = tuple(unit for unit in units if unit in there)
            values = column.at(units) - base.at(units)
        behind = dict(zip(column.units, column.problems, strict=True))
        if units:
            out[step] = values, tuple(behind[unit] for unit in units), column
    return out


def minus(a: Course, b: Course) -> Course:
    """The difference of two courses, problem by problem, over the problems that both have.

    Where both have the same numbers of each problem it is the mean of their differences; otherwise each problem counts
    once, by the difference of its means. One course of one seed (a base model's) stands against each seed of the other.

    Raises:
        ConfigError: other steps or clusters, numbers of seeds that do not fit, or no problem in common.
    """
    if dict(a.clusters.of) != dict(b.clusters.of):
        raise ConfigError(f"{a.label} and {b.label} have other clusters; load both with one cluster")
    if a.steps != b.steps:
        raise ConfigError(f"{a.label} has steps {a.steps} and {b.label} has {b.steps}; compare the same steps")
    if len(a.sums) != len(b.sums) and 1 not in (len(a.sums), len(b.sums)):
        raise ConfigError(f"{a.label} has {len(a.sums)} seeds and {b.label} has {len(b.sums)}; give both the same")
    rows_of_b = {problem: row for row, problem in enumerate(b.problems)}
    kept = [row for row, problem in enumerate(a.problems) if problem in rows_of_b]
    if not kept:
        raise ConfigError(f"{a.label} and {b.label} have no problem in common")
    other = [rows_of_b[a.problems[row]] for row in kept]
    shape = (max(len(a.sums), len(b.sums)), len(kept), len(a.steps))
    sums, sizes, sums_b, sizes_b = (
        np.broadcast_to(found[:, rows], shape)
        for found, rows in ((a.sums, kept), (a.sizes, kept), (b.sums, other), (b.sizes, other))
    )
    if not np.array_equal(sizes, sizes_b):
        both = (sizes > 0.0) & (sizes_b > 0.0)
        sums, sums_b = (np.where(both, x / np.where(both, n, 1.0), 0.0) for x, n in ((sums, sizes), (sums_b, sizes_b)))
        sizes = both.astype(np.float64)
    reach = a.reach + b.reach if DIFFERENCE in (a.support, b.support) else 1.0
    return replace(
        a,
        problems=tuple(a.problems[row] for row in kept),
        sums=sums - sums_b,
        sizes=sizes,
        label=f"{a.label} minus {b.label}",
        support=UNBOUNDED if UNBOUNDED in (a.support, b.support) else DIFFERENCE,
        reach=reach,
    )
