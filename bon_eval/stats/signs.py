"""The sign test: on how many problems a quantity rose, whatever the sizes of its changes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bon_eval.stats.units import Count, Share


@dataclass(frozen=True, slots=True)
class SignTest:
    """Problems whose difference is above 0 among those whose difference is not 0, with an exact test of one half."""

    above: Count
    below: Count
    low: float
    high: float
    """Clopper-Pearson interval of the share above; both NaN where no problem differs."""
    p_value: Share
    """Exact, two-sided: twice the smaller tail, so that it is at most 5 % where the 95 % interval excludes one half."""


def sign_test(differences: NDArray[np.float64], confidence: float = 0.95) -> SignTest:
    """The sign test of one difference for each problem, (P,).

    Source: Clopper & Pearson 1934, doi 10.1093/biomet/26.4.404.

    >>> found = sign_test(np.array([0.5, 1.0, 2.0, 0.1, 0.3, 4.0, 0.0]))
    >>> found.above, found.below, found.p_value, round(found.low, 3), found.high
    (6, 0, 0.03125, 0.541, 1.0)
    """
    from scipy import special

    above, below = int(np.count_nonzero(differences > 0.0)), int(np.count_nonzero(differences < 0.0))
    n, tail = above + below, (1.0 - confidence) / 2.0
    if n == 0:
        return SignTest(0, 0, np.nan, np.nan, 1.0)
    low = float(special.betaincinv(above, below + 1, tail)) if above else 0.0
    high = float(special.betaincinv(above + 1, below, 1.0 - tail)) if below else 1.0
    p_value = min(1.0, 2.0 * float(special.bdtr(min(above, below), n, 0.5)))
    return SignTest(above, below, low, high, p_value)
