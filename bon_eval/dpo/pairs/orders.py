"""What must hold between two responses for one to be chosen over the other: an order's own rules, on a grid of both."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Order = Literal["likelihood", "votes", "distance", "random"]
"""What ranks two wrong responses: log-likelihood (nats), the vote share of their answers, how near their numbers are to
the right one, or nothing, so that the direction is random."""

UNITS = {"likelihood": "nats", "votes": "vote share", "distance": "distance to the right answer"}
"""Of a lead, for each order that has one."""

# Shares such as 3/10 - 2/10 are not exact in floating point.
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Rule:
    """One condition on pairs."""

    unmet: str
    """What the pairs are said to lack, after "fewer than k pairs"."""
    holds: NDArray[np.bool_]
    """Shape (chosen, rejected)."""


def lead_rules(
    order: Order, chosen: Sequence[float], rejected: Sequence[float], margin: float | None
) -> tuple[Rule, ...]:
    """Chosen leads in likelihood or votes, by at least the margin where there is one; values of any scale."""
    gap = np.asarray(chosen, dtype=np.float64)[:, None] - np.asarray(rejected, dtype=np.float64)
    least = margin or 0.0
    return (Rule(_needed(order, margin), (gap > 0) & (gap >= least - ROUNDING)),)


def distance_rules(
    right: Fraction, chosen: Sequence[Fraction | None], rejected: Sequence[Fraction | None], margin: float | None
) -> tuple[Rule, ...]:
    """Both answers are numbers (None: it is none), and chosen's is nearer to `right`, by at least the margin.

    Exact: distances are rational numbers, and a margin of 0.1 is a tenth.
    """
    near, far = (_distances(right, side) for side in (chosen, rejected))
    levels = sorted({d for d in far if d is not None})
    place = {d: k for k, d in enumerate(levels)}
    # The first level that is far enough from each chosen answer's; none is behind the last.
    if margin:
        least = Fraction(repr(float(margin)))
        first = [len(levels) if d is None else bisect_left(levels, d + least) for d in near]
    else:
        first = [len(levels) if d is None else bisect_right(levels, d) for d in near]
    at = np.array([-1 if d is None else place[d] for d in far], dtype=np.int64)
    known = np.array([d is not None for d in near], dtype=np.bool_)[:, None] & (at >= 0)
    leads = known & (at >= np.array(first, dtype=np.int64)[:, None])
    return Rule("whose answers are both numbers", known), Rule(_needed("distance", margin), leads)


def _distances(right: Fraction, numbers: Sequence[Fraction | None]) -> list[Fraction | None]:
    return [None if number is None else abs(number - right) for number in numbers]


def _needed(order: Order, margin: float | None) -> str:
    return f"with a gap of at least {margin:g} ({UNITS[order]})" if margin else f"not tied in {order}"
