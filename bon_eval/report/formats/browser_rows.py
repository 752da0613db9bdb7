"""The rows of the problem browser: which responses have one, and what is read of them from a stored run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bon_eval.analysis.results import Analysis, ProblemRow
from bon_eval.draws import GREEDY, SAMPLE
from bon_eval.errors import StoreError
from bon_eval.estimators import chosen_index
from bon_eval.records import Draw
from bon_eval.scorers import get_scorer
from bon_eval.store import parts
from bon_eval.store.reader import Run, stored_tables

_GRADE_ROWS = 8_192

Key = tuple[Draw, int]
"""The draw and index of a response."""
FIRST: Key = (GREEDY, 0)
"""The greedy response."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A text as the page has it."""

    text: str
    """Its start."""
    more: int
    """Characters that are cut."""

    @classmethod
    def of(cls, text: str, most_chars: int) -> Shown:
        """The first characters of a text."""
        return cls(text[:most_chars], max(0, len(text) - most_chars))


@dataclass(frozen=True, slots=True)
class ShownResponse:
    """What the page shows of a response beside its grade."""

    text: Shown
    reasoning: Shown | None
    """What was cut away before grading; None: nothing."""
    finish: str
    log_likelihood: float
    n_tokens: int


@dataclass(slots=True)
class Entry:
    """One problem while it is filled; the lists have a place for each row of the browser."""

    row: ProblemRow
    picks: Mapping[Draw, int]
    """Of the pool and of each other draw, the index that best-of-n by the primary scorer picks of all responses."""
    kept: list[Key]
    """Responses that have a row: greedy's, the pool's pick, the other picks, and the others as far as there is room."""
    place: dict[Key, int]
    """Response -> its place in the lists."""
    answers: list[str | None]
    correct: list[int | None]
    """1, 0, and -1 for an unscored response; None until its grade is read."""
    reasons: list[str]
    thought: list[int]
    """Characters of each response that no grader read: its reasoning."""
    responses: dict[Key, ShownResponse] = field(default_factory=dict)

    @classmethod
    def of(cls, row: ProblemRow, picks: Mapping[Draw, int], kept: list[Key]) -> Entry:
        """A problem before anything is read."""
        size = len(kept)
        place = {key: k for k, key in enumerate(kept)}
        return cls(row, picks, kept, place, [None] * size, [None] * size, [""] * size, [0] * size)


def entries(run: Run, analysis: Analysis, most_responses: int) -> dict[str, Entry]:
    """The problems of an analysis by id, with the rows that each has: `most_responses` in all, shared equally.

    Greedy and the pool's pick always have one. After the picks of the other draws come the first responses of every
    draw, then the second ones, and so on.
    """
    drawn = {SAMPLE: run.pool, **run.others}
    scorer = get_scorer(analysis.settings.primary_scorer, seed=analysis.settings.seed)
    best = {draw: chosen_index(scorer.over(pool)) for draw, pool in drawn.items()}
    at = {problem: row for row, problem in enumerate(run.pool.problem_ids)}
    most = max(2, most_responses // max(1, len(analysis.problems)))
    in_turn = [
        (draw, index)
        for index in range(max(pool.n for pool in drawn.values()))
        for draw, pool in drawn.items()
        if index < pool.n
    ]
    found = {}
    for row in analysis.problems:
        picks = {draw: int(of_draw[at[row.problem_id]]) for draw, of_draw in best.items()}
        kept = list(dict.fromkeys(chain([FIRST], picks.items(), in_turn)))[:most]
        found[row.problem_id] = Entry.of(row, picks, kept)
    return found


def read_grades(run: Run, of_problem: Mapping[str, Entry]) -> None:
    """Fill in the grades.

    Raises:
        StoreError: they are damaged, or those of other responses.
    """
    path = run.path / "grades.parquet"
    columns = ["problem_id", "arm", "index", "correct", "answer", "reason"]
    columns += [] if run.pool.reasoning_chars is None else ["reasoning_chars"]
    known: dict[str, str] = {}  # one object for each reason, not one for each row
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_GRADE_ROWS, columns=columns):
                for entry, key, row in _wanted(batch, of_problem):
                    k = entry.place[key]
                    entry.correct[k] = -1 if row["correct"] is None else int(row["correct"])
                    entry.answers[k] = row["answer"]
                    entry.thought[k] = row.get("reasoning_chars") or 0
                    entry.reasons[k] = known.setdefault(row["reason"][:200], row["reason"][:200])
    except (pa.ArrowInvalid, OSError) as error:
        raise StoreError(f"{path} is damaged; run: bon-eval grade {run.path}") from error
    for problem, entry in of_problem.items():
        if None in entry.correct:
            raise StoreError(f"{run.path}: problem {problem} lacks grades; run: bon-eval grade {run.path}")


def filled(run: Run, of_problem: Mapping[str, Entry], most_chars: int) -> Iterator[Entry]:
    """Each problem once its responses are read; those are dropped afterwards."""
    columns = ["problem_id", "arm", "index", "text", "finish_reason", "log_likelihood", "n_tokens"]
    for table in stored_tables(run.path, run.meta, columns, batch_bytes=parts.BATCH_BYTES):
        for entry, key, row in _wanted(table, of_problem):
            text, thought = row["text"], entry.thought[entry.place[key]]
            entry.responses[key] = ShownResponse(
                Shown.of(text[thought:], most_chars),
                Shown.of(text[:thought], most_chars) if thought else None,
                row["finish_reason"],
                row["log_likelihood"],
                row["n_tokens"],
            )
            if len(entry.responses) == len(entry.kept):
                yield entry
                entry.responses.clear()


def _wanted(
    table: pa.Table | pa.RecordBatch, of_problem: Mapping[str, Entry]
) -> Iterator[tuple[Entry, Key, dict[str, Any]]]:
    """The rows that have a place in the browser, each with its entry and key."""
    names = ("problem_id", "arm", "index")
    keys: Sequence[list[Any]] = [table.column(name).to_pylist() for name in names]
    chosen: list[int] = []
    found: list[tuple[Entry, Key]] = []
    for position, (problem, draw, index) in enumerate(zip(*keys, strict=True)):
        entry = of_problem.get(problem)
        if entry is not None and (draw, index) in entry.place:
            chosen.append(position)
            found.append((entry, (draw, index)))
    rows = table.take(pa.array(chosen, pa.int64())).to_pylist()
    yield from ((entry, key, row) for (entry, key), row in zip(found, rows, strict=True))
