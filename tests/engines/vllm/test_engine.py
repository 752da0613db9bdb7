"""vLLM for real (its CPU build, or the GPU wheel where there is a GPU): no stand-in anywhere."""

from __future__ import annotations

import math
import os
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from heartbeat import Heartbeat
from pools import only_pool, pools
from truncated import GIVEN, chi_square, distribution

from bon_eval.engines import choose_engine
from bon_eval.engines.base import Engine, EngineSpec
from bon_eval.engines.models import ASSETS
from bon_eval.engines.vllm import VllmEngine
from bon_eval.errors import ConfigError, EngineError
from bon_eval.records import ForcedSequence, Request, Response, Sampling
from bon_eval.run.console.progress import Progress

pytestmark = [pytest.mark.vllm, pytest.mark.slow]

MIXED = ASSETS / "arith-mixed"


def tokenizer(folder: Path):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def arith_prompts(count: int) -> list[tuple[int, ...]]:
    import json

    rows = (ASSETS / "arith" / "test.jsonl").read_text(encoding="utf-8").splitlines()[:count]
    tok = tokenizer(MIXED)
    return [tuple(tok(json.loads(row)["question"] + "\n")["input_ids"]) for row in rows]


def ends(folder: Path) -> tuple[int, ...]:
    return (int(tokenizer(folder).eos_token_id),)


def forced_all(
    engine: Engine, responses: list[Response], prompts: list[tuple[int, ...]]
) -> dict[str, tuple[float, ...]]:
    sequences = [
        ForcedSequence(f"{r.problem_id}/{r.arm}/{r.index}", prompts[int(r.problem_id)], r.token_ids) for r in responses
    ]
    scored = list(engine.score(sequences))
    assert len(scored) == len(sequences)
    return dict(scored)


def worst_difference(responses: list[Response], forced: dict[str, tuple[float, ...]]) -> float:
    worst = 0.0
    for r in responses:
        scored = forced[f"{r.problem_id}/{r.arm}/{r.index}"]
        assert len(scored) == r.n_tokens
        worst = max([worst, *(abs(a - b) for a, b in zip(scored, r.token_logprobs, strict=True))])
    return worst


@pytest.fixture(scope="module")
def adapted(lora_adapter: Path) -> Iterator[VllmEngine]:
    """One engine for the module: the embedded model, with an adapter that single tests switch off."""
    spec = EngineSpec(
        str(MIXED), dtype="float32", seed=3, adapter_dir=str(lora_adapter), adapter_hash="0123", log_path=os.devnull
    )
    with VllmEngine(spec) as engine:
        yield engine


@pytest.fixture
def engine(adapted: VllmEngine) -> Iterator[VllmEngine]:
    """The same engine without the adapter: requests name none, as they do in an engine that has none."""
    lora, adapted._lora = adapted._lora, None
    yield adapted
    adapted._lora = lora


@pytest.fixture(scope="module")
def drawn(adapted: VllmEngine) -> list[Response]:
    """Greedy and 8 samples of 12 problems from the base model, in one stream."""
    lora, adapted._lora = adapted._lora, None
    stop = ends(MIXED)
    requests = [
        Request(str(i), arm, prompt, n, Sampling(temperature, 96, stop))
        for i, prompt in enumerate(arith_prompts(12))
        for arm, n, temperature in (("greedy", 1, 0.0), ("sample", 8, 1.0))
    ]
    drawn = pools(adapted.sample(requests))
    adapted._lora = lora
    assert len(drawn) == 24
    return [r for pool in drawn.values() for r in pool]


