"""Tasks: one YAML file each, read into a frozen `TaskSpec`.

The file is the whole definition: where the rows come from, which columns are what, how the gold answer is read, the
prompt, the grader and the limits. tasks/gsm8k.yaml is a complete example.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import get_args

from bon_eval.draws import DrawSpec, parse_draws
from bon_eval.errors import ConfigError, TaskError, unknown_name
from bon_eval.graders.choice_text import gold_readings, gold_with_options, option_lines, option_texts
from bon_eval.tasks.spec import Columns, Demonstration, FewShot, FileData, Gold, HubData, Plain, PromptStyle, TaskSpec
from bon_eval.tasks.templates import template_names
from bon_eval.tasks.yaml_file import Node, read_yaml

_PACKAGE = Path(__file__).resolve().parents[1]
ASSETS_DIR = _PACKAGE / "assets"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def tasks_dir() -> Path:
    """The folder of the tasks that come with bon-eval: in the installed package, or at the top of a checkout."""
    packaged = _PACKAGE / "_tasks"
    return packaged if packaged.is_dir() else _PACKAGE.parent / "tasks"


def list_tasks() -> list[str]:
    """The names of the tasks that come with bon-eval, sorted."""
    return sorted(path.stem for path in tasks_dir().glob("*.yaml"))


def load_task(name_or_path: str | Path) -> TaskSpec:
    """The task of that name, or the one in a user's own YAML file (a path, or anything that ends in .yaml or .yml).

    Raises `TaskError` for an unknown name (the message lists the valid ones) and for a file that is not a task.
    """
    given = str(name_or_path)
    if isinstance(name_or_path, Path) or names_a_file(given):
        return _parse_file(Path(given))
    if given not in list_tasks():
        raise TaskError(f"{unknown_name('task', given, list_tasks())}; or give the path of your own .yaml file")
    return _parse_file(tasks_dir() / f"{given}.yaml")


def names_a_file(given: str) -> bool:
    """Whether it is a path, or anything that ends in .yaml or .yml, and not a name."""
    separators = tuple(s for s in (os.sep, os.altsep) if s)
    return given.endswith((".yaml", ".yml")) or any(s in given for s in separators)


def _parse_file(path: Path) -> TaskSpec:
    top = read_yaml(path, "task")
    top.only(*_TOP_KEYS)
    name = top.text("name")
    if not _NAME.fullmatch(name):
        raise top.error("name", f"is {name!r}; it names a folder: use letters, digits, '.', '_' and '-'")
    columns = _columns(top.node("columns"))
    spec = TaskSpec(
        path=path,
        name=name,
        description=top.text("description"),
        source=top.text("source"),
        licence=top.text("licence"),
        dataset=_dataset(top.node("dataset")),
        columns=columns,
        prompt=top.text("prompt"),
        answer_format=top.text("answer_format"),
        grader=top.text("grader"),
        max_tokens=top.integer("max_tokens", minimum=1),
        system=top.optional_text("system"),
        few_shot=_few_shot(top.node("few_shot", required=False), columns),
        prompt_style=_prompt_style(top),
        stop=top.texts("stop"),
        gold=_gold(top.node("gold", required=False)),
        rows=_rows(top.node("rows", required=False)),
        plain=_plain(top.node("plain", required=False)),
        reasoning=_reasoning(top),
        cluster=top.optional_text("cluster"),
        chance=_chance(top),
        draws=_draws(top),
    )
    if not spec.template_columns()["prompt"]:
        raise top.error("prompt", f"names no column; put the question in it: {{{spec.columns.question}}}")
    if template_names(spec.answer_format, f"{path}: answer_format") != ("gold",):
        raise top.error("answer_format", "must name {gold} and nothing else, for example '#### {gold}'")
    _check_examples(spec, top)
    return spec


def _check_examples(spec: TaskSpec, top: Node) -> None:
    """The few-shot examples exist, and demonstrations have what the prompt names."""
    names = spec.template_columns()["prompt"]
    for number, demonstration in enumerate(spec.few_shot.demonstrations, start=1):
        given = [name for name, _ in demonstration.fields]
        for name in (*names, spec.columns.question):
            if name not in given:
                raise top.error("few_shot.demonstrations", f"lacks {name!r} in number {number}; the prompt names it")
    if spec.few_shot.k == 0 or spec.few_shot.demonstrations:
        return
    hub = isinstance(spec.dataset, HubData)
    if (spec.dataset.train_split if isinstance(spec.dataset, HubData) else spec.dataset.train) is None:
        key = "dataset.hub.train_split" if hub else "dataset's train file"
        raise top.error(
            "few_shot.k", f"is {spec.few_shot.k}, but {key} is not given: few-shot examples come from there"
        )


_TOP_KEYS = (
    *("name", "description", "source", "licence", "dataset", "columns", "gold", "prompt", "answer_format", "grader"),
    *(
        "max_tokens",
        "system",
        "few_shot",
        "prompt_style",
        "stop",
        "rows",
        "plain",
        "reasoning",
        "cluster",
        "chance",
        "draws",
    ),
)


def _draws(top: Node) -> tuple[DrawSpec, ...]:
    try:
        return parse_draws(top.texts("draws"))
    except ConfigError as error:
        raise top.error("draws", str(error).removeprefix("--draw ")) from error


def _chance(top: Node) -> float | None:
    value = top.values.get("chance")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise top.error("chance", f"is {value!r}; it must be a number from 0 to below 1: how often a guess is right")
    return float(value)


def _prompt_style(node: Node) -> PromptStyle:
    given = node.optional_text("prompt_style") or "auto"
    styles: tuple[PromptStyle, ...] = get_args(PromptStyle)
    for style in styles:
        if given == style:
            return style
    raise node.error("prompt_style", f"is {given!r}; valid: {', '.join(styles)}")


def _dataset(node: Node) -> HubData | FileData:
    node.only("hub", "embedded", "files")
    given = [kind for kind in ("hub", "embedded", "files") if kind in node.values]
    if len(given) != 1:
        raise node.error("", f"gives {' and '.join(given) or 'none'} of hub, embedded and files; give exactly one")
    source = node.node(given[0])
    if given[0] == "hub":
        source.only("id", "config", "split", "revision", "train_split", "file", "train_file")
        return HubData(
            id=source.text("id"),
            config=source.optional_text("config"),
            split=source.text("split"),
            revision=source.text("revision"),
            train_split=source.optional_text("train_split"),
            file=source.optional_text("file"),
            train_file=source.optional_text("train_file"),
        )
    source.only("test", "train")
    root = ASSETS_DIR if given[0] == "embedded" else node.path.resolve().parent
    return FileData(test=source.text("test"), train=source.optional_text("train"), root=root)


def _columns(node: Node) -> Columns:
    node.only("id", "question", "answer", "solution", "options")
    return Columns(
        question=node.text("question"),
        answer=node.text("answer"),
        id=node.optional_text("id"),
        solution=node.optional_text("solution"),
        options=node.optional_text("options"),
    )


def _gold(node: Node) -> Gold:
    node.only("after", "boxed_in", "matches")
    matches = node.optional_text("matches")
    if matches is not None:
        try:
            re.compile(matches)
        except re.error as error:
            raise node.error("matches", f"is no regular expression ({error})") from error
    return Gold(node.optional_text("after") or None, node.optional_text("boxed_in"), matches)


def _rows(node: Node) -> tuple[tuple[str, str], ...]:
    return tuple((str(column), node.text(str(column))) for column in node.values)


def _plain(node: Node) -> Plain:
    node.only("prefix", "stop")
    return Plain(node.optional_text("prefix") or "", node.texts("stop"))


def _reasoning(top: Node) -> tuple[tuple[str, str], ...] | None:
    if top.values.get("reasoning") is None:
        return None
    found: list[tuple[str, str]] = []
    for block in top.nodes("reasoning"):
        block.only("opening", "closing")
        opening, closing = (block.text(key).strip() for key in ("opening", "closing"))
        if opening.lower() in (closing.lower(), *(other.lower() for other, _ in found)):
            raise block.error("opening", f"is {opening!r} again; each marker must be another")
        found.append((opening, closing))
    return tuple(found)


def _few_shot(node: Node, columns: Columns) -> FewShot:
    if not node.given:
        return FewShot()
    node.only("k", "response", "separator", "demonstrations")
    separator = node.optional_text("separator")
    demonstrations = tuple(_demonstration(example, columns) for example in node.nodes("demonstrations"))
    return FewShot(
        k=node.integer("k", minimum=0),
        response=node.optional_text("response") or "\n\n{response}" if demonstrations else node.text("response"),
        separator=FewShot().separator if separator is None else separator,
        demonstrations=demonstrations,
    )


def _demonstration(node: Node, columns: Columns) -> Demonstration:
    fields: dict[str, str] = {}
    gold = node.text("gold").strip()
    for key in node.values:
        name = str(key)
        if name == columns.options:
            texts = option_texts(node.texts(name))
            letters = sorted(set(gold_readings(gold, texts).values()))
            if len(letters) != 1:
                named = (
                    f"one of the options {' and '.join(letters)}" if letters else f"none of the {len(texts)} options"
                )
                raise node.error("gold", f"is {gold!r}, which is {named}; give a letter")
            fields[name], gold = option_lines(texts), gold_with_options(letters[0], texts)
        elif name not in ("gold", "response"):
            fields[name] = node.text(name)
    return Demonstration(tuple(fields.items()), gold, node.text("response"))
