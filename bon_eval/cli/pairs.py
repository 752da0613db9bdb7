"""The command that makes preference pairs of a stored run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from bon_eval.cli.options import PATH, run_argument, seed_option
from bon_eval.errors import counted

if TYPE_CHECKING:
    from bon_eval.dpo.pairs.from_run import RunPairs

_NAMED = 5


@click.command()
@run_argument
@click.option(
    "--recipe",
    required=True,
    metavar="NAME",
    help="correct-wrong: a random correct over a random wrong response; wrong-wrong: of two wrong ones the likelier; "
    "best-random: the likeliest over a random other one, no grades used; gold-sample: the data set's own solution over "
    "a random response; shuffled: the pairs of correct-wrong, each in a random direction.",
)
@click.option("--out", type=PATH, required=True, help="JSON Lines file with TRL's columns, and token ids.")
@click.option("--order", help="Of wrong-wrong: likelihood, or votes (the answer of the larger vote share is chosen).")
@click.option("--per-problem", default=1, show_default=True, help="Most pairs of one problem.")
@click.option("--margin", type=float, help="Least lead of chosen where a recipe orders: nats, or vote share.")
@click.option(
    "--match-length",
    type=float,
    help="Largest ratio of the longer side to the shorter, in tokens; for gold-sample in characters, since the tokens "
    "of the solution are not known.",
)
@seed_option("Of what is drawn on each problem.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["plain", "conversational"]),
    default="plain",
    show_default=True,
    help="Texts, or messages; of a plain-style run one user message with the prompt's text, stripped.",
)
@click.option("--task", help="For gold-sample: name or YAML of the run's task. [default: the run's, where it ships]")
def pairs(
    run_dir: Path, recipe: str, out: Path, form: Literal["plain", "conversational"], task: str | None, **given: Any
) -> None:
    """Build preference pairs from a stored run's pool and grades.

    Truncated responses (they lack their end token) and empty ones are never used; unscored ones are neither correct
    nor wrong.
    """
    from bon_eval.dpo.pairs.files import write_pairs
    from bon_eval.dpo.pairs.from_run import pairs_of_run
    from bon_eval.dpo.pairs.recipes import PairOptions

    options = PairOptions(**given)
    built = pairs_of_run(run_dir, recipe, options, form=form, task=task)
    write_pairs(out, built.pairs)
    used = len({pair.problem_id for pair in built.pairs})
    click.echo(
        f"{recipe}: {counted(len(built.pairs), 'pair')} from {used} of {counted(built.n_problems)}, seed {options.seed}"
    )
    for line in what_lacks(built):
        click.echo(line)
    click.echo(f"written to {out}")


def what_lacks(built: RunPairs) -> Iterator[str]:
    """A line for each reason why there are fewer pairs than asked for."""
    for reason, problems in built.skipped.items():
        more = ", ..." if len(problems) > _NAMED else ""
        yield f"  {reason}: {len(problems)} of {built.n_problems} problems ({', '.join(problems[:_NAMED])}{more})"
    if built.n_truncated:
        yield f"  truncated, so not used: {built.n_truncated} of {built.n_responses} responses"
