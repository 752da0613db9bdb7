"""What happens to runs that take days, each really done; after each the same command goes on to a complete table."""

from __future__ import annotations

import json
import math
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from held_run import LONG_S, HeldRun
from proxy import Forward, proxy

from bon_eval.records import Response
from bon_eval.run.console.signals import TOGETHER
from bon_eval.store.reader import iter_responses
from bon_eval.tasks.load import load_task

ROOT = Path(__file__).resolve().parents[2]
PROBLEMS, N = 60, 24
JOB = ["--model", "arith-mixed", "--task", "arith", "--limit", str(PROBLEMS), "--n", str(N), "--draws", "200"]
TOKENS = load_task("arith").max_tokens
Table = dict[tuple[str, str, int], Response]


def arguments(out: Path, *engine: str) -> list[str]:
    return ["run", *JOB, *engine, "--out", str(out)]


def command(out: Path, *engine: str) -> list[str]:
    return [sys.executable, "-m", "bon_eval.cli", *arguments(out, *engine)]


def environment(**more: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)} | more


def start(out: Path, *engine: str, **more: str) -> subprocess.Popen[str]:
    """A run in a process group of its own, as a shell starts it."""
    return subprocess.Popen(
        command(out, *engine),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**more),
        process_group=0,
    )


def finish(out: Path, *engine: str) -> str:
    """The same command again, to its end."""
    done = subprocess.run(command(out, *engine), capture_output=True, text=True, check=False, env=environment())
    assert done.returncode == 0, done.stderr
    return done.stderr


def table(out: Path) -> Table:
    """Every stored row: read, with true log-probs, none twice."""
    rows = list(iter_responses(out)) if (out / "run.json").is_file() else []
    for r in rows:
        assert len(r.token_ids) == len(r.token_logprobs) > 0
        assert all(math.isfinite(x) and x <= 0 for x in r.token_logprobs)
    found = {(r.problem_id, r.arm, r.index): r for r in rows}
    assert len(found) == len(rows), "a row is stored twice"
    return found


def assert_complete(out: Path, kept: Table) -> None:
    """All rows of all problems, and those that were there before as they were."""
    found = table(out)
    ids = {problem for problem, _, _ in found}
    assert len(ids) == PROBLEMS
    assert set(found) == {(i, "greedy", 0) for i in ids} | {(i, "sample", k) for i in ids for k in range(N)}
    assert all(found[key] == row for key, row in kept.items())
    assert json.loads((out / "run.json").read_text())["state"] == "sampled"
    assert json.loads((out / "report.json").read_text())["run"]["config"]["n"] == N
    assert not list(out.rglob(".tmp-*"))


def one_line(stderr: str) -> str:
    """The error, which is one line, and no traceback."""
    assert "Traceback" not in stderr, stderr
    [error] = [line for line in stderr.splitlines() if line.startswith("error: ")]
    return error


@pytest.fixture(scope="module")
def served(served_mixed: Any) -> tuple[str, ...]:
    """Through a server a run starts fast, so that many can be stopped."""
    return ("--base-url", served_mixed.base_url, "--engine-arg", "concurrency=128")


class Gate:
    """Lets so many answers of a server to a run's own requests through, and holds the others back."""

    def __init__(self, answers: int) -> None:
        self._changed = threading.Condition()
        self._left, self._others = answers, ""

    def end(self, others: str) -> None:
        """What is held back is "answered" after all, or "refused"."""
        with self._changed:
            self._others = self._others or others
            self._changed.notify_all()

    def play(self, path: str, body: dict[str, Any], forward: Forward) -> Any:
        """See `proxy`. The requests of a trial are shorter than a run's."""
        if body["max_tokens"] == TOKENS:
            with self._changed:
                self._left -= 1
                held = self._left < 0
                if held:
                    assert self._changed.wait_for(lambda: self._others, LONG_S)
            if held and self._others == "refused":
                return 503, {}, b"{}"
        return forward(body)


@contextmanager
def gated(server: Any, answers: int) -> Iterator[tuple[tuple[str, ...], Gate]]:
    """The arguments of a run through such a gate, and the gate."""
    gate = Gate(answers)
    with proxy(server.base_url, gate.play) as url:
        try:
            yield ("--base-url", url, "--engine-arg", "concurrency=128"), gate
        finally:
            gate.end("refused")


