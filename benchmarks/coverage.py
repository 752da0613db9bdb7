"""Coverage of the intervals and type I error of the verdicts, by simulation with known truth, for the present code.

    python benchmarks/coverage.py [--repetitions R] [--only NAME]

One row for each quantity, one column for each number of problems; nominal are 95 % and 5 %. "none" where no interval is
given, with the share of samples without one where only some have none. Problems are drawn anew each time, because they
are the sampling unit. Every number has a Monte Carlo error of about sqrt(p (1 - p) / R).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

import numpy as np

from bon_eval.stats import bootstrap_ci, detectable_difference, paired_test, paired_tests, step_down
from bon_eval.stats.paired import PairedTest, pseudo_problems

SIZES = (3, 5, 10, 20, 50, 150)
N, DRAWS = 16, 999
Draw = Callable[[int, np.random.Generator], bool | None]
"""(problems, generator) -> whether the interval held the truth, or the test rejected; None: none was given."""


def problems(n: int, rng: np.random.Generator, mean: float, concentration: float) -> np.ndarray:
    """Success probabilities of n problems."""
    return rng.beta(mean * concentration, (1 - mean) * concentration, size=n)


def held(low: float, high: float, truth: float) -> bool | None:
    return None if math.isnan(low) else low <= truth <= high


def accuracy(mean: float, concentration: float, single: bool) -> Draw:
    def draw(n: int, rng: np.random.Generator) -> bool | None:
        p = problems(n, rng, mean, concentration)
        values = (rng.random(n) < p) if single else rng.binomial(N, p) / N
        found = bootstrap_ci(values, rng=rng, draws=DRAWS, support=(0.0, 1.0))
        return held(found.low, found.high, mean)

    return draw


def pair(kind: str, p: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two arms of the same success probabilities: single answers and means of N."""
    many, other = rng.binomial(N, p) / N, rng.binomial(N, p) / N
    single, second = ((rng.random(len(p)) < p).astype(float) for _ in range(2))
    return {"single": (single, second), "mixed": (many, single), "many": (many, other)}[kind]


def null_of_arms(kind: str, mean: float, concentration: float) -> Draw:
    def draw(n: int, rng: np.random.Generator) -> bool | None:
        a, b = pair(kind, problems(n, rng, mean, concentration), rng)
        return paired_test(a, b, rng=rng, draws=DRAWS).verdict() != "not shown"

    return draw


def lift(kind: str, mean: float, concentration: float) -> Draw:
    """A true difference of 10 points: every problem's success probability moves by a tenth towards 1 - mean."""

    def draw(n: int, rng: np.random.Generator) -> bool | None:
        p = problems(n, rng, mean, concentration)
        better = p + (1 - p) * 0.1
        (a, _), (_, b) = pair(kind, better, rng), pair(kind, p, rng)
        found = paired_test(a, b, rng=rng, draws=DRAWS)
        return held(found.low, found.high, 0.1 * (1 - mean))

    return draw


def nats(sigma: float, n: int, rng: np.random.Generator) -> PairedTest:
    """Log-normal differences of mean 0, each way round."""
    values = np.exp(sigma * rng.normal(size=n)) - math.exp(sigma**2 / 2)
    values *= rng.choice([-1.0, 1.0])
    return paired_test(values, np.zeros(n), rng=rng, draws=DRAWS, share=False)


def nats_coverage(sigma: float) -> Draw:
    def draw(n: int, rng: np.random.Generator) -> bool | None:
        found = nats(sigma, n, rng)
        return None if found.marked else held(found.low, found.high, 0.0)

    return draw


def nats_null(sigma: float) -> Draw:
    def draw(n: int, rng: np.random.Generator) -> bool | None:
        found = nats(sigma, n, rng)
        return None if math.isnan(found.low) else found.verdict() != "not shown"

    return draw


