"""Repeats among draws: simulations whose truth is known, of models of low and of high entropy."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from bon_eval.estimators.repeats import FALSE_ALARM, Repeats

MODELS = {
    "yes or no": (0.9, 0.1),
    "a coin": (0.5, 0.5),
    "certain": (1.0,),
    "nearly certain": (0.999, 0.001),
    "skewed": tuple(2.0**-k for k in range(1, 30)),
    "a thousand answers": (0.001,) * 1000,
    "long responses": None,
}


def pool(model: Sequence[float] | None, n: int, rng: np.random.Generator) -> tuple[list[object], list[float]]:
    """n draws: of the answers with those probabilities, or responses of ten tokens out of 50."""
    [found] = pools(model, n, 1, rng)
    return found


def pools(
    model: Sequence[float] | None, n: int, problems: int, rng: np.random.Generator
) -> list[tuple[list[object], list[float]]]:
    """`pool` for so many problems, drawn together."""
    if model is None:
        draws = rng.integers(50, size=(problems, n, 10)).tolist()
        return [([tuple(response) for response in drawn], [-10 * math.log(50)] * n) for drawn in draws]
    p = np.array(model) / sum(model)
    drawn = rng.choice(len(p), size=(problems, n), p=p)
    return list(zip(drawn.tolist(), np.log(p)[drawn].tolist(), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_independent_draws_are_never_refused(name: str) -> None:
    """400 runs of 50 problems x 16: the highest evidence of all looks at all runs stays below the bar."""
    rng = np.random.default_rng(1)
    worst = -math.inf
    for _ in range(400):
        run = Repeats()
        for keys, values in pools(MODELS[name], 16, 50, rng):
            run.add(keys, values)
            worst = max(worst, run.log_evidence)
    assert worst < -math.log(FALSE_ALARM) - 3
    assert run.seen <= run.expected + 6 * math.sqrt(run.expected + 1)


@pytest.mark.parametrize(("name", "most"), [("a thousand answers", 2), ("long responses", 1)])
@pytest.mark.parametrize("replicas", [2, 4])
def test_replicas_that_share_a_seed_are_found(name: str, most: int, replicas: int) -> None:
    rng = np.random.default_rng(2)
    run = Repeats()
    for _ in range(most):
        keys, values = pool(MODELS[name], 32 // replicas, rng)
        run.add(keys * replicas, values * replicas)
    assert run.found


def test_of_answers_that_come_anyway_nothing_can_be_told() -> None:
    """Two sides of a coin are both there after a few draws: that they come again is no evidence for or against."""
    rng = np.random.default_rng(2)
    run = Repeats()
    for _ in range(200):
        keys, values = pool(MODELS["a coin"], 16, rng)
        run.add(keys * 2, values * 2)
    assert not run.found


def test_a_few_repeats_in_a_large_run_are_found() -> None:
    """One pool of 50 gets the first half of its draws again."""
    rng = np.random.default_rng(3)
    run = Repeats()
    for k in range(50):
        keys, values = pool(MODELS["long responses"], 16, rng)
        run.add([*keys[:8], *(keys[:8] if k == 25 else keys[8:])], values)
        assert run.found == (k >= 25)


def test_a_model_whose_log_probs_are_off_by_its_precision() -> None:
    """Reported probabilities a twentieth too low, all of them, over 2,000 problems x 32."""
    rng = np.random.default_rng(4)
    for name in ("yes or no", "a coin", "skewed", "a thousand answers"):
        run = Repeats()
        for keys, values in pools(MODELS[name], 32, 2000, rng):
            run.add(keys, [value + math.log(0.95) for value in values])
        assert not run.found, (name, run.log_evidence)


def test_other_temperatures() -> None:
    rng = np.random.default_rng(5)
    p = np.array([0.6, 0.3, 0.1])
    for temperature, told in ((0.3, False), (2.0, True)):
        tempered = p ** (1 / temperature) / (p ** (1 / temperature)).sum()
        honest, repeated = Repeats(temperature), Repeats(temperature)
        for _ in range(400):
            draws = rng.choice(3, size=(16, 12), p=tempered)
            values = np.log(p)[draws].sum(axis=1).tolist()
            keys = [tuple(row) for row in draws.tolist()]
            honest.add(keys, values)
            repeated.add(keys[:8] * 2, values[:8] * 2)
        assert not honest.found
        assert repeated.found == told


def test_the_expected_number_is_that_of_the_draws() -> None:
    """Of two draws from a coin the second is the first with 1/2, and a tenth is allowed."""
    run = Repeats()
    run.add(["a", "a"], [math.log(0.5)] * 2)
    assert (run.draws, run.seen) == (1, 1)
    assert run.expected == pytest.approx(0.55)
    run.add(["alone"], [-1.0])
    assert run.draws == 1
