"""What a mean of unbounded values (nats, tokens) can bear: from how many problems on, and up to which skewness.

No test of a mean holds its level under any skewness (Bahadur & Savage 1956, doi 10.1214/aoms/1177728077). The bounds
here come from simulated log-normal values (benchmarks/coverage.py): the widened hull of bootstrap-t and Student's t
covers at least 94 % for sigma = 0.8 from 10 problems on and for sigma = 1.2 from 50 on. A sample that is more skewed
than 199 of 200 such samples is not of this kind: its interval is marked, and its verdict goes by the problems' signs,
on how many a quantity rose, whatever the sizes of its changes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bon_eval.stats.units import Count, Share

LEAST_PROBLEMS = 10
"""Problems from which on a mean of unbounded values has an interval."""
_WIDENING = ((10, 1.22), (20, 1.12), (50, 1.12), (200, 1.0))
"""Problems, and the factor by which the ends of the hull move away from the mean; linear in between."""
_SKEWNESS = (
    # problems, 99.5 % quantile of the sample's skewness: log-normal, sigma 0.8 below 50 problems and 1.2 from there on
    (10, 2.56),
    (15, 3.25),
    (20, 3.75),
    (30, 4.53),
    (40, 5.14),
    (50, 6.54),
    (75, 7.91),
    (100, 9.02),
    (150, 10.8),
    (300, 14.3),
    (1000, 22.5),
)


def varied_problems(values: NDArray[np.float64]) -> int:
    """Problems of different values, where those that share the commonest value count as one; 1 for constant values."""
    size = float(np.abs(values).max())
    # Sums of the same numbers in another order differ by rounding.
    _, counts = np.unique(np.round(values / size, 12) if size > 0.0 else values, return_counts=True)
    return int(len(values) - counts.max() + 1)


def skewness(values: NDArray[np.float64]) -> float:
    """Third standardised moment of the sample; 0 for constant values."""
    centred = values - values.mean()
    variance = float(np.mean(centred**2))
    return float(np.mean(centred**3)) / variance**1.5 if variance > 0.0 else 0.0


def is_too_skewed(values: NDArray[np.float64], n_problems: float | None = None) -> bool:
    """Whether the sample's skewness says that its mean's interval need not cover.

    `n_problems` is what the values count as, where they are fewer than they look (`bon_eval.stats.means`).
    """
    n, limits = np.array(_SKEWNESS).T
    counted = len(values) if n_problems is None else n_problems
    return abs(skewness(values)) > float(np.interp(np.log(counted), np.log(n), limits))


def widening(n_problems: float) -> float:
    """Factor by which the ends of a mean's interval move away from the mean."""
    return float(np.interp(n_problems, *np.array(_WIDENING).T))


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
