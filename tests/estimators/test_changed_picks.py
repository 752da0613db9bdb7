"""Changed picks against every subset, and the ties and duplicates that change nothing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bon_eval.estimators.changed_picks import changed_picks


def brute(scores: np.ndarray, again: np.ndarray, same: np.ndarray, n: int) -> float:
    changed = []
    for subset in itertools.combinations(range(len(scores)), n):
        best, best_again = max(scores[i] for i in subset), max(again[i] for i in subset)
        picked = {same[i] for i in subset if scores[i] == best}
        picked_again = {same[i] for i in subset if again[i] == best_again}
        changed.append(not picked & picked_again)
    return float(np.mean(changed))


@st.composite
def pools(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    size = draw(st.integers(1, 7))
    score = st.integers(-3, 0).map(float)
    rows = [draw(st.lists(score, min_size=size, max_size=size)) for _ in range(2)]
    same = draw(st.lists(st.integers(0, 4), min_size=size, max_size=size))
    return np.array(rows[0]), np.array(rows[1]), np.array(same)


@given(pools())
@settings(max_examples=300, deadline=None)
def test_it_equals_the_enumeration_of_all_subsets(pool) -> None:
    ns = range(1, len(pool[0]) + 1)
    np.testing.assert_allclose(changed_picks(*pool, ns), [brute(*pool, n) for n in ns], atol=1e-12)


def test_a_pool_by_hand() -> None:
    # The two best change places: of the pairs {0,1} {0,2} {0,3} {1,2} {1,3} {2,3} only the first has another pick.
    found = changed_picks(np.array([-1.0, -2.0, -5.0, -9.0]), np.array([-2.0, -1.0, -5.0, -9.0]), np.arange(4), [2, 3])
    np.testing.assert_allclose(found, [1 / 6, 2 / 4])


def test_ties_and_the_same_response_twice_are_no_change() -> None:
    tied = np.array([-1.0, -1.0, -3.0])
    assert changed_picks(tied, np.array([-1.2, -1.1, -3.0]), np.arange(3), [2, 3]).tolist() == [0.0, 0.0]
    assert changed_picks(np.zeros(3), np.zeros(3), np.arange(3), [1, 2, 3]).tolist() == [0.0, 0.0, 0.0]
    # Rounding orders two copies of one response one way and the other; next to a third that is no difference.
    a, b = np.array([-1.0, -1.1, -3.0]), np.array([-1.1, -1.0, -3.0])
    assert changed_picks(a, b, np.array([7, 7, 8]), [2, 3]).tolist() == [0.0, 0.0]
    assert changed_picks(a, b, np.array([7, 6, 8]), [3]).tolist() == [1.0]


def test_large_pools_are_shares_too() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=64)
    found = changed_picks(a, a + 0.1 * rng.normal(size=64), np.arange(64), [1, 2, 32, 63, 64])
    assert found[0] == 0.0
    assert ((found >= 0) & (found <= 1)).all()
    assert changed_picks(a, -a, np.arange(64), [2]).tolist() == [1.0]


def test_bad_input() -> None:
    one = np.zeros(1)
    with pytest.raises(ValueError, match="NaN"):
        changed_picks(one * np.nan, one, np.arange(1), [1])
    with pytest.raises(ValueError, match=r"1\.\.1"):
        changed_picks(one, one, np.arange(1), [2])
    with pytest.raises(ValueError, match="shapes"):
        changed_picks(one, np.zeros(2), np.arange(1), [1])
