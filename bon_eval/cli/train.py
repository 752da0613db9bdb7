"""Commands around training: dpo, sft, track."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from bon_eval.cli.options import (
    PATH,
    chat_of,
    chat_options,
    cluster_option,
    data_options,
    draws_option,
    engine_arg_option,
    engine_args,
    engine_option,
    html_option,
    option_block,
    prompt_options,
    quiet_option,
    revision_option,
    seed_option,
    stop_options,
    trust_option,
)
from bon_eval.errors import ConfigError

_training_options = option_block(
    click.option("--steps", type=int, help="Optimizer steps. [default: one epoch]"),
    click.option("--epochs", type=float, help="Passes over the data, in place of --steps."),
    click.option("--save-every", type=int, help="Steps between checkpoints; step 0 and the last are always saved."),
    click.option("--learning-rate", type=float, help="Peak. [default: 1e-6 dpo, 1e-5 sft; LoRA: ten times]"),
    click.option("--warmup-steps", type=int, help="Linear warm-up, then constant. [default: a tenth of the steps]"),
    click.option("--batch-size", type=int, help="Per optimizer step. [default: 64, or all there are]"),
    click.option("--micro-batch", type=int, help="Per forward pass; numbers of aot depend on it. [default: at most 8]"),
    click.option("--optimizer", help="rmsprop, adamw_torch, sgd. [default: rmsprop dpo, adamw_torch sft]"),
    click.option("--weight-decay", default=0.0, show_default=True),
    click.option("--max-grad-norm", default=10.0, show_default=True, help="Gradients are clipped to this norm."),
    click.option("--lora-rank", type=int, help="Train a LoRA adapter of this rank in place of all weights."),
    click.option("--lora-alpha", type=int, help="[default: twice the rank]"),
    click.option("--lora-targets", default="all-linear", show_default=True, help="Comma-separated module names."),
    click.option("--dtype", default="float32", show_default=True, help="Of the trained weights; or bfloat16."),
    click.option("--gradient-checkpointing", is_flag=True, help="Less memory, more time; same numbers."),
    seed_option("Of data order and adapter initialisation."),
    revision_option,
    trust_option,
    quiet_option,
)
_model_option = click.option("--model", required=True, help="The model to train: hub id, directory or embedded model.")
_start_option = click.option(
    "--start", type=PATH, help="A checkpoint of an earlier training of --model to go on from; DPO's reference, too."
)
_out_option = click.option(
    "--out", type=PATH, required=True, help="Training directory; the same command goes on where it stopped."
)


@click.command()
@_model_option
@click.option("--pairs", help="Pairs: a file of `bon-eval pairs`, or a preference file of your own.")
@_out_option
@_start_option
@click.option("--beta", type=float, help="Of the loss. [default: 0.1; sigmoid_norm 5, simpo 2]")
@click.option(
    "--loss", multiple=True, metavar="NAME[:WEIGHT]", help="Repeatable, a sum; docs/training.md. [default: sigmoid]"
)
@click.option("--label-smoothing", default=0.0, show_default=True, help="Below 0.5, of the losses that take it.")
@click.option("--ld-alpha", type=float, help="Weight of log-probs beyond the shorter side's length (LD-DPO), 0 to 1.")
@click.option("--simpo-gamma", type=float, help="Target margin of --loss simpo. [default: 1]")
@click.option("--dpop-lambda", type=float, help="Weight of the penalty of --loss dpop, which needs one.")
@click.option("--rounds", type=int, help="On-policy: in each round sample afresh from the current policy, then train.")
@click.option("--task", help="With --rounds: what is sampled; task name or YAML.")
@click.option("--recipe", default="correct-wrong", show_default=True, help="With --rounds: how pairs are made.")
@click.option("--order", help="With --rounds: as in `bon-eval pairs`.")
@click.option("--per-problem", default=1, show_default=True, help="With --rounds: most pairs of one problem.")
@click.option("--margin", type=float, help="With --rounds: as in `bon-eval pairs`.")
@click.option("--match-length", type=float, help="With --rounds: as in `bon-eval pairs`.")
@click.option("--n", default=16, show_default=True, help="With --rounds: responses per problem.")
@click.option("--limit", type=int, help="With --rounds: only the first problems.")
@click.option("--max-tokens", type=int, help="With --rounds: most tokens of a response. [default: the task's]")
@engine_option
@engine_arg_option
@data_options
@chat_options
@_training_options
def dpo(model: str, pairs: str | None, out: Path, rounds: int | None, **given: Any) -> None:
    """Train with DPO or another preference loss (TRL's) on preference pairs; checkpoints from step 0 on."""
    from bon_eval.dpo.pairs.recipes import PairOptions
    from bon_eval.dpo.training.commands import run_dpo, run_dpo_rounds
    from bon_eval.run.options import RunOptions

    given = chat_of(given)
    making = ("order", "per_problem", "margin", "match_length")
    sampling = ("task", "n", "limit", "max_tokens", "engine", "engine_arg", "data", "train_data")
    recipe = given.pop("recipe")
    made, sampled = ({name: given.pop(name) for name in names} for names in (making, sampling))
    if rounds is None:
        if pairs is None:
            raise ConfigError("no pairs: give --pairs FILE, or --rounds R with --task T to make them on the way")
        if unused := _on_the_command_line("recipe", *making, *sampling):
            option = "--" + unused[0].replace("_", "-")
            raise ConfigError(f"{option} is of pairs that are made on the way; give --rounds R, or leave {option} out")
        run_dpo(model, pairs, out, **given)
        return
    if pairs is not None or sampled["task"] is None:
        raise ConfigError("--rounds samples its own pairs: give --task and no --pairs")
    sampled["engine_args"] = engine_args(sampled.pop("engine_arg"))
    names = ("revision", "trust_remote_code", "seed")
    shared = {n: given[n] for n in names} | {"chat": given.pop("chat")}
    options = RunOptions(model=model, dtype="float32", task_draws=False, **shared, **sampled)
    run_dpo_rounds(rounds, options, recipe, PairOptions(**made, seed=given["seed"]), out, **given)


def _on_the_command_line(*names: str) -> list[str]:
    """The parameters of the command that is running that were given, and are not defaults."""
    context = click.get_current_context()
    return [name for name in names if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]


@click.command()
@_model_option
@click.option("--run", "run_dir", type=PATH, help="A stored run of the model, whose responses are trained on.")
@click.option(
    "--select",
    default="best",
    show_default=True,
    help="best, greedy, sample or correct of --run, or chosen of --pairs.",
)
@click.option("--pairs", help="With --select chosen: pairs whose chosen responses are trained on.")
@_out_option
@_start_option
@chat_options
@_training_options
def sft(model: str, run_dir: Path | None, select: str, pairs: str | None, out: Path, **given: Any) -> None:
    """Fine-tune (TRL's SFTTrainer) on a run's highest-likelihood responses (SFT-sharpening), or on chosen ones."""
    from bon_eval.dpo.training.commands import run_sft

    run_sft(model, run_dir, select, pairs, out, **chat_of(given))


@click.command()
@click.option("--base", required=True, help="The model that was trained.")
@click.option(
    "--checkpoints",
    type=PATH,
    required=True,
    multiple=True,
    help="Training directory with checkpoint-<step> folders; repeatable, each started from the one before.",
)
@click.option("--task", required=True, help="Task name, or the path of your own YAML.")
@click.option("--pairs", "pair_sets", multiple=True, metavar="[NAME=]PAIRS", help="Pairs to follow; repeatable.")
@click.option("--probe", "probes", multiple=True, metavar="NAME=FILE", help="Responses to follow; repeatable.")
@click.option("--out", type=PATH, required=True, help="Tracking directory; the same command goes on where it stopped.")
@click.option("--base-run", type=PATH, help="A stored run of the base model, copied in place of sampling again.")
@click.option("--n", default=32, show_default=True, help="Responses per problem in each pool.")
@click.option("--limit", type=int, help="Only the first problems.")
@click.option("--max-tokens", type=int, help="Most tokens of a response. [default: the task's]")
@click.option("--beta", default=0.1, show_default=True, help="Of the DPO loss that is reported.")
@click.option(
    "--forced-only", is_flag=True, help="Sample nothing: pairs, probes and the responses of --base-run alone."
)
@click.option("--sample-at", metavar="STEP,STEP...", help="Sample at these checkpoints only; the others are forced.")
@engine_option
@click.option("--dtype", default="float32", show_default=True, help="Of every model: base and checkpoints alike.")
@revision_option
@seed_option()
@data_options
@prompt_options
@stop_options
@engine_arg_option
@trust_option
@cluster_option
@draws_option
@html_option
@quiet_option
def track(
    base: str,
    checkpoints: tuple[Path, ...],
    pair_sets: tuple[str, ...],
    probes: tuple[str, ...],
    out: Path,
    base_run: Path | None,
    beta: float,
    forced_only: bool,
    sample_at: str | None,
    engine_arg: tuple[str, ...],
    draws: int,
    html: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Measure every checkpoint: accuracies, best-of-N log-likelihood, pairs, squeezing; one row each."""
    from bon_eval.dpo.tracking.plan import parse_steps, prepare_track
    from bon_eval.dpo.tracking.track import execute_track
    from bon_eval.dpo.tracking.trajectory import load_trajectory
    from bon_eval.dpo.training.commands import named_pairs, named_probes
    from bon_eval.report.trajectory.terminal import render, write_trajectory
    from bon_eval.run.options import RunOptions

    if not 0 < beta < float("inf"):
        raise ConfigError(f"--beta must be above 0, got {beta}")
    options = RunOptions(model=base, engine_args=engine_args(engine_arg), task_draws=False, **chat_of(given))
    sets = named_pairs(pair_sets), named_probes(probes)
    steps = parse_steps(sample_at, forced_only=forced_only)
    plan = prepare_track(options, checkpoints, *sets, beta=beta, out=out, base_run=base_run, sample_at=steps)
    execute_track(plan, quiet=quiet)
    found = load_trajectory(out, seed=options.seed, draws=draws, cluster=options.cluster)
    names = list(write_trajectory(found, out))
    if html:
        from bon_eval.report.trajectory.page import write_trajectory_page

        names += write_trajectory_page(found, out)
    click.echo(render(found))
    click.echo(f"written to {out}: {', '.join(names)}")
