"""Draws against exact probabilities, over vocabularies that need one block, several, and a filled-up last one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

torch = pytest.importorskip("torch")

from bon_eval.engines.transformers.draw import BLOCK, draw, raw_logprobs  # noqa: E402
from bon_eval.records import Sampling  # noqa: E402


def at(*temperatures: float) -> list[Sampling]:
    return [Sampling(temperature, 1) for temperature in temperatures]


@pytest.mark.parametrize("vocabulary", [5, BLOCK, BLOCK + 1, 3 * BLOCK - 7])
@pytest.mark.parametrize("temperature", [1.0, 1.7, 0.6])
def test_frequencies(vocabulary: int, temperature: float) -> None:
    generator = torch.Generator().manual_seed(vocabulary)
    logits = 1.5 * torch.randn(1, vocabulary, generator=generator)
    logits[0, 1] = -torch.inf
    rows, rounds = 2000, 20
    counts = np.zeros(vocabulary)
    for _ in range(rounds):
        tokens, logprobs = draw(logits.expand(rows, -1), at(temperature) * rows, generator)
        counts += np.bincount(tokens.numpy(), minlength=vocabulary)
        torch.testing.assert_close(logprobs, raw_logprobs(logits)[0, tokens], atol=1e-5, rtol=0)
    assert counts[1] == 0
    expected = torch.softmax(logits[0].double() / temperature, -1).numpy() * rows * rounds
    common = expected >= 10
    observed = np.append(counts[common], counts[~common].sum())[: common.sum() + int(expected[~common].sum() > 1)]
    wanted = np.append(expected[common], expected[~common].sum())[: len(observed)]
    assert stats.chisquare(observed, wanted * observed.sum() / wanted.sum()).pvalue > 0.001


def test_greedy_takes_the_largest_logit_and_its_raw_logprob() -> None:
    logits = torch.randn(6, 1000, generator=torch.Generator().manual_seed(0))
    tokens, logprobs = draw(logits, at(0.0, 1.0, 0.0, 2.0, 0.0, 0.0), torch.Generator().manual_seed(0))
    greedy = [0, 2, 4, 5]
    assert torch.equal(tokens[greedy], logits[greedy].argmax(-1))
    torch.testing.assert_close(logprobs, raw_logprobs(logits).gather(1, tokens[:, None])[:, 0], atol=1e-5, rtol=0)


def test_logprobs_are_never_positive_and_certainty_is_zero() -> None:
    logits = torch.full((3, 600), -1e4)
    logits[:, 17] = 50.0
    tokens, logprobs = draw(logits, at(1.0, 0.0, 3.0), torch.Generator().manual_seed(0))
    assert tokens.tolist() == [17, 17, 17]
    assert logprobs.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_logits_that_are_no_distribution(value: float) -> None:
    logits = torch.zeros(2, 10)
    logits[1, 3] = value
    with pytest.raises(FloatingPointError, match="not finite"):
        draw(logits, at(1.0, 1.0), torch.Generator().manual_seed(0))
