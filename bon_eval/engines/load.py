"""Loading tokenizers and causal language models from local directories, with their errors in one line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bon_eval.errors import ConfigError, ModelError, first_line, one_line

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def load_tokenizer(model_dir: Path | str, trust_remote_code: bool = False) -> PreTrainedTokenizerBase:
    """The tokenizer of a local model directory.

    Raises `ConfigError` with the pip command when transformers is missing and `ModelError` when there is no usable
    tokenizer. Code that comes with the model runs only with `trust_remote_code`.
    """
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise ConfigError("tokenizing needs transformers: pip install 'bon-eval[transformers]'") from error
    try:
        return AutoTokenizer.from_pretrained(str(model_dir), trust_remote_code=trust_remote_code, local_files_only=True)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelError(
            f"cannot load a tokenizer from {model_dir}: {one_line(error)}; give a complete model directory"
        ) from error


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
