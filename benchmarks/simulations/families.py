"""Many comparisons in which nothing differs: arms, the runs of a summary, looks at one run, a trajectory's arrows."""

from __future__ import annotations

import numpy as np

from bon_eval.analysis.settings import resolve_settings
from bon_eval.dpo.tracking.points import Measured, make_points
from bon_eval.stats import holm, paired_test, paired_tests, step_down
from bon_eval.stats.bootstrap import UNBOUNDED, UNIT
from simulations.arms import DRAWS, N
from simulations.base import Draw, Experiment, Row

LOOKS = 7
SUMMARY_NS = 4


def arms(n_arms: int, alike: float) -> Draw:
    """Any of several means of answers against greedy by step-down max-t; a part of what they are made of is shared."""

    def draw(n: int, rng: np.random.Generator) -> bool:
        p = rng.beta(0.6, 1.4, size=n)
        greedy = (rng.random(n) < p).astype(float)
        values = means_of_answers(p, n_arms, alike, rng)
        tests = paired_tests(values, greedy[:, None], rng=rng, draws=DRAWS)
        adjusted = step_down(values - greedy[:, None], [test.p_value for test in tests], rng=rng, draws=DRAWS)
        return bool((adjusted <= 0.05).any())

    return draw


def means_of_answers(p: np.ndarray, n_arms: int, alike: float, rng: np.random.Generator) -> np.ndarray:
    """Arms of the same success probabilities that share a part of their answers, (P, arms)."""
    common, own = rng.binomial(N, p)[:, None] / N, rng.binomial(N, p[:, None], size=(len(p), n_arms)) / N
    return alike * common + (1 - alike) * own


def summary(n_runs: int) -> Draw:
    """Any star of a summary: each run's last n goes by Holm over its own n and then by Holm over the runs."""

    def draw(n: int, rng: np.random.Generator) -> bool:
        last = []
        for _ in range(n_runs):
            p = rng.beta(0.6, 1.4, size=n)
            greedy = (rng.random(n) < p).astype(float)
            values = means_of_answers(p, SUMMARY_NS, 0.5, rng)
            tests = paired_tests(values, greedy[:, None], rng=rng, draws=DRAWS)
            last.append(holm([test.p_value for test in tests])[-1])
        return bool((holm(last) <= 0.05).any())

    return draw


