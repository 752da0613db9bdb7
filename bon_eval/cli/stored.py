"""Commands that work on stored runs: report, grade, score, summary, scorers."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import click

from bon_eval.cli.options import (
    PATH,
    analysis_options,
    base_url_option,
    engine_arg_option,
    engine_args,
    html_option,
    numbers,
    quiet_option,
    run_argument,
    seed_option,
    verdict_options,
)


def check_stored(scorers: tuple[str, ...], votes: tuple[str, ...], token_stats: str) -> None:
    """Raise `ConfigError` for a scorer that needs what the run will not store, before any sampling is paid for."""
    from bon_eval.analysis.vote_rules import get_vote
    from bon_eval.errors import ConfigError
    from bon_eval.scorers import get_scorer

    for name in (*scorers, *(get_vote(vote).scorer for vote in votes)):
        for stat in get_scorer(name).stats:
            if stat == "topk" and token_stats != "topk":
                raise ConfigError(f"scorer {name!r} needs the top-k confidence of each token; add --token-stats topk")
            if stat != "topk":
                raise ConfigError(
                    f"scorer {name!r} needs {stat}, which sampling does not store; run without it, then: bon-eval "
                    f"score RUN --stats {stat} and bon-eval report RUN --scorer {name}"
                )


def report_run(
    directory: Path,
    scorers: tuple[str, ...],
    ns: tuple[int, ...] | None,
    seed: int,
    draws: int,
    *,
    partial: bool = False,
    exclude_truncated: bool = False,
    html: bool = True,
    texts: bool = True,
    votes: tuple[str, ...] = (),
    arms: str = "default",
    margin: float = 2.0,
    cluster: str | None = None,
    looks: int = 1,
) -> None:
    """Analyse, write the report's files, print the table."""
    from bon_eval.analysis.analyse import analyse
    from bon_eval.analysis.settings import DEFAULT_SCORERS
    from bon_eval.analysis.vote_rules import get_vote
    from bon_eval.report.run.terminal import render
    from bon_eval.report.run.write import write_report
    from bon_eval.store.reader import load_run

    chosen = scorers or DEFAULT_SCORERS
    if arms == "all":
        chosen, votes = _all_arms(directory, scorers, votes)
    stored = load_run(directory, partial=partial, scorers=(*chosen, *(get_vote(vote).scorer for vote in votes)))
    analysis = analyse(
        stored,
        scorers=chosen,
        votes=votes,
        ns=ns,
        seed=seed,
        draws=draws,
        exclude_truncated=exclude_truncated,
        duplicates=stored.duplicates,
        margin=margin / 100.0,
        cluster=cluster,
        looks=looks,
    )
    written = write_report(analysis, directory)
    names = [path.name for path in written.values()]
    if html:
        from bon_eval.report.run.figures import figures, write_figures
        from bon_eval.report.run.page import write_page

        drawn = tuple(figures(analysis))
        names.append(write_page(stored, analysis, directory, texts=texts, drawn=drawn).name)
        write_figures(analysis, directory / "figures", drawn)
        names.append("figures/")
    click.echo(render(analysis))
    click.echo(f"written to {directory}: {', '.join(names)}")


