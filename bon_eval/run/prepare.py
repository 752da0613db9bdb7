"""A run's options resolved: task, model, prompts and directory, before anything is written or loaded."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bon_eval.config import RunConfig, Shard
from bon_eval.engines import REMOTE, choose_engine
from bon_eval.engines.load import load_tokenizer
from bon_eval.engines.models import ResolvedModel, resolve_adapter, resolve_model, stated_context
from bon_eval.errors import ConfigError
from bon_eval.graders import get_grader
from bon_eval.records import Problem
from bon_eval.tasks.load import load_task
from bon_eval.tasks.problems import load_problems, load_train_problems, task_hash
from bon_eval.tasks.prompts import (
    RenderedPrompt,
    check_context,
    prompts_hash,
    render_prompts,
    resolve_style,
    stop_token_ids,
)
from bon_eval.tasks.spec import PromptStyle, TaskSpec

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the user asked for; None leaves it to the task."""

    model: str
    task: str
    n: int = 32
    limit: int | None = None
    max_tokens: int | None = None
    temperature: float = 1.0
    engine: str = "auto"
    dtype: str = "auto"
    revision: str | None = None
    adapter: str | None = None
    seed: int = 0
    data: Path | None = None
    train_data: Path | None = None
    out: Path | None = None
    fresh: bool = False
    prompt_style: PromptStyle | None = None
    shots: int | None = None
    trust_remote_code: bool = False
    engine_args: dict[str, object] = field(default_factory=dict)
    token_stats: str = "none"
    shard: str | None = None
    cluster: str | None = None
    """Column of the problems that share a source, in place of the task's."""


@dataclass(frozen=True, slots=True)
class PreparedRun:
    """Everything resolved and checked; nothing written and no model loaded yet."""

    config: RunConfig
    spec: TaskSpec
    problems: tuple[Problem, ...]
    prompts: tuple[RenderedPrompt, ...]
    model_dir: Path
    adapter_dir: Path | None
    directory: Path
    engine_reason: str
    order: tuple[str, ...] | None = None
    """Of a shard: the ids of the whole run's problems, in task order."""


@dataclass(frozen=True, slots=True)
class PreparedPrompts:
    """A task's problems rendered for a model."""

    spec: TaskSpec
    model: ResolvedModel
    adapter_dir: Path | None
    adapter_hash: str | None
    problems: tuple[Problem, ...]
    prompts: tuple[RenderedPrompt, ...]
    style: str
    """``chat`` or ``plain``, resolved."""
    shots: int
    stop_token_ids: tuple[int, ...]


def prepare_prompts(
    options: RunOptions, *, model: ResolvedModel | None = None, tokenizer: PreTrainedTokenizerBase | None = None
) -> PreparedPrompts:
    """Resolve task, model and adapter and render the prompts.

    Args:
        options: what the user asked for. Where `data` is a folder, the train split may lie in it too.
        model, tokenizer: of the options' model, where they were resolved and loaded before.

    Raises:
        BonEvalError: of the kind that fits, one line each.
    """
    spec = load_task(options.task)
    if options.cluster is not None:
        spec = replace(spec, cluster=options.cluster)
    model = model or resolve_model(options.model, options.revision, weights=options.engine != REMOTE)
    adapter_dir, adapter_hash = resolve_adapter(options.adapter) if options.adapter is not None else (None, None)
    problems = load_problems(spec, data=options.data, limit=options.limit)
    shots = spec.few_shot.k if options.shots is None else options.shots
    train = options.train_data
    if train is None and options.data is not None and options.data.is_dir():
        train = options.data
    tokenizer = tokenizer or load_tokenizer(model.directory, trust_remote_code=options.trust_remote_code)
    style = resolve_style(spec, tokenizer, options.prompt_style)
    prompts = render_prompts(
        spec,
        problems,
        tokenizer,
        style=style,
        shots=shots,
        seed=options.seed,
        train_problems=load_train_problems(spec, data=train) if shots else (),
    )
    ends = stop_token_ids(model.directory, tokenizer)
    return PreparedPrompts(spec, model, adapter_dir, adapter_hash, problems, prompts, style, shots, ends)


