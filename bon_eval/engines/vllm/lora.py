"""LoRA adapters as vLLM takes them."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

from bon_eval.errors import Boundary, ModelError

_LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)


def lora_request(directory: str, name: str) -> Any:
    """vLLM's own handle for an adapter."""
    from vllm.lora.request import LoRARequest

    # vLLM tells adapters apart by name and id alone (vllm#30931): both come from the content.
    return LoRARequest(name, 1 + zlib.crc32(name.encode()) % (2**31 - 2), directory)


def lora_rank(adapter_dir: str) -> int:
    """The least rank that vLLM provides for and that an adapter fits in; `ModelError` where there is none."""
    path = Path(adapter_dir) / "adapter_config.json"
    with Boundary(ModelError, f"adapter {adapter_dir}: its rank (r) cannot be read", "save it again with PEFT"):
        rank = int(json.loads(path.read_text(encoding="utf-8"))["r"])
    for allowed in _LORA_RANKS:
        if rank <= allowed:
            return allowed
    raise ModelError(f"adapter {adapter_dir} has rank {rank}; vLLM takes at most {_LORA_RANKS[-1]}")
