"""``--config FILE``: the options of a command from a YAML file, or from the run.json of a run that was made before."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from bon_eval.draws import DrawSpec
from bon_eval.errors import ConfigError, reason, regular, unknown_name

# What a stored configuration calls other than its option, as in `RunConfig`; None: what follows from the rest.
_OF_RUN: dict[str, str | None] = {
    "engine_args": "engine_arg",
    "chat_template_args": "chat_template_arg",
    "stop_token_ids": "stop_token",
    "draws": "draw",
    **dict.fromkeys(("grader", "reasoning", "chance"), None),
    **dict.fromkeys(("task_hash", "spec_hash", "model_hash", "adapter_hash", "first_prompt", "prompts_hash"), None),
}
_PAIRS = ("engine_arg", "chat_template_arg")
"""Options of KEY=VALUE, in a file a mapping."""


def config_option(command: Any) -> Any:
    """The option; what the command line says wins over the file."""
    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=_take,
        help="YAML file with these options by name, or a run's run.json; what is given here wins.",
    )(command)


def _take(ctx: click.Context, param: click.Parameter, path: Path | None) -> None:
    if path is None:
        return
    given = _read(path)
    found: dict[str, Any] = {}
    known = dict(_names(ctx.command, param))
    for key, value in given.items():
        name = str(key).replace("-", "_")
        if name not in known:
            raise ConfigError(f"{path}: {unknown_name('option', str(key), [n.replace('_', '-') for n in known])}")
        option, inverted = known[name]
        if value is not None:
            found[str(option.name)] = _value(path, str(key), option, value, inverted, ctx)
    ctx.default_map = {**(ctx.default_map or {}), **found}


def _read(path: Path) -> Mapping[Any, Any]:
    """The options by name; of a run.json those of its configuration."""
    import yaml

    from bon_eval.tasks.yaml_file import load_yaml

    try:
        content = load_yaml(regular(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"--config {path} cannot be read: {error.strerror}; give a YAML file or a run.json"
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"--config {path} is not YAML in UTF-8: {reason(error)}") from error
    if not isinstance(content, Mapping):
        raise ConfigError(f"--config {path} must be a mapping of option names to values, such as `n: 64`")
    stored = content.get("config")
    if isinstance(stored, Mapping) and "identity" in content:
        draws = [str(DrawSpec(**draw)) for draw in stored.get("draws", ())]
        named = ((_OF_RUN.get(key, key), value) for key, value in {**stored, "draws": draws}.items())
        return {name: value for name, value in named if name is not None}
    return content


def _names(command: click.Command, own: click.Parameter) -> Iterator[tuple[str, tuple[click.Option, bool]]]:
    """Every name of every option but this one, with underscores, and whether it means the flag's opposite."""
    for option in command.params:
        if isinstance(option, click.Option) and option is not own and option.name != "help":
            for inverted, names in ((False, option.opts), (True, option.secondary_opts)):
                for name in names:
                    yield name.lstrip("-").replace("-", "_"), (option, inverted)


def _value(path: Path, key: str, option: click.Option, value: Any, inverted: bool, ctx: click.Context) -> Any:
    """The value as the command line would give it."""
    if key == "draws" and (isinstance(value, list | Mapping) or "=" in str(value)):
        raise ConfigError(
            f"{path}: draws is the number of bootstrap draws; give named draws as `draw:`, a list of texts"
        )
    kind = "true or false" if option.is_flag else "a list or one value" if option.multiple else "one value"
    if option.is_flag:
        if not isinstance(value, bool):
            raise ConfigError(f"{path}: {key} is {value!r}; it must be {kind}")
        return value is not inverted
    if option.name in _PAIRS and isinstance(value, Mapping):
        value = [f"{name}={json.dumps(item, ensure_ascii=False)}" for name, item in value.items()]
    if option.name == "ns" and isinstance(value, list):
        value = ",".join(map(str, value))
    items = value if option.multiple and isinstance(value, list) else [value]
    if bad := [item for item in items if isinstance(item, bool | Mapping | list)]:
        raise ConfigError(f"{path}: {key} is {bad[0]!r}; it must be {kind}, a text in quotes")
    texts = [_text(item) for item in items]
    try:
        option.type_cast_value(ctx, texts if option.multiple else texts[0])
    except click.BadParameter as error:
        raise ConfigError(f"{path}: {key}: {error.message}") from error
    return texts if option.multiple else texts[0]


def _text(value: Any) -> str:
    # What YAML reads as a date or a number stands on the command line as a text.
    return repr(value) if isinstance(value, float) else str(value)
