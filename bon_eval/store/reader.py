"""Reading a stored run: everything below the sampling line replays from here, without the model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bon_eval.config import digest, draws, responses_per_problem
from bon_eval.errors import StoreError
from bon_eval.records import Draw, Pool, Problem, Response
from bon_eval.scorers import PluginScorer, Scorer, get_scorer
from bon_eval.store import parts, token_stats
from bon_eval.store.writer import read_meta

_COLUMNS = ["problem_id", "arm", "index", "log_likelihood", "n_tokens", "finish_reason"]
_GRADES = ["problem_id", "arm", "index", "correct", "correct_strict", "answer_class"]
_BYTES = pa.field("n_bytes", pa.int32())
_BATCH_BYTES = 8 << 20
_ROWS = 64


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

    @property
    def draws(self) -> dict[Draw, Pool]:
        """The responses of each draw."""
        return {"greedy": self.greedy, "sample": self.pool}


def stored_parts(path: Path, meta: dict[str, Any]) -> list[parts.Part]:
    """The run's response parts, checked."""
    schema = parts.TOPK_SCHEMA if meta["identity"].get("token_stats") == "topk" else parts.SCHEMA
    return parts.list_parts(path / "responses", digest(meta["identity"]), schema)


def load_problems(path: Path) -> tuple[Problem, ...]:
    """The problems of a run in task order."""
    file = path / "problems.parquet"
    try:
        rows = pq.read_table(file, columns=["problem_id", "fields", "gold"]).to_pylist()
    except (pa.ArrowInvalid, OSError) as error:
        raise StoreError(f"{file} is missing or damaged; the run cannot be analysed without it") from error
    return tuple(Problem(r["problem_id"], json.loads(r["fields"]), r["gold"]) for r in rows)


def iter_responses(path: Path | str) -> Iterator[Response]:
    """Every stored response of a run, one at a time, in the order in which they were stored."""
    directory = Path(path)
    tables = parts.read_parts(stored_parts(directory, read_meta(directory)))
    # A few at a time: as Python objects they take ten times the memory.
    for batch in (batch for table in tables for batch in table.to_batches(max_chunksize=_ROWS)):
        for row in batch.to_pylist():
            yield Response(
                problem_id=row["problem_id"],
                arm=row["arm"],
                index=row["index"],
                text=row["text"],
                token_ids=tuple(row["token_ids"]),
                token_logprobs=tuple(row["token_logprobs"]),
                finish_reason=row["finish_reason"],
                token_topk=tuple(row["token_topk"]) if "token_topk" in row else None,
            )


def load_run(
    path: Path | str, *, token_logprobs: bool = False, partial: bool = False, scorers: Sequence[str] = ()
) -> Run:
    """Load a run's arrays and grades.

    Args:
        path: the run directory.
        token_logprobs: also load every token's log-prob (4 bytes each), for the scorers that need them.
        partial: analyse the problems that are complete so far; otherwise an unfinished run is an error.
        scorers: names of scorers (see `bon_eval.scorers.get_scorer`) whose needs are loaded too: token log-probs,
            statistics of each token, the scores of a user's own functions.

    Raises:
        StoreError: not a run, damaged, unfinished (unless `partial`), not graded, or without what a scorer needs.
        ConfigError: an unknown scorer.
    """
    wanted = [get_scorer(name) for name in scorers]
    directory = Path(path)
    meta = read_meta(directory)
    problems = load_problems(directory)
    stored = stored_parts(directory, meta)
    tables: list[pa.Table] = []
    distinct: dict[str, int] = {}
    # One pass: opening the row groups costs more than reading them, and no text is kept.
    for batch in parts.read_parts(stored, [*_COLUMNS, "text"], batch_bytes=_BATCH_BYTES):
        distinct |= _distinct_texts(batch)
        sizes = pc.binary_length(batch["text"])
        tables.append(batch.select(_COLUMNS).append_column(_BYTES, sizes).replace_schema_metadata(None))
    schema = pa.schema([*(parts.SCHEMA.field(name) for name in _COLUMNS), _BYTES])
    table = pa.concat_tables(tables) if tables else schema.empty_table()
    complete = _complete(directory, problems, table, responses_per_problem(meta["config"]), partial)
    grades, grader = _load_grades(directory)
    pools: dict[Draw, Pool] = {
        arm: _pool(directory, complete, table, grades, arm, n) for arm, n in draws(meta["config"]).items()
    }
    tokens: dict[str, tuple[Sequence[parts.Part], str]] = {}
    if token_logprobs or any(scorer.needs_tokens for scorer in wanted):
        tokens["token_logprobs"] = stored, "token_logprobs"
    for stat in dict.fromkeys(stat for scorer in wanted for stat in scorer.stats):
        tokens[stat] = token_stats.source(directory, meta, stat)
    pools = {arm: _with_tokens(directory, tokens, pool, arm) for arm, pool in pools.items()}
    own = [scorer for scorer in wanted if isinstance(scorer, PluginScorer)]
    if own:
        pools = _with_plugin_scores(directory, own, pools)
    greedy, pool = pools["greedy"], pools["sample"]
    duplicates = np.array([1 - distinct[p.id] / pool.n for p in complete], dtype=np.float64)
    del table, tables, grades
    pa.default_memory_pool().release_unused()  # else the C library keeps what the batches took
    return Run(directory, meta, problems, greedy, pool, grader, duplicates)


