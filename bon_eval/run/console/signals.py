"""Stopping a run: what Ctrl-C and SIGTERM do while it samples, and elsewhere.

While sampling the first signal lets what is begun finish and be stored, and gives back what is not; a second one stops
after the engine's step, a third one in the midst of it, and what has finished is stored in any case. Elsewhere there is
nothing to finish, and the first one stops. Signals that come together are one: `timeout`, Slurm and the process group
of a terminal deliver theirs twice within a moment.
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

from bon_eval.engines.base import Engine, Pulse
from bon_eval.errors import counted

T = TypeVar("T")
_STOPS = (signal.SIGINT, signal.SIGTERM)
TOGETHER = 2.0
"""Signals within so many seconds of the first of them are one."""
_AGAIN = f"Ctrl-C again, {TOGETHER:.0f} seconds from now or later, "


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
    """Lets requests in until a signal comes, which stops the engine. Use as a context manager around its stream.

    Outside the main thread no signal is looked at.
    """

    def __init__(self, engine: Engine) -> None:
        self.signum: int | None = None
        """The last signal that asked to stop; None while there was none."""
        self.at_once = False
        """Whether what is begun was given up."""
        self._engine = engine
        self._busy = False
        self._pending: int | None = None
        self._before: dict[signal.Signals, Any] = {}
        self._burst = _Burst()

    def feed(self, requests: Iterable[T]) -> Iterator[T]:
        """The requests as the engine takes them, none after a signal."""
        for request in requests:
            if self.signum is not None:
                return
            yield request

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """What no signal breaks into: a third one, which raises `Stopped`, does so at the end."""
        self._busy = True
        try:
            yield
        finally:
            self._busy = False
        if self._pending is not None:
            raise Stopped(self._pending)

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
        first, second = self.signum is None, not self.at_once
        self.signum = signum
        if first:
            in_hand = told(self._engine.pulse)
            self._engine.stop()
            _say(f"stopping: {in_hand}; {_AGAIN}stops at once")
        elif second:
            self.at_once = True
            self._engine.stop(at_once=True)
            _say(f"stopping at once: what has finished is stored; {_AGAIN}does not wait for the engine's step")
        elif not self._busy:
            raise Stopped(signum)
        else:
            self._pending = signum


def told(pulse: Pulse) -> str:
    """What becomes of what an engine has in hand, in words.

    >>> told(Pulse(0, 12, 340))
    '12 responses that are begun will be finished and stored, 340 that are not begun are given back'
    >>> told(Pulse(0, 1, 0))
    '1 response that is begun will be finished and stored'
    >>> told(Pulse(0, 128, 0, live=False))
    '128 responses awaited from the server will be finished and stored'
    """
    are = "is" if pulse.begun == 1 else "are"
    which = f"that {are} begun" if pulse.live else "awaited from the server"
    given_back = f", {pulse.unbegun:,} that are not begun are given back" if pulse.unbegun else ""
    return f"{counted(pulse.begun, 'response')} {which} will be finished and stored{given_back}"


def _say(text: str) -> None:
    # Not by print: a handler may run in the middle of another print to the same stream.
    with contextlib.suppress(OSError):  # the terminal may be gone, which is no reason to lose what is begun
        os.write(2, f"\n{text}\n".encode())
