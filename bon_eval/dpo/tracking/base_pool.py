"""The base model's own responses: those that every checkpoint forces, and what they measure of it.

A response is told by its token ids: two log-likelihoods of one response differ by the rounding of two kernels, or of
two batches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bon_eval.dpo.pairs.tokens import TokenResponse
from bon_eval.dpo.tracking.measures import Array
from bon_eval.errors import EngineError
from bon_eval.estimators import chosen_index
from bon_eval.stats.array_checks import row_chunks
from bon_eval.store import parts
from bon_eval.store.prompts import load_prompts
from bon_eval.store.reader import load_run, stored_tables
from bon_eval.store.same_as_greedy import digest_rows
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
    keys = token_digests(directory, ids, "sample", run.pool.n)
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


def token_digests(directory: Path, problem_ids: Sequence[str], draw: str, n: int) -> NDArray[np.uint64]:
    """64 bits of each response's token ids, (P, n); see `bon_eval.store.same_as_greedy.digest_rows`."""
    row_of = {problem: row for row, problem in enumerate(problem_ids)}
    out = np.zeros((len(problem_ids), n), dtype=np.uint64)
    for table in _batches(directory):
        own = table.filter(pc.and_(pc.equal(table["arm"], draw), pc.less(table["index"], n)))
        sizes = pc.list_value_length(own["token_ids"]).to_numpy().astype(np.int64)
        digests = digest_rows(pc.list_flatten(own["token_ids"]).to_numpy().astype(np.uint64), sizes)
        rows = np.array([row_of.get(problem, -1) for problem in own["problem_id"].to_pylist()], dtype=np.intp)
        there = rows >= 0
        out[rows[there], own["index"].to_numpy()[there]] = digests[there]
    return out


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


def rank_in_pool(log_likelihood: Array, keys: NDArray[np.uint64], pool: Array, pool_keys: NDArray[np.uint64]) -> Array:
    """Where a model's responses stand among the base model's pool: share of it that is less likely at the base model.

    Responses of equal likelihood count one half, and so does one that is the same as the response itself. The mean over
    fresh samples of the base model is 1/2, whatever the pool's size.

    Args:
        log_likelihood: (P, M), nats under the base model.
        keys: (P, M), equal for equal responses.
        pool, pool_keys: (P, N), the same of the base model's own responses, which are others than those ranked.

    Returns:
        (P, M), in [0, 1].

    >>> pool, keys = np.array([[-1.0, -2.0]]), np.array([[7, 9]])
    >>> rank_in_pool(np.array([[-1.0, -5.0]]), np.array([[7, 8]]), pool, keys).tolist()
    [[0.75, 0.0]]
    """
    out = np.empty(log_likelihood.shape)
    for rows in row_chunks(len(out), log_likelihood.shape[1] * pool.shape[1]):
        own, others = log_likelihood[rows, :, None], pool[rows, None, :]
        same = (own == others) | (keys[rows, :, None] == pool_keys[rows, None, :])
        out[rows] = np.where(same, 0.5, others < own).mean(axis=2)
    return out


def rank_in_own_pool(pool: Array, keys: NDArray[np.uint64]) -> Array:
    """`rank_in_pool` of the base model's own pool, each response among the others: (P, N), whose means are 1/2.

    A response is not held against itself. What beats another is beaten by it the other way round, so that each
    problem's mean is 1/2 exactly, up to the last bit of a sum.

    Raises:
        ValueError: a pool of one response has no others.
    """
    n = pool.shape[1]
    if n < 2:
        raise ValueError("a response is ranked among the others of its pool; one alone has none")
    return np.asarray((n * rank_in_pool(pool, keys, pool, keys) - 0.5) / (n - 1), dtype=np.float64)
