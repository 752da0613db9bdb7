"""Tasks: one YAML file each, read into a frozen `TaskSpec`.

The file is the whole definition: where the rows come from, which columns are what, how the gold answer is read, the
prompt, the grader and the limits. tasks/gsm8k.yaml is a complete example.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import yaml

from bon_eval.errors import TaskError, unknown_name
from bon_eval.templates import template_names

PromptStyle = Literal["auto", "chat", "plain"]
"""``chat``: the tokenizer's chat template; ``plain``: the text itself; ``auto``: chat where there is a template."""

_PACKAGE = Path(__file__).resolve().parent
ASSETS_DIR = _PACKAGE / "assets"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class HubData:
    """A data set on the Hugging Face hub, at one commit."""

    id: str
    config: str | None
    split: str
    revision: str
    """Commit, tag or branch; a commit is what makes a run repeatable."""
    train_split: str | None
    """Where few-shot examples come from; None: the task has none."""


@dataclass(frozen=True, slots=True)
class FileData:
    """Files that come with the task: JSON, JSON Lines, CSV or Parquet."""

    test: str
    train: str | None
    root: Path = field(compare=False)
    """Folder that `test` and `train` are relative to; not part of the task's identity."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column of the data set is what."""

    question: str
    answer: str
    id: str | None = None
    """None: a problem's id is its zero-based row number."""
    solution: str | None = None
    """A worked solution, graded by ``tasks check`` where the data has the column; never required."""


@dataclass(frozen=True, slots=True)
class FewShot:
    """Solved examples before the problem, drawn from the train split by seed."""

    k: int = 0
    response: str | None = None
    """Template of an example's response; the example's question is rendered by the task's own prompt template."""
    separator: str = "\n\n"
    """Between examples in plain style."""


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """A task, as its YAML file states it."""

    path: Path = field(compare=False)
    """The YAML file, for messages; not part of the task's identity."""
    name: str
    description: str
    source: str
    licence: str
    dataset: HubData | FileData
    columns: Columns
    gold_after: str | None
    """The gold answer is what follows the last occurrence of this mark in the answer column; None: all of it."""
    prompt: str
    """Template over the data set's columns."""
    answer_format: str
    """Template over ``{gold}``: how a response states its final answer; ``tasks check`` grades it."""
    grader: str
    max_tokens: int
    """Most tokens of a response, end token included."""
    system: str | None = None
    few_shot: FewShot = FewShot()
    prompt_style: PromptStyle = "auto"
    stop: tuple[str, ...] = ()
    """Strings that end a response."""

    def template_columns(self) -> dict[str, tuple[str, ...]]:
        """For each template over columns (by its YAML key) the columns that it names."""
        used = {"prompt": template_names(self.prompt, f"{self.path}: prompt")}
        if self.few_shot.response is not None:
            used["few_shot.response"] = template_names(self.few_shot.response, f"{self.path}: few_shot.response")
        return used


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
    separators = tuple(s for s in (os.sep, os.altsep) if s)
    if isinstance(name_or_path, Path) or given.endswith((".yaml", ".yml")) or any(s in given for s in separators):
        return _parse_file(Path(given))
    if given not in list_tasks():
        raise TaskError(f"{unknown_name('task', given, list_tasks())}; or give the path of your own .yaml file")
    return _parse_file(tasks_dir() / f"{given}.yaml")


def _parse_file(path: Path) -> TaskSpec:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TaskError(f"cannot read task file {path}: {error.strerror}; give the path of a .yaml file") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise TaskError(f"task file {path} is not YAML in UTF-8: {reason}") from error
    top = _Node(path, "", content)
    top.only(*_TOP_KEYS)
    name = top.text("name")
    if not _NAME.fullmatch(name):
        raise top.error("name", f"is {name!r}; it names a folder: use letters, digits, '.', '_' and '-'")
    gold = top.node("gold", required=False)
    gold.only("after")
    spec = TaskSpec(
        path=path,
        name=name,
        description=top.text("description"),
        source=top.text("source"),
        licence=top.text("licence"),
        dataset=_dataset(top.node("dataset")),
        columns=_columns(top.node("columns")),
        gold_after=gold.text("after") if gold.given else None,
        prompt=top.text("prompt"),
        answer_format=top.text("answer_format"),
        grader=top.text("grader"),
        max_tokens=top.integer("max_tokens", minimum=1),
        system=top.optional_text("system"),
        few_shot=_few_shot(top.node("few_shot", required=False)),
        prompt_style=_prompt_style(top),
        stop=top.texts("stop"),
    )
    if not spec.template_columns()["prompt"]:
        raise top.error("prompt", f"names no column; put the question in it: {{{spec.columns.question}}}")
    if template_names(spec.answer_format, f"{path}: answer_format") != ("gold",):
        raise top.error("answer_format", "must name {gold} and nothing else, for example '#### {gold}'")
    if (
        spec.few_shot.k > 0
        and (spec.dataset.train_split if isinstance(spec.dataset, HubData) else spec.dataset.train) is None
    ):
        key = "dataset.hub.train_split" if isinstance(spec.dataset, HubData) else "dataset's train file"
        raise top.error(
            "few_shot.k", f"is {spec.few_shot.k}, but {key} is not given: few-shot examples come from there"
        )
    return spec


