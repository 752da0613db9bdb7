"""Tables of stored responses and grades -> arrays of shape (problems, N)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bon_eval.errors import StoreError
from bon_eval.records import Draw, Pool, Problem
from bon_eval.store import parts


def no_pool(absent: Mapping[str, str]) -> Pool:
    """Of a draw that an imported run does not have: no problems."""
    shape = (0, 1)
    no, none = np.zeros(shape, dtype=np.bool_), np.zeros(shape, dtype=np.int32)
    return Pool((), np.zeros(shape), none, no, no, no, none, absent=absent)


def make_pool(
    directory: Path,
    problems: Sequence[Problem],
    table: pa.Table,
    grades: pa.Table,
    arm: Draw,
    n: int,
    absent: Mapping[str, str],
) -> Pool:
    """One draw's responses to the problems with their grades, (P, n).

    `absent`: as `Pool.absent`.

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
        absent=absent,
    )


def with_tokens(
    directory: Path, sources: Mapping[str, tuple[Sequence[parts.Part], str]], pools: Mapping[Draw, Pool]
) -> dict[Draw, Pool]:
    """The pools, all of the same problems, with numbers of their tokens: name -> (parts, column).

    Each source is read once, a batch at a time into the places of all pools.

    Raises:
        StoreError: a response lacks one of the numbers; the message names all numbers that are lacking.
    """
    if not sources:
        return dict(pools)
    ids = pa.array(next(iter(pools.values())).problem_ids, pa.string())
    places = {draw: _Places.of(pool) for draw, pool in pools.items()}
    found: dict[Draw, dict[str, NDArray[np.float32]]] = {draw: {} for draw in pools}
    lacking: dict[str, str] = {}
    for name, (stored, column) in sources.items():
        there = {draw: np.zeros(len(own.lengths), dtype=np.bool_) for draw, own in places.items()}
        for draw, own in places.items():
            found[draw][name] = np.empty(own.offsets[-1], dtype=np.float32)
        for batch in parts.read_parts(stored, ["problem_id", "arm", "index", column], batch_bytes=parts.BATCH_BYTES):
            for draw, own in places.items():
                rows, cells = _cells(batch, ids, draw, pools[draw].n)
                if not own.fill(found[draw][name], rows[column], cells):
                    raise StoreError(
                        f"the stored token counts of {draw} responses are not those of their {name}; "
                        "restore the parts or run with --fresh"
                    )
                there[draw][cells] = True
        for draw, of_draw in there.items():
            if not of_draw.all():
                problem, index = divmod(int(np.flatnonzero(~of_draw)[0]), pools[draw].n)
                lacking.setdefault(name, f"{draw} response {index} of problem {pools[draw].problem_ids[problem]}")
    if lacking:
        first, *others = lacking
        also = f", and some have no {', '.join(others)}" if others else ""
        raise StoreError(
            f"{directory}: {lacking[first]} has no {first}{also}; run: bon-eval score {directory} --stats "
            f"{','.join(lacking)}"
        )
    return {
        draw: replace(
            pool,
            token_logprobs=found[draw].pop("token_logprobs", None),
            token_offsets=places[draw].offsets,
            token_stats=found[draw],
        )
        for draw, pool in pools.items()
    }


@dataclass(frozen=True, slots=True, eq=False)
class _Places:
    """Where the numbers of each response's tokens lie in one flat array."""

    lengths: NDArray[np.int32]
    """Tokens of each cell, row-major in (P, n)."""
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, pool: Pool) -> _Places:
        lengths = pool.n_tokens.ravel()
        return cls(lengths, np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))))

    def fill(self, flat: NDArray[np.float32], lists: pa.ChunkedArray, cells: NDArray[np.int64]) -> bool:
        """Put the numbers of some responses into their places; False where their counts are others."""
        counts = pc.list_value_length(lists).to_numpy()
        if not np.array_equal(counts, self.lengths[cells]):
            return False
        starts = np.cumsum(counts) - counts
        flat[np.repeat(self.offsets[cells] - starts, counts) + np.arange(counts.sum())] = pc.list_flatten(
            lists
        ).to_numpy()
        return True


def _cells(table: pa.Table, ids: pa.Array, arm: Draw, n: int) -> tuple[pa.Table, NDArray[np.int64]]:
    """Rows of one arm's first n responses, and the cell (row-major in (P, n)) that each belongs to."""
    rows = table.filter(pc.and_(pc.equal(table["arm"], arm), pc.less(table["index"], n)))
    row = pc.index_in(rows["problem_id"], value_set=ids)
    if row.null_count:  # problems that are not complete
        rows, row = rows.filter(row.is_valid()), row.drop_null()
    problem = row.to_numpy().astype(np.int64)
    index = rows["index"].to_numpy().astype(np.int64)
    return rows, problem * n + index
