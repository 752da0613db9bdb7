"""What is wrong with a run as a whole is said in a sentence each; of a run that is as it should be nothing is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bon_eval.analysis.shapes import cautions
from bon_eval.records import Pool

P, N = 40, 10


def made(n: int) -> Pool:
    shape = (P, n)
    right = np.zeros(shape, dtype=np.bool_)
    right[::2] = True
    return Pool(
        problem_ids=tuple(map(str, range(P))),
        log_likelihood=np.full(shape, -1.0),
        n_tokens=np.full(shape, 5),
        truncated=np.zeros(shape, dtype=np.bool_),
        correct=right,
        unscored=np.zeros(shape, dtype=np.bool_),
        answer_class=np.zeros(shape, dtype=np.int32),
        n_bytes=np.full(shape, 9),
        special_inside=np.zeros(shape, dtype=np.bool_),
    )


GREEDY, POOL = made(1), made(N)


def some(share: float) -> np.ndarray:
    """That share of all responses, greedy's included, in the pool."""
    found = np.zeros(P * N, dtype=np.bool_)
    found[: round(share * P * (N + 1))] = True
    return found.reshape(P, N)


def test_a_run_as_it_should_be() -> None:
    assert list(cautions(GREEDY, POOL, (P, "problem"))) == []


@pytest.mark.parametrize(
    ("changed", "below", "above", "words"),
    [
        ("truncated", some(0.9), np.ones((P, N), dtype=np.bool_), "every response of the pool was cut"),
        ("answer_class", -some(0.5).astype(np.int32), -some(0.55).astype(np.int32), "found in 55 % of responses"),
        ("n_bytes", 9 * ~some(0.05), 9 * ~some(0.1), "10.0 % of responses are empty"),
        ("special_inside", some(0.01), some(0.05), "5.0 % of responses go on behind a special token"),
    ],
)
def test_each_from_its_share_on(changed: str, below: np.ndarray, above: np.ndarray, words: str) -> None:
    assert list(cautions(GREEDY, replace(POOL, **{changed: below}), (P, "problem"))) == []
    [said] = cautions(GREEDY, replace(POOL, **{changed: above}), (P, "problem"))
    assert words in said


def test_all_wrong_and_few_problems() -> None:
    wrong = [replace(pool, correct=np.zeros_like(pool.correct)) for pool in (GREEDY, POOL)]
    assert [said.partition(":")[0] for said in cautions(*wrong, (P, "problem"))] == ["no response is correct"]
    assert list(cautions(GREEDY, wrong[1], (P, "problem"))) == [], "greedy has some right"
    [said] = cautions(GREEDY, POOL, (12, "cluster"))
    assert said.startswith("12 clusters only")


def test_what_is_not_known_is_not_said() -> None:
    assert list(cautions(GREEDY, replace(POOL, n_bytes=None, special_inside=None), (P, "problem"))) == []
