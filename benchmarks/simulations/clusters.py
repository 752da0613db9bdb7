"""Problems in clusters whose answers are correlated by one half: accuracies, lifts and nats."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from bon_eval.stats import bootstrap_ci, paired_test
from simulations.arms import DRAWS, Sides, answered, chances
from simulations.base import Draw, Experiment, Row, held

SIZE = 10
Layout = Callable[[int, np.random.Generator], np.ndarray]
"""(P, generator) -> the cluster of each problem."""
SIDES: tuple[Sides, ...] = ("means of 16 - single", "single - single", "means of 16 each")


def equal(n: int, rng: np.random.Generator) -> np.ndarray:
    """P clusters of ten problems."""
    return np.repeat(np.arange(n), SIZE)


def unequal(n: int, rng: np.random.Generator) -> np.ndarray:
    """P clusters of 2 and more problems, 9 on average, as unequal as a geometric distribution makes them."""
    return np.repeat(np.arange(n), 1 + rng.geometric(0.12, size=n))


def within(n: int, rng: np.random.Generator) -> np.ndarray:
    """P problems, ten in each cluster."""
    return np.arange(n) // SIZE


def accuracy(layout: Layout, single: bool, mean: float) -> Draw:
    """Success probabilities of concentration 1 for each cluster: an intra-class correlation of 1 / 2."""

    def draw(n: int, rng: np.random.Generator) -> bool | None:
        clusters = layout(n, rng)
        p = chances(clusters[-1] + 1, rng, mean, 1.0)[clusters]
        values = (rng.random(len(p)) < p) if single else rng.binomial(16, p) / 16
        found = bootstrap_ci(values, rng=rng, draws=DRAWS, support=(0.0, 1.0), clusters=clusters)
        return held(found.low, found.high, mean)

    return draw


def lift(layout: Layout, sides: Sides, gain: float) -> Draw:
    """Coverage of a lift that is another one in each cluster, and whether it errs where there is none."""

    def draw(n: int, rng: np.random.Generator) -> tuple[bool | None, bool | None]:
        clusters = layout(n, rng)
        n_clusters = clusters[-1] + 1
        p = chances(n_clusters, rng, 0.4, 1.0)[clusters]
        better = p + 2 * gain * rng.random(n_clusters)[clusters] * (1 - p)
        tests = [paired_test(*answered(sides, q, p, rng), rng=rng, draws=DRAWS, clusters=clusters) for q in (better, p)]
        return held(tests[0].low, tests[0].high, 0.6 * gain), tests[1].verdict() != "not shown"

    return draw


def nats(layout: Layout, sigma: float) -> Draw:
    """Log-normal differences of mean 0, each way round; none where marked."""

    def draw(n: int, rng: np.random.Generator) -> bool | None:
        clusters = layout(n, rng)
        shared, own = rng.normal(size=clusters[-1] + 1)[clusters], rng.normal(size=len(clusters))
        values = np.exp(sigma * math.sqrt(0.5) * (shared + own)) - math.exp(sigma**2 / 2)
        values *= rng.choice([-1.0, 1.0])
        test = paired_test(values, np.zeros(len(values)), rng=rng, draws=DRAWS, share=False, clusters=clusters)
        return None if test.marked else held(test.low, test.high, 0.0)

    return draw


def _experiments(where: str, layouts: dict[str, Layout]) -> tuple[Experiment, ...]:
    return (
        Experiment(
            (Row(f"coverage: accuracy, {where}", "coverage"),),
            {
                f"{name}, {'single' if single else 'means of 16'}, mean {mean}": accuracy(layout, single, mean)
                for name, layout in layouts.items()
                for single in (True, False)
                for mean in (0.4, 0.1)
            },
        ),
        Experiment(
            (Row(f"coverage: lift, {where}", "coverage"), Row(f"type I: lift, {where}", "error", from_problems=3)),
            {f"{name}, {sides}": lift(layout, sides, 0.2) for name, layout in layouts.items() for sides in SIDES},
        ),
        Experiment(
            (Row(f"coverage: nats, log-normal, sigma 0.8, {where}", "coverage"),),
            {name: nats(layout, 0.8) for name, layout in layouts.items()},
        ),
    )


EXPERIMENTS = (
    *_experiments("P clusters of 10", {"equal": equal, "unequal": unequal}),
    *_experiments("P problems, 10 in a cluster", {"equal": within}),
)
