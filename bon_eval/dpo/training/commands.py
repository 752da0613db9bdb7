"""What the training commands do between their options and `train`: read the data, resolve the settings, say them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bon_eval.dpo.pairs.files import Pair, pair_of, read_records
from bon_eval.dpo.pairs.from_run import pairs_of_run
from bon_eval.dpo.pairs.own_ids import REMEDY, check_ids, ends_of, own_prompt
from bon_eval.dpo.pairs.preferences import load_pairs
from bon_eval.dpo.pairs.recipes import PairOptions, check_options
from bon_eval.dpo.pairs.tokens import (
    TokenPair,
    TokenResponse,
    context_of,
    fits,
    prompt_token_ids,
    tokenize_chosen,
    tokenize_pairs,
)
from bon_eval.dpo.training.losses import DEFAULT_LOSS, scale_note, source_text
from bon_eval.dpo.training.rounds import train_rounds
from bon_eval.dpo.training.settings import DEFAULTS, TrainSettings, resolve
from bon_eval.dpo.training.start import Start, resolve_start, with_lora_of
from bon_eval.dpo.training.train import train
from bon_eval.dpo.training.trainers import Standing
from bon_eval.engines.load import load_tokenizer
from bon_eval.engines.models import ResolvedModel, resolve_model
from bon_eval.errors import ConfigError, unknown_name
from bon_eval.estimators import chosen_index
from bon_eval.run.console.progress import say
from bon_eval.run.options import RunOptions
from bon_eval.store.prompts import check_token_ids, load_prompt_texts, load_prompts
from bon_eval.store.reader import iter_responses, load_run
from bon_eval.tasks.chat import ChatOptions, template_of

SELECTIONS = ("best", "greedy", "sample", "correct")


def run_dpo(
    model: str,
    pairs: str,
    out: Path,
    *,
    start: Path | None,
    chat: ChatOptions,
    revision: str | None,
    trust_remote_code: bool,
    quiet: bool,
    **given: Any,
) -> Path:
    """DPO on a pair file; returns the last checkpoint. Raises `BonEvalError`."""
    resolved = resolve_model(model, revision)
    begun = None if start is None else resolve_start(start, resolved)
    tokenizer = load_tokenizer(resolved.directory, trust_remote_code)
    template = template_of(tokenizer, chat)
    examples = tokenize_pairs(load_pairs(pairs), tokenizer, context_of(resolved.directory), template)
    settings = resolve("dpo", len(examples), **with_lora_of(begun, given))
    _say_settings(settings, len(examples), "pairs", quiet)
    return _train(settings, resolved, begun, examples, out, trust_remote_code=trust_remote_code, quiet=quiet)


def run_dpo_rounds(
    rounds: int,
    options: RunOptions,
    recipe: str,
    pair_options: PairOptions,
    out: Path,
    *,
    start: Path | None,
    revision: str | None,
    trust_remote_code: bool,
    quiet: bool,
    **given: Any,
) -> Path:
    """On-policy DPO; returns the last checkpoint. Raises `BonEvalError`."""
    check_options(recipe, pair_options)
    gold = options.task if recipe == "gold-sample" else None
    begun = None if start is None else resolve_start(start, resolve_model(options.model, revision))
    given = with_lora_of(begun, given)

    def make_pairs(run: Path, seed: int) -> tuple[Pair, ...]:
        built = pairs_of_run(run, recipe, replace(pair_options, seed=seed), task=gold)
        say(f"{recipe}: {len(built.pairs)} pairs of {built.n_problems} problems", quiet)
        return built.pairs

    def make_settings(examples: int, seed: int) -> TrainSettings:
        settings = resolve("dpo", examples, **(given | {"seed": seed}))
        _say_settings(settings, examples, "pairs", quiet)
        return settings

    return train_rounds(rounds, options, make_pairs, make_settings, out, start=begun, quiet=quiet)


def run_sft(
    model: str,
    run_dir: Path | None,
    select: str,
    pairs: str | None,
    out: Path,
    *,
    start: Path | None,
    chat: ChatOptions,
    revision: str | None,
    trust_remote_code: bool,
    quiet: bool,
    **given: Any,
) -> Path:
    """SFT on selected responses; returns the last checkpoint. Raises `BonEvalError`."""
    resolved = resolve_model(model, revision)
    begun = None if start is None else resolve_start(start, resolved)
    if select == "chosen":
        if pairs is None or run_dir is not None:
            raise ConfigError("--select chosen takes the responses of --pairs, and no --run; give --pairs alone")
        tokenizer = load_tokenizer(resolved.directory, trust_remote_code)
        examples: Sequence[TokenResponse] = tokenize_chosen(
            load_pairs(pairs), tokenizer, context_of(resolved.directory), template_of(tokenizer, chat)
        )
    else:
        if run_dir is None or pairs is not None:
            raise ConfigError(f"--select {select} takes the responses of a stored --run; give --run and no --pairs")
        examples = selected_responses(run_dir, select, resolved, seed=int(given["seed"]))
    settings = resolve("sft", len(examples), beta=None, **with_lora_of(begun, given))
    _say_settings(settings, len(examples), f"responses ({select})", quiet)
    return _train(settings, resolved, begun, examples, out, trust_remote_code=trust_remote_code, quiet=quiet)


def _train(
    settings: TrainSettings,
    model: ResolvedModel,
    start: Start | None,
    examples: Sequence[TokenPair] | Sequence[TokenResponse],
    out: Path,
    *,
    trust_remote_code: bool,
    quiet: bool,
) -> Path:
    if start is not None:
        say(f"starts from {start.path}, which is DPO's reference, too", quiet or settings.method != "dpo")
    return train(
        settings,
        Standing(model) if start is None else start.standing,
        examples,
        out,
        start=start,
        origin_hash=model.content_hash,
        trust_remote_code=trust_remote_code,
        quiet=quiet,
    )


def selected_responses(run_dir: Path, select: str, model: ResolvedModel, *, seed: int) -> list[TokenResponse]:
    """One response of a stored run for each problem, whole ones only.

    ``best``: the pool's highest log-likelihood (SFT-sharpening: Huang et al. 2024, arXiv 2412.01951, section 3.1);
    ``greedy``; ``sample``: a random one of the pool; ``correct``: a random correct one. Problems without such a
    response are left out.

    Raises:
        ConfigError: an unknown selection, a run of another tokenizer, or nothing to select.
    """
    if select not in SELECTIONS:
        raise ConfigError(unknown_name("selection", select, [*SELECTIONS, "chosen"]))
    run, prompts = load_run(run_dir), load_prompts(run_dir)
    whole = ~run.pool.truncated
    picks: dict[str, int] = {}
    for row, problem in enumerate(run.pool.problem_ids):
        allowed = whole[row] & run.pool.correct[row] if select == "correct" else whole[row]
        if select == "greedy" or not allowed.any():
            continue
        if select == "best":
            score = np.where(allowed, run.pool.log_likelihood[row], -np.inf)
            picks[problem] = int(chosen_index(score[None])[0])
        else:
            picks[problem] = int(np.random.default_rng([seed, row]).choice(np.flatnonzero(allowed)))
    context = context_of(model.directory)
    found, texts = [], {}
    for r in iter_responses(run_dir):
        wanted = r.arm == "greedy" if select == "greedy" else r.arm == "sample" and picks.get(r.problem_id) == r.index
        if wanted and not r.truncated:
            check_token_ids(run_dir, r.problem_id, [r.token_ids])
            fits(f"problem {r.problem_id!r}", prompts[r.problem_id], r.token_ids, context)
            found.append(TokenResponse(r.problem_id, r.problem_id, prompts[r.problem_id], r.token_ids))
            texts[r.problem_id] = r.text
    if not found:
        raise ConfigError(f"{run_dir} has no {select} response that is whole; sample again with more --max-tokens")
    if run.meta["config"]["model_hash"] != model.content_hash:
        _check_own(run_dir, model, found, texts, run.meta["config"].get("stop") or ())
    return sorted(found, key=lambda r: r.id)


def _check_own(
    run_dir: Path, model: ResolvedModel, found: Sequence[TokenResponse], texts: Mapping[str, str], stop: Sequence[str]
) -> None:
    """Raise `ConfigError` where another model's run has other token ids than this model has for the same texts."""
    tokenizer = load_tokenizer(model.directory)
    ends = ends_of(tokenizer, template_of(tokenizer))
    asked = dict(load_prompt_texts(run_dir))
    for r in found:
        what = f"{run_dir}, problem {r.problem_id!r}"
        if not own_prompt(asked[r.problem_id], r.prompt, prompt_token_ids(asked[r.problem_id], tokenizer), tokenizer):
            raise ConfigError(f"{what}: the prompt has other token ids than {model.name}'s tokenizer gives; {REMEDY}")
        check_ids(what, texts[r.problem_id], r.response, tokenizer, ends, stop)


