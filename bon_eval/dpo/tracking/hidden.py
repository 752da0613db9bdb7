"""CHES of pairs from a model's hidden states, through transformers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bon_eval.dpo.pairs.tokens import TokenPair
from bon_eval.dpo.tracking.measures import Array, ches
from bon_eval.engines.base import stderr_to
from bon_eval.engines.load import load_causal_lm
from bon_eval.errors import ConfigError
from bon_eval.run.console.progress import Progress


def ches_scores(
    model_dir: Path, pairs: Sequence[TokenPair], *, trust_remote_code: bool = False, label: str, quiet: bool = False
) -> Array:
    """CHES and length-normalised CHES of each pair under a model in float32, shape (K, 2).

    See `bon_eval.dpo.tracking.measures.ches`. One forward pass for each response; the model is loaded and freed.
    `label` begins the lines of its progress.

    Raises:
        ConfigError: torch or transformers is missing.
        ModelError: the model cannot be loaded.
    """
    try:
        import torch
        import transformers  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"CHES needs hidden states ({error}); pip install 'bon-eval[transformers]'") from error
    with stderr_to(os.devnull):
        model = load_causal_lm(model_dir, "float32", trust_remote_code=trust_remote_code)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device).eval()

    def states(prompt: tuple[int, ...], response: tuple[int, ...]) -> Array:
        ids = torch.tensor([prompt + response[:-1]], device=device)
        with torch.inference_mode():
            hidden = model(input_ids=ids, output_hidden_states=True, logits_to_keep=1).hidden_states[-1][0]
        # The state at a position predicts the token after it.
        kept: Array = hidden[len(prompt) - 1 :].double().cpu().numpy()
        return kept

    out = np.empty((len(pairs), 2))
    with Progress(len(pairs), label=label, unit="pairs", quiet=quiet) as progress:
        for k, pair in enumerate(progress.over(pairs)):
            out[k] = ches(states(pair.prompt, pair.chosen), states(pair.prompt, pair.rejected))
    return out
