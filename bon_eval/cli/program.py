"""The command line: parse, call, print. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any

import click

from bon_eval import __version__
from bon_eval.cli.compare import compare, compare_stored
from bon_eval.cli.config_file import config_option
from bon_eval.cli.imports import export, import_
from bon_eval.cli.options import (
    PATH,
    adapter_option,
    allow_options,
    allowed,
    analysis_options,
    asked_for,
    base_url_option,
    chat_of,
    data_options,
    engine_arg_option,
    engine_args,
    engine_option,
    html_option,
    numbers,
    prompt_options,
    quiet_option,
    revision_option,
    seed_option,
    stop_options,
    task_options,
    trust_option,
    verdict_options,
    with_server,
)
from bon_eval.cli.output import is_of_output, report_output
from bon_eval.cli.outward.figures import figures
from bon_eval.cli.outward.view import view
from bon_eval.cli.pairs import pairs, probes
from bon_eval.cli.report import report, report_run
from bon_eval.cli.scale import merge, plan
from bon_eval.cli.score import score
from bon_eval.cli.stored import grade, scorers, summarise_runs, summary
from bon_eval.cli.tasks import tasks
from bon_eval.cli.train import dpo, sft, track
from bon_eval.engines import REMOTE
from bon_eval.errors import BonEvalError, ConfigError
from bon_eval.run.console.signals import Stopped, stopping_at_once

# Read by Arrow at its import. Its own pool keeps what was freed, 100 MB after a large run; this one gives it back.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")


_LONGEST = 4_000
"""Characters of an error's line."""


class _Group(click.Group):
    """Turns a user's errors into one line and exit code 2, Ctrl-C into exit code 130 and SIGTERM into 143.

    Output that cannot be written is such an error; whoever closes the pipe has read enough and is told nothing (141).
    """

    def main(self, *args: Any, **extra: Any) -> Any:
        if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal need not have every letter of a prompt
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            return super().main(*args, **extra)
        except OSError as error:  # of --help and --version, which are printed before any command
            if not is_of_output(error):
                raise
            sys.exit(report_output(error))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with stopping_at_once():
                return super().invoke(ctx)
        except BonEvalError as error:
            click.echo(f"error: {_bounded(str(error))}", err=True)
            ctx.exit(2)
        except OSError as error:
            if not is_of_output(error):
                raise
            ctx.exit(report_output(error))
        except KeyboardInterrupt as stop:
            click.echo("stopped; the same command goes on where this one stopped", err=True)
            ctx.exit(stop.exit_code if isinstance(stop, Stopped) else 130)


def _bounded(message: str) -> str:
    """Without its middle where that is a cell or a name of many thousand characters."""
    spare = len(message) - _LONGEST
    return message if spare <= 0 else f"{message[: _LONGEST // 2]} [{spare:,} characters] {message[-_LONGEST // 2 :]}"


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="bon-eval")
def main() -> None:
    """Best-of-N sharpening evaluation: does the highest-likelihood of N samples beat greedy decoding?"""


