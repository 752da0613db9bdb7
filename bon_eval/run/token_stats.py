"""Teacher forcing of a stored run's own responses over the full vocabulary: entropy, self-certainty, top-k confidence.

The transformers engine is used whatever sampled the run, since no other gives the whole distribution. A killed scoring
goes on where it stopped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bon_eval.config import draws
from bon_eval.engines.base import EngineSpec
from bon_eval.engines.models import unchanged_model
from bon_eval.errors import ConfigError, EngineError, unknown_name
from bon_eval.run.forcing import (
    Group,
    GroupKey,
    check_none_left,
    open_log,
    owed,
    scoring_progress,
    stored_spec,
    whole_groups,
)
from bon_eval.scorers import STATS
from bon_eval.store import parts, token_stats
from bon_eval.store.extent import Held
from bon_eval.store.files import lock, write_text
from bon_eval.store.imported.source import check_own_tokens, longest_response
from bon_eval.store.prompts import load_prompts
from bon_eval.store.writer import read_meta


def force_statistics(
    path: Path, names: Sequence[str], *, engine_args: Mapping[str, object] | None = None, quiet: bool = False
) -> list[Path]:
    """Compute statistics of every stored response that lacks them; returns the directories that hold them.

    Args:
        path: the run directory.
        names: of `bon_eval.scorers.STATS`.
        engine_args: of the transformers engine.

    Raises:
        ConfigError: an unknown name.
        ModelError: the run's model is not where it was, or its files have changed since.
        StoreError: not a run, damaged, or the disk is full; what was stored before is kept.
        EngineError: the engine failed or gave numbers that cannot be true.
    """
    for name in names:
        if name not in STATS:
            raise ConfigError(unknown_name("statistic", name, list(STATS)))
    meta = read_meta(path)
    check_own_tokens(path, meta, "score --stats")
    config = meta["config"]
    wanted = tuple(dict.fromkeys(names))
    with closing(lock(path)):
        logs = {name: _open_log(path, meta, name) for name in wanted}
        held = {name: Held.of(log.parts, token_stats.directory(path, name)) for name, log in logs.items()}
        prompts = load_prompts(path)
        if not all(of_one.covers(draws(config), list(prompts)) for of_one in held.values()):
            model, adapter = unchanged_model(config, path)
            longest = max(map(len, prompts.values())) + longest_response(meta)
            spec = stored_spec(config, model.directory, adapter, path, longest=longest, engine_args=engine_args or {})
            _compute(path, meta, spec, prompts, logs, held, quiet=quiet)
        return [token_stats.directory(path, name) for name in wanted]


def _open_log(path: Path, meta: dict[str, Any], name: str) -> parts.PartLog:
    return open_log(token_stats.directory(path, name), token_stats.owner(meta, name), token_stats.SCHEMA)


def _compute(
    path: Path,
    meta: dict[str, Any],
    spec: EngineSpec,
    prompts: dict[str, tuple[int, ...]],
    logs: dict[str, parts.PartLog],
    held: dict[str, Held],
    *,
    quiet: bool,
) -> None:
    from bon_eval.engines.transformers import TransformersEngine

    groups: dict[GroupKey, Group] = {}
    label = f"scoring {', '.join(logs)}"

    def has(problem: str, arm: str, index: int) -> bool:
        # What one statistic lacks is computed for all of them, and stored where it is lacking.
        return all(of_one.has(problem, arm, index) for of_one in held.values())

    with (
        TransformersEngine(spec) as engine,
        scoring_progress(meta, prompts, has, label, engine, quiet=quiet) as progress,
    ):
        for name in logs:
            facts = json.dumps({"statistic": name, "engine": engine.facts}, indent=2)
            write_text(token_stats.directory(path, name) / "engine.json", facts + "\n")
        scored = engine.statistics(owed(path, meta, prompts, has, groups), tuple(logs))
        for group in whole_groups(scored, groups):
            for k, (name, log) in enumerate(logs.items()):
                lacking = [not held[name].has(group.problem, group.arm, index) for index in group.indexes]
                if any(lacking):
                    log.append(_table(group, k, name).filter(pa.array(lacking)))
            progress.advance(len(group.indexes))
    check_none_left(groups)
    for log in logs.values():
        log.finish()


def _table(group: Group, k: int, name: str) -> pa.Table:
    """The k-th statistic of one request as rows of `token_stats.SCHEMA`."""
    values = [np.asarray(group.found[index][k], dtype=np.float32) for index in group.same_as]
    for index, found in zip(group.indexes, values, strict=True):
        if not np.isfinite(found).all():
            raise EngineError(
                f"problem {group.problem}, {group.arm} {index}: {name} is not finite at a token (a vocabulary with "
                "impossible tokens has none); nothing of this request was stored"
            )
    return pa.table([*group.keys(), pa.array(values, pa.list_(pa.float32()))], schema=token_stats.SCHEMA)
