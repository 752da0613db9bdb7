"""Measuring every checkpoint of a training with the harness itself: sample, force, score; stored and resumable.

Under the tracking directory: ``runs/base`` and ``runs/step-<k>`` are ordinary run directories (every other command
works on them), ``forced/`` holds teacher-forced log-probs of pairs, probes and the base model's responses under each
checkpoint. `bon_eval.dpo.trajectory` makes numbers of them.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

from bon_eval.config import differences, digest
from bon_eval.dpo.checkpoints import Checkpoint, check_start, find_checkpoints
from bon_eval.dpo.forced import ForcedFile, Sets, force
from bon_eval.dpo.hidden import ches_scores
from bon_eval.dpo.pairs import Pair
from bon_eval.dpo.tokens import TokenPair, TokenResponse, tokenize_chosen, tokenize_pairs
from bon_eval.engines import OpenEngine
from bon_eval.engines.base import Engine
from bon_eval.errors import ConfigError, StoreError
from bon_eval.estimators import chosen_index
from bon_eval.files import TEMPORARY, write_text
from bon_eval.grading import grade_run
from bon_eval.models import stated_context
from bon_eval.prompts import load_tokenizer
from bon_eval.runner import PreparedRun, RunOptions, open_model, open_store, owes, prepare, sample_into, say
from bon_eval.runs import iter_responses, load_run
from bon_eval.scoring import ScoredBy, score_run, scored_requests
from bon_eval.store import RunStore, lock, read_meta

FORMAT = 1
BASE_BEST, BASE_GREEDY = "base/best", "base/greedy"


@dataclass(frozen=True, slots=True)
class TrackPlan:
    """One tracking, resolved; nothing written and no model loaded yet."""

    out: Path
    base: PreparedRun
    runs: tuple[tuple[Checkpoint, PreparedRun], ...]
    """By step; the base model itself is step 0."""
    pairs: Mapping[str, tuple[TokenPair, ...]]
    """Pair set name -> its pairs."""
    probes: Mapping[str, tuple[TokenResponse, ...]]
    beta: float
    skipped: tuple[str, ...]
    base_run: Path | None = None
    """A stored run of the base model to copy in place of sampling again."""

    @property
    def identity(self) -> dict[str, object]:
        """What a stored tracking must agree with; checkpoints may be added."""
        return {
            "base": self.base.config.identity(),
            "pairs": {name: digest([_slots(p) for p in pairs]) for name, pairs in self.pairs.items()},
            "probes": {name: digest([_slots(p) for p in probe]) for name, probe in self.probes.items()},
            "beta": self.beta,
        }

    def pair_sets(self) -> dict[str, tuple[TokenResponse, ...]]:
        """Both sides of every pair set as sets of responses."""
        return {
            f"{name}/{side}": tuple(TokenResponse(p.id, p.problem_id, p.prompt, getattr(p, side)) for p in pairs)
            for name, pairs in self.pairs.items()
            for side in ("chosen", "rejected")
        }


def prepare_track(
    options: RunOptions,
    checkpoints: Path,
    pairs: Mapping[str, Sequence[Pair]],
    probes: Mapping[str, Sequence[Pair]],
    *,
    beta: float,
    out: Path,
    base_run: Path | None = None,
) -> TrackPlan:
    """Resolve a tracking.

    Args:
        options: of the base model's run; every checkpoint is run the same way.
        checkpoints: a training directory.
        pairs: named pair sets.
        probes: named sets of responses, each given as pairs whose rejected side is not looked at.
        beta: of the DPO loss that is reported.
        out: the tracking directory.
        base_run: a stored run of the base model under these options, copied in place of sampling it again.

    Raises:
        ModelError: the training did not start at the base model.
        BonEvalError: of the kind that fits; nothing has been written.
    """
    trajectory = find_checkpoints(checkpoints)
    base = prepare(replace(options, out=out / "runs" / "base"))
    if base_run is not None and (changed := differences(read_meta(base_run)["identity"], base.config.identity())):
        raise ConfigError(f"--base-run {base_run} is another run than this base model's here ({'; '.join(changed)})")
    runs = []
    for checkpoint in trajectory.checkpoints:
        if checkpoint.step == 0:
            check_start(checkpoint, base.model_dir)
            continue
        where = replace(options, out=out / "runs" / f"step-{checkpoint.step:06d}")
        tuned = (
            replace(where, adapter=str(checkpoint.path))
            if checkpoint.is_adapter
            else replace(where, model=str(checkpoint.path), revision=None)
        )
        prepared = prepare(tuned)
        if prepared.config.prompts_hash != base.config.prompts_hash:
            raise ConfigError(
                f"{checkpoint.path} renders other prompts than the base model (another tokenizer or chat template); "
                "its likelihoods cannot be compared"
            )
        runs.append((checkpoint, prepared))
    if not runs:
        raise ConfigError(f"{checkpoints} holds no checkpoint after step 0; train further")
    tokenizer = load_tokenizer(base.model_dir, trust_remote_code=options.trust_remote_code)
    context = stated_context(base.model_dir) or sys.maxsize
    token_pairs = {name: tokenize_pairs(given, tokenizer, context) for name, given in pairs.items()}
    token_probes = {name: tokenize_chosen(given, tokenizer, context) for name, given in probes.items()}
    for name in (*token_pairs, *token_probes):
        if "/" in name or name == "base":
            raise ConfigError(f"{name!r} cannot name a set of pairs or probes; use a name without '/' that is not base")
    if both := set(token_pairs) & set(token_probes):
        raise ConfigError(f"{sorted(both)[0]!r} names a pair set and a probe; use two names")
    return TrackPlan(out, base, tuple(runs), token_pairs, token_probes, beta, trajectory.skipped, base_run)


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
        work = _Work(plan, quiet)
        work.base()
        if plan.runs[0][0].is_adapter:
            work.adapters()
        else:
            work.models()
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
    (plan.out / "forced").mkdir(parents=True, exist_ok=True)
    write_text(path, _track_json(plan, complete=False))


def _track_json(plan: TrackPlan, *, complete: bool) -> str:
    content = {
        "format": FORMAT,
        "identity": plan.identity,
        "complete": complete,
        "beta": plan.beta,
        "skipped": list(plan.skipped),
        "checkpoints": [{"step": c.step, "path": str(c.path), "run": p.directory.name} for c, p in plan.runs],
        "pairs": {name: {"problem_ids": [p.problem_id for p in pairs]} for name, pairs in plan.pairs.items()},
        "probes": {name: {"problem_ids": [p.problem_id for p in probe]} for name, probe in plan.probes.items()},
    }
    return json.dumps(content, indent=2) + "\n"


def _write_ches(plan: TrackPlan, quiet: bool) -> None:
    path = plan.out / "forced" / "ches.json"
    if path.is_file():
        return
    say("CHES of the pairs at the base model", quiet)
    trust = plan.base.config.trust_remote_code
    found = {
        name: ches_scores(plan.base.model_dir, pairs, trust_remote_code=trust).tolist()
        for name, pairs in plan.pairs.items()
    }
    write_text(path, json.dumps(found) + "\n")


class _Work:
    def __init__(self, plan: TrackPlan, quiet: bool) -> None:
        self.plan, self.quiet = plan, quiet
        self.sets: Sets = {**plan.pair_sets(), **plan.probes}
        self.prompts = {p.problem_id: p.token_ids for p in plan.base.prompts}

    def base(self) -> None:
        """The base model's run, and the pairs under the base model and under the training's own start."""
        plan = self.plan
        if plan.base_run is not None and not plan.base.directory.exists():
            _copy_run(plan.base_run, plan.base.directory)
        file = self._file("base", plan.base, self.sets)
        with open_store(plan.base, quiet=self.quiet) as store:
            if owes(store, plan.base) or not file.exists():
                with open_model(plan.base, store, quiet=self.quiet) as engine:
                    if owes(store, plan.base):
                        sample_into(store, plan.base, engine, quiet=self.quiet)
                    if not file.exists():
                        force(file, engine, self.sets, label="forcing, base", quiet=self.quiet)
            store.save_meta()
            grade_run(plan.base.directory, quiet=self.quiet)

    def models(self) -> None:
        """Full checkpoints: an engine for each, then the base model's once for what all of them sampled."""
        plan = self.plan
        sets = self._with_base_responses()
        for _, prepared in plan.runs:
            file = self._file(prepared.directory.name, prepared, sets)
            with open_store(prepared, quiet=self.quiet) as store:
                if owes(store, prepared) or not file.exists():
                    with open_model(prepared, store, quiet=self.quiet) as engine:
                        self._measure(prepared, store, engine, file, sets)
                store.save_meta()
                grade_run(prepared.directory, quiet=self.quiet)
        owed = [prepared for _, prepared in plan.runs if self._unscored(prepared)]
        if owed:
            with open_store(plan.base, quiet=True) as store, open_model(plan.base, store, quiet=self.quiet) as engine:
                for prepared in owed:
                    self._score(prepared, engine)

    def adapters(self) -> None:
        """LoRA checkpoints: one engine for all of them and the base model."""
        sets = self._with_base_responses()
        with ExitStack() as stack:
            engine: OpenEngine | None = None
            for _, prepared in self.plan.runs:
                file = self._file(prepared.directory.name, prepared, sets)
                with open_store(prepared, quiet=self.quiet) as store:
                    if owes(store, prepared) or not file.exists() or self._unscored(prepared):
                        seed = store.session_seed
                        if engine is None:
                            engine = stack.enter_context(open_model(prepared, store, quiet=self.quiet))
                        else:
                            assert prepared.adapter_dir is not None
                            assert prepared.config.adapter_hash is not None
                            engine.load_adapter(str(prepared.adapter_dir), prepared.config.adapter_hash)
                        self._measure(prepared, store, engine, file, sets, seed=seed)
                        self._score(prepared, engine, use_adapter=False)
                    store.save_meta()
                    grade_run(prepared.directory, quiet=self.quiet)

    def _measure(
        self,
        prepared: PreparedRun,
        store: RunStore,
        engine: Engine,
        file: ForcedFile,
        sets: Sets,
        seed: int | None = None,
    ) -> None:
        if owes(store, prepared):
            sample_into(store, prepared, engine, seed=seed, quiet=self.quiet)
        if not file.exists():
            force(file, engine, sets, label=f"forcing, {prepared.directory.name}", quiet=self.quiet)

    def _unscored(self, prepared: PreparedRun) -> bool:
        by = ScoredBy.of(self.plan.base.config)
        return len(scored_requests(prepared.directory, by)) < 2 * len(prepared.problems)

    def _score(self, prepared: PreparedRun, engine: Engine, *, use_adapter: bool = True) -> None:
        if self._unscored(prepared):
            by = ScoredBy.of(self.plan.base.config)
            score_run(prepared.directory, engine, by, self.prompts, use_adapter=use_adapter, quiet=self.quiet)

    def _with_base_responses(self) -> Sets:
        best, greedy = base_responses(self.plan.base.directory, self.prompts)
        return {**self.sets, BASE_BEST: best, BASE_GREEDY: greedy}

    def _file(self, name: str, prepared: PreparedRun, sets: Sets) -> ForcedFile:
        owner = digest(
            {
                "model": prepared.config.model_hash,
                "adapter": prepared.config.adapter_hash,
                "dtype": prepared.config.dtype,
                "engine": prepared.config.engine,
                "sets": {name: digest([_slots(r) for r in responses]) for name, responses in sets.items()},
            }
        )
        return ForcedFile(self.plan.out / "forced" / f"{name}.parquet", owner)


