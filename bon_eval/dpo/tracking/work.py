"""The work behind `bon-eval track`: what is still owed of the base model and of every checkpoint, with few engines."""

from __future__ import annotations

import shutil
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path

from bon_eval.config import draws
from bon_eval.dpo.pairs.tokens import TokenResponse
from bon_eval.dpo.tracking.base_pool import base_sets
from bon_eval.dpo.tracking.forced import ForcedLog, Keyed, keyed
from bon_eval.dpo.tracking.plan import TrackPlan
from bon_eval.engines import OpenEngine, open_engine
from bon_eval.engines.base import Engine
from bon_eval.errors import ConfigError
from bon_eval.run.console.progress import say
from bon_eval.run.execute import open_model, open_store, sample_into
from bon_eval.run.forcing import force_run, stored_spec
from bon_eval.run.grading import grade_run
from bon_eval.run.prepare import PreparedRun
from bon_eval.store.files import TEMPORARY, make_directory
from bon_eval.store.forced import ForcedBy, forced_responses, is_inexact, is_scored
from bon_eval.store.prompts import load_prompts
from bon_eval.store.writer import RunStore, read_meta

Sets = dict[str, tuple[TokenResponse, ...]]
"""Set name -> its responses; the name of a pair set's side is ``<set>/chosen`` or ``<set>/rejected``."""


def measure(plan: TrackPlan, *, quiet: bool = False) -> Sets:
    """Do what is owed, and say of which sets of responses every checkpoint's log-probs are there now.

    LoRA checkpoints on the base model share one engine with it; others get one each.

    Raises:
        BonEvalError: as sampling and scoring do; what was stored before is kept.
    """
    if plan.base_run is not None and not plan.base.directory.exists():
        copy_run(plan.base_run, plan.base.directory)
    elif plan.base_run is not None and plan.forced_only and not has_base(plan):
        raise ConfigError(
            f"{plan.base.directory} is begun and unfinished, so --base-run cannot take its place; move it away"
        )
    work = _Work(plan, quiet)
    shared = all(checkpoint.is_adapter and checkpoint.on is None for checkpoint, _ in plan.runs)
    return work.adapters() if shared else work.models()


def has_base(plan: TrackPlan) -> bool:
    """Whether the base model's run is there, whole for the extent that it was sampled for."""
    return is_whole(plan.base.directory)


def is_whole(directory: Path) -> bool:
    """Whether a run is there and owes nothing of its extent."""
    return (directory / "run.json").is_file() and bool(read_meta(directory)["state"] == "sampled")


def forced_log(plan: TrackPlan, prepared: PreparedRun) -> ForcedLog:
    """Where the forced log-probs under the base model or a checkpoint are."""
    return ForcedLog(plan.out / "forced" / prepared.directory.name, ForcedBy.of(prepared.config).id)


