"""The heartbeat of a run: what it says while nothing is finished, with a terminal and without, and what it never does.

The engine is transformers on the embedded model, its responses without an end token: all are cut at the same step, so
that for hundreds of steps none is finished.
"""

from __future__ import annotations

import os
import re
import select
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from heartbeat import Heartbeat

pytest.importorskip("torch")
pytest.importorskip("transformers")

from bon_eval.engines.base import EngineSpec, Pulse
from bon_eval.engines.models import ASSETS
from bon_eval.engines.transformers import TransformersEngine
from bon_eval.engines.transformers.decode import Decoder
from bon_eval.records import ForcedSequence, Response
from bon_eval.run.console import progress as console
from bon_eval.run.console.progress import Progress, Rate
from bon_eval.run.options import RunOptions
from bon_eval.run.prepare import prepare
from bon_eval.run.sampling import sample
from bon_eval.store.reader import iter_responses
from bon_eval.store.writer import RunStore

MIXED = ASSETS / "arith-mixed"
PROBLEMS, N, TOKENS = 2, 24, 120
LINE = re.compile(r"^sampling: (\d)/2 problems, (\S+) tokens/s, (?:([\d,]+) sequences? in the engine.*, )?(\S+) tokens")


@pytest.fixture(scope="module")
def engine() -> Iterator[TransformersEngine]:
    with TransformersEngine(EngineSpec(str(MIXED), dtype="float32")) as opened:
        yield opened


def sampled(engine: TransformersEngine, out: Path, *, quiet: bool = False) -> list[Response]:
    """A run's sampling, as `bon-eval run` does it, of responses that do not end."""
    import pyarrow as pa

    ready = prepare(
        RunOptions(str(MIXED), "arith", n=N, limit=PROBLEMS, max_tokens=TOKENS, engine="transformers", out=out)
    )
    config = replace(ready.config, stop_token_ids=())
    table = pa.table(
        {
            "prompt": pa.array([p.text for p in ready.prompts]),
            "prompt_token_ids": pa.array([list(p.token_ids) for p in ready.prompts], pa.list_(pa.int32())),
        }
    )
    engine._generator.manual_seed(5)
    with RunStore(ready.directory, config, ready.problems, table) as store:
        store.begin_session("test", {}, engine.facts)
        sample(store, engine, ready.prompts, quiet=quiet)
    return list(iter_responses(ready.directory))


@pytest.fixture
def paced(heartbeat: Heartbeat) -> Iterator[pytest.MonkeyPatch]:
    """Every thirtieth step waits until it was shown what the steps before have made, however fast they are."""
    made, step = 0, Decoder._step

    def shown(decoder: Decoder) -> None:
        nonlocal made
        made += 1
        if made % 30 == 0:
            heartbeat.shown()
        step(decoder)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Decoder, "_step", shown)
        yield patch


def test_lines_count_tokens_before_the_first_response_and_nothing_else_changes(
    paced: pytest.MonkeyPatch, engine: TransformersEngine, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    responses = sampled(engine, tmp_path / "told")
    lines = capfd.readouterr().err.splitlines()
    assert {r.n_tokens for r in responses} == {TOKENS}
    assert len(responses) == PROBLEMS * (N + 1)
    found = [LINE.match(line) for line in lines]
    assert all(found), lines
    counts = [int(m[4].replace(",", "")) for m in found if m]
    early = [count for line, count in zip(lines, counts, strict=True) if "response" not in line]
    assert len(set(early)) >= 3, "it counts while nothing is finished"
    assert counts == sorted(counts)
    assert early[0] < early[-1] <= counts[-1] == sum(r.n_tokens for r in responses)
    assert any(m and m[3] == str(len(responses)) and m[1] == "0" and m[2] != "0" for m in found)
    assert f"{len(responses)} responses, 0 s left" in lines[-1]
    assert "in the engine" not in lines[-1]
    paced.undo()
    assert sampled(engine, tmp_path / "quiet", quiet=True) == responses
    assert capfd.readouterr().err == ""


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch, *, columns: int = 150, read: bool = True) -> Iterator[list[bytes]]:
    """Standard error is a pseudo-terminal; what was written to it, in a list, at the end where it is `read`."""
    own, theirs = os.openpty()
    termios.tcsetwinsize(own, (40, columns))
    seen: list[bytes] = []

    def drain() -> None:
        try:
            while data := os.read(own, 4096):
                seen.append(data)
        except OSError:  # how Linux tells that the other end is closed
            pass

    reader = threading.Thread(target=drain, daemon=True)
    with os.fdopen(theirs, "w", encoding="utf-8") as stderr, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stderr)
        if read:
            reader.start()
        yield seen
        if not read:
            reader.start()
    reader.join(300)
    os.close(own)


