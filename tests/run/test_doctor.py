"""`bon-eval doctor`: its numbers by hand, and its verdict on real engines, right ones and ones with a real fault."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bon_eval import engines
from bon_eval.engines.base import Engine
from bon_eval.engines.precision import float32_products
from bon_eval.engines.split import split_arguments
from bon_eval.errors import ConfigError, EngineError
from bon_eval.records import Draw, Response, Sampling
from bon_eval.run.doctor import examine
from bon_eval.run.doctor.agreement import response_differences, token_differences
from bon_eval.run.doctor.block import engine_line
from bon_eval.run.doctor.limits import LIMITS, exceeded, loosest
from bon_eval.run.doctor.verdict import trouble


def response(problem: str, index: int, *logprobs: float, ids: tuple[int, ...] | None = None, arm: Draw = "sample"):
    given = tuple(range(10 * index, 10 * index + len(logprobs))) if ids is None else ids
    return Response(problem, arm, index, "", given, logprobs, "stop")


# Numbers


def test_token_differences_by_hand() -> None:
    responses = [response("a", 0, -1.0, -2.0), response("a", 1), response("b", 0, -3.0, -0.5)]
    forced = {"a/sample/0": (-1.5, -2.0), "b/sample/0": (-3.0, -0.25)}
    found = token_differences(responses, forced, "e")
    assert (found.n_tokens, found.mean, found.p99, found.largest) == (4, 0.75 / 4, 0.5, 0.5)
    assert (found.response, found.position, found.forced) == (responses[0], 0, -1.5)


def test_p99_leaves_out_one_token_in_a_hundred() -> None:
    responses = [response("a", 0, *[-1.0] * 200)]
    apart = [0.0] * 197 + [1.0, 2.0, 3.0]
    forced = {"a/sample/0": [-1.0 - d for d in apart]}
    # 198 of 200 tokens, 99 %, differ by at most 1.
    assert token_differences(responses, forced, "e").p99 == 1.0
    assert token_differences(responses, forced, "e").largest == 3.0


def test_a_number_that_is_none_is_the_largest_difference() -> None:
    responses = [response("a", 0, -1.0, -2.0), response("a", 1, -1.0, -math.inf)]
    found = token_differences(responses, {"a/sample/0": (-9.0, -2.0), "a/sample/1": (-1.0, -math.inf)}, "e")
    assert (found.response.index, found.position) == (1, 1)
    assert math.isnan(found.mean)
    assert math.isnan(found.largest)
    pool = response_differences(responses, {"a/sample/0": (-9.0, -2.0), "a/sample/1": (-1.0, -math.inf)}, [2])
    assert math.isnan(pool.rms)
    assert all(len(exceeded(limits, found, 1.0, pool)) >= 1 for limits in LIMITS.values())


def test_what_cannot_be_compared() -> None:
    with pytest.raises(EngineError, match="engine e scored 1 tokens of a response with 2"):
        token_differences([response("a", 0, -1.0, -2.0)], {"a/sample/0": (-1.0,)}, "e")
    with pytest.raises(EngineError, match="all 2 responses are empty"):
        token_differences([response("a", 0), response("a", 1)], {}, "e")


def test_response_differences_by_hand() -> None:
    responses = [
        *(response("a", 0, -1.0, -1.0), response("a", 1, -4.0), response("b", 0, -3.0), response("b", 1, -3.0, -2.0)),
    ]
    forced = {"a/sample/0": (-5.0, 0.0), "a/sample/1": (-4.0,), "b/sample/0": (-3.0,), "b/sample/1": (-3.0, -3.0)}
    found = response_differences(responses, forced, [2])
    # Log-likelihoods -2 -4 and -3 -5; forced -5 -4 and -3 -6.
    assert found.rms == pytest.approx(math.sqrt((9 + 0 + 0 + 1) / 4))
    assert found.spread == pytest.approx(math.sqrt((2 + 2) / 2))
    assert found.of_spread == pytest.approx(math.sqrt(10 / 8))
    assert found.changed == {2: 0.5}
    assert (found.n_responses, found.n_tokens, found.nats_per_token) == (4, 1.5, 14 / 6)


def test_pools_without_a_spread() -> None:
    alike = [response("a", 0, -1.0, ids=(4,)), response("a", 1, -1.0, ids=(4,))]
    forced = {"a/sample/0": (-1.0,), "a/sample/1": (-1.5,)}
    found = response_differences(alike, forced, [2])
    assert (found.spread, found.of_spread, found.changed) == (0.0, None, {2: 0.0})
    alone = response_differences(alike[:1], forced, [])
    assert (alone.spread, alone.of_spread, alone.changed) == (None, None, {})
    empty = [response("a", 0, ids=()), response("a", 1, -1.0)]
    assert response_differences(empty, {"a/sample/1": (-1.0,)}, [2]).rms == 0.0


# Limits


def tokens_of(mean: float, p99: float, largest: float) -> Any:
    found = token_differences([response("a", 0, -1.0)], {"a/sample/0": (-1.0,)}, "e")
    return replace(found, mean=mean, p99=p99, largest=largest)


def test_each_limit_by_itself() -> None:
    half = LIMITS["bfloat16"]
    assert exceeded(half, tokens_of(0.1, 0.5, 2.0), nats_per_token=1.0) == []
    for given, word in (((0.11, 0.5, 2.0), "mean"), ((0.1, 0.51, 2.0), "p99"), ((0.1, 0.5, 2.1), "largest")):
        [only] = exceeded(half, tokens_of(*given), nats_per_token=1.0)
        assert word in only
    # What float32 lets pass is no fault in a model that is sure of every token.
    assert exceeded(half, tokens_of(1e-3, 0.0, 0.0), nats_per_token=1e-6) == []
    pool = response_differences(
        [response("a", 0, -1.0), response("a", 1, -3.0)], {"a/sample/0": (-1.4,), "a/sample/1": (-3.4,)}, [2]
    )
    [only] = exceeded(half, tokens_of(0.0, 0.0, 0.0), 1.0, pool)
    assert "0.283 of its pool's spread" in only


def test_the_less_exact_dtype_decides_and_float16_is_eight_times_sharper() -> None:
    assert loosest("bfloat16", "float32") == "bfloat16"
    assert loosest("float32", "float32") == "float32"
    assert loosest(None, "float32") == "bfloat16"
    sharp, dull = LIMITS["float16"], LIMITS["bfloat16"]
    for name in ("mean", "p99", "largest", "of_spread"):
        assert getattr(dull, name) == 8 * getattr(sharp, name)
    with pytest.raises(EngineError, match="float64"):
        loosest("float64")


# Text


def test_the_engine_line_says_what_is_in_force() -> None:
    facts = {"name": "vllm", "version": "0.32.0", "device": "NVIDIA H100", "dtype": "float32", "model_runner": "V2"}
    facts |= {"attention_backend": "FLASH_ATTN", "float32_products": "TF32 (high)", "given": {"max_num_seqs": 4}}
    assert engine_line(facts) == (
        "vllm 0.32.0: NVIDIA H100, float32, model runner V2, attention backend FLASH_ATTN, float32 products in TF32 "
        "(high); given: max_num_seqs=4"
    )


def test_float32_products() -> None:
    assert [float32_products(word) for word in ("highest", "ieee", "none")] == ["float32"] * 3
    assert [float32_products(word) for word in ("high", "tf32")] == ["TF32 (high)", "TF32 (tf32)"]
    assert float32_products("medium") == "TF32 (medium)"
    with pytest.raises(EngineError, match="'bf16'"):
        float32_products("bf16")


def test_tf32_is_named_where_float32_differs() -> None:
    tokens = token_differences([response("a", 0, -1.0)], {"a/sample/0": (-1.5,)}, "vllm")
    facts = {"name": "vllm", "float32_products": "TF32 (high)"}
    found = trouble("vllm", "vllm", "pool", "float32", ["the largest is 0.5 nats"], tokens, (facts, facts))
    assert found.count("vllm's float32 products are TF32 (high)") == 1
    assert "\n" not in found
    exact = {"name": "vllm", "float32_products": "float32"}
    assert "TF32" not in trouble("vllm", "vllm", "pool", "float32", ["x"], tokens, (exact, exact))


def test_engine_arguments_go_to_the_engine_that_takes_them() -> None:
    given = {"batch_size": 8, "max_num_seqs": 4, "concurrency": 2}
    assert split_arguments(["vllm"], given) == {"vllm": given}
    assert split_arguments(["openai", "transformers", "vllm"], given) == {
        "openai": {"concurrency": 2},
        "transformers": {"batch_size": 8},
        "vllm": {"max_num_seqs": 4},
    }
    with pytest.raises(ConfigError, match="unknown argument of engines openai and transformers 'max_num_seqs'"):
        split_arguments(["openai", "transformers"], given)


# Verdicts on real engines


def doctor(dtype: str, names: tuple[str, ...] = ("transformers",), **given: Any) -> tuple[list[str], str]:
    """The lines of the block, and the error behind it."""
    lines: list[str] = []
    try:
        for line in examine("arith-mixed", names, dtype=dtype, **given):
            lines.append(line)
    except EngineError as error:
        return lines, str(error)
    return lines, ""


def verdicts(lines: list[str]) -> list[str]:
    return [line.split()[-1] for line in lines if line.endswith(("agrees", "DIFFERS"))]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_a_right_engine_agrees_in_every_precision(dtype: str) -> None:
    lines, error = doctor(dtype)
    assert (verdicts(lines), error) == (["agrees", "agrees"], "")
    assert f"transformers {pytest.importorskip('transformers').__version__}: cpu, {dtype}" in "\n".join(lines)
    assert any(line.startswith(f"limits in {dtype}: ") for line in lines)
    assert max(map(len, lines)) <= 112


def test_one_problem_with_one_response_has_no_spread_and_a_verdict() -> None:
    lines, error = doctor("bfloat16", n=1, limit=1)
    assert (verdicts(lines), error) == (["agrees", "agrees"], "")
    assert sum("no spread" in line for line in lines) == 1


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """(fault) -> engine transformers has it from now on."""
    transformers_engine = pytest.importorskip("bon_eval.engines.transformers.engine")
    engine_class = transformers_engine.TransformersEngine
    from bon_eval.engines.transformers import decode, force

    def late(self: Engine, requests: Any, *, use_adapter: bool = True) -> Iterator[list[Response]]:
        for group in sample(self, requests, use_adapter=use_adapter):
            yield [replace(r, token_logprobs=(*r.token_logprobs[1:], r.token_logprobs[0])) for r in group]

    def other_prompt(cut: slice) -> Any:
        def score(self: Engine, sequences: Any, *, use_adapter: bool = True) -> Any:
            cut_ones = (replace(s, prompt_token_ids=s.prompt_token_ids[cut]) for s in sequences)
            return right_score(self, cut_ones, use_adapter=use_adapter)

        return score

    def without_adapter(self: Engine, sequences: Any, *, use_adapter: bool = True) -> Any:
        return right_score(self, sequences, use_adapter=False)

    def tempered(logits: Any, samplings: list[Sampling], generator: Any) -> Any:
        import torch

        scale = torch.tensor([s.temperature or 1.0 for s in samplings])
        alike = [replace(s, temperature=1.0) if s.temperature else s for s in samplings]
        return draw(logits.float() / scale[:, None], alike, generator)

    sample, right_score, draw = engine_class.sample, engine_class.score, decode.draw
    raw = force.raw_logprobs
    faults = {
        "positions shifted by one": (engine_class, "sample", late),
        "the prompt's last token missing": (engine_class, "score", other_prompt(slice(None, -1))),
        "the prompt's first token missing": (engine_class, "score", other_prompt(slice(1, None))),
        "the adapter left out": (engine_class, "score", without_adapter),
        "log-probs after the temperature": (decode, "draw", tempered),
        "logits over 0.7": (force, "raw_logprobs", lambda logits: raw(logits.float() / 0.7)),
        "logits over 0.95": (force, "raw_logprobs", lambda logits: raw(logits.float() / 0.95)),
    }
    return lambda fault: monkeypatch.setattr(*faults[fault])


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize(
    "fault",
    [
        "positions shifted by one",
        "the prompt's last token missing",
        "the prompt's first token missing",
        "log-probs after the temperature",
        "logits over 0.7",
        "logits over 0.95",
    ],
)
def test_a_fault_is_an_error(faulty: Any, fault: str, dtype: str) -> None:
    faulty(fault)
    lines, error = doctor(dtype)
    if (fault, dtype) == ("logits over 0.95", "bfloat16"):
        assert (verdicts(lines), error) == (["agrees", "agrees"], ""), "a fault below bfloat16's rounding is not told"
        return
    # Log-probs from after the temperature are right at temperature 1 and in greedy decoding.
    expected = ["agrees" if fault == "log-probs after the temperature" else "DIFFERS", "DIFFERS"]
    assert verdicts(lines) == expected, "\n".join(lines)
    assert error.startswith("engine transformers: sampled and forced log-probs differ (")
    assert "cannot be trusted" in error
    assert LIMITS[dtype].reason in error


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_an_adapter_is_in_force_in_both(faulty: Any, lora_adapter: Path, dtype: str) -> None:
    lines, error = doctor(dtype, adapter=str(lora_adapter))
    assert (verdicts(lines), error) == (["agrees", "agrees"], "")
    faulty("the adapter left out")
    lines, error = doctor(dtype, adapter=str(lora_adapter))
    assert verdicts(lines) == ["DIFFERS", "DIFFERS"]


def test_two_engines_that_agree_with_themselves_and_not_with_each_other(
    monkeypatch: pytest.MonkeyPatch, lora_adapter: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other_engine.py"
    other.write_text(
        "from dataclasses import replace\n"
        "from bon_eval.engines.transformers.engine import TransformersEngine\n\n\n"
        "class WithoutAdapter(TransformersEngine):\n"
        "    def __init__(self, spec):\n"
        "        super().__init__(replace(spec, adapter_dir=None))\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(engines.ENGINES, "vllm", ("other_engine", "WithoutAdapter"))
    lines, error = doctor("bfloat16", ("transformers", "vllm"), adapter=str(lora_adapter))
    assert verdicts(lines) == ["agrees"] * 2 + ["DIFFERS"] * 2 + ["agrees"] * 2 + ["DIFFERS"] * 2
    assert "one of the two computes another model" in error
    assert "(4 comparisons differ, see above)" in error


@pytest.mark.vllm
@pytest.mark.slow
def test_vllms_log_probs_from_after_the_temperature(monkeypatch: pytest.MonkeyPatch) -> None:
    # The argument is refused; this lets it through to the real engine.
    monkeypatch.setattr("bon_eval.engines.vllm.engine.check_arguments", lambda *_: None)
    lines, error = doctor("bfloat16", ("vllm",), engine_args={"logprobs_mode": "processed_logprobs"})
    assert verdicts(lines) == ["agrees", "DIFFERS"]
    assert "(T 0 and 0.5)" in error
    assert "log-probs processed_logprobs" in "\n".join(lines)
    assert "given: logprobs_mode=processed_logprobs" in "\n".join(lines)
