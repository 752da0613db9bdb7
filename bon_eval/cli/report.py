"""The command `report`, and what `run` and `merge` do at their end: the run's own report, and others beside it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from bon_eval.cli.options import (
    PATH,
    analysis_options,
    html_option,
    numbers,
    run_argument,
    seed_option,
    verdict_options,
)
from bon_eval.errors import ConfigError

if TYPE_CHECKING:
    from bon_eval.report.stored.own import Asked


_SETTINGS = frozenset(
    ("scorers", "votes", "arms", "ns", "draws", "seed", "margin", "cluster", "looks", "exclude_truncated")
)
"""Options of `report` whose defaults are the run's own settings."""


def report_run(
    directory: Path,
    scorers: tuple[str, ...],
    ns: tuple[int, ...] | None,
    seed: int,
    draws: int,
    *,
    partial: bool = False,
    html: bool = True,
    votes: tuple[str, ...] = (),
    arms: str = "default",
    margin: float = 2.0,
    cluster: str | None = None,
    looks: int = 1,
) -> None:
    """Make the run's own report: what is asked for here becomes the run's own settings."""
    from bon_eval.analysis.settings import DEFAULT_SCORERS
    from bon_eval.report.stored.own import Asked

    chosen = scorers or DEFAULT_SCORERS
    if arms == "all":
        chosen, votes = _all_arms(directory, scorers, votes)
    asked = Asked(chosen, votes, ns, seed, draws, margin=margin / 100.0, looks=looks, cluster=cluster)
    _report(directory, asked, partial=partial, html=html)


def _report(
    directory: Path,
    asked: Asked,
    *,
    partial: bool,
    html: bool,
    texts: bool = True,
    into: tuple[Path, str] | None = None,
    own: Asked | None = None,
) -> None:
    """Analyse, write the report's files, print the table.

    `into`: directory and name of another report than the run's own. `own`: the run's own settings; where those asked
    for differ, nothing is written but with `into`.
    """
    from bon_eval.report.stored.any_run import render_any, write_any
    from bon_eval.report.stored.own import analysed, differing

    stored, analysis = analysed(directory, asked, partial=partial)
    others = [] if into is not None or own is None else differing(own, asked, stored.pool.n)
    if others:
        click.echo(render_any(analysis))
        click.echo(
            f"no file was written, since these settings are not the run's own: {'; '.join(others)}. For files of them "
            "add --name NAME or --out DIR; to make them the run's own --own"
        )
        return
    target = directory if into is None else into[0]
    name = None if into is None else into[1]
    names = write_any(stored, analysis, target, html=html, texts=texts, name=name)
    click.echo(render_any(analysis))
    click.echo(f"written to {target}: {', '.join(names)}")


def _all_arms(
    directory: Path, scorers: tuple[str, ...], votes: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Every scorer and vote of which the run holds what it needs, after those that were asked for."""
    from bon_eval.analysis.imported.absent import usable
    from bon_eval.analysis.vote_rules import ALL_VOTES, get_vote
    from bon_eval.scorers import SCORERS, STATS, get_scorer, offered_names
    from bon_eval.store.imported.source import absent, has_own_tokens
    from bon_eval.store.token_stats import stored
    from bon_eval.store.writer import read_meta

    meta = read_meta(directory)
    held, absences = stored(directory, meta), absent(meta)

    def there(names: Iterable[str]) -> tuple[str, ...]:
        return usable([name for name in names if set(get_scorer(name).stats) <= set(held)], absences)

    found = there((*SCORERS, *offered_names()))
    possible = [vote for vote in ALL_VOTES if there([get_vote(vote).scorer])]
    if left_out := [name for name in SCORERS if name not in found]:
        lacking = [stat for stat in STATS if stat not in held]
        remedy = f"run: bon-eval score {directory} --stats {','.join(lacking)}"
        if not has_own_tokens(meta):
            remedy = f"first: bon-eval score {directory} --by MODEL --as-own"
        click.echo(f"left out, since the run does not hold what they need: {', '.join(left_out)}; {remedy}", err=True)
    return tuple(dict.fromkeys((*scorers, *found))), tuple(dict.fromkeys((*votes, *possible)))


@click.command()
@run_argument
@click.option("--name", metavar="NAME", help="Of a report beside the run's own: it goes to RUN/reports/NAME.")
@click.option("--out", type=PATH, metavar="DIR", help="Where another report than the run's own goes.")
@click.option("--own", is_flag=True, help="Make these settings the run's own, which its report and summaries go by.")
@analysis_options
@seed_option("Of bootstrap, signs of families and random scorer.")
@verdict_options
@click.option("--partial", is_flag=True, help="Analyse the problems that are finished so far; without verdicts.")
@click.option(
    "--exclude-truncated/--include-truncated", default=False, help="Only problems without a truncated response."
)
@html_option
@click.option("--texts/--no-texts", default=True, help="With or without problem and response texts in report.html.")
def report(
    run_dir: Path,
    name: str | None,
    out: Path | None,
    own: bool,
    partial: bool,
    html: bool,
    texts: bool,
    **given: Any,
) -> None:
    """Analyse a stored run again, with other n or scorers, without the model.

    Settings that are not given are the run's own: those that `bon-eval run` was given last. With them alone the run's
    own report is made again, which `bon-eval summary` reads. Others are printed, and written only with --name or
    --out, or as the run's own with --own.
    """
    from bon_eval.report.stored.own import own_settings, place
    from bon_eval.store.imported.source import absent
    from bon_eval.store.writer import read_meta

    if own and (name is not None or out is not None):
        raise ConfigError("--own makes the run's own report, in its directory; drop it, or --name and --out")
    meta = read_meta(run_dir)
    settings, caution = own_settings(run_dir, meta["config"], absent(meta))
    into = None if name is None and out is None else place(run_dir, name, out)
    if caution is not None:
        click.echo(f"note: {caution}", err=True)
    asked = _asked(click.get_current_context(), run_dir, settings, given)
    own_ones = None if own else settings
    _report(run_dir, asked, partial=partial, html=html, texts=texts, into=into, own=own_ones)


for _option in report.params:
    if isinstance(_option, click.Option) and _option.name in _SETTINGS:
        _option.help = (_option.help or "").partition(" [default")[0]
        _option.show_default = False  # it is the run's own


def _asked(ctx: click.Context, run_dir: Path, own: Asked, given: dict[str, Any]) -> Asked:
    """The run's own settings with those that the command line gives."""
    from bon_eval.analysis.imported.analyse import default_scorers
    from bon_eval.store.imported.source import absent
    from bon_eval.store.writer import read_meta

    values = {**given, "ns": numbers(given["ns"]), "margin": given["margin"] / 100.0}
    arms = values.pop("arms")
    stated = {name for name in given if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT}
    if "arms" in stated:
        values["scorers"] = values["scorers"] or default_scorers(absent(read_meta(run_dir)))
        if arms == "all":
            values["scorers"], values["votes"] = _all_arms(run_dir, given["scorers"], given["votes"])
        stated |= {"scorers", "votes"}
    return replace(own, **{name: values[name] for name in stated - {"arms"}})