@pytest.mark.parametrize("columns", [80, 0])
def test_a_terminal_has_one_line_that_moves_before_the_first_response(
    paced: None, engine: TransformersEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    with terminal(monkeypatch, columns=columns) as seen:
        sampled(engine, tmp_path / "run")
    text = b"".join(seen).decode()
    shown = re.findall(r"\r[^\r]*0/2 problems[^\r]*?([\d,]+) tokens/s, 50 sequences", text)
    assert len(set(shown)) >= 3, repr(text)
    assert text.count("\n") == 1, "one line, at the end"


def test_forcing_counts_the_tokens_that_it_has_scored(
    heartbeat: Heartbeat, engine: TransformersEngine, capfd: pytest.CaptureFixture[str]
) -> None:
    sequences = [ForcedSequence(str(k), (5, 6, 7, 8 + k % 3), tuple(range(9, 9 + 40))) for k in range(600)]
    before = engine.pulse.tokens
    with Progress(600, label="scoring", unit="responses", engine=engine) as progress:
        for _ in engine.score(sequences):
            progress.advance(1)
            assert engine.pulse.begun < 512
        assert engine.pulse == Pulse(before + 600 * 40, 0, 0)
    assert "scoring: 600/600 responses" in capfd.readouterr().err.splitlines()[-1]


class Broken:
    """What `Progress` asks of an engine, and does not get after the first time."""

    asked = 0

    @property
    def pulse(self) -> Pulse:
        self.asked += 1
        if self.asked > 1:
            raise ValueError("out of order")
        return Pulse(0, 0, 0)


def test_a_progress_that_fails_says_so_once_and_the_work_goes_on(
    heartbeat: Heartbeat, capfd: pytest.CaptureFixture[str]
) -> None:
    engine: Any = Broken()
    said = "sampling: no progress is shown from here on (out of order); the work goes on"
    with Progress(3, label="sampling", unit="problems", engine=engine) as progress:
        for _ in range(3):
            assert heartbeat.said(said)
            progress.advance(1)
    assert capfd.readouterr().err.splitlines() == [said]


def test_a_terminal_that_takes_nothing_does_not_hold_up_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """The terminal is read when all is over, and not before."""
    monkeypatch.setattr(console, "CLOSE_S", 0.5)
    monkeypatch.setattr(console, "BAR_S", 0.001)
    with terminal(monkeypatch, read=False):
        began = time.monotonic()
        with Progress(10**6, label="sampling", unit="problems") as progress:
            while select.select([], [sys.stderr], [], 0)[1]:
                assert time.monotonic() - began < 300, "the terminal is never full"
                progress.advance(1)
                time.sleep(0.001)
            progress.advance(1)
        hanging = progress._thread.is_alive()
    assert hanging, "the terminal was full"


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_the_thread_ends_with_the_work_however_that_ends(
    monkeypatch: pytest.MonkeyPatch, error: type[BaseException], capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "LINE_S", 600.0)
    monkeypatch.setattr(console, "CLOSE_S", 300.0)
    with pytest.raises(error), Progress(3, label="sampling", unit="problems") as progress:
        raise error
    assert not progress._thread.is_alive()
    assert capfd.readouterr().err == "", "nothing looks like an end"


def test_what_is_brief_and_soon_over_says_nothing(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "LINE_S", 600.0)
    with Progress(1, label="checking", unit="responses", brief=True) as progress:
        progress.advance(1)
    assert capfd.readouterr().err == ""


class Clock:
    """Time goes by while it is waited for, and only then; at 900 s the work is over."""

    def __init__(self) -> None:
        self.now, self.waits = 0.0, list[float]()

    def monotonic(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now += seconds
        return self.now >= 900


def test_lines_are_seldom_in_a_long_run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    clock: Any = Clock()
    monkeypatch.setattr(console, "time", SimpleNamespace(monotonic=clock.monotonic))
    progress = Progress(1, label="sampling", unit="problems")
    progress._over, progress._whole = clock, True
    progress._print_lines()
    assert clock.waits == [console.LINE_S] * 120 + [console.SELDOM_S] * 10
    assert len(capfd.readouterr().err.splitlines()) == 120 + 9 + 1, "and the last"


def test_the_rate_is_that_of_the_last_half_minute() -> None:
    rate = Rate(100.0)
    assert rate.of(110.0, 0) == 0
    assert rate.of(120.0, 200) == 10, "since the beginning"
    for second in range(121, 200):
        since = 100 if second < 140 else 110  # the last count that is half a minute old
        expected = 200 / (second - since) if second < 150 else 0
        assert rate.of(float(second), 200) == pytest.approx(expected)
    assert rate.of(200.0, 290) == 3
