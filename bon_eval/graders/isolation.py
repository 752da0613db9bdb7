"""Worker processes from the caller's side: started, asked, killed at the deadline, replaced.

Safe from any thread and after a fork; signal handlers are left alone; workers never outlive the caller (their input
ends, and they look for their parent).
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import json
import os
import select
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bon_eval.errors import GraderError
from bon_eval.graders.worker import HEADER, MAX_MESSAGE, write_message

DEADLINE = 1.5
"""Seconds of wall time for one symbolic comparison in a run."""
SINGLE_DEADLINE = 0.7
"""The same for a single verdict, so that it takes less than two seconds together with the start of a worker."""
MEMORY_MB = 1_024
"""Address space of a worker in MiB."""
START_LIMIT = 60.0
"""Seconds within which a worker must be up, and load math-verify."""
MAX_RETRIES = 5
"""How often a worker that somebody else killed is replaced for one question."""


class WorkerLostError(Exception):
    """The worker ended."""


class IdleLossError(Exception):
    """The worker had ended before it was asked."""


class Worker:
    """One process; used by one thread at a time (`WorkerPool` sees to that). A lost one is not used again."""

    def __init__(self, memory_mb: int, *, library: bool = False, loaded: Callable[[], None] | None = None) -> None:
        """`library`: load math-verify at the start; `loaded`: called when it was loaded on a question's account."""
        self.memory_mb = memory_mb
        self.library = library
        self.loaded = loaded
        self.process: subprocess.Popen[bytes] | None = None
        self.ready = False
        self.ready_once = False
        self.start()

    def start(self) -> None:
        """Start the process; does not wait for it."""
        if not sys.executable:
            raise GraderError("no grader worker: sys.executable is empty; run under an ordinary Python interpreter")
        root = str(Path(__file__).resolve().parent.parent.parent)
        paths = [root, *(p for p in sys.path if p and os.path.isabs(p) and p != root)]
        command = [sys.executable, "-P", "-m", "bon_eval.graders.worker", str(self.memory_mb), str(os.getpid())]
        if self.library:
            command.append("library")
        if threading.current_thread() is threading.main_thread():
            command.append("die")  # the kernel looks at the starting thread, not at the process
        try:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the caller
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
            )
        except OSError as error:
            raise GraderError(f"no grader worker: {sys.executable} could not be started ({error.strerror})") from error
        self.ready = False

    def ask(self, question: dict[str, Any], deadline: float, *, retry: bool = False) -> dict[str, Any]:
        """The reply; ``{"unscored": reason}`` when the worker passed the deadline or ended: then it is gone.

        Raises `IdleLossError` when it was gone before, `GraderError` when it never came up; `retry`: whether a worker
        that was killed while it started is `IdleLossError`, too.
        """
        settled = False
        try:
            reply = self._ask({**question, "deadline": deadline}, deadline, retry)
            settled = True
        except TimeoutError:
            reply = {"unscored": f"symbolic comparison passed its deadline of {deadline:g} s"}
        except WorkerLostError as lost:
            reply = {"unscored": f"symbolic comparison ended its worker ({lost})"}
        finally:
            if not settled:  # also when the caller was interrupted: a late reply would answer the next question
                self.kill()
        return reply

    def _ask(self, question: dict[str, Any], deadline: float, retry: bool) -> dict[str, Any]:
        self._await_ready(retry)
        try:
            self._send(question)
        except BrokenPipeError:
            raise IdleLossError from None
        end = time.monotonic() + deadline
        while True:
            reply = self._receive(end)
            if "loading" not in reply:
                return reply
            if not reply["loading"] and self.loaded is not None:
                self.loaded()
            end = time.monotonic() + (START_LIMIT if reply["loading"] else deadline)

    def _await_ready(self, retry: bool) -> None:
        if self.ready:
            return
        try:
            self._receive(time.monotonic() + START_LIMIT)
        except (TimeoutError, WorkerLostError) as error:
            killed = self.process is not None and (self.process.poll() or 0) < 0
            self.kill()
            if killed and retry:
                raise IdleLossError from None  # by someone else: not a worker that cannot start
            raise GraderError(
                f"a grader worker did not start ({error}); run `{sys.executable} -m bon_eval.graders.worker "
                f"{self.memory_mb} 0` to see why"
            ) from None
        self.ready = self.ready_once = True

    def _send(self, question: dict[str, Any]) -> None:
        stream = self.process.stdin if self.process is not None else None
        if stream is None:
            raise WorkerLostError("no process")
        write_message(stream, question)

    def _receive(self, end: float) -> dict[str, Any]:
        (size,) = HEADER.unpack(self._read(HEADER.size, end))
        if size > MAX_MESSAGE:
            raise WorkerLostError("a reply out of bounds")
        reply: dict[str, Any] = json.loads(self._read(size, end))
        return reply

    def _read(self, size: int, end: float) -> bytes:
        if self.process is None or self.process.stdout is None:
            raise WorkerLostError("no process")
        fd = self.process.stdout.fileno()
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        data = b""
        while len(data) < size:
            left = end - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise TimeoutError("it took too long")
            part = os.read(fd, size - len(data))
            if not part:
                raise WorkerLostError(f"exit code {self.process.wait()}")
            data += part
        return data

    def kill(self) -> None:
        """End the process now."""
        process, self.process, self.ready = self.process, None, False
        if process is None:
            return
        process.kill()
        process.wait()
        _close_pipes(process)

    def forget(self) -> None:
        """After a fork, in the child: let go of the parent's worker without touching it."""
        process, self.process, self.ready = self.process, None, False
        if process is not None:
            process.returncode = 0  # not ours to wait for
            _close_pipes(process)


