"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from bon_eval.engines import REMOTE
from bon_eval.errors import ConfigError

F = TypeVar("F", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)
PROMPT_STYLES = click.Choice(["auto", "chat", "plain"])


def option_block(*options: Callable[[Any], Any]) -> Callable[[F], F]:
    """Several options as one decorator, in the order in which ``--help`` lists them."""

    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def seed_option(what: str | None = None) -> Callable[[F], F]:
    """The seed, with what it is of."""
    return click.option("--seed", default=0, show_default=True, help=what)


run_argument = click.argument("run_dir", metavar="RUN", type=PATH)
quiet_option = click.option("--quiet", is_flag=True, help="No progress.")

task_options = option_block(
    click.option("--task", required=True, help="Task or group of tasks, or the path of your own YAML."),
    click.option("--n", type=int, help="Responses per problem in the pool. [default: 32, or the group's]"),
    click.option(
        "--draw",
        multiple=True,
        metavar="NAME=KEY:VALUE,...",
        help="One more way of sampling, such as low=temperature:0.25,n:8 (also top_p, top_k, min_p); repeatable.",
    ),
    click.option("--limit", type=int, help="Only the first problems. [default: all, or the group's]"),
    click.option("--max-tokens", type=int, help="Most tokens of a response. [default: the group's or the task's]"),
)
"""What a group of tasks has settings of its own for."""
data_option = click.option("--data", type=PATH, help="Local JSONL, JSON, CSV or Parquet file, or a folder of them.")
data_options = option_block(
    data_option,
    click.option(
        "--train-data", type=PATH, help="Local file with the train split, from which few-shot examples are drawn."
    ),
)
_chat_options = (
    click.option("--chat-template", metavar="FILE", help="In place of the model's own; or the name of one of its own."),
    click.option(
        "--chat-template-arg",
        multiple=True,
        metavar="KEY=VALUE",
        help="Given to the chat template, for example enable_thinking=false; repeatable.",
    ),
    click.option("--date", metavar="YYYY-MM-DD", help="For templates that write one. [default: the run's first day]"),
)
chat_options = option_block(*_chat_options)
prompt_options = option_block(
    click.option("--prompt-style", type=PROMPT_STYLES, help="[default: the task's]"),
    click.option("--shots", type=int, help="Few-shot examples from the train split. [default: the task's]"),
    click.option("--system", metavar="TEXT", help="System text in place of the task's; empty: none."),
    *_chat_options,
)
stop_options = option_block(
    click.option("--stop", multiple=True, metavar="TEXT", help="Also ends a response; repeatable."),
    click.option(
        "--stop-token", "stop_tokens", multiple=True, metavar="TOKEN", help="A token, or its id, that also ends one."
    ),
)

revision_option = click.option("--revision", help="Commit, tag or branch of a hub model.")
adapter_option = click.option("--adapter", help="LoRA directory, as saved by PEFT.")
trust_option = click.option("--trust-remote-code", is_flag=True, help="Run model code that comes from the hub.")
engine_option = click.option("--engine", default="auto", show_default=True, help="auto, vllm, transformers or openai.")
base_url_option = click.option("--base-url", metavar="URL", help="Of an OpenAI-compatible server: engine openai.")
engine_arg_option = click.option(
    "--engine-arg", multiple=True, metavar="KEY=VALUE", help="Passed through to the engine; repeatable."
)

