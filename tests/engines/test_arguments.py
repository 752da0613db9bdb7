"""What bon-eval sets itself is refused as an engine argument, and so are adapters under which scores are wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bon_eval.config import PLACEMENT_ARGS
from bon_eval.engines.arguments import adapted_head, check_adapter_for_scoring, check_arguments, check_sampling
from bon_eval.errors import ConfigError, ModelError
from bon_eval.records import Sampling
from bon_eval.run.options import RunOptions
from bon_eval.run.prepare import prepare


@pytest.mark.parametrize(
    "name", ["logprobs_mode", "generation_config", "seed", "dtype", "model", "enable_lora", "config_format"]
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
