"""CHES of pairs from a model's hidden states, through transformers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from bon_eval.dpo.pairs.tokens import TokenPair
from bon_eval.dpo.tracking.measures import Array, ches
from bon_eval.engines.base import stderr_to
from bon_eval.engines.load import load_causal_lm
from bon_eval.errors import ConfigError
from bon_eval.run.console.progress import Progress

_TOKENS = 2048
"""Of a batch, padding included; the states of every layer are held for them."""


def ches_scores(
    model_dir: Path, pairs: Sequence[TokenPair], *, trust_remote_code: bool = False, label: str, quiet: bool = False
) -> Array:
    """CHES and length-normalised CHES of each pair under a model in float32, shape (K, 2).

    See `bon_eval.dpo.tracking.measures.ches`. The model is loaded and freed; responses of like length go together.
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

    texts = [(pair.prompt, side) for pair in pairs for side in (pair.chosen, pair.rejected)]
    # Made with the first batch, which knows the hidden size.
    sums: Array | None = None
    with Progress(len(texts), label=label, unit="responses", quiet=quiet) as progress:
        for rows in _batches([len(prompt) + len(side) - 1 for prompt, side in texts]):
            inputs = [prompt + side[:-1] for prompt, side in (texts[row] for row in rows)]
            longest = max(map(len, inputs))
            # Padding stands after a causal model's last token, and no state before it sees it.
            ids = torch.tensor([tokens + (0,) * (longest - len(tokens)) for tokens in inputs], device=device)
            with torch.inference_mode():
                hidden = model(input_ids=ids, output_hidden_states=True, logits_to_keep=1).hidden_states[-1]
            if sums is None:
                sums = np.empty((len(texts), hidden.shape[-1]))
            for state, row, tokens in zip(hidden, rows, inputs, strict=True):
                # The state at a position predicts the token after it.
                sums[row] = state[len(texts[row][0]) - 1 : len(tokens)].double().sum(dim=0).cpu().numpy()
            progress.advance(len(rows))
    if sums is None:
        return np.empty((0, 2))
    counts = np.array([len(side) for _, side in texts])
    return ches(sums[::2], sums[1::2], (counts[::2], counts[1::2]))


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Rows in batches of at most `_TOKENS`, or of one; by length, so that little is padding."""
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[row] > _TOKENS:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
