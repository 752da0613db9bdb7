"""Teacher forcing of a stored run's responses by another model: the log-likelihoods behind before-and-after.

The log-probs lie beside the responses, in ``scores/<id>/``, one directory for each scoring model; a killed scoring goes
on where it stopped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bon_eval.config import digest, draws
from bon_eval.engines.base import Engine, EngineSpec
from bon_eval.errors import EngineError
from bon_eval.records import ForcedSequence
from bon_eval.run.console.progress import Progress
from bon_eval.store import parts
from bon_eval.store.extent import Held
from bon_eval.store.files import TEMPORARY, make_directory, write_text
from bon_eval.store.forced import SCHEMA, ForcedBy
from bon_eval.store.prompts import check_token_ids
from bon_eval.store.reader import stored_tables
from bon_eval.store.writer import read_meta

GroupKey = tuple[str, str, int]
"""Problem id, draw and first index."""
Has = Callable[[str, str, int], bool]
"""(problem id, draw, index) -> whether the response is scored already."""


def force_run(
    path: Path,
    engine: Engine,
    by: ForcedBy,
    prompts: dict[str, tuple[int, ...]],
    *,
    use_adapter: bool = True,
    quiet: bool = False,
) -> Path:
    """Score every stored response of a run that `by` has not scored yet; returns the directory of the scores.

    Args:
        path: the run directory, whole.
        engine: an open engine that holds the model of `by`.
        prompts: prompt token ids by problem id, as the scoring model sees the problems.
        use_adapter: False where `by` is the base model of the engine's adapter.

    Raises:
        StoreError: not a run, damaged, or the disk is full; what was stored before is kept.
        EngineError: the engine failed or gave numbers that cannot be true.
    """
    meta = read_meta(path)
    directory = path / "scores" / by.id
    log = open_log(directory, digest({"run": meta["identity"], "by": by.id}), SCHEMA)
    write_text(directory / "model.json", json.dumps({"by": asdict(by), "engine": engine.facts}, indent=2) + "\n")
    held = Held.of(log.parts, directory)
    groups: dict[GroupKey, Group] = {}
    with scoring_progress(meta, prompts, held.has, f"scoring by {by.model}", engine, quiet=quiet) as progress:
        scored = engine.score(owed(path, meta, prompts, held.has, groups), use_adapter=use_adapter)
        for group in whole_groups(scored, groups):
            log.append(group.table())
            progress.advance(len(group.indexes))
    check_none_left(groups)
    log.finish()
    return directory


def open_log(directory: Path, owner: str, schema: pa.Schema) -> parts.PartLog:
    """The parts of a scoring, begun or gone on with; what a killed one was writing is removed."""
    make_directory(directory)
    for leftover in directory.glob(f"{TEMPORARY}*"):
        leftover.unlink()
    return parts.PartLog(directory, owner, schema)


def stored_spec(
    config: Mapping[str, Any],
    model_dir: Path,
    adapter_dir: Path | None,
    run: Path,
    *,
    longest: int,
    engine_args: Mapping[str, object],
) -> EngineSpec:
    """How to load the model of a stored configuration to score a run's responses of at most `longest` tokens."""
    return EngineSpec(
        model_dir=str(model_dir),
        dtype=config["dtype"],
        adapter_dir=None if adapter_dir is None else str(adapter_dir),
        adapter_hash=config["adapter_hash"],
        max_length=longest,
        log_path=str(run / "engine.log"),
        trust_remote_code=config["trust_remote_code"],
        engine_args=dict(engine_args),
    )


def scoring_progress(
    meta: Mapping[str, Any], problem_ids: Collection[str], has: Has, label: str, engine: Engine, *, quiet: bool
) -> Progress:
    """The counter of a scoring: of responses, of which some are scored already."""
    of = draws(meta["config"])
    every = ((problem, draw, index) for problem in problem_ids for draw, n in of.items() for index in range(n))
    total, done = sum(of.values()) * len(problem_ids), sum(has(*response) for response in every)
    return Progress(total, done=done, label=label, unit="responses", engine=engine, quiet=quiet)


class Group:
    """Responses of one request that are stored together; equal token sequences are scored once."""

    def __init__(self, problem: str, arm: str, indexes: list[int], token_ids: list[tuple[int, ...]]) -> None:
        self.problem, self.arm, self.indexes = problem, arm, indexes
        first: dict[tuple[int, ...], int] = {}
        self.same_as = [first.setdefault(tokens, index) for index, tokens in zip(indexes, token_ids, strict=True)]
        self.distinct = len(first)
        self.found: dict[int, Any] = {}
        """What the engine gave for the first response of each token sequence."""

    def keys(self) -> list[Any]:
        """The columns problem_id, arm and index."""
        size = len(self.indexes)
        return [[self.problem] * size, [self.arm] * size, pa.array(self.indexes, pa.int32())]

    def table(self) -> pa.Table:
        """As rows of `SCHEMA`."""
        logprobs = [np.asarray(self.found[index], dtype=np.float32) for index in self.same_as]
        for index, values in zip(self.indexes, logprobs, strict=True):
            if not np.isfinite(values).all() or (values > 0).any():
                raise EngineError(
                    f"problem {self.problem}, {self.arm} {index}: a forced log-prob is not finite or above 0; "
                    "nothing of this request was stored"
                )
        return pa.table(
            [
                *self.keys(),
                pa.array(logprobs, pa.list_(pa.float32())),
                [float(values.astype(np.float64).sum()) for values in logprobs],
            ],
            schema=SCHEMA,
        )


def whole_groups(scored: Iterable[tuple[str, Any]], groups: dict[GroupKey, Group]) -> Iterator[Group]:
    """Each group when the engine has given all that it needs, taken out of `groups`."""
    for key, found in scored:
        problem, arm, start, index = json.loads(key)
        group = groups[problem, arm, start]
        group.found[index] = found
        if len(group.found) == group.distinct:
            del groups[problem, arm, start]
            yield group


def check_none_left(groups: Mapping[GroupKey, Group]) -> None:
    """Raise `EngineError` where the engine ended before all that it was given is scored."""
    if groups:
        raise EngineError(f"the engine ended without scoring problem {next(iter(groups))[0]}; run the command again")


def owed(
    path: Path,
    meta: dict[str, Any],
    prompts: dict[str, tuple[int, ...]],
    has: Has,
    groups: dict[GroupKey, Group],
) -> Iterator[ForcedSequence]:
    """The token sequences of the responses that are not there, each once; their groups are put into `groups`."""
    for table in stored_tables(path, meta, ["problem_id", "arm", "index", "token_ids"]):
        for key in table.select(["problem_id", "arm"]).group_by(["problem_id", "arm"]).aggregate([]).to_pylist():
            problem, arm = key["problem_id"], key["arm"]
            own = pc.and_(pc.equal(table["problem_id"], problem), pc.equal(table["arm"], arm))
            rows = [row for row in table.filter(own).to_pylist() if not has(problem, arm, row["index"])]
            if not rows:
                continue
            tokens = [tuple(r["token_ids"]) for r in rows]
            check_token_ids(path, problem, tokens)
            indexes = [r["index"] for r in rows]
            group = groups[problem, arm, indexes[0]] = Group(problem, arm, indexes, tokens)
            for index, same_as, token_ids in zip(indexes, group.same_as, tokens, strict=True):
                if index == same_as:
                    yield ForcedSequence(json.dumps([problem, arm, indexes[0], index]), prompts[problem], token_ids)
