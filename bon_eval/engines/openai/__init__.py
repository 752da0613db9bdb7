"""The engine on a server that speaks OpenAI's API."""

from bon_eval.engines.openai.engine import OpenAIEngine

__all__ = ["OpenAIEngine"]
