"""What the problem browser of report.html shows: columns of numbers, and texts within a budget.

Texts are read a row group at a time and a problem is JSON as soon as its responses are there: what the browser shows
is all that is held of a run. What does not fit the budget stays in the Parquet files, and the head says how much.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bon_eval.analysis.results import Analysis, ProblemRow
from bon_eval.errors import StoreError
from bon_eval.estimators import chosen_index
from bon_eval.report.formats.page_json import members
from bon_eval.scorers import get_scorer
from bon_eval.store import parts
from bon_eval.store.reader import Run, stored_tables

_SHOWN = ("greedy", "sample")
_GRADE_ROWS = 8_192


@dataclass(frozen=True, slots=True)
class Budget:
    """How much of a run a page holds."""

    text_bytes: int = 14_000_000
    """Of all texts together, as UTF-8 in JSON; shared equally by the problems."""
    text_chars: int = 4_000
    """Of one text; the rest is cut, and the page says how much."""
    responses: int = 70_000
    """Rows of the browser, shared equally by the problems; greedy and the best-of-N pick always have one."""


@dataclass(frozen=True, slots=True)
class BrowserProblem:
    """One problem as the members of a JSON object, without its braces."""

    shared: str
    """``id``, ``gold`` and ``fields``, which two runs of one task share."""
    own: str
    """What this run gave."""

    def joined(self) -> str:
        """The problem of one run."""
        return f"{{{self.shared},{self.own}}}"


@dataclass(frozen=True, slots=True)
class BrowserData:
    """The content of the browser."""

    head: Mapping[str, Any]
    """Counts and names for the whole page."""
    problems: Mapping[str, BrowserProblem]
    """By problem id, in the order of the analysis."""


@dataclass(slots=True)
class _Entry:
    """One problem while it is filled; the lists have a place for each row of the browser."""

    row: ProblemRow
    best: int
    kept: list[int]
    """Pool indexes that have a row; -1 is greedy."""
    place: dict[int, int]
    """Pool index -> its place in the lists."""
    answers: list[str | None]
    correct: list[int | None]
    """1, 0, and -1 for an unscored response; None until its grade is read."""
    reasons: list[str]
    thought: list[int]
    """Characters of each response that no grader read: its reasoning."""
    responses: dict[int, _Response] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Shown:
    text: str
    """Its start."""
    more: int
    """Characters that are cut."""

    @classmethod
    def of(cls, text: str, most_chars: int) -> _Shown:
        return cls(text[:most_chars], max(0, len(text) - most_chars))


@dataclass(frozen=True, slots=True)
class _Response:
    text: _Shown
    reasoning: _Shown | None
    """What was cut away before grading; None: nothing."""
    finish: str
    log_likelihood: float
    n_tokens: int


def browser_data(run: Run, analysis: Analysis, budget: Budget | None = None) -> BrowserData:
    """The content of the browser.

    Args:
        run: the stored run.
        analysis: of that run; its problems are shown, in their order.
        budget: how much to hold.

    Raises:
        StoreError: a part is damaged, or the grades are of other responses.
    """
    limits = budget or Budget()
    entries = {entry.row.problem_id: entry for entry in _entries(run, analysis, limits)}
    _read_grades(run, entries)
    reasons = {reason: k for k, reason in enumerate(sorted({r for e in entries.values() for r in e.reasons}))}
    fields = {problem.id: problem.fields for problem in run.problems}
    scorer = analysis.settings.primary_scorer
    share = limits.text_bytes // max(1, len(entries))
    total = len(entries) * sum(pool.n for pool in run.draws.values())
    rows = sum(len(entry.kept) for entry in entries.values())
    packed: dict[str, BrowserProblem | None] = dict.fromkeys(entries)
    left_out = cut = 0
    for entry in _filled(run, entries, limits.text_chars):
        problem = entry.row.problem_id
        own, missing, shortened = _own(entry, scorer, reasons, share, limits.text_chars)
        packed[problem] = BrowserProblem(
            members(
                {
                    "id": problem,
                    "gold": entry.row.gold[: limits.text_chars],
                    "fields": {name: value[: limits.text_chars] for name, value in fields[problem].items()},
                }
            ),
            members(own),
        )
        left_out += missing
        cut += shortened
    problems = {problem: content for problem, content in packed.items() if content is not None}
    if len(problems) < len(packed):
        lacking = next(problem for problem, content in packed.items() if content is None)
        raise StoreError(f"{run.path}: problem {lacking} lacks responses; run the same `bon-eval run` command again")
    head = {
        "n": [analysis.pool_size],
        "best_of": [analysis.settings.ns[-1]],
        "scorer": scorer,
        "reasons": list(reasons),
        "responses": total,
        "rows": rows,
        "texts_left_out": left_out,
        "texts_cut": cut,
        "text_chars": limits.text_chars,
    }
    return BrowserData(head, problems)


def _entries(run: Run, analysis: Analysis, limits: Budget) -> Iterator[_Entry]:
    name, n = analysis.settings.primary_scorer, analysis.pool_size
    best = chosen_index(get_scorer(name, seed=analysis.settings.seed).over(run.pool))
    at = {problem: row for row, problem in enumerate(run.pool.problem_ids)}
    most = max(2, limits.responses // max(1, len(analysis.problems)))
    for row in analysis.problems:
        pick = int(best[at[row.problem_id]])
        kept = [-1, pick, *[index for index in range(n) if index != pick][: most - 2]]
        place = {index: k for k, index in enumerate(kept)}
        yield _Entry(row, pick, kept, place, [None] * len(kept), [None] * len(kept), [""] * len(kept), [0] * len(kept))


def _read_grades(run: Run, entries: Mapping[str, _Entry]) -> None:
    path = run.path / "grades.parquet"
    columns = ["problem_id", "arm", "index", "correct", "answer", "reason"]
    columns += [] if run.pool.reasoning_chars is None else ["reasoning_chars"]
    known: dict[str, str] = {}  # one object for each reason, not one for each row
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_GRADE_ROWS, columns=columns):
                for entry, index, row in _wanted(batch, entries):
                    k = entry.place[index]
                    entry.correct[k] = -1 if row["correct"] is None else int(row["correct"])
                    entry.answers[k] = row["answer"]
                    entry.thought[k] = row.get("reasoning_chars") or 0
                    entry.reasons[k] = known.setdefault(row["reason"][:200], row["reason"][:200])
    except (pa.ArrowInvalid, OSError) as error:
        raise StoreError(f"{path} is damaged; run: bon-eval grade {run.path}") from error
    for problem, entry in entries.items():
        if None in entry.correct:
            raise StoreError(f"{run.path}: problem {problem} lacks grades; run: bon-eval grade {run.path}")


def _filled(run: Run, entries: Mapping[str, _Entry], most_chars: int) -> Iterator[_Entry]:
    """Each problem once its responses are read; those are dropped afterwards."""
    columns = ["problem_id", "arm", "index", "text", "finish_reason", "log_likelihood", "n_tokens"]
    for table in stored_tables(run.path, run.meta, columns, batch_bytes=parts.BATCH_BYTES):
        for entry, index, row in _wanted(table, entries):
            text, thought = row["text"], entry.thought[entry.place[index]]
            entry.responses[index] = _Response(
                _Shown.of(text[thought:], most_chars),
                _Shown.of(text[:thought], most_chars) if thought else None,
                row["finish_reason"],
                row["log_likelihood"],
                row["n_tokens"],
            )
            if len(entry.responses) == len(entry.kept):
                yield entry
                entry.responses.clear()


def _wanted(
    table: pa.Table | pa.RecordBatch, entries: Mapping[str, _Entry]
) -> Iterator[tuple[_Entry, int, dict[str, Any]]]:
    """The rows that have a place in the browser, with entry and index (-1: greedy)."""
    ids, arms = table.column("problem_id").to_pylist(), table.column("arm").to_pylist()
    indexes = table.column("index").to_pylist()
    chosen: list[int] = []
    found: list[tuple[_Entry, int]] = []
    for position, (problem, arm, index) in enumerate(zip(ids, arms, indexes, strict=True)):
        entry = entries.get(problem)
        key = -1 if arm == "greedy" else index
        if entry is not None and arm in _SHOWN and key in entry.place:
            chosen.append(position)
            found.append((entry, key))
    rows = table.take(pa.array(chosen, pa.int64())).to_pylist()
    yield from ((entry, key, row) for (entry, key), row in zip(found, rows, strict=True))


def _own(
    entry: _Entry, scorer: str, reasons: Mapping[str, int], budget: int, most_chars: int
) -> tuple[dict[str, object], int, int]:
    """One problem's columns; how many of its rows have no text, and how many texts are cut."""
    responses = [entry.responses[index] for index in entry.kept]
    texts: dict[tuple[_Shown, _Shown | None], int] = {}
    text_of, spent, left_out = [], 0, 0
    for index, response in zip(entry.kept, responses, strict=True):
        text = response.text, response.reasoning
        if text not in texts:
            # What JSON makes of it: control characters take six bytes.
            both = text[0].text + (text[1].text if text[1] is not None else "")
            size = len(json.dumps(both, ensure_ascii=False).encode("utf-8", "replace")) + 8
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
            "greedy": int(row.greedy_correct),
            "best": round(row.best_of_n[scorer], 4),
            "sample": round(row.pool_accuracy, 4),
            "cut": int(row.greedy_truncated or row.pool_truncated > 0),
            "unfinished": int(bool(row.greedy_unfinished or row.pool_unfinished)),
            "unscored": int(row.greedy_unscored or row.pool_unscored > 0),
            "pick": entry.best,
            "texts": [text.text for text, _ in texts],
            "more": [text.more for text, _ in texts],
            **_reasoning([reasoning for _, reasoning in texts]),
            "index": kept,
            "text": text_of,
            "ll": [round(r.log_likelihood, 3) for r in responses],
            "tokens": [r.n_tokens for r in responses],
            "finish": [r.finish for r in responses],
            "correct": entry.correct,
            "answer": [answers.setdefault(answer, len(answers)) for answer in entry.answers],
            "answers": [None if a is None else a[:most_chars] for a in answers],
            "reason": [reasons[reason] for reason in entry.reasons],
        },
        left_out,
        sum(text.more > 0 or (reasoning is not None and reasoning.more > 0) for text, reasoning in texts),
    )


def _reasoning(found: Sequence[_Shown | None]) -> dict[str, object]:
    """The reasoning before each text; nothing where there is none."""
    if not any(found):
        return {}
    return {
        "reasoning": [None if shown is None else shown.text for shown in found],
        "reasoning_more": [0 if shown is None else shown.more for shown in found],
    }
