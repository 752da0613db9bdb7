"""One run from options to a stored, graded directory: resolve, render, sample, grade."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from bon_eval.config import count_owed
from bon_eval.engines import OpenEngine, open_engine
from bon_eval.engines.base import Engine, EngineSpec
from bon_eval.errors import counted
from bon_eval.records import Request
from bon_eval.run.console.progress import say
from bon_eval.run.console.signals import stop_if_asked
from bon_eval.run.grading import grade_run
from bon_eval.run.prepare import PreparedRun
from bon_eval.run.same_model import check_fingerprint, check_log_probs
from bon_eval.run.sampling import check_adapter, requests, sample
from bon_eval.run.versions import versions
from bon_eval.store.files import lock
from bon_eval.store.writer import RunStore
from bon_eval.tasks.ends import unclosed
from bon_eval.tasks.prompts import RenderedPrompt, check_context


def execute(prepared: PreparedRun, *, fresh: bool = False, quiet: bool = False) -> Path:
    """Sample what the run still owes, then grade all of it.

    Returns the run directory. Raises `BonEvalError`; what was stored before is kept.
    """
    with open_store(prepared, fresh=fresh, quiet=quiet) as store:
        if store.owes():
            with open_model(prepared, store, quiet=quiet) as engine:
                sample_into(store, prepared, engine, quiet=quiet)
        else:
            say("all responses are stored; nothing to sample", quiet)
        store.save_meta()
        grade_run(prepared.directory, quiet=quiet)
    return prepared.directory


def open_store(prepared: PreparedRun, *, fresh: bool = False, quiet: bool = False) -> RunStore:
    """The run's directory, made or resumed; `fresh` sets an old one aside first. Use as a context manager."""
    if fresh and prepared.directory.is_dir():
        set_aside(prepared.directory, quiet=quiet)
    if prepared.config.date is not None:
        say(f"the chat template writes the date {prepared.config.date}, which stays that of this run", quiet)
    for caution in unclosed(prepared.open_turn):
        say(f"caution: {caution}", quiet)
    store = RunStore(
        prepared.directory, prepared.config, prepared.problems, prompt_table(prepared.prompts), prepared.order
    )
    store.meta["tokenizer"] = {
        "ends": [asdict(end) for end in prepared.ends],
        "special_token_ids": list(prepared.special_ids),
        "open_turn": prepared.open_turn,
        "problems_with_special": prepared.with_special,
        "prompts_with_unknown": sum(prepared.unknown_id in p.token_ids for p in prepared.prompts),
        "repeated_prompts": len(prepared.prompts) - len({p.token_ids for p in prepared.prompts}),
    }
    return store


def prompt_table(prompts: Sequence[RenderedPrompt]) -> pa.Table:
    """The prompts as the store takes them."""
    return pa.table(
        {
            "prompt": pa.array([p.text for p in prompts], pa.string()),
            "prompt_token_ids": pa.array([list(p.token_ids) for p in prompts], pa.list_(pa.int32())),
            "messages": pa.array(
                [None if p.messages is None else json.dumps(p.messages, ensure_ascii=False) for p in prompts],
                pa.string(),
            ),
        }
    )


def open_model(
    prepared: PreparedRun,
    store: RunStore,
    *,
    longest: int = 0,
    probe: Request | None = None,
    others: Sequence[PreparedRun] = (),
    log_in: Path | None = None,
    quiet: bool = False,
) -> OpenEngine:
    """Load the run's model, adapter included, into its engine; use the result as a context manager.

    Args:
        longest: tokens of the longest sequence that is scored besides, prompt and response together.
        probe: what a served model is tried with. [default: the pool of the run's first problem]
        others: runs that the engine samples after this one.
        log_in: directory of the engine's log, which lasts as long as the engine. [default: the run's]
    """
    config = prepared.config
    say(f"loading {config.model} ({config.engine}; {prepared.engine_reason})", quiet)
    spec = EngineSpec(
        model_dir=str(prepared.model_dir),
        dtype=config.dtype,
        adapter_dir=None if prepared.adapter_dir is None else str(prepared.adapter_dir),
        adapter_hash=config.adapter_hash,
        seed=store.session_seed,
        max_length=max(longest, max(len(p.token_ids) for p in prepared.prompts) + config.max_tokens),
        log_path=str((log_in or prepared.directory) / "engine.log"),
        trust_remote_code=config.trust_remote_code,
        engine_args=config.engine_args,
        probe=probe or first_pool(prepared),
        samplings=tuple(r.sampling for run in (prepared, *others) for r in requests(run.config, run.prompts[:1])),
    )
    return open_engine(config.engine, spec)


def first_pool(prepared: PreparedRun) -> Request:
    """What the first problem's pool is asked for with."""
    return next(r for r in requests(prepared.config, prepared.prompts[:1]) if r.arm == "sample")


def sample_into(
    store: RunStore,
    prepared: PreparedRun,
    engine: Engine,
    *,
    use_adapter: bool = True,
    seed: int | None = None,
    quiet: bool = False,
) -> None:
    """Sample what the store owes from an open engine, checked first: context, and an adapter that is in force.

    Args:
        use_adapter: False where the run is of the base model and the engine holds an adapter besides.
        seed: of the engine, where it was not opened for this run.
    """
    config = prepared.config
    check_context(prepared.prompts, engine.context_length, config.max_tokens)
    if config.adapter is not None:
        check_adapter(engine, config.adapter, prepared.prompts[0].token_ids, quiet=quiet)
    check_fingerprint(store.meta["sessions"], engine.facts)
    if store.held:
        tokens = {p.problem_id: p.token_ids for p in prepared.prompts}
        remedy = "serve that model again, or give --fresh"
        check_log_probs(engine, prepared.directory, tokens, remedy, quiet=quiet)
    stop_if_asked()
    store.begin_session(_now(), versions(), engine.facts, seed=seed)
    if lost := store.meta["sessions"][-1]["redrawn"]:
        say(
            f"at most {counted(lost, 'response')} of pools that are stored in part were lost with the session before "
            "and are drawn again; long ones are lost more often than short ones (docs/scaling.md)",
            quiet,
        )
    if store.held:
        whole, total = store.requests_whole(), count_owed(config, len(prepared.problems))
        say(f"{_goes_on(store.meta['sessions'])}: {whole} of {total} requests are stored and stay as they are", quiet)
    sample(store, engine, prepared.prompts, use_adapter=use_adapter, quiet=quiet)


def _goes_on(sessions: Sequence[Mapping[str, Any]]) -> str:
    """What the last of the sessions does to the run, in a word."""
    *before, now = (session.get("extent") for session in sessions)
    return "growing" if before and before[-1] != now else "resuming"


def set_aside(directory: Path, *, quiet: bool = False) -> None:
    """Rename a run directory out of the way; responses that cost hours are never deleted."""
    with lock(directory):
        pattern = re.compile(re.escape(directory.name) + r"\.old-(\d+)")
        numbers = [int(m[1]) for p in directory.parent.iterdir() if (m := pattern.fullmatch(p.name))]
        target = directory.with_name(f"{directory.name}.old-{max(numbers, default=0) + 1}")
        directory.rename(target)
    say(f"the old run is kept as {target}", quiet)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
