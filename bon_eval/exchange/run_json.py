"""run.json, problems and prompts of an imported run: as of a sampled one, null where the source does not say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pyarrow as pa

from bon_eval.config import RunConfig
from bon_eval.errors import TaskError
from bon_eval.records import Problem
from bon_eval.tasks.problems import spec_hash, task_hash
from bon_eval.tasks.spec import TaskSpec
from bon_eval.tasks.templates import render_template

ENGINE = "imported"
"""In place of an engine's name."""


def config_of(
    spec: TaskSpec,
    problems: Sequence[Problem],
    *,
    model: str,
    n: int,
    greedy: bool,
    temperature: float | None,
    max_tokens: int | None,
    data: Path | None,
) -> dict[str, Any]:
    """The configuration, every field of `RunConfig`: null where it is not known; ``greedy`` says whether there are
    greedy responses, which a run that was sampled here always has."""
    known: dict[str, Any] = {
        "task": spec.name,
        "model": model,
        "engine": ENGINE,
        "dtype": "unknown",
        "n": n,
        "temperature": temperature,
        "max_tokens": max_tokens,
        "stop": [],
        "stop_token_ids": [],
        "prompt_style": "unknown",
        "first_prompt": "unknown",
        "grader": spec.grader,
        "data": None if data is None else str(data),
        "spec_hash": spec_hash(spec),
        "task_hash": task_hash(spec, tuple(problems)),
        "trust_remote_code": False,
        "engine_args": {},
        "token_stats": "none",
        "cluster": spec.cluster,
        "chance": spec.chance,
        "reasoning": spec.reasoning,
        "chat_template_args": {},
        "draws": [],
        "greedy": greedy,
    }
    return {field.name: None for field in fields(RunConfig)} | known


def prompt_rows(spec: TaskSpec, problems: Sequence[Problem], stated: Mapping[str, str]) -> pa.Table:
    """The prompts as the store takes them: those of the source, else the task's template, without tokens."""
    return pa.table(
        {
            "prompt": pa.array([_prompt(spec, p, stated) for p in problems], pa.string()),
            "prompt_token_ids": pa.array([[] for _ in problems], pa.list_(pa.int32())),
        }
    )


def _prompt(spec: TaskSpec, problem: Problem, stated: Mapping[str, str]) -> str:
    if problem.id in stated:
        return stated[problem.id].encode("utf-8", "replace").decode("utf-8")
    try:
        return render_template(spec.prompt, problem.fields, f"{spec.path}: prompt")
    except TaskError:  # of a source that stands for the task and has not all of its columns
        return problem.fields.get(spec.columns.question, "")
