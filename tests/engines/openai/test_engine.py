"""The openai engine on vLLM's own server (CPU build), directly and through a proxy that plays what goes wrong."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from heartbeat import Heartbeat
from held_run import HeldRun
from pools import only_pool
from proxy import proxy

from bon_eval.engines.base import EngineSpec, Pulse
from bon_eval.engines.models import ASSETS
from bon_eval.engines.openai import OpenAIEngine
from bon_eval.errors import EngineError
from bon_eval.records import ForcedSequence, Request, Response, Sampling
from bon_eval.run.console.progress import Progress
from bon_eval.store.reader import iter_responses

pytestmark = [pytest.mark.vllm, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[3]
MIXED = ASSETS / "arith-mixed"
PYTHON = [sys.executable, "-m", "bon_eval.cli"]
KEY = "sk-never-to-be-seen-0123456789"


def tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def prompts(count: int) -> list[tuple[int, ...]]:
    rows = (ASSETS / "arith" / "test.jsonl").read_text(encoding="utf-8").splitlines()[:count]
    tok = tokenizer(MIXED)
    return [tuple(tok(json.loads(row)["question"] + "\n")["input_ids"]) for row in rows]


def requests(count: int = 12, n: int = 8, **sampling: Any) -> list[Request]:
    ends = (int(tokenizer(MIXED).eos_token_id),)
    return [
        Request(str(i), arm, prompt, size, Sampling(temperature, 96, ends, **sampling))
        for i, prompt in enumerate(prompts(count))
        for arm, size, temperature in (("greedy", 1, 0.0), ("sample", n, 1.0))
    ]


def engine(base_url: str, *, probe: Request | None = None, model_dir: Path = MIXED, **args: Any) -> OpenAIEngine:
    given = {"base_url": base_url, "served_model": "arith-mixed"} | args
    return OpenAIEngine(EngineSpec(str(model_dir), engine_args=given, probe=probe or requests(1)[1]))


def keys(responses: list[Response]) -> list[tuple[str, str, int]]:
    return [(r.problem_id, r.arm, r.index) for r in responses]


def assert_complete(responses: list[Response], count: int = 12, n: int = 8) -> None:
    wanted = {(str(i), "greedy", 0) for i in range(count)} | {
        (str(i), "sample", k) for i in range(count) for k in range(n)
    }
    found = keys(responses)
    assert len(found) == len(set(found))
    assert set(found) == wanted


def forced(engine: Any, responses: list[Response], given: list[tuple[int, ...]]) -> dict[str, tuple[float, ...]]:
    return dict(
        engine.score(
            ForcedSequence(f"{r.problem_id}/{r.arm}/{r.index}", given[int(r.problem_id)], r.token_ids)
            for r in responses
        )
    )


def worst(responses: list[Response], scored: dict[str, tuple[float, ...]]) -> float:
    assert len(scored) == len(responses)
    return max(
        abs(a - b)
        for r in responses
        for a, b in zip(scored[f"{r.problem_id}/{r.arm}/{r.index}"], r.token_logprobs, strict=True)
    )


@pytest.fixture(scope="module")
def drawn(served_mixed: Any) -> list[Response]:
    """Greedy and 8 samples of 12 problems through the server, pools in three HTTP requests each."""
    with engine(served_mixed.base_url, max_n=3) as opened:
        return [r for group in opened.sample(requests()) for r in group]


def test_every_response_comes_back_once_with_its_tokens(drawn: list[Response]) -> None:
    assert_complete(drawn)
    tok = tokenizer(MIXED)
    for r in drawn:
        assert r.text == tok.decode(list(r.token_ids), skip_special_tokens=True)
        assert len(r.token_ids) == len(r.token_logprobs) <= 96
        assert r.truncated or r.token_ids[-1] == tok.eos_token_id
    assert len({(r.problem_id, r.token_ids) for r in drawn if r.arm == "sample"}) > 12 * 4


def test_the_in_process_engines_agree_on_the_same_tokens(drawn: list[Response], served_mixed: Any) -> None:
    from bon_eval.engines.transformers import TransformersEngine
    from bon_eval.engines.vllm import VllmEngine

    with engine(served_mixed.base_url) as opened:
        assert worst(drawn, forced(opened, drawn, prompts(12))) < 1e-3
        argmax = next(iter(opened.score_argmax([ForcedSequence("g", prompts(1)[0], drawn[0].token_ids)])))
    assert all(top >= own for own, top in zip(argmax.logprobs, argmax.argmax_logprobs, strict=True))
    for kind in (TransformersEngine, VllmEngine):
        with kind(EngineSpec(str(MIXED), dtype="float32", log_path=os.devnull)) as other:
            assert worst(drawn, forced(other, drawn, prompts(12))) < 1e-3
            greedy = {r.problem_id: r.token_ids for r in drawn if r.arm == "greedy"}
            again = [r for found in other.sample(r for r in requests() if r.arm == "greedy") for r in found]
            same = sum(greedy[r.problem_id] == r.token_ids for r in again)
            assert same >= 11, "greedy is greedy everywhere, but for a tie in the last bit"


def test_top_k_confidences_are_those_of_the_transformers_engine(served_mixed: Any) -> None:
    from bon_eval.engines.transformers import TransformersEngine

    asked = requests(3, 4, topk=True)
    with engine(served_mixed.base_url) as opened:
        responses = {f"{r.problem_id}/{r.arm}/{r.index}": r for group in opened.sample(asked) for r in group}
    sequences = [ForcedSequence(key, prompts(3)[int(r.problem_id)], r.token_ids) for key, r in responses.items()]
    with TransformersEngine(EngineSpec(str(MIXED), dtype="float32")) as other:
        for key, [values] in other.statistics(sequences, ("topk",)):
            carried = responses[key].token_topk
            assert carried is not None
            assert max(abs(a - b) for a, b in zip(carried, values, strict=True)) < 1e-3


def test_stop_strings_end_a_response_and_count(served_mixed: Any) -> None:
    [free, _] = requests(1)
    with engine(served_mixed.base_url) as opened:
        [whole] = only_pool(opened.sample([free]))
        stop = whole.text[2:5]
        [cut] = only_pool(opened.sample([requests(1, stop=(stop,))[0]]))
    assert cut.finish_reason == "stop"
    assert cut.text == whole.text[: whole.text.index(stop)]
    assert cut.token_ids == whole.token_ids[: cut.n_tokens]


def test_it_works_where_an_event_loop_runs_already(served_mixed: Any) -> None:
    """As in a notebook."""

    async def cell() -> list[Response]:
        with engine(served_mixed.base_url, max_n=3) as opened:
            return [r for group in opened.sample(requests(2)) for r in group]

    assert_complete(asyncio.run(cell()), count=2)


def test_what_is_on_its_way_is_given_up_when_the_caller_stops(served_mixed: Any) -> None:
    pools: list[int] = []
    over = threading.Event()

    def play(path: str, body: dict[str, Any], forward: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
        if body["max_tokens"] == 96 and body["n"] > 1:
            pools.append(body["n"])
            over.wait(600)
        return forward(body)

    with proxy(served_mixed.base_url, play) as url:
        began = time.monotonic()
        with engine(url, max_n=3, concurrency=8) as opened:
            stream = opened.sample(requests())
            assert any(stream)
        assert time.monotonic() - began < 300
        over.set()
    assert len(pools) < 5, "no more than the window was asked for"


def test_smollm2_by_completions_and_by_chat(serve: Callable[..., Any], smollm2: Path) -> None:
    """A real tokenizer and chat template: both APIs see the same prompt, and vLLM in-process the same numbers."""
    from bon_eval.engines.vllm import VllmEngine
    from bon_eval.tasks.ends import find_ends

    tok = tokenizer(smollm2)
    ends = tuple(end.token_id for end in find_ends(smollm2, tok))
    asked = []
    for i, question in enumerate(("Name three fruits.", "What is 2 + 2?", "Say «naïve» in French 🍐.")):
        messages = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": question})
        text = tok.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
        ids = tuple(tok(text, add_special_tokens=False)["input_ids"])
        asked.append(Request(str(i), "greedy", ids, 1, Sampling(0.0, 40, ends), messages))
        asked.append(Request(str(i), "sample", ids, 4, Sampling(1.0, 40, ends), messages))
    server = serve(smollm2, "smollm2", "--max-model-len", "512")
    found: dict[str, list[Response]] = {}
    for api in ("completions", "chat"):
        with engine(
            server.base_url, probe=asked[1], model_dir=smollm2, served_model="smollm2", api=api, max_n=4
        ) as opened:
            assert opened.facts["prompts_checked"] is True
            assert opened.context_length == 512
            found[api] = [r for group in opened.sample(asked) for r in group]
            assert_complete(found[api], 3, 4)
    server.kill()
    greedy = [{r.problem_id: r.token_ids for r in found[api] if r.arm == "greedy"} for api in found]
    assert greedy[0] == greedy[1]
    by_problem = [asked[0].prompt_token_ids, asked[2].prompt_token_ids, asked[4].prompt_token_ids]
    spec = EngineSpec(str(smollm2), dtype="float32", max_length=512, log_path=os.devnull)
    with VllmEngine(spec) as other:
        for responses in found.values():
            assert worst(responses, forced(other, responses, by_problem)) < 1e-3


def test_log_probs_of_the_tempered_distribution_are_refused(serve: Callable[..., Any]) -> None:
    server = serve(MIXED, "arith-mixed", "--logprobs-mode", "processed_logprobs")
    with pytest.raises(EngineError, match=r"tempered distribution .* vllm serve MODEL --logprobs-mode raw_logprobs"):
        engine(server.base_url)
    server.kill()


def test_no_more_requests_at_once_than_connections(served_mixed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bon_eval.engines.openai.engine._MOST_REQUESTS", 12)
    lock, now, most = threading.Lock(), 0, 0
    asked, many = threading.Event(), threading.Event()

    def play(path: str, body: dict[str, Any], forward: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
            if now > 6:
                many.set()
        if asked.is_set():
            many.wait(300)  # however slow the machine is, those that are sent at once are there together
        answer = forward(body)
        with lock:
            now -= 1
        return answer

    with proxy(served_mixed.base_url, play) as url, engine(url, max_n=1, concurrency=5000) as served:
        asked.set()
        responses = only_pool(served.sample(requests(1, 60)[1:]))
    assert len(responses) == 60
    assert 6 < most <= 12


def test_while_the_server_holds_its_answers_back_progress_says_what_is_awaited(
    served_mixed: Any, heartbeat: Heartbeat, capfd: pytest.CaptureFixture[str]
) -> None:
    """It does so until three lines have said it."""
    held = "sampling: 0/108 responses, 108 responses awaited from the server, 0 tokens in those that came, "

    def play(path: str, body: dict[str, Any], forward: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
        answer = forward(body)
        assert body["max_tokens"] < 96 or heartbeat.said(held, 3)
        return answer

    with proxy(served_mixed.base_url, play) as url, engine(url, max_n=3) as served:
        with Progress(108, label="sampling", unit="responses", engine=served) as progress:
            responses = []
            for finished in served.sample(requests()):
                responses += finished
                progress.advance(len(finished))
        total = sum(r.n_tokens for r in responses)
        assert served.pulse == Pulse(total, 0, 0, live=False)
    lines = capfd.readouterr().err.splitlines()
    assert sum(line.startswith(held) for line in lines) >= 3, lines
    assert f"108/108 responses, {total:,} tokens in those that came, " in lines[-1]
    assert lines[-1].endswith(", 0 s left")


def test_a_busy_failing_and_hanging_server_is_tried_again(served_mixed: Any) -> None:
    """Every third request goes wrong in another way: busy (twice), broken, gone in mid-answer, too slow (once)."""
    lock, seen, wrong = threading.Lock(), Counter[str](), 0
    over = threading.Event()

    def play(path: str, body: dict[str, Any], forward: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
        nonlocal wrong
        with lock:
            seen["all"] += 1
            bad = body["max_tokens"] == 96 and seen["all"] % 3 == 0
            kind = wrong % 5
            wrong += bad
            seen[str(kind)] += bad
        if not bad:
            return forward(body)
        if kind in (0, 1):
            return 429, {"Retry-After": "0.05"} if kind else {}, b'{"error": {"message": "busy"}}'
        if kind == 2:
            return 503, {}, b"down for a moment"
        if kind == 3:
            return None
        if seen["4"] == 1:  # a true answer comes within the timeout on any machine, so that it is long
            over.wait(600)
        return forward(body)

    with proxy(served_mixed.base_url, play) as url, engine(url, max_n=3, timeout=15, patience=600) as opened:
        assert_complete([r for group in opened.sample(requests()) for r in group])
        over.set()
    assert all(seen[str(kind)] for kind in range(5)), seen


def test_patience_ends(served_mixed: Any) -> None:
    def play(path: str, body: dict[str, Any], forward: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
        return forward(body) if body["max_tokens"] != 96 else (503, {}, b'{"error": {"message": "overloaded"}}')

    with proxy(served_mixed.base_url, play) as url, engine(url, patience=1) as opened:
        began = time.monotonic()
        with pytest.raises(EngineError, match=r"failed for \d+ s: HTTP 503: overloaded; what was stored is kept"):
            list(opened.sample(requests(2)))
        assert time.monotonic() - began < 120, "without the patience given it would be 600 s"


def test_a_server_that_refuses_a_large_n_is_asked_for_less(served_mixed: Any) -> None:
    asked: list[int] = []

    def play(path: str, body: dict[str, Any], forward: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
        if body["n"] > 3:
            return 400, {}, b'{"error": {"message": "n must be at most 3"}}'
        asked.append(body["n"])
        return forward(body)

    with proxy(served_mixed.base_url, play) as url, engine(url) as opened:
        assert opened.facts["max_n"] == 2
        assert_complete([r for group in opened.sample(requests()) for r in group])
    assert max(asked) == 2


def fewer(answer: dict[str, Any]) -> Any:
    return answer | {"choices": answer["choices"][:1]}


def without_logprobs(answer: dict[str, Any]) -> Any:
    return answer | {"choices": [c | {"logprobs": None} for c in answer["choices"]]}


def longer_prompt(answer: dict[str, Any]) -> Any:
    return answer | {"usage": answer["usage"] | {"prompt_tokens": answer["usage"]["prompt_tokens"] + 1}}


def echoing(answer: dict[str, Any]) -> Any:
    return 401, {}, json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}."}}).encode()


def only_own(answer: dict[str, Any]) -> Any:
    bare = [c | {"logprobs": c["logprobs"] | {"top_logprobs": None}} for c in answer["choices"]]
    return answer | {"choices": bare}


def page(answer: dict[str, Any]) -> Any:
    return 200, {"Content-Type": "text/html"}, b"<html>Please log in</html>"


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (fewer, "gave 1 choice where 8 were asked for; give --engine-arg max_n=1"),
        (without_logprobs, "no log-prob for each token"),
        (longer_prompt, "another tokenizer or chat template"),
        (only_own, "cannot be told whether"),
        (echoing, r"Incorrect API key provided: \*\*\*\."),
        (page, "is no completion"),
    ],
)
def test_what_would_make_wrong_numbers_is_found_before_the_run(
    spoil: Callable[[dict[str, Any]], Any], named: str, served_mixed: Any, tmp_path: Path
) -> None:
    with proxy(served_mixed.base_url, lambda path, body, forward: spoil(forward(body))) as url:
        done = bon_eval(url, tmp_path / "run", "--n", "8", "--limit", "4")
    assert done.returncode == 2
    error = done.stderr.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert re.search(named, error), error
    assert KEY not in done.stderr + done.stdout
    assert not (tmp_path / "run").exists(), "nothing half-written"


def test_a_cache_in_between_is_found(served_mixed: Any) -> None:
    kept: dict[str, dict[str, Any]] = {}

    def play(path: str, body: dict[str, Any], forward: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
        key = json.dumps(body)
        if key not in kept:
            kept[key] = forward(body)
        return kept[key]

    with (
        proxy(served_mixed.base_url, play) as url,
        engine(url, max_n=16, concurrency=1) as opened,
        pytest.raises(EngineError, match="a cache stands between"),
    ):
        list(opened.sample(requests(1, 64)))


def bon_eval(url: str, out: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return started([*PYTHON, *arguments_of(url, out), *args])


def started(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment_of())


def arguments_of(url: str, out: Path) -> list[str]:
    arguments = ["run", "--base-url", url, "--model", "arith-mixed"]
    return [*arguments, "--task", "arith", "--draws", "200", "--out", str(out)]


def environment_of() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "OPENAI_API_KEY": KEY}


def stored(out: Path) -> dict[tuple[str, str, int], Response]:
    found = list(iter_responses(out))
    table = {(r.problem_id, r.arm, r.index): r for r in found}
    assert len(table) == len(found)
    return table


@pytest.fixture(scope="module")
def sampled(served_mixed: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A whole run through the server, and what it printed."""
    out = tmp_path_factory.mktemp("sampled") / "run"
    done = bon_eval(served_mixed.base_url, out, "--n", "16", "--limit", "60")
    assert done.returncode == 0, done.stderr
    return out, done.stdout + done.stderr


