"""Options that several commands share, and how their values are read."""

from __future__ import annotations

from pathlib import Path

import click

from bon_eval.engines import REMOTE
from bon_eval.errors import ConfigError

PATH = click.Path(path_type=Path)
engine_option = click.option("--engine", default="auto", show_default=True, help="auto, vllm, transformers or openai.")
base_url_option = click.option("--base-url", metavar="URL", help="Of an OpenAI-compatible server: engine openai.")
engine_arg_option = click.option(
    "--engine-arg", multiple=True, metavar="KEY=VALUE", help="Passed through to the engine; repeatable."
)
trust_option = click.option("--trust-remote-code", is_flag=True, help="Run model code that comes from the hub.")
data_option = click.option("--data", type=PATH, help="Local JSONL, JSON, CSV or Parquet file, or a folder of them.")
train_data_option = click.option(
    "--train-data", type=PATH, help="Local file with the train split, from which few-shot examples are drawn."
)
scorers_option = click.option(
    "--scorer",
    "scorers",
    multiple=True,
    help="What picks best-of-n, or FILE.py:NAME; repeatable. [default: basic four]",
)
votes_option = click.option(
    "--vote", "votes", multiple=True, help="A weighted vote beside the majority's, RULE[@P][/SCORER]; repeatable."
)
arms_option = click.option(
    "--arms", type=click.Choice(["default", "all"]), default="default", help="All scorers and votes of the run, or few."
)
ns_option = click.option("--ns", help="Values of n for the table, for example 1,4,16. [default: powers of two, and N]")
draws_option = click.option("--draws", default=10_000, show_default=True, help="Bootstrap and permutation draws.")
html_option = click.option(
    "--html/--no-html", default=True, help="Also write the page and, of a report, the figures. [default: html]"
)


def engine_args(pairs: tuple[str, ...]) -> dict[str, object]:
    """KEY=VALUE pairs with YAML values; raises `ConfigError` for others."""
    import yaml

    parsed: dict[str, object] = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign or not name:
            raise ConfigError(f"--engine-arg {pair!r} is not KEY=VALUE, for example tensor_parallel_size=2")
        try:
            parsed[name.replace("-", "_")] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigError(f"--engine-arg {name}: value {value!r} cannot be read; quote it") from error
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