def power(mean: float, concentration: float) -> Draw:
    """Whether a run finds what an earlier run of its size said that it finds with 80 %: means of N against single."""

    def draw(n: int, rng: np.random.Generator) -> bool | None:
        a, b = pair("mixed", problems(n, rng, mean, concentration), rng)
        claimed = detectable_difference(a - b, pseudo=pseudo_problems(a, b))
        if claimed is None or claimed > 0.9 * (1 - mean):
            return None
        p = problems(n, rng, mean, concentration)
        better = p + claimed * (1 - p) / (1 - mean)
        (a, _), (_, b) = pair("mixed", better, rng), pair("mixed", p, rng)
        return paired_test(a, b, rng=rng, draws=DRAWS).verdict() == "higher"

    return draw


def clustered(single: bool) -> Draw:
    """P clusters of ten problems, correlated by one half within a cluster."""

    def draw(n: int, rng: np.random.Generator) -> bool | None:
        clusters = np.repeat(np.arange(n), 10)
        p = problems(n, rng, 0.4, 1.0)[clusters]
        values = (rng.random(len(p)) < p) if single else rng.binomial(N, p) / N
        found = bootstrap_ci(values, rng=rng, draws=DRAWS, support=(0.0, 1.0), clusters=clusters)
        return held(found.low, found.high, 0.4)

    return draw


def family(n: int, rng: np.random.Generator) -> bool | None:
    """Whether one of ten arms that are worth one and the same as greedy differs from it after step-down max-t."""
    p = problems(n, rng, 0.3, 2.0)
    greedy = (rng.random(n) < p).astype(float)
    common = rng.binomial(N, p) / N
    arms = np.column_stack([(common + rng.binomial(N, p) / N) / 2 for _ in range(10)])
    tests = paired_tests(arms, greedy[:, None], rng=rng, draws=DRAWS)
    adjusted = step_down(arms - greedy[:, None], [test.p_value for test in tests], rng=rng, draws=DRAWS)
    return bool((adjusted <= 0.05).any())


QUANTITIES: dict[str, Draw] = {
    "coverage: accuracy, single answers": accuracy(0.3, 2.0, True),
    "coverage: accuracy, means of 16": accuracy(0.3, 2.0, False),
    "coverage: accuracy near 0, means of 16": accuracy(0.03, 2.0, False),
    "coverage: lift, means of 16 - single": lift("mixed", 0.3, 2.0),
    "coverage: lift, single - single": lift("single", 0.3, 2.0),
    "coverage: lift, means of 16 each": lift("many", 0.3, 2.0),
    "type I: lift, means of 16 - single": null_of_arms("mixed", 0.3, 2.0),
    "type I: lift, single - single": null_of_arms("single", 0.5, 8.0),
    "type I: lift, means of 16 each": null_of_arms("many", 0.3, 2.0),
    "type I: lift near 0, means of 16 - single": null_of_arms("mixed", 0.03, 2.0),
    "coverage: nats, log-normal, sigma 0.8": nats_coverage(0.8),
    "coverage: nats, log-normal, sigma 1.2": nats_coverage(1.2),
    "coverage: nats, log-normal, sigma 1.6": nats_coverage(1.6),
    'type I: "sharper", log-normal, sigma 0.8': nats_null(0.8),
    'type I: "sharper", log-normal, sigma 1.2': nats_null(1.2),
    "coverage: accuracy, single answers, P clusters of 10": clustered(True),
    "coverage: accuracy, means of 16, P clusters of 10": clustered(False),
    "type I: any of ten arms against greedy (max-t)": family,
    "power claimed as 80 %": power(0.5, 1.0),
}


def cell(draw: Draw, n: int, repetitions: int) -> str:
    rng = np.random.default_rng([2026, n])
    found = [draw(n, rng) for _ in range(repetitions)]
    given = [x for x in found if x is not None]
    if len(given) < 0.05 * repetitions:
        return "none"
    left = 1 - len(given) / repetitions
    return f"{np.mean(given):.3f}" + (f" ({100 * left:.0f} % none)" if left >= 0.005 else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--only", default="", help="Rows whose name holds this.")
    given = parser.parse_args()
    print(f"| quantity | {' | '.join(f'P = {n}' for n in SIZES)} |")
    print("| --- " * (len(SIZES) + 1) + "|")
    for name, draw in QUANTITIES.items():
        if given.only in name:
            cells = [cell(draw, n, given.repetitions) for n in SIZES]
            print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
