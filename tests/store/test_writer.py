"""The run directory: parts, resume, refusal of strangers, kill -9 at any moment."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from example_config import CONFIG

from bon_eval.config import RunConfig, differences, digest
from bon_eval.errors import ConfigError, EngineError, StoreError
from bon_eval.records import Problem, Response
from bon_eval.store import parts
from bon_eval.store.prompts import load_prompts, load_rendered_prompts
from bon_eval.store.reader import iter_responses, load_run
from bon_eval.store.writer import Ended, RunStore, Work
from bon_eval.tasks.prompts import RenderedPrompt

N = 4
PROBLEMS = tuple(Problem(f"p{i}", {"question": f"{i}?"}, str(i)) for i in range(150))
PROMPTS = pa.table(
    {
        "prompt": pa.array([f"{i}?" for i in range(150)]),
        "prompt_token_ids": pa.array([[i, 1] for i in range(150)], pa.list_(pa.int32())),
    }
)


def responses(problem: int, arm: str, n: int) -> list[Response]:
    """Responses that are a function of their key, so that any mix-up shows."""
    rng = np.random.default_rng([problem, n])
    out = []
    for index in range(n):
        length = int(rng.integers(1, 9))
        logprobs = tuple(float(np.float32(-x)) for x in rng.exponential(size=length))
        out.append(
            Response(f"p{problem}", arm, index, f"{problem}/{arm}/{index} é\0", tuple(range(length)), logprobs, "stop")
        )  # type: ignore[arg-type]
    return out


def fill(store: RunStore, after: Callable[[], object] = lambda: None) -> None:
    """Append what is owed, one request after the other, and call `after` each time."""
    for i in range(len(PROBLEMS)):
        for arm, n in (("greedy", 1), ("sample", N)):
            if store.missing(f"p{i}", arm):
                store.append(responses(i, arm, n))
                after()
    store.finish_sampling()


def open_store(path: Path, config: RunConfig = CONFIG) -> RunStore:
    return RunStore(path, config, PROBLEMS, PROMPTS)


def assert_complete(path: Path) -> None:
    stored = sorted(iter_responses(path), key=lambda r: (int(r.problem_id[1:]), r.arm, r.index))
    expected = [
        r for i in range(len(PROBLEMS)) for arm, n in (("greedy", 1), ("sample", N)) for r in responses(i, arm, n)
    ]
    assert stored == expected


def test_round_trip_and_merge(tmp_path: Path) -> None:
    with open_store(tmp_path / "run") as store:
        fill(store)
    assert_complete(tmp_path / "run")
    assert len(list((tmp_path / "run/responses").glob("*.parquet"))) < 10
    assert load_prompts(tmp_path / "run")["p149"] == (149, 1)


def test_messages_are_kept_and_a_run_from_before_has_none(tmp_path: Path) -> None:
    said = [{"role": "system", "content": "brief"}, {"role": "user", "content": "1? é"}]
    stored = [json.dumps(said) if i == 1 else None for i in range(150)]
    table = PROMPTS.append_column("messages", pa.array(stored, pa.string()))
    for prompts, messages in ((table, tuple(said)), (PROMPTS, None)):
        place = tmp_path / str(messages is None)
        with RunStore(place, CONFIG, PROBLEMS, prompts) as store:
            fill(store)
        rendered = load_rendered_prompts(place)
        assert rendered["p0"] == RenderedPrompt("p0", "0?", (0, 1))
        assert rendered["p1"] == RenderedPrompt("p1", "1?", (1, 1), messages)
        assert list(rendered) == [p.id for p in PROBLEMS]
    old = pq.read_table(place / "problems.parquet").drop_columns("messages")
    pq.write_table(old, place / "problems.parquet")
    assert load_rendered_prompts(place) == rendered


def test_log_likelihood_is_the_sum_of_the_stored_token_logprobs() -> None:
    table = parts.to_table(responses(3, "sample", N))
    sums = [float(np.sum(np.asarray(x, dtype=np.float64))) for x in table["token_logprobs"].to_pylist()]
    assert table["log_likelihood"].to_pylist() == pytest.approx(sums, abs=0)
    assert [r.log_likelihood for r in responses(3, "sample", N)] == pytest.approx(sums, abs=1e-12)


@pytest.mark.parametrize("bad", [0.5, float("nan"), float("-inf"), float("inf")])
def test_impossible_logprobs_stop_the_run_and_store_nothing(tmp_path: Path, bad: float) -> None:
    good = responses(0, "sample", N)
    broken = [*good[:2], replace(good[2], token_logprobs=(*good[2].token_logprobs[:-1], bad)), good[3]]
    with open_store(tmp_path) as store:
        with pytest.raises(EngineError, match=r"problem p0, sample 2: .*finite and <= 0"):
            store.append(broken)
        assert not store.held
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_logprob_for_each_token(tmp_path: Path) -> None:
    good = responses(0, "greedy", 1)[0]
    with open_store(tmp_path) as store, pytest.raises(EngineError, match="log-probs for"):
        store.append([replace(good, token_logprobs=(*good.token_logprobs, -1.0))])


def test_responses_of_several_requests_are_stored_together(tmp_path: Path) -> None:
    mixed = [*responses(0, "sample", N)[1:3], *responses(1, "greedy", 1), *responses(2, "sample", N)[::-1]]
    with open_store(tmp_path) as store:
        store.append(mixed)
        assert store.missing("p0", "sample") == (0, 3)
        assert (store.missing("p1", "greedy"), store.missing("p2", "sample")) == ((), ())
        with pytest.raises(StoreError, match="problem p0 already has its sample response 2"):
            store.append([*responses(3, "greedy", 1), *responses(0, "sample", N)[2:]])
        with pytest.raises(StoreError, match="problem p3 already has its greedy response 0"):
            store.append(responses(3, "greedy", 1) * 2)
    assert list(iter_responses(tmp_path)) == mixed
    assert len(list(tmp_path.rglob("part-*.parquet"))) == 1


@pytest.mark.parametrize(("ended", "redrawn"), [(None, 5), ("broken off", 5), ("at once", 5), ("orderly", 0)])
def test_a_session_says_what_the_one_before_may_have_begun_and_lost(
    tmp_path: Path, ended: Ended | None, redrawn: int
) -> None:
    """Pools that are stored in part, and those alone, and no more than the session before was to draw."""
    with open_store(tmp_path) as store:
        store.begin_session("first", {}, {})
        store.append([*responses(0, "sample", N)[1:2], *responses(1, "sample", N)[:2], *responses(2, "sample", N)])
        if ended:
            store.end_session(Work(ended, 1.0, 7, 70, 30))
    with open_store(tmp_path, replace(CONFIG, n=N + 2)) as store:
        store.begin_session("second", {}, {})
    with open_store(tmp_path, replace(CONFIG, n=N + 2)) as store:
        assert [s["redrawn"] for s in store.meta["sessions"]] == [0, redrawn]


def test_what_an_earlier_session_left_whole_was_not_begun_by_the_killed_one(tmp_path: Path) -> None:
    with open_store(tmp_path, replace(CONFIG, n=2)) as store:
        store.begin_session("first", {}, {})
        for problem in range(10):
            store.append(responses(problem, "sample", 2))
        store.end_session(Work("orderly", 1.0, 20, 200, 30))
    with open_store(tmp_path) as store:
        store.begin_session("killed while it grew", {}, {})
        store.append(responses(3, "sample", N)[2:3])
    with open_store(tmp_path) as store:
        store.begin_session("third", {}, {})
        assert [s["redrawn"] for s in store.meta["sessions"]] == [0, 0, N - 3]


def test_nothing_is_stored_twice(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        store.append(responses(0, "greedy", 1))
        with pytest.raises(StoreError, match="twice"):
            store.append(responses(0, "greedy", 1))


def test_resume_owes_only_what_is_missing(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        for i in range(70):
            store.append(responses(i, "sample", N))
    with open_store(tmp_path) as store:
        assert set(store.held) == {(f"p{i}", "sample") for i in range(70)}
        fill(store)
    assert_complete(tmp_path)


def test_sessions_have_streams_of_their_own(tmp_path: Path) -> None:
    seeds = []
    for _ in range(3):
        with open_store(tmp_path) as store:
            seeds.append(store.session_seed)
            store.begin_session("now", {}, {})
    assert len(set(seeds)) == 3
    assert [s["seed"] for s in json.loads((tmp_path / "run.json").read_text())["sessions"]] == seeds


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"temperature": 0.7}, "temperature: 1.0 -> 0.7"),
        ({"model_hash": "z"}, 'model_hash: "b" -> "z"'),
        ({"adapter_hash": "z"}, "adapter_hash"),
        ({"first_prompt": "z"}, "first_prompt"),
        ({"spec_hash": "z"}, "spec_hash"),
        ({"engine_args": {"quantization": "fp8"}}, "engine_args"),
    ],
)
def test_a_changed_parameter_is_another_run(tmp_path: Path, change: dict[str, object], named: str) -> None:
    other = replace(CONFIG, **change)  # type: ignore[arg-type]
    assert other.run_id != CONFIG.run_id
    with open_store(tmp_path) as store:
        store.begin_session("now", {}, {})
    before = (tmp_path / "run.json").read_bytes()
    with pytest.raises(StoreError, match="holds another run") as caught:
        open_store(tmp_path, other)
    assert named in str(caught.value)
    assert (tmp_path / "run.json").read_bytes() == before


@pytest.mark.parametrize(
    "change",
    [
        {"model": "elsewhere/m"},
        {"engine_args": {"tensor_parallel_size": 2}},
        {"grader": "math"},
        {"data": "copy.jsonl"},
        {"n": 8},
        {"limit": 3, "task_hash": "z", "prompts_hash": "z"},
    ],
)
def test_where_and_by_what_name_and_how_far_does_not_change_the_run(change: dict[str, object]) -> None:
    assert replace(CONFIG, **change).run_id == CONFIG.run_id  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [{"n": 0}, {"max_tokens": 0}, {"temperature": 0.0}, {"temperature": float("nan")}, {"limit": 0}, {"seed": -1}],
)
def test_impossible_parameters(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        replace(CONFIG, **change)  # type: ignore[arg-type]


def test_the_id_of_a_run_stays_what_it_is() -> None:
    assert CONFIG.run_id == "faa8d0942f3b"


def test_differences_name_both_values() -> None:
    assert differences({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": None}) == ["b: 2 -> 3"]


def test_second_process_is_refused(tmp_path: Path) -> None:
    with open_store(tmp_path):
        script = (
            "import sys; sys.path[:0] = [sys.argv[1], sys.argv[1] + '/..']; from test_writer import *\n"
            "try: open_store(Path(sys.argv[2]))\n"
            "except StoreError as e: print(e); sys.exit(2)"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, str(Path(__file__).parent), str(tmp_path)],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert f"in use by process {os.getpid()}" in done.stdout
    open_store(tmp_path).close()


def test_a_directory_that_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(StoreError, match="is not a run"):
        open_store(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda meta: meta.pop("config"), "has no model"),
        (lambda meta: meta["config"].pop("n"), "has no n"),
        (lambda meta: meta["config"].update(n="4"), "has no n"),
        (lambda meta: meta["config"].update(n=0), "configuration or identity"),
        (lambda meta: meta.pop("identity"), "configuration or identity"),
        (lambda meta: meta.update(format=99), "not of run format 2"),
    ],
)
def test_a_damaged_description_is_named(tmp_path: Path, change: Callable[[dict[str, Any]], Any], named: str) -> None:
    with open_store(tmp_path / "run") as store:
        store.append(responses(0, "greedy", 1))
    path = tmp_path / "run" / "run.json"
    meta = json.loads(path.read_text())
    change(meta)
    path.write_text(json.dumps(meta))
    with pytest.raises(StoreError, match=named) as caught:
        load_run(tmp_path / "run")
    assert "\n" not in str(caught.value)


def test_a_truncated_part_is_named_and_the_rest_kept(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        for i in range(3):
            store.append(responses(i, "sample", N))
    victim = parts.part_path(tmp_path / "responses", 1, 1)
    victim.write_bytes(victim.read_bytes()[: victim.stat().st_size // 2])
    with pytest.raises(StoreError, match="truncated") as caught:
        open_store(tmp_path)
    assert victim.name in str(caught.value)
    victim.rename(tmp_path / "damaged")
    with open_store(tmp_path) as store:
        assert set(store.held) == {("p0", "sample"), ("p2", "sample")}
        fill(store)
    assert_complete(tmp_path)


@pytest.mark.parametrize("name", ["foreign.parquet", "part-00000007-00000007.parquet"])
def test_a_foreign_part_is_named(tmp_path: Path, name: str) -> None:
    with open_store(tmp_path) as store:
        store.append(responses(0, "sample", N))
    pq.write_table(pa.table({"a": [1]}), tmp_path / "responses" / name)
    with pytest.raises(StoreError, match=name):
        open_store(tmp_path)


def test_a_part_of_another_run_is_refused(tmp_path: Path) -> None:
    for name, config in (("a", CONFIG), ("b", replace(CONFIG, seed=1))):
        with open_store(tmp_path / name, config) as store:
            store.append(responses(0, "sample", N))
            if name == "a":
                store.append(responses(1, "sample", N))
    source = parts.part_path(tmp_path / "a/responses", 1, 1)
    source.rename(tmp_path / "b/responses" / source.name)
    with pytest.raises(StoreError, match="belongs to another run"):
        open_store(tmp_path / "b", replace(CONFIG, seed=1))


def test_an_interrupted_merge_reads_as_one(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        for i in range(5):
            store.append(responses(i, "sample", N))
        run = digest(CONFIG.identity())
    directory = tmp_path / "responses"
    small = parts.list_parts(directory, run)
    parts.write_part(directory, 0, 4, run, parts.read_parts(small))
    small[2].path.unlink()
    assert [(p.first, p.last) for p in parts.list_parts(directory, run)] == [(0, 4)]
    with open_store(tmp_path) as store:
        assert len(list(store.held)) == 5


def test_a_single_append_between_merged_parts_is_not_merged_over_them(tmp_path: Path) -> None:
    """As shards of different sizes leave them: what comes later must not reach over the ones in between."""
    run, first = digest(CONFIG.identity()), 0
    for size in (3, 1, 4):
        tables = [parts.to_table(responses(i, "sample", N)) for i in range(first, first + size)]
        parts.write_part(tmp_path, first, first + size - 1, run, tables)
        first += size
    log = parts.PartLog(tmp_path, run)
    for i in range(first, 150):
        log.append(parts.to_table(responses(i, "sample", N)))
    for _ in range(2):
        found = [p for t in parts.read_parts(parts.list_parts(tmp_path, run)) for p in t["problem_id"].to_pylist()]
        assert sorted(found) == sorted(f"p{i}" for i in range(150) for _ in range(N))
        log.finish()


@pytest.mark.slow
def test_kill_at_any_moment_loses_and_repeats_nothing(tmp_path: Path) -> None:
    """kill -9 again and again while a run is written; in the end the table is that of an uninterrupted run."""
    script = (
        "import sys; sys.path[:0] = [sys.argv[1], sys.argv[1] + '/..']; from test_writer import *\n"
        "def said(): print('one more', flush=True); sys.stdin.readline()\n"
        "with open_store(Path(sys.argv[2])) as s: fill(s, said)"
    )
    rng = random.Random(0)
    run = tmp_path / "run"
    kills = 0
    for _ in range(20):
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(Path(__file__).parent), str(run)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        # Somewhere in the append that follows, which takes as long as those before, and after it nothing is begun.
        times = []
        for _ in range(rng.randint(3, 90)):
            if not process.stdout.readline():
                break
            times.append(time.monotonic())
            process.stdin.write("\n")
            process.stdin.flush()
        else:
            time.sleep(rng.uniform(0, 1) * (times[-1] - times[0]) / (len(times) - 1))
            process.send_signal(signal.SIGKILL)
        code = process.wait()
        process.stdin.close()
        process.stdout.close()
        if code == 0:
            break
        assert process.returncode == -signal.SIGKILL
        kills += 1
    assert kills >= 3
    assert_complete(run)


def test_a_full_disk_leaves_the_store_readable(tmp_path: Path) -> None:
    """A file-size limit makes the kernel refuse a write in the middle of a part, as a full disk does."""
    script = """
