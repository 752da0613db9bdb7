"""Accuracies of arms, their differences, equivalence and power: problems of beta success probabilities."""

from __future__ import annotations

from typing import Literal

import numpy as np

from bon_eval.stats import bootstrap_ci, detectable_difference, paired_test
from bon_eval.stats.paired import pseudo_problems
from simulations.base import Draw, Experiment, Row, held

N, DRAWS = 16, 999
Sides = Literal["means of 16 - single", "single - single", "means of 16 each"]


def chances(n: int, rng: np.random.Generator, mean: float, concentration: float) -> np.ndarray:
    """Success probabilities of n problems."""
    return rng.beta(mean * concentration, (1 - mean) * concentration, size=n)


def accuracy(mean: float, concentration: float, single: bool) -> Draw:
    """Coverage of one arm's accuracy."""

    def draw(n: int, rng: np.random.Generator) -> bool | None:
        p = chances(n, rng, mean, concentration)
        values = (rng.random(n) < p) if single else rng.binomial(N, p) / N
        found = bootstrap_ci(values, rng=rng, draws=DRAWS, support=(0.0, 1.0))
        return held(found.low, found.high, mean)

    return draw


def answered(sides: Sides, p: np.ndarray, q: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two arms of success probabilities p and q."""
    a = (rng.random(len(p)) < p).astype(float) if sides == "single - single" else rng.binomial(N, p) / N
    b = rng.binomial(N, q) / N if sides == "means of 16 each" else (rng.random(len(q)) < q).astype(float)
    return a, b


def lift(sides: Sides, mean: float, concentration: float, gain: float = 0.1) -> Draw:
    """Coverage: every problem's success probability moves by a part of its distance from 1."""

    def draw(n: int, rng: np.random.Generator) -> bool | None:
        p = chances(n, rng, mean, concentration)
        a, b = answered(sides, p + (1 - p) * gain, p, rng)
        found = paired_test(a, b, rng=rng, draws=DRAWS)
        return held(found.low, found.high, gain * (1 - mean))

    return draw


def null(sides: Sides, mean: float, concentration: float) -> Draw:
    """Whether two arms of the same success probabilities are told apart."""

    def draw(n: int, rng: np.random.Generator) -> bool | None:
        p = chances(n, rng, mean, concentration)
        a, b = answered(sides, p, p, rng)
        return paired_test(a, b, rng=rng, draws=DRAWS).verdict() != "not shown"

    return draw


def power(sides: Sides, mean: float, concentration: float) -> Draw:
    """Whether a run finds what an earlier run of its size said that it finds with 80 %."""

    def draw(n: int, rng: np.random.Generator) -> bool | None:
        p = chances(n, rng, mean, concentration)
        a, b = answered(sides, p, p, rng)
        claimed = detectable_difference(a - b, pseudo=pseudo_problems(a, b))
        if claimed is None or claimed > 0.9 * (1 - mean):
            return None
        p = chances(n, rng, mean, concentration)
        a, b = answered(sides, p + claimed * (1 - p) / (1 - mean), p, rng)
        return paired_test(a, b, rng=rng, draws=DRAWS).verdict() == "higher"

    return draw


def equal_means(margin: float, n_answers: int, concentration: float) -> Draw:
    """False "same": means of many answers whose true difference is the margin."""

    def draw(n: int, rng: np.random.Generator) -> bool | None:
        p = chances(n, rng, 0.5 - margin / 2, concentration) * (1 - margin)
        shift = margin * rng.choice([-1.0, 1.0])
        low, high = rng.binomial(n_answers, p) / n_answers, rng.binomial(n_answers, p + margin) / n_answers
        a, b = (high, low) if shift > 0 else (low, high)
        return paired_test(a, b, rng=rng, draws=DRAWS).is_within(margin)

    return draw


def rare_flips(margin: float, single: bool) -> Draw:
    """False "same": two arms agree but on a part of the problems as large as the margin, where one is right alone."""

    def draw(n: int, rng: np.random.Generator) -> bool | None:
        p = (rng.random(n) < 0.5).astype(float) if single else np.clip(rng.normal(0.5, 0.2, size=n), 0, 1)
        flips = rng.random(n) < margin
        a, b = np.where(flips, 1.0, p), np.where(flips, 0.0, p)
        return paired_test(a, b, rng=rng, draws=DRAWS, share=True).is_within(margin)

    return draw


_LIFTS: dict[Sides, tuple[float, float]] = {
    "means of 16 - single": (0.3, 2.0),
    "single - single": (0.3, 2.0),
    "means of 16 each": (0.3, 2.0),
}
_NULLS: dict[Sides, tuple[float, float]] = {**_LIFTS, "single - single": (0.5, 8.0)}

EXPERIMENTS = (
    Experiment(
        (Row("coverage: accuracy, single answers", "coverage"),),
        {"mean .3": accuracy(0.3, 2.0, True), "mean .05": accuracy(0.05, 2.0, True)},
    ),
    Experiment(
        (Row("coverage: accuracy, means of 16", "coverage"),),
        {"mean .3": accuracy(0.3, 2.0, False), "mean .03": accuracy(0.03, 2.0, False)},
    ),
    *(
        Experiment(
            (Row(f"coverage: lift, {sides}", "coverage"),),
            {"mean .3": lift(sides, *beta), "mean .03": lift(sides, 0.03, 2.0)},
        )
        for sides, beta in _LIFTS.items()
    ),
    *(
        Experiment(
            (Row(f"type I: lift, {sides}", "error", from_problems=3),),
            {"mean": null(sides, *beta), "mean .03": null(sides, 0.03, 2.0)},
        )
        for sides, beta in _NULLS.items()
    ),
    Experiment(
        (Row('false "same", differences at the margin', "error", from_problems=3),),
        {
            f"{k} answers each, margin {margin}": equal_means(margin, k, c)
            for margin, k, c in ((0.02, 64, 50.0), (0.05, 64, 2.0), (0.1, 16, 2.0), (0.2, 16, 2.0))
        }
        | {
            f"flips, {'single' if single else 'shares'}, margin {margin}": rare_flips(margin, single)
            for margin in (0.02, 0.05, 0.1, 0.2)
            for single in (True, False)
        },
    ),
    Experiment(
        (Row("power claimed as 80 %, lowest", "power"),),
        {f"{sides}, mean {mean}": power(sides, mean, c) for sides in _LIFTS for mean, c in ((0.5, 1.0), (0.3, 2.0))},
    ),
)
