"""The pool of worker processes: each used by one thread at a time, replaced when lost.

Safe from any thread and after a fork.
"""

from __future__ import annotations

import atexit
import itertools
import os
import threading
import weakref
from typing import Any

from bon_eval.errors import GraderError
from bon_eval.graders.workers.process import IdleLossError, Worker

DEADLINE = 0.6
"""Seconds of the worker's processor time for one symbolic comparison."""
MORE = 3
"""How many times that is given to a comparison that was not done, when the rest is."""
MEMORY_MB = 1_024
"""Address space of a worker in MiB."""
MAX_RETRIES = 5
"""How often a worker that somebody else killed is replaced for one question."""


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

    def warm(self) -> None:
        """Start a worker where there is none, so that the first question need not wait for it."""
        with self.lock:
            if not self.all and not self.closed:
                self.idle.append(self._start())

    def lend(self, other: WorkerPool) -> None:
        """Give an idle worker for good to a pool of the same limits, which then starts one less."""
        with self.lock:
            worker = self.idle.pop(0) if self.idle else None
            if worker is not None:
                self.all.remove(worker)
        if worker is not None:
            worker.loaded = other._library_loaded
            with other.lock:
                other.idle.append(worker)
                other.all.append(worker)

    def ask_again(self, question: dict[str, Any], deadline: float | None = None) -> dict[str, Any]:
        """The reply of a fresh worker with `MORE` times the deadline, to a question whose reply says ``again``."""
        return self.ask(question, MORE * (deadline or self.deadline), fresh=True)

    def ask(self, question: dict[str, Any], deadline: float | None = None, *, fresh: bool = False) -> dict[str, Any]:
        """The reply to one question, waiting for a free worker; see `Worker.ask`.

        `deadline`: other than the pool's; `fresh`: of a worker that was not asked before.
        """
        with self.places:
            attempts = itertools.count()
            while True:
                worker = self._take(fresh)
                try:
                    return worker.ask(question, deadline or self.deadline, retry=next(attempts) < MAX_RETRIES)
                except IdleLossError:
                    continue
                finally:
                    self._give(worker)

    def _take(self, fresh: bool) -> Worker:
        with self.lock:
            if fresh:
                self._drop_used()
            worker = self.idle.pop(0) if self.idle else self._start()
            self._keep_spare()
            return worker

    def _drop_used(self) -> None:
        for worker in [worker for worker in self.idle if worker.asked]:
            self.idle.remove(worker)
            self.all.remove(worker)
            worker.kill()

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
    """The pool behind single decisions: at most four workers, with the default limits."""
    with _SHARED_LOCK:
        if "pool" not in _SHARED:
            _SHARED["pool"] = WorkerPool(min(4, os.cpu_count() or 1))
        return _SHARED["pool"]


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
