"""transformers' sdpa attention without copying keys and values for grouped query heads while decoding.

With a padding mask transformers repeats every key and value head for each of its query heads, at every step and in
every layer. For a single query position the query heads of one key head can stand in the place of query positions
instead: the same function on the same numbers, and nothing is copied (5 to 10 times faster on a CPU).
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "sdpa_grouped"
"""The name under which transformers finds it."""


def grouped_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of `query`, shape (rows, query heads, queries, head size); returns (rows, queries, heads, size).

    `key` and `value` have shape (rows, key heads, columns, head size), the mask (rows, 1, queries, columns) or None.
    """
    rows, heads, queries, size = query.shape
    groups = heads // key.shape[1]
    if queries != 1 or groups == 1 or kwargs.get("position_bias") is not None:
        output, _ = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
        return output, None
    output = torch.nn.functional.scaled_dot_product_attention(
        query.reshape(rows, key.shape[1], groups, size),
        key,
        value,
        attn_mask=attention_mask,
        dropout_p=dropout,
        scale=scaling,
    )
    return output.reshape(rows, 1, heads, value.shape[3]), None


def use_grouped_attention(model: Any) -> None:
    """Switch a model from transformers' sdpa attention to this one."""
    AttentionInterface.register(NAME, grouped_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)
