"""Whether two stored runs can be compared, and what differs between them where that is allowed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bon_eval.errors import ConfigError, unknown_name
from bon_eval.stats import align
from bon_eval.stats.clusters import clusters_of
from bon_eval.store.prompts import check_same_prompts, load_prompt_texts, load_prompts
from bon_eval.store.reader import Run

Difference = Literal["prompts", "grader", "dtype", "engine"]
"""What two runs may differ in where it is allowed."""
DIFFERENCES: tuple[Difference, ...] = ("prompts", "grader", "dtype", "engine")
_SAME = ("task", "temperature", "max_tokens", "stop", "stop_token_ids")


def check_differences(names: Iterable[str]) -> tuple[str, ...]:
    """The names, each once; raises `ConfigError` for one that is none of `DIFFERENCES`."""
    given = tuple(dict.fromkeys(names))
    for name in given:
        if name not in DIFFERENCES:
            raise ConfigError(unknown_name("difference", name, list(DIFFERENCES)))
    return given


def check_comparable(before: Run, after: Run, allowed: Collection[str] = ()) -> dict[str, str]:
    """What differs between two runs and was allowed to, or does not matter enough to be refused, in words.

    Refused are other ways of sampling, other problems, and unless `allowed` has them other prompts, another grader or
    version of it, another dtype and another engine: each of them moves numbers by itself, as tuning does. Another
    version of the same engine is named and not refused.

    Args:
        before, after: graded runs.
        allowed: of `DIFFERENCES`.

    Raises:
        ConfigError: what differs, in one line with what to do, or an unknown name in `allowed`.
    """
    check_differences(allowed)
    a, b = stored_config(before), stored_config(after)
    for name in _SAME:
        if a[name] != b[name]:
            raise ConfigError(
                f"the runs were sampled differently: {name} is {a[name]!r} before and {b[name]!r} after; sample one of "
                "them again with the other's"
            )
    align(before.pool.problem_ids, after.pool.problem_ids)
    golds = {p.id: p.gold for p in before.problems}
    for problem in after.problems:
        if golds.get(problem.id, problem.gold) != problem.gold:
            raise ConfigError(f"problem {problem.id!r} has another gold answer in the run after; use the same data")
    if "prompts" not in allowed:
        check_same_prompts(
            load_prompts(before.path),
            load_prompts(after.path),
            lambda: (dict(load_prompt_texts(before.path)), dict(load_prompt_texts(after.path))),
        )
    found = {name: f"{one} before, {other} after" for name, (one, other) in _pairs(before, after).items()}
    remedies = {
        "grader": f"run: bon-eval grade {before.path} and bon-eval grade {after.path}",
        "dtype": "sample one of them again with the other's --dtype",
        "engine": "sample one of them again with the other's --engine",
    }
    for name, remedy in remedies.items():
        if name in found and name not in allowed:
            raise ConfigError(
                f"the runs differ in more than the model: {name} {found[name]}, which moves numbers by itself; "
                f"{remedy}, or give --allow-different {name} to compare them all the same"
            )
    if not same_prompts(before, after):
        found = {"prompts": "not the same tokens"} | found
    return found


def common_clusters(
    before: Run, after: Run, problem_ids: Sequence[str], column: str | None = None
) -> tuple[str, NDArray[np.intp]] | None:
    """The column that two runs are clustered by and the clusters of their problems, (P,); None where by no column.

    Args:
        before, after: runs of the same problems.
        problem_ids: the order.
        column: of both runs' problems; None: the one that both runs' configurations name.

    Raises:
        ConfigError: only one run names clusters, or each its own, or a problem has no such column or is in other
            clusters in the run after.
    """
    named = [stored_config(run).get("cluster") for run in (before, after)]
    if column is None and named[0] != named[1]:
        one, other = (f"column {name!r}" if name else "none" for name in named)
        raise ConfigError(
            f"the runs name different clusters, {one} before and {other} after; give --cluster COLUMN, one that both "
            "runs stored"
        )
    if (used := column or named[0]) is None:
        return None
    clusters, others = (clusters_of(run.problems, problem_ids, used) for run in (before, after))
    if len(apart := np.flatnonzero(clusters != others)):
        raise ConfigError(
            f"problem {problem_ids[apart[0]]!r} is in another cluster by column {used!r} in the run after; "
            "sample one of them again with the other's data, or give --cluster another column"
        )
    return used, clusters


def same_prompts(before: Run, after: Run) -> bool:
    """Whether both models saw the same tokens, so that likelihoods under the other model are comparable."""
    return bool(stored_config(before)["prompts_hash"] == stored_config(after)["prompts_hash"])


def stored_config(run: Run) -> dict[str, Any]:
    """The run's configuration."""
    config = run.meta["config"]
    assert isinstance(config, dict)
    return config


def _pairs(before: Run, after: Run) -> dict[str, tuple[str, str]]:
    """Name -> what it is before and after, where that differs."""
    facts = [_facts(run) for run in (before, after)]
    pairs = {name: (facts[0][name], facts[1][name]) for name in facts[0]}
    if pairs["engine"][0] != pairs["engine"][1]:
        del pairs["engine version"]
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _facts(run: Run) -> dict[str, str]:
    engine: Mapping[str, Any] = run.meta.get("engine") or {}
    config = stored_config(run)
    return {
        "grader": f"{run.grader.get('name', config['grader'])} version {run.grader.get('version', 'unknown')}",
        # What `auto` came to, where the engine says so.
        "dtype": str(engine.get("dtype") or config["dtype"]),
        "engine": str(config["engine"]),
        "engine version": str(engine.get("version") or "unknown"),
    }
