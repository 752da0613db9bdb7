"""Loading tokenizers and causal language models from local directories, with their errors in one line."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bon_eval.errors import Boundary, ConfigError, EngineError, ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_LAYER = re.compile(r"(?<=\.)\d+(?=\.)")
"""The number of a layer in the name of its weights."""


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
        _check_whole(f"model {directory}", report["missing_keys"], report["unexpected_keys"], model.state_dict())
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
        raise EngineError(
            f"an adapter needs peft, which cannot be imported ({error}); pip install 'bon-eval[transformers]'"
        ) from error
    remedy = "give a complete directory as saved by PEFT for this model"
    with Boundary(ModelError, f"adapter {directory} does not fit the model", remedy, log=log):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Found missing adapter keys")  # an error below
            adapted = peft.PeftModel.from_pretrained(model, str(directory), **options)
        own = peft.get_peft_model_state_dict(adapted, save_embedding_layers=False)
        stored = peft.utils.load_peft_weights(str(directory), device="cpu")
        low_rank = {name for name in own if "lora_" in name}
        spare = {name for name in stored if "lora_" in name} - set(own)
        _check_whole(f"adapter {directory}", low_rank - set(stored), spare, own)
        return adapted


def _check_whole(what: str, missing: Collection[str], spare: Collection[str], own: Collection[str]) -> None:
    """Raise `ModelError` where weights are missing, which would be random, or left over of layers like the model's.

    Other weights that are left over belong to parts that are not used here, as a vision tower.
    """
    if missing:
        raise ModelError(
            f"{what} is not complete: its files hold no {min(missing)}"
            + (f" and {len(missing) - 1} more weights" if len(missing) > 1 else "")
            + ", which its configuration wants; give files and configuration of one model"
        )
    kinds = {_LAYER.sub("#", name) for name in own}
    if more := [name for name in spare if _LAYER.sub("#", name) in kinds]:
        raise ModelError(
            f"{what} has more weights than its configuration: {min(more)}"
            + (f" and {len(more) - 1} more" if len(more) > 1 else "")
            + " would be left out; give files and configuration of one model"
        )
