"""Which shares of each draw's responses were cut, not finished or not scored: the beginning of a sentence."""

from __future__ import annotations

from typing import Literal

from bon_eval.analysis.results import Analysis
from bon_eval.errors import counted

_NAMED = 4
"""Draws besides greedy and the pool that are named, at most."""


def affected(analysis: Analysis, quantity: Literal["truncated", "unfinished", "unscored"]) -> str | None:
    """Shares of the pool, of greedy and of the draws that have any, in words; None where there are none at all."""
    greedy, sample = (getattr(row, quantity) or 0.0 for row in analysis.arms[:2])
    others = {draw.draw: getattr(draw.arms[0], quantity) or 0.0 for draw in analysis.draws}
    others = {draw: share for draw, share in others.items() if share}
    if not greedy and not sample and not others:
        return None
    parts = [f"{100 * share:.1f} % of {draw}" for draw, share in {"the pool": sample, "greedy": greedy}.items()]
    parts += [f"{100 * share:.1f} % of {draw}" for draw, share in list(others.items())[:_NAMED]]
    if len(others) > _NAMED:
        parts.append(f"some of {counted(len(others) - _NAMED, 'more draw')}")
    return f"{', '.join(parts[:-1])} and {parts[-1]}"
