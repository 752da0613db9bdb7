"""The engine on vLLM."""

from bon_eval.engines.vllm.engine import VllmEngine

__all__ = ["VllmEngine"]
