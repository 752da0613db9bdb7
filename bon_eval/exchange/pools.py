"""A graded run problem by problem, for export: texts, numbers and verdicts of each pool, whatever order they lie in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from bon_eval.draws import GREEDY, SAMPLE
from bon_eval.records import Problem
from bon_eval.store.prompts import load_prompt_texts
from bon_eval.store.reader import Run, stored_tables

_COLUMNS = ("problem_id", "arm", "index", "text", "token_ids", "token_logprobs", "log_likelihood", "n_tokens")
_GRADES = ("problem_id", "arm", "index", "correct", "answer")


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote."""

    directory: Path
    files: tuple[str, ...]
    problems: int
    responses: int
    left_out: tuple[str, ...]
    """What the format has no place for."""


@dataclass(frozen=True, slots=True)
class Pooled:
    """One problem of a run with its responses, in the order of their indices."""

    number: int
    """Of the problem, in task order."""
    problem: Problem
    prompt: str
    draw: str
    rows: tuple[Mapping[str, Any], ...]
    """Of each response the stored columns, ``correct`` (None: unscored) and ``answer``."""


def pools(run: Run, draws: tuple[str, ...] = (GREEDY, SAMPLE)) -> Iterator[Pooled]:
    """Every problem's responses of each draw, as soon as all of them were read."""
    grades = _grades(run.path)
    prompts = dict(load_prompt_texts(run.path))
    problem_of = {p.id: (k, p) for k, p in enumerate(run.problems)}
    sizes = {draw: pool.n for draw, pool in run.draws.items()}
    begun: dict[tuple[str, str], dict[int, Mapping[str, Any]]] = {}
    columns = (*_COLUMNS, "finish_reason")
    for table in stored_tables(run.path, run.meta, columns):
        for batch in table.to_batches(max_chunksize=256):
            for row in batch.to_pylist():
                key = row["problem_id"], row["arm"]
                if row["arm"] not in draws or key[0] not in problem_of:
                    continue
                held = begun.setdefault(key, {})
                correct, answer = grades[key[0], key[1], row["index"]]
                held[row["index"]] = row | {"correct": correct, "answer": answer}
                if len(held) == sizes[row["arm"]]:
                    number, problem = problem_of[key[0]]
                    rows = tuple(found for _, found in sorted(begun.pop(key).items()))
                    yield Pooled(number, problem, prompts[problem.id], row["arm"], rows)


def _grades(path: Path) -> dict[tuple[str, str, int], tuple[bool | None, str | None]]:
    table = pq.read_table(path / "grades.parquet", columns=list(_GRADES))
    rows = zip(*(table[name].to_pylist() for name in _GRADES), strict=True)
    return {(problem, draw, index): (correct, answer) for problem, draw, index, correct, answer in rows}
