"""Commands that work on stored runs: grade, summary, scorers."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import click

from bon_eval.cli.options import PATH, quiet_option, run_argument


@click.command()
@run_argument
@click.option("--grader", help="Another grader than the run's own.")
@click.option(
    "--deadline",
    default=0.6,
    show_default=True,
    help="Seconds of processor time for one symbolic comparison; three times as many at the second try.",
)
@click.option("--memory-mb", default=1024, show_default=True, help="Address space of a grader's worker in MiB.")
@quiet_option
def grade(run_dir: Path, grader: str | None, deadline: float, memory_mb: int, quiet: bool) -> None:
    """Grade a stored run again; then `bon-eval report RUN` shows the result."""
    from bon_eval.run.grading import grade_run
    from bon_eval.store.files import lock
    from bon_eval.store.writer import read_meta

    read_meta(run_dir)
    with contextlib.closing(lock(run_dir)):
        click.echo(grade_run(run_dir, grader, deadline=deadline, memory_mb=memory_mb, quiet=quiet))


@click.command()
@click.argument("runs", metavar="RUN...", type=PATH, nargs=-1, required=True)
@click.option("--out", type=PATH, default=Path("results/summary"), show_default=True, help="Where the files go.")
@click.option("--scorer", metavar="NAME", help="What best-of-n picks by in all of them. [default: each run's own]")
@click.option("--n", type=click.IntRange(min=1), help="Of best-of-n in all of them. [default: each run's largest]")
def summary(runs: tuple[Path, ...], out: Path, scorer: str | None, n: int | None) -> None:
    """Lift over greedy of many runs as a heat map, model by task, and their draws: summary.html, .png and .csv.

    It reads each run's own report and no other (`bon-eval report --name`, `--out`).
    """
    summarise_runs(runs, out, scorer=scorer, n=n)


def summarise_runs(runs: Sequence[Path], out: Path, *, scorer: str | None = None, n: int | None = None) -> None:
    """Write the heat map of reported runs, print a line for each."""
    from bon_eval.report.summary.page import write_summary
    from bon_eval.report.summary.rows import summarise
    from bon_eval.report.summary.terminal import lines
    from bon_eval.store.files import make_directory

    found = summarise(runs, scorer=scorer, n=n)
    make_directory(out)
    # First the files: whoever reads the lines may have had enough before the last one.
    written = write_summary(found, out)
    for line in lines(found):
        click.echo(line)
    click.echo(f"written to {out}: {', '.join(written)}")


@click.command()
def scorers() -> None:
    """Every scorer that best-of-n can pick by and every vote, with what it is and what it needs."""
    from bon_eval.analysis.vote_rules import VOTES
    from bon_eval.scorers import SCORERS, get_scorer, offered_names

    for name in [*SCORERS, *offered_names()]:
        scorer = get_scorer(name)
        needs = f" [needs {scorer.stats[0]}: {_MAKES[scorer.stats[0]]}]" if scorer.stats else ""
        click.echo(f"{name:24} {scorer.summary}{needs}")
    click.echo("\nvotes, RULE[@PARAMETER][/SCORER]:")
    for name, kind in VOTES.items():
        click.echo(f"{name:24} {kind.summary}")


_MAKES = {
    "topk": "run --token-stats topk, or score --stats topk",
    "entropy": "score --stats entropy",
    "self_certainty": "score --stats self_certainty",
}
