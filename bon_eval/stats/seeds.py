"""Means over several trainings: the seed of a training is a source of variance beside the problems."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bon_eval.errors import ConfigError
from bon_eval.stats.bootstrap import UNBOUNDED, Interval, Support


def with_seeds(
    over_problems: Interval, seed_means: Sequence[float], *, support: Support = UNBOUNDED, confidence: float = 0.95
) -> Interval:
    """The interval of a mean over problems and seeds, for another training on other problems.

    Problems and seeds are two crossed random factors. Each end lies as far from the mean as the root of the sum of two
    squares: the distance of that end of the interval over problems, and the half-width of Student's t over the S
    seeds' means, t * sd / sqrt(S) at S - 1 degrees of freedom. So it is never within either of the two.

    The squares are those of Howe 1974 (doi 10.1080/01621459.1974.10480178) and Zou & Donner 2008
    (doi 10.1002/sim.3087). The variance of the rest (problem by seed) is in both of them and is not taken off: with
    two or three seeds its estimate is too uncertain for that, and 95 % intervals would cover 88 to 92 % where the rest
    or the seeds dominate. Satterthwaite's quantile of the sum covers 87 % with two seeds and 92 % with three.

    Args:
        over_problems: of the problems' means over the seeds.
        seed_means: (S,), each seed's mean over the problems. One seed has no component: the interval over problems
            comes back, and what it says is of this training only.
        support: of the mean.
        confidence: that of `over_problems`.

    Raises:
        ConfigError: no seeds, or a mean that is not finite.

    >>> found = with_seeds(Interval(0.2, 0.17, 0.24, "student-t"), [0.19, 0.21])
    >>> round(found.low, 3), round(found.high, 3), found.method
    (0.069, 0.333, 'student-t, 2 seeds')
    """
    from scipy import special

    means = np.asarray(seed_means, dtype=np.float64)
    if means.ndim != 1 or len(means) == 0 or not np.isfinite(means).all():
        raise ConfigError("with_seeds needs the mean of each seed, finite, of at least one")
    n, estimate = len(means), over_problems.estimate
    if n == 1 or not math.isfinite(over_problems.low):
        return over_problems
    half = float(special.stdtrit(n - 1, 1.0 - (1.0 - confidence) / 2.0) * means.std(ddof=1) / np.sqrt(n))
    low = max(support[0], estimate - math.hypot(estimate - over_problems.low, half))
    high = min(support[1], estimate + math.hypot(over_problems.high - estimate, half))
    return replace(over_problems, low=low, high=high, method=f"{over_problems.method}, {n} seeds")
