"""Distinct answers of a random subset, against every subset counted out."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from bon_eval.errors import ConfigError
from bon_eval.estimators.distinct import distinct_of_n


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_against_every_subset(n: int) -> None:
    classes = np.random.default_rng(n).integers(-1, 4, size=(20, 6))
    expected = [np.mean([len(set(some) - {-1}) for some in combinations(row, n)]) for row in classes.tolist()]
    np.testing.assert_allclose(distinct_of_n(classes, n), expected, atol=1e-12)


def test_ends() -> None:
    assert distinct_of_n([[-1, -1], [3, 3]], 2).tolist() == [0.0, 1.0]
    assert distinct_of_n([[-1], [0]], 1).tolist() == [0.0, 1.0]
    with pytest.raises(ConfigError, match="n = 3"):
        distinct_of_n([[0, 1]], 3)
    with pytest.raises(ConfigError, match="not an integer"):
        distinct_of_n([[0.0, 1.0]], 1)
