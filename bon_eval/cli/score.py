"""The command that scores a stored run's responses by teacher forcing."""

from __future__ import annotations

from pathlib import Path

import click

from bon_eval.cli.options import PATH, base_url_option, engine_arg_option, engine_args, quiet_option, run_argument


@click.command()
@run_argument
@click.option("--by", type=PATH, metavar="RUN2", help="A stored run of the model that scores.")
@click.option("--stats", metavar="NAME,...", help="Of topk, entropy, self_certainty: by the run's own model.")
@click.option("--as-own", is_flag=True, help="Of an imported run: --by names a MODEL, and the responses are its own.")
@click.option("--engine", help="With --as-own: auto, vllm or transformers. [default: auto]")
@click.option("--dtype", help="With --as-own: auto, float32, bfloat16 or float16. [default: auto]")
@click.option("--task", help="With --as-own: YAML of the run's task, where it does not come with bon-eval.")
@base_url_option
@engine_arg_option
@quiet_option
def score(
    run_dir: Path,
    by: Path | None,
    stats: str | None,
    as_own: bool,
    engine: str | None,
    dtype: str | None,
    task: str | None,
    base_url: str | None,
    engine_arg: tuple[str, ...],
    quiet: bool,
) -> None:
    """Score a stored run's responses by teacher forcing.

    With --by by the model of another run; `bon-eval compare` needs it in both directions. Where that model computes in
    less than float32 it scores its own run as well (--by RUN itself does that alone). With --stats by the run's
    own model over the full vocabulary (engine transformers, which takes --engine-arg), for the scorers that need it.
    With --by MODEL --as-own an imported run's texts, in that model's tokens, become the model's own responses.
    """
    from bon_eval.errors import ConfigError

    if (by is None) == (stats is None):
        raise ConfigError("give either --by RUN2 or --stats NAME,...: another model's log-probs or the own model's")
    if as_own:
        from bon_eval.run.imported.as_own import AsOwn, force_as_own

        if by is None or base_url is not None:
            raise ConfigError("--as-own goes with --by MODEL, a model that is loaded here; name one")
        asked = AsOwn(
            str(by), engine=engine or "auto", dtype=dtype or "auto", engine_args=engine_args(engine_arg), task=task
        )
        click.echo(force_as_own(run_dir, asked, quiet=quiet))
        return
    if engine is not None or dtype is not None or task is not None:
        raise ConfigError("--engine, --dtype and --task go with --as-own; without it the model runs as it did")
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