draws_option = click.option(
    "--draws", default=10_000, show_default=True, help="Bootstrap draws, and random signs of families."
)
analysis_options = option_block(
    click.option(
        "--scorer",
        "scorers",
        multiple=True,
        help="What picks best-of-n, or FILE.py:NAME; repeatable. [default: basic four]",
    ),
    click.option(
        "--vote", "votes", multiple=True, help="A weighted vote beside the majority's, RULE[@P][/SCORER]; repeatable."
    ),
    click.option(
        "--arms",
        type=click.Choice(["default", "all"]),
        default="default",
        help="All scorers and votes of the run, or few.",
    ),
    click.option("--ns", help="Values of n for the table, for example 1,4,16. [default: powers of two, and N]"),
    draws_option,
)
cluster_option = click.option(
    "--cluster", metavar="COLUMN", help="Problems of one value share a source. [default: the task's]"
)
verdict_options = option_block(
    click.option(
        "--margin",
        default=2.0,
        show_default=True,
        help="Points of accuracy that make no difference: shown to be the same.",
    ),
    cluster_option,
    click.option("--looks", default=1, show_default=True, help="Planned looks at a growing run, which share the 5 %."),
)
allow_options = option_block(
    click.option(
        "--allow-different",
        multiple=True,
        metavar="NAME,...",
        help="Compare runs that differ in prompts (accuracies only), grader, dtype or engine; repeatable.",
    ),
    click.option("--allow-different-prompts", is_flag=True, help="The same as --allow-different prompts."),
)
html_option = click.option(
    "--html/--no-html", default=True, help="Also write the page and, of a report, the figures. [default: html]"
)


def asked_for(given: Mapping[str, Any]) -> tuple[frozenset[str], dict[str, Any]]:
    """The options that a group's own settings give way to, and all options but an ``--n`` that was not given.

    The values of `--draw` are draws then; raises `ConfigError` for others.
    """
    from bon_eval.draws import parse_draws

    explicit = frozenset(name for name in ("n", "limit", "max_tokens", "shots") if given[name] is not None)
    kept = {name: value for name, value in given.items() if name != "draw" and (name != "n" or value is not None)}
    return explicit, {**kept, "draws": parse_draws(given["draw"])}


def allowed(names: tuple[str, ...], prompts: bool) -> tuple[str, ...]:
    """What the values of `allow_options` let two runs differ in; raises `ConfigError` for an unknown name.

    >>> allowed(("grader,dtype", "engine"), True)
    ('grader', 'dtype', 'engine', 'prompts')
    """
    from bon_eval.store.comparable import check_differences

    given = [part.strip() for text in names for part in text.split(",")]
    return check_differences([*given, *(["prompts"] if prompts else [])])


def engine_args(pairs: tuple[str, ...]) -> dict[str, object]:
    """KEY=VALUE pairs with YAML values, an empty one an empty text; raises `ConfigError` for others."""
    given = _key_values("--engine-arg", pairs, "tensor_parallel_size=2")
    return {name.replace("-", "_"): value for name, value in given.items()}


def chat_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options with those of the chat template as one, ``chat``; raises `ConfigError` for others than KEY=VALUE."""
    from bon_eval.tasks.chat import ChatOptions

    names = ("chat_template", "chat_template_arg", "date")
    arguments = _key_values("--chat-template-arg", given["chat_template_arg"], "enable_thinking=false")
    chat = ChatOptions(given["chat_template"], arguments, given["date"])
    return {name: value for name, value in given.items() if name not in names} | {"chat": chat}


def _key_values(option: str, pairs: tuple[str, ...], example: str) -> dict[str, object]:
    import yaml

    parsed: dict[str, object] = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign or not name:
            raise ConfigError(f"{option} {pair!r} is not KEY=VALUE, for example {example}")
        try:
            found = yaml.safe_load(value) if value else ""
            json.dumps(found)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise ConfigError(f"{option} {name}: value {value!r} cannot be read; quote it") from error
        except TypeError:  # what YAML reads as a date, which JSON has not, is meant as it stands there
            found = value
        if name in parsed and parsed[name] != found:
            raise ConfigError(f"{option} {name} is given twice, as {parsed[name]!r} and {found!r}; drop one")
        parsed[name] = found
    return parsed


def with_server(engine: str, args: dict[str, object], base_url: str | None) -> tuple[str, dict[str, object]]:
    """Engine and its arguments, where `--base-url` may name a server; raises `ConfigError` where they do not agree."""
    if base_url is None:
        return engine, args
    if engine not in ("auto", REMOTE):
        raise ConfigError(f"--base-url names a server, and --engine {engine} runs the model here; drop one of them")
    return REMOTE, args | {"base_url": base_url}


def numbers(text: str | None) -> tuple[int, ...] | None:
    """``1,4,16`` as numbers; raises `ConfigError` for others."""
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(f"--ns {text!r} is not a list of whole numbers such as 1,2,4,8") from error
