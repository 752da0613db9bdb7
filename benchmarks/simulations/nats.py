"""Means of nats: log-normal differences, the verdict "sharper", KL divergences, and ln of coverage."""

from __future__ import annotations

import math

import numpy as np

from bon_eval.estimators.coverage import log_coverage_interval
from bon_eval.estimators.equivalent_n import kl_divergence
from bon_eval.stats import paired_test
from simulations.arms import DRAWS
from simulations.base import NEVER, Draw, Experiment, Row, held

FROM_PROBLEMS = {0.8: 10, 1.2: 50}
"""Sigma -> problems from which on its values are covered: docs/statistics.md. Nothing is said of others."""


def differences(sigma: float) -> Draw:
    """Log-normal differences of mean 0, each way round: coverage, none where marked, and a false verdict.

    The verdict is that of a comparison: by signs where marked, and none below ten problems.
    """

    def draw(n: int, rng: np.random.Generator) -> tuple[bool | None, bool | None]:
        values = np.exp(sigma * rng.normal(size=n)) - math.exp(sigma**2 / 2)
        values *= rng.choice([-1.0, 1.0])
        test = paired_test(values, np.zeros(n), rng=rng, draws=DRAWS, share=False)
        if math.isnan(test.low):
            return None, None
        return None if test.marked else test.low <= 0.0 <= test.high, test.verdict() != "not shown"

    return draw


def divergence(sigma: float) -> Draw:
    """Each problem has a log-normal divergence, its 16 responses scatter about it."""

    def draw(n: int, rng: np.random.Generator) -> bool | None:
        each = np.exp(sigma * rng.normal(size=(n, 1)))
        own = -rng.gamma(3.0, 8.0, size=(n, 16))
        found = kl_divergence(own, own - each - rng.normal(size=(n, 16)), rng=rng, draws=DRAWS)
        return held(found.low, found.high, math.exp(sigma**2 / 2))

    return draw


def ln_coverage(scale: float, normal: bool) -> Draw:
    """-ln pi of the best responses normal, with a standard deviation, or gamma of mean 2, with a scale."""

    def draw(n: int, rng: np.random.Generator) -> bool | None:
        if normal:  # so far from 0 that none is below
            surprisal, truth = rng.normal(8 * scale, scale, size=n), 8 * scale + scale**2 / 2
        else:
            surprisal, truth = rng.gamma(2 / scale, scale, size=n), -2 / scale * math.log1p(-scale)
        found = log_coverage_interval(-surprisal, rng=rng, draws=DRAWS)
        return held(found.low, found.high, truth)

    return draw


EXPERIMENTS = (
    *(
        Experiment(
            (
                Row(f"coverage: nats, log-normal, sigma {sigma}", "coverage", FROM_PROBLEMS.get(sigma, NEVER)),
                Row(f'type I: "sharper", log-normal, sigma {sigma}', "error", FROM_PROBLEMS.get(sigma, NEVER)),
            ),
            {"": differences(sigma)},
        )
        for sigma in (0.8, 1.2, 1.6)
    ),
    *(
        Experiment(
            (Row(f"coverage: KL, log-normal, sigma {sigma}", "coverage", FROM_PROBLEMS.get(sigma, NEVER)),),
            {"": divergence(sigma)},
        )
        for sigma in (0.8, 1.2, 1.6)
    ),
    Experiment(
        (Row("coverage: ln of coverage", "coverage"),),
        {f"normal, sd {s}": ln_coverage(s, True) for s in (0.3, 0.8, 1.2, 1.6, 2.5, 4.0)}
        | {f"gamma, scale {s}": ln_coverage(s, False) for s in (0.2, 0.5, 0.8)},
    ),
)
