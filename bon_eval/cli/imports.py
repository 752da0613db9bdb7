"""The command that makes a run of another program's files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bon_eval.cli.options import PATH, data_option, option_block, quiet_option, run_argument
from bon_eval.errors import counted

_COLUMNS = {
    "text": "Of the response's text, or of a list of them.",
    "id": "Of the problem's id.",
    "question": "Of the question, by which problems can be matched and are checked.",
    "prompt": "Of the prompt that the model was given.",
    "gold": "Of the gold answer.",
    "log-likelihood": "Of the summed log-probs, in nats.",
    "token-ids": "Of the list of token ids.",
    "token-logprobs": "Of the list of token log-probs.",
    "n-tokens": "Of the number of tokens.",
    "finish-reason": "Of stop, length ...",
    "grade": "Of the source's own verdict.",
    "draw": "Of the word greedy or sample.",
    "index": "Of the number of a response among those of its problem.",
}
_column_options = option_block(
    *(
        click.option(f"--{name}-column", metavar="NAME", help=f"{what} [none: left out]")
        for name, what in _COLUMNS.items()
    )
)


@click.command("import")
@click.argument("sources", metavar="SOURCE...", type=PATH, nargs=-1, required=True)
@click.option("--task", required=True, help="Task whose problems these are, or the path of your own YAML.")
@click.option("--model", help="Name of the model, for tables. [default: the source's]")
@click.option("--out", type=PATH, help="Run directory. [default: in results/]")
@click.option("--format", "form", help="Of the source, see docs/import.md. [default: told by the files]")
@click.option("--greedy", type=PATH, metavar="SOURCE", help="One greedy response to each problem, of the same format.")
@data_option
@click.option(
    "--match",
    type=click.Choice(["auto", "id", "question", "row"]),
    default="auto",
    help="What problems are matched by.",
)
@click.option(
    "--golds",
    type=click.Choice(["agree", "task", "source"]),
    default="agree",
    show_default=True,
    help="Whose gold answers grade where source and task differ; agree: that is an error.",
)
@click.option(
    "--problems",
    type=click.Choice(["task", "source"]),
    default="task",
    show_default=True,
    help="source: the problems and golds of the source, where the task's data is not at hand.",
)
@click.option("--temperature", type=float, help="Of the pool, where the source does not say.")
@click.option("--max-tokens", type=int, help="The limit of a response, where the source does not say.")
@_column_options
@quiet_option
def import_(sources: tuple[Path, ...], form: str | None, problems: str, quiet: bool, **given: Any) -> None:
    """Make a run of responses that another program sampled; report, grade, pairs and score take it like any other."""
    from bon_eval.exchange.columns import Columns
    from bon_eval.exchange.importing import ImportOptions, import_source

    names = [name.replace("-", "_") for name in _COLUMNS]
    columns = Columns(**{name: given.pop(f"{name}_column") for name in names})
    options = ImportOptions(
        sources=sources, format=form, columns=columns, problems_from_source=problems == "source", **given
    )
    for line in _lines(import_source(options, quiet=quiet)):
        click.echo(line)


@click.command("export")
@run_argument
@click.option("--format", "form", required=True, metavar="NAME", help="lm-eval, every-eval-ever or dataset (Parquet).")
@click.option("--out", type=PATH, required=True, help="A new folder.")
def export(run_dir: Path, form: str, out: Path) -> None:
    """Write a graded run in another program's format."""
    from bon_eval.exchange.writers import export_run

    found = export_run(run_dir, form, out)
    click.echo(f"exported {counted(found.problems)}, {counted(found.responses, 'response')}")
    for name in found.left_out:
        click.echo(f"left out: {name}")
    click.echo(f"written to {found.directory}: {', '.join(found.files)}")


def _lines(found: Any) -> list[str]:
    """What was made, and what it lacks."""
    of_task = "" if found.task_problems is None else f" of the {found.task_problems:,} of the task"
    pools = f"{found.smallest}" if found.smallest == found.largest else f"{found.smallest} to {found.largest}"
    lines = [
        f"imported {counted(found.problems)}{of_task}, {pools} responses each, matched by {found.matched_by}",
        *found.notices,
    ]
    if found.smallest != found.largest:
        lines.append(
            f"pools differ in size: analysed up to n = {found.smallest}, the smallest (problem {found.fewest!r})"
        )
    if found.log_likelihood is not None:
        lines.append(f"log-likelihoods: {found.log_likelihood}")
    lines += [f"absent: {why}" for why in found.absent.values()]
    if found.golds is not None:
        lines.append(f"golds: {found.golds}")
    if found.agreement is not None:
        a = found.agreement
        first = f"; the first other one is {a.first}" if a.first else ""
        lines.append(f"verdicts: the source's own agree on {a.agree:,} of {counted(a.stated, 'response')}{first}")
    return [*lines, f"written to {found.directory}; next: bon-eval report {found.directory}"]
