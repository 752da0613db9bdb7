"""The command line: parse, call, print. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bon_eval import __version__
from bon_eval.cli_options import (
    PATH,
    arms_option,
    data_option,
    draws_option,
    engine_arg_option,
    engine_args,
    engine_option,
    ns_option,
    numbers,
    scorers_option,
    train_data_option,
    trust_option,
    votes_option,
)
from bon_eval.cli_report import check_stored, compare, compare_pair, grade, report, report_run, score, scorers, summary
from bon_eval.cli_tasks import tasks
from bon_eval.errors import BonEvalError


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


@main.command()
@click.option("--model", required=True, help="Hub id, directory, or an embedded model (arith-mixed, arith-worked).")
@click.option("--task", required=True, help="Task name, or the path of your own YAML.")
@click.option("--n", default=32, show_default=True, help="Responses per problem in the pool.")
@click.option("--limit", type=int, help="Only the first problems.")
@click.option("--max-tokens", type=int, help="Most tokens of a response. [default: the task's]")
@click.option("--temperature", default=1.0, show_default=True, help="Of the pool.")
@engine_option
@click.option("--dtype", default="auto", show_default=True, help="auto, float32, bfloat16 or float16.")
@click.option("--revision", help="Commit, tag or branch of a hub model.")
@click.option("--adapter", help="LoRA directory, as saved by PEFT.")
@click.option("--seed", default=0, show_default=True, help="Of sampling, few-shot examples and bootstrap.")
@data_option
@train_data_option
@click.option("--out", type=PATH, help="Run directory. [default: results/TASK/MODEL/RUN-ID]")
@click.option("--resume/--fresh", default=True, help="Go on with a stored run, or set it aside. [default: resume]")
@click.option("--prompt-style", type=click.Choice(["auto", "chat", "plain"]), help="[default: the task's]")
@click.option("--shots", type=int, help="Few-shot examples from the train split. [default: the task's]")
@engine_arg_option
@trust_option
@click.option("--token-stats", type=click.Choice(["none", "topk"]), default="none", help="Store more of each token.")
@scorers_option
@votes_option
@arms_option
@ns_option
@draws_option
@click.option("--after", help="Tuned checkpoint, or LoRA directory on the model: run both and compare them.")
@click.option("--allow-different-prompts", is_flag=True, help="With --after: compare accuracies all the same.")
@click.option("--quiet", is_flag=True, help="No progress.")
def run(
    out: Path | None,
    resume: bool,
    engine_arg: tuple[str, ...],
    scorers: tuple[str, ...],
    votes: tuple[str, ...],
    arms: str,
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

    wanted = numbers(ns)
    check_stored(scorers, votes, given["token_stats"])
    resolve_settings(given["n"], 1, scorers=scorers or DEFAULT_SCORERS, ns=wanted, seed=given["seed"], draws=draws)
    options = RunOptions(out=out, fresh=not resume, engine_args=engine_args(engine_arg), **given)
    if after is not None:
        from bon_eval.before_after import execute_pair, prepare_pair

        pair = prepare_pair(options, after, allow_different_prompts=allow_different_prompts)
        for directory in execute_pair(pair, fresh=options.fresh, quiet=quiet):
            report_run(directory, scorers, wanted, options.seed, draws, votes=votes, arms=arms)
        compare_pair(pair.before.directory, pair.after.directory, None, options.seed, draws, allow_different_prompts)
        return
    prepared = prepare(options)
    directory = execute(prepared, fresh=options.fresh, quiet=quiet)
    report_run(directory, scorers, wanted, options.seed, draws, votes=votes, arms=arms)


@main.command()
@click.option("--model", required=True, help="Hub id, directory, or an embedded model.")
@click.option("--engine", "engines", multiple=True, help="Engines to check; repeatable. [default: all installed]")
@click.option("--dtype", default="float32", show_default=True)
@click.option("--revision", help="Commit, tag or branch of a hub model.")
@click.option("--adapter", help="LoRA directory, as saved by PEFT.")
@click.option("--seed", default=0, show_default=True)
@trust_option
def doctor(model: str, engines: tuple[str, ...], dtype: str, **given: Any) -> None:
    """Sample a few prompts and score them back: same engine, and the other one where both are installed."""
    from bon_eval.doctor import examine

    for line in examine(model, engines, dtype=dtype, **given):
        click.echo(line)


for _command in (report, grade, score, compare, summary, scorers, tasks):
    main.add_command(_command)


if __name__ == "__main__":
    main()
