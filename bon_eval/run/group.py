"""A group of tasks on one loaded model: everything checked first, one run directory for each task, resumable."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from bon_eval.config import Shard
from bon_eval.engines import REMOTE
from bon_eval.engines.load import load_tokenizer
from bon_eval.engines.models import resolve_model
from bon_eval.errors import ConfigError, TaskError
from bon_eval.run.console.progress import say
from bon_eval.run.execute import first_pool, open_model, open_store, sample_into
from bon_eval.run.grading import grade_run
from bon_eval.run.options import RunOptions
from bon_eval.run.prepare import PreparedRun, prepare
from bon_eval.tasks.groups import GroupSpec, GroupTask


@dataclass(frozen=True, slots=True)
class PreparedGroup:
    """The runs of a group's tasks, in its order; nothing written and no model loaded yet."""

    group: GroupSpec
    runs: tuple[PreparedRun, ...]
    summary: Path
    """Where the summary of all of them goes."""


def prepare_group(group: GroupSpec, options: RunOptions, *, explicit: Iterable[str] = ()) -> PreparedGroup:
    """Resolve every task of the group for one model.

    Args:
        group: the tasks and their settings.
        options: what the user asked for; `task` is left aside. `out` is the folder that takes one run directory for
            each task, named by it, and the summary. `data` must be a folder.
        explicit: of ``n``, ``limit``, ``max_tokens`` and ``shots`` those that the user gave: they win over the group.

    Raises:
        ConfigError: `data` or `train_data` is a file, which can be the rows of one task only.
        BonEvalError: as `prepare` does; the message names the task.
    """
    for name, path in (("--data", options.data), ("--train-data", options.train_data)):
        if path is not None and not path.is_dir():
            raise ConfigError(
                f"{name} {path} is no folder, and {group.name} is a group of tasks; give a folder of files"
            )
    model = resolve_model(options.model, options.revision, weights=options.engine != REMOTE)
    tokenizer = load_tokenizer(model.directory, trust_remote_code=options.trust_remote_code)
    each = [task_options(options, task, frozenset(explicit)) for task in group.tasks]
    runs = [prepare(of_task, model=model, tokenizer=tokenizer) for of_task in each]
    names = [run.spec.name for run in runs]
    for name in names:
        if names.count(name) > 1:
            raise TaskError(f"two tasks of {group.path} have the name {name!r}; rename one")
    if options.out is not None:
        runs = [replace(run, directory=options.out / run.spec.name) for run in runs]
    part = "" if options.shard is None else Shard.parse(options.shard).suffix
    summary = options.out / "summary" if options.out is not None else Path("results") / group.name / (model.slug + part)
    return PreparedGroup(group, tuple(runs), summary)


def task_options(options: RunOptions, task: GroupTask, explicit: frozenset[str]) -> RunOptions:
    """The options of one task of a group; `explicit` as in `prepare_group`."""

    def chosen(key: str, of_group: int | None, given: int | None) -> int | None:
        return given if key in explicit or of_group is None else of_group

    n = chosen("n", task.n, options.n)
    assert n is not None
    return replace(
        options,
        task=task.task,
        out=None,
        n=n,
        limit=chosen("limit", task.limit, options.limit),
        max_tokens=chosen("max_tokens", task.max_tokens, options.max_tokens),
        shots=chosen("shots", task.shots, options.shots),
    )


def execute_group(prepared: PreparedGroup, *, fresh: bool = False, quiet: bool = False) -> list[Path]:
    """Sample what the runs still owe, with one engine for all, and grade each as soon as it is sampled.

    Returns the run directories in the group's order. Raises `BonEvalError`; what was stored before is kept.
    """
    with ExitStack() as stack:
        stores = [stack.enter_context(open_store(run, fresh=fresh, quiet=quiet)) for run in prepared.runs]
        owing = [k for k in range(len(stores)) if stores[k].owes()]
        engine = None
        if owing:
            first = owing[0]
            length = max(max(len(p.token_ids) for p in r.prompts) + r.config.max_tokens for r in prepared.runs)
            seed = stores[first].session_seed
            # The same one whatever is owed, so that a resumed group finds the served model that it began with.
            probe = max((first_pool(run) for run in prepared.runs), key=lambda request: request.n)
            others = [prepared.runs[k] for k in owing[1:]]
            opened = open_model(
                prepared.runs[first], stores[first], longest=length, probe=probe, others=others, quiet=quiet
            )
            engine = stack.enter_context(opened)
        else:
            say("all responses are stored; nothing to sample", quiet)
        for k, (run, store) in enumerate(zip(prepared.runs, stores, strict=True)):
            say(f"[{k + 1}/{len(stores)}] {run.spec.name}", quiet)
            if engine is not None and k in owing:
                sample_into(store, run, engine, seed=seed, quiet=quiet)
            store.save_meta()
            grade_run(run.directory, quiet=quiet)
    return [run.directory for run in prepared.runs]
