"""The commands that make data of stored runs: preference pairs, and probes of pairs."""

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
    help="correct-wrong: a random correct over a random wrong response; wrong-wrong: of two wrong ones that of "
    "--order; best-random: the likeliest over a random other one, no grades used; gold-sample: the data set's own "
    "solution over a random response; shuffled: the pairs of correct-wrong, each in a random direction.",
)
@click.option("--out", type=PATH, required=True, help="JSON Lines file with TRL's columns, and token ids.")
@click.option(
    "--order",
    help="Of wrong-wrong, what is chosen: likelihood (the likelier; the default), votes (the answer of the larger vote "
    "share), distance (the number nearer to the right one), random (either).",
)
@click.option(
    "--for",
    "trained",
    metavar="RUN",
    type=PATH,
    help="Where RUN is another model's: a run of the model to train on the same problems. Prompts are that run's, and "
    "responses of others are texts, tokenized and ended as that model's.",
)
@click.option(
    "--rejected-from",
    "rejected",
    metavar="RUN",
    type=PATH,
    help="Of correct-wrong and shuffled: a run on the same problems whose pool the other side comes from.",
)
@click.option("--per-problem", default=1, show_default=True, help="Most pairs of one problem.")
@click.option("--margin", type=float, help="Least lead of chosen where a recipe orders: nats, vote share, or distance.")
@click.option(
    "--match-length",
    type=float,
    help="Largest ratio of the longer side to the shorter, in tokens; in characters where a side's tokens are not "
    "known (the solution's, another model's).",
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
    run_dir: Path,
    recipe: str,
    out: Path,
    form: Literal["plain", "conversational"],
    task: str | None,
    trained: Path | None,
    rejected: Path | None,
    **given: Any,
) -> None:
    """Build preference pairs from a stored run's pool and grades.

    Truncated responses (they lack their end token) and empty ones are never used; unscored ones are neither correct
    nor wrong. Printed is also how many sides the model says by itself: pairs are off-policy as far as it does not.
    """
    from bon_eval.dpo.pairs.files import write_pairs
    from bon_eval.dpo.pairs.from_run import pairs_of_run
    from bon_eval.dpo.pairs.off_policy import policy_facts
    from bon_eval.dpo.pairs.recipes import PairOptions, order_of
    from bon_eval.store.imported.source import absent

    options = PairOptions(**given)
    built = pairs_of_run(run_dir, recipe, options, form=form, task=task, trained=trained, rejected=rejected)
    lacking = {**absent(built.trained.meta)}
    unknown = [lacking[name] for name in ("greedy", "log_likelihood") if name in lacking]
    policy = [f"how many sides the model says by itself is not known: {'; '.join(unknown)}"] if unknown else []
    if "truncated" in lacking:
        policy.append(f"cut responses may be among them: {lacking['truncated']}")
    if not unknown:
        policy += policy_facts(built.pairs, built.trained).lines()
    write_pairs(out, built.pairs)
    used = len({pair.problem_id for pair in built.pairs})
    order = order_of(recipe, options) if recipe == "wrong-wrong" else None
    click.echo(
        f"{recipe}{'' if order is None else f' ({order})'}: {counted(len(built.pairs), 'pair')} from {used} of "
        f"{counted(built.n_problems)}, seed {options.seed}"
    )
    for line in (*what_lacks(built), *policy):
        click.echo(line)
    click.echo(f"written to {out}")


def what_lacks(built: RunPairs) -> Iterator[str]:
    """A line for each reason why there are fewer pairs than asked for."""
    for reason, problems in built.skipped.items():
        yield f"  {reason}: {len(problems)} of {built.n_problems} problems ({_named(problems)})"
    if built.n_truncated:
        yield f"  truncated, so not used: {built.n_truncated} of {built.n_responses} responses"


@click.command()
@click.argument("pairs_file", metavar="PAIRS")
@click.option("--out", type=PATH, required=True, help="Folder for the probes, a JSON Lines file each.")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    metavar="KIND",
    help="permuted: the response's own words in random order; other: the response of another problem; random-words: "
    "words of all responses at random; repeatable. [default: all three]",
)
@click.option("--paraphrases", type=PATH, metavar="FILE", help="YAML with rules that say a response in other words.")
@click.option("--others", metavar="PAIRS", help="Pairs that `other` takes responses from. [default: PAIRS itself]")
@seed_option("Of what is drawn for each pair.")
def probes(
    pairs_file: str, out: Path, kinds: tuple[str, ...], paraphrases: Path | None, others: str | None, seed: int
) -> None:
    """Build probes of pairs, which `track --probe NAME=FILE` follows through a training.

    For chosen and for rejected, the same prompt with the response put otherwise (Ren & Sutherland 2024): what a model
    learns about a response it learns about such texts, too. PAIRS is a file of `bon-eval pairs` or of your own.
    """
    from bon_eval.dpo.pairs.preferences import load_pairs
    from bon_eval.dpo.probes.build import build_probes, write_probes
    from bon_eval.dpo.probes.paraphrases import read_paraphrases

    given = load_pairs(pairs_file)
    rules = () if paraphrases is None else read_paraphrases(paraphrases)
    sources = None if others is None else load_pairs(others)
    built = build_probes(given, kinds, rules, others=sources, seed=seed)
    files = write_probes(out, built)
    click.echo(f"{counted(len(built), 'probe')} of {counted(len(given), 'pair')}, seed {seed}")
    for probe in built:
        click.echo(f"  {probe.name}: {counted(len(probe.responses), 'response')}")
        for reason, ids in probe.skipped.items():
            click.echo(f"    {reason}: {len(ids)} of {len(given)} pairs ({_named(ids)})")
    click.echo(
        f"written to {out}; to follow them: " + " ".join(f"--probe {name}={path}" for name, path in files.items())
    )


def _named(ids: tuple[str, ...]) -> str:
    return ", ".join(ids[:_NAMED]) + (", ..." if len(ids) > _NAMED else "")
