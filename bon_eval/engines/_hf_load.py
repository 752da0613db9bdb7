"""Loading a causal language model from a local directory, with its errors in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bon_eval.errors import ModelError


def load_causal_lm(directory: Path | str, dtype: str, *, trust_remote_code: bool = False, **options: object) -> Any:
    """The model in a dtype by name (``auto`` is the checkpoint's own); `options` go to transformers.

    Raises:
        ModelError: transformers cannot load it.
    """
    import transformers

    try:
        return transformers.AutoModelForCausalLM.from_pretrained(
            str(directory), dtype=dtype, trust_remote_code=trust_remote_code, local_files_only=True, **options
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise ModelError(f"transformers could not load {directory}: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """The first line of an error's text that is not blank, or its type."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0].strip() if lines else type(error).__name__
