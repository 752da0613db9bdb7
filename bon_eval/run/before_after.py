"""Before and after: a base and a tuned model on the same prompts, each response scored by both.

Works in the order that loads models least: an adapter's base and tuned model share one engine; two checkpoints take
three loads, since the tuned responses must exist before the base model can score them and the other way round. A model
that computes in less than float32 scores its own responses as well: differences between the models are of forced
log-likelihoods on both sides then (see `bon_eval.store.forced`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bon_eval.config import draws
from bon_eval.engines import REMOTE, open_engine
from bon_eval.engines.arguments import check_adapter_for_scoring
from bon_eval.engines.base import Engine
from bon_eval.engines.models import unchanged_model
from bon_eval.errors import ConfigError
from bon_eval.run.console.progress import say
from bon_eval.run.execute import open_model, open_store, sample_into
from bon_eval.run.forcing import force_run, stored_spec
from bon_eval.run.grading import grade_run
from bon_eval.run.options import RunOptions
from bon_eval.run.prepare import PreparedRun, prepare
from bon_eval.run.same_model import check_log_probs
from bon_eval.store.files import lock
from bon_eval.store.forced import ForcedBy, forced_responses, is_inexact, is_scored
from bon_eval.store.imported.source import check_own_tokens, forced_as_own, longest_response
from bon_eval.store.prompts import check_same_prompts, load_prompt_texts, load_prompts
from bon_eval.store.reader import iter_responses
from bon_eval.store.writer import RunStore, read_meta
from bon_eval.tasks.ends import check_same_ends


@dataclass(frozen=True, slots=True)
class PreparedBeforeAfter:
    """Two runs that differ in the model alone; nothing written and no model loaded yet."""

    before: PreparedRun
    after: PreparedRun

    @property
    def adapter(self) -> bool:
        """Whether the tuned model is an adapter on the base model, so that one engine serves both."""
        return self.after.config.adapter is not None


def prepare_before_after(
    options: RunOptions, after: str, *, allow_different_prompts: bool = False
) -> PreparedBeforeAfter:
    """Resolve the base run that `options` describe and the same run of the tuned model.

    Args:
        options: of the base run.
        after: a LoRA directory on the base model, or a checkpoint (directory or hub id).
        allow_different_prompts: go on where the two models see different tokens.

    Raises:
        ConfigError: the prompts differ (the message shows where) or what ends a response, the tuned model is the base
            model.
        BonEvalError: as `prepare` does.
    """
    if options.out is not None:
        raise ConfigError("--out names one run directory, and --after makes two; drop --out")
    if options.adapter is not None:
        raise ConfigError("--adapter with --after is not supported; merge the adapter into the base model first")
    if options.engine == REMOTE:
        raise ConfigError(
            f"--after loads two models, and engine {REMOTE} has one served elsewhere; run each through its server, "
            "score both ways with `bon-eval score RUN --by RUN2 --base-url URL`, then `bon-eval compare`"
        )
    if options.shard is not None:
        raise ConfigError(
            "--after compares whole runs; run each model with --shard, merge both, then `bon-eval score RUN --by RUN2` "
            "both ways and `bon-eval compare`"
        )
    before = prepare(options)
    is_adapter = (Path(after).expanduser() / "adapter_config.json").is_file()
    changed = replace(options, adapter=after) if is_adapter else replace(options, model=after, revision=None)
    tuned = prepare(changed.dated(before.config.date))
    if (before.config.model_hash, None) == (tuned.config.model_hash, tuned.config.adapter_hash):
        raise ConfigError(f"--after {after} is the base model itself: there is nothing to compare")
    check_adapter_for_scoring(tuned.config.engine, tuned.adapter_dir)
    check_same_ends(before.ends, tuned.ends, f"--after {after}")
    if not allow_different_prompts:
        check_same_prompts(
            {p.problem_id: p.token_ids for p in before.prompts},
            {p.problem_id: p.token_ids for p in tuned.prompts},
            lambda: (
                {p.problem_id: p.text for p in before.prompts},
                {p.problem_id: p.text for p in tuned.prompts},
            ),
        )
    return PreparedBeforeAfter(before, tuned)


def execute_before_after(pair: PreparedBeforeAfter, *, fresh: bool = False, quiet: bool = False) -> tuple[Path, Path]:
    """Sample, grade and cross-score what either run still owes; returns both run directories.

    Where the prompts differ nothing is cross-scored. Raises `BonEvalError`; what was stored before is kept.
    """
    with ExitStack() as stack:
        stores = [stack.enter_context(open_store(p, fresh=fresh, quiet=quiet)) for p in (pair.before, pair.after)]
        work = _Work(pair, stores[0], stores[1], quiet)
        if pair.adapter:
            work.with_one_engine()
        else:
            work.with_two_engines()
        for store in stores:
            store.save_meta()
            grade_run(store.directory, quiet=quiet)
    return pair.before.directory, pair.after.directory


def force_stored(run: Path, by: Path, *, base_url: str | None = None, quiet: bool = False) -> Path:
    """Score a stored run's responses by the model of another stored run; returns the directory of the scores.

    Where that model computes in less than float32, it scores the other run's responses, its own, as well. A run may be
    scored by its own model alone: `by` is the run itself.

    `base_url`: where that model is served now, where it was served for `by`.

    Raises:
        ConfigError: the two runs have other problems or other prompts.
        ModelError: that model is not where it was, or its files have changed since.
        EngineError: the server has another model under that name now.
        BonEvalError: as `force_run` does.
    """
    meta = read_meta(by)
    for path, of in ((by, meta), (run, read_meta(run))):
        check_own_tokens(path, of, "scoring by another model")
    config = meta["config"]
    if base_url is not None and config["engine"] != REMOTE:
        raise ConfigError(f"--base-url names a server, and {by} was sampled with engine {config['engine']}; drop it")
    model, adapter_dir = unchanged_model(config, by)
    prompts, asked = load_prompts(by), load_prompts(run)
    # In another order of the data a row number is another problem, and the tokens are the same all the same.
    if Counter(prompts.values()) != Counter(asked.values()):
        check_same_prompts(prompts, asked, lambda: (dict(load_prompt_texts(by)), dict(load_prompt_texts(run))))
    longest = max(map(len, prompts.values())) + max(longest_response(read_meta(path)) for path in (run, by))
    args = config["engine_args"] | ({} if base_url is None else {"base_url": base_url})
    spec = stored_spec(config, model.directory, adapter_dir, run, longest=longest, engine_args=args)
    model_by = ForcedBy.of(config)
    own = run.resolve() != by.resolve() and _owes_own(by, meta)
    with ExitStack() as stack:
        for path in (run, by) if own else (run,):
            stack.enter_context(closing(lock(path)))
        say(f"loading {config['model']} ({config['engine']})", quiet)
        with open_engine(config["engine"], spec) as engine:
            check_log_probs(engine, by, prompts, "serve that model again", quiet=quiet)
            scores = force_run(run, engine, model_by, asked, quiet=quiet)
            if own:
                force_run(by, engine, model_by, prompts, quiet=quiet)
            return scores


def _owes_own(run: Path, meta: Mapping[str, Any]) -> bool:
    """Whether a stored run's model has still to score its own responses; never where a server gave no ids of them."""
    if forced_as_own(meta) or not is_inexact(meta) or is_scored(run, ForcedBy.of(meta["config"])):
        return False
    first = next(iter_responses(run), None)
    return first is not None and bool(first.token_ids)