def looks(n: int, rng: np.random.Generator) -> tuple[bool, bool, bool]:
    """Any verdict in seven looks at one growing run: planned, not planned, and at 5 % each.

    Looks that were not planned decide nothing before the run is complete.
    """
    p = rng.beta(0.6, 1.4, size=n)
    greedy = (rng.random(n) < p).astype(float)
    best = rng.binomial(N, p) / N
    planned, unplanned, each = (
        [resolve_settings(N, n, looks=k, partial=part).alpha for part in (True,) * (LOOKS - 1) + (False,)]
        for k in (LOOKS, 1, 1)
    )
    seen = [-(-n * k // LOOKS) for k in range(1, LOOKS + 1)]
    tests = [paired_test(best[:k], greedy[:k], rng=rng, draws=DRAWS) for k in seen]
    each = [each[-1]] * LOOKS
    found = [
        any(t.verdict(alpha=level) != "not shown" for t, level in zip(tests, levels, strict=True))
        for levels in (planned, unplanned, each)
    ]
    return found[0], found[1], found[2]


def trajectory(n_checkpoints: int, pairs: tuple[int, int], sigma: float, draws: int) -> Draw:
    """Any arrow of a trajectory in which nothing changes but by chance.

    Every checkpoint samples afresh from one and the same model; what is forced scatters by mean 0 about the base's.
    """

    def draw(n: int, rng: np.random.Generator) -> bool:
        p = rng.beta(0.6, 1.4, size=n)
        length = 20 * np.exp(0.3 * rng.normal(size=n))
        size = rng.integers(pairs[0], pairs[1] + 1, size=n)
        of = np.repeat(np.arange(n), size)
        gap = 2.0 * rng.normal(size=len(of)) + rng.normal(size=n)[of]
        columns = {
            step: _side(p, length, rng) | _pairs(of, gap, sigma if step else 0.0, rng)
            for step in range(n_checkpoints + 1)
        }
        points = make_points(columns, int(rng.integers(2**31)), draws)
        return any(point.verdict != "not shown" for point in points)

    return draw


def _side(p: np.ndarray, length: np.ndarray, rng: np.random.Generator) -> dict[str, Measured]:
    """Arms and quantities of one sampled run."""
    ids = tuple(map(str, range(len(p))))
    arms = {name: (rng.random(len(p)) < p).astype(float) for name in ("greedy", "best", "vote")}
    arms |= {"sample": rng.binomial(N, p) / N, "oracle": (rng.binomial(N, p) > 0).astype(float)}
    tokens = length[:, None] * np.exp(0.4 * rng.normal(size=(len(p), N)))
    nats = -1.5 * length[:, None] * np.exp(0.5 * rng.normal(size=(len(p), N)))
    values = {"tokens.sample": tokens.mean(axis=1), "log_likelihood.sample": nats.mean(axis=1)}
    values |= {"log_likelihood.best": nats.max(axis=1), "log_likelihood.greedy": nats[:, 0]}
    return {f"accuracy.{name}": Measured(name, "share", value, UNIT, ids) for name, value in arms.items()} | {
        name: Measured(name, "nats", value, UNBOUNDED, ids) for name, value in values.items()
    }


def _pairs(of: np.ndarray, gap: np.ndarray, sigma: float, rng: np.random.Generator) -> dict[str, Measured]:
    """Measures of one pair set: changes of nats are log-normal of mean 0, each way round."""
    units, behind = tuple(("pairs", k) for k in range(len(of))), tuple(map(str, of.tolist()))
    chosen, rejected = (
        rng.choice([-1.0, 1.0]) * (np.exp(sigma * _noise(of, rng)) - np.exp(sigma**2 / 2)) for _ in range(2)
    )
    # Whether a pair is ranked right changes either way alike.
    ranked = (np.where(rng.random(len(of)) < 0.2 * (sigma > 0), -gap, gap) > 0).astype(float)
    values = {"chosen": (chosen, False), "rejected": (rejected, False), "margin": (chosen - rejected, False)}
    values |= {"ranking_accuracy": (ranked, True)}
    return {
        f"pairs.{name}": Measured(
            name, "share" if bounded else "nats", value, UNIT if bounded else UNBOUNDED, units, behind
        )
        for name, (value, bounded) in values.items()
    }


def _noise(of: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.sqrt(0.5) * (rng.normal(size=of[-1] + 1)[of] + rng.normal(size=len(of)))


EXPERIMENTS = (
    Experiment(
        (Row("type I: any of ten arms alike against greedy (max-t)", "error", from_problems=3),),
        {"half shared": arms(10, 0.5), "nothing shared": arms(10, 0.0)},
    ),
    Experiment(
        (Row("type I: any star of a summary of runs", "error", from_problems=3),),
        {f"{k} runs": summary(k) for k in (6, 20)},
    ),
    Experiment(
        (
            Row("type I: any verdict in seven looks, --looks 7", "error", from_problems=3),
            Row("type I: any verdict in seven looks, none planned", "error", from_problems=3),
            Row("type I: any verdict in seven looks at 5 % each", "for comparison"),
        ),
        {"": looks},
    ),
    Experiment(
        (Row("type I: any arrow of a trajectory of 12 checkpoints", "error", from_problems=3),),
        {
            "3 pairs each, sigma 0.8": trajectory(12, (3, 3), 0.8, 4999),
            "1 to 8 pairs, sigma 0.5": trajectory(12, (1, 8), 0.5, 4999),
        },
        one_in=5,
    ),
)
