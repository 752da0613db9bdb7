"""What the problem browser of report.html shows: columns of numbers, and texts within a budget.

Texts and grades are read a row group at a time; what does not fit the budget stays in the Parquet files, and the data
say how much that is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bon_eval import parts
from bon_eval.errors import StoreError
from bon_eval.estimators import chosen_index
from bon_eval.findings import Analysis, ProblemRow
from bon_eval.runs import Run, stored_parts
from bon_eval.scorers import get_scorer

_BATCH_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Budget:
    """How much of a run a page holds."""

    text_bytes: int = 14_000_000
    """Of all texts together, as UTF-8 in JSON; shared equally by the problems."""
    text_chars: int = 4_000
    """Of one text; the rest is cut, and the page says how much."""
    responses: int = 70_000
    """Rows of the browser, shared equally by the problems; greedy and the best-of-N pick always have one."""


@dataclass(slots=True)
class _Entry:
    """One problem while it is filled."""

    row: ProblemRow
    best: int
    kept: list[int]
    """Pool indexes that have a row; -1 is greedy."""
    column: dict[int, int] = field(default_factory=dict)
    texts: dict[int, tuple[str, int]] = field(default_factory=dict)
    """The start of each text, and how many characters more it has."""
    answers: dict[int, str | None] = field(default_factory=dict)
    correct: dict[int, int] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)
    finish: dict[int, str] = field(default_factory=dict)
    numbers: dict[int, tuple[float, int]] = field(default_factory=dict)


def browser_data(run: Run, analysis: Analysis, budget: Budget | None = None) -> dict[str, object]:
    """The JSON-ready content of the browser.

    Args:
        run: the stored run.
        analysis: of that run; its problems are shown, in their order.
        budget: how much to hold.

    Raises:
        StoreError: a part is damaged, or the grades are of other responses.
    """
    limits = budget or Budget()
    entries = {entry.row.problem_id: entry for entry in _entries(run, analysis, limits)}
    _read_responses(run, entries, limits.text_chars)
    _read_grades(run, entries)
    fields = {problem.id: problem.fields for problem in run.problems}
    reasons: dict[str, int] = {}
    scorer = analysis.settings.primary_scorer
    share = limits.text_bytes // max(1, len(entries))
    problems, left_out, cut = [], 0, 0
    for entry in entries.values():
        own = fields[entry.row.problem_id]
        packed, missing, shortened = _pack(entry, scorer, own, reasons, share, limits.text_chars)
        problems.append(packed)
        left_out += missing
        cut += shortened
    total = len(entries) * (analysis.pool_size + 1)
    return {
        "n": analysis.pool_size,
        "scorer": scorer,
        "reasons": list(reasons),
        "responses": total,
        "rows": sum(len(entry.kept) for entry in entries.values()),
        "texts_left_out": left_out,
        "texts_cut": cut,
        "text_chars": limits.text_chars,
        "problems": problems,
    }


def as_json(content: object) -> str:
    """JSON that is inert inside a script element: no <, > or & and no line separators, lone surrogates replaced."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    text = text.encode("utf-8", "replace").decode("utf-8")
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _entries(run: Run, analysis: Analysis, limits: Budget) -> Iterator[_Entry]:
    name, n = analysis.settings.primary_scorer, analysis.pool_size
    best = chosen_index(get_scorer(name, seed=analysis.settings.seed).over(run.pool))
    at = {problem: row for row, problem in enumerate(run.pool.problem_ids)}
    most = max(2, limits.responses // max(1, len(analysis.problems)))
    for row in analysis.problems:
        pick = int(best[at[row.problem_id]])
        others = [index for index in range(n) if index != pick]
        yield _Entry(row, pick, [-1, pick, *others[: most - 2]])


def _read_responses(run: Run, entries: dict[str, _Entry], most_chars: int) -> None:
    columns = ["problem_id", "arm", "index", "text", "finish_reason", "log_likelihood", "n_tokens"]
    for table in parts.read_parts(stored_parts(run.path, run.meta), columns, batch_bytes=_BATCH_BYTES):
        for entry, index, row in _wanted(table, entries):
            entry.texts[index] = row["text"][:most_chars], max(0, len(row["text"]) - most_chars)
            entry.finish[index] = row["finish_reason"]
            entry.numbers[index] = row["log_likelihood"], row["n_tokens"]


def _read_grades(run: Run, entries: dict[str, _Entry]) -> None:
    path = run.path / "grades.parquet"
    columns = ["problem_id", "arm", "index", "correct", "answer", "reason"]
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(65_536, columns=columns):
                for entry, index, row in _wanted(batch, entries):
                    entry.correct[index] = -1 if row["correct"] is None else int(row["correct"])
                    entry.answers[index], entry.reasons[index] = row["answer"], row["reason"]
    except (pa.ArrowInvalid, OSError) as error:
        raise StoreError(f"{path} is damaged; run: bon-eval grade {run.path}") from error
    for entry in entries.values():
        if set(entry.kept) - set(entry.correct) or set(entry.kept) - set(entry.texts):
            raise StoreError(
                f"{run.path}: problem {entry.row.problem_id} lacks responses or grades; grade the run again"
            )


def _wanted(
    table: pa.Table | pa.RecordBatch, entries: dict[str, _Entry]
) -> Iterator[tuple[_Entry, int, dict[str, Any]]]:
    """The rows that have a place in the browser, with entry and index (-1: greedy)."""
    ids, arms = table.column("problem_id").to_pylist(), table.column("arm").to_pylist()
    indexes = table.column("index").to_pylist()
    chosen: list[int] = []
    found: list[tuple[_Entry, int]] = []
    for position, (problem, arm, index) in enumerate(zip(ids, arms, indexes, strict=True)):
        entry = entries.get(problem)
        if entry is None:
            continue
        if not entry.column:
            entry.column = {kept: k for k, kept in enumerate(entry.kept)}
        key = -1 if arm == "greedy" else index
        if key in entry.column:
            chosen.append(position)
            found.append((entry, key))
    rows = table.take(pa.array(chosen, pa.int64())).to_pylist()
    yield from ((entry, key, row) for (entry, key), row in zip(found, rows, strict=True))


def _pack(
    entry: _Entry, scorer: str, fields: dict[str, str], reasons: dict[str, int], budget: int, most_chars: int
) -> tuple[dict[str, object], int, int]:
    """One problem's columns; how many of its rows have no text, and how many texts are cut."""
    texts: dict[tuple[str, int], int] = {}
    text_of, spent, left_out = [], 0, 0
    for index in entry.kept:
        text = entry.texts[index]
        if text not in texts:
            # What JSON makes of it: control characters take six bytes.
            size = len(json.dumps(text[0], ensure_ascii=False).encode("utf-8", "replace")) + 8
            if spent + size > budget and index != -1 and index != entry.best:
                text_of.append(-1)
                left_out += 1
                continue
            spent += size
            texts[text] = len(texts)
        text_of.append(texts[text])
    answers: dict[str | None, int] = {}
    row = entry.row
    kept: Sequence[int] = entry.kept
    return (
        {
            "id": row.problem_id,
            "gold": row.gold[:most_chars],
            "fields": {name: value[:most_chars] for name, value in fields.items()},
            "greedy": int(row.greedy_correct),
            "best": round(row.best_of_n[scorer], 4),
            "sample": round(row.pool_accuracy, 4),
            "cut": int(row.greedy_truncated or row.pool_truncated > 0),
            "unscored": int(row.greedy_unscored or row.pool_unscored > 0),
            "pick": entry.best,
            "texts": [text for text, _ in texts],
            "more": [more for _, more in texts],
            "index": list(kept),
            "text": text_of,
            "ll": [round(entry.numbers[i][0], 3) for i in kept],
            "tokens": [entry.numbers[i][1] for i in kept],
            "finish": [entry.finish[i] for i in kept],
            "correct": [entry.correct[i] for i in kept],
            "answer": [answers.setdefault(entry.answers[i], len(answers)) for i in kept],
            "answers": [None if a is None else a[:most_chars] for a in answers],
            "reason": [reasons.setdefault(entry.reasons[i][:200], len(reasons)) for i in kept],
        },
        left_out,
        sum(more > 0 for _, more in texts),
    )