@dataclass
class _Work:
    pair: PreparedBeforeAfter
    first: RunStore
    second: RunStore
    quiet: bool

    def with_one_engine(self) -> None:
        before, after = self.pair.before, self.pair.after
        sampled = not self.first.owes() and not self.second.owes()
        pairs = [(run, by) for run in (after, before) for by in (before, after)]
        if sampled and not any(self._unscored(run, by) for run, by in pairs):
            say("all responses are stored and scored; nothing to sample", self.quiet)
            return
        seed = self.second.session_seed
        with open_model(after, self.second, quiet=self.quiet) as engine:
            # The tuned model first: an adapter that changes nothing is found before anything is paid for.
            self._sample(self.second, after, engine, seed=seed)
            self._sample(self.first, before, engine, use_adapter=False, seed=seed)
            for run, by in pairs:
                self._score(run, by, engine, use_adapter=by is after)

    def with_two_engines(self) -> None:
        before, after = self.pair.before, self.pair.after
        if self.second.owes():
            with open_model(after, self.second, quiet=self.quiet) as engine:
                self._sample(self.second, after, engine)
                self._score(after, after, engine)
        if self.first.owes() or self._unscored(after, before) or self._unscored(before, before):
            with open_model(before, self.first, quiet=self.quiet) as engine:
                self._sample(self.first, before, engine)
                self._score(before, before, engine)
                self._score(after, before, engine)
        if self._unscored(before, after) or self._unscored(after, after):
            with open_model(after, self.second, quiet=self.quiet) as engine:
                self._score(before, after, engine)
                self._score(after, after, engine)

    def _sample(
        self,
        store: RunStore,
        prepared: PreparedRun,
        engine: Engine,
        *,
        use_adapter: bool = True,
        seed: int | None = None,
    ) -> None:
        if store.owes():
            sample_into(store, prepared, engine, use_adapter=use_adapter, seed=seed, quiet=self.quiet)

    def _unscored(self, run: PreparedRun, by: PreparedRun) -> bool:
        """Whether the model of `by` has still to score responses of `run`; its own only where forcing differs."""
        if self.pair.before.config.prompts_hash != self.pair.after.config.prompts_hash:
            return False
        if run is by and not is_inexact(read_meta(run.directory)):
            return False
        ids = [problem.id for problem in run.problems]
        return not forced_responses(run.directory, ForcedBy.of(by.config)).covers(draws(run.config), ids)

    def _score(self, run: PreparedRun, by: PreparedRun, engine: Engine, *, use_adapter: bool = True) -> None:
        if self._unscored(run, by):
            prompts = {p.problem_id: p.token_ids for p in by.prompts}
            model = ForcedBy.of(by.config)
            force_run(run.directory, engine, model, prompts, use_adapter=use_adapter, quiet=self.quiet)