def _complete(
    directory: Path, problems: tuple[Problem, ...], table: pa.Table, per_problem: int, partial: bool
) -> tuple[Problem, ...]:
    counts: dict[str, int] = {}
    for row in table.group_by("problem_id").aggregate([([], "count_all")]).to_pylist():
        counts[row["problem_id"]] = row["count_all"]
    missing = [p.id for p in problems if counts.get(p.id, 0) != per_problem]
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


def _distinct_texts(table: pa.Table) -> dict[str, int]:
    """Different texts of each pool in the table, by problem: a pool always lies within one row group."""
    pools = table.filter(pc.equal(table["arm"], "sample")).combine_chunks()
    if not pools.num_rows:
        return {}
    # Numbered and counted by hand: Arrow's own count of distinct strings takes many times their memory.
    problems, texts = (pools[name].combine_chunks().dictionary_encode() for name in ("problem_id", "text"))
    pairs = problems.indices.to_numpy().astype(np.int64) * len(texts.dictionary) + texts.indices.to_numpy()
    of_problem, counts = np.unique(np.unique(pairs) // len(texts.dictionary), return_counts=True)
    return dict(zip(problems.dictionary.take(pa.array(of_problem)).to_pylist(), counts.tolist(), strict=True))


def _load_grades(directory: Path) -> tuple[pa.Table, dict[str, str]]:
    """What the pools need of the grades, and the grader's name and version."""
    path = directory / "grades.parquet"
    if not path.is_file():
        raise StoreError(f"{directory} has not been graded; run: bon-eval grade {directory}")
    try:
        with pq.ParquetFile(path) as file:
            wanted = [name for name in _GRADES if name in file.schema_arrow.names]
            grades = file.read(columns=wanted)
            first = next(file.iter_batches(batch_size=1, columns=["grader", "grader_version"]), None)
    except (pa.ArrowInvalid, OSError) as error:
        raise StoreError(f"{path} is damaged; run: bon-eval grade {directory}") from error
    # A grader without a strict format leaves the column empty: that is no verdict on any response.
    if "correct_strict" in wanted and grades["correct_strict"].null_count == grades.num_rows:
        grades = grades.drop_columns("correct_strict")
    rows = [] if first is None else first.to_pylist()
    return grades, {"name": rows[0]["grader"], "version": rows[0]["grader_version"]} if rows else {}


def _with_tokens(
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
        for batch in parts.read_parts(stored, ["problem_id", "arm", "index", column], batch_bytes=_BATCH_BYTES):
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


def _with_plugin_scores(directory: Path, own: Sequence[Scorer], pools: Mapping[Draw, Pool]) -> dict[Draw, Pool]:
    """The pools with the scores of functions that read whole responses, one response at a time."""
    scores = {arm: {scorer.name: np.zeros(p.n_tokens.shape) for scorer in own} for arm, p in pools.items()}
    row_of = {problem: row for row, problem in enumerate(pools["sample"].problem_ids)}
    for response in iter_responses(directory):
        row = row_of.get(response.problem_id)
        if row is not None:
            for scorer in own:
                scores[response.arm][scorer.name][row, response.index] = scorer(response)
    return {arm: replace(pool, plugin_scores=scores[arm]) for arm, pool in pools.items()}


def _cells(table: pa.Table, ids: pa.Array, arm: Draw, n: int) -> tuple[pa.Table, NDArray[np.int64]]:
    """Rows of one arm, and the cell (row-major in (P, n)) that each belongs to."""
    rows = table.filter(pc.equal(table["arm"], arm))
    row = pc.index_in(rows["problem_id"], value_set=ids)
    if row.null_count:  # problems that are not complete
        rows, row = rows.filter(row.is_valid()), row.drop_null()
    problem = row.to_numpy().astype(np.int64)
    index = rows["index"].to_numpy().astype(np.int64)
    return rows, problem * n + index


def _pool(directory: Path, problems: Sequence[Problem], table: pa.Table, grades: pa.Table, arm: Draw, n: int) -> Pool:
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
        unscored_strict=None if strict is None else place(pc.is_null(strict).to_numpy(), graded_cells, np.bool_),
    )
