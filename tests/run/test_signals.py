"""The handlers alone: no run, no engine."""

from __future__ import annotations

import contextlib
import os
import signal
import threading

import pytest

from bon_eval.run.console.signals import Drain, Stopped, stop_if_asked, stopping_at_once


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


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_ends_the_feed_and_the_second_one_all(second: int, capfd: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Drain() as drain:
        taken = drain.feed(range(10))
        assert [next(taken), next(taken), next(taken)] == [0, 1, 2]
        drain.landed()
        os.kill(os.getpid(), signal.SIGTERM)
        assert drain.signum == signal.SIGTERM
        assert list(taken) == []
        assert "2 requests in flight will be finished" in capfd.readouterr().err
        with pytest.raises(Stopped) as caught:
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
