"""Runs without files of one task by models of known accuracy, for comparisons of any size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from made_run import MadeRun

from bon_eval.records import Problem
from bon_eval.store.reader import Run


def made_run(
    model: str,
    *,
    problems: int = 60,
    n: int = 16,
    seed: int = 0,
    rates: Sequence[float] | None = None,
    **config: object,
) -> Run:
    """A run of a model; `rates`: each problem's chance of a correct response. Its prompts are its model's own."""
    made = MadeRun(problems, n, seed=seed)
    made.meta["config"] |= {"model": model, "prompts_hash": model, "model_hash": model, "n": n, **config}
    asked = tuple(Problem(i, {"question": f"What is {i} + 1?"}, str(int(i) + 1)) for i in made.pool.problem_ids)
    pools = [made.greedy, made.pool]
    if rates is not None:
        rng = np.random.default_rng([seed, 1])
        for k, pool in enumerate(pools):
            correct = rng.random(pool.correct.shape) < np.asarray(rates)[:, None]
            classes = np.where(correct, 0, rng.integers(1, 4, correct.shape)).astype(np.int32)
            pools[k] = replace(pool, correct=correct, answer_class=classes)
    nothing = np.zeros(problems)
    return Run(Path(f"runs/{model}"), made.meta, asked, pools[0], pools[1], made.grader, nothing)


def in_other_order(run: Run, order: Sequence[int], ids: Sequence[str]) -> Run:
    """The same problems in another order of the data, under the ids of their rows there."""
    rows = np.asarray(order)
    problems = tuple(replace(run.problems[row], id=name) for row, name in zip(order, ids, strict=True))
    pools = [replace(pool.take(rows), problem_ids=tuple(ids)) for pool in (run.greedy, run.pool)]
    return replace(run, problems=problems, greedy=pools[0], pool=pools[1], duplicates=run.duplicates[rows])
