"""Whether two stored runs can be compared, and what differs between them where that is allowed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from bon_eval.errors import ConfigError, unknown_name
from bon_eval.records import Problem
from bon_eval.stats import align
from bon_eval.stats.clusters import clusters_of
from bon_eval.store.extent import FILE
from bon_eval.store.imported.source import check_own_tokens, has_own_tokens, is_imported
from bon_eval.store.prompts import check_same_prompts, differing_text, load_prompt_texts, load_prompts
from bon_eval.store.reader import Run

_Prompt = TypeVar("_Prompt")

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


def check_comparable(
    before: Run,
    after: Run,
    allowed: Collection[str] = (),
    *,
    names: tuple[str, str] = ("before", "after"),
    tuning: bool = True,
) -> dict[str, str]:
    """What differs between two runs and was allowed to, or does not matter enough to be refused, in words.

    Refused are other ways of sampling, other problems (`same_problems`), and unless `allowed` has it another grader or
    version of it. Of a base model and its tuned one other prompts, another dtype, another engine and other end tokens
    are refused as well: each of them moves numbers by itself, as tuning does. Two models of any kind have prompts and
    end tokens of their own, and where their runs were made is no choice of whoever compares them: that is named. What
    one of two runs does not tell is named, too, and so is another version of the same engine.

    Args:
        before, after: graded runs.
        allowed: of `DIFFERENCES`.
        names: of the two runs, for what is said.
        tuning: whether the second run is of a model tuned from the first one's.

    Raises:
        ConfigError: what differs, in one line with what to do, or an unknown name in `allowed`.
    """
    check_differences(allowed)
    if tuning and "prompts" not in allowed:
        for run in (before, after):
            check_own_tokens(run.path, run.meta, "--as before,after without --allow-different prompts")
    found = _sampled_alike(before, after, names, tuning)
    rows = same_problems(before, after, names)
    if tuning and "prompts" not in allowed:
        # By the ids of the first run: a row number is another problem in another order of the data.
        ids = _ids_before(before, after, rows)
        check_same_prompts(
            load_prompts(before.path),
            _renamed(load_prompts(after.path), ids),
            lambda: (dict(load_prompt_texts(before.path)), _renamed(dict(load_prompt_texts(after.path)), ids)),
        )
    found |= {name: f"{one} {names[0]}, {other} {names[1]}" for name, (one, other) in _pairs(before, after).items()}
    remedies = {"grader": f"run: bon-eval grade {before.path} and bon-eval grade {after.path}"}
    # What another program ran is not told, and no choice of whoever compares.
    if tuning and all(has_own_tokens(run.meta) for run in (before, after)):
        remedies |= {
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
        told = all(stored_config(run).get("prompts_hash") for run in (before, after))
        found = {"prompts": "not the same tokens" if told else "their tokens are not told of both runs"} | found
    return found


def _sampled_alike(before: Run, after: Run, names: tuple[str, str], tuning: bool) -> dict[str, str]:
    """What differs in how two runs were sampled, where that is no reason to refuse them: of `_SAME`, and how."""
    a, b = _sampling(before), _sampling(after)
    found = {}
    for name in _SAME:
        one, other = a.get(name), b.get(name)
        if one == other:
            continue
        how = f"{_told(one)} {names[0]} and {_told(other)} {names[1]}"
        if name != "task" and (one is None or other is None or (name == "stop_token_ids" and not tuning)):
            found[name] = how
            continue
        raise ConfigError(
            f"the runs were sampled differently: {name} is {how}; sample one of them again with the other's"
        )
    return found


def _sampling(run: Run) -> dict[str, Any]:
    """The configuration, null where an imported run does not say what ended its responses."""
    config = stored_config(run)
    if not is_imported(run.meta):
        return config
    ends = config["stop_token_ids"] if has_own_tokens(run.meta) else None
    return {**config, "stop": None, "stop_token_ids": ends}


def _told(value: object) -> str:
    return "unknown" if value is None else repr(value)


def same_problems(before: Run, after: Run, names: tuple[str, str] = ("before", "after")) -> NDArray[np.intp]:
    """Rows of the second run's problems in the order of the first one's, matched by what they ask.

    Ids alone are not trusted: a row number is another problem in another order of the data. Two problems are one where
    the columns that both runs stored and the gold answers are the same, blanks aside; columns that mark clusters do not
    count. Problems that occur several times are matched in their order. Where a run shares no column with the other the
    ids and the gold answers have to do.

    Raises:
        ConfigError: a problem that only one run has, or that has the same id and other content; the message names it
            and where it differs.
    """
    first, second = ({p.id: p for p in run.problems} for run in (before, after))
    columns = _shared_columns(before, after)
    ids = before.pool.problem_ids, after.pool.problem_ids
    contents = [{i: _content(of[i], columns) for i in own} for of, own in zip((first, second), ids, strict=True)]
    if contents[0] == contents[1]:
        return align(*ids)
    keys = [_counted(list(content.values())) for content in contents]
    if columns and set(keys[0]) == set(keys[1]):
        row_of = {key: row for row, key in enumerate(keys[1])}
        return np.array([row_of[key] for key in keys[0]], dtype=np.intp)
    for problem in ids[0]:
        if problem in contents[1] and contents[0][problem] != contents[1][problem]:
            raise ConfigError(_differing(first[problem], second[problem], columns, names))
    return align(*ids)


def _shared_columns(before: Run, after: Run) -> tuple[str, ...]:
    """Columns that all problems of both runs have, without those that mark clusters."""
    clusters = {stored_config(run).get("cluster") for run in (before, after)}
    stored = [set(problem.fields) for run in (before, after) for problem in run.problems]
    return tuple(sorted(set.intersection(*stored) - clusters)) if stored else ()


def _content(problem: Problem, columns: Sequence[str]) -> tuple[str, ...]:
    texts = (problem.gold, *(str(problem.fields[name]) for name in columns))
    return tuple(" ".join(text.split()) for text in texts)


def _counted(contents: Sequence[tuple[str, ...]]) -> list[tuple[tuple[str, ...], int]]:
    """Each content with how many of the same came before it."""
    seen: Counter[tuple[str, ...]] = Counter()
    out = []
    for content in contents:
        out.append((content, seen[content]))
        seen[content] += 1
    return out


def _differing(one: Problem, other: Problem, columns: Sequence[str], names: tuple[str, str]) -> str:
    """What differs between two problems of one id."""
    if " ".join(one.gold.split()) != " ".join(other.gold.split()):
        return (
            f"problem {one.id!r} has another gold answer: {one.gold!r} {names[0]}, {other.gold!r} {names[1]}; use the "
            "same data"
        )
    contents = [dict(zip(("", *columns), _content(problem, columns), strict=True)) for problem in (one, other)]
    column = next(name for name in columns if contents[0][name] != contents[1][name])
    words = differing_text(contents[0][column], contents[1][column], *names)
    return f"problem {one.id!r} is another one in column {column!r}: {words}; use the same data"


def common_clusters(
    before: Run,
    after: Run,
    rows: NDArray[np.intp],
    column: str | None = None,
    names: tuple[str, str] = ("before", "after"),
) -> tuple[str, NDArray[np.intp]] | None:
    """The column that two runs are clustered by and the clusters of their problems, (P,); None where by no column.

    Args:
        before, after: runs of the same problems.
        rows: of the second run's problems in the order of the first one's (`same_problems`).
        column: of both runs' problems; None: the one that both runs' configurations name.
        names: of the two runs, for what is said.

    Raises:
        ConfigError: only one run names clusters, or each its own, or a problem has no such column or is in other
            clusters in the second run.
    """
    named = [stored_config(run).get("cluster") for run in (before, after)]
    if column is None and named[0] != named[1]:
        one, other = (f"column {name!r}" if name else "none" for name in named)
        raise ConfigError(
            f"the runs name different clusters, {one} {names[0]} and {other} {names[1]}; give --cluster COLUMN, one "
            "that both runs stored"
        )
    if (used := column or named[0]) is None:
        return None
    ids = before.pool.problem_ids, [after.pool.problem_ids[row] for row in rows]
    clusters, others = (clusters_of(run.problems, own, used) for run, own in zip((before, after), ids, strict=True))
    if len(apart := np.flatnonzero(clusters != others)):
        raise ConfigError(
            f"problem {ids[0][apart[0]]!r} is in another cluster by column {used!r} in the run {names[1]}; "
            "sample one of them again with the other's data, or give --cluster another column"
        )
    return used, clusters


def same_prompts(before: Run, after: Run) -> bool:
    """Whether both models saw the same tokens, so that likelihoods under the other model are comparable; of an imported
    run the tokens are not known. Problems are matched by `same_problems`, whose errors are raised."""
    one, other = (stored_config(run).get("prompts_hash") for run in (before, after))
    if one is None or other is None or one == other:
        return one is not None and other is not None
    if not all((run.path / FILE).is_file() for run in (before, after)):
        return False
    # The hash has ids and order in it: where these are the same, the tokens differ.
    ids = _ids_before(before, after, same_problems(before, after))
    if list(ids) == list(ids.values()) == list(after.pool.problem_ids):
        return False
    first, second = load_prompts(before.path), _renamed(load_prompts(after.path), ids)
    return all(first[problem] == second[problem] for problem in before.pool.problem_ids)


def _ids_before(before: Run, after: Run, rows: NDArray[np.intp]) -> dict[str, str]:
    """The second run's problem ids -> those of the same problems in the first run."""
    return {after.pool.problem_ids[row]: own for own, row in zip(before.pool.problem_ids, rows, strict=True)}


def _renamed(of: Mapping[str, _Prompt], ids: Mapping[str, str]) -> dict[str, _Prompt]:
    """Values by other ids, without those of problems that have none."""
    return {ids[problem]: value for problem, value in of.items() if problem in ids}


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
        "grader": f"{run.grader.get('name', config.get('grader'))} version {run.grader.get('version', 'unknown')}",
        # What `auto` came to, where the engine says so.
        "dtype": str(engine.get("dtype") or config.get("dtype") or "unknown"),
        "engine": str(config.get("engine") or "unknown"),
        "engine version": str(engine.get("version") or "unknown"),
    }
