"""How many different answers a random n-subset of a pool holds, and how evenly they share it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bon_eval.errors import ConfigError
from bon_eval.stats.array_checks import checked_ns, two_dimensional


def distinct_of_n(answer_class: ArrayLike, n: int) -> NDArray[np.float64]:
    """Exact expected number of different answers in a random n-subset of each pool.

    A class with c of the N responses is in the subset with probability 1 - C(N - c, n) / C(N, n); the sum over the
    classes is the expectation (rarefaction, Hurlbert 1971, doi 10.2307/1934145). For n = N it is the number of classes.

    Args:
        answer_class: (P, N) integers, numbered within each problem; -1 for no answer, which is none.
        n: subset size, 1 <= n <= N.

    Returns:
        (P,).

    Raises:
        ConfigError: n out of range, or classes that are not integers.

    >>> distinct_of_n([[0, 0, 1, -1]], 4).tolist(), distinct_of_n([[0, 1, 2, 3]], 2).round(9).tolist()
    ([2.0], [2.0])
    """
    classes = two_dimensional("answer_class", answer_class)
    if not np.issubdtype(classes.dtype, np.integer):
        raise ConfigError("distinct_of_n got an answer_class that is not an integer; number the answers from 0")
    size = classes.shape[1]
    [wanted] = checked_ns([n], size)
    left = np.arange(size, 0, -1, dtype=np.float64)
    absent = np.concatenate(([1.0], np.cumprod(np.maximum(left - wanted, 0.0) / left)))
    out = np.zeros(len(classes))
    ordered = np.sort(classes, axis=1)
    begins = np.diff(ordered, axis=1, prepend=ordered[:, :1] - 1) != 0
    row, start = np.nonzero(begins)
    end = np.append(start[1:], 0)
    end[np.append(row[1:] != row[:-1], True)] = size
    kept = ordered[row, start] >= 0
    np.add.at(out, row[kept], 1.0 - absent[(end - start)[kept]])
    return out


def answer_entropy(answer_class: NDArray[np.int32]) -> NDArray[np.float64]:
    """Entropy of the shares of each pool's answers, (P,), in nats; -1, no answer, is an answer of its own.

    >>> answer_entropy(np.array([[0, 0, 1, -1], [3, 3, 3, 3]])).round(4).tolist()
    [1.0397, 0.0]
    """
    found = np.zeros(len(answer_class))
    for row, classes in enumerate(answer_class):
        shares = np.unique(classes, return_counts=True)[1] / len(classes)
        found[row] = max(0.0, -(shares * np.log(shares)).sum())
    return found
