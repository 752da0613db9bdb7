"""From which number of samples on one pool solves more problems than the other: where two pass@k curves cross."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bon_eval.errors import ConfigError
from bon_eval.estimators.equivalent_n import accepted
from bon_eval.stats import PairedTest
from bon_eval.stats.units import Size


@dataclass(frozen=True, slots=True)
class Crossover:
    """The k from which on one run's pass@k is above another's, with its interval.

    1 says "at most 1" in every place: it is above at one sample already. `math.inf` says "none up to N".
    """

    estimate: float
    low: float
    high: float
    """Both NaN where there is no interval."""
    largest: Size
    """The k up to which both curves are known: the smaller N."""
    reason: str = ""
    """Why there is no interval, or empty."""

    @property
    def there(self) -> bool:
        """Whether the curves cross at some k <= N, as far as the estimate goes."""
        return math.isfinite(self.estimate)


def crossover(tests: Sequence[PairedTest]) -> Crossover:
    """Smallest k at which one curve is above another, by the paired tests of their difference at k = 1 .. N.

    With d(k) the difference of the first curve from the second one: the smallest k with d(k) > 0, linearly interpolated
    from the k before it. Curves that only meet, as two do that reach 100 %, have not crossed.

    The interval inverts the tests, as that of the sharpening-equivalent N does
    (`bon_eval.estimators.equivalent_n.sharpening_equivalent_n`): the true crossing has a difference of 0, so it lies
    between the smallest k whose difference may be 0 or more and the largest one whose difference may be 0 or less,
    wherever its own test accepts; a crossing that is not there has the last k's test alone against it. So the
    interval covers with the confidence of one test, whether there is a crossing or not, and "none up to N" is an end
    like any other. A bootstrap of the crossing itself would have to leave out the draws without one.

    Args:
        tests: (N,), of d(k) for k = 1 .. N.

    Raises:
        ConfigError: no tests.

    >>> def at(d):
    ...     return PairedTest(d, d - 0.01, d + 0.01, 1.0, "m", 9)
    >>> found = crossover([at(-0.2), at(-0.1), at(0.1)])
    >>> found.estimate, round(found.low, 2), round(found.high, 2)
    (2.5, 2.45, 2.55)
    """
    if not tests:
        raise ConfigError("crossover got no tests; pass those of k = 1 .. N")
    largest = len(tests)
    at = _first_above(np.array([test.difference for test in tests]))
    if all(test.reason is not None for test in tests):
        return Crossover(at, math.nan, math.nan, largest, tests[0].reason or "")
    low, high = accepted([test.low for test in tests], [test.high for test in tests])
    return Crossover(at, min(low, at), max(high, at), largest)


def _first_above(difference: NDArray[np.float64]) -> float:
    above = difference > 1e-12
    if not above.any():
        return math.inf
    first = int(above.argmax())
    if first == 0:
        return 1.0
    before = min(float(difference[first - 1]), 0.0)
    return first + -before / (float(difference[first]) - before)
