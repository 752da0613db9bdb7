"""What is cut, against the same steps in numpy and cases worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from truncated import GIVEN, chi_square, distribution

torch = pytest.importorskip("torch")

from bon_eval.engines.transformers.draw import draw, raw_logprobs  # noqa: E402
from bon_eval.engines.transformers.truncation import truncate  # noqa: E402
from bon_eval.records import Sampling  # noqa: E402


def sampling(**given: Any) -> Sampling:
    return Sampling(**{"temperature": 1.0, "max_tokens": 1} | given)


def left(weights: list[float], **given: Any) -> list[int]:
    """Places of the tokens that are left."""
    row = torch.tensor([weights])
    found = truncate(row / row.max(), [sampling(**given)])[0]
    assert torch.equal(found[found > 0], (row / row.max())[0][found > 0])
    return found.nonzero().flatten().tolist()


def test_by_hand() -> None:
    weights = [0.2, 0.4, 0.1, 0.3]
    assert left(weights, top_k=2) == [1, 3]
    assert left(weights, min_p=0.5) == [0, 1, 3]
    assert left(weights, min_p=1.0) == [1]
    assert left(weights, top_p=0.69) == [1, 3]
    assert left(weights, top_p=0.71) == [0, 1, 3]
    assert left(weights, top_p=0.001) == [1]
    # Of 4/9, 3/9 and 2/9 that min-p leaves two reach 3/4; of all four three would be needed.
    assert left(weights, top_p=0.75) == [0, 1, 3]
    assert left(weights, top_p=0.75, min_p=0.5) == [1, 3]
    assert left(weights, top_p=0.75, top_k=3) == [1, 3]
    assert left(weights, top_k=4) == left(weights, top_k=99) == [0, 1, 2, 3]


def test_ties() -> None:
    """Top-k keeps those that tie with the last one, top-p no more tokens than it needs."""
    assert left([0.4, 0.2, 0.2, 0.2], top_k=2) == [0, 1, 2, 3]
    assert len(left([0.25] * 4, top_p=0.5)) == 2
    assert len(left([0.4, 0.2, 0.2, 0.2], top_p=0.55)) == 2


@pytest.mark.parametrize("vocabulary", [3, 40, 3000])
@pytest.mark.parametrize("spread", [0.2, 2.0])
def test_rows_of_every_kind_side_by_side(vocabulary: int, spread: float) -> None:
    """A nucleus of a wide vocabulary with a flat distribution goes beyond the tokens that are sorted first."""
    generator = torch.Generator().manual_seed(vocabulary)
    plain = {"temperature": 1.0}
    given = [given for kind in GIVEN for given in (kind, plain)]
    logits = spread * torch.randn(len(given), vocabulary, generator=generator)
    temperatures = torch.tensor([[g["temperature"]] for g in given])
    weights = ((logits - logits.amax(1, keepdim=True)) / temperatures).exp()
    before = weights.clone()
    found = truncate(weights, [sampling(**g) for g in given]).double()
    assert torch.equal(weights, before)
    assert torch.equal(found[1::2], weights[1::2].double())
    for row, one in enumerate(given):
        expected = distribution(logits[row].numpy(), one)
        np.testing.assert_allclose((found[row] / found[row].sum()).numpy(), expected, rtol=1e-4, atol=1e-12)


def test_nothing_is_copied_where_nothing_is_cut() -> None:
    weights = torch.ones(3, 7)
    assert truncate(weights, [sampling(), sampling(temperature=0.3), sampling(temperature=0.0)]) is weights


@pytest.mark.parametrize("vocabulary", [12, 700])
def test_frequencies_of_mixed_rows_and_their_raw_logprobs(vocabulary: int) -> None:
    generator = torch.Generator().manual_seed(3)
    logits = 1.5 * torch.randn(1, vocabulary, generator=generator)
    kinds = [*GIVEN, {"temperature": 0.0}, {"temperature": 1.0}, {"temperature": 0.5}]
    rows = [sampling(**kind) for kind in kinds] * 200
    counts = np.zeros((len(kinds), vocabulary))
    for _ in range(15):
        tokens, logprobs = draw(logits.expand(len(rows), -1), rows, generator)
        torch.testing.assert_close(logprobs, raw_logprobs(logits)[0, tokens], atol=1e-5, rtol=0)
        np.add.at(counts, (np.arange(len(rows)) % len(kinds), tokens.numpy()), 1)
    for kind, seen in zip(kinds, counts, strict=True):
        if kind["temperature"]:
            assert chi_square(seen, distribution(logits[0].numpy(), kind)) > 1e-4, kind
        else:
            assert seen[int(logits.argmax())] == 3000
