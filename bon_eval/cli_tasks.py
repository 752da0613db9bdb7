"""The commands under `bon-eval tasks`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from bon_eval.cli_options import data_option, train_data_option, trust_option


@click.group()
def tasks() -> None:
    """List, show and check tasks."""


@tasks.command("list")
def tasks_list() -> None:
    """Every task that ships with bon-eval."""
    from bon_eval.tasks import list_tasks, load_task

    for name in list_tasks():
        click.echo(f"{name:16} {load_task(name).description}")


@tasks.command("show")
@click.argument("task")
@click.option("--model", help="Also render the first problem's prompt for this model, with its token ids.")
@click.option("--shots", type=int)
@click.option("--prompt-style", type=click.Choice(["auto", "chat", "plain"]))
@click.option("--seed", default=0, show_default=True)
@data_option
@train_data_option
@trust_option
def tasks_show(task: str, model: str | None, **given: Any) -> None:
    """A task's definition, and with --model one rendered prompt."""
    from bon_eval.tasks import load_task

    spec = load_task(task)
    click.echo(spec.path.read_text(encoding="utf-8").rstrip())
    if model is not None:
        from bon_eval.runner import RunOptions, prepare_prompts

        ready = prepare_prompts(RunOptions(model=model, task=task, limit=1, **given))
        [prompt] = ready.prompts
        click.echo(f"\n--- prompt of problem {prompt.problem_id} ({ready.style}, {len(prompt.token_ids)} tokens)")
        click.echo(prompt.text)
        click.echo(f"--- token ids\n{' '.join(map(str, prompt.token_ids))}")


@tasks.command("check")
@click.argument("task")
@data_option
def tasks_check(task: str, data: Path | None) -> None:
    """Prove that the task's own grader accepts every gold answer; print those that it does not."""
    from bon_eval.taskcheck import check_task
    from bon_eval.taskdata import load_problems
    from bon_eval.tasks import load_task

    spec = load_task(task)
    problems = load_problems(spec, data=data, limit=None)
    failures = check_task(spec, problems)
    for failure in failures:
        click.echo(str(failure))
    click.echo(f"{spec.name}: {len(problems)} problems, {len(failures)} gold answers not graded correct")
    if failures:
        sys.exit(1)
