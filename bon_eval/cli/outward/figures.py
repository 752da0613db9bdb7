"""`bon-eval figures`: a stored run, or a comparison, in a paper or on slides."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bon_eval.cli.options import PATH
from bon_eval.errors import ConfigError

if TYPE_CHECKING:
    from bon_eval.report.paper.write import Wanted, Written

_COMPARISON = "compare.json"


@click.command()
@click.argument("source", metavar="RUN", type=PATH)
@click.option(
    "--for",
    "medium",
    type=click.Choice(["paper", "slides"]),
    default="paper",
    show_default=True,
    help="Sizes and kinds of file: of a paper's columns, PDF and SVG; of a slide, PNG besides.",
)
@click.option(
    "--columns",
    type=click.Choice(["single", "double"]),
    help="Width of a paper's figures: 3.25 or 6.75 inches. [default: double]",
)
@click.option("--latex", is_flag=True, help="Also write tables (booktabs) and the paragraph on methods as LaTeX.")
@click.option("--out", type=PATH, metavar="DIR", help="Where the files go. [default: RUN/paper or RUN/slides]")
def figures(source: Path, medium: str, columns: str | None, latex: bool, out: Path | None) -> None:
    """Figures, tables and a paragraph on methods for a paper, of a run's own report.

    The figures have no titles; text stays text, in PDF with embedded fonts. methods.txt says how the run was made, as
    far as it is known. RUN may also be the directory of a comparison, or the file compare.json in that of a run.
    """
    from bon_eval.report.paper.media import MEDIA
    from bon_eval.report.paper.write import Wanted

    widths = MEDIA[medium].widths
    if columns is not None and columns not in widths:
        raise ConfigError(f"--columns {columns} is the width of a paper's figure; drop it, or --for {medium}")
    wanted = Wanted(MEDIA[medium], columns or list(widths)[-1], latex)
    path, directory = _comparison(source)
    target = out or directory / medium
    written = _of_run(source, target, wanted) if path is None else _of_comparison(path, target, wanted)
    if written.older:
        click.echo(
            f"note: not written now, and perhaps of other numbers: {', '.join(written.older)} in {target}", err=True
        )
    click.echo(f"written to {target}: {', '.join(written.names)}")
    if path is None and (directory / _COMPARISON).is_file():
        click.echo(f"there is a comparison, too: bon-eval figures {directory / _COMPARISON}")


def _comparison(source: Path) -> tuple[Path | None, Path]:
    """The compare.json that is meant, None where it is a run; and the directory."""
    if source.name == _COMPARISON and not source.is_dir():
        return source, source.parent
    if (source / _COMPARISON).is_file() and not (source / "run.json").exists():
        return source / _COMPARISON, source
    return None, source


def _of_comparison(path: Path, target: Path, wanted: Wanted) -> Written:
    from bon_eval.report.paper.compared import compared
    from bon_eval.report.paper.write import write_compared

    return write_compared(compared(path), target, wanted)


def _of_run(directory: Path, target: Path, wanted: Wanted) -> Written:
    from bon_eval.report.paper.own_report import outdated
    from bon_eval.report.paper.write import write_run
    from bon_eval.report.stored.own import analysed, own_settings
    from bon_eval.store.imported.source import absent
    from bon_eval.store.writer import read_meta

    meta = read_meta(directory)
    settings, caution = own_settings(directory, meta["config"], absent(meta))
    _, analysis = analysed(directory, settings, partial=False)
    for text in filter(None, (caution, outdated(directory, analysis))):
        click.echo(f"note: {text}", err=True)
    return write_run(meta, analysis, target, wanted)
