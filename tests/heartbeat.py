"""What the thread of a `Progress` does: a test goes on once it was seen, however slow or fast the machine is."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from bon_eval.run.console import progress

LONG_S = 300.0
"""Longest wait for what must come, in seconds."""


class Heartbeat:
    """The beats of every `Progress` from now on: each is a line, or a new state of the bar, a moment after the last."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._changed = threading.Condition()
        self._beats = 0
        self._lines: list[str] = []
        counts, say = progress.Progress._counts, progress.say

        def counted(of: progress.Progress, **how: Any) -> str:
            with self._changed:
                self._beats += 1
                self._changed.notify_all()
            return counts(of, **how)

        def said(text: str, quiet: bool) -> None:
            say(text, quiet)
            with self._changed:
                self._lines.append(text)
                self._changed.notify_all()

        monkeypatch.setattr(progress.Progress, "_counts", counted)
        monkeypatch.setattr(progress, "say", said)
        monkeypatch.setattr(progress, "LINE_S", 0.05)
        monkeypatch.setattr(progress, "BAR_S", 0.05)
        monkeypatch.setattr(progress, "CLOSE_S", LONG_S)

    def shown(self) -> None:
        """Return when what is true now was shown: the next beat is over as the one after it begins."""
        with self._changed:
            now = self._beats
            assert self._changed.wait_for(lambda: self._beats >= now + 2, LONG_S)

    def said(self, start: str, times: int = 1) -> bool:
        """Whether so many lines have begun so, once they have."""
        with self._changed:
            return self._changed.wait_for(lambda: sum(line.startswith(start) for line in self._lines) >= times, LONG_S)


@pytest.fixture
def heartbeat(monkeypatch: pytest.MonkeyPatch) -> Heartbeat:
    """Made before the work that it looks at."""
    return Heartbeat(monkeypatch)
