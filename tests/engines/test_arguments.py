"""What bon-eval sets itself is refused as an engine argument, and so are adapters under which scores are wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bon_eval.config import PLACEMENT_ARGS
from bon_eval.engines import arguments
from bon_eval.engines.arguments import adapted_head, check_adapter_for_scoring, check_arguments, check_sampling
from bon_eval.errors import ConfigError, ModelError
from bon_eval.records import Sampling
from bon_eval.run.options import RunOptions, served
from bon_eval.run.prepare import prepare
from bon_eval.tasks.chat import ChatOptions


@pytest.mark.parametrize(
    "name",
    [
        *("logprobs_mode", "generation_config", "seed", "dtype", "model", "enable_lora", "config_format", "hf_token"),
        *("logits_processors", "watermark_config", "model_weights", "hf_config_path", "skip_tokenizer_init"),
    ],
)
def test_arguments_that_change_the_numbers_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"--engine-arg {name} is set by bon-eval itself"):
        check_arguments("vllm", {"max_num_seqs": 4, name: "x"})
    check_arguments("vllm", {"max_num_seqs": 4, "attention_backend": "TRITON_ATTN"})
    assert name not in PLACEMENT_ARGS


def test_a_temperature_that_vllm_refuses() -> None:
    with pytest.raises(ConfigError, match=r"temperature 2\.5 is above 2, the highest that vLLM takes"):
        check_sampling("vllm", Sampling(2.5, 1))
    check_sampling("vllm", Sampling(2.0, 1, top_p=0.5))
    check_sampling("transformers", Sampling(2.5, 1))


def test_other_weights_than_the_hashed_ones_are_refused() -> None:
    for other in ("dummy", "mistral", "pt", "sharded_state"):
        with pytest.raises(ConfigError, match=f"load_format={other} loads other weights"):
            check_arguments("vllm", {"load_format": other})
    check_arguments("vllm", {"load_format": "safetensors"})


def test_they_are_refused_before_anything_is_loaded() -> None:
    options = RunOptions("arith-mixed", "arith", limit=1, engine="vllm", engine_args={"seed": 1})
    with pytest.raises(ConfigError, match="use --seed"):
        prepare(options)


def test_placement_makes_no_other_run() -> None:
    options = RunOptions("arith-mixed", "arith", limit=1, engine="transformers")
    args = {"async_scheduling": True, "compilation_config": {"mode": 0}, "enable_expert_parallel": True}
    moved = RunOptions("arith-mixed", "arith", limit=1, engine="transformers", engine_args=args)
    assert prepare(options).config.run_id == prepare(moved).config.run_id


@pytest.mark.vllm
def test_every_argument_that_is_named_is_vllm_s() -> None:
    """One that vLLM has under another name would pass unseen."""
    from dataclasses import fields

    from vllm import EngineArgs

    known = {field.name for field in fields(EngineArgs)}
    of_others = {"base_url", "batch_size", "concurrency", "device", "max_n", "patience", "swap_space", "threads"}
    of_others |= {"timeout", "wait", "lora_modules"}
    assert (arguments._OWN.keys() | PLACEMENT_ARGS) - known <= of_others


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"target_modules": ["q_proj", "v_proj"]}, ()),
        ({"target_modules": "all-linear"}, ()),
        ({"target_modules": ["q_proj", "lm_head"]}, ("lm_head",)),
        ({"target_modules": ["model.embed_tokens"], "modules_to_save": ["lm_head"]}, ("lm_head", "embed_tokens")),
        ({"target_modules": ["q_proj"], "modules_to_save": None}, ()),
    ],
)
def test_adapters_of_the_head(tmp_path: Path, config: dict[str, Any], expected: tuple[str, ...]) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    assert adapted_head(tmp_path) == expected
    check_adapter_for_scoring("transformers", tmp_path)
    check_adapter_for_scoring("vllm", None)
    if expected:
        with pytest.raises(ModelError, match=f"changes {expected[0]}, which vLLM leaves out"):
            check_adapter_for_scoring("vllm", tmp_path)
    else:
        check_adapter_for_scoring("vllm", tmp_path)


def test_a_pattern_that_stands_for_the_head(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    (tmp_path / "adapter_config.json").write_text(json.dumps({"target_modules": r".*\.(q_proj|lm_head)"}))
    zeros = np.zeros((2, 2), dtype=np.float32)
    names = ["layers.0.self_attn.q_proj.lora_A.weight", "lm_head.lora_A.weight"]
    save_file({f"base_model.model.{name}": zeros for name in names}, tmp_path / "adapter_model.safetensors")
    assert adapted_head(tmp_path) == ("lm_head",)


@pytest.mark.parametrize("given", [ChatOptions("own.jinja"), ChatOptions(arguments={"enable_thinking": False})])
def test_a_template_that_would_not_reach_the_server(given: ChatOptions) -> None:
    args = {"base_url": "http://127.0.0.1:9/v1", "api": "chat"}
    options = RunOptions("arith-mixed", "arith", engine="openai", chat=given, engine_args=args)
    with pytest.raises(ConfigError, match="do not reach the server with api=chat"):
        served(options)
    served(replace(options, chat=ChatOptions()))
    served(replace(options, engine_args=args | {"api": "completions"}))
