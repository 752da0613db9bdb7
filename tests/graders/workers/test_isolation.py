"""Nothing that a response holds stops, slows or outlives its caller."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grader_cases as cases
import pytest

from bon_eval.errors import GraderError
from bon_eval.graders import grade_gsm8k, grade_math
from bon_eval.graders.batch import grade_many
from bon_eval.graders.workers.isolation import WorkerPool, shared_pool

Classes = Callable[[str, Sequence[str | None]], list[int]]

ROOT = Path(__file__).resolve().parents[3]
SYMBOLIC = (r"\boxed{\sqrt{126}}", r"3\sqrt{14}")
LONG_S = 600.0
"""Longest wait, in seconds, for what comes within a moment where nothing else runs."""
ENDLESS = {"op": "same", "gold": "5", "answer": r"\int_0^1 x^{x^{x^{x}}} dx"}


def worker_pids(parent: int) -> set[int]:
    """Grader workers that a process has started."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"bon_eval.graders.workers.worker" in command and str(parent).encode() in command:
                found.add(int(entry.name))
    return found


def wait_for(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + LONG_S
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return condition()


def answers(n: int) -> list[tuple[str, str]]:
    """Pairs that a worker must decide, all different."""
    return [(rf"\boxed{{\sqrt{{{9 * k + 18}}}}}", rf"3\sqrt{{{k + 2}}}") for k in range(n)]


needs_proc = pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs /proc to see processes")


@pytest.mark.parametrize(
    "answer",
    # Six questions without an end, each asked twice until the deadline.
    [pytest.param(a, marks=pytest.mark.slow) if a == cases.ENDLESS else a for a in cases.HOSTILE],
    ids=lambda a: ascii(a[:24]),
)
def test_hostile_answers_come_back_and_are_not_right(
    answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    grade_math(*SYMBOLIC)  # the worker is up
    for response in (f"\\boxed{{{answer}}}", f"The answer is {answer}", f"#### {answer}"):
        start = time.monotonic()
        assert grade_math(response, "4321").correct is not True
        assert grade_math(response, r"4321\sqrt{2}").correct is not True
        assert grade_gsm8k(response, "4321").correct is not True
        assert time.monotonic() - start < LONG_S
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "response",
    [
        "\\boxed{" * 30_000,
        "\\boxed{5" * 30_000,
        "{" * 200_000,
        "answer is " * 30_000,
        "#### " * 50_000,
        "A: \n" * 50_000,
        "$" * 200_000,
        "1 / " * 60_000,
        "1," * 100_000,
        "-" * 200_000,
        " " * 300_000 + "7",
        "9" * 1_000_000,
        "the answer to the the the " * 10_000,
        "\\boxed{" + "9" * 9_000 + "}",
        "\\boxed{5}\n" * 20_000,
    ],
    ids=lambda r: ascii(r[:20]),
)
def test_long_responses_are_read_in_linear_time(response: str) -> None:
    start = time.process_time()
    assert grade_math(response, "4321").correct is not True
    assert grade_gsm8k(response, "4321").correct is not True
    assert time.process_time() - start < LONG_S  # in quadratic time it would be hours


def test_deadline_is_kept_and_the_next_question_is_answered() -> None:
    with WorkerPool(1, deadline=0.5) as pool:
        pool.ask({"op": "key", "answer": "1"})
        start = time.monotonic()
        reply = pool.ask(ENDLESS)
        assert time.monotonic() - start < LONG_S
        assert "deadline of 0.5 s" in str(reply["unscored"])
        assert pool.ask({"op": "same", "gold": SYMBOLIC[1], "answer": r"\sqrt{126}"})["correct"] is True


def test_memory_is_bounded() -> None:
    with WorkerPool(1, deadline=20, memory_mb=400) as pool:
        reply = pool.ask({"op": "same", "gold": "5", "answer": r"10^{10^{10^{10}}}"})
        assert "unscored" in reply
        assert pool.ask({"op": "same", "gold": SYMBOLIC[1], "answer": r"\sqrt{126}"})["correct"] is True


def test_unscored_says_why() -> None:
    grades = grade_many("math", [(rf"\boxed{{{ENDLESS['answer']}}}", "5"), SYMBOLIC], deadline=0.4, workers=1)
    assert grades[0].correct is None
    assert "deadline" in grades[0].reason
    assert grades[0].answer is not None
    assert grades[1].correct is True


@needs_proc
def test_a_killed_worker_is_replaced() -> None:
    assert grade_math(*SYMBOLIC).correct is True
    for pid in worker_pids(os.getpid()):
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert grade_math(*SYMBOLIC).correct is True


def test_threads_agree() -> None:
    with ThreadPoolExecutor(8) as executor:
        grades = list(executor.map(lambda _: grade_math(*SYMBOLIC), range(64)))
    assert {g.correct for g in grades} == {True}


def test_a_worker_survives_the_thread_that_started_it() -> None:
    with WorkerPool(1) as pool:
        thread = threading.Thread(target=pool.ask, args=({"op": "key", "answer": "x"},))
        thread.start()
        thread.join()
        before = [w.process for w in pool.all]
        assert "key" in pool.ask({"op": "key", "answer": "y"})
        assert [w.process for w in pool.all] == before


def _in_a_child(_: int) -> bool | None:
    return grade_math(*SYMBOLIC).correct


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_process_pools(method: str) -> None:
    assert grade_math(*SYMBOLIC).correct is True  # the parent holds a worker when it forks
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(_in_a_child, range(6)) == [True] * 6
    assert grade_math(*SYMBOLIC).correct is True


def test_signal_handlers_and_alarms_are_left_alone() -> None:
    fired = []
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)}
    old = signal.signal(signal.SIGALRM, lambda *_: fired.append(1))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with WorkerPool(1, deadline=0.6) as pool:
            pool.ask(ENDLESS)
        assert fired == [1]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert {s: signal.getsignal(s) for s in before} == before


