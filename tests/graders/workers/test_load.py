"""A verdict does not depend on what else the machine does, nor on what the worker was asked before."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import grader_cases as cases
import pytest

from bon_eval.graders.batch import grade_many
from bon_eval.graders.workers import process
from bon_eval.graders.workers.isolation import WorkerPool

BUSY = 8
ENOUGH = 1.5
"""Seconds of processor time that a comparison with an end does not need on a slow machine, either."""
SUM = (r"S_n = \sum_{k=1}^{n} a_k b_{k+1}", r"S_n = \sum_{k=1}^{n} b_{k+1} a_k")
PAIRS = [
    (r"3\sqrt{14}", r"\sqrt{126}"),
    (r"3\sqrt{14}", r"\sqrt{127}"),
    (r"\frac{\pi}{6}", r"\arcsin\frac12"),
    (r"\frac{\pi}{6}", r"\arcsin\frac13"),
    SUM,
    (SUM[0], SUM[1].replace("k=1", "k=2")),
    (r"\frac{1}{2}", r"\int_0^1 x dx"),
    (r"\frac{1}{2}", r"\int_0^1 x^2 dx"),
    ("5", r"\int_0^1 x^{x^{x^{x}}} dx"),
]
ENDLESS = {"op": "same", "gold": "5", "answer": r"\int_0^1 x^{x^{x^{x}}} dx"}


@pytest.fixture
def busy() -> Iterator[None]:
    """Eight processes that compute without end."""
    beside = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(BUSY)]
    yield
    for each in beside:
        each.kill()
        each.wait()


def verdicts() -> list[bool | None]:
    golds = cases.EQUAL[::4] + cases.DIFFERENT[::4] + PAIRS
    hostile = [(gold, answer) for gold in ("4321", r"4321\sqrt{2}") for answer in cases.HOSTILE[::3]]
    grades = grade_many(
        "math", [(rf"\boxed{{{answer}}}", gold) for gold, answer in golds + hostile], workers=2, deadline=ENOUGH
    )
    assert not [grade.reason for grade in grades if "defect" in grade.reason]
    return [grade.correct for grade in grades]


IDLE: list[list[bool | None]] = []


@pytest.mark.slow
def test_alone_twice() -> None:
    IDLE[:] = [verdicts(), verdicts()]
    assert IDLE[0] == IDLE[1]


@pytest.mark.slow
def test_beside_eight_busy_processes(busy: None) -> None:
    assert verdicts() == (IDLE[0] if IDLE else verdicts())


@pytest.mark.slow
def test_the_deadline_counts_the_workers_own_time() -> None:
    with WorkerPool(1, deadline=0.2) as pool:
        late = pool.ask(ENDLESS)
        assert late == {"unscored": "symbolic comparison passed its deadline of 0.2 s of processor time", "again": True}
        again = pool.ask_again(ENDLESS)
        assert "deadline of 0.6 s" in str(again["unscored"])


def test_a_worker_that_sleeps_is_a_defect_and_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = [600.0]
    monkeypatch.setattr(process, "backstop", lambda deadline: limit[0])
    with WorkerPool(1) as pool:
        pool.ask({"op": "key", "answer": "1"})
        [worker] = pool.all
        assert worker.process is not None
        worker.process.send_signal(signal.SIGSTOP)  # stopped, it uses no processor time
        limit[0] = 0.5
        reply = pool.ask({"op": "key", "answer": "2"})
        limit[0] = 600.0
        assert reply == {"unscored": "symbolic comparison is stuck, a defect: no reply in 0.5 s of wall time"}
        assert "key" in pool.ask({"op": "key", "answer": "2"})


def test_what_was_not_done_is_tried_again_when_the_rest_is() -> None:
    seen: list[tuple[int, int]] = []
    slow = (r"\boxed{\int_0^1 x^{x^{x}} dx}", "5")
    quick = [(rf"\boxed{{\sqrt{{{12 * n * n}}}}}", rf"{2 * n}\sqrt{{3}}") for n in range(1, 20)]
    start = time.monotonic()
    grades = grade_many(
        "math", [slow, *quick], workers=1, deadline=0.05, progress=lambda done, of: seen.append((done, of))
    )
    assert time.monotonic() - start < 600
    assert [grade.correct for grade in grades[1:]] == [True] * 19
    assert seen == [(k, 20) for k in range(1, 21)]
    assert "0.15 s of processor time" in grades[0].reason


@pytest.mark.slow
def test_the_first_question_and_the_thousandth() -> None:
    questions = [{"op": "same", "gold": gold, "answer": answer} for gold, answer in PAIRS]
    with WorkerPool(1, deadline=ENOUGH) as pool:
        first = [_reply(pool, question) for question in questions]
        for k in range(1_000):
            pool.ask({"op": "same", "gold": rf"{k}\sqrt{{3}}", "answer": rf"\sqrt{{{3 * k * k}}}"})
        assert [_reply(pool, question) for question in questions] == first


def _reply(pool: WorkerPool, question: dict[str, str]) -> object:
    reply = pool.ask(question)
    return (pool.ask_again(question) if "again" in reply else reply).get("correct")
