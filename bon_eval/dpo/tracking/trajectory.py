"""A stored tracking in, one trajectory out: every measure at every checkpoint, with its change from the base model.

No model is touched. Problems are the sampling unit; changes are paired by problem (by the problems behind the pairs,
for pair measures). All randomness comes from one seed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from bon_eval.analysis.two_runs.sides import Side
from bon_eval.dpo.tracking.base_pool import BASE_BEST, BASE_GREEDY
from bon_eval.dpo.tracking.columns import BasePool, Keys, of_base, of_pairs, of_probe, said
from bon_eval.dpo.tracking.forced import ForcedLog, ForcedLogProbs
from bon_eval.dpo.tracking.measures import Array, SideScores, problem_sums, side_scores
from bon_eval.dpo.tracking.plan import FORMAT, TRACK_FILE
from bon_eval.dpo.tracking.points import NO_CLUSTERS, Clusters, Measured, Point, make_points
from bon_eval.dpo.tracking.track import stored_ches
from bon_eval.dpo.training.checkpoints import Stage
from bon_eval.errors import ConfigError, StoreError
from bon_eval.records import Draw
from bon_eval.stats.bootstrap import UNBOUNDED, Interval
from bon_eval.stats.clusters import clusters_of
from bon_eval.stats.ratio_means import ratio_means
from bon_eval.stats.streams import streams
from bon_eval.stats.units import Count, Limits, Positive, Size
from bon_eval.store.forced import LikelihoodSource, load_forced_by, own_likelihoods
from bon_eval.store.reader import Run, load_run, response_keys


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
    n: Size | None
    """Responses of each problem; None without a run of the base model."""
    n_problems: Size | None
    pair_counts: Mapping[str, Size]
    probe_counts: Mapping[str, Size]
    beta: Positive
    base: Mapping[str, Any]
    """run.json of the base run, or its ``config``, ``versions`` and ``engine`` where nothing was sampled."""
    base_source: LikelihoodSource
    """Where the base model's log-likelihoods of its own responses come from at step 0; the base model's of the
    checkpoints' responses, and the checkpoints' of the base model's, are forced."""
    skipped: tuple[str, ...]
    n_clusters: Size | None = None
    """Groups of problems that are resampled together; None: each problem by itself."""
    cluster: str | None = None
    """The column whose equal values mark them."""
    sampled: tuple[Count, ...] = ()
    """Steps whose model's own responses are there."""
    unclustered: Count = 0
    """Problems behind pairs and probes that the runs do not hold: with clusters, each of them is one of its own."""
    clusters: Clusters = NO_CLUSTERS
    """The cluster of each problem of the task."""
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
    stored = _read(out)
    run = load_run(out / "runs" / "base") if stored["base_sets"] else None
    base = None if run is None else _base(run, stored)
    column, clusters = _clusters(stored, run, cluster)
    forced_base = ForcedLog(out / "forced" / "base", stored["base_by"]).read()
    sides_of_base = _sides(stored["pairs"], forced_base)
    columns: dict[int, dict[str, Measured]] = {}
    for at in ({"step": 0, "run": "base", "by": stored["base_by"]}, *stored["checkpoints"]):
        step, name = int(at["step"]), str(at["run"])
        forced = ForcedLog(out / "forced" / name, at["by"]).read() if step else forced_base
        found: dict[str, Measured] = {}
        if base is not None:
            if step == 0:
                found |= said(base.side, base.keys, base.pool, seed, is_base=True)
            elif at["sampled"]:
                found |= _said_by(load_run(out / "runs" / name), base, seed)
            found |= of_base(stored["base_sets"], base.run.pool.n, partial(_of_base_set, base, forced, stored, step))
        sides = sides_of_base if step == 0 else _sides(stored["pairs"], forced)
        for pair_set, facts in stored["pairs"].items():
            both = *sides_of_base[pair_set], *sides[pair_set]
            found |= of_pairs(pair_set, facts["problem_ids"], both, stored["beta"])
        for probe, facts in stored["probes"].items():
            found |= of_probe(probe, facts["problem_ids"], forced.log_likelihoods(facts["keys"]))
        columns[step] = found
    behind = {i for kind in ("pairs", "probes") for facts in stored[kind].values() for i in facts["problem_ids"]}
    known = set(clusters.of) if run is None else set(run.pool.problem_ids)
    return Trajectory(
        steps=tuple(columns),
        points=tuple(make_points(columns, seed, draws, clusters)) if intervals else (),
        columns=columns,
        ches=_ches(out, stored["pairs"], seed, draws, clusters) if intervals else {},
        n=None if run is None else run.pool.n,
        n_problems=None if run is None else len(run.pool.problem_ids),
        n_clusters=len(set(clusters.of.values())) or None,
        cluster=column,
        clusters=clusters,
        unclustered=len(behind - known),
        pair_counts={name: len(facts["problem_ids"]) for name, facts in stored["pairs"].items()},
        probe_counts={name: len(facts["problem_ids"]) for name, facts in stored["probes"].items()},
        beta=float(stored["beta"]),
        base=stored["base"] if run is None else run.meta,
        base_source="forced" if base is None else base.source,
        skipped=tuple(stored["skipped"]),
        stages=tuple(Stage(**stage) for stage in stored.get("stages", ())),
        sampled=() if run is None else (0, *(int(c["step"]) for c in stored["checkpoints"] if c["sampled"])),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Base:
    """The base model's run and what it says of its own responses."""

    run: Run
    own: Mapping[Draw, Array]
    """Draw -> (P, N), as `own_likelihoods` gives them."""
    source: LikelihoodSource
    side: Side
    keys: Keys
    pool: BasePool


def _base(run: Run, stored: Mapping[str, Any]) -> _Base:
    ids, n = tuple(stored["base_sets"][BASE_BEST]["problem_ids"]), stored["base"]["config"]["n"]
    if (run.pool.problem_ids, run.pool.n) != (ids, n):
        raise StoreError(
            f"{run.path} has another n or other problems than it had; run the same `bon-eval track` command"
        )
    own, source = own_likelihoods(run)
    keys = _keys(run)
    side = Side.of(run, own=own, base=own)
    return _Base(run, own, source, side, keys, BasePool(own["sample"], keys["sample"]))


def _keys(run: Run) -> Keys:
    pools = {"greedy": run.greedy, "sample": run.pool}
    return {draw: response_keys(run.path, pool.problem_ids, draw, pool.n) for draw, pool in pools.items()}


def _of_base_set(base: _Base, forced: ForcedLogProbs, stored: Mapping[str, Any], step: int, name: str) -> Array:
    """Log-likelihoods of a set of the base model's responses: forced, but for its own ones at step 0."""
    facts = stored["base_sets"][name]
    if step:
        return forced.log_likelihoods(facts["keys"])
    row_of = {problem: row for row, problem in enumerate(base.run.pool.problem_ids)}
    rows = [row_of[problem] for problem in facts["problem_ids"]]
    return base.own["greedy" if name == BASE_GREEDY else "sample"][rows, facts["index"]]


def _said_by(run: Run, base: _Base, seed: int) -> dict[str, Measured]:
    if run.pool.problem_ids != base.run.pool.problem_ids or run.pool.n != base.run.pool.n:
        raise StoreError(f"{run.path} holds another n or other problems than the base run; run the same command again")
    side = Side.of(run, own=own_likelihoods(run)[0], base=load_forced_by(run, base.run))
    return said(side, _keys(run), base.pool, seed, is_base=False)


def _read(out: Path) -> dict[str, Any]:
    """track.json of a whole tracking."""
    path = out / TRACK_FILE
    if not path.is_file():
        raise StoreError(f"{out} is not a tracking directory: it has no {TRACK_FILE}")
    stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if stored.get("format") != FORMAT:
        raise StoreError(
            f"{path} is not of tracking format {FORMAT}; run the same `bon-eval track` command, which uses its runs "
            "and forces pairs and probes again"
        )
    if not stored["complete"]:
        raise StoreError(f"{out} is unfinished; run the same `bon-eval track` command to finish it")
    return stored


Sides = tuple[SideScores, SideScores]


def _sides(pairs: Mapping[str, Any], forced: ForcedLogProbs) -> dict[str, Sides]:
    """Pair set -> its chosen and its rejected responses under one model."""
    out = {}
    for name, facts in pairs.items():
        both = []
        for side in ("chosen", "rejected"):
            words = [f"{name}/{side}, problem {problem}" for problem in facts["problem_ids"]]
            both.append(side_scores(forced.forced(facts[side], words)))
        out[name] = both[0], both[1]
    return out


def _clusters(stored: Mapping[str, Any], run: Run | None, given: str | None) -> tuple[str | None, Clusters]:
    """The column that marks clusters, and the cluster of each of the task's problems."""
    if run is None:
        kept = stored["clusters"]
        if kept is None or given not in (None, kept["column"]):
            if given is not None:
                raise ConfigError(
                    f"without a run of the base model the tracking knows no column {given!r} to cluster by; run "
                    f"`bon-eval track` with --cluster {given}"
                )
            return None, NO_CLUSTERS
        return kept["column"], Clusters(kept["of"])
    column = given or run.meta["config"].get("cluster")
    if column is None:
        return None, NO_CLUSTERS
    ids = run.pool.problem_ids
    return column, Clusters(dict(zip(ids, clusters_of(run.problems, ids, column).tolist(), strict=True)))


def _ches(
    out: Path, pairs: Mapping[str, Any], seed: int, draws: int, clusters: Clusters
) -> dict[str, tuple[Interval, Interval]]:
    stored = stored_ches(out)
    found = {}
    for name, facts in pairs.items():
        values = np.asarray(stored[facts["digest"]], dtype=np.float64)[:, :2]
        sampled = clusters.units(facts["problem_ids"])
        _, sums, sizes = problem_sums(values, sampled)
        rng, supports = streams(seed)("ches"), [UNBOUNDED] * 2
        both = ratio_means(sums, sizes, supports=supports, rng=rng, draws=draws, word=clusters.word)
        found[name] = (both[0], both[1])
    return found
