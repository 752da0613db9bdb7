"""Preference pairs from a stored run: its pools, grades and prompts, without the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bon_eval.dpo.pairs.build import build_pairs
from bon_eval.dpo.pairs.candidates import Candidate, CandidatePool
from bon_eval.dpo.pairs.files import Pair, Text
from bon_eval.dpo.pairs.recipes import PairOptions, check_options
from bon_eval.errors import ConfigError, TaskError
from bon_eval.store.prompts import check_token_ids, load_rendered_prompts
from bon_eval.store.reader import Run, load_run, stored_tables
from bon_eval.tasks.load import list_tasks, load_task
from bon_eval.tasks.problems import task_hash
from bon_eval.tasks.prompts import RenderedPrompt
from bon_eval.tasks.spec import TaskSpec
from bon_eval.tasks.templates import render_template, template_names

PairFormat = Literal["plain", "conversational"]
"""TRL's formats: texts, or messages."""

_COLUMNS = ("problem_id", "arm", "index", "text", "token_ids")


@dataclass(frozen=True, slots=True)
class RunPairs:
    """What a recipe made of a run."""

    pairs: tuple[Pair, ...]
    """In task order."""
    skipped: Mapping[str, tuple[str, ...]]
    """Reason -> problems that gave fewer pairs than asked for, in task order."""
    n_problems: int
    n_responses: int
    n_truncated: int
    """Of `n_responses`; they are never used."""


def pairs_of_run(
    path: Path, recipe: str, options: PairOptions, *, form: PairFormat = "plain", task: str | None = None
) -> RunPairs:
    """Build a recipe's pairs from the pool and the grades of a stored run.

    Plain: the prompt is the text that the model was prompted with, chat template included. Conversational: the
    messages of a chat-style run; of a plain-style run one user message with the prompt's text, stripped, whose tokens
    are then the tokenizer's business. The responses' token ids are those of the run in both.

    Args:
        path: the run directory.
        recipe: a name in `RECIPES`.
        options: see `PairOptions`.
        form: of prompt, chosen and rejected.
        task: name or YAML file of the run's task, for `gold-sample`; None: the task of that name that comes with
            bon-eval, if it is the one that the run was made with.

    Raises:
        ConfigError: options that do not fit the recipe, a chat-style run without stored messages in conversational
            form, or not a single pair.
        TaskError: a task that does not state its solution as a response, or that is not the run's.
        StoreError: as `load_run` does.
    """
    check_options(recipe, options)
    if task is not None and recipe != "gold-sample":
        raise ConfigError(f"a task was given for recipe {recipe}; only gold-sample reads the task")
    run = load_run(path)
    prompts = load_rendered_prompts(path)
    chat = run.meta["config"]["prompt_style"] == "chat"
    solutions: Mapping[str, str] = {}
    if recipe == "gold-sample":
        solutions = run_solutions(run, prompts, task, strip=chat or form == "conversational")
    heads = {problem: _prompt(prompt, form, chat, path) for problem, prompt in prompts.items()}
    pairs, skipped = build_pairs(_pools(run, heads, solutions), recipe, options)
    place = {problem: i for i, problem in enumerate(run.pool.problem_ids)}
    if not pairs:
        reasons = "; ".join(f"{reason} ({len(ids)} of {len(place)} problems)" for reason, ids in skipped.items())
        raise ConfigError(
            f"{recipe} builds no pair from {path}: {reasons}; ask for less or use another recipe or a larger run"
        )
    return RunPairs(
        # Sorting is stable: the pairs of a problem keep their order.
        pairs=tuple(sorted(pairs, key=lambda pair: place[pair.problem_id])),
        skipped={reason: tuple(sorted(ids, key=place.__getitem__)) for reason, ids in skipped.items()},
        n_problems=len(place),
        n_responses=run.pool.correct.size,
        n_truncated=int(run.pool.truncated.sum()),
    )


def vote_shares(answer_class: NDArray[np.int32]) -> NDArray[np.float64]:
    """Share of each pool that has the response's answer; shape (P, N) as `answer_class`, whose -1 (none) gets 0.

    >>> vote_shares(np.array([[0, 1, 0, -1]], dtype=np.int32)).tolist()
    [[0.5, 0.25, 0.5, 0.0]]
    """
    shares = np.zeros(answer_class.shape, dtype=np.float64)
    for row, classes in enumerate(answer_class):
        _, number, counts = np.unique(classes, return_inverse=True, return_counts=True)
        shares[row] = np.where(classes < 0, 0, counts[number]) / len(classes)
    return shares