def named_pairs(given: Sequence[str]) -> dict[str, tuple[Pair, ...]]:
    """``NAME=FILE`` or ``FILE`` (named ``pairs``) options as named pair sets.

    Raises:
        ConfigError: two of one name, or a file that holds no pairs.
    """
    found: dict[str, tuple[Pair, ...]] = {}
    for text in given:
        name, path = _named(text, "pairs")
        if name in found:
            raise ConfigError(f"--pairs gives {name!r} twice; name them: --pairs train=FILE --pairs held-out=FILE")
        found[name] = load_pairs(path)
    return found


def named_probes(given: Sequence[str]) -> dict[str, tuple[Pair, ...]]:
    """``NAME=FILE`` options as named sets of responses.

    A file is JSON Lines with ``prompt`` and ``response`` (or TRL's ``completion``, or a pair's ``chosen``), and
    ``response_token_ids`` where they are known. The result holds them as pairs with an arbitrary rejected side.

    Raises:
        ConfigError: a probe without a name, two of one name, or a line that is no response.
    """
    found: dict[str, tuple[Pair, ...]] = {}
    for text in given:
        name, path = _named(text, None)
        if name in found:
            raise ConfigError(f"--probe gives {name!r} twice; use two names")
        found[name] = _read_probe(Path(path))
    return found