def _all_arms(
    directory: Path, scorers: tuple[str, ...], votes: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Every scorer and vote of which the run holds what it needs, after those that were asked for."""
    from bon_eval.analysis.vote_rules import ALL_VOTES, get_vote
    from bon_eval.scorers import SCORERS, STATS, get_scorer, offered_names
    from bon_eval.store.token_stats import stored
    from bon_eval.store.writer import read_meta

    held = stored(directory, read_meta(directory))
    found = [name for name in (*SCORERS, *offered_names()) if set(get_scorer(name).stats) <= set(held)]
    possible = [vote for vote in ALL_VOTES if set(get_scorer(get_vote(vote).scorer).stats) <= set(held)]
    if lacking := [stat for stat in STATS if stat not in held]:
        names = [name for name, scorer in SCORERS.items() if set(scorer.stats) & set(lacking)]
        remedy = f"run: bon-eval score {directory} --stats {','.join(lacking)}"
        click.echo(f"left out, since the run does not hold what they need: {', '.join(names)}; {remedy}", err=True)
    return tuple(dict.fromkeys((*scorers, *found))), tuple(dict.fromkeys((*votes, *possible)))


@click.command()
@run_argument
@analysis_options
@seed_option("Of bootstrap, signs of families and random scorer.")
@verdict_options
@click.option("--partial", is_flag=True, help="Analyse the problems that are finished so far; without verdicts.")
@click.option("--looks", default=1, show_default=True, help="Planned looks at a growing run, which share the 5 %.")
@click.option("--exclude-truncated", is_flag=True, help="Only problems without a truncated response.")
@html_option
@click.option("--texts/--no-texts", default=True, help="With or without problem and response texts in report.html.")
def report(
    run_dir: Path,
    scorers: tuple[str, ...],
    votes: tuple[str, ...],
    arms: str,
    ns: str | None,
    draws: int,
    seed: int,
    margin: float,
    cluster: str | None,
    partial: bool,
    looks: int,
    exclude_truncated: bool,
    html: bool,
    texts: bool,
) -> None:
    """Analyse a stored run again, with other n or scorers, without the model."""
    report_run(
        run_dir,
        scorers,
        numbers(ns),
        seed,
        draws,
        partial=partial,
        exclude_truncated=exclude_truncated,
        html=html,
        texts=texts,
        votes=votes,
        arms=arms,
        margin=margin,
        cluster=cluster,
        looks=looks,
    )


@click.command()
@run_argument
@click.option("--by", type=PATH, metavar="RUN2", help="A stored run of the model that scores.")
@click.option("--stats", metavar="NAME,...", help="Of topk, entropy, self_certainty: by the run's own model.")
@base_url_option
@engine_arg_option
@quiet_option
def score(
    run_dir: Path, by: Path | None, stats: str | None, base_url: str | None, engine_arg: tuple[str, ...], quiet: bool
) -> None:
    """Score a stored run's responses by teacher forcing.

    With --by by the model of another run; `bon-eval compare` needs it in both directions. Where that model computes in
    less than float32 it scores its own run as well (--by RUN itself does that alone). With --stats by the run's
    own model over the full vocabulary (engine transformers, which takes --engine-arg), for the scorers that need it.
    """
    from bon_eval.errors import ConfigError

    if (by is None) == (stats is None):
        raise ConfigError("give either --by RUN2 or --stats NAME,...: another model's log-probs or the own model's")
    if stats is not None:
        if base_url is not None:
            raise ConfigError("--base-url goes with --by; --stats are of the full vocabulary, which no server gives")
        from bon_eval.run.token_stats import force_statistics

        for path in force_statistics(run_dir, stats.split(","), engine_args=engine_args(engine_arg), quiet=quiet):
            click.echo(path)
    elif by is not None:
        if engine_arg:
            raise ConfigError("--engine-arg goes with --stats; with --by the engine runs as it did for that run")
        from bon_eval.run.before_after import force_stored

        click.echo(force_stored(run_dir, by, base_url=base_url, quiet=quiet))


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
def summary(runs: tuple[Path, ...], out: Path) -> None:
    """Lift over greedy of many runs as a heat map, model by task, and their draws: summary.html, .png and .csv."""
    summarise_runs(runs, out)


def summarise_runs(runs: Sequence[Path], out: Path) -> None:
    """Write the heat map of reported runs, print a line for each."""
    from bon_eval.report.summary.page import write_summary
    from bon_eval.report.summary.rows import summarise
    from bon_eval.report.summary.terminal import lines
    from bon_eval.store.files import make_directory

    found = summarise(runs)
    make_directory(out)
    for line in lines(found):
        click.echo(line)
    click.echo(f"written to {out}: {', '.join(write_summary(found, out))}")


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
