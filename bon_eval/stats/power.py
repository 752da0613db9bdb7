"""The power of a paired comparison, for the test that `bon_eval.stats.paired` makes of it.

Every function takes one number for each problem, because problems are the sampling unit.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from bon_eval.errors import ConfigError

LEAST_PROBLEMS = 20
"""Problems from which on a run's own spread says what it could have found: with fewer, a claimed power of 80 % is
anything between 16 % and 97 %."""
_MOST_PROBLEMS = 10**9


def detectable_difference(
    differences: ArrayLike, *, pseudo: float = 0.0, size: float = 1.0, power: float = 0.8, alpha: float = 0.05
) -> float | None:
    """Smallest true mean difference that a run of this size and spread finds with the given power.

    The test is Student's t of P problems and `pseudo` more with +1 and as many with -1
    (`bon_eval.stats.closed_form.pseudo_t`). A difference is found where the expected t reaches the sum of the
    quantiles of 1 - alpha / 2 and of the power at P - 1 degrees of freedom, with the spread of this run.

    Args:
        differences: (P,), a - b for each problem; of clusters those of `bon_eval.stats.paired.linear_units`.
        pseudo, size: pseudo-problems of each sign that the paired test adds, and the difference that each of them has
            (`bon_eval.stats.paired.pseudo_units`).
        power: probability to find it, in (0, 1).
        alpha: two-sided level, in (0, 1).

    Returns:
        A positive number in the unit of the differences; None with fewer than `LEAST_PROBLEMS` problems, without
        spread, or where no difference would do.

    Raises:
        ConfigError: a value that is not finite, power or alpha out of range.

    >>> round(detectable_difference([1, -1] * 50), 3)
    0.284
    """
    variance, n = _variance(differences, power, alpha)
    return None if variance is None else _detectable(variance, n, pseudo, size, power, alpha)


def problems_needed(
    differences: ArrayLike,
    difference: float,
    *,
    pseudo: float = 0.0,
    size: float = 1.0,
    power: float = 0.8,
    alpha: float = 0.05,
) -> int | None:
    """Number of problems at which a true mean difference is found with the given power, at this run's spread.

    Args:
        differences: (P,), a - b for each problem of this run.
        difference: the true mean difference to find, in the same unit; not 0.
        pseudo, size, power, alpha: as in `detectable_difference`.

    Returns:
        At least `LEAST_PROBLEMS`, or None as there.

    Raises:
        ConfigError: a value that is not finite, a difference of 0, power or alpha out of range.

    >>> problems_needed([1, -1] * 50, 0.05)
    3143
    """
    if difference == 0.0 or not np.isfinite(difference):
        raise ConfigError(f"no number of problems finds a difference of {difference}; pass one that is not 0")
    variance, _ = _variance(differences, power, alpha)
    if variance is None:
        return None
    low, high = LEAST_PROBLEMS - 1, _MOST_PROBLEMS
    while high - low > 1:
        middle = (low + high) // 2
        found = _detectable(variance, middle, pseudo, size, power, alpha)
        low, high = (low, middle) if found is not None and found <= abs(difference) else (middle, high)
    return high


def _variance(differences: ArrayLike, power: float, alpha: float) -> tuple[float | None, int]:
    """Variance of the differences (None where it says nothing) and number of problems."""
    d = np.asarray(differences, dtype=np.float64)
    if d.ndim != 1 or not np.all(np.isfinite(d)):
        raise ConfigError("differences must be a flat list of finite numbers, one for each problem")
    for name, level in (("power", power), ("alpha", alpha)):
        if not 0.0 < level < 1.0:
            raise ConfigError(f"{name} = {level} is not between 0 and 1")
    flat = len(d) < LEAST_PROBLEMS or np.ptp(d) == 0.0
    return (None if flat else float(d.var())), len(d)


def _detectable(variance: float, n: int, pseudo: float, size: float, power: float, alpha: float) -> float | None:
    """The difference at which mean / error of the pseudo-t reaches its quantiles; the square root of a linear one."""
    from scipy import special

    quantiles = float(special.stdtrit(n - 1, 1.0 - alpha / 2.0) + special.stdtrit(n - 1, power)) ** 2
    total = n + 2.0 * pseudo
    share = n / total
    spread = quantiles / (total - 1.0) * (share * variance + 2.0 * pseudo * size**2 / total)
    slope = share**2 * (1.0 + quantiles / (total - 1.0)) - quantiles / (total - 1.0) * share
    return math.sqrt(spread / slope) if slope > 0.0 else None
