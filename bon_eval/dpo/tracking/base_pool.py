"""The base model's own responses: those that every checkpoint forces, and what they measure of it.

A response is told by its token ids: two log-likelihoods of one response differ by the rounding of two kernels, or of
two batches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bon_eval.dpo.pairs.tokens import TokenResponse
from bon_eval.dpo.tracking.measures import Array
from bon_eval.errors import EngineError
from bon_eval.estimators import chosen_index
from bon_eval.store import parts
from bon_eval.store.prompts import load_prompts
from bon_eval.store.reader import load_run, response_keys, stored_tables
from bon_eval.store.writer import read_meta

BASE_BEST, BASE_GREEDY, BASE_TOP = "base/best", "base/greedy", "base/top"
"""Sets of the base model's responses, by problem: its pool's likeliest, its greedy one, its pool's `TOP` likeliest
different ones that are not cut."""
TOP = (1, 4, 16)
"""Of how many of a problem's likeliest responses the probability is measured."""
_MOST = 1.05
"""Sum of probabilities of different responses from which on the rounding of log-probs is no explanation."""
_COLUMNS = ("problem_id", "arm", "index", "token_ids")


def base_sets(directory: Path) -> dict[str, tuple[TokenResponse, ...]]:
    """The sets of a base run, in the order of its problems; a response's id is its index in its pool.

    ``base/best`` has one response of each problem (ties: the lowest index), ``base/greedy`` too; ``base/top`` has at
    most max(`TOP`), likeliest first, and none of a problem whose every response was cut by max_tokens. All are picked
    by the log-likelihoods that the model sampled them with.

    Raises:
        StoreError: the run is unfinished, damaged or not graded.
    """
    run, prompts = load_run(directory), load_prompts(directory)
    ids = run.pool.problem_ids
    keys = response_keys(directory, ids, "sample", run.pool.n)
    best = chosen_index(run.pool.log_likelihood).tolist()
    top = [
        likeliest_different(*row, max(TOP))
        for row in zip(run.pool.log_likelihood, keys, ~run.pool.truncated, strict=True)
    ]
    wanted = {(problem, "greedy", 0) for problem in ids}
    for problem, index, several in zip(ids, best, top, strict=True):
        wanted |= {(problem, "sample", k) for k in (index, *several)}
    tokens = _tokens(directory, wanted)

    def response(problem: str, draw: str, index: int) -> TokenResponse:
        return TokenResponse(str(index), problem, prompts[problem], tokens[problem, draw, index])

    return {
        BASE_BEST: tuple(response(p, "sample", k) for p, k in zip(ids, best, strict=True)),
        BASE_GREEDY: tuple(response(p, "greedy", 0) for p in ids),
        BASE_TOP: tuple(response(p, "sample", k) for p, several in zip(ids, top, strict=True) for k in several),
    }


def likeliest_different(
    log_likelihood: Array, keys: NDArray[np.uint64], whole: NDArray[np.bool_], most: int
) -> list[int]:
    """Indices of one pool's likeliest different whole responses, likeliest first, the lowest index of equal ones.

    Args:
        log_likelihood: (N,), nats.
        keys: (N,), equal for equal responses.
        whole: (N,), whether each ended by itself: one that was cut stands for many responses that begin so.
        most: how many at most.

    >>> row = np.array([-3.0, -1.0, -1.0, -2.0, -0.5]), np.array([5, 7, 7, 9, 4], dtype=np.uint64)
    >>> likeliest_different(*row, np.array([True, True, True, True, False]), 2)
    [1, 3]
    """
    found: dict[int, int] = {}
    for index in np.argsort(-log_likelihood, kind="stable").tolist():
        if whole[index]:
            found.setdefault(int(keys[index]), index)
    return list(found.values())[:most]


def _tokens(directory: Path, wanted: set[tuple[str, str, int]]) -> dict[tuple[str, str, int], tuple[int, ...]]:
    out = {}
    for table in _batches(directory):
        keys = zip(*(table[name].to_pylist() for name in _COLUMNS[:3]), strict=True)
        own = [k for k, key in enumerate(keys) if key in wanted]
        for row in table.take(own).to_pylist():
            out[row["problem_id"], row["arm"], row["index"]] = tuple(row["token_ids"])
    return out


def _batches(directory: Path) -> list[pa.Table]:
    return list(stored_tables(directory, read_meta(directory), _COLUMNS, batch_bytes=parts.BATCH_BYTES))


def top_mass(log_likelihood: Array, problem_ids: Sequence[str]) -> Mapping[int, tuple[tuple[str, ...], Array]]:
    """Probability that a model gives the base model's k likeliest different responses of each problem.

    sum over them of exp(log pi(y|x)): exact, since different whole responses exclude each other. A pool that holds
    fewer than k different ones counts with those that it holds.

    Args:
        log_likelihood: (R,), of the responses of ``base/top`` under the model, in nats.
        problem_ids: (R,), whose each is; likeliest at the base model first, problem after problem.

    Returns:
        k of `TOP` -> (problems, their probabilities).

    Raises:
        EngineError: a sum is above 1 by more than rounding.

    >>> found = top_mass(np.log([0.5, 0.25, 0.125]), ["a", "a", "b"])
    >>> found[1][1].round(9).tolist(), found[4]
    ([0.5, 0.125], (('a', 'b'), array([0.75 , 0.125])))
    """
    rows: dict[str, int] = {}
    at = np.array([rows.setdefault(problem, len(rows)) for problem in problem_ids], dtype=np.intp)
    starts = np.concatenate(([0], np.cumsum(np.bincount(at, minlength=len(rows)))))
    rank = np.arange(len(at)) - starts[at]
    out = {}
    for k in TOP:
        mass = np.bincount(at[rank < k], weights=np.exp(log_likelihood[rank < k]), minlength=len(rows))
        if (mass > _MOST).any():
            raise EngineError(
                f"problem {list(rows)[int(mass.argmax())]}: different responses have a probability of {mass.max():.3f} "
                "together; the engine's log-probs cannot be those of one distribution"
            )
        out[k] = tuple(rows), np.minimum(mass, 1.0)  # above 1 by rounding only
    return out