@pytest.mark.vllm
@pytest.mark.slow
def test_kill_at_twenty_random_moments(served_mixed: Any, tmp_path: Path) -> None:
    """Fourteen while the server answers some requests and no more, so that no run is done before it is killed."""
    out = tmp_path / "run"
    rng = random.Random(20)
    kept: Table = {}
    killed = while_sampling = 0
    for k in range(20):
        with gated(served_mixed, 6 if k < 14 else PROBLEMS * (N + 1)) as (engine, _):
            before = set(out.glob("responses/part-*"))
            process = start(out, *engine)
            if k % 2 or k >= 14:
                # While it loads, samples, merges or grades, wherever that is.
                time.sleep(rng.uniform(0.1, 3.0))
            else:
                deadline = time.monotonic() + LONG_S
                while set(out.glob("responses/part-*")) <= before:
                    assert process.poll() is None
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
                time.sleep(rng.uniform(0.0, 0.3))
            process.kill()
            process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), "it was done or it was killed, and did not fail"
        killed += process.returncode != 0
        stored = table(out)
        assert all(stored[key] == row for key, row in kept.items())
        while_sampling += len(kept) < len(stored) < PROBLEMS * (N + 1)
        kept = stored
    assert killed >= 14
    assert while_sampling >= 7
    finish(out, "--base-url", served_mixed.base_url)
    assert_complete(out, kept)


@pytest.mark.vllm
@pytest.mark.slow
def test_ctrl_c_once_twice_and_sigterm(served: tuple[str, ...], served_mixed: Any, tmp_path: Path) -> None:
    out = tmp_path / "run"
    # Once: what is in flight is finished and stored.
    held = HeldRun(out, 3, *arguments(out, *served))
    held.wait_until_held()
    stored_at_signal = len(table(out))
    os.killpg(held.process.pid, signal.SIGINT)
    held.wait_until_said("stopping:")
    code, stderr = held.end()
    assert code == 130
    [flying] = re.findall(
        r"stopping: (\d+) responses? (?:that (?:is|are) begun|awaited from the server) will be finished and stored",
        stderr,
    )
    assert int(flying) >= 2
    assert stderr.rstrip().endswith("the same command goes on where this one stopped")
    assert "Traceback" not in stderr
    kept = table(out)
    assert len(kept) > stored_at_signal
    [session] = json.loads((out / "run.json").read_text())["sessions"]
    assert session["responses"] == len(kept)
    assert session["tokens"] == sum(r.n_tokens for r in kept.values())
    assert session["seconds"] > 0
    # SIGTERM, as a scheduler sends it.
    code, stderr = HeldRun(out, 3, *arguments(out, *served)).signalled(signal.SIGTERM)
    assert code == 143
    assert "will be finished and stored" in stderr
    more = table(out)
    assert len(more) > len(kept)
    finish(out, *served)
    assert_complete(out, kept | more)
    # Twice: at once, with all that is left in flight, which is never answered.
    twice = tmp_path / "twice"
    with gated(served_mixed, 20) as (engine, _):
        held = HeldRun(twice, 1, *arguments(twice, *engine[:2], "--engine-arg", "concurrency=50000", "--n", "400"))
        held.wait_until_held()
        held.process.send_signal(signal.SIGINT)
        held.wait_until_said("stopping:")
        held.process.send_signal(signal.SIGTERM)  # so soon that it is the same one
        time.sleep(TOGETHER + 0.2)
        assert held.process.poll() is None
        held.process.send_signal(signal.SIGINT)
        held.wait_until_said("stopping at once")
        code, stderr = held.end()
    assert code == 130
    assert "Traceback" not in stderr
    last = table(twice)
    assert 0 < len(last) < PROBLEMS * (400 + 1), "what was in flight is not waited for"
    finish(twice, *served, "--n", "2")
    found = table(twice)
    assert len(found) == PROBLEMS * (2 + 1)
    assert all(found[key] == last[key] for key in found.keys() & last.keys())


