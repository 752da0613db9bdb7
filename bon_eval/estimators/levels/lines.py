"""What a line through decoding methods, or through the settings of one, says of accuracy against likelihood.

Each of K points is one way to decode, with its mean log-likelihood and its accuracy over the same P problems. The line
is the least-squares one through the K points, with the mean length beside the likelihood where length is held fixed.
Its slope times the likelihood between the least and the most likely point is what the line gains: a difference of
accuracies, whatever the unit of the likelihood. The K points are given, and problems are the sampling unit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bon_eval.errors import ConfigError

Array = NDArray[np.float64]
LEAST_POINTS = 3
"""Points through which a line says anything; with the length beside the likelihood one more."""
_COLLINEAR = 1e-6
"""Share of the likelihood's spread over the points that length must leave, for the two to be told apart."""


def line_gain(likelihood: ArrayLike, correct: ArrayLike, n_tokens: ArrayLike | None = None) -> Array | None:
    """Accuracy that the line gains from the least likely point to the most likely one, as one number for each problem.

    With X the K points' mean log-likelihoods (and lengths), centred, y their accuracies and b = (X'X)^-1 X'y, the gain
    is b_1 (max X_1 - min X_1). It is a smooth function of means over problems, and so to first order the mean of one
    number for each problem, the gain plus its derivative in the direction of that problem (infinitesimal jackknife,
    Efron & Tibshirani 1993, section 21.2): for the coefficients (X'X)^-1 (x' (y - X b) + X' (z - x b)), where x and z
    are the deviations of the problem's own likelihoods (and lengths) and accuracies from their means.

    Args:
        likelihood: (K, P), mean log-likelihood of each point on each problem, in any unit.
        correct: (K, P), its accuracy.
        n_tokens: (K, P), its mean length, which is held fixed; None: it is not.

    Returns:
        (P,), whose mean is the gain, a fraction that can leave [-1, 1]. None where the points have one likelihood, or
        one that length says (see `_COLLINEAR`).

    Raises:
        ConfigError: shapes that differ, fewer points than `least_points`, a value that is not finite.

    >>> line_gain([[-3.0], [-2.0], [-1.0]], [[0.2], [0.3], [0.6]]).round(6).tolist()
    [0.4]
    """
    held = n_tokens is not None
    columns = [np.asarray(c, dtype=np.float64) for c in (likelihood, *([] if n_tokens is None else [n_tokens]))]
    right = np.asarray(correct, dtype=np.float64)
    if right.ndim != 2 or any(c.shape != right.shape for c in columns) or right.shape[1] == 0:
        raise ConfigError(f"line_gain got shapes {[c.shape for c in (*columns, right)]}; expected (points, problems)")
    if len(right) < least_points(held=held):
        raise ConfigError(f"{len(right)} points do not make a line here; give at least {least_points(held=held)}")
    if not all(np.isfinite(c).all() for c in (*columns, right)):
        raise ConfigError("a likelihood, length or accuracy is not finite; leave its problem out")
    own = np.stack(columns, axis=2)  # (K, P, columns)
    means = own.mean(axis=1)
    x, y = means - means.mean(axis=0), right.mean(axis=1) - right.mean()
    scale = np.abs(x).max(axis=0)
    if not np.all(scale > 1e-12 * np.abs(means).max(axis=0)):
        if scale[0] <= 1e-12 * np.abs(means[:, 0]).max():
            return None
        return line_gain(likelihood, correct)  # length is the same everywhere
    unit = x / scale
    square = unit.T @ unit
    left = np.linalg.det(square) / (square[0, 0] * (square[1, 1] if held else 1.0))
    if held and left < _COLLINEAR:
        return None
    inverse = np.linalg.inv(square) / np.outer(scale, scale)
    b = inverse @ (x.T @ y)
    deviation = own - means[:, None]
    residual = right - right.mean(axis=1)[:, None] - deviation @ b  # (K, P)
    slopes = np.einsum("c,cp->p", inverse[0], np.einsum("kpc,k->cp", deviation, y - x @ b) + x.T @ residual)
    most, least = int(np.argmax(means[:, 0])), int(np.argmin(means[:, 0]))
    span = float(means[most, 0] - means[least, 0])
    out: Array = b[0] * span + span * slopes + b[0] * (deviation[most, :, 0] - deviation[least, :, 0])
    return out


def least_points(*, held: bool) -> int:
    """Points that a line needs, with length held fixed or not."""
    return LEAST_POINTS + held
