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
from bon_eval.graders.workers.own_file import is_file_name, split_name
from bon_eval.tasks.spec import Columns, Demonstration, FewShot, FileData, Gold, HubData, Plain, PromptStyle, TaskSpec
from bon_eval.tasks.templates import template_names
from bon_eval.tasks.yaml_file import Node, read_yaml

_PACKAGE = Path(__file__).resolve().parents[1]
ASSETS_DIR = _PACKAGE / "assets"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""Of a task: it names a folder."""


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
    """The task; one error names all mistakes of the file."""
    top = read_yaml(path, "task")
    top.only(*_TOP_KEYS)
    columns = _columns(top.node("columns"))
    grader = _grader(top)
    spec = TaskSpec(
        path=path,
        name=_name(top),
        description=top.optional_text("description") or "",
        source=top.optional_text("source") or "",
        licence=top.optional_text("licence") or "",
        dataset=_dataset(top.node("dataset", required=False)),
        columns=columns,
        prompt=top.text("prompt"),
        answer_format=top.optional_text("answer_format") or ANSWER_FORMATS.get(grader, "{gold}"),
        grader=grader,
        max_tokens=top.integer("max_tokens", minimum=1, default=MAX_TOKENS),
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
    _check_templates(spec, top)
    top.finish()
    return spec


def _name(top: Node) -> str:
    """The one given, else that of the file."""
    given = top.optional_text("name")
    name = top.path.stem if given is None else given
    if not NAME.fullmatch(name):
        is_of = "" if given is not None else ", that of the file"
        top.wrong("name", f"is {name!r}{is_of}; it names a folder: use letters, digits, '.', '_' and '-'")
    return name


def _grader(top: Node) -> str:
    """A name, or a function of a file that is named from where the task's own file lies."""
    name = top.text("grader")
    if not is_file_name(name):
        return name
    path, function = split_name(name)
    return f"{(top.path.resolve().parent / path)}:{function}"


def _check_templates(spec: TaskSpec, top: Node) -> None:
    """The templates are ones, and the few-shot examples have what the prompt names."""

    def names(key: str, template: str) -> tuple[str, ...] | None:
        try:
            return template_names(template, key)
        except TaskError as error:
            top.mistakes.append(str(error))
            return None

    prompt = names("prompt", spec.prompt) if spec.prompt else None
    if spec.few_shot.response and not spec.few_shot.demonstrations:
        names("few_shot.response", spec.few_shot.response)
    if prompt == () and spec.columns.question:
        top.wrong("prompt", f"names no column; put the question in it: {{{spec.columns.question}}}")
    if names("answer_format", spec.answer_format) not in (None, ("gold",)):
        top.wrong("answer_format", "must name {gold} and nothing else, for example '#### {gold}'")
    _check_examples(spec, top, prompt or ())


def _check_examples(spec: TaskSpec, top: Node, names: tuple[str, ...]) -> None:
    """The few-shot examples exist, and demonstrations have what the prompt names."""
    for number, demonstration in enumerate(spec.few_shot.demonstrations, start=1):
        given = [name for name, _ in demonstration.fields]
        for name in dict.fromkeys((*names, spec.columns.question)):
            if name and name not in given:
                top.wrong("few_shot.demonstrations", f"lacks {name!r} in number {number}; the prompt names it")
    if spec.few_shot.k == 0 or spec.few_shot.demonstrations or spec.dataset is None:
        return
    hub = isinstance(spec.dataset, HubData)
    if (spec.dataset.train_split if isinstance(spec.dataset, HubData) else spec.dataset.train) is None:
        key = "dataset.hub.train_split" if hub else "dataset's train file"
        top.wrong("few_shot.k", f"is {spec.few_shot.k}, but {key} is not given: few-shot examples come from there")


MAX_TOKENS = 512
"""Of a task that does not say."""

ANSWER_FORMATS = {
    "math": r"\boxed{{{gold}}}",
    "gsm8k": "#### {gold}",
    "numeric": "#### {gold}",
    "choice": "The answer is ({gold}).",
    "true_false": "The answer is {gold}.",
    "game24": "Answer: {gold}",
}
"""By grader, of a task that does not say; of other graders the answer alone."""

_TOP_KEYS = (
    *("name", "description", "source", "licence", "dataset", "columns", "gold", "prompt", "answer_format", "grader"),
    *("max_tokens", "system", "few_shot", "prompt_style", "stop", "rows", "plain", "reasoning", "cluster", "chance"),
    "draws",
)


def _draws(top: Node) -> tuple[DrawSpec, ...]:
    try:
        return parse_draws(top.texts("draws"))
    except ConfigError as error:
        top.wrong("draws", str(error).removeprefix("--draw "))
        return ()


def _chance(top: Node) -> float | None:
    value = top.values.get("chance")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        top.wrong("chance", f"is {value!r}; it must be a number from 0 to below 1: how often a guess is right")
        return None
    return float(value)


def _prompt_style(node: Node) -> PromptStyle:
    given = node.optional_text("prompt_style") or "auto"
    styles: tuple[PromptStyle, ...] = get_args(PromptStyle)
    for style in styles:
        if given == style:
            return style
    node.wrong("prompt_style", f"is {given!r}; valid: {', '.join(styles)}")
    return "auto"


def _dataset(node: Node) -> HubData | FileData | None:
    if not node.given:
        return None
    node.only("hub", "embedded", "files")
    given = [kind for kind in ("hub", "embedded", "files") if kind in node.values]
    if len(given) != 1:
        node.wrong("", f"gives {' and '.join(given) or 'none'} of hub, embedded and files; give exactly one")
        return None
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
            node.wrong("matches", f"is no regular expression ({error})")
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
            block.wrong("opening", f"is {opening!r} again; each marker must be another")
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
                node.wrong("gold", f"is {gold!r}, which is {named}; give a letter")
                continue
            fields[name], gold = option_lines(texts), gold_with_options(letters[0], texts)
        elif name not in ("gold", "response"):
            fields[name] = node.text(name)
    for role, column in columns.roles().items():  # either name stands for both
        if role in fields or column in fields:
            fields.setdefault(column, fields.get(role, ""))
            fields.setdefault(role, fields[column])
    return Demonstration(tuple(fields.items()), gold, node.text("response"))