def test_every_response_comes_back_once_with_its_tokens(drawn: list[Response]) -> None:
    keys = [(r.problem_id, r.arm, r.index) for r in drawn]
    assert len(set(keys)) == len(keys) == 12 * 9
    assert {r.index for r in drawn if r.arm == "sample"} == set(range(8))
    for r in drawn:
        assert len(r.token_ids) == len(r.token_logprobs) <= 96
        assert all(math.isfinite(x) and x <= 0 for x in r.token_logprobs)
        assert r.finish_reason in ("stop", "length")
        if r.finish_reason == "stop":
            assert r.token_ids[-1] == ends(MIXED)[0], "the end token belongs to the response"
        assert "<" not in r.text, "special tokens do not belong to the text"


def test_text_is_what_the_tokenizer_decodes(drawn: list[Response]) -> None:
    tok = tokenizer(MIXED)
    assert [r.text for r in drawn] == [tok.decode(list(r.token_ids), skip_special_tokens=True) for r in drawn]


def test_sampled_and_forced_logprobs_agree(engine: VllmEngine, drawn: list[Response]) -> None:
    assert worst_difference(drawn, forced_all(engine, drawn, arith_prompts(12))) < 1e-3


def test_samples_of_a_pool_differ(drawn: list[Response]) -> None:
    distinct = {(r.problem_id, r.token_ids) for r in drawn if r.arm == "sample"}
    assert len(distinct) > 12 * 4


def test_agrees_with_the_transformers_engine(drawn: list[Response]) -> None:
    from bon_eval.engines.transformers import TransformersEngine

    with TransformersEngine(EngineSpec(str(MIXED), dtype="float32")) as other:
        assert worst_difference(drawn, forced_all(other, drawn, arith_prompts(12))) < 1e-3  # type: ignore[arg-type]


def test_top_k_confidences_are_those_of_the_transformers_engine(engine: VllmEngine) -> None:
    from bon_eval.engines.transformers import TransformersEngine

    asked = arith_prompts(4)
    sampling = Sampling(1.0, 96, ends(MIXED), topk=True)
    groups = list(engine.sample(Request(str(i), "sample", p, 4, sampling) for i, p in enumerate(asked)))
    responses = {f"{r.problem_id}/{r.index}": r for group in groups for r in group}
    sequences = [ForcedSequence(key, asked[int(r.problem_id)], r.token_ids) for key, r in responses.items()]
    with TransformersEngine(EngineSpec(str(MIXED), dtype="float32")) as other:
        for key, [forced] in other.statistics(sequences, ("topk",)):
            carried = responses[key].token_topk
            assert carried is not None
            assert max(abs(a - b) for a, b in zip(carried, forced, strict=True)) < 1e-3


def test_greedy_is_the_argmax(engine: VllmEngine, drawn: list[Response]) -> None:
    """No sample of a problem's first token is more likely than greedy's."""
    first = {r.problem_id: r.token_logprobs[0] for r in drawn if r.arm == "greedy"}
    assert all(r.token_logprobs[0] <= first[r.problem_id] + 1e-5 for r in drawn)


def test_draws_follow_the_raw_distribution(engine: VllmEngine) -> None:
    """4,000 first tokens against their own log-probs: temperature 1, no top-k, no top-p."""
    from scipy.stats import chisquare

    [prompt] = arith_prompts(1)
    n = 1000
    requests = [Request(str(i), "sample", prompt, n, Sampling(1.0, 1, ends(MIXED))) for i in range(4)]
    responses = [r for group in engine.sample(requests) for r in group]
    counts = Counter(r.token_ids[0] for r in responses)
    probability = {r.token_ids[0]: math.exp(r.token_logprobs[0]) for r in responses}
    assert all(r.truncated or r.token_ids[0] in ends(MIXED) for r in responses)
    common = [t for t in counts if probability[t] * 4 * n >= 5]
    rest = 4 * n - sum(counts[t] for t in common)
    expected = [probability[t] * 4 * n for t in common]
    observed = [counts[t] for t in common]
    tail = 4 * n - sum(expected)
    if tail > 1e-6:
        expected.append(tail)
        observed.append(rest)
    scale = sum(observed) / sum(expected)
    assert scale == pytest.approx(1, abs=1e-6)
    assert len(common) >= 2, "a prompt with one possible token shows nothing"
    assert chisquare(observed, [e * scale for e in expected]).pvalue > 1e-4


