"""Progress on standard error: a bar on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

_EVERY_S = 5.0


class Progress:
    """Counts units of work (problems, say) and, beside them, responses and tokens.

    Args:
        total: units in all.
        done: units that an earlier session has finished.
        label: first word of the line.
        unit: plural name of what is counted.
    """

    def __init__(self, total: int, *, done: int = 0, label: str, unit: str, quiet: bool = False) -> None:
        self._total, self._done, self._start_done = total, done, done
        self._label, self._unit, self._quiet = label, unit, quiet
        self._responses = self._tokens = 0
        self._began = self._last = time.monotonic()
        self._bar: Any = None
        if not quiet and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=total,
                initial=done,
                desc=label,
                unit=f" {unit}",
                dynamic_ncols=True,
                disable=False,
                bar_format="{desc} {percentage:3.0f}%|{bar}| {n}/{total}{unit} [{elapsed}<{remaining}{postfix}]",
            )

    def advance(self, units: int, *, responses: int = 0, tokens: int = 0) -> None:
        """Add finished work and show it when it is time to."""
        self._done += units
        self._responses += responses
        self._tokens += tokens
        if self._bar is not None:
            if self._responses:
                self._bar.set_postfix_str(self._counts(), refresh=False)
            self._bar.update(units)
        elif not self._quiet and time.monotonic() - self._last >= _EVERY_S:
            self._last = time.monotonic()
            print(self._line(), file=sys.stderr, flush=True)

    def _counts(self) -> str:
        seconds = max(time.monotonic() - self._began, 1e-9)
        return f"{self._responses:,} responses, {self._tokens / seconds:,.0f} tokens/s"

    def _line(self) -> str:
        seconds = time.monotonic() - self._began
        rate = (self._done - self._start_done) / seconds if seconds > 0 else 0.0
        left = f"{(self._total - self._done) / rate:,.0f} s left" if rate > 0 else "time left unknown"
        counts = f"{self._counts()}, " if self._responses else ""
        return f"{self._label}: {self._done}/{self._total} {self._unit}, {counts}{left}"

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        elif not self._quiet and kind is None:
            print(self._line(), file=sys.stderr, flush=True)


def say(text: str, quiet: bool) -> None:
    """One line of progress on standard error."""
    if not quiet:
        print(text, file=sys.stderr, flush=True)
