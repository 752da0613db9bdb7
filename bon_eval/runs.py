"""Reading a stored run: everything below the sampling line replays from here, without the model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bon_eval import parts
from bon_eval.config import digest
from bon_eval.errors import StoreError
from bon_eval.pool import Pool
from bon_eval.records import Arm, Problem, Response
from bon_eval.store import read_meta


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A stored run with its grades, ready to be analysed."""

    path: Path
    meta: dict[str, Any]
    """run.json: config, identity, versions, engine facts, sessions, state."""
    problems: tuple[Problem, ...]
    """In task order, those of a partial run that are not finished included."""
    greedy: Pool
    """N = 1."""
    pool: Pool
    grader: dict[str, str]
    """Name and version of the grader behind the grades."""
    duplicates: NDArray[np.float64]
    """Shape (P,): share of each pool whose text repeats an earlier one of the same pool."""


def stored_parts(path: Path, meta: dict[str, Any]) -> list[parts.Part]:
    """The run's response parts, checked."""
    return parts.list_parts(path / "responses", digest(meta["identity"]))


def load_problems(path: Path) -> tuple[Problem, ...]:
    """The problems of a run in task order."""
    file = path / "problems.parquet"
    try:
        rows = pq.read_table(file, columns=["problem_id", "fields", "gold"]).to_pylist()
    except (pa.ArrowInvalid, OSError) as error:
        raise StoreError(f"{file} is missing or damaged; the run cannot be analysed without it") from error
    return tuple(Problem(r["problem_id"], json.loads(r["fields"]), r["gold"]) for r in rows)


def load_prompts(path: Path) -> dict[str, tuple[int, ...]]:
    """Prompt token ids by problem id."""
    table = pq.read_table(path / "problems.parquet", columns=["problem_id", "prompt_token_ids"])
    return {r["problem_id"]: tuple(r["prompt_token_ids"]) for r in table.to_pylist()}


def iter_responses(path: Path | str) -> Iterator[Response]:
    """Every stored response of a run, one at a time, in the order in which they were stored."""
    directory = Path(path)
    for table in parts.read_parts(stored_parts(directory, read_meta(directory))):
        for row in table.to_pylist():
            yield Response(
                problem_id=row["problem_id"],
                arm=row["arm"],
                index=row["index"],
                text=row["text"],
                token_ids=tuple(row["token_ids"]),
                token_logprobs=tuple(row["token_logprobs"]),
                finish_reason=row["finish_reason"],
            )


def load_run(path: Path | str, *, token_logprobs: bool = False, partial: bool = False) -> Run:
    """Load a run's arrays and grades.

    Args:
        path: the run directory.
        token_logprobs: also load every token's log-prob (4 bytes each), for the scorers that need them.
        partial: analyse the problems that are complete so far; otherwise an unfinished run is an error.

    Raises:
        StoreError: not a run, damaged, unfinished (unless `partial`), or not graded.
    """
    directory = Path(path)
    meta = read_meta(directory)
    problems = load_problems(directory)
    n = int(meta["config"]["n"])
    columns = ["problem_id", "arm", "index", "log_likelihood", "n_tokens", "finish_reason"]
    stored = stored_parts(directory, meta)
    tables = list(parts.read_parts(stored, columns + ["token_logprobs"] * token_logprobs))
    schema = pa.schema([parts.SCHEMA.field(c) for c in columns + ["token_logprobs"] * token_logprobs])
    table = pa.concat_tables([t.replace_schema_metadata(None) for t in tables]) if tables else schema.empty_table()
    complete = _complete(directory, problems, table, n, partial)
    grades = _load_grades(directory)
    pools = {
        arm: _pool(directory, complete, table, grades, arm, 1 if arm == "greedy" else n) for arm in ("greedy", "sample")
    }
    first = grades.slice(0, 1).to_pylist()
    grader = {"name": first[0]["grader"], "version": first[0]["grader_version"]} if first else {}
    duplicates = _duplicates(stored, complete, n)
    return Run(directory, meta, problems, pools["greedy"], pools["sample"], grader, duplicates)


def _complete(
    directory: Path, problems: tuple[Problem, ...], table: pa.Table, n: int, partial: bool
) -> tuple[Problem, ...]:
    counts: dict[str, int] = {}
    for row in table.group_by("problem_id").aggregate([([], "count_all")]).to_pylist():
        counts[row["problem_id"]] = row["count_all"]
    missing = [p.id for p in problems if counts.get(p.id, 0) != n + 1]
    if missing and not partial:
        raise StoreError(
            f"{directory} is unfinished: {len(missing)} of {len(problems)} problems lack responses (first: "
            f"{missing[0]}); run the same `bon-eval run` command to finish it, or analyse what is there with --partial"
        )
    left = set(missing)
    kept = tuple(p for p in problems if p.id not in left)
    if not kept:
        raise StoreError(f"{directory} has no finished problem yet; run the same `bon-eval run` command first")
    return kept


def _duplicates(stored: Sequence[parts.Part], problems: Sequence[Problem], n: int) -> NDArray[np.float64]:
    """Texts are read a row group at a time: a pool always lies within one."""
    distinct: dict[str, int] = {}
    for table in parts.read_parts(stored, ["problem_id", "arm", "text"]):
        pool = table.filter(pc.equal(table["arm"], "sample")).group_by("problem_id")
        for row in pool.aggregate([("text", "count_distinct")]).to_pylist():
            distinct[row["problem_id"]] = row["text_count_distinct"]
    return np.array([1 - distinct[p.id] / n for p in problems], dtype=np.float64)


def _load_grades(directory: Path) -> pa.Table:
    path = directory / "grades.parquet"
    if not path.is_file():
        raise StoreError(f"{directory} has not been graded; run: bon-eval grade {directory}")
    try:
        grades = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise StoreError(f"{path} is damaged; run: bon-eval grade {directory}") from error
    # A grader without a strict format leaves the column empty: that is no verdict on any response.
    if "correct_strict" in grades.column_names and grades["correct_strict"].null_count == grades.num_rows:
        grades = grades.drop_columns("correct_strict")
    return grades


def _cells(table: pa.Table, ids: pa.Array, arm: Arm, n: int) -> tuple[pa.Table, NDArray[np.int64]]:
    """Rows of one arm, and the cell (row-major in (P, n)) that each belongs to."""
    rows = table.filter(pc.equal(table["arm"], arm))
    row = pc.index_in(rows["problem_id"], value_set=ids)
    rows = rows.filter(row.is_valid())
    problem = pc.index_in(rows["problem_id"], value_set=ids).to_numpy().astype(np.int64)
    index = rows["index"].to_numpy().astype(np.int64)
    return rows, problem * n + index


def _pool(directory: Path, problems: Sequence[Problem], table: pa.Table, grades: pa.Table, arm: Arm, n: int) -> Pool:
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

    correct = graded["correct"]
    strict = graded["correct_strict"] if "correct_strict" in graded.column_names else None
    logprobs = offsets = None
    if "token_logprobs" in rows.column_names:
        order = np.argsort(cells)
        lists = rows["token_logprobs"].take(pa.array(order)).combine_chunks()
        lists = lists if isinstance(lists, pa.ListArray) else pa.concat_arrays(lists.chunks)
        logprobs = lists.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
        lengths = lists.value_lengths().to_numpy()
        offsets = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))
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
        unscored_strict=None if strict is None else place(pc.is_null(strict).to_numpy(), graded_cells, np.bool_),
        token_logprobs=logprobs,
        token_offsets=offsets,
    )
