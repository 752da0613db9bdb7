"""One tracking, resolved from options: the base run, every checkpoint's run, pairs and probes as token ids."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from bon_eval.config import differences
from bon_eval.dpo.pairs.files import Pair
from bon_eval.dpo.pairs.tokens import TokenPair, TokenResponse, context_of, tokenize_chosen, tokenize_pairs
from bon_eval.dpo.tracking.columns import GROUPS
from bon_eval.dpo.training.chain import find_chain
from bon_eval.dpo.training.checkpoints import Checkpoint, Stage, check_start
from bon_eval.engines import REMOTE
from bon_eval.engines.arguments import check_adapter_for_scoring
from bon_eval.engines.load import load_tokenizer
from bon_eval.errors import ConfigError, StoreError
from bon_eval.run.options import RunOptions
from bon_eval.run.prepare import PreparedRun, prepare
from bon_eval.stats.clusters import clusters_of
from bon_eval.store.prompts import differing_text, with_first_text
from bon_eval.store.reader import stored_problems
from bon_eval.store.writer import read_meta
from bon_eval.tasks.chat import template_of
from bon_eval.tasks.ends import check_same_ends

_Tokens = TypeVar("_Tokens", TokenPair, TokenResponse)

TRACK_FILE = "track.json"
FORMAT = 2
"""Of a tracking directory. One of format 1 is gone on with: its runs are used, what was forced is forced again."""


@dataclass(frozen=True, slots=True)
class TrackPlan:
    """One tracking, resolved; nothing written and no model loaded yet."""

    out: Path
    base: PreparedRun
    runs: tuple[tuple[Checkpoint, PreparedRun], ...]
    """By step; the base model itself is step 0."""
    pairs: Mapping[str, tuple[TokenPair, ...]]
    """Pair set name -> its pairs."""
    probes: Mapping[str, tuple[TokenResponse, ...]]
    beta: float
    skipped: tuple[str, ...]
    base_run: Path | None = None
    """A stored run of the base model to copy in place of sampling again."""
    stages: tuple[Stage, ...] = ()
    """Of a chain of trainings."""
    sample_at: tuple[int, ...] | None = None
    """Steps at which checkpoints sample; None: all. Where there are none the base model does not sample either."""

    @property
    def identity(self) -> dict[str, object]:
        """What a stored tracking must agree with: the base model and its task. Checkpoints, pairs, probes and beta may
        be others with each command."""
        return self.base.config.identity()

    @property
    def forced_only(self) -> bool:
        """Whether nothing is sampled."""
        return self.sample_at == ()

    def samples_at(self, step: int) -> bool:
        """Whether the checkpoint at a step samples."""
        return self.sample_at is None or step in self.sample_at

    def pair_sets(self) -> dict[str, tuple[TokenResponse, ...]]:
        """Both sides of every pair set as sets of responses."""
        return {
            f"{name}/{side}": tuple(TokenResponse(p.id, p.problem_id, p.prompt, getattr(p, side)) for p in pairs)
            for name, pairs in self.pairs.items()
            for side in ("chosen", "rejected")
        }


def prepare_track(
    options: RunOptions,
    checkpoints: Sequence[Path],
    pairs: Mapping[str, Sequence[Pair]],
    probes: Mapping[str, Sequence[Pair]],
    *,
    beta: float,
    out: Path,
    base_run: Path | None = None,
    sample_at: Sequence[int] | None = None,
) -> TrackPlan:
    """Resolve a tracking.

    Args:
        options: of the base model's run; every checkpoint is run the same way.
        checkpoints: a training directory, or those of a chain of trainings in their order.
        pairs: named pair sets.
        probes: named sets of responses, each given as pairs whose rejected side is not looked at.
        beta: of the DPO loss that is reported.
        out: the tracking directory.
        base_run: a stored run of the base model under these options, copied in place of sampling it again.
        sample_at: steps at which checkpoints sample, default all of them; none at all: nothing samples.

    Raises:
        ModelError: the training did not start at the base model.
        BonEvalError: of the kind that fits; nothing has been written.
    """
    if options.engine == REMOTE:
        raise ConfigError(f"tracking loads every checkpoint, which engine {REMOTE} cannot; use vllm or transformers")
    check_names(pairs, probes)
    series = find_chain(checkpoints)
    check_steps(sample_at, [c.step for c in series.checkpoints if c.step], checkpoints)
    if base_run is not None:
        options = options.dated(read_meta(base_run)["config"].get("date"))
    elif (identity := stored_identity(out)) is not None:
        options = options.dated(identity.get("date"))
    base = prepare(replace(options, out=out / "runs" / "base"))
    options = options.dated(base.config.date)
    if base_run is not None and (changed := differences(read_meta(base_run)["identity"], base.config.identity())):
        named = with_first_text(changed, base_run, {p.problem_id: p.text for p in base.prompts})
        raise ConfigError(f"--base-run {base_run} is another run than this base model's here ({'; '.join(named)})")
    if options.cluster is not None:
        for directory in (base_run, base.directory):  # a stored run's columns are what they were when it started
            if directory is not None and (directory / "problems.parquet").is_file():
                clusters_of(problems := stored_problems(directory), [p.id for p in problems], options.cluster)
    runs = []
    for checkpoint in series.checkpoints:
        if checkpoint.step == 0:
            check_start(checkpoint, base.model_dir)
            continue
        where = replace(options, out=out / "runs" / f"step-{checkpoint.step:06d}")
        whole = checkpoint.on if checkpoint.is_adapter else checkpoint.path
        tuned = where if whole is None else replace(where, model=str(whole), revision=None)
        if checkpoint.is_adapter:
            tuned = replace(tuned, adapter=str(checkpoint.path))
        prepared = prepare(tuned)
        if prepared.config.prompts_hash != base.config.prompts_hash:
            texts = zip(base.prompts, prepared.prompts, strict=True)
            found = (differing_text(a.text, b.text, "of the base model", "of the checkpoint") for a, b in texts)
            first = next(filter(None, found), "the same texts, other tokens")
            raise ConfigError(
                f"{checkpoint.path} renders other prompts than the base model (another tokenizer or chat template): "
                f"{first}; its likelihoods cannot be compared"
            )
        check_adapter_for_scoring(prepared.config.engine, prepared.adapter_dir)
        check_same_ends(base.ends, prepared.ends, str(checkpoint.path))
        runs.append((checkpoint, prepared))
    if not runs:
        raise ConfigError(f"{checkpoints[0]} holds no checkpoint after step 0; train further")
    tokenizer = load_tokenizer(base.model_dir, trust_remote_code=options.trust_remote_code)
    context = context_of(base.model_dir)
    template = template_of(tokenizer, options.chat)
    prompts = {prompt.problem_id: prompt.token_ids for prompt in base.prompts}
    problem_of = {prompt.token_ids: prompt.problem_id for prompt in reversed(base.prompts)}
    token_pairs: dict[str, tuple[TokenPair, ...]] = {}
    for name, given in pairs.items():
        tokens = tokenize_pairs(given, tokenizer, context, template)
        token_pairs[name] = tuple(of_its_problem(name, pair, prompts, problem_of) for pair in tokens)
    token_probes: dict[str, tuple[TokenResponse, ...]] = {}
    for name, given in probes.items():
        responses = tokenize_chosen(given, tokenizer, context, template)
        token_probes[name] = tuple(of_its_problem(name, probe, prompts, problem_of) for probe in responses)
    steps = None if sample_at is None else tuple(sample_at)
    plan = TrackPlan(
        out=out,
        base=base,
        runs=tuple(runs),
        pairs=token_pairs,
        probes=token_probes,
        beta=beta,
        skipped=series.skipped,
        base_run=base_run,
        stages=series.stages,
        sample_at=steps,
    )
    if plan.forced_only and not (token_pairs or token_probes or base_run or (base.directory / "run.json").is_file()):
        raise ConfigError("without sampling nothing is left to measure; give --pairs, --probe or --base-run")
    return plan


def check_names(pairs: Collection[str], probes: Collection[str]) -> None:
    """Raise `ConfigError` for a name of pairs or probes that something else has."""
    for name in (*pairs, *probes):
        if "/" in name or name == "base":
            raise ConfigError(f"{name!r} cannot name a set of pairs or probes; use a name without '/' that is not base")
        if (group := name.partition(".")[0]) in GROUPS:
            raise ConfigError(
                f"{name!r} cannot name a set of pairs or probes: what the model says is measured as {group}; use "
                "another name"
            )
    if both := set(pairs) & set(probes):
        raise ConfigError(f"{sorted(both)[0]!r} names a pair set and a probe; use two names")


def parse_steps(text: str | None, *, forced_only: bool) -> tuple[int, ...] | None:
    """Where checkpoints sample, from ``--sample-at`` and ``--forced-only``; None: everywhere.

    Raises:
        ConfigError: both are given, or something that is no list of steps.

    >>> parse_steps("40, 20", forced_only=False), parse_steps(None, forced_only=True)
    ((20, 40), ())
    """
    if forced_only:
        if text is not None:
            raise ConfigError("--forced-only samples nowhere, and --sample-at says where; give one of them")
        return ()
    if text is None:
        return None
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdigit() and int(word) > 0 for word in words):
        raise ConfigError(f"--sample-at {text!r} is no list of steps after step 0; give numbers, such as 20,40")
    return tuple(sorted({int(word) for word in words}))


def check_steps(sample_at: Sequence[int] | None, steps: Sequence[int], checkpoints: Sequence[Path]) -> None:
    """Raise `ConfigError` for a step that no checkpoint after step 0 has."""
    if unknown := sorted(set(sample_at or ()).difference(steps)):
        where, valid = ", ".join(map(str, checkpoints)), ", ".join(map(str, steps))
        raise ConfigError(f"--sample-at names step {unknown[0]}, and {where} has checkpoints at {valid}")


def stored_identity(out: Path) -> dict[str, Any] | None:
    """What the tracking that a directory holds is of; None where it holds none.

    Raises:
        StoreError: its track.json is damaged or of another format.
    """
    path = out / TRACK_FILE
    if not path.is_file():
        return None
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        given, identity = stored["format"], stored["identity"]
        found: dict[str, Any] = identity["base"] if given == 1 else identity
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} is damaged; give --out another directory") from error
    if given not in (1, FORMAT):
        raise StoreError(f"{path} is not of tracking format {FORMAT}; give --out another directory")
    return found


def of_its_problem(
    name: str, given: _Tokens, prompts: Mapping[str, tuple[int, ...]], problem_of: Mapping[tuple[int, ...], str]
) -> _Tokens:
    """The same with the id of the task's problem that has its prompt, if any; else with one that no problem has.

    Ids are row numbers for many data sets: the third problem of the train split is none of the test split's.

    Args:
        name: of the pair set or probe.
        given: a pair, or a response.
        prompts: problem id -> its prompt.
        problem_of: the same the other way round.

    >>> pair, prompts = TokenPair("p", "1", (5, 6), (7,), (8,)), {"0": (5, 6), "1": (5, 9)}
    >>> of_its_problem("train", pair, prompts, {(5, 6): "0", (5, 9): "1"}).problem_id
    '0'
    >>> of_its_problem("train", pair, {"1": (5, 9)}, {(5, 9): "1"}).problem_id
    'train: 1'
    >>> of_its_problem("train", pair, {"2": (9,)}, {(9,): "2"}).problem_id
    '1'
    """
    known, same = prompts.get(given.problem_id), problem_of.get(given.prompt)
    if known == given.prompt or (known is None and same is None):
        return given
    return replace(given, problem_id=f"{name}: {given.problem_id}" if same is None else same)