def test_logprobs_are_raw_at_any_temperature(engine: VllmEngine) -> None:
    prompts = arith_prompts(4)
    requests = [Request(str(i), "sample", p, 4, Sampling(2.0, 24, ends(MIXED))) for i, p in enumerate(prompts)]
    responses = [r for group in engine.sample(requests) for r in group]
    assert worst_difference(responses, forced_all(engine, responses, prompts)) < 1e-3


def test_draws_of_every_kind_in_one_stream_follow_what_is_left(engine: VllmEngine) -> None:
    """First tokens against the distribution that forced scoring gives, and whole responses for their raw log-probs."""
    prompt = arith_prompts(1)[0][:22]  # goes on in many ways: the nucleus of 80 % has 187 tokens
    kinds = [*GIVEN, {"temperature": 0.5}]
    first = [Request(f"{i}", "first", prompt, 1000, Sampling(max_tokens=1, **kind)) for i, kind in enumerate(kinds)]
    whole = [
        Request("0", f"draw{i}", prompt, 4, Sampling(max_tokens=48, stop_token_ids=ends(MIXED), **kind))
        for i, kind in enumerate(kinds)
    ]
    plain = [Request("0", "greedy", prompt, 1, Sampling(0.0, 48)), Request("0", "sample", prompt, 4, Sampling(1.0, 48))]
    groups = list(pools(engine.sample([*first, *plain, *whole])).values())
    assert len(groups) == 2 * len(kinds) + 2
    responses = [r for group in groups if group[0].arm != "first" for r in group]
    assert worst_difference(responses, forced_all(engine, responses, [prompt])) < 1e-3
    vocabulary = len(tokenizer(MIXED))
    scored = dict(engine.score(ForcedSequence(str(t), prompt, (t,)) for t in range(vocabulary)))
    raw = np.array([scored[str(t)][0] for t in range(vocabulary)])
    for group in (group for group in groups if group[0].arm == "first"):
        kind = kinds[int(group[0].problem_id)]
        counts = np.bincount([r.token_ids[0] for r in group], minlength=vocabulary).astype(float)
        assert chi_square(counts, distribution(raw, kind)) > 1e-4, kind
        assert max(abs(r.token_logprobs[0] - raw[r.token_ids[0]]) for r in group) < 1e-3


def test_engine_transformers_cuts_the_tokens_that_vllm_cuts() -> None:
    """vLLM's own functions, in its sampler's order, on rows of every kind."""
    import torch
    from vllm.v1.sample.ops.topk_topp_sampler import apply_top_k_top_p_pytorch

    from bon_eval.engines.transformers.truncation import truncate

    for vocabulary in (30, 5000):
        kinds = [*GIVEN, {"temperature": 1.0}] * 20
        logits = 2.5 * torch.randn(len(kinds), vocabulary, generator=torch.Generator().manual_seed(vocabulary))
        tempered = logits / torch.tensor([[kind["temperature"]] for kind in kinds])
        weights = (tempered - tempered.amax(1, keepdim=True)).exp()
        found = truncate(weights, [Sampling(max_tokens=1, **kind) for kind in kinds])
        p = tempered.softmax(-1)
        least = p.amax(1, keepdim=True) * torch.tensor([[kind.get("min_p", 0.0)] for kind in kinds])
        theirs = apply_top_k_top_p_pytorch(
            tempered.masked_fill(p < least, -torch.inf),
            torch.tensor([min(kind.get("top_k", vocabulary), vocabulary) for kind in kinds]),
            torch.tensor([kind.get("top_p", 1.0) for kind in kinds]),
        )
        torch.testing.assert_close(found / found.sum(1, keepdim=True), theirs.softmax(-1), atol=1e-6, rtol=1e-4)


