"""On-policy DPO in rounds: sample from the current policy, make pairs of what it said, train, again.

``round-1``, ``round-2`` ... each hold an ordinary run directory (``run``), its pairs and a training. The reference is
what the first round began with in every round, so that the whole trajectory is anchored where displacement is measured
from.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

from bon_eval.dpo.pairs.files import Pair, read_pairs, write_pairs
from bon_eval.dpo.pairs.tokens import context_of, tokenize_pairs
from bon_eval.dpo.training.settings import TrainSettings
from bon_eval.dpo.training.start import Start
from bon_eval.dpo.training.train import TrainingError, train
from bon_eval.dpo.training.trainers import Policy, Standing
from bon_eval.engines import REMOTE
from bon_eval.engines.load import load_tokenizer
from bon_eval.engines.models import resolve_adapter, resolve_model
from bon_eval.errors import Boundary, ConfigError
from bon_eval.run.console.progress import say
from bon_eval.run.execute import execute
from bon_eval.run.options import RunOptions
from bon_eval.run.prepare import prepare
from bon_eval.tasks.chat import template_of

MakePairs = Callable[[Path, int], tuple[Pair, ...]]
"""(run directory, seed) -> pairs; what could not be built is its to say."""
MakeSettings = Callable[[int, int], TrainSettings]
"""(number of pairs, seed) -> settings of a round."""


def train_rounds(
    rounds: int,
    options: RunOptions,
    make_pairs: MakePairs,
    make_settings: MakeSettings,
    out: Path,
    *,
    start: Start | None = None,
    quiet: bool = False,
) -> Path:
    """Run `rounds` rounds, going on where a killed one stopped; returns the last checkpoint.

    Args:
        options: of the sampling runs: model, task, n, engine and so on; `out` and `seed` are set for each round.
        make_pairs, make_settings: called once a round with that round's seed, `options.seed` plus rounds done before.
        start: a checkpoint of an earlier training of the model that the first round begins with.

    Raises:
        ConfigError: fewer than one round.
        BonEvalError: as sampling, pairs and training do; what was finished before is kept.
    """
    if rounds < 1:
        raise ConfigError(f"--rounds must be at least 1, got {rounds}")
    if options.engine == REMOTE:
        raise ConfigError(
            f"each round samples from new weights, which engine {REMOTE} cannot; use vllm or transformers"
        )
    base = resolve_model(options.model, options.revision)
    tokenizer = load_tokenizer(base.directory, options.trust_remote_code)
    standing = first = Standing(base) if start is None else start.standing
    last = out
    for number in range(1, rounds + 1):
        folder, seed = out / f"round-{number}", options.seed + number - 1
        say(f"round {number} of {rounds}: sampling from the current policy", quiet)
        adapter = None if standing.policy is None else str(standing.policy.directory)
        now = replace(
            options,
            model=options.model if standing.model == base else standing.model.name,
            revision=options.revision if standing.model == base else None,
            adapter=adapter,
            seed=seed,
            out=folder / "run",
        )
        prepared = prepare(now)
        # The prompts of every round are those of the first.
        options = options.dated(prepared.config.date)
        run = execute(prepared, quiet=quiet)
        path = folder / "pairs.jsonl"
        if not path.is_file():
            write_pairs(path, make_pairs(run, seed))
        template = template_of(tokenizer, options.chat)
        pairs = tokenize_pairs(read_pairs(path), tokenizer, context_of(base.directory), template)
        settings = make_settings(len(pairs), seed)
        # A process of its own: its memory is free again when the engine samples the next round.
        died = Boundary(
            TrainingError, f"{folder}: the training's process died", "look for what ended it; memory, often"
        )
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor, died:
            last = executor.submit(
                train,
                settings,
                standing,
                pairs,
                folder,
                reference=first,
                start=start if number == 1 else None,
                origin_hash=base.content_hash,
                trust_remote_code=options.trust_remote_code,
                quiet=quiet,
            ).result()
        if settings.lora_rank is None:
            standing = Standing(resolve_model(str(last)))
        else:
            standing = Standing(first.model, Policy(*resolve_adapter(str(last))))
    return last
