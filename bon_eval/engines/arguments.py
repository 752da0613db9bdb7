"""Engine arguments of the user: those that are passed on, and those that would change what a number means."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from bon_eval.engines.model_files import names_in
from bon_eval.engines.weights import tensor_names
from bon_eval.errors import Boundary, ConfigError, ModelError
from bon_eval.records import Sampling

_OWN = {
    "logprobs_mode": "log-probs are those of the raw distribution",
    "generation_config": "the model's own sampling defaults are left out, and its end tokens are read",
    "override_generation_config": "sampling parameters are sent in full; use --temperature and --max-tokens",
    "seed": "use --seed",
    "model": "use --model",
    "tokenizer": "prompts are sent as token ids of the model's own tokenizer",
    "dtype": "use --dtype",
    "revision": "use --revision",
    "trust_remote_code": "use --trust-remote-code",
    "config_format": "the model is the one of config.json",
    "enable_lora": "use --adapter",
    "lora_modules": "use --adapter",
    "logits_processors": "responses are drawn from the model's own distribution",
    "watermark_config": "responses are drawn from the model's own distribution",
    "model_weights": "the model is the one that --model names",
    "hf_config_path": "the model is the one of its own config.json",
    "ignore_patterns": "all weights are loaded that the run is named by",
    "skip_tokenizer_init": "responses are graded by their text",
    "tokens_only": "responses are graded by their text",
    "hf_token": "arguments are stored with the run; set HF_TOKEN, or log in with `hf auth login`",
}
"""Of vLLM: what bon-eval sets itself, and why or by which option."""
_LOAD_FORMATS = frozenset({"auto", "hf", "safetensors", "fastsafetensors", "instanttensor", "runai_streamer"})
"""Of vLLM: ways to read the weights that the run's hash is of."""
_VLLM_HOTTEST = 2.0
_HEADS = (
    *("lm_head", "embed_tokens", "wte", "embed_in", "embed_out", "word_embeddings", "tok_embeddings", "output_layer"),
)


def check_arguments(engine: str, given: Mapping[str, object]) -> None:
    """Raise `ConfigError` for an engine argument that bon-eval sets itself, since numbers depend on it."""
    if engine != "vllm":
        return
    if taken := sorted(_OWN.keys() & given.keys()):
        raise ConfigError(f"--engine-arg {taken[0]} is set by bon-eval itself: {_OWN[taken[0]]}; drop it")
    if (chosen := given.get("load_format")) is not None and chosen not in _LOAD_FORMATS:
        raise ConfigError(
            f"--engine-arg load_format={chosen} loads other weights than those that the run is named by; give one of "
            + ", ".join(sorted(_LOAD_FORMATS))
        )


def check_sampling(engine: str, sampling: Sampling) -> None:
    """Raise `ConfigError` for a way of sampling that an engine is known not to have."""
    if engine == "vllm" and sampling.temperature > _VLLM_HOTTEST:
        raise ConfigError(
            f"temperature {sampling.temperature:g} is above {_VLLM_HOTTEST:g}, the highest that vLLM takes; give a "
            "lower one, or use --engine transformers"
        )


def check_adapter_for_scoring(engine: str, adapter_dir: Path | str | None) -> None:
    """Raise `ModelError` for an adapter under which an engine's forced scores are wrong.

    vLLM's prompt log-probs leave out a LoRA on the head or the embeddings (vllm#51594), silently.
    """
    if engine == "vllm" and adapter_dir is not None and (parts := adapted_head(Path(adapter_dir))):
        raise ModelError(
            f"adapter {adapter_dir} changes {parts[0]}, which vLLM leaves out when it scores given responses "
            "(vllm#51594); use --engine transformers, or merge the adapter into the model"
        )


def adapted_head(adapter_dir: Path) -> tuple[str, ...]:
    """The output or input embeddings that a PEFT adapter changes: by its configuration, and by its weights' names,
    since a pattern may stand for modules there."""
    named: list[str] = []
    with Boundary(ModelError, f"adapter {adapter_dir}: adapter_config.json cannot be read", "save it again with PEFT"):
        config = json.loads((adapter_dir / "adapter_config.json").read_text(encoding="utf-8"))
        for key in ("target_modules", "modules_to_save"):
            value = config.get(key) or []
            named += [value] if isinstance(value, str) else [str(name) for name in value]
    files = [name for name in names_in(adapter_dir) if name.startswith("adapter_model.")]
    named += [name.split(".lora_")[0] for name in tensor_names(adapter_dir, files) if ".lora_" in name]
    return tuple(dict.fromkeys(head for head in _HEADS for name in named if name.split(".")[-1] == head))
