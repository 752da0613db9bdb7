"""Means over preference pairs, unequal numbers of them on each problem, and claims over seeds of training."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from bon_eval.stats.bootstrap import UNBOUNDED, bootstrap_ci
from bon_eval.stats.closed_form import with_seeds
from bon_eval.stats.ratio_means import ratio_mean, ratio_test
from simulations.arms import DRAWS
from simulations.base import Draw, Experiment, Row, held

Sizes = Callable[[int, np.random.Generator], np.ndarray]
"""(P, generator) -> pairs of each problem."""


def even(n: int, rng: np.random.Generator) -> np.ndarray:
    """1 to 8 pairs."""
    return rng.integers(1, 9, n)


def lopsided(n: int, rng: np.random.Generator) -> np.ndarray:
    """One problem in five has 8 pairs, the others have one."""
    return np.where(rng.random(n) < 0.2, 8, 1)


def outcomes(sizes: np.ndarray, alike: float, parts: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """(P, k) counts of k outcomes; with probability `alike` all pairs of a problem have the same."""
    same = rng.multinomial(1, parts, size=len(sizes)) * sizes[:, None]
    apart = rng.multinomial(sizes, parts)
    return np.where((rng.random(len(sizes)) < alike)[:, None], same, apart).astype(float)


def share(sizes: Sizes, alike: float, p: float) -> Draw:
    """Coverage of a share of pairs."""

    def draw(n: int, rng: np.random.Generator) -> bool | None:
        size = sizes(n, rng)
        right = outcomes(size, alike, (p, 1 - p), rng)[:, 0]
        found = ratio_mean(right, size, support=(0, 1), rng=rng, draws=DRAWS)
        return held(found.low, found.high, p)

    return draw


def share_by_size(n: int, rng: np.random.Generator) -> bool | None:
    """Coverage where problems of more pairs rank better: over pairs 71 %, over problems 60.5 %."""
    size, k = even(n, rng), np.arange(1, 9)
    truth = float((k * (0.2 + 0.09 * k)).sum() / k.sum())
    found = ratio_mean(rng.binomial(size, 0.2 + 0.09 * size), size, support=(0, 1), rng=rng, draws=DRAWS)
    return held(found.low, found.high, truth)


def difference(sizes: Sizes, alike: float, up: float, down: float, null: bool = False) -> Draw:
    """Coverage of a difference of shares of pairs, or whether one is found where there is none."""

    def draw(n: int, rng: np.random.Generator) -> bool | None:
        size, kept = sizes(n, rng), (1 - up - down) / 2
        rose, fell, right, _ = outcomes(size, alike, (up, down, kept, kept), rng).T
        test = ratio_test(rose + right, fell + right, size, share=True, rng=rng, draws=DRAWS)
        return test.verdict() != "not shown" if null else held(test.low, test.high, up - down)

    return draw


def nats(sizes: Sizes, alike: float, sigma: float) -> Draw:
    """Coverage of log-normal changes of mean 0, correlated by `alike` within a problem; none where marked."""

    def draw(n: int, rng: np.random.Generator) -> bool | None:
        size = sizes(n, rng)
        of = np.repeat(np.arange(n), size)
        z = math.sqrt(alike) * rng.normal(size=n)[of] + math.sqrt(1 - alike) * rng.normal(size=len(of))
        sums = np.bincount(of, weights=np.exp(sigma * z) - math.exp(sigma**2 / 2), minlength=n)
        test = ratio_test(sums, np.zeros(n), size, share=False, rng=rng, draws=DRAWS)
        return None if test.marked else held(test.low, test.high, 0.0)

    return draw


def claim(seeds: int, sd_seed: float, sd_rest: float = 1.0) -> Draw:
    """Coverage of a mean of 0 over problems and seeds, and whether "above 0" is said to hold.

    A claim holds where the interval and every seed's own mean are on its side (scripts/squeeze/claims.py).
    """

    def draw(n: int, rng: np.random.Generator) -> tuple[bool | None, bool | None]:
        of_seeds, rest = rng.normal(size=(seeds, 1)), rng.normal(size=(seeds, n))
        values = rng.normal(size=(1, n)) + sd_seed * of_seeds + sd_rest * rest
        means = values.mean(axis=1)
        found = bootstrap_ci(values.mean(axis=0), support=UNBOUNDED, rng=rng, draws=DRAWS)
        low, high = with_seeds(found.estimate, (found.low, found.high), means, 0.95)
        if math.isnan(low):
            return None, None
        return low <= 0.0 <= high, min(low, *means) > 0.0

    return draw


_LAYOUTS = [(sizes, alike) for sizes in (even, lopsided) for alike in (0.0, 0.7)]

_SPREADS = ((0.0, 1.0), (0.1, 1.0), (0.2, 1.0), (0.5, 1.0), (0.5, 0.2))
"""Standard deviations of seeds and of the rest, where that of problems is 1."""


def _named(make: Callable[..., Draw], *values: tuple[float, ...], **options: bool) -> dict[str, Draw]:
    return {
        f"{sizes.__name__}, {alike} alike, {given}": make(sizes, alike, *given, **options)
        for sizes, alike in _LAYOUTS
        for given in values
    }


EXPERIMENTS = (
    Experiment(
        (Row("coverage: share of unequal pairs", "coverage"),),
        _named(share, (0.5,), (0.8,), (0.95,)) | {"by size": share_by_size},
    ),
    Experiment(
        (Row("coverage: difference of shares of unequal pairs", "coverage"),),
        _named(difference, (0.1, 0.0), (0.3, 0.1), (0.6, 0.1), (0.9, 0.0)),
    ),
    Experiment(
        (Row("type I: difference of shares of unequal pairs", "error", from_problems=3),),
        _named(difference, (0.025, 0.025), (0.15, 0.15), (0.45, 0.45), null=True),
    ),
    *(
        Experiment(
            (Row(f"coverage: nats of unequal pairs, log-normal, sigma {sigma}", "coverage", least),),
            _named(nats, (sigma,)),
        )
        for sigma, least in ((0.8, 10), (1.2, 50))
    ),
    *(
        Experiment(
            (
                Row(f"coverage: claim over {seeds} seeds", "coverage"),
                Row(f'false "holds" of a claim over {seeds} seeds', "error", from_problems=3),
            ),
            {f"sd of seeds {sd}, of the rest {rest}": claim(seeds, sd, rest) for sd, rest in _SPREADS},
        )
        for seeds in (2, 3, 5)
    ),
)
