"""The command that compares stored runs of one task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from bon_eval.cli.options import PATH, allow_options, allowed, cluster_option, draws_option, html_option, seed_option


def compare_stored(
    paths: Sequence[Path],
    names: Sequence[str],
    out: Path | None,
    seed: int,
    draws: int,
    allow: tuple[str, ...],
    html: bool = True,
    cluster: str | None = None,
) -> None:
    """Compare stored runs, write the comparison's files, print it.

    Args:
        paths: the run directories, two or more.
        names: of the runs, as many; empty: each has its model's. ``before`` and ``after`` are those of a training.
        out: where the files go; None: to the last run.
        seed, draws, cluster: as in `bon_eval.analysis.two_runs.comparison.compare_runs`.
        allow: what the runs may differ in.
        html: whether to write the page, too.

    Raises:
        ConfigError: fewer than two runs, names that do not fit, runs that cannot be compared.
        StoreError: a run is unfinished, damaged or not graded, or a file cannot be written.
    """
    from bon_eval.report.comparison.any_runs import compare_any, render_compared, write_compared

    compared = compare_any(paths, names=names, seed=seed, draws=draws, allow_different=allow, cluster=cluster)
    directory = out or paths[-1]
    written = write_compared(compared, directory, html=html)
    click.echo(render_compared(compared))
    click.echo(f"written to {directory}: {', '.join(written)}")


@click.command()
@click.argument("runs", metavar="RUN RUN...", type=PATH, nargs=-1, required=True)
@click.option(
    "--as",
    "names",
    metavar="NAME,NAME",
    help="What the runs are called; before,after: the second model is tuned from the first. [default: their models]",
)
@draws_option
@seed_option("Of bootstrap.")
@cluster_option
@allow_options
@click.option("--out", type=PATH, help="Where compare.html, .json and .csv go. [default: the last RUN]")
@html_option
def compare(
    runs: tuple[Path, ...],
    names: str | None,
    draws: int,
    seed: int,
    cluster: str | None,
    allow_different: tuple[str, ...],
    allow_different_prompts: bool,
    out: Path | None,
    html: bool,
) -> None:
    """Compare stored runs of one task, problem by problem.

    Any runs are compared by their accuracies. Two runs that were scored by each other's models (`bon-eval score`) are
    compared by likelihoods, too. --as before,after says that the second one's model was tuned from the first one's.
    """
    given = [] if names is None else [name.strip() for name in names.split(",")]
    compare_stored(runs, given, out, seed, draws, allowed(allow_different, allow_different_prompts), html, cluster)
