"""Commands around runs of more than one process: merge."""

from __future__ import annotations

from pathlib import Path

import click

from bon_eval.cli_options import PATH


@click.command()
@click.argument("shards", metavar="SHARD...", nargs=-1, type=PATH)
@click.option("--out", type=PATH, help="Of the merged run. [default: the whole run's, beside the shards]")
@click.option("--partial", is_flag=True, help="Join what is there; `bon-eval run` without --shard samples the rest.")
@click.option("--seed", default=0, show_default=True, help="Of the report's intervals.")
@click.option("--quiet", is_flag=True, help="No progress.")
def merge(shards: tuple[Path, ...], out: Path | None, partial: bool, seed: int, quiet: bool) -> None:
    """Join the shards of a run into that run, then grade and report it."""
    from bon_eval.cli_report import report_run
    from bon_eval.grading import grade_run
    from bon_eval.merge import merge_shards
    from bon_eval.runner import say

    merged = merge_shards(shards, out, partial=partial)
    for notice in merged.notices:
        say(f"note: {notice}", quiet)
    if merged.missing:
        say(
            f"{len(merged.missing)} problems are missing, the first is {merged.missing[0]}; the command of the shards "
            "without --shard samples them",
            quiet,
        )
    say(f"merged into {merged.directory}: {merged.problems} problems", quiet)
    grade_run(merged.directory, quiet=quiet)
    report_run(merged.directory, (), None, seed, 10_000, partial=partial)
