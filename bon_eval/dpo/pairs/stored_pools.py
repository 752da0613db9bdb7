"""The pool of a stored run as candidates for pairs, without the model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bon_eval.dpo.pairs.candidates import Candidate
from bon_eval.errors import ConfigError
from bon_eval.graders import get_grader
from bon_eval.graders.workers.own_file import is_file_name
from bon_eval.store.prompts import check_token_ids
from bon_eval.store.reader import Run, stored_tables

_COLUMNS = ("problem_id", "arm", "index", "text", "token_ids")

Numbers = Mapping[tuple[str, int], Fraction]
"""(problem, index within the pool) -> the number that the response answers; others have none."""


def stored_candidates(
    run: Run, *, token_ids: bool = True, numbers: Numbers | None = None
) -> Iterator[tuple[str, tuple[Candidate, ...]]]:
    """(problem, its pool) one at a time in stored order: held are one row group's texts, and those of pools that have
    grown until their last ones come.

    Args:
        run: as `load_run` gives it.
        token_ids: False leaves them out: they are not the trained model's.
        numbers: as `answer_numbers` gives them.

    Raises:
        StoreError: token ids are wanted, and the run has none.
    """
    pool = run.pool
    begun: dict[str, dict[int, tuple[str, tuple[int, ...]]]] = {}
    shares = vote_shares(pool.answer_class)
    row_of = {problem: row for row, problem in enumerate(pool.problem_ids)}
    numbers = numbers or {}
    for table in stored_tables(run.path, run.meta, _COLUMNS):
        sampled = table.filter(pc.equal(table["arm"], "sample"))
        for problem in sampled["problem_id"].unique().to_pylist():
            found = begun.setdefault(problem, {})
            found |= _texts(sampled.filter(pc.equal(sampled["problem_id"], problem)))
            if len(found) < pool.n:
                continue
            texts = [text for _, text in sorted(begun.pop(problem).items())]
            if token_ids:
                check_token_ids(run.path, problem, [ids for _, ids in texts])
            row = row_of[problem]
            candidates = tuple(
                Candidate(
                    index=i,
                    text=text,
                    token_ids=ids if token_ids else None,
                    log_likelihood=float(pool.log_likelihood[row, i]),
                    correct=bool(pool.correct[row, i]),
                    unscored=bool(pool.unscored[row, i]),
                    vote_share=float(shares[row, i]),
                    truncated=bool(pool.truncated[row, i]),
                    number=numbers.get((problem, i)),
                )
                for i, (text, ids) in enumerate(texts)
            )
            yield problem, candidates


def vote_shares(answer_class: NDArray[np.int32]) -> NDArray[np.float64]:
    """Share of each pool that has the response's answer; shape (P, N) as `answer_class`, whose -1 (none) gets 0.

    >>> vote_shares(np.array([[0, 1, 0, -1]], dtype=np.int32)).tolist()
    [[0.5, 0.25, 0.5, 0.0]]
    """
    shares = np.zeros(answer_class.shape, dtype=np.float64)
    for row, classes in enumerate(answer_class):
        _, number, counts = np.unique(classes, return_inverse=True, return_counts=True)
        shares[row] = np.where(classes < 0, 0, counts[number]) / len(classes)
    return shares


def right_numbers(run: Run) -> dict[str, Fraction]:
    """The number that each problem's right answer is, as the grader of the run's grades reads it.

    Raises:
        ConfigError: it is none on any problem.
    """
    if is_file_name(run.grader["name"]):
        raise ConfigError(
            f"the order by distance is of numbers, and grader {run.grader['name']} is a function of a file, which "
            "tells none; order by votes, likelihood or random"
        )
    grader = get_grader(run.grader["name"])
    found = {p.id: grader.number(grader.gold(p.gold)) for p in run.problems}
    numbers = {problem: number for problem, number in found.items() if number is not None}
    if not numbers:
        raise ConfigError(
            f"the order by distance is of numbers, and no right answer of {run.path} (task "
            f"{run.meta['config']['task']}, grader {grader.name}) is one; order by votes, likelihood or random"
        )
    return numbers


def answer_numbers(run: Run) -> Numbers:
    """The numbers that the pool's answers state, as the grader of the run's grades reads them."""
    grader = get_grader(run.grader["name"])
    table = pq.read_table(run.path / "grades.parquet", columns=["problem_id", "arm", "index", "answer"])
    table = table.filter(pc.and_(pc.equal(table["arm"], "sample"), pc.is_valid(table["answer"])))
    number_of = {answer: grader.number(answer) for answer in table["answer"].unique().to_pylist()}
    rows = zip(*(table[name].to_pylist() for name in ("problem_id", "index", "answer")), strict=True)
    return {(problem, i): n for problem, i, answer in rows if (n := number_of[answer]) is not None}


def usual_end(run: Run) -> int | None:
    """The end token with which most of a run's responses end; None where none ends with one.

    Others were cut, or ended by a stop string.
    """
    ends = sorted(run.meta["config"].get("stop_token_ids") or ())
    counts: Counter[int] = Counter()
    for table in stored_tables(run.path, run.meta, _COLUMNS):
        sizes = pc.list_value_length(table["token_ids"]).to_numpy().astype(np.int64)
        last = pc.list_flatten(table["token_ids"]).to_numpy()[np.cumsum(sizes)[sizes > 0] - 1]
        counts.update({end: int((last == end).sum()) for end in ends})
    most = max(ends, key=lambda end: counts[end], default=None)
    return most if most is not None and counts[most] else None


def _texts(table: pa.Table) -> dict[int, tuple[str, tuple[int, ...]]]:
    """Text and token ids of one pool's responses by index."""
    texts = zip(table["text"].to_pylist(), map(tuple, table["token_ids"].to_pylist()), strict=True)
    return dict(zip(table["index"].to_pylist(), texts, strict=True))
