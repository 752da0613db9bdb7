"""Whole analyses of simulated runs: families of arms, the selected scorer, redrawn responses, the last doubling."""

from __future__ import annotations

import functools

import numpy as np
from scipy import special, stats

from bon_eval.analysis.arms import compute_cells, compute_data
from bon_eval.analysis.explain import explain
from bon_eval.analysis.families import arm_pairs, selected_scorer
from bon_eval.analysis.responses import Responses
from bon_eval.analysis.settings import Settings, resolve_settings
from bon_eval.analysis.tables import arm_rows
from bon_eval.records import Pool
from bon_eval.scorers import SCORERS, get_scorer
from simulations.base import NEVER, Draw, Experiment, Row, held
from simulations.worlds import SPREAD, best_of, chance, slope_of_gain

SEEING = tuple(name for name in SCORERS if not get_scorer(name).blind)
"""Names of scorers; their scores are simulated."""


def pool_of(right: np.ndarray, likelihood: np.ndarray) -> Pool:
    """Responses of which no two have the same answer, (P, N)."""
    n_problems, n = right.shape
    none = np.zeros(right.shape, dtype=np.bool_)
    return Pool(
        problem_ids=tuple(map(str, range(n_problems))),
        log_likelihood=likelihood,
        n_tokens=np.full(right.shape, 10, dtype=np.int32),
        truncated=none,
        correct=right.astype(np.bool_),
        unscored=none,
        answer_class=np.tile(np.arange(n, dtype=np.int32), (n_problems, 1)),
    )


def responses_of(greedy: np.ndarray, right: np.ndarray, scores: dict[str, np.ndarray]) -> Responses:
    """Greedy answers (P,), a pool (P, N) and each scorer's scores."""
    first = next(iter(scores.values()))
    return Responses(
        golds=("",) * len(right),
        greedy=pool_of(greedy[:, None], first[:, :1]),
        pool=pool_of(right, first),
        scores=scores,
        duplicates=None,
    )


def settings_of(n_problems: int, pool: int, draws: int, **options: object) -> Settings:
    """Settings of a simulated run; `options` as `resolve_settings` takes them."""
    return resolve_settings(pool, n_problems, draws=draws, **options)  # type: ignore[arg-type]


def seed_of(rng: np.random.Generator) -> int:
    """A seed for one analysis."""
    return int(rng.integers(2**31))


def null_run(n_scorers: int, mean: float, concentration: float, draws: int) -> Draw:
    """Greedy answers as often right as a sample, and scorers that say nothing: no arm but the oracle differs.

    Whether any n of best-of-n, any other arm, and any other pair of arms gets a star.
    """

    def draw(n: int, rng: np.random.Generator) -> tuple[bool, bool, bool]:
        p = rng.beta(mean * concentration, (1 - mean) * concentration, size=n)
        right = rng.random((n, 16)) < p[:, None]
        scores = {name: rng.normal(size=right.shape) for name in SEEING[:n_scorers]}
        settings = settings_of(n, 16, draws, scorers=tuple(scores), seed=seed_of(rng))
        data = compute_data(responses_of(rng.random(n) < p, right, scores), settings, curves=False)
        cells = compute_cells(data, settings)
        arms = arm_rows(data, settings, cells)
        oracle = {row.name for row in arms if row.arm == "oracle"}
        pairs = [pair for pair in arm_pairs(data, settings, cells, arms) if not {pair.arm, pair.other} & oracle]
        families = (
            [row.p_holm for row in arms],
            [row.p_joint for row in arms if row.name not in oracle],
            [pair.p_joint for pair in pairs],
        )
        n_family, others, all_pairs = (any(q is not None and q <= settings.alpha for q in f) for f in families)
        return n_family, others, all_pairs

    return draw


@functools.cache
def accuracy_of_pick(gap: float, n: int, mean: float, concentration: float) -> float:
    """Accuracy of best-of-n by a score that is N(gap, 1) of right and N(0, 1) of wrong responses."""
    x = np.linspace(-6.0, 6.0 + gap, 601)
    p = stats.beta.ppf((np.arange(1000) + 0.5) / 1000, mean * concentration, (1 - mean) * concentration)[:, None]
    below = p * special.ndtr(x - gap) + (1 - p) * special.ndtr(x)
    picked = n * p * stats.norm.pdf(x - gap) * below ** (n - 1)
    return float(picked.sum(axis=1).mean() * (x[1] - x[0]))


