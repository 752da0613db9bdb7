"""What a task is: `TaskSpec`, frozen, as its YAML file states it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bon_eval.draws import DrawSpec
from bon_eval.tasks.templates import template_names

PromptStyle = Literal["auto", "chat", "plain"]
"""``chat``: the tokenizer's chat template; ``plain``: the text itself; ``auto``: chat where there is a template."""


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
    file: str | None = field(default=None, compare=False)
    """Name of the file with the same rows in a folder given as ``--data``."""
    train_file: str | None = field(default=None, compare=False)
    """The same of the train split."""


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
    options: str | None = None
    """List of a multiple-choice question's options; in a prompt, its column is one line ``(A) text`` for each. The
    answer is then a letter, a zero-based index or the text of one of them, and the gold holds the options as well."""

    def roles(self) -> dict[str, str]:
        """What a template may call a column besides its own name: ``question``, ``answer`` ... -> column."""
        named = {role: getattr(self, role) for role in ("question", "answer", "solution", "options", "id")}
        return {role: column for role, column in named.items() if column is not None}


@dataclass(frozen=True, slots=True)
class Gold:
    """How the gold answer is read."""

    after: str | None = None
    """It is what follows the last occurrence of this mark in the answer column; None: all of it."""
    boxed_in: str | None = None
    r"""Where the data has no answer column: the content of the last ``\boxed{}`` in this column."""
    matches: str | None = None
    """Regular expression; rows whose gold is not all of it are left out."""


@dataclass(frozen=True, slots=True)
class Demonstration:
    """A solved example that comes with the task."""

    fields: tuple[tuple[str, str], ...]
    """The columns that the prompt names, as pairs."""
    gold: str
    response: str


@dataclass(frozen=True, slots=True)
class FewShot:
    """Solved examples before the problem, drawn from the train split by seed."""

    k: int = 0
    response: str | None = None
    """Template of an example's response; the example's question is rendered by the task's own prompt template."""
    separator: str = "\n\n"
    """Between examples in plain style."""
    demonstrations: tuple[Demonstration, ...] = ()
    """Examples to draw from in place of a train split; their responses are ``{response}`` in `response`."""


@dataclass(frozen=True, slots=True)
class Plain:
    """What plain style adds, where no chat template says who speaks."""

    prefix: str = ""
    """Before every question, examples included."""
    stop: tuple[str, ...] = ()
    """Strings that end a response besides the task's own."""


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """A task, as its YAML file states it."""

    path: Path = field(compare=False)
    """The YAML file, for messages; not part of the task's identity."""
    name: str
    description: str
    source: str
    licence: str
    dataset: HubData | FileData | None
    """None: the rows are given with each run."""
    columns: Columns
    prompt: str
    """Template over the data set's columns, by their own names or what they are: ``{question}``."""
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
    gold: Gold = Gold()
    rows: tuple[tuple[str, str], ...] = ()
    """Columns and the one value that a row must have in each, for data that holds other tasks' rows too."""
    plain: Plain = Plain()
    reasoning: tuple[tuple[str, str], ...] | None = None
    """What opens and what closes reasoning, which is no part of an answer; None: the usual markers. Not part of the
    task's identity, as the grader is not."""
    chance: float | None = None
    """How often a guess is right; None: one over the options of a multiple choice, one half of true or false, else 0.
    Not part of the task's identity."""
    draws: tuple[DrawSpec, ...] = ()
    """Draws of a run besides greedy and the pool. Not part of the task's identity: the set of draws can change."""
    cluster: str | None = None
    """Column whose equal values mark problems that share a source: intervals and tests resample them together. Not part
    of the task's identity: it changes no response."""

    def template_columns(self) -> dict[str, tuple[str, ...]]:
        """For each template over columns (by its YAML key) the columns that it names."""
        used = {"prompt": template_names(self.prompt, f"{self.path}: prompt")}
        if self.few_shot.response is not None and not self.few_shot.demonstrations:
            used["few_shot.response"] = template_names(self.few_shot.response, f"{self.path}: few_shot.response")
        return used