def _close_pipes(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(BrokenPipeError):
                stream.close()


_POOLS: weakref.WeakSet[WorkerPool] = weakref.WeakSet()


class WorkerPool:
    """At most `size` workers, started when needed, each used by one thread at a time."""

    def __init__(self, size: int, *, deadline: float = DEADLINE, memory_mb: int = MEMORY_MB) -> None:
        if size < 1 or deadline <= 0 or memory_mb < 128:
            raise GraderError(
                f"workers {size}, deadline {deadline:g} s, memory {memory_mb} MiB: need at least 1, more than 0 and 128"
            )
        self.size, self.deadline, self.memory_mb = size, deadline, memory_mb
        self.closed = False
        self._reset()
        _POOLS.add(self)

    def _reset(self) -> None:
        self.spare = self.library = False
        self.idle: list[Worker] = []
        self.all: list[Worker] = []
        self.lock = threading.Lock()
        self.places = threading.BoundedSemaphore(self.size)

    def ask(self, question: dict[str, Any], deadline: float | None = None) -> dict[str, Any]:
        """The reply to one question, waiting for a free worker; see `Worker.ask`. `deadline`: other than the pool's."""
        with self.places:
            attempts = itertools.count()
            while True:
                worker = self._take()
                try:
                    return worker.ask(question, deadline or self.deadline, retry=next(attempts) < MAX_RETRIES)
                except IdleLossError:
                    continue
                finally:
                    self._give(worker)

    def _take(self) -> Worker:
        with self.lock:
            worker = self.idle.pop(0) if self.idle else self._start()
            self._keep_spare()
            return worker

    def _start(self) -> Worker:
        worker = Worker(self.memory_mb, library=self.library, loaded=self._library_loaded)
        self.all.append(worker)
        return worker

    def _keep_spare(self) -> None:
        """Once a worker was lost or took time to load math-verify: one more stands by, so that nobody waits for it."""
        if self.spare and not self.idle and not self.closed:
            self.idle.append(self._start())

    def _library_loaded(self) -> None:
        with self.lock:
            self.library = self.spare = True
            self._keep_spare()

    def _give(self, worker: Worker) -> None:
        """Take a worker back, or note its loss."""
        with self.lock:
            if self.closed:
                worker.kill()
            elif worker.process is not None:
                self.idle.insert(0, worker)
            else:
                self.all.remove(worker)
                if worker.ready_once:
                    self.spare = True
                    self._keep_spare()

    def close(self) -> None:
        """End all workers."""
        with self.lock:
            self.closed = True
            workers, self.idle, self.all = self.all, [], []
        for worker in workers:
            worker.kill()

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def forget(self) -> None:
        """After a fork, in the child: start afresh."""
        for worker in self.all:
            worker.forget()
        self._reset()


def _after_fork() -> None:
    global _SHARED_LOCK
    _SHARED_LOCK = threading.Lock()
    for pool in list(_POOLS):
        pool.forget()


def _at_exit() -> None:
    for pool in list(_POOLS):
        pool.close()


_SHARED_LOCK = threading.Lock()
_SHARED: dict[str, WorkerPool] = {}


def shared_pool() -> WorkerPool:
    """The pool behind single verdicts: at most four workers, with the default limits."""
    with _SHARED_LOCK:
        if "pool" not in _SHARED:
            _SHARED["pool"] = WorkerPool(min(4, os.cpu_count() or 1), deadline=SINGLE_DEADLINE)
        return _SHARED["pool"]


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