@pytest.mark.slow
@needs_proc
@pytest.mark.parametrize("end", ["exit", "exception", "os._exit", "SIGINT", "SIGKILL"])
@pytest.mark.parametrize("busy", [False, True])
def test_no_process_is_left_behind(end: str, busy: bool) -> None:
    body = "print('up', flush=True)\n"
    if busy:
        body += "import threading; from bon_eval.graders.workers.isolation import WorkerPool\n"
        body += f"p = WorkerPool(1, deadline=3600); q = {ENDLESS!r}\n"
        body += "threading.Thread(target=p.ask, args=(q,), daemon=True).start()\n"
        body += "while not p.library: time.sleep(0.01)\n"  # it computes once math-verify is loaded
        body += "print('busy', flush=True)\n"
    body += {
        "exit": "sys.exit(0)",
        "exception": "raise RuntimeError('on purpose')",
        "os._exit": "os._exit(3)",
        "SIGINT": "time.sleep(3600)",
        "SIGKILL": "time.sleep(3600)",
    }[end]
    script = (
        f"import os, signal, sys, time; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"from bon_eval.graders import grade_math\nassert grade_math(*{SYMBOLIC!r}).correct\n"
    )
    caller = subprocess.Popen(
        [sys.executable, "-c", script + body],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert caller.stdout is not None
    assert caller.stdout.readline().strip() == b"up"
    if busy:
        assert caller.stdout.readline().strip() == b"busy"
    if end.startswith("SIG"):
        assert worker_pids(caller.pid)
        caller.send_signal(getattr(signal, end))
    try:
        caller.wait(timeout=LONG_S)
    finally:
        caller.kill()
    caller.stdout.close()
    assert wait_for(lambda: not worker_pids(caller.pid)), "a worker outlived its caller"


@pytest.mark.slow
@needs_proc
def test_an_interrupted_batch_ends_soon_and_leaves_nothing() -> None:
    script = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from bon_eval.graders.batch import grade_many\n"
        "from bon_eval.graders.workers import process\n"
        "items = [(rf'\\boxed{{\\int_0^{{{n}}} x^{{x^{{x}}}} dx}}', '5') for n in range(1, 4000)]\n"
        "ask = process.Worker.ask\n"
        "def told(self, *given, **more):\n"
        "    print('asked', flush=True)\n"
        "    return ask(self, *given, **more)\n"
        "process.Worker.ask = told\n"
        "grade_many('math', items, workers=2, deadline=0.8)\n"
    )
    caller = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert caller.stdout is not None
    for _ in range(6):
        assert caller.stdout.readline().strip() == b"asked"
    assert wait_for(lambda: len(worker_pids(caller.pid)) >= 2)
    caller.send_signal(signal.SIGINT)
    said, errors = caller.communicate(timeout=LONG_S)
    assert len(said.split()) < 400, "those in flight, and not the thousands that wait"
    assert b"KeyboardInterrupt" in errors
    assert wait_for(lambda: not worker_pids(caller.pid)), "a worker outlived its caller"


