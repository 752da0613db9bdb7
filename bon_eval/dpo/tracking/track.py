"""Measuring every checkpoint of a training with the harness itself: sample, force, score; stored and resumable.

Under the tracking directory: ``runs/base`` and ``runs/step-<k>`` are ordinary run directories (every other command
works on them); ``forced/base`` and ``forced/step-<k>`` hold teacher-forced log-probs of pairs, probes and the base
model's responses, each response once; ``track.json`` says which sets of them the last command named.
`bon_eval.dpo.tracking.trajectory` makes numbers of them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bon_eval.config import differences, digest
from bon_eval.dpo.pairs.tokens import TokenPair, TokenResponse
from bon_eval.dpo.tracking.forced import response_key
from bon_eval.dpo.tracking.hidden import ches_scores
from bon_eval.dpo.tracking.plan import FORMAT, TRACK_FILE, TrackPlan, stored_identity
from bon_eval.dpo.tracking.work import Sets, forced_log, has_base, is_whole, measure
from bon_eval.errors import StoreError
from bon_eval.run.console.progress import say
from bon_eval.run.prepare import PreparedRun
from bon_eval.run.versions import versions
from bon_eval.stats.clusters import clusters_of
from bon_eval.store.extent import problem_rows
from bon_eval.store.files import lock, make_directory, write_text
from bon_eval.store.forced import ForcedBy, is_scored
from bon_eval.store.writer import read_meta

CHES_FILE = "ches.json"


def execute_track(plan: TrackPlan, *, quiet: bool = False) -> None:
    """Do what is still owed: base first, then every checkpoint, then everything under the base model.

    Raises:
        StoreError: the directory holds another tracking.
        BonEvalError: as sampling and scoring do; what was stored before is kept.
    """
    for line in plan.skipped:
        say(line, quiet)
    _check(plan, quiet)
    make_directory(plan.out / "forced")
    with closing(lock(plan.out)):
        begun = {"format": FORMAT, "identity": plan.identity, "complete": False}
        write_text(plan.out / TRACK_FILE, json.dumps(begun, indent=2) + "\n")
        _write_ches(plan, quiet)
        sets = measure(plan, quiet=quiet)
        write_text(plan.out / TRACK_FILE, json.dumps(_content(plan, sets), indent=2) + "\n")


def _check(plan: TrackPlan, quiet: bool) -> None:
    stored = stored_identity(plan.out)
    if stored is None:
        if plan.out.is_dir() and any(p.name not in ("run.lock",) for p in plan.out.iterdir()):
            raise StoreError(f"{plan.out} exists and is no tracking; give --out another directory")
    elif changed := differences(stored, plan.identity):
        raise StoreError(f"{plan.out} holds another tracking ({'; '.join(changed)}); give --out another directory")
    elif json.loads((plan.out / TRACK_FILE).read_text(encoding="utf-8"))["format"] != FORMAT:
        say(f"{plan.out} is of an older format: its runs are used, pairs and probes are forced again", quiet)


def _content(plan: TrackPlan, sets: Sets) -> dict[str, Any]:
    """track.json: what a report is made of."""
    base = plan.base
    whole = has_base(plan)
    meta = read_meta(base.directory) if whole else {"config": base.config.as_dict(), "versions": versions()}
    skipped, checkpoints = list(plan.skipped), []
    for checkpoint, prepared in plan.runs:
        there = whole and _is_sampled(plan, prepared)
        other = _other_extent(base, prepared) if there else None
        if other is not None:
            skipped.append(other)
        where = {"step": checkpoint.step, "path": str(checkpoint.path), "run": prepared.directory.name}
        by = forced_log(plan, prepared).id
        checkpoints.append(where | {"by": by, "sampled": there and other is None})
    return {
        "format": FORMAT,
        "identity": plan.identity,
        "complete": True,
        "beta": plan.beta,
        "skipped": skipped,
        "base": {"config": meta["config"], "versions": meta["versions"], "engine": meta.get("engine") or _facts(plan)},
        "base_by": forced_log(plan, base).id,
        "clusters": None if whole else _clusters(plan),
        "checkpoints": checkpoints,
        "pairs": {
            name: {
                "problem_ids": [p.problem_id for p in pairs],
                "digest": pairs_digest(pairs),
                **{side: [response_key(r) for r in sets[f"{name}/{side}"]] for side in ("chosen", "rejected")},
            }
            for name, pairs in plan.pairs.items()
        },
        "probes": {name: _named(probe) for name, probe in plan.probes.items()},
        "base_sets": {
            name: _named(responses) | {"index": [int(r.id) for r in responses]}
            for name, responses in sets.items()
            if name.startswith("base/")
        },
        **({"stages": [asdict(stage) for stage in plan.stages]} if plan.stages else {}),
    }


def _named(responses: Sequence[TokenResponse]) -> dict[str, list[Any]]:
    return {"problem_ids": [r.problem_id for r in responses], "keys": [response_key(r) for r in responses]}


def pairs_digest(pairs: Sequence[TokenPair]) -> str:
    """Of the tokens of a pair set, whatever its name."""
    return digest([[list(p.prompt), list(p.chosen), list(p.rejected)] for p in pairs])[:32]


def _facts(plan: TrackPlan) -> dict[str, Any]:
    """What an engine that scored under the base model says of itself."""
    path = forced_log(plan, plan.base).directory / "model.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["engine"] if path.is_file() else {}
    return found


def _clusters(plan: TrackPlan) -> dict[str, Any] | None:
    """The clusters of the task's problems, where no run of the base model holds them."""
    column = plan.base.config.cluster
    if column is None:
        return None
    ids = [problem.id for problem in plan.base.problems]
    return {"column": column, "of": dict(zip(ids, clusters_of(plan.base.problems, ids, column).tolist(), strict=True))}


def _is_sampled(plan: TrackPlan, prepared: PreparedRun) -> bool:
    """Whether a checkpoint's own responses are there, graded and scored by the base model."""
    directory = prepared.directory
    if not is_whole(directory) or not (directory / "grades.parquet").is_file():
        return False
    own = read_meta(directory)["identity"] == prepared.config.identity()
    return own and is_scored(directory, ForcedBy.of(plan.base.config))


def _other_extent(base: PreparedRun, prepared: PreparedRun) -> str | None:
    """A line on samples of a checkpoint that are of other problems, or of another n, than the base model's."""
    if _extent(base) == _extent(prepared):
        return None
    return (
        f"the samples of {prepared.directory.name} are of another n or other problems than the base model's and are "
        "left out; sample it again"
    )


def _extent(run: PreparedRun) -> tuple[object, list[object]]:
    ids = problem_rows(run.directory, ["problem_id"])["problem_id"].to_pylist()
    return read_meta(run.directory)["config"]["n"], ids


def stored_ches(out: Path) -> dict[str, list[list[float]]]:
    """CHES and its length-normalised form of the pairs of each set, by `pairs_digest`."""
    path = out / "forced" / CHES_FILE
    found: dict[str, list[list[float]]] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def _write_ches(plan: TrackPlan, quiet: bool) -> None:
    trust = plan.base.config.trust_remote_code
    for name, pairs in plan.pairs.items():
        stored, key = stored_ches(plan.out), pairs_digest(pairs)
        if key not in stored:
            label = f"CHES at the base model, {name}"
            scores = ches_scores(plan.base.model_dir, pairs, trust_remote_code=trust, label=label, quiet=quiet)
            content = stored | {key: scores.tolist()}
            write_text(plan.out / "forced" / CHES_FILE, json.dumps(content) + "\n")