def prepare(
    options: RunOptions, *, model: ResolvedModel | None = None, tokenizer: PreTrainedTokenizerBase | None = None
) -> PreparedRun:
    """Resolve the options into a run, checking all that can be checked without the model.

    `model`, `tokenizer`: of the options' model, where they were resolved and loaded before.

    Raises:
        BonEvalError: of the kind that fits, one line each; nothing has been written.
    """
    if options.engine == REMOTE:
        options = served(options)
    ready = prepare_prompts(options, model=model, tokenizer=tokenizer)
    spec, model = ready.spec, ready.model
    get_grader(spec.grader)  # one that there is not is found before anything is sampled
    engine, reason = choose_engine(options.engine)
    config = RunConfig(
        task=spec.name,
        model=options.model,
        revision=model.revision,
        adapter=options.adapter,
        engine=engine,
        dtype=options.dtype,
        n=options.n,
        limit=options.limit,
        temperature=options.temperature,
        max_tokens=spec.max_tokens if options.max_tokens is None else options.max_tokens,
        stop=spec.stop + (spec.plain.stop if ready.style == "plain" else ()),
        stop_token_ids=ready.stop_token_ids,
        prompt_style=ready.style,
        shots=ready.shots,
        seed=options.seed,
        grader=spec.grader,
        data=None if options.data is None else str(options.data),
        train_data=None if options.train_data is None else str(options.train_data),
        task_hash=task_hash(spec, ready.problems),
        model_hash=model.content_hash,
        adapter_hash=ready.adapter_hash,
        prompts_hash=prompts_hash(ready.problems, ready.prompts),
        trust_remote_code=options.trust_remote_code,
        engine_args=options.engine_args,
        token_stats=options.token_stats,
        reasoning=spec.reasoning,
        cluster=spec.cluster,
        shard=options.shard,
    )
    context = stated_context(model.directory)
    if context is not None:
        check_context(ready.prompts, context, config.max_tokens)
    slug = model.slug if ready.adapter_hash is None else f"{model.slug}+{ready.adapter_hash[:8]}"
    whole = Path("results") / spec.name / slug / replace(config, shard=None).run_id
    prepared = PreparedRun(
        config, spec, ready.problems, ready.prompts, model.directory, ready.adapter_dir, options.out or whole, reason
    )
    return prepared if options.shard is None else _shard(prepared, Shard.parse(options.shard), options.out)


def _shard(prepared: PreparedRun, shard: Shard, out: Path | None) -> PreparedRun:
    """The part of a run that a shard holds, in a directory beside the whole run's."""
    own = [k for k, problem in enumerate(prepared.problems) if shard.holds(problem.id)]
    if not own:
        raise ConfigError(f"shard {shard} holds none of the {len(prepared.problems)} problems; use fewer shards")
    return replace(
        prepared,
        problems=tuple(prepared.problems[k] for k in own),
        prompts=tuple(prepared.prompts[k] for k in own),
        directory=out or prepared.directory.with_name(prepared.directory.name + shard.suffix),
        order=tuple(problem.id for problem in prepared.problems),
    )


def served(options: RunOptions) -> RunOptions:
    """The options of a run whose model is served elsewhere, the name under which it is served included.

    That name is part of the run's identity: the weights behind it cannot be read from here.

    Raises:
        ConfigError: an option that only the server can decide, or an engine argument that is not taken.
    """
    from bon_eval.engines.servers import ServerSettings

    for name, given, remedy in (
        ("--dtype", options.dtype != "auto", "start the server with it"),
        ("--adapter", options.adapter is not None, "serve it, and name it with --engine-arg served_model=NAME"),
    ):
        if given:
            raise ConfigError(f"{name} is the server's to set with engine {REMOTE}; {remedy}")
    args = {"served_model": options.model, **options.engine_args}
    ServerSettings.of(args)
    return replace(options, engine_args=args)
