"""Whole runs: each distinct (answer, gold) pair is decided once, workers in parallel, results in order."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from bon_eval.graders import get_grader
from bon_eval.graders.base import Grade
from bon_eval.graders.extract import Extract
from bon_eval.graders.isolation import DEADLINE, MEMORY_MB, WorkerPool, shared_pool
from bon_eval.graders.ladder import UNDECIDED, MathGrader, Verdict, as_grade, as_verdict

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
) -> list[Grade]:
    """Grades of (response, gold) pairs, in their order.

    Args:
        grader_name: a name of `bon_eval.graders.GRADERS`.
        items: pairs of response and gold; read once, responses are not kept.
        workers: most worker processes at a time; default: one per processor, at most `MAX_WORKERS`.
        deadline: seconds for one symbolic comparison; past it the grade is unscored.
        memory_mb: address space of a worker in MiB; a comparison that needs more is unscored.
        progress: called with (pairs decided, distinct pairs that need a worker) as workers report.

    Raises `GraderError` for an unknown name, limits that make no sense, or workers that cannot be started.
    """
    grades, _ = grade_both(
        grader_name, items, workers=workers, deadline=deadline, memory_mb=memory_mb, progress=progress, strict=False
    )
    return grades


def grade_both(
    grader_name: str,
    items: Iterable[tuple[str, str]],
    *,
    workers: int | None = None,
    deadline: float = DEADLINE,
    memory_mb: int = MEMORY_MB,
    progress: Callable[[int, int], None] | None = None,
    strict: bool = True,
) -> tuple[list[Grade], list[bool | None]]:
    """As `grade_many`, with the verdicts under the strict format beside the grades (empty unless `strict`)."""
    grader = get_grader(grader_name)
    golds: dict[str, str] = {}
    verdicts: dict[tuple[str, str], Verdict] = {}
    rows: list[tuple[Extract, str]] = []
    strict_rows: list[tuple[str | None, str]] = []
    extracts: dict[Extract, Extract] = {}
    for response, given in items:
        gold = golds.get(given)
        if gold is None:
            gold = golds[given] = grader.gold(given)
        found = grader.extract(response)
        found = extracts.setdefault(found, found)
        rows.append((found, gold))
        if found.answer is not None:
            _fast(grader, verdicts, found.answer, gold)
        if strict:
            answer = grader.strict(response)
            strict_rows.append((answer, gold))
            if answer is not None:
                _fast(grader, verdicts, answer, gold)
    _settle(grader, verdicts, workers, deadline, memory_mb, progress)
    cache: dict[tuple[Extract, str], Grade] = {}
    grades: list[Grade] = []
    for row in rows:
        grade = cache.get(row)
        if grade is None:
            found, gold = row
            if found.answer is None:
                grade = Grade(False, None, found.where)
            else:
                grade = as_grade(grader, found, verdicts[found.answer, gold])
            cache[row] = grade
        grades.append(grade)
    return grades, [False if a is None else verdicts[a, g].correct for a, g in strict_rows]


def _fast(grader: MathGrader, verdicts: dict[tuple[str, str], Verdict], answer: str, gold: str) -> None:
    if (answer, gold) not in verdicts:
        verdicts[answer, gold] = grader.fast(answer, gold)


def _settle(
    grader: MathGrader,
    verdicts: dict[tuple[str, str], Verdict],
    workers: int | None,
    deadline: float,
    memory_mb: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Ask workers about the undecided pairs; pairs with the same normal forms are asked once."""
    size = workers if workers is not None else min(MAX_WORKERS, os.cpu_count() or 1)
    WorkerPool(size, deadline=deadline, memory_mb=memory_mb)  # checks the limits; starts nothing
    groups: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for pair, verdict in verdicts.items():
        if verdict is UNDECIDED:
            groups.setdefault((grader.normal(pair[0]), pair[1]), []).append(pair)
    questions = [grader.question(*pairs[0]) for pairs in groups.values()]
    replies = _ask_all(questions, size, deadline, memory_mb)
    for done, (pairs, reply) in enumerate(zip(groups.values(), replies, strict=True), 1):
        verdict = as_verdict(reply)
        for pair in pairs:
            verdicts[pair] = verdict
        if progress is not None:
            progress(done, len(questions))


def answer_classes(grader_name: str, answers: Sequence[str | None]) -> list[int]:
    r"""Classes of equivalent answers within one problem, numbered by first appearance; -1 for None.

    Every distinct answer is reduced to its canonical key once (a worker does it where rational arithmetic is not
    enough), so that the relation is an equivalence and the work is linear in the number of distinct answers. An answer
    whose key cannot be had within the limits is equivalent to its own spelling only.

    >>> answer_classes("math", ["0.5", "1/2", None, r"\frac12", "2"])
    [0, 0, -1, 0, 1]
    """
    return answer_classes_many(grader_name, [answers])[0]


def answer_classes_many(
    grader_name: str,
    pools: Iterable[Sequence[str | None]],
    *,
    workers: int | None = None,
    deadline: float = DEADLINE,
    memory_mb: int = MEMORY_MB,
) -> list[list[int]]:
    """`answer_classes` of many problems: a distinct answer is reduced once for all of them, workers in parallel."""
    grader = get_grader(grader_name)
    rows = [tuple(answers) for answers in pools]
    keys: dict[str, str] = {}
    undecided: list[str] = []
    for answer in dict.fromkeys(a for row in rows for a in row if a is not None):
        key = grader.key(answer)
        if key is None:
            undecided.append(answer)
        else:
            keys[answer] = key
    size = workers if workers is not None else min(MAX_WORKERS, os.cpu_count() or 1)
    questions = [{"op": "key", "answer": answer} for answer in undecided]
    for answer, reply in zip(undecided, _ask_all(questions, size, deadline, memory_mb), strict=True):
        keys[answer] = str(reply["key"]) if "key" in reply else "raw " + grader.normal(answer)
    return [_numbered([None if a is None else keys[a] for a in row]) for row in rows]


def _numbered(keys: list[str | None]) -> list[int]:
    classes: dict[str, int] = {}
    return [-1 if key is None else classes.setdefault(key, len(classes)) for key in keys]


def _ask_all(
    questions: Sequence[dict[str, str]], workers: int, deadline: float, memory_mb: int
) -> Iterator[dict[str, object]]:
    """Replies in the order of the questions; a few questions go to the workers that single verdicts use."""
    if len(questions) < _PAIRS_PER_WORKER and memory_mb == MEMORY_MB:
        yield from (shared_pool().ask(question, deadline) for question in questions)
        return
    threads = max(1, min(workers, len(questions) // _PAIRS_PER_WORKER))
    with WorkerPool(workers, deadline=deadline, memory_mb=memory_mb) as pool, ThreadPoolExecutor(threads) as executor:
        yield from executor.map(pool.ask, questions)
