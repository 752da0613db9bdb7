"""One token per row from logits, with its log-prob under the raw distribution."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from bon_eval.engines.transformers.truncation import truncate
from bon_eval.records import TOPK, Sampling

BLOCK = 256
"""Tokens of the vocabulary that are drawn from together."""


def raw_logprobs(logits: torch.Tensor) -> torch.Tensor:
    """float32 log-softmax over the last axis: the distribution at temperature 1, nothing cut or penalised."""
    return torch.log_softmax(logits.float(), dim=-1)


def top_confidence(logprobs: torch.Tensor) -> torch.Tensor:
    """Minus the mean of the `TOPK` largest log-probs over the last axis (of all where there are fewer), in nats."""
    return -logprobs.topk(min(TOPK, logprobs.shape[-1]), dim=-1, sorted=False).values.mean(dim=-1)


def draw(
    logits: torch.Tensor, samplings: Sequence[Sampling], generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw from softmax(logits / temperature), truncated, by inversion of the cumulative distribution.

    Temperature 0 is argmax.

    Args:
        logits: shape (rows, vocabulary).
        samplings: one per row, of which temperature, top_p, top_k and min_p are read.
        generator: on the logits' device; two float64 uniform numbers are taken per row, greedy rows included.

    Returns:
        Token ids, int64 (rows,), and their raw log-probs (never tempered or truncated), float32 (rows,), in nats.

    Raises:
        FloatingPointError: logits that are no distribution (NaN or +inf).
    """
    logits = logits.float()
    centred = logits - logits.amax(dim=-1, keepdim=True)
    flat = centred.exp()
    weights = _blocks(flat)
    sums = weights.sum(dim=-1)
    total = sums.sum(dim=-1)
    if not bool(torch.isfinite(total).all()):
        raise FloatingPointError("the model's logits are not finite")
    if any(s.temperature not in (0.0, 1.0) for s in samplings):
        scale = torch.tensor([s.temperature or 1.0 for s in samplings], device=logits.device)
        flat = (centred / scale[:, None]).exp()
    if any(s.temperature and not s.own_distribution for s in samplings):
        weights = _blocks(truncate(flat, samplings))
        sums = weights.sum(dim=-1)
    # First the block, then the token in it, each with a number of its own: exact by the chain rule, and a cumulative
    # sum over the blocks instead of one over the vocabulary.
    uniform = torch.rand(2, logits.shape[0], dtype=torch.float64, device=logits.device, generator=generator)
    block = _invert(sums, uniform[0])
    inside = weights.gather(1, block[:, None, None].expand(-1, 1, weights.shape[2])).squeeze(1)
    tokens = block * weights.shape[2] + _invert(inside, uniform[1])
    greedy = [row for row, s in enumerate(samplings) if s.temperature == 0.0]
    if greedy:
        tokens[greedy] = logits[greedy].argmax(dim=-1)
    return tokens, centred.gather(1, tokens[:, None]).squeeze(1) - total.log()


def _blocks(weights: torch.Tensor) -> torch.Tensor:
    """Shape (rows, vocabulary) -> (rows, blocks, BLOCK), the last block filled up with zeros."""
    rest = -weights.shape[1] % BLOCK
    return (
        torch.nn.functional.pad(weights, (0, rest)).view(weights.shape[0], -1, BLOCK)
        if rest
        else weights.view(weights.shape[0], -1, BLOCK)
    )


def _invert(weights: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """The index whose cumulative weight first reaches (1 - uniform) of the sum: shapes (rows, k), (rows,) -> (rows,).

    1 - uniform is in (0, 1]: an index of weight 0 is never taken, and the last sum is always reached.
    """
    cumulative = weights.cumsum(dim=-1, dtype=torch.float64)
    return torch.searchsorted(cumulative, (1.0 - uniform[:, None]) * cumulative[:, -1:]).squeeze(1)
