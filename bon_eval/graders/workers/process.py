"""One worker process from the caller's side: started, asked, replaced when it is gone.

The deadline is the worker's own processor time, and the kernel ends it there: how busy the machine is does not show.
Signal handlers are left alone, and a worker never outlives the caller: its input ends, and it looks for its parent.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bon_eval.errors import GraderError
from bon_eval.graders.workers.own_file import shown_name
from bon_eval.graders.workers.worker import HEADER, MAX_MESSAGE, write_message

START_LIMIT = 300.0
"""Seconds of wall time within which a worker must be up, and load math-verify."""
_OUT_OF_TIME = (-signal.SIGPROF, -signal.SIGXCPU)
OUT_OF_MEMORY = "out of memory"
_CLOSED_S = 5.0
"""Seconds that a worker may live on behind its closed pipe."""


def backstop(deadline: float) -> float:
    """Seconds of wall time after which a worker that uses no processor time is given up."""
    return 60.0 + 30.0 * deadline


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
        self.asked = 0
        """Questions so far."""
        self.start()

    def start(self) -> None:
        """Start the process; does not wait for it."""
        if not sys.executable:
            raise GraderError("no grader worker: sys.executable is empty; run under an ordinary Python interpreter")
        root = str(Path(__file__).resolve().parents[3])
        paths = [root, *(p for p in sys.path if p and os.path.isabs(p) and p != root)]
        command = [sys.executable, "-P", "-m", "bon_eval.graders.workers.worker", str(self.memory_mb), str(os.getpid())]
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

        `deadline`: seconds of the worker's processor time. ``again`` in a reply: that a fresh worker with more time
        could do better.

        Raises `IdleLossError` when it was gone before, `GraderError` when it never came up; `retry`: whether a worker
        that was killed while it started is `IdleLossError`, too.
        """
        settled = False
        self.asked += 1
        what = f"grader {shown_name(question['grader'])}" if "grader" in question else "symbolic comparison"
        try:
            reply = self._ask({**question, "deadline": deadline}, deadline, retry)
            # What earlier questions left behind takes memory, too.
            settled = reply.get("unscored") != OUT_OF_MEMORY
            if not settled and self.asked > 1:
                reply["again"] = True
        except TimeoutError as error:
            reply = {"unscored": f"{what} is stuck, a defect: {error}"}
        except WorkerLostError as lost:
            late = self.process is not None and self.process.poll() in _OUT_OF_TIME
            why = f"passed its deadline of {deadline:g} s of processor time" if late else f"ended its worker ({lost})"
            reply = {"unscored": f"{what} {why}", "again": True}
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
        limit = backstop(deadline)
        while True:
            reply = self._receive(limit)
            if "loading" not in reply:
                return reply
            if reply.get("library") and self.loaded is not None:
                self.loaded()
            limit = START_LIMIT if reply["loading"] else backstop(deadline)

    def _await_ready(self, retry: bool) -> None:
        if self.ready:
            return
        try:
            self._receive(START_LIMIT)
        except (TimeoutError, WorkerLostError) as error:
            killed = self.process is not None and (self.process.poll() or 0) < 0
            self.kill()
            if killed and retry:
                raise IdleLossError from None  # by someone else: not a worker that cannot start
            raise GraderError(
                f"a grader worker did not start ({error}); run `{sys.executable} -m bon_eval.graders.workers.worker "
                f"{self.memory_mb} 0` to see why"
            ) from None
        self.ready = self.ready_once = True

    def _send(self, question: dict[str, Any]) -> None:
        stream = self.process.stdin if self.process is not None else None
        if stream is None:
            raise WorkerLostError("no process")
        write_message(stream, question)

    def _receive(self, limit: float) -> dict[str, Any]:
        """The next message; `TimeoutError` after so many seconds of wall time."""
        end = time.monotonic() + limit
        try:
            return self._message(end)
        except TimeoutError:
            raise TimeoutError(f"no reply in {limit:g} s of wall time") from None

    def _message(self, end: float) -> dict[str, Any]:
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
                raise TimeoutError
            part = os.read(fd, size - len(data))
            if not part:
                raise WorkerLostError(f"exit code {_exit_code(self.process)}")
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


def _exit_code(process: subprocess.Popen[bytes]) -> int:
    """Of a process that closed its pipe; one that lives on is killed."""
    try:
        return process.wait(_CLOSED_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _close_pipes(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(BrokenPipeError):
                stream.close()
