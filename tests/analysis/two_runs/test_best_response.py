"""Sharpness before and after at the best responses, worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from bon_eval.analysis.two_runs.sides import LABELS, Side, best_responses, unit
from bon_eval.errors import ConfigError
from bon_eval.estimators.coverage import log_coverage
from bon_eval.records import Draw, Pool


def pool(probabilities: list[list[float]], truncated: list[list[bool]] | None = None) -> Pool:
    own = np.log(np.array(probabilities))
    no = np.zeros(own.shape, dtype=np.bool_)
    cut = no if truncated is None else np.array(truncated)
    ids = tuple(str(i) for i in range(len(own)))
    zeros = np.zeros(own.shape, dtype=np.int32)
    return Pool(ids, own, zeros + 1, cut, no, no, zeros)


def sides() -> tuple[Side, Side]:
    """Two problems; the best of the base is the tuned run's greedy response in the first, its own in the second."""
    base_pool, base_greedy = pool([[0.1, 0.2], [0.3, 0.1]]), pool([[0.2], [0.6]])
    tuned_pool, tuned_greedy = pool([[0.5, 0.3], [0.95, 0.01]]), pool([[0.92], [0.02]])
    none = np.zeros(2)
    own = drawn(base_greedy.log_likelihood, base_pool.log_likelihood)
    first = Side(base_greedy, base_pool, none, own, own)
    second = Side(
        tuned_greedy,
        tuned_pool,
        none,
        drawn(tuned_greedy.log_likelihood, tuned_pool.log_likelihood),
        base=drawn(np.log([[0.5], [0.1]]), np.log([[0.3, 0.1], [0.2, 0.1]])),
        base_under=drawn(np.log([[0.02], [0.4]]), np.log([[0.01, 0.02], [0.1, 0.1]])),
    )
    return first, second


def drawn(greedy: np.ndarray, sample: np.ndarray) -> dict[Draw, np.ndarray]:
    return {"greedy": greedy, "sample": sample}


def test_by_hand() -> None:
    found = best_responses(*sides())
    np.testing.assert_allclose(np.exp(found.before["log_likelihood_best"]), [0.5, 0.6])
    np.testing.assert_allclose(np.exp(found.after["log_likelihood_best"]), [0.92, 0.4])
    assert found.before["sharp_base.50"].tolist() == [1, 1]
    assert found.after["sharp_base.50"].tolist() == [1, 0]
    assert found.after["sharp_base.90"].tolist() == [1, 0]
    assert found.after["sharp_own.90"].tolist() == [1, 1]
    assert found.before["sharp_own.90"].tolist() == [0, 0]
    coverage = {name: math.exp(log_coverage(values)) for name, values in found.seen.items()}
    assert coverage["before"] == pytest.approx((1 / 0.5 + 1 / 0.6) / 2)
    assert coverage["after"] == pytest.approx((1 / 0.92 + 1 / 0.95) / 2)
    assert coverage["after, at the base model's best"] == pytest.approx((1 / 0.92 + 1 / 0.4) / 2)
    assert set(found.before) == set(found.after) <= set(LABELS)
    assert unit("sharp_own.90") == "share"
    assert unit("log_likelihood_best") == "nats"


def test_both_models_likelihoods_are_of_the_arrays_for_comparison_and_not_as_sampled() -> None:
    first, second = sides()
    noisy = replace(second, pool=replace(second.pool, log_likelihood=second.pool.log_likelihood + 3.0))
    found, again = best_responses(first, second), best_responses(first, noisy)
    for name, values in found.after.items():
        assert again.after[name].tolist() == values.tolist()


def test_pools_of_other_sizes_are_taken_whole() -> None:
    first, second = sides()
    larger = pool([[0.1, 0.2, 0.7], [0.3, 0.1, 0.05]])
    own = {**first.own, "sample": larger.log_likelihood}
    under = {**second.base_under, "sample": np.log([[0.01, 0.02, 0.25], [0.1, 0.1, 0.1]])}
    found = best_responses(replace(first, pool=larger, own=own, base=own), replace(second, base_under=under))
    np.testing.assert_allclose(np.exp(found.before["log_likelihood_best"]), [0.7, 0.6])
    np.testing.assert_allclose(np.exp(found.after["log_likelihood_best"]), [0.25, 0.4])


def test_a_problem_without_a_finished_response_is_not_sharp_and_left_out() -> None:
    first, second = sides()
    cut = [[True, True], [False, False]]
    first = replace(first, pool=replace(first.pool, truncated=np.array(cut)))
    second = replace(second, pool=replace(second.pool, truncated=np.array(cut)))
    one = np.array([[True], [False]])
    first = replace(first, greedy=replace(first.greedy, truncated=one))
    second = replace(second, greedy=replace(second.greedy, truncated=one))
    found = best_responses(first, second)
    assert found.left_out == 1
    assert "log_likelihood_best" not in found.before
    assert found.after["sharp_own.90"].tolist() == [0, 1]
    assert math.exp(log_coverage(found.seen["after"])) == pytest.approx(1 / 0.95)


def test_responses_that_only_one_model_scored() -> None:
    first, second = sides()
    with pytest.raises(ConfigError, match="scored by both models"):
        best_responses(first, replace(second, base_under={}))
