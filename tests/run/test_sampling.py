"""Responses stored as they finish: what a kill and signals leave of a pool, and that the order changes nothing.

The engine is transformers on the embedded model, whose answers to one problem have 4 or 20 tokens: with every step
slowed down, a pool has ended in part for seconds.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from bon_eval.engines.base import EngineSpec
from bon_eval.engines.models import ASSETS
from bon_eval.engines.transformers import TransformersEngine
from bon_eval.errors import EngineError
from bon_eval.records import Request, Response
from bon_eval.run import sampling
from bon_eval.run.console.signals import TOGETHER
from bon_eval.run.options import RunOptions
from bon_eval.run.prepare import prepare
from bon_eval.store.reader import iter_responses
from bon_eval.store.writer import RunStore

ROOT = Path(__file__).resolve().parents[2]
MIXED = ASSETS / "arith-mixed"
N = 32
SLOW = """
import sys, time
from bon_eval.engines.transformers import decode
step, made = decode.Decoder._step, 0
def slowly(self):
    global made
    made += 1
    time.sleep({seconds} if made <= {steps} else {then})
    step(self)
decode.Decoder._step = slowly
from bon_eval.cli import main
main(sys.argv[1:])
"""
Wait = Callable[..., None]


def arguments(out: Path, *more: str) -> list[str]:
    job = ["--model", "arith-mixed", "--task", "arith", "--limit", "1", "--n", str(N), "--draws", "200"]
    return ["run", *job, "--engine", "transformers", *more, "--out", str(out)]


def slow(out: Path, *more: str, seconds: float, steps: int = 1000, then: float = 0.0) -> subprocess.Popen[str]:
    """A run that takes so long for each of its first steps, and then another time for each."""
    return subprocess.Popen(
        [sys.executable, "-c", SLOW.format(seconds=seconds, steps=steps, then=then), *arguments(out, *more)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )


def said_so(process: subprocess.Popen[str]) -> str:
    """Standard error up to the line that says that the first signal was taken in."""
    assert process.stderr is not None
    lines: list[str] = []
    while not lines or "stopping: " not in lines[-1]:
        lines.append(process.stderr.readline())
        assert lines[-1], lines
    return "".join(lines)


def rows(out: Path) -> dict[tuple[str, int], Response]:
    found = list(iter_responses(out))
    assert len({(r.arm, r.index) for r in found}) == len(found), "a row is stored twice"
    return {(r.arm, r.index): r for r in found}


def sessions(out: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((out / "run.json").read_text(encoding="utf-8"))["sessions"]
    return found


def finish(out: Path, bon_eval: Any, kept: dict[tuple[str, int], Response]) -> None:
    """The same command again asks for the rest only, and leaves what was there as it was."""
    done = bon_eval(*arguments(out))
    assert done.returncode == 0, done.stderr
    found = rows(out)
    assert len(found) == N + 1
    assert {key: found[key] for key in kept} == kept
    assert sessions(out)[-1]["responses"] == N + 1 - len(kept)
    assert sessions(out)[-1]["ended"] == "orderly"


@pytest.mark.slow
def test_a_kill_in_mid_pool_loses_only_what_is_not_finished(
    tmp_path: Path, wait_for_parts: Wait, bon_eval: Any
) -> None:
    """After ten of twenty steps, long enough for what is held to be stored, it stands still until it is killed."""
    out = tmp_path / "run"
    process = slow(out, seconds=0.7, steps=10, then=3600)
    wait_for_parts(process, out, 1)
    deadline = time.monotonic() + 600
    while sum(r.arm == "sample" for r in iter_responses(out)) <= 5:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.kill()
    process.communicate()
    kept = rows(out)
    short = {key for key, r in kept.items() if r.arm == "sample"}
    assert 5 < len(short) < N - 2, "the pool is stored in part"
    assert max(kept[key].n_tokens for key in short) < 20
    assert "ended" not in sessions(out)[0]
    finish(out, bon_eval, kept)
    assert [s["redrawn"] for s in sessions(out)] == [0, N - len(short)]
    assert any(r.n_tokens == 20 for r in rows(out).values())


@pytest.mark.slow
def test_the_first_signals_give_back_what_is_not_begun(tmp_path: Path, wait_for_parts: Wait, bon_eval: Any) -> None:
    """SIGTERM twice within a moment is one."""
    out = tmp_path / "run"
    process = slow(out, "--engine-arg", "batch_size=8", seconds=0.3)
    wait_for_parts(process, out, 1)
    process.terminate()
    stderr = said_so(process)
    process.terminate()
    process.wait(600)
    assert process.stderr is not None
    stderr += process.stderr.read()
    assert process.returncode == 143, stderr
    told = re.search(r"stopping: (\d) responses that are begun will be finished and stored, (\d+) that are not", stderr)
    assert told, stderr
    begun, unbegun = map(int, told.groups())
    kept = rows(out)
    assert 1 < begun <= 8
    assert N + 1 - unbegun <= len(kept) <= N + 1 - unbegun + 8, "at most one step goes by"
    assert any(r.n_tokens == 20 for r in kept.values()), "what was begun came to its end"
    assert sessions(out)[0]["ended"] == "orderly"
    assert sessions(out)[0]["responses"] == len(kept)
    finish(out, bon_eval, kept)
    assert [s["redrawn"] for s in sessions(out)] == [0, 0]


@pytest.mark.slow
def test_a_second_signal_stops_at_once_and_what_has_finished_is_stored(
    tmp_path: Path, wait_for_parts: Wait, bon_eval: Any
) -> None:
    out = tmp_path / "run"
    # The second half of a response takes minutes, so that the second signal comes before its end.
    process = slow(out, seconds=0.8, steps=8, then=12)
    wait_for_parts(process, out, 1)
    process.send_signal(signal.SIGINT)
    stderr = said_so(process)
    time.sleep(TOGETHER + 0.2)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.wait(600)
    assert process.stderr is not None
    stderr += process.stderr.read()
    assert process.returncode == 130, stderr
    assert "stopping at once: what has finished is stored" in stderr
    assert "Traceback" not in stderr
    kept = rows(out)
    short = sum(r.arm == "sample" for r in kept.values())
    assert 5 < short < N - 2
    assert max(r.n_tokens for r in kept.values() if r.arm == "sample") < 20, "it waits for nothing"
    assert sessions(out)[0]["ended"] == "at once"
    assert sessions(out)[0]["responses"] == len(kept)
    finish(out, bon_eval, kept)
    assert sessions(out)[1]["redrawn"] == N - short


@pytest.fixture(scope="module")
def engine() -> Iterator[TransformersEngine]:
    with TransformersEngine(EngineSpec(str(MIXED), dtype="float32")) as opened:
        yield opened


class Reordered:
    """An engine whose responses come in another order and in other pieces, some of them empty."""

    def __init__(self, engine: TransformersEngine, seed: int, lost: int = 0) -> None:
        self._engine, self._rng, self._lost = engine, random.Random(seed), lost
        self.stop, self.facts = engine.stop, engine.facts

    @property
    def pulse(self) -> Any:
        return self._engine.pulse

    def sample(self, requests: Iterable[Request], *, use_adapter: bool = True) -> Iterator[list[Response]]:
        finished = [r for piece in self._engine.sample(requests, use_adapter=use_adapter) for r in piece]
        self._rng.shuffle(finished)
        del finished[: self._lost]
        while finished:
            size = self._rng.choice((0, 1, 1, 2, 7))
            yield finished[:size]
            finished = finished[size:]


def sampled(engine: Any, of: TransformersEngine, out: Path) -> tuple[list[Response], dict[str, Any]]:
    options = RunOptions(str(MIXED), "arith", n=12, limit=6, max_tokens=24, engine="transformers", out=out)
    ready = prepare(options)
    table = pa.table(
        {
            "prompt": pa.array([p.text for p in ready.prompts]),
            "prompt_token_ids": pa.array([list(p.token_ids) for p in ready.prompts], pa.list_(pa.int32())),
        }
    )
    of._generator.manual_seed(11)
    with RunStore(ready.directory, ready.config, ready.problems, table) as store:
        store.begin_session("test", {}, engine.facts)
        sampling.sample(store, engine, ready.prompts, quiet=True)
        assert not store.owes()
    found = sorted(iter_responses(ready.directory), key=lambda r: (r.problem_id, r.arm, r.index))
    return found, sessions(ready.directory)[-1] | {"seconds": 0}


@pytest.mark.parametrize(("hold", "tokens"), [(0.0, 1 << 18), (1e9, 1 << 18), (2.0, 1)])
def test_pieces_in_any_order_give_the_same_run(
    engine: TransformersEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hold: float, tokens: int
) -> None:
    plain = sampled(engine, engine, tmp_path / "plain")
    assert len(plain[0]) == 6 * 13
    monkeypatch.setattr(sampling, "HOLD_S", hold)
    monkeypatch.setattr(sampling, "HOLD_TOKENS", tokens)
    for seed in range(3):
        assert sampled(Reordered(engine, seed), engine, tmp_path / f"run{seed}") == plain


def test_what_is_held_is_stored_while_nothing_finishes(
    engine: TransformersEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    now = 0.0
    monkeypatch.setattr(sampling, "time", SimpleNamespace(monotonic=lambda: now))

    class Idle(Reordered):
        def sample(self, requests: Iterable[Request], *, use_adapter: bool = True) -> Iterator[list[Response]]:
            finished = [r for piece in self._engine.sample(requests) for r in piece]
            pool = sorted((r for r in finished if r.arm == "sample"), key=lambda r: r.index)
            nonlocal now
            for piece in ([pool[0]], [pool[1]], [pool[2]], [], []):
                yield piece
                seen.append(sum(1 for _ in iter_responses(tmp_path / "run")))
                now += sampling.HOLD_S if len(seen) > 2 else sampling.HOLD_S / 4
            yield [r for r in finished if r not in pool[:3]]

    sampled(Idle(engine, 4), engine, tmp_path / "run")
    assert seen == [1, 1, 1, 3, 3], "the first at once, those soon after it together"


def test_an_engine_that_loses_a_response_is_found_and_the_others_are_kept(
    engine: TransformersEngine, tmp_path: Path
) -> None:
    with pytest.raises(EngineError, match="ended without the responses of problem"):
        sampled(Reordered(engine, 1, lost=1), engine, tmp_path / "run")
    assert len(list(iter_responses(tmp_path / "run"))) == 6 * 13 - 1


def test_what_has_finished_is_stored_when_the_engine_fails(
    engine: TransformersEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "HOLD_S", 1e9)

    class Failing(Reordered):
        def sample(self, requests: Iterable[Request], *, use_adapter: bool = True) -> Iterator[list[Response]]:
            yield from [piece for piece in super().sample(requests) if piece][:20]
            raise EngineError("engine failed")

    failing = Failing(engine, 2)
    with pytest.raises(EngineError, match="engine failed"):
        sampled(failing, engine, tmp_path / "run")
    stored = list(iter_responses(tmp_path / "run"))
    [session] = sessions(tmp_path / "run")
    assert session["responses"] == len(stored) >= 20
    assert session["ended"] == "broken off"


def test_a_response_given_twice_is_refused(engine: TransformersEngine, tmp_path: Path) -> None:
    class Twice(Reordered):
        def sample(self, requests: Iterable[Request], *, use_adapter: bool = True) -> Iterator[list[Response]]:
            for piece in super().sample(requests):
                yield piece * 2

    with pytest.raises(Exception, match="refusing to store it twice"):
        sampled(Twice(engine, 3), engine, tmp_path / "run")


def test_the_engine_begins_nothing_more_when_it_is_told(engine: TransformersEngine) -> None:
    from pools import pools

    options = RunOptions(str(MIXED), "arith", n=100, limit=8, max_tokens=24, engine="transformers")
    ready = prepare(options)
    asked = list(sampling.requests(ready.config, ready.prompts))
    whole = sum(r.n for r in asked)
    for at_once in (False, True):
        finished, stream = [], engine.sample(iter(asked))
        while not any(finished):
            finished.append(next(stream))
        pulse = engine.pulse
        engine.stop(at_once=at_once)
        rest = list(stream)
        found = [r for piece in finished + rest for r in piece]
        assert len({(r.problem_id, r.arm, r.index) for r in found}) == len(found) < whole
        assert all(r.finish_reason in ("stop", "length") for r in found)
        if at_once:
            assert sum(map(len, rest)) == 0
        else:
            assert sum(map(len, rest)) == pulse.begun > 0
        assert (engine.pulse.begun, engine.pulse.unbegun) == (0, 0)
    again = pools(engine.sample(replace(r, n=2) for r in asked))
    assert len(again) == len(asked), "what it was told was for that stream alone"
