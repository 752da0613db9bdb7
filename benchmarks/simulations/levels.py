"""Likelihood and correctness at four levels: pairs of problems, pairs of like length, the line through settings."""

from __future__ import annotations

import numpy as np
from scipy import special, stats

from bon_eval.analysis.levels.compute import levels
from bon_eval.estimators.levels.concordance import Across, across_problems
from bon_eval.estimators.levels.lines import line_gain
from bon_eval.stats.bootstrap import UNBOUNDED, bootstrap_ci
from bon_eval.stats.closed_form import concordance_interval
from bon_eval.stats.clusters import effective_number
from bon_eval.stats.heavy_tails import LEAST_PROBLEMS
from simulations.base import Draw, Experiment, Row, held
from simulations.runs import responses_of, seed_of, settings_of

_APART = 1.0
"""Standard deviations by which correct responses are likelier than incorrect ones, where they are."""


def _covers(found: Across, truth: float) -> bool | None:
    taking_part = int(np.count_nonzero(found.sides.sum(axis=0)))
    if np.isnan(found.estimate) or taking_part < LEAST_PROBLEMS:
        return None
    first, second = (effective_number(side) for side in found.sides)
    low, high, _ = concordance_interval(found.units, (first, second), 0.95)
    return low <= truth <= high


def across(rate: float, n: int, apart: float) -> Draw:
    """Pairs of problems whose likelihood says nothing but which response is correct."""

    def draw(p: int, rng: np.random.Generator) -> bool | None:
        correct = rng.random((p, n)) < rate
        scores = rng.normal(size=(1, p, n)) + apart * correct
        return _covers(
            across_problems(scores, correct, np.full((p, n), 9))[0][0], float(stats.norm.cdf(apart / 2**0.5))
        )

    return draw


def confounded(slope: float, n: int, apart: float) -> Draw:
    """Correctness goes by length, `slope` logits a standard deviation, and so does likelihood; pairs of like length."""

    def draw(p: int, rng: np.random.Generator) -> bool | None:
        relative = rng.normal(0.0, 0.3, (p, n))
        length = np.maximum(1, np.round(100.0 * np.exp(relative))).astype(np.int64)
        correct = rng.random((p, n)) < special.expit(-slope * relative / 0.3)
        scores = (-0.2 * length + 6.0 * (rng.normal(size=(p, n)) + apart * correct))[None]
        return _covers(across_problems(scores, correct, length)[0][1], float(stats.norm.cdf(apart / 2**0.5)))

    return draw


def line(factors: tuple[float, ...], answers: int, draws: int = 400) -> Draw:
    """Settings whose accuracies are a problem's own times `factors`; each a nat likelier than the one before."""
    nats, right = np.arange(len(factors)), 0.4 * np.array(factors)
    centred = nats - nats.mean()
    truth = float(centred @ right / (centred @ centred)) * (len(factors) - 1)

    def draw(p: int, rng: np.random.Generator) -> bool | None:
        if p < LEAST_PROBLEMS:
            return None
        chance = rng.beta(0.8, 1.2, size=p) * np.array(factors)[:, None]
        correct = rng.binomial(answers, chance) / answers
        likelihood = -20.0 + nats[:, None] + 5.0 * rng.normal(size=p) + rng.normal(size=(len(factors), p))
        found = line_gain(likelihood, correct)
        if found is None:
            return None
        interval = bootstrap_ci(found, rng=rng, draws=draws, support=UNBOUNDED)
        return held(interval.low, interval.high, truth)

    return draw


def null(mean: float, draws: int = 400) -> Draw:
    """Whether any row of a run is shown where likelihood says nothing."""

    def draw(p: int, rng: np.random.Generator) -> bool:
        right = rng.random((p, 8)) < rng.beta(2.0 * mean, 2.0 * (1.0 - mean), size=p)[:, None]
        greedy = rng.random(p) < mean
        run = responses_of(greedy, right, {"log_likelihood": rng.normal(size=right.shape)})
        settings = settings_of(p, 8, draws, scorers=("log_likelihood",), seed=seed_of(rng))
        return any(row.predicts in ("yes", "reversed") for row in levels(run, settings, (), 1.0).rows)

    return draw


EXPERIMENTS = (
    Experiment(
        (Row("coverage: AUROC across problems", "coverage"),),
        {
            f"{rate:g} correct, n = {n}, {apart:g} apart": across(rate, n, apart)
            for rate in (0.15, 0.5)
            for n in (1, 8)
            for apart in (0.0, _APART)
        },
    ),
    Experiment(
        (Row("coverage: AUROC across problems, length held fixed", "coverage"),),
        {
            f"slope {slope:g}, n = {n}, {apart:g} apart": confounded(slope, n, apart)
            for slope in (1.0, 3.0)
            for n in (1, 8)
            for apart in (0.0, _APART)
        },
    ),
    Experiment(
        (Row("coverage: line through settings", "coverage"),),
        {
            "four alike, single answers": line((1.0, 1.0, 1.0, 1.0), 1),
            "four alike, means of 8": line((1.0, 1.0, 1.0, 1.0), 8),
            "five rising, means of 8": line((0.5, 0.6, 0.75, 0.9, 1.0), 8),
        },
    ),
    Experiment(
        (Row("type I: any level of a run", "error"),), {"half correct": null(0.5), "a fifth correct": null(0.2)}, 5
    ),
)
