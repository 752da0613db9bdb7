"""Sharpening without resampling: a pool drawn from pi, reweighted to the power distribution pi^alpha.

Responses y_1..y_N drawn from pi(.|x) with weights w_i proportional to pi(y_i|x)^(alpha - 1) are a self-normalised
importance sample of pi^alpha / Z, which Karan & Du 2025 (arXiv 2510.14901) draw from by Markov chain Monte Carlo.
Equal responses need no special care: they are draws, and each has its weight. alpha = 1 is one sample, alpha ->
infinity is best-of-N by log-likelihood. Not to be confused with a lower temperature, which sharpens token by token.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bon_eval.errors import ConfigError
from bon_eval.stats.array_checks import two_dimensional

Array = NDArray[np.float64]

ALPHAS = (1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 16.0, math.inf)
"""Where the curve has points; Karan & Du use alpha = 4."""

BELIEVABLE = 10.0
"""Least median effective sample size of an estimate to believe.

The standard error of a self-normalised estimate is about the spread over sqrt(ESS) and its bias of order 1/ESS (Owen
2013, Monte Carlo theory, methods and examples, section 9.2): below ten, both are of the size of what is estimated.
"""


def power_weights(log_likelihood: ArrayLike, alpha: float) -> Array:
    """Self-normalised weights of each pool for the power distribution, w_i ~ pi(y_i|x)^(alpha - 1).

    Args:
        log_likelihood: (P, N), finite, in nats, of responses drawn at temperature 1.
        alpha: >= 1; infinity shares among the responses of highest log-likelihood.

    Returns:
        (P, N); every row sums to 1.

    Raises:
        ConfigError: alpha below 1 or NaN, or a log-likelihood that is not finite.

    >>> import math
    >>> power_weights([[math.log(0.4), math.log(0.2)]], 2.0).round(6).tolist()
    [[0.666667, 0.333333]]
    """
    own = two_dimensional("log_likelihood", log_likelihood).astype(np.float64)
    if not alpha >= 1.0:
        raise ConfigError(f"alpha = {alpha} does not sharpen; give one of at least 1")
    if not np.isfinite(own).all():
        raise ConfigError("power weights need finite log-likelihoods; sample the run again")
    gap = own - own.max(axis=1, keepdims=True)
    # The largest exponent is 0, so nothing overflows: the log-sum-exp trick.
    weights = (gap == 0.0).astype(np.float64) if math.isinf(alpha) else np.exp((alpha - 1.0) * gap)
    normalised: Array = weights / weights.sum(axis=1, keepdims=True)
    return normalised


def effective_sample_size(weights: ArrayLike) -> Array:
    """1 / sum of w_i^2: how many equally weighted draws the weights are worth, between 1 and N (Kong 1992).

    It does not see what the pool has missed: a mode that no response hit leaves it high.

    Args:
        weights: (P, N); every row sums to 1.

    Returns:
        (P,).

    >>> effective_sample_size([[0.5, 0.5], [1.0, 0.0]]).tolist()
    [2.0, 1.0]
    """
    weight = two_dimensional("weights", weights)
    size: Array = 1.0 / (weight.astype(np.float64) ** 2).sum(axis=1)
    return size