def selected(n_scorers: int, gap: float, pool: int) -> Draw:
    """The best of equally good scorers: biases of its own accuracy and the cross-fitted one, and coverage of that."""
    mean, concentration = 0.4, 2.0
    truth = accuracy_of_pick(gap, pool, mean, concentration)

    def draw(n: int, rng: np.random.Generator) -> tuple[float | bool | None, ...]:
        p = rng.beta(mean * concentration, (1 - mean) * concentration, size=n)
        right = rng.random((n, pool)) < p[:, None]
        scores = {name: gap * right + rng.normal(size=right.shape) for name in SEEING[:n_scorers]}
        settings = settings_of(n, pool, 399, scorers=tuple(scores), ns=[pool], seed=seed_of(rng))
        data = compute_data(responses_of(rng.random(n) < p, right, scores), settings, curves=False)
        found = selected_scorer(data, settings, compute_cells(data, settings))
        if found is None:
            return None, None, None
        cross = found.cross_fitted
        return found.accuracy.estimate - truth, cross.estimate - truth, held(cross.low, cross.high, truth)

    return draw


def redrawn(slope: float, level: float, pool: int, size: int) -> Draw:
    """Coverage for fixed problems: best-of-n's expectation over responses alone, and the accuracy of a fresh run."""

    def draw(n: int, rng: np.random.Generator) -> tuple[bool | None, bool | None]:
        alpha = rng.normal(level, SPREAD, size=n)
        z = rng.normal(size=(n, pool))
        right = rng.random((n, pool)) < chance(alpha[:, None], slope, z)
        settings = settings_of(n, pool, 199, scorers=("log_likelihood",), ns=[size], seed=seed_of(rng))
        greedy = rng.random(n) < chance(alpha, slope, np.zeros(n))
        data = compute_data(responses_of(greedy, right, {"log_likelihood": z}), settings, curves=False)
        arms = arm_rows(data, settings, compute_cells(data, settings))
        row = next(row for row in arms if row.n == size and row.arm == ("best-of-n" if size > 1 else "sample"))
        assert row.responses is not None
        assert row.fresh is not None
        truth = float(best_of(alpha, slope, size).mean())
        fresh = float((rng.random(n) < chance(alpha, slope, rng.normal(size=(n, size)).max(axis=1))).mean())
        return held(row.responses.low, row.responses.high, truth), held(row.fresh.low, row.fresh.high, fresh)

    return draw


def flat(margin: float, pool: int, level: float) -> Draw:
    """Whether a last doubling that adds as much as the margin is called flat."""
    slope = slope_of_gain(pool, pool // 2, level, margin)

    def draw(n: int, rng: np.random.Generator) -> bool:
        alpha = rng.normal(level, SPREAD, size=(n, 1))
        z = rng.normal(size=(n, pool))
        right = rng.random((n, pool)) < chance(alpha, slope, z)
        settings = settings_of(n, pool, 399, scorers=("log_likelihood",), margin=margin, seed=seed_of(rng))
        greedy = rng.random(n) < chance(alpha[:, 0], slope, np.zeros(n))
        data = compute_data(responses_of(greedy, right, {"log_likelihood": z}), settings, curves=True)
        return explain(data, settings, compute_cells(data, settings)).scorers[0].is_flat

    return draw


EXPERIMENTS = (
    Experiment(
        (
            Row("type I: any n of best-of-n against greedy (Holm)", "error", from_problems=3),
            Row("type I: any other arm against greedy (max-t)", "error", from_problems=3),
            Row("type I: any arm against any other (max-t)", "error", from_problems=3),
        ),
        {"accuracy .3": null_run(10, 0.3, 2.0, 2999), "accuracy .5": null_run(10, 0.5, 8.0, 2999)},
        one_in=4,
    ),
    Experiment(
        (
            Row("bias: accuracy of the best of 8 scorers, not cross-fitted, in points", "bias", from_problems=NEVER),
            Row("bias: the same, cross-fitted, in points", "bias"),
            Row("coverage: the same, cross-fitted", "coverage"),
        ),
        {f"N {k}, gap {gap}": selected(8, gap, k) for k, gap in ((4, 0.0), (16, 0.5))},
        one_in=2,
    ),
    Experiment(
        (
            Row("coverage: best-of-n over responses alone, fixed problems", "coverage"),
            Row("coverage: accuracy of a fresh run", "coverage"),
        ),
        {
            f"n {size} of {pool}, slope {slope}, level {level}": redrawn(slope, level, pool, size)
            for slope, level in ((1.0, -0.8), (0.0, -0.8), (1.0, -3.0))
            for size, pool in ((1, 16), (8, 16), (16, 16))
        },
    ),
    Experiment(
        (Row('false "flat" of the last doubling', "error", from_problems=3),),
        {
            f"margin {margin}, N {pool}": flat(margin, pool, level)
            for margin, pool, level in ((0.02, 16, -0.8), (0.05, 16, -0.8), (0.1, 4, -2.0))
        },
        one_in=4,
    ),
)
