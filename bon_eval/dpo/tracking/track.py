"""Measuring every checkpoint of a training with the harness itself: sample, force, score; stored and resumable.

Under the tracking directory: ``runs/base`` and ``runs/step-<k>`` are ordinary run directories (every other command
works on them), ``forced/`` holds teacher-forced log-probs of pairs, probes and the base model's responses under each
checkpoint. `bon_eval.dpo.tracking.trajectory` makes numbers of them.
"""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import asdict

from bon_eval.config import differences
from bon_eval.dpo.tracking.hidden import ches_scores
from bon_eval.dpo.tracking.plan import TrackPlan
from bon_eval.dpo.tracking.work import measure
from bon_eval.errors import StoreError
from bon_eval.run.console.progress import say
from bon_eval.store.files import lock, make_directory, write_text

FORMAT = 1


def execute_track(plan: TrackPlan, *, quiet: bool = False) -> None:
    """Do what is still owed: base first, then every checkpoint, then everything under the base model.

    Raises:
        StoreError: the directory holds another tracking.
        BonEvalError: as sampling and scoring do; what was stored before is kept.
    """
    for line in plan.skipped:
        say(line, quiet)
    _claim(plan)
    with closing(lock(plan.out)):
        _write_ches(plan, quiet)
        measure(plan, quiet=quiet)
        write_text(plan.out / "track.json", _track_json(plan, complete=True))


def _claim(plan: TrackPlan) -> None:
    path = plan.out / "track.json"
    if path.is_file():
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored.get("format") != FORMAT:
            raise StoreError(f"{path} is not of tracking format {FORMAT}; give --out another directory")
        if changed := differences(stored["identity"], plan.identity):
            raise StoreError(f"{plan.out} holds another tracking ({'; '.join(changed)}); give --out another directory")
    elif plan.out.is_dir() and any(p.name not in ("run.lock",) for p in plan.out.iterdir()):
        raise StoreError(f"{plan.out} exists and is no tracking; give --out another directory")
    make_directory(plan.out / "forced")
    write_text(path, _track_json(plan, complete=False))


def _track_json(plan: TrackPlan, *, complete: bool) -> str:
    content: dict[str, object] = {
        "format": FORMAT,
        "identity": plan.identity,
        "complete": complete,
        "beta": plan.beta,
        "skipped": list(plan.skipped),
        "checkpoints": [{"step": c.step, "path": str(c.path), "run": p.directory.name} for c, p in plan.runs],
        "pairs": {name: {"problem_ids": [p.problem_id for p in pairs]} for name, pairs in plan.pairs.items()},
        "probes": {name: {"problem_ids": [p.problem_id for p in probe]} for name, probe in plan.probes.items()},
    }
    if plan.stages:
        content["stages"] = [asdict(stage) for stage in plan.stages]
    return json.dumps(content, indent=2) + "\n"


def _write_ches(plan: TrackPlan, quiet: bool) -> None:
    path = plan.out / "forced" / "ches.json"
    if path.is_file():
        return
    trust = plan.base.config.trust_remote_code
    found = {}
    for name, pairs in plan.pairs.items():
        label = f"CHES at the base model, {name}"
        scores = ches_scores(plan.base.model_dir, pairs, trust_remote_code=trust, label=label, quiet=quiet)
        found[name] = scores.tolist()
    write_text(path, json.dumps(found) + "\n")
