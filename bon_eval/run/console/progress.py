"""Progress on standard error, from a thread of its own: a bar on a terminal, a plain line every few seconds elsewhere.

The thread shows what the engine counts, so that it has something to say while no response is finished, and while the
engine is inside a long step. The work never waits for it: whatever happens to it, sampling goes on.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, TypeVar

from bon_eval.engines.base import Engine, Pulse
from bon_eval.errors import counted, first_line

T = TypeVar("T")
LINE_S = 5.0
"""Seconds between two plain lines,"""
OFTEN_S = 600.0
"""for so many seconds;"""
SELDOM_S = 30.0
"""then so many seconds between two, so that the log of a long run stays readable."""
BAR_S = 1.0
"""Seconds between two updates of a bar."""
RATE_S = 30.0
"""The rate is that of the last so many seconds."""
CLOSE_S = 2.0
"""Longest wait for the thread at the end: it hangs where nobody reads what it writes, as after Ctrl-S."""


class Progress:
    """Counts units of work (problems, say) and responses, and shows them beside the engine's own counts.

    Args:
        total: units in all.
        done: units that an earlier session has finished.
        label: first word of the line.
        unit: plural name of what is counted.
        engine: what works, an open engine; None where none does.
        brief: nothing is said at the end, nor in the first seconds: what is soon over says nothing at all.
    """

    def __init__(
        self,
        total: int,
        *,
        done: int = 0,
        label: str,
        unit: str,
        engine: Engine | None = None,
        brief: bool = False,
        quiet: bool = False,
    ) -> None:
        self._total, self._done, self._start_done = total, done, done
        self._label, self._unit, self._quiet = label, unit, quiet
        self._engine, self._brief = engine, brief
        self._responses = 0
        self._began = time.monotonic()
        self._rate = Rate(self._began)
        self._tokens_before = 0
        self._over, self._whole = threading.Event(), False
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)

    def advance(self, units: int, *, responses: int = 0) -> None:
        """Add finished work."""
        self._done += units
        self._responses += responses

    def over(self, finished: Iterable[T]) -> Iterator[T]:
        """What is finished, each counted as one unit once it was taken in."""
        for one in finished:
            yield one
            self.advance(1)

    def __enter__(self) -> Progress:
        if not self._quiet:
            self._began = time.monotonic()
            self._rate = Rate(self._began)
            if self._engine is not None:
                self._tokens_before = self._engine.pulse.tokens
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._whole = kind is None
        self._over.set()
        if not self._quiet:
            self._thread.join(CLOSE_S)

    def _run(self) -> None:
        """The thread. A terminal that is gone is no news; anything else that fails ends the progress alone."""
        try:
            if sys.stderr.isatty():
                self._draw_bar()
            else:
                self._print_lines()
        except OSError:
            pass
        except Exception as error:  # noqa: BLE001
            with contextlib.suppress(OSError, ValueError):
                say(f"{self._label}: no progress is shown from here on ({first_line(error)}); the work goes on", False)

    def _print_lines(self) -> None:
        while not self._over.wait(LINE_S if time.monotonic() - self._began < OFTEN_S else SELDOM_S):
            say(self._line(self._counts()), False)
        if self._whole and not self._brief:
            say(self._line(self._counts(whole=True)), False)

    def _draw_bar(self) -> None:
        from tqdm import tqdm

        if self._brief and self._over.wait(LINE_S):
            return
        # Some terminals, as of a container, say that they have no columns; tqdm then shows nothing.
        sized = os.get_terminal_size(sys.stderr.fileno()).columns > 0
        bar: Any = tqdm(
            total=self._total,
            initial=self._start_done,
            desc=self._label,
            unit=f" {self._unit}",
            leave=not self._brief,
            dynamic_ncols=sized,
            ncols=None if sized else 100,
            disable=False,
            bar_format="{desc} {percentage:3.0f}%|{bar}| {n}/{total}{unit} [{elapsed}<{remaining}{postfix}]",
        )
        with bar:
            over = False
            while not over:
                over = self._over.wait(BAR_S)
                bar.n = self._done
                bar.set_postfix_str(self._counts(whole=over and self._whole, short=True))

    def _counts(self, *, whole: bool = False, short: bool = False) -> str:
        """The engine's counts and the responses that are finished; at the end with the rate of the whole time."""
        if self._engine is None:
            return ""
        pulse, now = self._engine.pulse, time.monotonic()
        tokens = pulse.tokens - self._tokens_before
        # Tokens that come with whole answers come in lots: their rate of a few seconds says nothing.
        of_all = whole or not pulse.live
        rate = tokens / max(now - self._began, 1e-9) if of_all else self._rate.of(now, tokens)
        responses = f", {counted(self._responses, 'response')}" if self._responses else ""
        return at_work(pulse, tokens, rate, short=short) + responses

    def _line(self, counts: str) -> str:
        seconds = time.monotonic() - self._began
        rate = (self._done - self._start_done) / seconds if seconds > 0 else 0.0
        left = f"{(self._total - self._done) / rate:,.0f} s left" if rate > 0 else "time left unknown"
        return f"{self._label}: {self._done}/{self._total} {self._unit}, {f'{counts}, ' if counts else ''}{left}"


class Rate:
    """Tokens per second over the last `RATE_S` seconds, or since the beginning where that is shorter."""

    def __init__(self, began: float) -> None:
        self._seen = deque([(began, 0)])

    def of(self, now: float, tokens: int) -> float:
        """The rate with another count of all tokens so far, at a time in seconds that only rises."""
        self._seen.append((now, tokens))
        while len(self._seen) > 2 and self._seen[1][0] <= now - RATE_S:
            self._seen.popleft()
        then, before = self._seen[0]
        return (tokens - before) / max(now - then, 1e-9)


def at_work(pulse: Pulse, tokens: int, rate: float, *, short: bool = False) -> str:
    """An engine's counts in words.

    Args:
        pulse: as the engine gives it.
        tokens: since the work began.
        rate: tokens per second.
        short: for a line that ends with the terminal's last column.

    >>> at_work(Pulse(0, 0, 360), 0, 0.0)
    '0 tokens/s, 360 sequences in the engine (360 without a token yet), 0 tokens'
    >>> at_work(Pulse(1234, 360, 0), 1234, 3.456)
    '3.5 tokens/s, 360 sequences in the engine, 1,234 tokens'
    >>> at_work(Pulse(1234, 256, 104), 1234, 12.3, short=True)
    '12 tokens/s, 360 sequences, 1,234 tokens'
    >>> at_work(Pulse(0, 360, 0, live=False), 0, 0.0)
    '360 responses awaited from the server, 0 tokens in those that came'
    """
    rated = f"{rate:,.0f} tokens/s" if rate >= 9.5 else f"{rate:.2g} tokens/s"
    held = pulse.begun + pulse.unbegun
    if not pulse.live:
        awaited = f"{counted(held, 'response')} awaited{'' if short else ' from the server'}, " if held else ""
        return f"{awaited}{counted(tokens, 'token')} in those that came{f', {rated}' if tokens else ''}"
    where = " in the engine" + (f" ({pulse.unbegun:,} without a token yet)" if pulse.unbegun else "")
    in_hand = f"{counted(held, 'sequence')}{'' if short else where}, " if held else ""
    return f"{rated}, {in_hand}{counted(tokens, 'token')}"


def say(text: str, quiet: bool) -> None:
    """One line of progress on standard error."""
    if not quiet:
        print(text, file=sys.stderr, flush=True)