@pytest.mark.slow
def test_ctrl_c_on_the_transformers_engine(tmp_path: Path) -> None:
    out = tmp_path / "run"
    engine = ("--engine", "transformers", "--engine-arg", "batch_size=64")
    held = HeldRun(out, 3, *arguments(out, *engine))
    held.wait_until_held()
    at_signal = len(table(out))
    code, stderr = held.signalled(signal.SIGINT)
    assert code == 130
    assert "will be finished and stored" in stderr
    kept = table(out)
    assert at_signal < len(kept) < PROBLEMS * (N + 1)
    finish(out, *engine)
    assert_complete(out, kept)


@pytest.mark.slow
def test_signals_where_nothing_is_in_flight(tmp_path: Path) -> None:
    """While a model loads, the first signal stops."""
    out = tmp_path / "run"
    for signum, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        process = start(out, "--engine", "transformers")
        assert process.stderr is not None
        assert "loading arith-mixed" in process.stderr.readline()
        process.send_signal(signum)
        _, stderr = process.communicate(timeout=600)
        assert process.returncode == code, stderr
        assert "Traceback" not in stderr
        assert not out.exists(), "a run that never began leaves nothing behind"


@pytest.mark.vllm
@pytest.mark.slow
def test_vllm_in_this_process_stopped_in_every_way(tmp_path: Path) -> None:
    """One run: SIGTERM to the whole group, its engine killed, Ctrl-C twice, itself killed; none outlives it."""
    import psutil

    out = tmp_path / "run"
    vllm = ("--engine", "vllm", "--engine-arg", "max_num_seqs=32")  # few in flight, so that each stop leaves some
    kept: Table = {}

    def stop(how: Callable[[HeldRun], None]) -> tuple[int, str]:
        held = HeldRun(out, 3, *arguments(out, *vllm))
        held.wait_until_held()
        children = psutil.Process(held.process.pid).children(recursive=True)
        assert any("EngineCore" in child.name() for child in children)
        how(held)
        code, stderr = held.end()
        _, alive = psutil.wait_procs(children, timeout=300)
        assert not alive
        stored = table(out)
        assert all(stored[key] == row for key, row in kept.items())
        kept.update(stored)
        return code, stderr

    def group(held: HeldRun) -> None:
        os.killpg(held.process.pid, signal.SIGTERM)
        held.wait_until_said("stopping:")

    def engine(held: HeldRun) -> None:
        for child in psutil.Process(held.process.pid).children(recursive=True):
            if "EngineCore" in child.name():
                child.kill()

    def twice(held: HeldRun) -> None:
        os.killpg(held.process.pid, signal.SIGINT)
        held.wait_until_said("stopping:")
        os.killpg(held.process.pid, signal.SIGINT)

    code, stderr = stop(group)
    assert code == 143, stderr
    [flying] = re.findall(
        r"stopping: (\d+) responses? (?:that (?:is|are) begun|awaited from the server) will be finished and stored",
        stderr,
    )
    assert json.loads((out / "run.json").read_text())["sessions"][0]["responses"] == len(kept)
    assert int(flying) > 2
    before = len(kept)
    code, stderr = stop(engine)
    assert code == 2
    assert "vLLM's engine process died" in one_line(stderr)
    assert len(kept) > before
    code, stderr = stop(twice)
    assert code == 130, stderr
    assert "Traceback" not in stderr
    code, _ = stop(lambda held: held.process.kill())
    assert code == -signal.SIGKILL
    assert len(kept) < PROBLEMS * (N + 1)
    finish(out, *vllm)
    assert_complete(out, kept)