import errno, resource, signal, sys
sys.path[:0] = [sys.argv[1], sys.argv[1] + '/..']
from test_writer import *
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with open_store(Path(sys.argv[2])) as store:
    store.append(responses(0, "sample", N))
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512))
    try: store.append(responses(1, "sample", N))
    except StoreError as error: print(error)
    assert set(store.held) == {("p0", "sample")}
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parent), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "cannot write" in done.stdout
    assert [r.problem_id for r in iter_responses(tmp_path)] == ["p0"] * N
    with open_store(tmp_path) as store:
        fill(store)
    assert_complete(tmp_path)


def test_unfinished_and_ungraded_runs_say_what_to_do(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        store.append(responses(0, "sample", N))
        store.begin_session("now", {}, {})
    with pytest.raises(StoreError, match=r"unfinished: 150 of 150 .*--partial"):
        load_run(tmp_path)
    with open_store(tmp_path) as store:
        fill(store)
    with pytest.raises(StoreError, match="bon-eval grade"):
        load_run(tmp_path)
    with pytest.raises(StoreError, match="not a run directory"):
        load_run(tmp_path / "nowhere")


@pytest.mark.parametrize("reason", ["abort", "error", "repetition", "None"])
def test_a_response_that_was_given_up_is_not_stored(tmp_path: Path, reason: str) -> None:
    given_up = [replace(r, finish_reason=reason) for r in responses(0, "sample", N)[:1]]  # type: ignore[arg-type]
    with RunStore(tmp_path / "run", CONFIG, PROBLEMS, PROMPTS) as store:
        store.begin_session("now", {}, {})
        with pytest.raises(EngineError, match=f"problem p0, sample 0: the engine gave the response up .'{reason}'"):
            store.append([*given_up, *responses(0, "sample", N)[1:]])
        assert not store.held