def _copy_run(source: Path, target: Path) -> None:
    """Copy a finished run directory, which nobody writes any more, whole or not at all."""
    if read_meta(source)["state"] != "sampled":
        raise ConfigError(f"--base-run {source} is unfinished; finish it with its own command first")
    partial = target.with_name(f"{TEMPORARY}{target.name}")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source, partial, ignore=shutil.ignore_patterns("run.lock", "scores"))
    partial.rename(target)


def base_responses(
    directory: Path, prompts: Mapping[str, tuple[int, ...]]
) -> tuple[tuple[TokenResponse, ...], tuple[TokenResponse, ...]]:
    """The base run's best-of-N response by log-likelihood (ties: lowest index) and its greedy one, by problem."""
    run = load_run(directory)
    picks = dict(zip(run.pool.problem_ids, chosen_index(run.pool.log_likelihood).tolist(), strict=True))
    found: dict[tuple[str, str], TokenResponse] = {}
    for r in iter_responses(directory):
        if r.arm == "greedy" or picks.get(r.problem_id) == r.index:
            found[r.problem_id, r.arm] = TokenResponse(r.problem_id, r.problem_id, prompts[r.problem_id], r.token_ids)
    ids = run.pool.problem_ids
    return tuple(found[i, "sample"] for i in ids), tuple(found[i, "greedy"] for i in ids)


def _slots(value: TokenPair | TokenResponse) -> list[object]:
    return [getattr(value, name) for name in value.__slots__]