@pytest.fixture(scope="module")
def finished(served: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished") / "run"
    finish(out, *served)
    assert_complete(out, {})
    return out


@pytest.mark.vllm
@pytest.mark.slow
def test_a_part_cut_in_half(finished: Path, served: tuple[str, ...], tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    victim = sorted(out.glob("responses/part-*"))[0]
    victim.write_bytes(victim.read_bytes()[: victim.stat().st_size // 2])
    done = subprocess.run(command(out, *served), capture_output=True, text=True, check=False, env=environment())
    assert done.returncode == 2
    error = one_line(done.stderr)
    assert victim.name in error
    assert "move it away and run the same command" in error
    victim.rename(tmp_path / "damaged.parquet")
    kept = table(out)
    assert len(kept) < PROBLEMS * (N + 1)
    assert "resuming" in finish(out, *served) or not kept
    assert_complete(out, kept)


@pytest.mark.vllm
@pytest.mark.slow
def test_two_runs_on_one_directory(served_mixed: Any, tmp_path: Path) -> None:
    """The one that is first is not done before the other is."""
    out = tmp_path / "run"
    with gated(served_mixed, 0) as (engine, gate):
        both = [start(out, *engine) for _ in range(2)]
        deadline = time.monotonic() + 600
        while all(process.poll() is None for process in both):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        gate.end("answered")
        said = [process.communicate(timeout=900)[1] for process in both]
    codes = {process.pid: (process.returncode, stderr) for process, stderr in zip(both, said, strict=True)}
    [winner] = [pid for pid, (code, _) in codes.items() if code == 0]
    [(loser, stderr)] = [(code, stderr) for pid, (code, stderr) in codes.items() if pid != winner]
    assert loser == 2
    assert re.search(rf"in use by process {winner};", one_line(stderr))
    assert_complete(out, {})


@pytest.mark.vllm
@pytest.mark.slow
def test_a_clock_that_goes_backwards(served: tuple[str, ...], tmp_path: Path) -> None:
    """Every look at the clock is 100 s before the last one, in both sessions."""
    (tmp_path / "sitecustomize.py").write_text(
        "import itertools, time\n"
        "_now, _steps = time.time(), itertools.count()\n"
        "time.time = lambda: _now - 100.0 * next(_steps)\n"
        "time.time_ns = lambda: int(1e9 * time.time())\n"
    )
    out, began = tmp_path / "run", time.monotonic()
    backwards = os.pathsep.join((str(tmp_path), str(ROOT)))
    code, stderr = HeldRun(out, 3, *arguments(out, *served), PYTHONPATH=backwards).signalled(signal.SIGINT)
    assert code == 130
    kept = table(out)
    process = start(out, *served, PYTHONPATH=backwards)
    _, more = process.communicate(timeout=900)
    assert process.returncode == 0, more
    assert_complete(out, kept)
    assert not re.search(r"-\d", stderr + more.replace("arith-mixed", "")), "a negative number of seconds or tokens/s"
    sessions = json.loads((out / "run.json").read_text())["sessions"]
    assert len(sessions) == 2
    assert all(s["seconds"] > 0 for s in sessions)
    assert sum(s["seconds"] for s in sessions) < time.monotonic() - began


@pytest.mark.vllm
@pytest.mark.slow
def test_a_disk_that_fills(served: tuple[str, ...], tmp_path: Path) -> None:
    """A small file system of its own where one may be mounted; else a limit that makes the kernel refuse a write."""
    disk, copy = tmp_path / "disk", tmp_path / "copy"
    disk.mkdir()
    out = disk / "run"
    run = " ".join(f"'{part}'" for part in command(out, *served))
    script = (
        f"mount -t tmpfs -o size=160k tmpfs '{disk}' || exit 77\n"
        f"{run} 2> '{tmp_path}/full'; echo $? > '{tmp_path}/code'\n"
        f"cp -r '{out}' '{tmp_path}/partial'\n"
        f"mount -o remount,size=64m '{disk}'\n"
        f"{run} 2> '{tmp_path}/again' && cp -r '{out}' '{copy}'\n"
    )
    mounted = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )
    if mounted.returncode == 77 or "unshare" in mounted.stderr:
        limited = f"ulimit -f 24; trap '' XFSZ; {run}"
        done = subprocess.run(["sh", "-c", limited], capture_output=True, text=True, check=False, env=environment())
        full, code, kept = done.stderr, done.returncode, table(out)
        assert "cannot write" in one_line(full)
        finish(out, *served)
        assert_complete(out, kept)
    else:
        full, code = (tmp_path / "full").read_text(), int((tmp_path / "code").read_text())
        assert re.search("disk full while writing .*free space and run the same command", one_line(full)), full
        kept = table(tmp_path / "partial")
        assert mounted.returncode == 0, (tmp_path / "again").read_text()
        assert_complete(copy, kept)
    assert code == 2
    assert 0 < len(kept) < PROBLEMS * (N + 1)