def test_a_temperature_that_vllm_refuses_is_one_line(engine: VllmEngine) -> None:
    with pytest.raises(ConfigError, match="highest that vLLM takes"):
        list(engine.sample([Request("0", "hot", (5, 6), 1, Sampling(2.5, 1))]))


def test_responses_come_as_they_finish(engine: VllmEngine) -> None:
    """The first request is the longest: what is shorter must not wait for it."""
    prompts = arith_prompts(4)
    lengths = (120, 2, 2, 2)
    requests = [
        Request(str(i), "sample", p, 2, Sampling(1.0, m)) for i, (p, m) in enumerate(zip(prompts, lengths, strict=True))
    ]
    found = [r for finished in engine.sample(requests) for r in finished]
    order = [r.problem_id for r in found]
    assert sorted(order[:-2]) == ["1", "1", "2", "2", "3", "3"]
    assert order[-2:] == ["0", "0"]
    assert [r.n_tokens for r in found] == [2] * 6 + [120] * 2


def test_no_token_ends_a_response_but_those_that_are_asked_for(engine: VllmEngine) -> None:
    [prompt], [end] = arith_prompts(1), ends(MIXED)
    for stop, at in (((), False), ((end,), True)):
        found = pools(engine.sample([Request("0", "sample", prompt, 100, Sampling(1.0, 60, stop))]))
        for r in found["0", "sample"]:
            assert at or r.n_tokens == 60
            assert (r.finish_reason == "stop") == (at and r.token_ids[-1] == end)
        assert any(end in r.token_ids[:-1] for r in found["0", "sample"]) != at


def test_a_stop_gives_back_what_is_not_begun_and_finishes_the_rest(engine: VllmEngine) -> None:
    """Of 400 sequences vLLM runs 256 at once on a CPU; of 2,000, some are not in its queue yet."""
    [prompt] = arith_prompts(1)
    for n, at_once in ((20, False), (100, False), (20, True)):
        stream = engine.sample(Request(str(i), "sample", prompt, n, Sampling(1.0, 6 + i)) for i in range(20))
        found = next(piece for piece in stream if piece)
        held = engine.pulse
        assert held.begun > 0
        assert held.unbegun > 50
        engine.stop(at_once=at_once)
        rest = [r for piece in stream for r in piece]
        assert len(rest) == (0 if at_once else held.begun)
        for r in (*found, *rest):
            assert r.finish_reason == "stop" or r.n_tokens == 6 + int(r.problem_id), "each is whole"
        assert not engine._engine.has_unfinished_requests()
        assert (engine.pulse.begun, engine.pulse.unbegun) == (0, 0)


def test_requests_are_taken_as_they_are_needed(engine: VllmEngine) -> None:
    [prompt] = arith_prompts(1)
    taken = 0

    def requests() -> Iterator[Request]:
        nonlocal taken
        for i in range(3000):
            taken += 1
            yield Request(str(i), "sample", prompt, 8, Sampling(1.0, 1))

    stream = engine.sample(requests())
    assert any(stream)
    assert taken < 1500
    stream.close()  # type: ignore[attr-defined]
    assert not engine._engine.has_unfinished_requests(), "an abandoned stream leaves nothing running"


def test_stop_strings_end_a_response_and_count(engine: VllmEngine) -> None:
    [prompt] = arith_prompts(1)
    [free] = only_pool(engine.sample([Request("0", "greedy", prompt, 1, Sampling(0.0, 96, ends(MIXED)))]))
    stop = free.text[2:5]
    [cut] = only_pool(engine.sample([Request("0", "greedy", prompt, 1, Sampling(0.0, 96, ends(MIXED), (stop,)))]))
    assert cut.finish_reason == "stop"
    assert cut.text == free.text[: free.text.index(stop)]
    assert cut.token_ids == free.token_ids[: cut.n_tokens]
    assert stop in tokenizer(MIXED).decode(list(cut.token_ids))