def test_works_inside_a_running_event_loop_as_in_a_notebook() -> None:
    async def cell() -> list[bool | None]:
        direct = grade_math(*SYMBOLIC).correct
        batch = grade_many("math", [SYMBOLIC], deadline=5)[0].correct
        elsewhere = await asyncio.gather(*(asyncio.to_thread(grade_math, *SYMBOLIC) for _ in range(8)))
        return [direct, batch, *(grade.correct for grade in elsewhere)]

    assert asyncio.run(cell()) == [True] * 10


def test_works_under_xdist(tmp_path: Path) -> None:
    pytest.importorskip("xdist")
    (tmp_path / "test_grades.py").write_text(
        "import pytest\nfrom bon_eval.graders import grade_math\n"
        "@pytest.mark.parametrize('n', range(2, 14))\n"
        "def test_surd(n):\n"
        "    assert grade_math(rf'\\boxed{{\\sqrt{{{14 * n * n}}}}}', rf'{n}\\sqrt{{14}}').correct is True\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "xdist", "-n", "2", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "--rootdir", str(tmp_path), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=LONG_S,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    assert "12 passed" in done.stdout, done.stdout + done.stderr


def test_limits_that_make_no_sense_are_one_clear_line() -> None:
    for limits in ({"deadline": 0.0}, {"deadline": -1.0}, {"memory_mb": 16}, {"workers": 0}):
        with pytest.raises(GraderError, match="need at least 1, more than 0 and 128"):
            grade_many("math", [SYMBOLIC], **limits)  # type: ignore[arg-type]


@pytest.mark.slow
def test_an_endless_comparison_in_a_fresh_process_is_unscored() -> None:
    endless = rf"\boxed{{{ENDLESS['answer']}}}"
    script = (
        f"from bon_eval.graders import grade_math\ngrade = grade_math({endless!r}, '5')\n"
        "print(grade.correct, '|', grade.reason)\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    verdict, _, reason = out.stdout.partition(" | ")
    assert verdict == "None"
    assert "passed its deadline" in reason


def test_importing_the_graders_is_light() -> None:
    code = (
        "import sys, bon_eval.graders, bon_eval.graders.batch\n"
        "bon_eval.graders.grade_math(r'\\boxed{1/2}', '0.5')\n"
        "print([m for m in ('sympy', 'math_verify', 'mpmath', 'torch', 'numpy', 'pandas') if m in sys.modules])"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    assert out.stdout.strip() == "[]"


def test_workers_start_without_a_main_guard_and_from_another_directory(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')")
    script = tmp_path / "script" / "run.py"
    script.parent.mkdir()
    script.write_text(
        "from bon_eval.graders.batch import grade_many\n"
        f"print([g.correct for g in grade_many('math', [{SYMBOLIC!r}] * 3, workers=2)])\n"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    out = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, cwd=tmp_path, env=env, check=True
    )
    assert out.stdout.strip() == "[True, True, True]"


def test_a_worker_that_cannot_start_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with WorkerPool(1) as pool:
        monkeypatch.setattr(sys, "executable", "/bin/false")
        with pytest.raises(GraderError, match=r"did not start .*to see why"):
            pool.ask({"op": "key", "answer": "1"})
        monkeypatch.setattr(sys, "executable", "/no/such/python")
        with pytest.raises(GraderError, match="could not be started"):
            pool.ask({"op": "key", "answer": "1"})


def test_vote_classes_survive_hostile_answers(answer_classes: Classes) -> None:
    answers = [r"9^{9^{9^{9}}}!", "5", r"9^{9^{9^{9}}}!", r"\frac{", "5.0"]
    assert answer_classes("math", answers) == [0, 1, 0, 2, 1]
    assert shared_pool().size >= 1


def test_no_more_workers_are_started_than_asked_for() -> None:
    """The one that is started at the first undecided answer is one of them."""
    code = (
        "from bon_eval.graders.batch import grade_many\n"
        "from bon_eval.graders.workers import process\n"
        "started, start = [], process.Worker.start\n"
        "process.Worker.start = lambda self: (started.append(self), start(self))[1]\n"
        f"grades = grade_many('math', {answers(20)!r}, workers=1)\n"
        "print(len(started), sum(g.correct for g in grades))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=LONG_S)
    assert done.stdout == "1 20\n", done.stderr
