"""A run's options resolved: task, model, prompts and directory, before anything is written or loaded."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bon_eval.config import RunConfig, Shard, draw_specs
from bon_eval.draws import with_own
from bon_eval.engines import REMOTE, choose_engine
from bon_eval.engines.arguments import check_arguments, check_sampling
from bon_eval.engines.load import load_tokenizer
from bon_eval.engines.models import ResolvedModel, resolve_adapter, resolve_model, stated_context
from bon_eval.errors import Boundary, ConfigError, ModelError, StoreError
from bon_eval.records import Problem
from bon_eval.run.options import RunOptions, served
from bon_eval.store.writer import read_meta
from bon_eval.tasks.chat import ChatTemplate, today
from bon_eval.tasks.check import try_grader
from bon_eval.tasks.ends import End, count_special, find_ends, open_turn, special_ids, split_stops
from bon_eval.tasks.load import load_task
from bon_eval.tasks.problems import load_problems, load_train_problems, spec_hash, task_hash
from bon_eval.tasks.prompts import (
    RenderedPrompt,
    check_context,
    first_prompt_hash,
    prompts_hash,
    render_prompts,
    resolve_style,
)
from bon_eval.tasks.spec import TaskSpec

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


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
    ends: tuple[End, ...] = ()
    special_ids: tuple[int, ...] = ()
    """Tokens that a response's text leaves out."""
    unknown_id: int | None = None
    """The token that stands for all that the tokenizer does not know, if it has one."""
    open_turn: str | None = None
    """What the chat template writes behind a turn, where no end of turn can be told from it."""
    with_special: int = 0
    """Problems whose own text holds the name of a special token."""
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
    stop: tuple[str, ...]
    ends: tuple[End, ...]
    special_ids: tuple[int, ...]
    """Tokens that a response's text leaves out."""
    unknown_id: int | None
    """The token that stands for all that the tokenizer does not know, if it has one."""
    date: str | None
    """The day that the chat template writes into the prompts; None where it writes none."""
    open_turn: str | None
    """What the chat template writes behind a turn, where no end of turn can be told from it and none was given."""
    with_special: int
    """Problems whose own text holds the name of a special token."""


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
    if options.system is not None:
        spec = replace(spec, system=options.system or None)
    model = model or resolve_model(options.model, options.revision, weights=options.engine != REMOTE)
    adapter_dir, adapter_hash = resolve_adapter(options.adapter) if options.adapter is not None else (None, None)
    asked = load_problems(spec, data=options.data)
    problems = asked[: options.limit]
    shots = spec.few_shot.k if options.shots is None else options.shots
    train = options.train_data
    if train is None and options.data is not None and options.data.is_dir():
        train = options.data
    tokenizer = tokenizer or load_tokenizer(model.directory, trust_remote_code=options.trust_remote_code)
    given_template = options.chat.template is not None
    # A damaged one may load, and fail at its first text.
    with Boundary(ModelError, f"the tokenizer of {model.directory} fails", "give a complete model directory"):
        style = resolve_style(spec, tokenizer, options.prompt_style, given_template=given_template)
        date = options.chat.date or today()
        template = ChatTemplate(tokenizer, replace(options.chat, date=date)) if style == "chat" else None
        if template is None and (given_template or options.chat.arguments):
            raise ConfigError(
                "--chat-template and its arguments are of chat style, and the prompts are plain; drop them"
            )
        prompts = render_prompts(
            spec,
            problems,
            tokenizer,
            style=style,
            shots=shots,
            seed=options.seed,
            train_problems=load_train_problems(spec, data=train) if shots else (),
            template=template,
            asked=asked,
            context=stated_context(model.directory),
        )
        strings, tokens = split_stops(
            tokenizer, spec.stop + (spec.plain.stop if style == "plain" else ()) + options.stop
        )
        return PreparedPrompts(
            spec=spec,
            model=model,
            adapter_dir=adapter_dir,
            adapter_hash=adapter_hash,
            problems=problems,
            prompts=prompts,
            style=style,
            shots=shots,
            stop=tuple(dict.fromkeys(strings)),
            ends=find_ends(model.directory, tokenizer, template, given=(*tokens, *options.stop_tokens)),
            special_ids=special_ids(tokenizer),
            unknown_id=tokenizer.unk_token_id,
            date=date if template is not None and template.wrote_date else None,
            with_special=count_special(tokenizer, _own_texts(spec, problems)),
            open_turn=None
            if template is None or options.stop or options.stop_tokens
            else open_turn(tokenizer, template),
        )