def run_solutions(run: Run, prompts: Mapping[str, RenderedPrompt], task: str | None, *, strip: bool) -> dict[str, str]:
    """The data set's own solution of each problem that has one, as a response to the run's prompt.

    It is the task's few_shot.response template, or its column of solutions where the examples are demonstrations of the
    task's own: in plain style the very text that follows the prompt, in chat style
    without surrounding blanks, as in a few-shot example.

    Raises:
        TaskError: no worked solutions, a column that the run did not store, or a task that is not the run's.
    """
    spec = _task(run, task)
    template = spec.few_shot.response
    if spec.few_shot.demonstrations and template is not None:
        # The template is over the demonstrations' own texts; the data's are in the column of worked solutions.
        column = spec.columns.solution
        template = None if column is None else template.replace("{response}", f"{{{column}}}")
    if template is None:
        raise TaskError(
            f"task {spec.name} has no worked solutions (a few_shot.response template over the data, or "
            "columns.solution); give --task a YAML file of this task with one"
        )
    where = f"{spec.path}: few_shot.response"
    optional = {spec.columns.solution}
    solutions = {}
    for problem in run.problems:
        _check_prompt(spec, prompts[problem.id], problem.fields)
        if not optional.intersection(set(template_names(template, where)).difference(problem.fields)):
            text = render_template(template, problem.fields, where)
            solutions[problem.id] = text.strip() if strip else text
    return solutions


def _task(run: Run, task: str | None) -> TaskSpec:
    if task is not None:
        return load_task(task)
    config = run.meta["config"]
    if config["task"] in list_tasks():
        spec = load_task(config["task"])
        if task_hash(spec, run.problems) == config["task_hash"]:
            return spec
    raise TaskError(
        f"{run.path} was made with a task {config['task']!r} that is not one that comes with this bon-eval; "
        "give its YAML file with --task"
    )


def _check_prompt(spec: TaskSpec, prompt: RenderedPrompt, fields: Mapping[str, str]) -> None:
    """A solution to another question than the model was asked would be a wrong pair without a sign of it."""
    question = render_template(spec.prompt, fields, f"{spec.path}: prompt")
    # The chat template of a run without messages may have changed the text; plain style ends with it as it is.
    asked = prompt.text if prompt.messages is None else prompt.messages[-1]["content"]
    if question.strip() not in asked:
        raise TaskError(
            f"the prompt of problem {prompt.problem_id!r} is not what {spec.path} makes of it; "
            "give the task that the run was made with"
        )


def _prompt(prompt: RenderedPrompt, form: PairFormat, chat: bool, path: Path) -> tuple[Text, tuple[int, ...] | None]:
    if form == "plain":
        return prompt.text, prompt.token_ids
    if not chat:
        # The chat template puts other tokens around it than the run's prompt had.
        return ({"role": "user", "content": prompt.text.strip()},), None
    if prompt.messages is None:
        raise ConfigError(f"{path} was stored before runs kept their messages; use --format plain, or run it again")
    return prompt.messages, prompt.token_ids


def _pools(
    run: Run, prompts: Mapping[str, tuple[Text, tuple[int, ...] | None]], solutions: Mapping[str, str]
) -> Iterator[CandidatePool]:
    """The run's pools one at a time in stored order: held are one row group's texts, and those of pools that have
    grown until their last ones come."""
    pool = run.pool
    begun: dict[str, dict[int, tuple[str, tuple[int, ...]]]] = {}
    shares = vote_shares(pool.answer_class)
    row_of = {problem: row for row, problem in enumerate(pool.problem_ids)}
    for table in stored_tables(run.path, run.meta, _COLUMNS):
        sampled = table.filter(pc.equal(table["arm"], "sample"))
        for problem in sampled["problem_id"].unique().to_pylist():
            found = begun.setdefault(problem, {})
            found |= _texts(sampled.filter(pc.equal(sampled["problem_id"], problem)))
            if len(found) < pool.n:
                continue
            texts = [text for _, text in sorted(begun.pop(problem).items())]
            check_token_ids(run.path, problem, [token_ids for _, token_ids in texts])
            row = row_of[problem]
            prompt, prompt_ids = prompts[problem]
            candidates = tuple(
                Candidate(
                    index=i,
                    text=text,
                    token_ids=token_ids,
                    log_likelihood=float(pool.log_likelihood[row, i]),
                    correct=bool(pool.correct[row, i]),
                    unscored=bool(pool.unscored[row, i]),
                    vote_share=float(shares[row, i]),
                    truncated=bool(pool.truncated[row, i]),
                )
                for i, (text, token_ids) in enumerate(texts)
            )
            yield CandidatePool(problem, prompt, candidates, prompt_ids, solutions.get(problem))


def _texts(table: pa.Table) -> dict[int, tuple[str, tuple[int, ...]]]:
    """Text and token ids of one pool's responses by index."""
    texts = zip(table["text"].to_pylist(), map(tuple, table["token_ids"].to_pylist()), strict=True)
    return dict(zip(table["index"].to_pylist(), texts, strict=True))