@main.command()
@config_option
@click.option("--model", required=True, help="Hub id, directory, or an embedded model (arith-mixed, arith-worked).")
@task_options
@click.option("--temperature", default=1.0, show_default=True, help="Of the pool; --draw gives others.")
@engine_option
@base_url_option
@click.option("--dtype", default="auto", show_default=True, help="auto, float32, bfloat16 or float16.")
@revision_option
@adapter_option
@seed_option("Of sampling, few-shot examples and bootstrap.")
@data_options
@click.option("--out", type=PATH, help="Run directory, or a group's folder. [default: in results/]")
@click.option("--resume/--fresh", default=True, help="Go on with a stored run, or set it aside. [default: resume]")
@prompt_options
@stop_options
@engine_arg_option
@trust_option
@click.option("--token-stats", type=click.Choice(["none", "topk"]), default="none", help="Store more of each token.")
@analysis_options
@verdict_options
@html_option
@click.option("--after", help="Tuned checkpoint, or LoRA directory on the model: run both and compare them.")
@allow_options
@click.option("--shard", metavar="I/K", help="Only one of K parts of the problems; `bon-eval merge` joins them.")
@quiet_option
def run(
    out: Path | None,
    resume: bool,
    engine: str,
    base_url: str | None,
    engine_arg: tuple[str, ...],
    scorers: tuple[str, ...],
    votes: tuple[str, ...],
    arms: str,
    ns: str | None,
    draws: int,
    margin: float,
    looks: int,
    html: bool,
    after: str | None,
    allow_different: tuple[str, ...],
    allow_different_prompts: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Sample, grade and report: one model on one task, or on each task of a group."""
    from bon_eval.analysis.settings import DEFAULT_SCORERS, check_comparison_draws, resolve_settings
    from bon_eval.engines.no_torch import leave_out_torch
    from bon_eval.report.stored.own import check_stored
    from bon_eval.run.execute import execute
    from bon_eval.run.options import RunOptions
    from bon_eval.run.prepare import prepare
    from bon_eval.tasks.groups import find_group

    if after is not None:
        check_comparison_draws(draws)
    wanted, allow = numbers(ns), allowed(allow_different, allow_different_prompts)
    group = find_group(given["task"])
    explicit, given = asked_for(chat_of(given))
    check_stored(scorers, votes, given["token_stats"])
    engine, args = with_server(engine, engine_args(engine_arg), base_url)
    options = RunOptions(out=out, fresh=not resume, engine=engine, engine_args=args, **given)
    if engine == REMOTE:
        leave_out_torch()
    pools = {options.n} if group is None or "n" in explicit else {task.n or options.n for task in group.tasks}
    for n in pools:
        resolve_settings(
            n,
            1,
            scorers=scorers or DEFAULT_SCORERS,
            ns=wanted,
            seed=options.seed,
            draws=draws,
            margin=margin / 100.0,
            looks=looks,
        )
    shown: dict[str, Any] = {"votes": votes, "arms": arms, "margin": margin, "cluster": options.cluster, "looks": looks}
    shown |= {"html": html}
    if group is not None:
        from bon_eval.run.group import execute_group, prepare_group

        if after is not None:
            raise ConfigError(f"--after compares runs of one task, and {group.name} is a group; name a task of it")
        together = prepare_group(group, options, explicit=explicit)
        directories = execute_group(together, fresh=options.fresh, quiet=quiet)
        for directory in directories:
            report_run(directory, scorers, wanted, options.seed, draws, **shown)
        summarise_runs(directories, together.summary)
        return
    if after is not None:
        from bon_eval.run.before_after import execute_before_after, prepare_before_after

        pair = prepare_before_after(options, after, allow_different_prompts="prompts" in allow)
        for directory in execute_before_after(pair, fresh=options.fresh, quiet=quiet):
            report_run(directory, scorers, wanted, options.seed, draws, **shown)
        both = (pair.before.directory, pair.after.directory)
        compare_stored(both, ("before", "after"), None, options.seed, draws, allow, html, options.cluster)
        return
    prepared = prepare(options)
    directory = execute(prepared, fresh=options.fresh, quiet=quiet)
    report_run(directory, scorers, wanted, options.seed, draws, **shown)


@main.command()
@click.option("--model", required=True, help="Hub id, directory, or an embedded model.")
@click.option("--engine", "engines", multiple=True, help="Engines to check; repeatable. [default: all installed]")
@click.option("--dtype", default="float32", show_default=True, help="float32 tells most; or what the run will use.")
@revision_option
@adapter_option
@seed_option()
@base_url_option
@click.option("--served-model", help="With --base-url: the model's name there. [default: --model]")
@engine_arg_option
@trust_option
def doctor(model: str, engines: tuple[str, ...], dtype: str, engine_arg: tuple[str, ...], **given: Any) -> None:
    """Sample a few prompts and score them back: same engine, and the other one where both are installed."""
    from bon_eval.run.doctor import examine

    for line in examine(model, engines, dtype=dtype, engine_args=engine_args(engine_arg), **given):
        click.echo(line)


for _command in (
    *(
        report,
        figures,
        view,
        grade,
        score,
        compare,
        summary,
        scorers,
        plan,
        merge,
        tasks,
        pairs,
        probes,
        dpo,
        sft,
        track,
        import_,
    ),
    export,
):
    main.add_command(_command)