def prepare(
    options: RunOptions, *, model: ResolvedModel | None = None, tokenizer: PreTrainedTokenizerBase | None = None
) -> PreparedRun:
    """Resolve the options into a run, checking all that can be checked without the model.

    A date that the chat template writes is fixed when a run first starts: without one in the options, it is that of the
    stored run that the options describe, and today's where there is none.

    `model`, `tokenizer`: of the options' model, where they were resolved and loaded before.

    Raises:
        BonEvalError: of the kind that fits, one line each; nothing has been written.
    """
    if options.engine == REMOTE:
        options = served(options)
    model = model or resolve_model(options.model, options.revision, weights=options.engine != REMOTE)
    tokenizer = tokenizer or load_tokenizer(model.directory, trust_remote_code=options.trust_remote_code)
    prepared = _prepare(options, model, tokenizer)
    if prepared.config.date is None or options.chat.date is not None or options.fresh:
        return prepared
    for date in _stored_dates(prepared.directory, options.out):
        earlier = _prepare(options.dated(date), model, tokenizer)
        if _is_stored(earlier.directory):
            return earlier
    return prepared


def _stored_dates(directory: Path, out: Path | None) -> list[str]:
    """The dates of the stored runs of which this may be one, the latest first."""
    folders = [out] if out is not None else sorted(directory.parent.glob("*"))
    found = set()
    for folder in folders:
        with suppress(StoreError):
            found.add(read_meta(folder)["config"].get("date"))
    return sorted((date for date in found if date is not None), reverse=True)


def _is_stored(directory: Path) -> bool:
    """Whether a run, or a shard of it, is in its place."""
    whole = re.sub(r"\.shard-\d+-of-\d+$", "", directory.name)
    return any((place / "run.json").is_file() for place in (directory, *directory.parent.glob(f"{whole}.shard-*")))


def _prepare(options: RunOptions, model: ResolvedModel, tokenizer: PreTrainedTokenizerBase) -> PreparedRun:
    ready = prepare_prompts(options, model=model, tokenizer=tokenizer)
    spec = ready.spec
    try_grader(spec, ready.problems)  # one that there is not, or that fails, is found before anything is sampled
    engine, reason = choose_engine(options.engine)
    check_arguments(engine, options.engine_args)
    if ready.date is not None and engine == REMOTE and options.engine_args.get("api") == "chat":
        raise ConfigError(
            "the chat template writes the date, and with api=chat the server writes its own, another one each day; use "
            "api=completions, which sends the prompt as it is rendered here"
        )
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
        stop=ready.stop,
        stop_token_ids=tuple(end.token_id for end in ready.ends),
        prompt_style=ready.style,
        shots=ready.shots,
        seed=options.seed,
        grader=spec.grader,
        data=None if options.data is None else str(options.data),
        train_data=None if options.train_data is None else str(options.train_data),
        spec_hash=spec_hash(spec),
        model_hash=model.content_hash,
        adapter_hash=ready.adapter_hash,
        first_prompt=first_prompt_hash(ready.prompts),
        task_hash=task_hash(spec, ready.problems),
        prompts_hash=prompts_hash(ready.problems, ready.prompts),
        trust_remote_code=options.trust_remote_code,
        engine_args=options.engine_args,
        token_stats=options.token_stats,
        reasoning=spec.reasoning,
        cluster=spec.cluster,
        chance=spec.chance,
        system=options.system,
        chat_template=options.chat.template,
        chat_template_args=dict(options.chat.arguments),
        date=ready.date,
        draws=with_own(spec.draws if options.task_draws else (), options.draws),
        shard=options.shard,
    )
    for draw in draw_specs(config):
        check_sampling(engine, draw.sampling(config.max_tokens))
    context = stated_context(model.directory)
    if context is not None:
        check_context(ready.prompts, context, config.max_tokens)
    slug = model.slug if ready.adapter_hash is None else f"{model.slug}+{ready.adapter_hash[:8]}"
    whole = Path("results") / spec.name / slug / replace(config, shard=None).run_id
    prepared = PreparedRun(
        config=config,
        spec=spec,
        problems=ready.problems,
        prompts=ready.prompts,
        model_dir=model.directory,
        adapter_dir=ready.adapter_dir,
        directory=options.out or whole,
        engine_reason=reason,
        ends=ready.ends,
        special_ids=ready.special_ids,
        unknown_id=ready.unknown_id,
        open_turn=ready.open_turn,
        with_special=ready.with_special,
    )
    return prepared if options.shard is None else _shard(prepared, Shard.parse(options.shard), options.out)


def _own_texts(spec: TaskSpec, problems: Sequence[Problem]) -> Iterator[str]:
    """What each problem brings to its prompt."""
    columns = spec.template_columns()["prompt"]
    return ("\n".join(problem.fields[name] for name in columns) for problem in problems)


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
