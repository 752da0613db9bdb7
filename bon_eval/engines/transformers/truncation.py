"""Tokens cut from a distribution before one is drawn: min-p, top-k and top-p, as vLLM cuts them."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from bon_eval.records import Sampling

_HEAD = 512
"""Most likely tokens that are sorted first: in a large vocabulary a nucleus rarely needs more, and to sort all of it
takes ten times as long."""


def truncate(weights: torch.Tensor, samplings: Sequence[Sampling]) -> torch.Tensor:
    """Set the weights of the tokens to 0 that `samplings` cut (see `bon_eval.records.Sampling` for which these are).

    As vLLM's sampler has it: min-p is relative to the most likely token, top-k keeps ties with the last one, top-p the
    fewest tokens of those left whose share of what is left reaches it; at least one token stays.

    Args:
        weights: shape (rows, vocabulary), proportional to the tempered probabilities, the largest of each row 1.
        samplings: one per row.

    Returns:
        Weights of the same shape, not renormalised; `weights` itself where nothing is cut, else a copy.
    """
    rows = [row for row, s in enumerate(samplings) if s.truncation]
    if not rows:
        return weights
    given = [samplings[row] for row in rows]
    cut = weights[rows]
    column = {"dtype": weights.dtype, "device": weights.device}
    if any(s.min_p for s in given):
        least = torch.tensor([[s.min_p] for s in given], **column)
        cut = torch.where(cut < least, 0.0, cut)
    ks = [s.top_k if s.top_k < cut.shape[1] else 0 for s in given]
    if any(ks):
        largest = cut.topk(max(ks), dim=-1).values
        last = largest.gather(1, torch.tensor([[max(k - 1, 0)] for k in ks], device=cut.device))
        limited = torch.tensor([[k > 0] for k in ks], device=cut.device)
        cut = torch.where((cut < last) & limited, 0.0, cut)
    if nuclei := [row for row, s in enumerate(given) if s.top_p < 1.0]:
        shares = torch.tensor([given[row].top_p for row in nuclei], dtype=torch.float64, device=cut.device)
        cut[nuclei] = _nuclei(cut[nuclei], shares * cut[nuclei].sum(dim=-1, dtype=torch.float64), _HEAD)
    truncated = weights.clone()
    truncated[rows] = cut
    return truncated


def _nuclei(weights: torch.Tensor, wanted: torch.Tensor, size: int) -> torch.Tensor:
    """The fewest largest weights of each row that sum to what is `wanted` of it, shape (rows,); the others 0.

    The largest `size` are sorted first, and all of a row that needs more.
    """
    values, tokens = weights.topk(min(size, weights.shape[1]), dim=-1)
    until = values.cumsum(dim=-1, dtype=torch.float64)
    # A token stays while those before it hold less than the share.
    kept = torch.where(until - values < wanted[:, None], values, 0.0)
    nuclei = torch.zeros_like(weights).scatter_(1, tokens, kept)
    short = until[:, -1] < wanted
    if size < weights.shape[1] and bool(short.any()):
        nuclei[short] = _nuclei(weights[short], wanted[short], weights.shape[1])
    return nuclei
