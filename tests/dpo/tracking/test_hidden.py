"""CHES through the model: responses of any length in batches are as each alone."""

from __future__ import annotations

import numpy as np
import pytest

from bon_eval.dpo.pairs.tokens import TokenPair
from bon_eval.dpo.tracking import hidden
from bon_eval.engines.models import resolve_model

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("tokens", [1, 40, 2048])
def test_in_batches_and_alone(tokens: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoModelForCausalLM

    monkeypatch.setattr(hidden, "_TOKENS", tokens)
    rng = np.random.default_rng(1)

    def ids(least: int, most: int) -> tuple[int, ...]:
        return tuple(rng.integers(3, 40, size=int(rng.integers(least, most))).tolist())

    pairs = [TokenPair(str(k), str(k), ids(1, 20), ids(1, 30), ids(1, 30)) for k in range(9)]
    model_dir = resolve_model("arith-mixed").directory
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32).eval()

    def states(prompt: tuple[int, ...], response: tuple[int, ...]) -> np.ndarray:
        with torch.inference_mode():
            last = model(torch.tensor([prompt + response]), output_hidden_states=True).hidden_states[-1][0]
        return last[len(prompt) - 1 : -1].double().numpy()

    expected = []
    for pair in pairs:
        plus, minus = (states(pair.prompt, side) for side in (pair.chosen, pair.rejected))
        assert (len(plus), len(minus)) == (len(pair.chosen), len(pair.rejected))
        sums = plus.sum(axis=0), minus.sum(axis=0)
        means = plus.mean(axis=0), minus.mean(axis=0)
        expected.append([a @ b - a @ a for a, b in (sums, means)])
    found = hidden.ches_scores(model_dir, pairs, label="", quiet=True)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)
