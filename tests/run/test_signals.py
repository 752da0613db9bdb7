"""The handlers alone: no run, no engine."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from typing import Any

import pytest

from bon_eval.engines.base import Pulse
from bon_eval.run.console import signals
from bon_eval.run.console.signals import TOGETHER, Drain, Stopped, stop_if_asked, stopping_at_once


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_that_a_library_swallowed_is_not_forgotten(signum: int, code: int) -> None:
    with stopping_at_once():
        stop_if_asked()  # nothing yet
        with contextlib.suppress(KeyboardInterrupt):  # as a bare `except` in somebody's import does
            os.kill(os.getpid(), signum)
        with pytest.raises(Stopped) as caught:
            stop_if_asked()
    assert caught.value.exit_code == code
    stop_if_asked()  # of the past, once the command is over


def wait_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signals from now on do not belong to those before."""
    later = time.monotonic() + TOGETHER
    monkeypatch.setattr(signals.time, "monotonic", lambda: later)


def test_signals_that_come_together_are_one() -> None:
    """One that arrives while the first one's cleaning up goes on does not break into it, also behind a `Drain`."""
    engine: Any = Told()
    with stopping_at_once():
        with Drain(engine) as drain:
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
    assert drain.signum == signal.SIGTERM
    with stopping_at_once():
        with pytest.raises(Stopped):
            os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)


class Told:
    """What `Drain` asks of an engine, and what it was told."""

    pulse = Pulse(0, 2, 30)

    def __init__(self) -> None:
        self.orders: list[bool] = []

    def stop(self, *, at_once: bool = False) -> None:
        self.orders.append(at_once)


@pytest.mark.parametrize("other", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_ends_the_feed_the_second_the_work_and_the_third_breaks_in(
    other: int, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    engine: Any = Told()
    with Drain(engine) as drain:
        taken = drain.feed(range(10))
        assert [next(taken), next(taken), next(taken)] == [0, 1, 2]
        os.kill(os.getpid(), signal.SIGTERM)
        assert (drain.signum, drain.at_once, engine.orders) == (signal.SIGTERM, False, [False])
        assert list(taken) == []
        said = capfd.readouterr().err
        assert "stopping: 2 responses that are begun will be finished and stored, 30 that are not begun are" in said
        for together in (signal.SIGTERM, signal.SIGINT):  # as `timeout` and process groups send them
            os.kill(os.getpid(), together)
        assert (drain.signum, drain.at_once, capfd.readouterr().err) == (signal.SIGTERM, False, "")
        wait_out(monkeypatch)
        os.kill(os.getpid(), other)
        assert (drain.signum, drain.at_once, engine.orders) == (other, True, [False, True])
        assert "stopping at once: what has finished is stored" in capfd.readouterr().err
        wait_out(monkeypatch)
        stored = []

        def store() -> None:
            with drain.undisturbed():
                os.kill(os.getpid(), other)
                stored.append("whole")

        with pytest.raises(Stopped) as caught:
            store()
        assert stored == ["whole"], "nothing breaks into what is stored"
        wait_out(monkeypatch)
        with pytest.raises(Stopped):
            os.kill(os.getpid(), other)
        os.kill(os.getpid(), other)
    assert caught.value.signum == other
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_outside_the_main_thread_nothing_is_installed() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen = []
    engine: Any = Told()

    def work() -> None:
        with stopping_at_once(), Drain(engine) as drain:
            seen.append((list(drain.feed(range(3))), signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [([0, 1, 2], before)]