class _Work:
    def __init__(self, plan: TrackPlan, quiet: bool) -> None:
        self.plan, self.quiet = plan, quiet
        self.by_base = ForcedBy.of(plan.base.config)
        self.sets: Sets = {**plan.pair_sets(), **plan.probes}
        self.given = keyed(self.sets.values())
        stored = load_prompts(plan.base.directory) if plan.forced_only and has_base(plan) else None
        self.prompts = stored or {p.problem_id: p.token_ids for p in plan.base.prompts}
        self.longest = max((len(r.prompt) + len(r.response) for s in self.sets.values() for r in s), default=0)
        if not plan.forced_only or has_base(plan):  # responses of the base model are forced, too
            sampled = max(map(len, self.prompts.values())) + plan.base.config.max_tokens
            self.longest = max(self.longest, sampled)

    def models(self) -> Sets:
        """Base model, checkpoints one by one, then the base model again for what all of them sampled."""
        plan = self.plan
        with self._store(plan.base, samples=not plan.forced_only) as store:
            if self._base_owes(store):
                with self._open(plan.base, store) as engine:
                    self._base(store, engine)
            self._grade(plan.base, store)
        sets, every = self._with_base_responses()
        for checkpoint, prepared in plan.runs:
            with self._store(prepared, samples=plan.samples_at(checkpoint.step)) as store:
                if self._owes(prepared, store, every):
                    with self._open(prepared, store) as engine:
                        self._checkpoint(prepared, store, engine, every)
                self._grade(prepared, store)
        owed = [run for checkpoint, run in plan.runs if plan.samples_at(checkpoint.step) and self._unscored(run)]
        if owed:
            with open_store(plan.base, quiet=True) as store, self._open(plan.base, store) as engine:
                for prepared in owed:
                    self._score(prepared, engine)
        return sets

    def adapters(self) -> Sets:
        """Everything on one engine, which swaps the adapters and leaves them off for the base model."""
        plan = self.plan
        with ExitStack() as stack:
            engine: OpenEngine | None = None
            first = next((p for c, p in plan.runs if plan.samples_at(c.step)), plan.runs[0][1])
            with self._store(plan.base, samples=not plan.forced_only) as store:
                if self._base_owes(store):
                    with self._store(first, samples=not plan.forced_only, quiet=True) as lent:
                        # A checkpoint's directory is not there before its own responses are.
                        engine = stack.enter_context(self._open(first, lent, log_in=plan.base.directory))
                    seed = None if store is None else store.session_seed
                    self._base(store, engine, use_adapter=False, seed=seed)
                self._grade(plan.base, store)
            sets, every = self._with_base_responses()
            for checkpoint, prepared in plan.runs:
                samples = plan.samples_at(checkpoint.step)
                with self._store(prepared, samples=samples) as store:
                    if self._owes(prepared, store, every) or (samples and self._unscored(prepared)):
                        seed = None if store is None else store.session_seed
                        if engine is None:
                            engine = stack.enter_context(self._open(prepared, store))
                        else:
                            assert prepared.adapter_dir is not None
                            assert prepared.config.adapter_hash is not None
                            engine.load_adapter(str(prepared.adapter_dir), prepared.config.adapter_hash)
                        self._checkpoint(prepared, store, engine, every, seed=seed)
                        if samples:
                            self._score(prepared, engine, use_adapter=False)
                    self._grade(prepared, store)
            return sets

    def _store(
        self, prepared: PreparedRun, *, samples: bool, quiet: bool = False
    ) -> AbstractContextManager[RunStore | None]:
        """The run's store where it samples; None where it is left as it is."""
        return open_store(prepared, quiet=quiet or self.quiet) if samples else nullcontext()

    def _open(self, prepared: PreparedRun, store: RunStore | None, *, log_in: Path | None = None) -> OpenEngine:
        if store is not None:
            return open_model(prepared, store, longest=self.longest, log_in=log_in, quiet=self.quiet)
        config, place = prepared.config, forced_log(self.plan, prepared).place
        make_directory(place)
        say(f"loading {config.model} ({config.engine}; {prepared.engine_reason})", self.quiet)
        spec = stored_spec(
            config.as_dict(),
            prepared.model_dir,
            prepared.adapter_dir,
            place,
            longest=self.longest,
            engine_args=config.engine_args,
        )
        return open_engine(config.engine, spec)

    def _owes(self, prepared: PreparedRun, store: RunStore | None, responses: Keyed) -> bool:
        sampling = store is not None and (store.owes() or self._owes_own(prepared, store))
        return sampling or bool(forced_log(self.plan, prepared).missing(responses))

    def _base_owes(self, store: RunStore | None) -> bool:
        base = self.plan.base
        if store is None and has_base(self.plan):
            stored = read_meta(base.directory)
            if is_inexact(stored) and not is_scored(base.directory, self.by_base):
                return True
        return self._owes(base, store, self.given)

    def _owes_own(self, prepared: PreparedRun, store: RunStore) -> bool:
        """Whether a model has still to force its own responses, of which differences between models are taken."""
        by = ForcedBy.of(prepared.config)
        return is_inexact(store.meta) and not self._forced(prepared, by)

    def _base(
        self, store: RunStore | None, engine: Engine, *, use_adapter: bool = True, seed: int | None = None
    ) -> None:
        base = self.plan.base
        if store is not None and store.owes():
            sample_into(store, base, engine, use_adapter=use_adapter, seed=seed, quiet=self.quiet)
        self._force(base, engine, self.given, use_adapter=use_adapter)
        if store is not None or has_base(self.plan):
            self._force_own(base, engine, use_adapter=use_adapter)

    def _checkpoint(
        self, prepared: PreparedRun, store: RunStore | None, engine: Engine, responses: Keyed, seed: int | None = None
    ) -> None:
        if store is not None and store.owes():
            sample_into(store, prepared, engine, seed=seed, quiet=self.quiet)
        self._force(prepared, engine, responses)
        if store is not None:
            self._force_own(prepared, engine)

    def _force(self, prepared: PreparedRun, engine: Engine, responses: Keyed, *, use_adapter: bool = True) -> None:
        log = forced_log(self.plan, prepared)
        if missing := log.missing(responses):
            label, by = f"forcing, {prepared.directory.name}", ForcedBy.of(prepared.config)
            log.force(engine, by, missing, use_adapter=use_adapter, label=label, quiet=self.quiet)

    def _force_own(self, prepared: PreparedRun, engine: Engine, *, use_adapter: bool = True) -> None:
        by = ForcedBy.of(prepared.config)
        if is_inexact(read_meta(prepared.directory)) and not is_scored(prepared.directory, by):
            force_run(prepared.directory, engine, by, self.prompts, use_adapter=use_adapter, quiet=self.quiet)

    def _grade(self, prepared: PreparedRun, store: RunStore | None) -> None:
        if store is not None:
            store.save_meta()
            grade_run(prepared.directory, quiet=self.quiet)
        elif is_whole(prepared.directory) and not (prepared.directory / "grades.parquet").is_file():
            grade_run(prepared.directory, quiet=self.quiet)

    def _forced(self, prepared: PreparedRun, by: ForcedBy) -> bool:
        ids = [problem.id for problem in prepared.problems]
        return forced_responses(prepared.directory, by).covers(draws(prepared.config), ids)

    def _unscored(self, prepared: PreparedRun) -> bool:
        return not self._forced(prepared, self.by_base)

    def _score(self, prepared: PreparedRun, engine: Engine, *, use_adapter: bool = True) -> None:
        if self._unscored(prepared):
            force_run(prepared.directory, engine, self.by_base, self.prompts, use_adapter=use_adapter, quiet=self.quiet)

    def _with_base_responses(self) -> tuple[Sets, Keyed]:
        of_base = base_sets(self.plan.base.directory) if has_base(self.plan) else {}
        return {**self.sets, **of_base}, {**self.given, **keyed(of_base.values())}


def copy_run(source: Path, target: Path) -> None:
    """Copy a finished run directory, which nobody writes any more, whole or not at all."""
    if read_meta(source)["state"] != "sampled":
        raise ConfigError(f"--base-run {source} is unfinished; finish it with its own command first")
    partial = target.with_name(f"{TEMPORARY}{target.name}")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source, partial, ignore=shutil.ignore_patterns("run.lock", "scores"))
    partial.rename(target)
