"""The power of a paired comparison.

Every function takes one number for each problem, because problems are the sampling unit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bon_eval.errors import ConfigError


def detectable_difference(differences: ArrayLike, *, power: float = 0.8, alpha: float = 0.05) -> float | None:
    """Smallest true mean difference that a run of this size and spread finds with the given power.

    (z_(1 - alpha/2) + z_power) * sd / sqrt(P), with sd the standard deviation of the per-problem differences.
    Source: the normal approximation to the power of a paired test.

    Args:
        differences: (P,), a - b for each problem.
        power: probability to find it, in (0, 1).
        alpha: two-sided level, in (0, 1).

    Returns:
        A positive number in the unit of the differences, or None where the differences have no spread to go by.

    Raises:
        ConfigError: a value that is not finite, power or alpha out of range.

    >>> round(detectable_difference([1, -1] * 50), 3)
    0.282
    """
    spread, n = _spread(differences)
    return None if spread is None else _quantiles(power, alpha) * spread / float(np.sqrt(n))


def problems_needed(
    differences: ArrayLike, difference: float, *, power: float = 0.8, alpha: float = 0.05
) -> int | None:
    """Number of problems at which a true mean difference is found with the given power, at this run's spread.

    ((z_(1 - alpha/2) + z_power) * sd / difference)^2, rounded up.

    Args:
        differences: (P,), a - b for each problem of this run.
        difference: the true mean difference to find, in the same unit; not 0.
        power: probability to find it, in (0, 1).
        alpha: two-sided level, in (0, 1).

    Returns:
        At least 2, or None where the differences have no spread to go by.

    Raises:
        ConfigError: a value that is not finite, a difference of 0, power or alpha out of range.

    >>> problems_needed([1, -1] * 50, 0.05)
    3172
    """
    if difference == 0.0 or not np.isfinite(difference):
        raise ConfigError(f"no number of problems finds a difference of {difference}; pass one that is not 0")
    spread, _ = _spread(differences)
    return None if spread is None else max(2, int(np.ceil((_quantiles(power, alpha) * spread / difference) ** 2)))


def _spread(differences: ArrayLike) -> tuple[float | None, int]:
    """Standard deviation (None where there is none to measure) and number of problems."""
    d = np.asarray(differences, dtype=np.float64)
    if d.ndim != 1 or not np.all(np.isfinite(d)):
        raise ConfigError("differences must be a flat list of finite numbers, one for each problem")
    flat = len(d) < 2 or np.ptp(d) == 0.0
    return (None if flat else float(d.std(ddof=1))), len(d)


def _quantiles(power: float, alpha: float) -> float:
    from scipy import special

    for name, level in (("power", power), ("alpha", alpha)):
        if not 0.0 < level < 1.0:
            raise ConfigError(f"{name} = {level} is not between 0 and 1")
    return float(special.ndtri(1.0 - alpha / 2.0) + special.ndtri(power))
