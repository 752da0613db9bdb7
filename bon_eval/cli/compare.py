"""The command that compares two stored runs."""

from __future__ import annotations

from pathlib import Path

import click

from bon_eval.cli.options import PATH, allow_options, allowed, cluster_option, draws_option, html_option, seed_option


def compare_stored(
    before: Path,
    after: Path,
    out: Path | None,
    seed: int,
    draws: int,
    allow: tuple[str, ...],
    html: bool = True,
    cluster: str | None = None,
) -> None:
    """Compare two stored runs, write the comparison's files, print it."""
    from bon_eval.analysis.two_runs.comparison import compare_runs
    from bon_eval.report.comparison.terminal import render, write_comparison
    from bon_eval.store.files import make_directory
    from bon_eval.store.reader import load_run

    runs = load_run(before), load_run(after)
    found = compare_runs(*runs, seed=seed, draws=draws, allow_different=allow, cluster=cluster)
    directory = out or after
    make_directory(directory)
    names = list(write_comparison(found, directory))
    if html:
        from bon_eval.analysis.analyse import analyse
        from bon_eval.report.comparison.page import write_comparison_page
        from bon_eval.store.comparable import same_prompts
        from bon_eval.store.forced import load_likelihoods

        first, second = (
            analyse(run, seed=seed, draws=draws, duplicates=run.duplicates, cluster=cluster) for run in runs
        )
        likelihoods = load_likelihoods(*runs) if same_prompts(*runs) else None
        names.append(write_comparison_page(runs, (first, second), found, likelihoods, directory).name)
    click.echo(render(found))
    click.echo(f"written to {directory}: {', '.join(names)}")


@click.command()
@click.argument("before", metavar="RUN_BEFORE", type=PATH)
@click.argument("after", metavar="RUN_AFTER", type=PATH)
@draws_option
@seed_option("Of bootstrap.")
@cluster_option
@allow_options
@click.option("--out", type=PATH, help="Where compare.html, .json and .csv go. [default: RUN_AFTER]")
@html_option
def compare(
    before: Path,
    after: Path,
    draws: int,
    seed: int,
    cluster: str | None,
    allow_different: tuple[str, ...],
    allow_different_prompts: bool,
    out: Path | None,
    html: bool,
) -> None:
    """Compare a base model's stored run with its tuned model's, problem by problem."""
    compare_stored(before, after, out, seed, draws, allowed(allow_different, allow_different_prompts), html, cluster)
