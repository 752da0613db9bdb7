"""The command line: parse, call, print. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import click

from bon_eval import __version__
from bon_eval.errors import BonEvalError, ConfigError


class _Group(click.Group):
    """Turns a user's errors into one line and exit code 2, and Ctrl-C into exit code 130."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BonEvalError as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(2)
        except KeyboardInterrupt:
            click.echo("stopped; the same command goes on where this one stopped", err=True)
            ctx.exit(130)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="bon-eval")
def main() -> None:
    """Best-of-N sharpening evaluation: does the highest-likelihood of N samples beat greedy decoding?"""


def _engine_args(pairs: tuple[str, ...]) -> dict[str, object]:
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


def _numbers(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(f"--ns {text!r} is not a list of whole numbers such as 1,2,4,8") from error


_PATH = click.Path(path_type=Path)
_engine = click.option("--engine", default="auto", show_default=True, help="auto, vllm or transformers.")
_engine_arg = click.option(
    "--engine-arg", multiple=True, metavar="KEY=VALUE", help="Passed through to the engine; repeatable."
)
_trust = click.option("--trust-remote-code", is_flag=True, help="Run model code that comes from the hub.")
_data = click.option("--data", type=_PATH, help="Local JSONL, JSON, CSV or Parquet file in place of the hub.")
_train_data = click.option(
    "--train-data", type=_PATH, help="Local file with the train split, from which few-shot examples are drawn."
)
_scorers = click.option(
    "--scorer", "scorers", multiple=True, help="Scorers that pick best-of-n; repeatable. [default: the basic four]"
)
_ns = click.option("--ns", help="Values of n for the table, for example 1,4,16. [default: powers of two, and N]")
_draws = click.option("--draws", default=10_000, show_default=True, help="Bootstrap and permutation draws.")


_html = click.option("--html/--no-html", default=True, help="Also write report.html and figures/. [default: html]")


@main.command()
@click.option("--model", required=True, help="Hub id, directory, or an embedded model (arith-mixed, arith-worked).")
@click.option("--task", required=True, help="Task name, or the path of your own YAML.")
@click.option("--n", default=32, show_default=True, help="Responses per problem in the pool.")
@click.option("--limit", type=int, help="Only the first problems.")
@click.option("--max-tokens", type=int, help="Most tokens of a response. [default: the task's]")
@click.option("--temperature", default=1.0, show_default=True, help="Of the pool.")
@_engine
@click.option("--dtype", default="auto", show_default=True, help="auto, float32, bfloat16 or float16.")
@click.option("--revision", help="Commit, tag or branch of a hub model.")
@click.option("--adapter", help="LoRA directory, as saved by PEFT.")
@click.option("--seed", default=0, show_default=True, help="Of sampling, few-shot examples and bootstrap.")
@_data
@_train_data
@click.option("--out", type=_PATH, help="Run directory. [default: results/TASK/MODEL/RUN-ID]")
@click.option("--resume/--fresh", default=True, help="Go on with a stored run, or set it aside. [default: resume]")
@click.option("--prompt-style", type=click.Choice(["auto", "chat", "plain"]), help="[default: the task's]")
@click.option("--shots", type=int, help="Few-shot examples from the train split. [default: the task's]")
@_engine_arg
@_trust
@_scorers
@_ns
@_draws
@click.option("--after", help="Tuned checkpoint, or LoRA directory on the model: run both and compare them.")
@click.option("--allow-different-prompts", is_flag=True, help="With --after: compare accuracies all the same.")
@click.option("--quiet", is_flag=True, help="No progress.")
def run(
    out: Path | None,
    resume: bool,
    engine_arg: tuple[str, ...],
    scorers: tuple[str, ...],
    ns: str | None,
    draws: int,
    after: str | None,
    allow_different_prompts: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Sample, grade and report: one model on one task."""
    from bon_eval.analysis import DEFAULT_SCORERS, resolve_settings
    from bon_eval.runner import RunOptions, execute, prepare

    wanted = _numbers(ns)
    resolve_settings(given["n"], 1, scorers=scorers or DEFAULT_SCORERS, ns=wanted, seed=given["seed"], draws=draws)
    options = RunOptions(out=out, fresh=not resume, engine_args=_engine_args(engine_arg), **given)
    if after is not None:
        from bon_eval.before_after import execute_pair, prepare_pair

        pair = prepare_pair(options, after, allow_different_prompts=allow_different_prompts)
        for directory in execute_pair(pair, fresh=options.fresh, quiet=quiet):
            _report(directory, scorers, wanted, options.seed, draws)
        _compare(pair.before.directory, pair.after.directory, None, options.seed, draws, allow_different_prompts)
        return
    prepared = prepare(options)
    directory = execute(prepared, fresh=options.fresh, quiet=quiet)
    _report(directory, scorers, wanted, options.seed, draws)


def _report(
    directory: Path,
    scorers: tuple[str, ...],
    ns: tuple[int, ...] | None,
    seed: int,
    draws: int,
    *,
    partial: bool = False,
    exclude_truncated: bool = False,
    html: bool = True,
    texts: bool = True,
) -> None:
    from bon_eval.analysis import DEFAULT_SCORERS, analyse
    from bon_eval.report.files import write_report
    from bon_eval.report.terminal import render
    from bon_eval.runs import load_run
    from bon_eval.scorers import get_scorer

    chosen = scorers or DEFAULT_SCORERS
    tokens = any(get_scorer(name).needs_tokens for name in chosen)
    stored = load_run(directory, partial=partial, token_logprobs=tokens)
    analysis = analyse(
        stored,
        scorers=chosen,
        ns=ns,
        seed=seed,
        draws=draws,
        exclude_truncated=exclude_truncated,
        duplicates=stored.duplicates,
    )
    written = write_report(analysis, directory)
    names = [path.name for path in written.values()]
    if html:
        from bon_eval.report.html import write_page
        from bon_eval.report.plots import write_figures

        names.append(write_page(stored, analysis, directory, texts=texts).name)
        write_figures(analysis, directory / "figures")
        names.append("figures/")
    click.echo(render(analysis))
    click.echo(f"written to {directory}: {', '.join(names)}")


@main.command()
@click.argument("run_dir", metavar="RUN", type=_PATH)
@_scorers
@_ns
@_draws
@click.option("--seed", default=0, show_default=True, help="Of bootstrap, permutation and random scorer.")
@click.option("--partial", is_flag=True, help="Analyse the problems that are finished so far.")
@click.option("--exclude-truncated", is_flag=True, help="Only problems without a truncated response.")
@_html
@click.option("--texts/--no-texts", default=True, help="With or without problem and response texts in report.html.")
def report(
    run_dir: Path,
    scorers: tuple[str, ...],
    ns: str | None,
    draws: int,
    seed: int,
    partial: bool,
    exclude_truncated: bool,
    html: bool,
    texts: bool,
) -> None:
    """Analyse a stored run again, with other n or scorers, without the model."""
    _report(
        run_dir,
        scorers,
        _numbers(ns),
        seed,
        draws,
        partial=partial,
        exclude_truncated=exclude_truncated,
        html=html,
        texts=texts,
    )


def _compare(before: Path, after: Path, out: Path | None, seed: int, draws: int, allow_different_prompts: bool) -> None:
    from bon_eval.compare import compare_runs
    from bon_eval.report.before_after import render, write_comparison
    from bon_eval.runs import load_run

    runs = load_run(before), load_run(after)
    found = compare_runs(*runs, seed=seed, draws=draws, allow_different_prompts=allow_different_prompts)
    directory = out or after
    directory.mkdir(parents=True, exist_ok=True)
    written = write_comparison(found, directory)
    click.echo(render(found))
    click.echo(f"written to {directory}: {', '.join(path.name for path in written.values())}")


@main.command()
@click.argument("before", metavar="RUN_BEFORE", type=_PATH)
@click.argument("after", metavar="RUN_AFTER", type=_PATH)
@_draws
@click.option("--seed", default=0, show_default=True, help="Of bootstrap and permutation.")
@click.option("--allow-different-prompts", is_flag=True, help="Compare accuracies where the prompts differ.")
@click.option("--out", type=_PATH, help="Where compare.json and compare.csv go. [default: RUN_AFTER]")
def compare(before: Path, after: Path, draws: int, seed: int, allow_different_prompts: bool, out: Path | None) -> None:
    """Compare a base model's stored run with its tuned model's, problem by problem."""
    _compare(before, after, out, seed, draws, allow_different_prompts)


@main.command()
@click.argument("run_dir", metavar="RUN", type=_PATH)
@click.option("--by", type=_PATH, required=True, metavar="RUN2", help="A stored run of the model that scores.")
@click.option("--quiet", is_flag=True, help="No progress.")
def score(run_dir: Path, by: Path, quiet: bool) -> None:
    """Score a stored run's responses by the model of another run; `bon-eval compare` needs it in both directions."""
    from bon_eval.before_after import score_stored

    click.echo(score_stored(run_dir, by, quiet=quiet))


@main.command()
@click.argument("run_dir", metavar="RUN", type=_PATH)
@click.option("--grader", help="Another grader than the run's own.")
@click.option("--quiet", is_flag=True, help="No progress.")
def grade(run_dir: Path, grader: str | None, quiet: bool) -> None:
    """Grade a stored run again; then `bon-eval report RUN` shows the result."""
    from bon_eval.grading import grade_run
    from bon_eval.store import lock, read_meta

    read_meta(run_dir)
    with contextlib.closing(lock(run_dir)):
        click.echo(grade_run(run_dir, grader, quiet=quiet))


@main.command()
@click.option("--model", required=True, help="Hub id, directory, or an embedded model.")
@click.option("--engine", "engines", multiple=True, help="Engines to check; repeatable. [default: all installed]")
@click.option("--dtype", default="float32", show_default=True)
@click.option("--revision", help="Commit, tag or branch of a hub model.")
@click.option("--adapter", help="LoRA directory, as saved by PEFT.")
@click.option("--seed", default=0, show_default=True)
@_trust
def doctor(model: str, engines: tuple[str, ...], dtype: str, **given: Any) -> None:
    """Sample a few prompts and score them back: same engine, and the other one where both are installed."""
    from bon_eval.doctor import examine

    for line in examine(model, engines, dtype=dtype, **given):
        click.echo(line)


@main.group()
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
@_data
@_train_data
@_trust
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
@_data
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


if __name__ == "__main__":
    main()
