"""Whole runs: each distinct (answer, gold) pair is decided once, workers in parallel, results in order."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bon_eval.graders import get_grader
from bon_eval.graders.base import UNDECIDED, Decision, Grade, as_decision
from bon_eval.graders.extract import Extract
from bon_eval.graders.reasoning import Parts, reasoning_between, reasoning_of
from bon_eval.graders.workers.isolation import DEADLINE, MEMORY_MB, WorkerPool, shared_pool

MAX_WORKERS = 16
_PAIRS_PER_WORKER = 8
"""Fewer undecided pairs than this are not worth another worker's start."""


def grade_many(
    grader_name: str,
    items: Iterable[tuple[str, str]],
    *,
    workers: int | None = None,
    deadline: float = DEADLINE,
    memory_mb: int = MEMORY_MB,
    progress: Callable[[int, int], None] | None = None,
    reasoning: Iterable[Sequence[str]] | None = None,
) -> list[Grade]:
    """Grades of (response, gold) pairs, in their order.

    Args:
        grader_name: a name of `bon_eval.graders.GRADERS`.
        items: pairs of response and gold; read once, responses are not kept.
        workers: most worker processes at a time; default: one per processor, at most `MAX_WORKERS`.
        deadline: seconds of processor time for one symbolic comparison. What takes more is tried once more with
            three times as many when the rest is done; then it is unscored.
        memory_mb: address space of a worker in MiB; a comparison that needs more is unscored.
        progress: called with (pairs decided, distinct pairs that need a worker) as workers report.
        reasoning: a task's own markers that open and close reasoning, as pairs; None: the usual ones.

    Raises `GraderError` for an unknown name, limits that make no sense, or workers that cannot be started.
    """
    split = reasoning_between(reasoning).split
    with BatchGrader(grader_name, workers=workers, deadline=deadline, memory_mb=memory_mb) as batches:
        parts = ((split(response), gold) for response, gold in items)
        return batches.grade_parts(parts, strict=False, progress=progress)[0]


def grade_both(
    grader_name: str,
    items: Iterable[tuple[str, str]],
    *,
    workers: int | None = None,
    deadline: float = DEADLINE,
    memory_mb: int = MEMORY_MB,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[Grade], list[bool | None]]:
    """As `grade_many`, with the decisions under the strict format beside the grades."""
    with BatchGrader(grader_name, workers=workers, deadline=deadline, memory_mb=memory_mb) as batches:
        return batches.grade(items, progress=progress)


