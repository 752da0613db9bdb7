"""Stopping a run: what Ctrl-C and SIGTERM do while it samples, and elsewhere.

While sampling the first signal lets what is in flight finish and be stored, a second one stops at once. Elsewhere there
is nothing to finish, and the first one stops. Signals that come together are one: `timeout`, Slurm and a terminal's
process group deliver theirs twice within a moment.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, TypeVar

from bon_eval.errors import counted

T = TypeVar("T")
_STOPS = (signal.SIGINT, signal.SIGTERM)
TOGETHER = 2.0
"""Signals within so many seconds of the first of them are one."""
_AGAIN = f"Ctrl-C again, {TOGETHER:.0f} seconds from now or later, stops at once"


class Stopped(KeyboardInterrupt):
    """A signal ended the work; `signum` says which. Like Ctrl-C it is no error that code in between may handle."""

    def __init__(self, signum: int) -> None:
        super().__init__()
        self.signum = signum

    @property
    def exit_code(self) -> int:
        """130 for Ctrl-C, 143 for SIGTERM, as shells have it."""
        return 128 + self.signum


class _Burst:
    """Signals that are one."""

    def __init__(self) -> None:
        self._began = float("-inf")

    def goes_on(self) -> bool:
        """Whether the signal that has come belongs to those before; else it begins a burst of its own."""
        now = time.monotonic()
        if now - self._began < TOGETHER:
            return True
        self._began = now
        return False


class _AtOnce:
    """A handler that raises `Stopped`, and knows that it did."""

    def __init__(self) -> None:
        self.signum: int | None = None
        self.burst = _Burst()

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        if not self.burst.goes_on():
            self.signum = signum
            raise Stopped(signum)


@contextmanager
def stopping_at_once() -> Iterator[None]:
    """Ctrl-C and SIGTERM raise `Stopped`. Without effect outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = _AtOnce()
    before = {signum: signal.signal(signum, handler) for signum in _STOPS}
    try:
        yield
    finally:
        for signum, former in before.items():
            signal.signal(signum, former)


def stop_if_asked() -> None:
    """Raise `Stopped` where a signal came and what it raised was lost, as in an import that catches everything."""
    for signum in _STOPS:
        handler = signal.getsignal(signum)
        if isinstance(handler, _AtOnce) and handler.signum is not None:
            raise Stopped(handler.signum)


class Drain:
    """Lets requests in until a signal comes. Use as a context manager around an engine's stream of responses.

    Outside the main thread no signal is looked at.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        """The signal that asked to stop; None while there was none."""
        self.flying = 0
        """Requests that the engine has taken and not answered."""
        self._before: dict[signal.Signals, Any] = {}
        self._burst = _Burst()

    def feed(self, requests: Iterable[T]) -> Iterator[T]:
        """The requests as the engine takes them, none after a signal."""
        for request in requests:
            if self.signum is not None:
                return
            self.flying += 1
            yield request

    def landed(self) -> None:
        """Count one request as answered."""
        self.flying -= 1

    def __enter__(self) -> Drain:
        if threading.current_thread() is threading.main_thread():
            self._before = {signum: signal.signal(signum, self._handle) for signum in _STOPS}
            for handler in self._before.values():
                if isinstance(handler, _AtOnce):
                    self._burst = handler.burst  # what began here may still go on when that one is back
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self._burst.goes_on():
            return
        if self.signum is not None:
            raise Stopped(signum)
        self.signum = signum
        # Not by print: a handler may run in the middle of another print to the same stream.
        what = f"{counted(self.flying, 'request')} in flight"
        with contextlib.suppress(OSError):  # the terminal may be gone, which is no reason to lose what is in flight
            os.write(2, f"\nstopping: {what} will be finished and stored; {_AGAIN}\n".encode())
