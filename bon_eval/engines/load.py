"""Loading tokenizers and causal language models from local directories, with their errors in one line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bon_eval.errors import Boundary, ConfigError, EngineError, ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def load_tokenizer(
    model_dir: Path | str, trust_remote_code: bool = False, *, log: str | None = None
) -> PreTrainedTokenizerBase:
    """The tokenizer of a local model directory.

    Raises `ConfigError` with the pip command when transformers is missing and `ModelError` when there is no usable
    tokenizer. Code that comes with the model runs only with `trust_remote_code`. `log` gets the traceback.
    """
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise ConfigError(f"tokenizing needs transformers ({error}): pip install 'bon-eval[transformers]'") from error
    with Boundary(ModelError, f"cannot load a tokenizer from {model_dir}", "give a complete model directory", log=log):
        return AutoTokenizer.from_pretrained(str(model_dir), trust_remote_code=trust_remote_code, local_files_only=True)


def load_causal_lm(
    directory: Path | str,
    dtype: str,
    *,
    trust_remote_code: bool = False,
    log: str | None = None,
    **options: object,
) -> Any:
    """The model in a dtype by name (``auto`` is the checkpoint's own); `options` go to transformers.

    `log`: the file that gets the traceback of a failure.

    Raises:
        ModelError: transformers cannot load it.
    """
    remedy = "give a complete model directory that fits its config.json (downloads and copies can end halfway)"
    with Boundary(ModelError, f"transformers could not load {directory}", remedy, log=log):
        import transformers

        return transformers.AutoModelForCausalLM.from_pretrained(
            str(directory), dtype=dtype, trust_remote_code=trust_remote_code, local_files_only=True, **options
        )


def load_adapter(model: Any, directory: Path | str, *, log: str | None = None, **options: object) -> Any:
    """A LoRA adapter on a model, through PEFT; `options` go to it.

    Raises:
        EngineError: peft is missing.
        ModelError: the adapter cannot be read, or does not fit the model.
    """
    try:
        import peft
    except ImportError as error:
        raise EngineError(
            f"an adapter needs peft, which cannot be imported ({error}); pip install 'bon-eval[transformers]'"
        ) from error
    remedy = "give a complete directory as saved by PEFT for this model"
    with Boundary(ModelError, f"adapter {directory} does not fit the model", remedy, log=log):
        return peft.PeftModel.from_pretrained(model, str(directory), **options)
