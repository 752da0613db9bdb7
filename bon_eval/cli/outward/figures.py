"""`bon-eval figures`: a stored run in a paper."""

from __future__ import annotations

from pathlib import Path

import click

from bon_eval.cli.options import PATH, run_argument


@click.command()
@run_argument
@click.option("--out", type=PATH, metavar="DIR", help="Where the files go. [default: RUN/paper]")
@click.option(
    "--columns",
    type=click.Choice(["single", "double"]),
    default="double",
    show_default=True,
    help="Width of the figures: 3.25 or 6.75 inches.",
)
def figures(run_dir: Path, out: Path | None, columns: str) -> None:
    """The figures of a run's own report for a paper: PDF with embedded fonts, SVG with real text, no titles."""
    from bon_eval.report.paper.figures import write_paper_figures
    from bon_eval.report.stored.own import analysed, own_settings
    from bon_eval.store.imported.source import absent
    from bon_eval.store.writer import read_meta

    meta = read_meta(run_dir)
    settings, caution = own_settings(run_dir, meta["config"], absent(meta))
    if caution is not None:
        click.echo(f"note: {caution}", err=True)
    directory = out or run_dir / "paper"
    _, analysis = analysed(run_dir, settings, partial=False)
    click.echo(f"written to {directory}: {', '.join(write_paper_figures(analysis, directory, columns))}")