class BatchGrader:
    """Grades a run batch by batch: the same workers throughout, and decisions remembered from batch to batch.

    Memory is bounded by the largest batch and `remembered`, not by the run. Use as a context manager.

    Args:
        grader_name, workers, deadline, memory_mb: as in `grade_many`.
        remembered: decisions, and keys, that are kept from batch to batch; the oldest are forgotten first.

    Raises `GraderError` as `grade_many` does.
    """

    def __init__(
        self,
        grader_name: str,
        *,
        workers: int | None = None,
        deadline: float = DEADLINE,
        memory_mb: int = MEMORY_MB,
        remembered: int = 100_000,
    ) -> None:
        self._grader = get_grader(grader_name)
        size = workers if workers is not None else min(MAX_WORKERS, os.cpu_count() or 1)
        self._workers = WorkerPool(size, deadline=deadline, memory_mb=memory_mb)  # starts nothing yet
        self._remembered = remembered
        self._decisions: dict[tuple[str, str], Decision] = {}
        self._keys: dict[str, str] = {}

    def grade(
        self,
        items: Iterable[tuple[str, str]],
        *,
        strict: bool = True,
        progress: Callable[[int, int], None] | None = None,
    ) -> tuple[list[Grade], list[bool | None]]:
        """Grades, and decisions under the strict format (empty unless `strict`), of (response, gold) pairs in order."""
        split = reasoning_of().split
        return self.grade_parts(((split(response), gold) for response, gold in items), strict=strict, progress=progress)

    def grade_parts(
        self,
        items: Iterable[tuple[Parts, str]],
        *,
        strict: bool = True,
        progress: Callable[[int, int], None] | None = None,
    ) -> tuple[list[Grade], list[bool | None]]:
        """As `grade`, of responses that were parted from their reasoning (`bon_eval.graders.reasoning`)."""
        _forget(self._decisions, self._remembered)
        grader, decisions = self._grader, self._decisions
        golds: dict[str, str] = {}
        places: dict[tuple[Extract, str], int] = {}
        rows: list[int] = []
        strict_rows: list[tuple[str | None, str]] = []
        for parts, given in items:
            gold = golds.get(given)
            if gold is None:
                gold = golds[given] = grader.gold(given)
            row = grader.read(parts), gold
            place = places.get(row)
            if place is None:
                place = places[row] = len(places)
                self._fast(row[0].answer, gold)
            rows.append(place)
            if strict:
                answer = None if parts.answer is None else grader.strict(parts.answer)
                strict_rows.append((answer, gold))
                self._fast(answer, gold)
        self._settle(dict.fromkeys((f.answer, g) for f, g in places), dict.fromkeys(strict_rows), progress)
        made = [
            Grade(False, None, found.where)
            if found.answer is None
            else grader.grade(found, decisions[found.answer, gold])
            for found, gold in places
        ]
        return [made[place] for place in rows], [
            False if a is None else decisions[a, g].correct for a, g in strict_rows
        ]

    def keys(self, answers: Iterable[str | None]) -> list[str | None]:
        """The canonical key of each answer, equal for equivalent answers; None for None.

        A worker does it where rational arithmetic is not enough. An answer whose key cannot be had within the limits
        is equivalent to its own spelling only.
        """
        _forget(self._keys, self._remembered)
        wanted = list(answers)
        undecided: list[str] = []
        for answer in dict.fromkeys(a for a in wanted if a is not None and a not in self._keys):
            key = self._grader.key(answer)
            if key is None:
                undecided.append(answer)
            else:
                self._keys[answer] = key
        questions = [{"op": "key", "answer": answer} for answer in undecided]
        for answer, reply in zip(undecided, self._ask(questions), strict=True):
            self._keys[answer] = str(reply["key"]) if "key" in reply else "raw " + self._grader.normal(answer)
        return [None if a is None else self._keys[a] for a in wanted]

    def close(self) -> None:
        """End the workers."""
        self._workers.close()

    def __enter__(self) -> BatchGrader:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _fast(self, answer: str | None, gold: str) -> None:
        if answer is not None and (answer, gold) not in self._decisions:
            decision = self._decisions[answer, gold] = self._grader.fast(answer, gold)
            if decision is UNDECIDED:
                self._pool(1).warm()

    def _pool(self, questions: int) -> WorkerPool:
        """The workers for so many questions: a few go to those that single decisions use."""
        own = self._workers
        if own.memory_mb != MEMORY_MB or own.all:
            return own
        if questions < _PAIRS_PER_WORKER:
            return shared_pool()
        shared_pool().lend(own)
        return own

    def _settle(
        self,
        pairs: Iterable[tuple[str | None, str]],
        strict_pairs: Iterable[tuple[str | None, str]],
        progress: Callable[[int, int], None] | None,
    ) -> None:
        """Ask workers about the undecided pairs; pairs with the same normal forms are asked once."""
        groups: dict[tuple[str, str], dict[tuple[str, str], None]] = {}
        for answer, gold in itertools.chain(pairs, strict_pairs):
            if answer is not None and self._decisions[answer, gold] is UNDECIDED:
                groups.setdefault((self._grader.normal(answer), gold), {})[answer, gold] = None
        questions = [self._grader.question(*next(iter(group))) for group in groups.values()]
        for group, reply in zip(groups.values(), self._ask(questions, progress), strict=True):
            self._decisions.update(dict.fromkeys(group, as_decision(reply)))

    def _ask(
        self, questions: Sequence[dict[str, str]], progress: Callable[[int, int], None] | None = None
    ) -> list[dict[str, Any]]:
        """Replies in the order of the questions; what was not done in its time is asked once more after all others."""
        pool, deadline = self._pool(len(questions)), self._workers.deadline
        threads = max(1, min(pool.size, len(questions) // _PAIRS_PER_WORKER))
        replies: list[dict[str, Any]] = []
        done = 0
        with ThreadPoolExecutor(threads) as executor:
            for reply in executor.map(lambda question: pool.ask(question, deadline), questions):
                replies.append(reply)
                done += "again" not in reply
                if progress is not None and "again" not in reply:
                    progress(done, len(questions))
            late = [k for k, reply in enumerate(replies) if "again" in reply]
            for k, reply in zip(
                late, executor.map(lambda k: pool.ask_again(questions[k], deadline), late), strict=True
            ):
                replies[k] = reply
                done += 1
                if progress is not None:
                    progress(done, len(questions))
        return replies


def _forget(memory: dict[Any, Any], keep: int) -> None:
    for key in list(itertools.islice(memory, max(0, len(memory) - keep))):
        del memory[key]