_TOP_KEYS = (
    *("name", "description", "source", "licence", "dataset", "columns", "gold", "prompt", "answer_format", "grader"),
    *("max_tokens", "system", "few_shot", "prompt_style", "stop"),
)


def _prompt_style(node: _Node) -> PromptStyle:
    given = node.optional_text("prompt_style") or "auto"
    styles: tuple[PromptStyle, ...] = get_args(PromptStyle)
    for style in styles:
        if given == style:
            return style
    raise node.error("prompt_style", f"is {given!r}; valid: {', '.join(styles)}")


def _dataset(node: _Node) -> HubData | FileData:
    node.only("hub", "embedded", "files")
    given = [kind for kind in ("hub", "embedded", "files") if kind in node.values]
    if len(given) != 1:
        raise node.error("", f"gives {' and '.join(given) or 'none'} of hub, embedded and files; give exactly one")
    source = node.node(given[0])
    if given[0] == "hub":
        source.only("id", "config", "split", "revision", "train_split")
        return HubData(
            id=source.text("id"),
            config=source.optional_text("config"),
            split=source.text("split"),
            revision=source.text("revision"),
            train_split=source.optional_text("train_split"),
        )
    source.only("test", "train")
    root = ASSETS_DIR if given[0] == "embedded" else node.path.resolve().parent
    return FileData(test=source.text("test"), train=source.optional_text("train"), root=root)


def _columns(node: _Node) -> Columns:
    node.only("id", "question", "answer", "solution")
    return Columns(
        question=node.text("question"),
        answer=node.text("answer"),
        id=node.optional_text("id"),
        solution=node.optional_text("solution"),
    )


def _few_shot(node: _Node) -> FewShot:
    if not node.given:
        return FewShot()
    node.only("k", "response", "separator")
    separator = node.optional_text("separator")
    return FewShot(
        k=node.integer("k", minimum=0),
        response=node.text("response"),
        separator=FewShot().separator if separator is None else separator,
    )


class _Node:
    """A mapping of the YAML file, read key by key; every error names the file and the key."""

    def __init__(self, path: Path, key: str, content: object, *, given: bool = True) -> None:
        self.path, self.key, self.given = path, key, given
        if not isinstance(content, Mapping):
            what = f"{key} " if key else ""
            raise TaskError(f"task file {path}: {what}must be a mapping of keys to values")
        self.values: dict[object, object] = dict(content)

    def error(self, key: str, message: str) -> TaskError:
        """One line that names the file and the key."""
        return TaskError(f"task file {self.path}: {self._full(key)} {message}")

    def only(self, *valid: str) -> None:
        """Refuse keys that mean nothing: a misspelt one would silently leave its default in force."""
        for key in self.values:
            if key not in valid:
                where = f" in {self.key}" if self.key else ""
                raise TaskError(f"task file {self.path}: unknown key {key!r}{where}; valid: {', '.join(valid)}")

    def node(self, key: str, *, required: bool = True) -> _Node:
        if self.values.get(key) is None:
            if required:
                raise self.error(key, "is missing; add it")
            return _Node(self.path, self._full(key), {}, given=False)
        return _Node(self.path, self._full(key), self.values[key])

    def text(self, key: str) -> str:
        value = self.optional_text(key)
        if value is None or not value.strip():
            raise self.error(key, "is missing or empty; add it")
        return value

    def optional_text(self, key: str) -> str | None:
        value = self.values.get(key)
        if value is None or isinstance(value, str):
            return value
        raise self.error(key, f"is {value!r}, which is not text; put it in quotes")

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.values.get(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(v, str) and v for v in value):
            raise self.error(key, f"is {value!r}; it must be a list of non-empty texts")
        return tuple(value)

    def integer(self, key: str, *, minimum: int) -> int:
        value = self.values.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
            raise self.error(key, f"is {value!r}; it must be a whole number of at least {minimum}")
        return value

    def _full(self, key: str) -> str:
        return ".".join(part for part in (self.key, key) if part)
