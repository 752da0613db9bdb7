"""The engine on Hugging Face transformers: sampling with one prefill for a pool, and teacher forcing."""

from bon_eval.engines.transformers.engine import TransformersEngine

__all__ = ["TransformersEngine"]