def test_a_run_through_a_server_is_a_run_and_holds_no_key(sampled: tuple[Path, str], served_mixed: Any) -> None:
    out, printed = sampled
    assert "engine openai (server vllm 0.32" in printed
    table = stored(out)
    assert len(table) == 60 * 17
    for path in out.rglob("*"):
        assert path.is_dir() or KEY.encode() not in path.read_bytes(), path
    assert KEY not in printed
    meta = json.loads((out / "run.json").read_text())
    assert meta["config"]["engine_args"]["base_url"] == served_mixed.base_url
    assert meta["engine"]["logprobs_mode"] == "raw (shown by a trial)"
    # The sharpening effect of the embedded model, as with the engines that run it here.
    lift = json.loads((out / "report.json").read_text())["facts"]["comparisons"][0]
    assert lift["verdict"] == "higher"
    again = bon_eval("http://127.0.0.1:9/v1", out, "--n", "16", "--limit", "60")
    assert "nothing to sample" in again.stderr, "the address is no part of the run, and a finished one asks nobody"
    assert stored(out) == table


def test_a_served_model_scores_another_run(sampled: tuple[Path, str], served_mixed: Any, tmp_path: Path) -> None:
    run, by = tmp_path / "run", sampled[0]
    here = [*PYTHON, "run", "--model", "arith-mixed", "--engine", "transformers", "--dtype", "float32", "--n", "2"]
    done = started([*here, "--task", "arith", "--limit", "60", "--draws", "200", "--out", str(run)])
    assert done.returncode == 0, done.stderr

    def other(path: str, body: dict[str, Any], forward: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
        answer = forward(body)
        for position in answer["choices"][0]["prompt_logprobs"][1:]:
            for entry in position.values():
                entry["logprob"] -= 0.15
        return answer

    with proxy(served_mixed.base_url, other) as url:
        done = started([*PYTHON, "score", str(run), "--by", str(by), "--base-url", url])
    assert done.returncode == 2
    error = done.stderr.splitlines()[-1]
    assert re.search(
        r"is not the model that sampled .*stored tokens differ by 0\.1[45]\d nats.*serve that model again", error
    )
    assert not list(run.glob("scores/*/part-*"))
    done = started([*PYTHON, "score", str(run), "--by", str(by), "--base-url", served_mixed.base_url])
    assert done.returncode == 0, done.stderr
    table = stored(run)
    parts = [pq.read_table(part) for part in Path(done.stdout.strip()).glob("part-*")]
    scores = [row for part in parts for row in part.to_pylist()]
    assert len(scores) == len(table) == 60 * 3
    for row in scores:
        own = table[row["problem_id"], row["arm"], row["index"]].token_logprobs
        assert max(abs(a - b) for a, b in zip(row["token_logprobs"], own, strict=True)) < 1e-3


def test_another_model_under_the_same_name_does_not_go_on_with_a_run(served_mixed: Any, tmp_path: Path) -> None:
    out = tmp_path / "run"

    def other(path: str, body: dict[str, Any], forward: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
        answer = forward(body)
        for choice in answer["choices"]:
            given = choice["logprobs"]
            given["token_logprobs"] = [value - 0.75 for value in given["token_logprobs"]]
            for entry in given["top_logprobs"]:
                for token in entry or ():
                    entry[token] -= 0.75
        return answer

    HeldRun(out, 3, *arguments_of(served_mixed.base_url, out), "--n", "32", "--limit", "200").killed()
    before = stored(out)
    with proxy(served_mixed.base_url, other) as url:
        done = bon_eval(url, out, "--n", "32", "--limit", "200")
    assert done.returncode == 2
    assert "is not the model that began this run" in done.stderr.splitlines()[-1]

    def near(path: str, body: dict[str, Any], forward: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
        """Too near for the first token to show it."""
        answer = forward(body)
        for position in answer["choices"][0].get("prompt_logprobs") or ():
            for entry in (position or {}).values():
                entry["logprob"] -= 0.15
        return answer

    with proxy(served_mixed.base_url, near) as url:
        done = bon_eval(url, out, "--n", "32", "--limit", "200")
    assert done.returncode == 2
    assert re.search("is not the model that sampled .*or give --fresh", done.stderr.splitlines()[-1])
    assert stored(out) == before


def test_a_server_that_is_killed_in_mid_stream_and_started_again(served_mixed: Any, tmp_path: Path) -> None:
    server, out = served_mixed, tmp_path / "run"
    arguments = [*arguments_of(server.base_url, out), "--n", "16", "--limit", "100", "--engine-arg", "concurrency=64"]
    held = HeldRun(out, 5, *arguments)
    held.wait_until_held()
    server.kill()
    before = stored(out)
    assert len(before) < 100 * 17
    held.go_on()
    held.wait_until_said("trying again")
    server.start()
    code, stderr = held.end()
    assert code == 0, stderr
    assert "trying again for up to 600 s" in stderr
    table = stored(out)
    assert len(table) == 100 * 17
    assert all(table[key] == response for key, response in before.items())


@pytest.mark.vllm
@pytest.mark.slow
def test_doctor_takes_a_server_for_any_precision(served_mixed: Any) -> None:
    from bon_eval.run.doctor import examine

    server = {"base_url": served_mixed.base_url, "served_model": served_mixed.name}
    given = {"concurrency": 7, "batch_size": 9}
    lines = list(examine("arith-mixed", ("transformers",), **server, engine_args=given, n=4, limit=3, max_tokens=24))
    rows = [line.split()[:2] for line in lines if line.endswith("  agrees")]
    pairs = [
        ("openai", "openai"),
        ("openai", "transformers"),
        ("transformers", "transformers"),
        ("transformers", "openai"),
    ]
    assert rows == [list(pair) for pair in pairs for _ in range(2)]
    [line] = [line for line in lines if line.startswith("openai ") and ":" in line]
    assert "the server's own precision" in line
    text = " ".join(" ".join(lines).split())
    assert "concurrency=7" in text
    assert "given: batch_size=9" in text
    # The server's responses go by bfloat16's limits, transformers' own in float32 by float32's.
    assert [line.split(":")[0] for line in lines if line.startswith("limits in ")] == [
        "limits in float32",
        "limits in bfloat16",
    ]
