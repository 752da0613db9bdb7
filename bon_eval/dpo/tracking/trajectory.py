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

from bon_eval.analysis.two_runs.sides import LABELS, Side, accuracies, quantities, support, unit
from bon_eval.dpo.tracking.forced import read_forced
from bon_eval.dpo.tracking.measures import PAIR_MEASURES, pair_measures, problem_sums, side_scores
from bon_eval.dpo.tracking.plan import BASE_BEST, BASE_GREEDY
from bon_eval.dpo.tracking.points import NO_CLUSTERS, Clusters, Measured, Point, make_points
from bon_eval.dpo.tracking.track import FORMAT
from bon_eval.dpo.training.checkpoints import Stage
from bon_eval.errors import StoreError
from bon_eval.estimators import chosen_index, within_problem_auroc
from bon_eval.stats.bootstrap import NOT_ABOVE_0, UNBOUNDED, UNIT, Interval
from bon_eval.stats.clusters import clusters_of
from bon_eval.stats.ratio_means import ratio_means
from bon_eval.stats.streams import streams
from bon_eval.stats.units import Count, Limits, Positive, Size
from bon_eval.store.forced import LikelihoodSource, load_forced_by, own_likelihoods
from bon_eval.store.reader import Run, load_run


@dataclass(frozen=True, slots=True, eq=False)
class Trajectory:
    """Everything that `bon-eval track` prints."""

    steps: Annotated[tuple[Count, ...], Limits(min_items=2)]
    points: tuple[Point, ...]
    """By step, then in table order."""
    columns: Mapping[int, Mapping[str, Measured]]
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
    base_source: LikelihoodSource
    """Where the base model's log-likelihoods of its own responses come from at step 0; the base model's of the
    checkpoints' responses, and the checkpoints' of the base model's, are forced."""
    skipped: tuple[str, ...]
    n_clusters: Size | None = None
    """Groups of problems that are resampled together; None: each problem by itself."""
    cluster: str | None = None
    """The column whose equal values mark them."""
    unclustered: Count = 0
    """Problems behind pairs and probes that the runs do not hold: with clusters, each of them is one of its own."""
    stages: tuple[Stage, ...] = ()
    """Of a chain of trainings, in their order."""

    @property
    def by_place(self) -> dict[tuple[int, str], Point]:
        """The points by step and name."""
        return {(point.step, point.name): point for point in self.points}

    @property
    def word(self) -> str:
        """What is resampled: ``problem`` or ``cluster``."""
        return "problem" if self.n_clusters is None else "cluster"

    def at(self, step: int, name: str) -> Point:
        """One point; KeyError where there is none."""
        if (point := self.by_place.get((step, name))) is None:
            raise KeyError(f"no {name} at step {step}")
        return point

    def series(self, name: str) -> list[Point]:
        """One measure over all steps where it exists."""
        return [point for point in self.points if point.name == name]


