"""The handlers alone: no run, no engine."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time

import pytest

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
    with stopping_at_once():
        with Drain() as drain:
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
    assert drain.signum == signal.SIGTERM
    with stopping_at_once():
        with pytest.raises(Stopped):
            os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_ends_the_feed_and_the_second_one_all(
    second: int, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Drain() as drain:
        taken = drain.feed(range(10))
        assert [next(taken), next(taken), next(taken)] == [0, 1, 2]
        drain.landed()
        os.kill(os.getpid(), signal.SIGTERM)
        assert drain.signum == signal.SIGTERM
        assert list(taken) == []
        assert "2 requests in flight will be finished" in capfd.readouterr().err
        for together in (signal.SIGTERM, signal.SIGINT):  # as `timeout` and process groups send them
            os.kill(os.getpid(), together)
        assert (drain.signum, capfd.readouterr().err) == (signal.SIGTERM, "")
        wait_out(monkeypatch)
        with pytest.raises(Stopped) as caught:
            os.kill(os.getpid(), second)
        os.kill(os.getpid(), second)
    assert caught.value.signum == second
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_outside_the_main_thread_nothing_is_installed() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def work() -> None:
        with stopping_at_once(), Drain() as drain:
            seen.append((list(drain.feed(range(3))), signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [([0, 1, 2], before)]
