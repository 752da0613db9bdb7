"""Loading tokenizers and causal language models from local directories, with their errors in one line."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bon_eval.engines.adapters import check_adapted, no_peft
from bon_eval.engines.base import stderr_to
from bon_eval.engines.weights import check_whole
from bon_eval.errors import Boundary, ConfigError, ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def load_tokenizer(
    model_dir: Path | str, trust_remote_code: bool = False, *, log: str | None = None
) -> PreTrainedTokenizerBase:
    """The tokenizer of a local model directory.

    Raises `ConfigError` with the pip command when transformers is missing and `ModelError` when there is no usable
    tokenizer. Code that comes with the model runs only with `trust_remote_code`. `log` gets the traceback and what
    transformers prints.
    """
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise ConfigError(f"tokenizing needs transformers ({error}): pip install 'bon-eval[transformers]'") from error
    what = f"cannot load a tokenizer from {model_dir}"
    # What it warns of comes again where an engine loads it, and stands in that run's log.
    with stderr_to(log or os.devnull), Boundary(ModelError, what, "give a complete model directory", log=log):
        tokenizer = AutoTokenizer.from_pretrained(
            str(model_dir), trust_remote_code=trust_remote_code, local_files_only=True
        )
        longest = getattr(tokenizer, "model_max_length", None)
        if longest is not None and (isinstance(longest, bool) or not isinstance(longest, int | float)):
            raise ValueError(f"model_max_length is {longest!r} and no number of tokens")
        # A prompt beyond the context is an error of ours; transformers' warning before it says the same less well.
        getattr(tokenizer, "deprecation_warnings", {})["sequence-length-is-longer-than-the-specified-maximum"] = True
        return tokenizer


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
        ModelError: transformers cannot load it, or would begin with random numbers where the files hold none.
    """
    remedy = "give a complete model directory that fits its config.json (downloads and copies can end halfway)"
    with Boundary(ModelError, f"transformers could not load {directory}", remedy, log=log):
        import transformers

        model, report = transformers.AutoModelForCausalLM.from_pretrained(
            str(directory),
            dtype=dtype,
            trust_remote_code=trust_remote_code,
            local_files_only=True,
            output_loading_info=True,
            **options,
        )
        check_whole(f"model {directory}", report["missing_keys"], report["unexpected_keys"], model.state_dict())
        return model


def load_adapter(model: Any, directory: Path | str, *, log: str | None = None, **options: object) -> Any:
    """A LoRA adapter on a model, through PEFT; `options` go to it.

    Raises:
        EngineError: peft is missing.
        ModelError: the adapter cannot be read, or does not fit the model.
    """
    try:
        import peft
    except ImportError as error:
        raise no_peft(error) from error
    remedy = "give a complete directory as saved by PEFT for this model"
    with Boundary(ModelError, f"adapter {directory} does not fit the model", remedy, log=log):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Found missing adapter keys")  # an error below
            adapted = peft.PeftModel.from_pretrained(model, str(directory), **options)
        check_adapted(adapted, directory)
        return adapted
