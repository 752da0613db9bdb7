"""Reading a stored run: everything below the sampling line replays from here, without the model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bon_eval.config import digest
from bon_eval.errors import StoreError
from bon_eval.records import Draw, Pool, Problem, Response
from bon_eval.scorers import PluginScorer, Scorer, get_scorer
from bon_eval.store import parts, token_stats
from bon_eval.store.extent import Extent, problem_rows
from bon_eval.store.imported.source import absent, check_there, responses_directory
from bon_eval.store.pools import make_pool, no_pool, with_tokens
from bon_eval.store.same_as_greedy import Texts, same_as_greedy, token_digests
from bon_eval.store.writer import read_meta

if TYPE_CHECKING:
    import pandas as pd

    from bon_eval.store.frames import Table

_COLUMNS = ["problem_id", "arm", "index", "log_likelihood", "n_tokens", "finish_reason"]
_GRADES = [
    *("problem_id", "arm", "index", "correct", "correct_strict", "answer_class"),
    *("reasoning_chars", "answer_chars", "special_inside"),  # not in the grades of older versions
]
_BYTES = pa.field("n_bytes", pa.int32())
_ROWS = 64


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Run:
    """A stored run with its grades, ready to be analysed."""

    path: Path
    meta: dict[str, Any]
    """run.json: config, identity, versions, engine facts, sessions, state."""
    problems: tuple[Problem, ...]
    """In task order, those of a partial run that are not finished included."""
    greedy: Pool
    """N = 1; of no problems in an imported run without greedy responses."""
    pool: Pool
    grader: dict[str, str]
    """Name and version of the grader behind the grades."""
    duplicates: NDArray[np.float64]
    """Shape (P,): share of each pool whose text repeats an earlier one of the same pool."""
    others: Mapping[Draw, Pool] = field(default_factory=dict)
    """The responses of the other draws, by name, rows in the order of `pool`."""
    other_duplicates: Mapping[Draw, NDArray[np.float64]] = field(default_factory=dict)
    """As `duplicates`, of the other draws."""

    def __repr__(self) -> str:
        """One line: model, task, sizes and directory."""
        config = self.meta["config"]
        model = config["model"] if not config.get("adapter") else f"{config['model']} + {config['adapter']}"
        done, n = len(self.pool.problem_ids), self.pool.n
        of = f" of {len(self.problems):,}" if done < len(self.problems) else ""
        return f"<Run {model} on {config['task']}: {done:,}{of} problems x {n:,} samples, {self.path}>"

    @property
    def draws(self) -> dict[Draw, Pool]:
        """The responses of each draw."""
        return ({"greedy": self.greedy} if self.greedy.problem_ids else {}) | {"sample": self.pool, **self.others}

    def to_pandas(self, table: Table = "responses") -> pd.DataFrame:
        """The run as a tidy frame: rows in task order, of responses draw by draw.

        Args:
            table: ``responses``: a row for each response of the finished problems, with ``problem_id``, ``arm``,
                ``index``, ``log_likelihood`` (nats), ``n_tokens``, ``truncated``, ``correct`` (<NA>: unscored),
                ``answer_class`` (-1: no answer), ``correct_strict``, ``reasoning_chars`` (-1: no reasoning),
                ``answer_chars`` (-1: reasoning not finished) and ``n_bytes`` where they are known, and ``score.NAME``
                for each scorer of one's own that was loaded. ``problems``: a row for each problem, with
                ``problem_id``, ``gold``, ``finished``, ``fields.NAME`` for each column of the task, and for each draw
                ``accuracy.DRAW``, ``log_likelihood.DRAW``, ``n_tokens.DRAW``, ``truncated.DRAW`` and ``unscored.DRAW``
                (means over its responses), of draws of several ``best_of_n.DRAW`` (by log-likelihood), ``vote.DRAW``
                and ``oracle.DRAW`` (of all of them); NaN where the problem is not finished, or where an imported run
                does not have what it needs, as <NA> in ``responses``.

        Raises:
            ConfigError: another table.
        """
        from bon_eval.store.frames import frame  # pandas takes as long to import as all the rest

        return frame(self.problems, self.draws, table)


def stored_parts(path: Path, meta: dict[str, Any]) -> list[parts.Part]:
    """The run's response parts, checked."""
    schema = parts.TOPK_SCHEMA if meta["identity"].get("token_stats") == "topk" else parts.SCHEMA
    return parts.list_parts(responses_directory(path, meta), digest(meta["identity"]), schema)