def _read_probe(path: Path) -> tuple[Pair, ...]:
    probe, seen = [], set[str]()
    for record, where, number in read_records(path, "probe"):
        response = pair_of(_as_pair(record, where), where, number)
        if response.id in seen:
            raise ConfigError(f"{where} has the id {response.id!r} of an earlier line; ids must differ")
        seen.add(response.id)
        probe.append(response)
    if not probe:
        raise ConfigError(f"probe {path} holds no response")
    return tuple(probe)


_PROBE_KEYS = ("id", "problem_id", "prompt", "prompt_token_ids", "end_token_id", "stop")


def _as_pair(record: object, where: str) -> Mapping[str, object]:
    if not isinstance(record, Mapping):
        raise ConfigError(f"{where} is no JSON object; a probe has the columns prompt and response")
    for column in ("response", "completion", "chosen"):
        if column in record:
            side = record[column]
            # Never looked at; it only has to differ from the response.
            mark = "+" if side == "-" else "-"
            other = [{"role": "nobody", "content": mark}] if isinstance(side, list) else mark
            ids = record.get(f"{column}_token_ids")
            kept = {k: v for k, v in record.items() if k in _PROBE_KEYS}
            return kept | {"chosen": side, "rejected": other} | ({} if ids is None else {"chosen_token_ids": ids})
    raise ConfigError(f"{where} has no column response; a probe has the columns prompt and response")


def _named(text: str, default: str | None) -> tuple[str, str]:
    name, sign, path = text.partition("=")
    if sign and name and "/" not in name:
        return name, path
    if default is None:
        raise ConfigError(f"--probe {text!r} has no name; give NAME=FILE")
    return default, text


def _say_settings(settings: TrainSettings, examples: int, what: str, quiet: bool) -> None:
    if quiet:
        return
    values = {k: v for k, v in settings.as_dict().items() if v is not None and k != "method"}
    if not settings.label_smoothing:
        del values["label_smoothing"]
    text = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in values.items())
    print(f"{settings.method} on {examples:,} {what}: {text}", file=sys.stderr)
    print(f"defaults: {DEFAULTS[settings.method].source}", file=sys.stderr)
    if settings.loss not in (None, DEFAULT_LOSS):
        print(f"loss: {source_text(settings.loss)}", file=sys.stderr)
        if (note := scale_note(settings.loss)) is not None:
            print(f"note: {note}", file=sys.stderr)