def load_trajectory(
    out: Path, *, seed: int = 0, draws: int = 10_000, intervals: bool = True, cluster: str | None = None
) -> Trajectory:
    """Read a tracking directory and compute every measure.

    Args:
        out: the tracking directory.
        seed: of all randomness.
        draws: bootstrap draws, and random sign patterns of the family of arrows.
        intervals: False leaves `points` and `ches` empty, for statistics over several trajectories by `columns`.
        cluster: column of the task whose equal values mark problems that are resampled together, with the pairs that
            they have; default: the one that the base run's task names, if any.

    Raises:
        ConfigError: a problem has no such column.
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
    column = cluster or base_run.meta["config"].get("cluster")
    clusters = NO_CLUSTERS if column is None else _clusters(base_run, column)
    base_own, base_source = own_likelihoods(base_run)
    base_side = Side.of(base_run, own=base_own, base=base_own)
    # Picked by its sampled log-likelihood, as for the checkpoints; it is not what theirs are compared with.
    best = chosen_index(base_run.pool.log_likelihood)[:, None]
    own = np.take_along_axis(base_own["sample"], best, axis=1)[:, 0], base_own["greedy"][:, 0]
    forced_base = _scores(out, "base")
    columns: dict[int, dict[str, Measured]] = {}
    for step, name in [(0, "base"), *((int(c["step"]), str(c["run"])) for c in stored["checkpoints"])]:
        forced = forced_base if step == 0 else _scores(out, name)
        found = _arms(out / "runs" / name, base_run, seed) if step else _side_columns(base_side, seed)
        for set_name, label, at_base in (
            (BASE_BEST, f"log-likelihood of base best-of-{base_run.pool.n}", own[0]),
            (BASE_GREEDY, "log-likelihood of base greedy", own[1]),
        ):
            values = at_base if step == 0 else forced[set_name].log_likelihood
            key = f"log_likelihood.{set_name.replace('/', '_')}"
            found[key] = Measured(label, "nats", values, NOT_ABOVE_0, base_run.pool.problem_ids)
        for set_name, facts in stored["pairs"].items():
            found |= _pair_columns(set_name, facts["problem_ids"], forced_base, forced, stored["beta"])
        for set_name, facts in stored["probes"].items():
            values, ids = forced[set_name].log_likelihood, tuple(facts["problem_ids"])
            units = tuple((set_name, k) for k in range(len(ids)))
            label = f"log-likelihood of {set_name}"
            found[f"{set_name}.log_likelihood"] = Measured(label, "nats", values, NOT_ABOVE_0, units, ids)
        columns[step] = found
    behind = {i for kind in ("pairs", "probes") for facts in stored[kind].values() for i in facts["problem_ids"]}
    return Trajectory(
        steps=tuple(columns),
        points=tuple(make_points(columns, seed, draws, clusters)) if intervals else (),
        columns=columns,
        ches=_ches(out, stored["pairs"], seed, draws, clusters) if intervals else {},
        n=base_run.pool.n,
        n_problems=len(base_run.pool.problem_ids),
        n_clusters=len(set(clusters.of.values())) or None,
        cluster=column,
        unclustered=len(behind.difference(base_run.pool.problem_ids)),
        pair_counts={name: len(facts["problem_ids"]) for name, facts in stored["pairs"].items()},
        probe_counts={name: len(facts["problem_ids"]) for name, facts in stored["probes"].items()},
        beta=float(stored["beta"]),
        base=base_run.meta,
        base_source=base_source,
        skipped=tuple(stored["skipped"]),
        stages=tuple(Stage(**stage) for stage in stored.get("stages", ())),
    )


def _scores(out: Path, name: str) -> dict[str, Any]:
    return {key: side_scores(forced) for key, forced in read_forced(out / "forced" / f"{name}.parquet").items()}


def _arms(directory: Path, base: Run, seed: int) -> dict[str, Measured]:
    run = load_run(directory)
    if run.pool.problem_ids != base.pool.problem_ids:
        raise StoreError(f"{directory} holds other problems than the base run; track again into another directory")
    return _side_columns(Side.of(run, base=load_forced_by(run, base)), seed)


def _side_columns(side: Side, seed: int) -> dict[str, Measured]:
    n, ids = side.pool.n, side.pool.problem_ids
    found = {
        f"accuracy.{name}": Measured(f"accuracy, {LABELS[name].format(n=n)}", "share", values, UNIT, ids)
        for name, values in accuracies(side, n, streams(seed)).items()
    }
    for name, values in quantities(side, n).items():
        found[name] = Measured(LABELS[name].format(n=n), unit(name), values, support(name), ids)
    auroc = within_problem_auroc(side.pool.log_likelihood, side.pool.correct)
    both = np.isfinite(auroc)
    if both.any():
        kept = tuple(problem for problem, k in zip(ids, both, strict=True) if k)
        found["auroc"] = Measured("AUROC of log-likelihood within problems", "share", auroc[both], UNIT, kept)
    return found


def _pair_columns(
    set_name: str, problem_ids: Sequence[str], base: Mapping[str, Any], now: Mapping[str, Any], beta: float
) -> dict[str, Measured]:
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
        found[f"{set_name}.{name}"] = Measured(label, kind.unit, values[kept], kind.support, units, ids)
    return found


def _clusters(run: Run, column: str) -> Clusters:
    ids = run.pool.problem_ids
    return Clusters(dict(zip(ids, clusters_of(run.problems, ids, column).tolist(), strict=True)))


def _ches(
    out: Path, pairs: Mapping[str, Any], seed: int, draws: int, clusters: Clusters
) -> dict[str, tuple[Interval, Interval]]:
    stored = json.loads((out / "forced" / "ches.json").read_text(encoding="utf-8"))
    found = {}
    for name, facts in pairs.items():
        values, sampled = np.asarray(stored[name], dtype=np.float64)[:, :2], clusters.units(facts["problem_ids"])
        _, sums, sizes = problem_sums(values, sampled)
        rng, supports = streams(seed)("ches"), [UNBOUNDED] * 2
        both = ratio_means(sums, sizes, supports=supports, rng=rng, draws=draws, word=clusters.word)
        found[name] = (both[0], both[1])
    return found
