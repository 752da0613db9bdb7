"""Whether a LoRA adapter fits a model, found before either is loaded and for every engine alike."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bon_eval.engines.base import stderr_to
from bon_eval.engines.weights import left_over, missing
from bon_eval.errors import Boundary, EngineError, ModelError

_REMEDY = "give a complete directory as saved by PEFT for this model"
_OTHER_PARTS = re.compile(r"vision|visual|image|audio|speech|tower|projector", re.IGNORECASE)
"""In the names of modules that a text never passes through."""


def check_adapter(
    model_dir: Path | str, adapter_dir: Path | str, *, trust_remote_code: bool = False, log: str | None = None
) -> None:
    """Raise where an adapter's weights are not those that its configuration puts on the model: all, and no others.

    The model is built without weights, and PEFT puts the adapter on it, so that names and shapes are its own. vLLM by
    itself leaves modules without an adapter where some of its weights are missing.

    Args:
        log: the file that gets the traceback of a failure and what the libraries print.

    Raises:
        EngineError: peft is missing.
        ModelError: the adapter cannot be read, or does not fit the model.
    """
    try:
        import peft
        import torch
        import transformers
    except ImportError as error:
        raise no_peft(error) from error
    with (
        stderr_to(log or os.devnull),
        Boundary(ModelError, f"adapter {adapter_dir} does not fit the model", _REMEDY, log=log),
    ):
        config = transformers.AutoConfig.from_pretrained(
            str(model_dir), trust_remote_code=trust_remote_code, local_files_only=True
        )
        settings: Any = peft.PeftConfig.from_pretrained(str(adapter_dir))
        settings.init_lora_weights = False  # others are made from the model's weights, which are not here
        with torch.device("meta"):
            bare = transformers.AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code)
            adapted = peft.get_peft_model(bare, settings)
        check_adapted(adapted, adapter_dir)


def check_adapted(adapted: Any, adapter_dir: Path | str) -> None:
    """Raise `ModelError` where the adapter on a model of PEFT's is not of the same weights as its files, in full.

    Weights of parts that a text never passes through may be left over.
    """
    import peft

    what = f"adapter {adapter_dir}"
    stored = _shapes(peft.utils.load_peft_weights(str(adapter_dir), device="cpu"))
    wanted = _shapes(peft.get_peft_model_state_dict(adapted, save_embedding_layers=False))
    if lacking := wanted.keys() - stored.keys():
        raise missing(what, lacking)
    if spare := [name for name in stored.keys() - wanted.keys() if not _OTHER_PARTS.search(name)]:
        raise left_over(what, spare)
    for name, shape in sorted(wanted.items()):
        if stored[name] != shape:
            raise ModelError(
                f"{what} does not fit the model: {name} is of shape {list(stored[name])}, and the model's is "
                f"{list(shape)}; {_REMEDY}"
            )


def no_peft(error: ImportError) -> EngineError:
    """What to raise where peft cannot be imported."""
    return EngineError(
        f"an adapter needs peft, which cannot be imported ({error}); pip install 'bon-eval[transformers]'"
    )


def _shapes(weights: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in weights.items() if "lora_" in name}
