"""The commands under `bon-eval tasks`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from bon_eval.cli.options import (
    PATH,
    chat_of,
    data_option,
    data_options,
    prompt_options,
    seed_option,
    stop_options,
    trust_option,
)
from bon_eval.errors import ConfigError, counted


@click.group()
def tasks() -> None:
    """List, show, make and check tasks."""


@tasks.command("list")
def tasks_list() -> None:
    """Every task and group of tasks that ships with bon-eval."""
    from bon_eval.tasks.groups import find_group, list_groups
    from bon_eval.tasks.load import list_tasks, load_task

    for name in list_tasks():
        click.echo(f"{name:22} {load_task(name).description}")
    for name in list_groups():
        if (group := find_group(name)) is not None:
            click.echo(f"{name:22} group: {', '.join(task.task for task in group.tasks)}")


@tasks.command("show")
@click.argument("task")
@click.option("--model", help="Also render the first problem's prompt for this model, with its token ids.")
@prompt_options
@stop_options
@seed_option()
@data_options
@trust_option
def tasks_show(task: str, model: str | None, **given: Any) -> None:
    """A task's definition, and with --model one rendered prompt, its exact token ids and what ends a response."""
    from bon_eval.tasks.groups import find_group
    from bon_eval.tasks.load import load_task

    group = find_group(task)
    spec = group or load_task(task)
    click.echo(spec.path.read_text(encoding="utf-8").rstrip())
    if group is not None and model is not None:
        raise ConfigError(f"--model renders a task's prompt, and {task} is a group; name a task of it")
    if model is not None:
        from bon_eval.engines.models import resolve_model
        from bon_eval.run.options import RunOptions
        from bon_eval.run.prepare import prepare_prompts
        from bon_eval.tasks.ends import unclosed

        options = RunOptions(model=model, task=task, limit=1, **chat_of(given))
        ready = prepare_prompts(options, model=resolve_model(model, weights=False))
        [prompt] = ready.prompts
        click.echo(f"\n--- prompt of problem {prompt.problem_id} ({ready.style}, {len(prompt.token_ids)} tokens)")
        click.echo(prompt.text)
        click.echo(f"--- token ids\n{' '.join(map(str, prompt.token_ids))}")
        if ready.date is not None:
            click.echo(f"--- date in the prompt\n{ready.date}")
        click.echo("--- what ends a response")
        for end in ready.ends:
            click.echo(f"token {end.token_id} {end.text!r} ({', '.join(end.sources)})")
        for text in ready.stop:
            click.echo(f"text {text!r}")
        for caution in unclosed(ready.open_turn):
            click.echo(f"caution: {caution}")


@tasks.command("new")
@click.argument("name")
@click.option("--data", type=PATH, required=True, help="JSONL, JSON, CSV or Parquet file with a problem in each row.")
@click.option("--out", type=PATH, help="The file to write. [default: NAME.yaml]")
@click.option("--question", metavar="COLUMN", help="[default: by its name]")
@click.option("--answer", metavar="COLUMN", help="The right answers. [default: by its name]")
@click.option("--options", metavar="COLUMN", help="Lists of options of multiple choice. [default: by its name]")
@click.option("--grader", help="A grader, or FILE.py:FUNCTION. [default: the first that grades the answers right]")
def tasks_new(name: str, data: Path, out: Path | None, grader: str | None, **columns: str | None) -> None:
    """Write a task file for a data file, which runs as it stands."""
    from bon_eval.store.files import make_directory, write_text
    from bon_eval.tasks.new import draft_task

    path = out or Path(f"{name}.yaml")
    if name.endswith((".yaml", ".yml")):
        raise ConfigError(f"{name!r} is a file's name; give the task's name alone, and --out FILE for another place")
    if path.suffix not in (".yaml", ".yml"):
        raise ConfigError(f"--out {path} does not end in .yaml, by which a task's file is known; give it that ending")
    if path.exists():
        raise ConfigError(f"{path} exists already; give --out another file, or remove it")
    draft = draft_task(name, data, path, columns=columns, grader=grader)
    make_directory(path.parent)
    write_text(path, draft.text)
    read = ", ".join(f"{role} from column {column!r}" for role, column in draft.columns.items())
    click.echo(f"wrote {path}: {counted(draft.problems)}, {read}, grader {draft.grader}")
    sound = f"{draft.checked - draft.refused} of {draft.checked}"
    wrong = " and near misses wrong" if draft.near_misses else "; it makes no near misses up to be tried"
    click.echo(f"checked: on {sound} problems it grades the right answer correct{wrong}")
    if draft.grader == "choice" and not draft.shows_options:
        click.echo("the prompt shows no options: they must stand in the question; else name their column: --options")
    if draft.refused:
        click.echo(f"see which, with: bon-eval tasks check {path}; another grader may fit: --grader, docs/grading.md")
    click.echo(f"next: bon-eval run --model M --task {path}")


@tasks.command("check")
@click.argument("names", metavar="[TASK]...", nargs=-1)
@data_option
def tasks_check(names: tuple[str, ...], data: Path | None) -> None:
    """Prove that a task's own grader accepts every gold answer and refuses near misses; print those it does not.

    Without TASK: every task, or those whose file lies in the folder given as --data.
    """
    from bon_eval.tasks.check import check_task
    from bon_eval.tasks.load import list_tasks, load_task
    from bon_eval.tasks.problems import load_problems, local_file
    from bon_eval.tasks.spec import FileData

    sound = True
    for name in names or list_tasks():
        spec = load_task(name)
        if not names and data is not None and not isinstance(spec.dataset, FileData):
            file = local_file(spec, data)
            if file is None or not file.is_file():
                click.echo(
                    f"{spec.name}: not checked, {file.name if file is not None else 'its file'} is not in {data}"
                )
                continue
        found = check_task(spec, load_problems(spec, data=data, limit=None))
        for failure in found.failures:
            click.echo(str(failure))
        missed = sum(failure.source == "near_miss" for failure in found.failures)
        right = f"{found.golds - len(found.failures) + missed} of {found.golds} right answers graded correct"
        wrong = f"{found.near_misses - missed} of {found.near_misses} near misses graded wrong"
        unsolvable = f", {found.unsolvable} without a solution" if found.unsolvable else ""
        click.echo(f"{spec.name}: {counted(found.problems)}{unsolvable}; {right}; {wrong}")
        if found.chance is None:
            click.echo(
                f"{spec.name}: how often a guess is right is not known; name the column of options, or state chance"
            )
        sound = sound and not found.failures
    if not sound:
        sys.exit(1)