def stored_problems(path: Path) -> tuple[Problem, ...]:
    """The problems of a run's extent in task order."""
    rows = problem_rows(path, ["problem_id", "fields", "gold"]).to_pylist()
    return tuple(Problem(r["problem_id"], json.loads(r["fields"]), r["gold"]) for r in rows)


def stored_tables(
    path: Path, meta: dict[str, Any], columns: Sequence[str] | None = None, *, batch_bytes: int = 0
) -> Iterator[pa.Table]:
    """The responses of the run's extent in stored order, some row groups at a time; a pool may lie in several.

    `columns`: those of `KEY` among them; None reads all. `batch_bytes`: as of `parts.read_parts`.
    """
    tables = parts.read_parts(stored_parts(path, meta), columns, batch_bytes=batch_bytes)
    return Extent.of(path, meta["config"]).take(tables)


def response_keys(path: Path, problem_ids: Sequence[str], draw: Draw, n: int) -> NDArray[np.uint64]:
    """A number for each response of a draw, (P, n), that equal responses share; see `token_digests`.

    `problem_ids`: P ids, the order of the rows.
    """
    columns = ("problem_id", "arm", "index", "token_ids")
    tables = stored_tables(path, read_meta(path), columns, batch_bytes=parts.BATCH_BYTES)
    return token_digests(tables, problem_ids, draw, n)


def iter_responses(path: Path | str) -> Iterator[Response]:
    """Every response of a run's extent, one at a time, in the order in which they were stored."""
    directory = Path(path)
    meta = read_meta(directory)
    tables, stated = stored_tables(directory, meta), "token_logprobs" in absent(meta)
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
                stated=(row["log_likelihood"], row["n_tokens"]) if stated else None,
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
    lacking = absent(meta)
    for scorer in wanted:
        needs = {*scorer.reads, *scorer.needs, *(("token_ids",) if scorer.stats else ())}
        check_there(directory, meta, sorted(needs), f"scorer {scorer.name!r}")
    problems = stored_problems(directory)
    stored = stored_parts(directory, meta)
    extent = Extent.of(directory, meta["config"])
    tables: list[pa.Table] = []
    texts = Texts(extent.draws)
    # One pass: opening the row groups costs more than reading them, and no text is kept.
    for batch in parts.read_parts(stored, [*_COLUMNS, "text"], batch_bytes=parts.BATCH_BYTES):
        texts.add(batch, extent.mask(batch))
        sizes = pc.binary_length(batch["text"])
        tables.append(batch.select(_COLUMNS).append_column(_BYTES, sizes).replace_schema_metadata(None))
    schema = pa.schema([*(parts.SCHEMA.field(name) for name in _COLUMNS), _BYTES])
    table = pa.concat_tables(tables) if tables else schema.empty_table()
    inside = table.filter(pa.array(extent.mask(table)))
    complete = _complete(directory, problems, inside, sum(extent.draws.values()), partial)
    grades, grader = _load_grades(directory)
    pools: dict[Draw, Pool] = {
        arm: make_pool(directory, complete, table, grades, arm, n, lacking) for arm, n in extent.draws.items()
    }
    if "greedy" in pools:
        same, told_by = same_as_greedy(stored, table, texts, pools["sample"].problem_ids, pools["sample"].n)
        pools["sample"] = replace(pools["sample"], same_as_greedy=same, same_told_by=told_by)
    tokens: dict[str, tuple[Sequence[parts.Part], str]] = {}
    if token_logprobs or any(scorer.needs_tokens for scorer in wanted):
        tokens["token_logprobs"] = stored, "token_logprobs"
    for stat in dict.fromkeys(stat for scorer in wanted for stat in scorer.stats):
        tokens[stat] = token_stats.source(directory, meta, stat)
    pools = with_tokens(directory, tokens, pools)
    own = [scorer for scorer in wanted if isinstance(scorer, PluginScorer)]
    if own:
        pools = _with_plugin_scores(directory, own, pools)
    duplicates = {
        draw: np.array([1 - texts.distinct(p.id, draw) / pool.n for p in complete], dtype=np.float64)
        for draw, pool in pools.items()
    }
    greedy, pool, same_text = pools.pop("greedy", no_pool(lacking)), pools.pop("sample"), duplicates.pop("sample")
    duplicates.pop("greedy", None)
    del table, tables, grades
    pa.default_memory_pool().release_unused()  # else the C library keeps what the batches took
    return Run(directory, meta, problems, greedy, pool, grader, same_text, pools, duplicates)


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
        raise StoreError(
            f"{directory} has no finished problem yet; run the same `bon-eval run` command first, or where the run was "
            "growing the command before it, which analyses what was there"
        )
    return kept


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