def test_its_pulse_counts_what_is_not_finished(
    engine: VllmEngine, heartbeat: Heartbeat, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Also while the engine is inside a step that takes long: its process is stopped until three lines were said."""
    monkeypatch.setattr("bon_eval.engines.vllm.counts._EVERY_S", 0.0)
    prompts = arith_prompts(3)
    # The pool of one problem ends at different times, the others are cut together at last.
    lengths = {0: (150, ends(MIXED)), 1: (160, ()), 2: (160, ())}
    requests = [Request(str(i), "sample", prompts[i], 4, Sampling(1.0, *lengths[i])) for i in lengths]
    processes = engine._engine.engine_core.resources.engine_manager.processes
    before = engine.pulse
    assert (before.begun, before.unbegun) == (0, 0)

    stuck = (
        "sampling: 0/12 responses, 0 tokens/s, 12 sequences in the engine (12 without a token yet), 0 tokens, time left"
    )

    def wake() -> None:
        heartbeat.said(stuck, 3)
        for process in processes:
            os.kill(process.pid, signal.SIGCONT)

    def fed() -> Iterator[Request]:
        for process in processes:
            os.kill(process.pid, signal.SIGSTOP)
        yield from requests
        threading.Thread(target=wake).start()

    with Progress(12, label="sampling", unit="responses", engine=engine) as progress:
        responses = []
        for finished in engine.sample(fed()):
            assert engine.pulse.live
            responses += finished
            progress.advance(len(finished), responses=len(finished))
            if len(responses) < 12 and engine.pulse.tokens - before.tokens in range(1, 40):
                heartbeat.shown()  # however fast the engine is
    lines = capfd.readouterr().err.splitlines()
    total = sum(r.n_tokens for r in responses)
    assert engine.pulse == replace(before, tokens=before.tokens + total)
    assert sum(line.startswith(stuck) for line in lines) >= 3, lines
    # The first response may end within a few steps, faster than a line comes: any that are unfinished count.
    early = [
        int(line.split(" tokens, ")[0].rsplit(" ", 1)[1].replace(",", ""))
        for line in lines
        if " tokens, " in line and ": 12/12" not in line  # one may come before the engine has anything
    ]
    assert early == sorted(early)
    assert len(set(early)) >= 2, lines
    assert 0 < early[-1] <= total
    assert f"{total:,} tokens, 12 responses" in lines[-1]
    # Forced tokens count, too.
    before = engine.pulse
    assert len(forced_all(engine, responses, prompts)) == 12
    assert engine.pulse == replace(before, tokens=before.tokens + total)


def test_adapter_moves_the_likelihood_and_agrees_with_peft(
    adapted: VllmEngine, lora_adapter: Path, drawn: list[Response]
) -> None:
    from bon_eval.engines.transformers import TransformersEngine

    prompts = arith_prompts(12)
    some = drawn[:20]
    sequences = [ForcedSequence(str(i), prompts[int(r.problem_id)], r.token_ids) for i, r in enumerate(some)]
    with_adapter = dict(adapted.score(sequences))
    without = dict(adapted.score(sequences, use_adapter=False))
    assert all(abs(sum(with_adapter[k]) - sum(without[k])) > 1e-3 for k in with_adapter)
    spec = EngineSpec(str(MIXED), dtype="float32", adapter_dir=str(lora_adapter), adapter_hash="0123")
    with TransformersEngine(spec) as peft:
        reference = dict(peft.score(sequences))
    for k, scored in with_adapter.items():
        assert scored == pytest.approx(reference[k], abs=1e-3)


def test_facts_say_what_ran(adapted: VllmEngine) -> None:
    facts = adapted.facts
    assert facts["name"] == "vllm"
    assert facts["dtype"] == "float32"
    assert facts["logprobs_mode"] == "raw_logprobs"


def test_a_model_directory_that_cannot_be_loaded_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"architectures": ["NoSuchModel"], "model_type": "llama"}')
    with pytest.raises(EngineError, match="vLLM could not load") as caught:
        VllmEngine(EngineSpec(str(tmp_path), log_path=os.devnull))
    assert "\n" not in str(caught.value)


def test_the_cause_of_a_failed_process_is_named(tmp_path: Path) -> None:
    """Its engine runs elsewhere: what went wrong there stands in the log alone."""
    shutil.copytree(MIXED, tmp_path / "half")
    with (tmp_path / "half" / "model.safetensors").open("r+b") as weights:
        weights.truncate(700_000)
    log = tmp_path / "engine.log"
    with pytest.raises(EngineError, match=r"vLLM could not load .*SafetensorError: Error while deser") as caught:
        VllmEngine(EngineSpec(str(tmp_path / "half"), log_path=str(log)))
    assert "\n" not in str(caught.value)
    assert f"(its log: {log})" in str(caught.value)
    assert "Traceback" in log.read_text()


def test_data_parallelism_is_a_servers() -> None:
    with pytest.raises(EngineError, match="data_parallel_size must be 1; use --shard"):
        VllmEngine(EngineSpec(str(MIXED), engine_args={"data_parallel_size": 2}))


def test_two_tensor_parallel_processes_give_the_same_and_a_killed_one_is_an_error_not_a_hang() -> None:
    import psutil

    prompts = arith_prompts(8)
    requests = [
        Request(str(i), "sample", prompt, 4, Sampling(1.0, 16, ends(MIXED))) for i, prompt in enumerate(prompts)
    ]
    spec = EngineSpec(str(MIXED), dtype="float32", log_path=os.devnull, engine_args={"tensor_parallel_size": 2})
    others = set(psutil.Process().children(recursive=True))  # a server of another test, say
    with VllmEngine(spec) as engine:
        assert engine.facts["tensor_parallel_size"] == 2
        responses = [r for group in engine.sample(requests) for r in group]
        from bon_eval.engines.transformers import TransformersEngine

        with TransformersEngine(replace(spec, engine_args={})) as reference:
            assert worst_difference(responses, forced_all(reference, responses, prompts)) < 1e-3
        stream = engine.sample(Request(str(i), "sample", prompts[0], 8, Sampling(1.0, 100)) for i in range(400))
        assert any(stream)
        mine = set(psutil.Process().children(recursive=True)) - others
        workers = [p for p in mine if "Worker" in p.name()]
        assert len(workers) == 2
        workers[1].kill()
        with pytest.raises(EngineError, match="engine process died"):
            list(stream)


def test_pretrained_model_samples_and_scores_alike(smollm2: Path) -> None:
    tok = tokenizer(smollm2)
    questions = ("Name three fruits.", "What is 12 times 7?", "Write one sentence about rain.")
    prompts = [
        tuple(
            tok.apply_chat_template(
                [{"role": "user", "content": q}], add_generation_prompt=True, tokenize=True, return_dict=False
            )
        )
        for q in questions
    ]
    spec = EngineSpec(str(smollm2), dtype="float32", seed=1, max_length=160, log_path=os.devnull)
    requests = [
        Request(str(i), arm, prompt, n, Sampling(temperature, 48, ends(smollm2)))
        for i, prompt in enumerate(prompts)
        for arm, n, temperature in (("greedy", 1, 0.0), ("sample", 4, 1.0))
    ]
    with VllmEngine(spec) as engine:
        assert engine.context_length == 161
        responses = [r for group in engine.sample(requests) for r in group]
        assert worst_difference(responses, forced_all(engine, responses, prompts)) < 1e-3
    from bon_eval.engines.transformers import TransformersEngine

    with TransformersEngine(replace(spec, log_path=None)) as other:
        assert worst_difference(responses, forced_all(other, responses, prompts)) < 1e-3  # type: ignore[arg-type]


def test_auto_takes_vllm_and_says_why() -> None:
    assert choose_engine("auto") == ("vllm", "auto: vLLM imports")
