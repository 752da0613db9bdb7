"""The line through decoding settings: by hand, against least squares and a jackknife, and where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from bon_eval.errors import ConfigError
from bon_eval.estimators.levels.lines import line_gain


def gain(likelihood: np.ndarray, correct: np.ndarray, length: np.ndarray | None = None) -> float:
    """By least squares on the means."""
    columns = [np.ones(len(correct)), likelihood.mean(axis=1)]
    columns += [] if length is None else [length.mean(axis=1)]
    b = np.linalg.lstsq(np.column_stack(columns), correct.mean(axis=1), rcond=None)[0]
    return float(b[1] * np.ptp(likelihood.mean(axis=1)))


def points(rng: np.random.Generator, k: int, p: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    shared = rng.normal(size=p)
    likelihood = -20 + 3 * np.arange(k)[:, None] + 4 * shared + rng.normal(size=(k, p))
    length = 50 + 10 * rng.random((k, 1)) + 5 * rng.normal(size=(k, p)) - 2 * shared
    correct = (rng.random((k, p)) < 0.2 + 0.1 * np.arange(k)[:, None]).astype(float)
    return likelihood, correct, length


def test_by_hand() -> None:
    # Slope 0.1 a nat over 4 nats: the middle point lies off the line and does not tilt it.
    found = line_gain([[-6.0], [-4.0], [-2.0]], [[0.1], [0.6], [0.5]])
    assert found is not None
    assert found.tolist() == pytest.approx([0.4])
    # Accuracy 0.02 a token and nothing by likelihood: with length in the fit the line is flat.
    likelihood, length = np.array([[-6.0], [-5.0], [-3.0], [-2.0]]), np.array([[10.0], [14.0], [12.0], [20.0]])
    held = line_gain(likelihood, 0.02 * length, length)
    assert held is not None
    assert held.tolist() == pytest.approx([0.0], abs=1e-12)
    assert line_gain(likelihood, 0.02 * length)[0] > 0.1  # type: ignore[index]


@pytest.mark.parametrize("held", [False, True])
def test_the_mean_is_least_squares_and_the_spread_that_of_the_jackknife(held: bool) -> None:
    p = 300
    likelihood, correct, length = points(np.random.default_rng(0), 5, p)
    given = (length,) if held else ()
    found = line_gain(likelihood, correct, *given)
    assert found is not None
    assert found.mean() == pytest.approx(gain(likelihood, correct, *given))
    left_out = []
    for i in range(p):
        kept = np.arange(p) != i
        left_out.append(gain(likelihood[:, kept], correct[:, kept], *(g[:, kept] for g in given)))
    jackknife = (p - 1) / p * np.sum((np.array(left_out) - np.mean(left_out)) ** 2)
    assert found.var(ddof=1) / p == pytest.approx(jackknife, rel=0.05)


def test_the_unit_of_likelihood_does_not_matter() -> None:
    likelihood, correct, length = points(np.random.default_rng(1), 4, 50)
    for more in ((), (length,)):
        one, other = line_gain(likelihood, correct, *more), line_gain(likelihood / 1e5, correct, *more)
        assert one is not None
        assert other is not None
        assert other == pytest.approx(one)


def test_what_cannot_be_told_is_none() -> None:
    likelihood, correct, length = points(np.random.default_rng(2), 4, 50)
    assert line_gain(np.full_like(likelihood, -3.0), correct) is None
    assert line_gain(likelihood, correct, -2.0 * likelihood) is None
    assert line_gain(likelihood, correct, np.full_like(length, 7.0)) == pytest.approx(line_gain(likelihood, correct))


def test_too_few_points_and_odd_numbers_are_refused() -> None:
    likelihood, correct, length = points(np.random.default_rng(3), 3, 20)
    with pytest.raises(ConfigError, match="at least 4"):
        line_gain(likelihood, correct, length)
    with pytest.raises(ConfigError, match="at least 3"):
        line_gain(likelihood[:2], correct[:2])
    with pytest.raises(ConfigError, match="shapes"):
        line_gain(likelihood[:, :5], correct)
    with pytest.raises(ConfigError, match="not finite"):
        line_gain(likelihood * np.nan, correct)


def test_length_alone_is_taken_out_and_likelihood_alone_is_left() -> None:
    """Seven settings over many problems: accuracy by length only, then by likelihood only."""
    rng, k, p = np.random.default_rng(4), 7, 4000
    length = 100 + 60 * rng.random(k)[:, None] + 20 * rng.normal(size=(k, p))
    likelihood = -0.2 * length + 6 * rng.random(k)[:, None] + 3 * rng.normal(size=(k, p))
    for right, truth in ((0.9 - 0.004 * length, 0.0), (0.9 + 0.02 * likelihood, None)):
        correct = (rng.random((k, p)) < np.clip(right, 0, 1)).astype(float)
        raw, held = line_gain(likelihood, correct), line_gain(likelihood, correct, length)
        assert raw is not None
        assert held is not None
        error = held.std() / np.sqrt(p)
        expected = 0.02 * np.ptp(likelihood.mean(axis=1)) if truth is None else truth
        assert abs(raw.mean()) > 0.1
        assert held.mean() == pytest.approx(expected, abs=3 * error + 0.01)
