"""Tables of stored responses and grades -> arrays of shape (problems, N)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bon_eval.errors import StoreError
from bon_eval.records import Draw, Pool, Problem
from bon_eval.store import parts


def make_pool(
    directory: Path, problems: Sequence[Problem], table: pa.Table, grades: pa.Table, arm: Draw, n: int
) -> Pool:
    """One draw's responses to the problems with their grades, (P, n).

    Raises:
        StoreError: responses or grades do not cover the problems; the message names what is missing.
    """
    ids = pa.array([p.id for p in problems], pa.string())
    shape = (len(problems), n)
    rows, cells = _cells(table, ids, arm, n)
    graded, graded_cells = _cells(grades, ids, arm, n)
    for name, found in (("responses", cells), ("grades", graded_cells)):
        if not np.array_equal(np.sort(found), np.arange(shape[0] * n)):
            lacking = np.setdiff1d(np.arange(shape[0] * n), found)
            which = (
                f"problem {problems[int(lacking[0]) // n].id}, {arm} {int(lacking[0]) % n} is missing"
                if len(lacking)
                else "some twice"
            )
            remedy = f"run: bon-eval grade {directory}" if name == "grades" else "restore the parts or run with --fresh"
            raise StoreError(f"{directory}: {name} do not cover the run ({which}); {remedy}")

    def place(values: NDArray[Any], at: NDArray[np.int64], dtype: type) -> NDArray[Any]:
        out: NDArray[Any] = np.empty(shape[0] * n, dtype=dtype)
        out[at] = values
        return out.reshape(shape)

    def chars(name: str) -> NDArray[np.int32] | None:
        if name not in graded.column_names:
            return None
        return place(pc.fill_null(graded[name], -1).to_numpy(), graded_cells, np.int32)

    def inside() -> NDArray[np.bool_] | None:
        if "special_inside" not in graded.column_names or graded["special_inside"].null_count == graded.num_rows:
            return None
        return place(pc.fill_null(graded["special_inside"], False).to_numpy(), graded_cells, np.bool_)

    correct = graded["correct"]
    strict = graded["correct_strict"] if "correct_strict" in graded.column_names else None
    return Pool(
        problem_ids=tuple(p.id for p in problems),
        log_likelihood=place(rows["log_likelihood"].to_numpy(), cells, np.float64),
        n_tokens=place(rows["n_tokens"].to_numpy(), cells, np.int32),
        truncated=place(pc.equal(rows["finish_reason"], "length").to_numpy(), cells, np.bool_),
        correct=place(pc.fill_null(correct, False).to_numpy(), graded_cells, np.bool_),
        unscored=place(pc.is_null(correct).to_numpy(), graded_cells, np.bool_),
        answer_class=place(graded["answer_class"].to_numpy(), graded_cells, np.int32),
        correct_strict=None
        if strict is None
        else place(pc.fill_null(strict, False).to_numpy(), graded_cells, np.bool_),
        n_bytes=place(rows["n_bytes"].to_numpy(), cells, np.int32),
        reasoning_chars=chars("reasoning_chars"),
        answer_chars=chars("answer_chars"),
        special_inside=inside(),
        unscored_strict=None if strict is None else place(pc.is_null(strict).to_numpy(), graded_cells, np.bool_),
    )


def with_tokens(
    directory: Path, sources: Mapping[str, tuple[Sequence[parts.Part], str]], pool: Pool, arm: Draw
) -> Pool:
    """The pool with numbers of its tokens: name -> (parts, column), read a batch at a time into their places."""
    if not sources:
        return pool
    ids = pa.array(pool.problem_ids, pa.string())
    lengths = pool.n_tokens.ravel()
    offsets = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))
    found: dict[str, NDArray[np.float32]] = {}
    for name, (stored, column) in sources.items():
        flat = found[name] = np.empty(offsets[-1], dtype=np.float32)
        there = np.zeros(len(lengths), dtype=np.bool_)
        for batch in parts.read_parts(stored, ["problem_id", "arm", "index", column], batch_bytes=parts.BATCH_BYTES):
            rows, cells = _cells(batch, ids, arm, pool.n)
            counts = pc.list_value_length(rows[column]).to_numpy()
            if not np.array_equal(counts, lengths[cells]):
                raise StoreError(
                    f"the stored token counts of {arm} responses are not those of their {name}; "
                    "restore the parts or run with --fresh"
                )
            starts = np.cumsum(counts) - counts
            places = np.repeat(offsets[cells] - starts, counts) + np.arange(counts.sum())
            flat[places] = pc.list_flatten(rows[column]).to_numpy()
            there[cells] = True
        if not there.all():
            problem, index = divmod(int(np.flatnonzero(~there)[0]), pool.n)
            raise StoreError(
                f"{directory}: {arm} response {index} of problem {pool.problem_ids[problem]} has no {name}; "
                f"run: bon-eval score {directory} --stats {name}"
            )
    statistics = {name: flat for name, flat in found.items() if name != "token_logprobs"}
    own = found.get("token_logprobs")
    return replace(pool, token_logprobs=own, token_offsets=offsets, token_stats=statistics)


def _cells(table: pa.Table, ids: pa.Array, arm: Draw, n: int) -> tuple[pa.Table, NDArray[np.int64]]:
    """Rows of one arm's first n responses, and the cell (row-major in (P, n)) that each belongs to."""
    rows = table.filter(pc.and_(pc.equal(table["arm"], arm), pc.less(table["index"], n)))
    row = pc.index_in(rows["problem_id"], value_set=ids)
    if row.null_count:  # problems that are not complete
        rows, row = rows.filter(row.is_valid()), row.drop_null()
    problem = row.to_numpy().astype(np.int64)
    index = rows["index"].to_numpy().astype(np.int64)
    return rows, problem * n + index
