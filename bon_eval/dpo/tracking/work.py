"""The work behind `bon-eval track`: what is still owed of the base model and of every checkpoint, with few engines."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from bon_eval.config import digest, draws
from bon_eval.dpo.pairs.tokens import TokenResponse, slots
from bon_eval.dpo.tracking.forced import ForcedFile, Sets, force
from bon_eval.dpo.tracking.plan import BASE_BEST, BASE_GREEDY, TrackPlan
from bon_eval.engines import OpenEngine
from bon_eval.engines.base import Engine
from bon_eval.errors import ConfigError
from bon_eval.estimators import chosen_index
from bon_eval.run.execute import open_model, open_store, sample_into
from bon_eval.run.forcing import force_run
from bon_eval.run.grading import grade_run
from bon_eval.run.prepare import PreparedRun
from bon_eval.store.files import TEMPORARY
from bon_eval.store.forced import ForcedBy, forced_responses, is_inexact
from bon_eval.store.reader import iter_responses, load_run
from bon_eval.store.writer import RunStore, read_meta


def measure(plan: TrackPlan, *, quiet: bool = False) -> None:
    """Do what is owed. LoRA checkpoints on the base model share one engine with it; others get one each.

    Raises:
        BonEvalError: as sampling and scoring do; what was stored before is kept.
    """
    work = _Work(plan, quiet)
    if plan.base_run is not None and not plan.base.directory.exists():
        copy_run(plan.base_run, plan.base.directory)
    if all(checkpoint.is_adapter and checkpoint.on is None for checkpoint, _ in plan.runs):
        work.adapters()
    else:
        work.models()


class _Work:
    def __init__(self, plan: TrackPlan, quiet: bool) -> None:
        self.plan, self.quiet = plan, quiet
        self.digests: dict[str, str] = {}
        self.sets: Sets = {**plan.pair_sets(), **plan.probes}
        self.prompts = {p.problem_id: p.token_ids for p in plan.base.prompts}
        self.longest = max((len(r.prompt) + len(r.response) for s in self.sets.values() for r in s), default=0)

    def models(self) -> None:
        """Base model, checkpoints one by one, then the base model again for what all of them sampled."""
        plan = self.plan
        with open_store(plan.base, quiet=self.quiet) as store:
            if self._base_owes(store):
                with self._open(plan.base, store) as engine:
                    self._base(store, engine)
            self._grade(plan.base, store)
        sets = self._with_base_responses()
        for _, prepared in plan.runs:
            file = self._file(prepared, sets)
            with open_store(prepared, quiet=self.quiet) as store:
                if store.owes() or not file.exists():
                    with self._open(prepared, store) as engine:
                        self._checkpoint(prepared, store, engine, file, sets)
                self._grade(prepared, store)
        owed = [prepared for _, prepared in plan.runs if self._unscored(prepared)]
        if owed:
            with open_store(plan.base, quiet=True) as store, self._open(plan.base, store) as engine:
                for prepared in owed:
                    self._score(prepared, engine)

    def adapters(self) -> None:
        """Everything on one engine, which swaps the adapters and leaves them off for the base model."""
        plan = self.plan
        with ExitStack() as stack:
            engine: OpenEngine | None = None
            first = plan.runs[0][1]
            with open_store(plan.base, quiet=self.quiet) as store:
                if self._base_owes(store):
                    with open_store(first, quiet=True) as lent:
                        engine = stack.enter_context(self._open(first, lent))
                    self._base(store, engine, use_adapter=False, seed=store.session_seed)
                self._grade(plan.base, store)
            sets = self._with_base_responses()
            for _, prepared in plan.runs:
                file = self._file(prepared, sets)
                with open_store(prepared, quiet=self.quiet) as store:
                    if store.owes() or not file.exists() or self._unscored(prepared):
                        seed = store.session_seed
                        if engine is None:
                            engine = stack.enter_context(self._open(prepared, store))
                        else:
                            assert prepared.adapter_dir is not None
                            assert prepared.config.adapter_hash is not None
                            engine.load_adapter(str(prepared.adapter_dir), prepared.config.adapter_hash)
                        self._checkpoint(prepared, store, engine, file, sets, seed=seed)
                        self._score(prepared, engine, use_adapter=False)
                    self._grade(prepared, store)

    def _open(self, prepared: PreparedRun, store: RunStore) -> OpenEngine:
        return open_model(prepared, store, longest=self.longest, quiet=self.quiet)

    def _base_owes(self, store: RunStore) -> bool:
        base = self.plan.base
        return store.owes() or not self._file(base, self.sets).exists() or self._owes_own(store)

    def _owes_own(self, store: RunStore) -> bool:
        """Whether the base model has still to force its own responses, which checkpoints are compared with."""
        return is_inexact(store.meta) and self._unscored(self.plan.base)

    def _base(self, store: RunStore, engine: Engine, *, use_adapter: bool = True, seed: int | None = None) -> None:
        base, file = self.plan.base, self._file(self.plan.base, self.sets)
        if store.owes():
            sample_into(store, base, engine, use_adapter=use_adapter, seed=seed, quiet=self.quiet)
        if not file.exists():
            force(file, engine, self.sets, use_adapter=use_adapter, label="forcing, base", quiet=self.quiet)
        if self._owes_own(store):
            self._score(base, engine, use_adapter=use_adapter)

    def _checkpoint(
        self,
        prepared: PreparedRun,
        store: RunStore,
        engine: Engine,
        file: ForcedFile,
        sets: Sets,
        seed: int | None = None,
    ) -> None:
        if store.owes():
            sample_into(store, prepared, engine, seed=seed, quiet=self.quiet)
        if not file.exists():
            force(file, engine, sets, label=f"forcing, {prepared.directory.name}", quiet=self.quiet)

    def _grade(self, prepared: PreparedRun, store: RunStore) -> None:
        store.save_meta()
        grade_run(prepared.directory, quiet=self.quiet)

    def _unscored(self, prepared: PreparedRun) -> bool:
        by = ForcedBy.of(self.plan.base.config)
        ids = [problem.id for problem in prepared.problems]
        return not forced_responses(prepared.directory, by).covers(draws(prepared.config), ids)

    def _score(self, prepared: PreparedRun, engine: Engine, *, use_adapter: bool = True) -> None:
        if self._unscored(prepared):
            by = ForcedBy.of(self.plan.base.config)
            force_run(prepared.directory, engine, by, self.prompts, use_adapter=use_adapter, quiet=self.quiet)

    def _with_base_responses(self) -> Sets:
        best, greedy = base_responses(self.plan.base.directory, self.prompts)
        return {**self.sets, BASE_BEST: best, BASE_GREEDY: greedy}

    def _digest(self, name: str, responses: Sequence[TokenResponse]) -> str:
        """Of a set, once for all checkpoints: a name stands for the same responses throughout."""
        if name not in self.digests:
            self.digests[name] = digest([slots(r) for r in responses])
        return self.digests[name]

    def _file(self, prepared: PreparedRun, sets: Sets) -> ForcedFile:
        digests = {name: self._digest(name, responses) for name, responses in sets.items()}
        of_base = {name: digests.pop(name) for name in (BASE_BEST, BASE_GREEDY) if name in digests}
        owner = digest(
            {
                "model": prepared.config.model_hash,
                "adapter": prepared.config.adapter_hash,
                "dtype": prepared.config.dtype,
                "engine": prepared.config.engine,
                "sets": digests,
            }
        )
        path = self.plan.out / "forced" / f"{prepared.directory.name}.parquet"
        return ForcedFile(path, owner, digest(of_base) if of_base else "")


def copy_run(source: Path, target: Path) -> None:
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
