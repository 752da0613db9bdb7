"""Whether a training added what the model could not do before, or made it do more surely what it could.

The question of Yue et al. 2025 (arXiv 2504.13837): a tuned model that is ahead at one sample and behind at many has
lost problems that the base model solves now and then. Everything here is of n samples, n the smaller N of the two runs;
what n samples do not show, no number here says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from bon_eval.analysis.responses import Array
from bon_eval.analysis.two_runs.changes import changes
from bon_eval.analysis.two_runs.findings import Change
from bon_eval.analysis.two_runs.names import Names
from bon_eval.analysis.two_runs.sides import Side, entropy_per_token
from bon_eval.estimators import pass_at_n
from bon_eval.estimators.two_pools.crossover import Crossover, crossover
from bon_eval.estimators.two_pools.ranks import rank_in_pool
from bon_eval.estimators.two_pools.subsets import answer_entropy_of_n, at_least, lost_by_chance
from bon_eval.stats import Interval, PairedTest, bootstrap_ci, bootstrap_cis, paired_test, paired_tests
from bon_eval.stats.bootstrap import UNIT
from bon_eval.stats.streams import Streams, streams
from bon_eval.stats.units import SHARE, Size

Portion = Annotated[Interval, SHARE]
Direction = Literal["before above after", "after above before"]
_ROUND = 12


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Shares of problems of both runs at one place of a curve. Intervals hold at each place by itself."""

    k: Size
    """Of pass@k the number of samples; of coverage at a threshold how many of n have to be correct."""
    before: Portion
    after: Portion
    difference: PairedTest
    """After minus before."""


@dataclass(frozen=True, slots=True)
class SolvedSets:
    """Problems by whether n samples of each run hold a correct one; shares that add up to 1.

    Of pools that are larger than n it is the expectation over random n-subsets of both.
    """

    n: Size
    kept: Portion
    lost: Portion
    """Solved by the first run alone."""
    gained: Portion
    neither: Portion


@dataclass(frozen=True, slots=True)
class ByChance:
    """What is lost and gained at n beside what two pools of n of one model lose, n half of the smaller N."""

    n: Size
    lost: Portion
    lost_by_chance: Portion
    """Between two pools of the first run."""
    gained: Portion
    gained_by_chance: Portion
    """Between two pools of the second run."""
    lost_beyond: PairedTest
    """What is lost minus what is by chance."""
    gained_beyond: PairedTest


@dataclass(frozen=True, slots=True)
class Rank:
    """Where the second run's responses stand in the first one's pool, by likelihood under the first one's model.

    The share of the pool that is less likely (`bon_eval.estimators.two_pools.ranks.rank_in_pool`): 1/2 for fresh
    responses of the first model.
    """

    by: Literal["log-likelihood", "log-likelihood per token"]
    rank: Portion
    difference: PairedTest
    """Minus 1/2."""


@dataclass(frozen=True, slots=True)
class Added:
    """Everything that the comparison says of what a training added."""

    n: Size
    pass_at_k: tuple[CurvePoint, ...]
    """For k = 1 .. n."""
    crossovers: Mapping[Direction, Crossover]
    solved: SolvedSets
    by_chance: ByChance | None
    """None where the smaller N is 1."""
    thresholds: tuple[CurvePoint, ...]
    """The share of problems of which at least k of n samples are correct, for k = 1 .. n."""
    quantities: tuple[Change, ...]
    """Entropy of answers and of tokens; of runs that were scored by each other's models the log-likelihood under the
    first one's model, summed and per token."""
    ranks: tuple[Rank, ...]
    """Empty where the runs were not scored by each other's models."""

    def leads(self) -> Direction:
        """The crossover that the curves leave room for: that of the run which is behind at one sample."""
        behind = self.pass_at_k[0].difference.difference < 0.0
        return "after above before" if behind else "before above after"


def added(
    first: Side,
    second: Side,
    keys: tuple[NDArray[np.uint64], NDArray[np.uint64]] | None,
    names: Names,
    *,
    seed: int,
    draws: int,
    clusters: NDArray[np.intp] | None = None,
) -> Added:
    """Everything of two runs' pools.

    Args:
        first, second: rows aligned by problem.
        keys: (P, N) each, equal for equal responses; None where the responses were not scored by both models.
        names: of the runs.
        seed, draws, clusters: of intervals and tests.
    """
    right = first.pool.correct, second.pool.correct
    n = min(first.pool.n, second.pool.n)
    rng = streams(seed)
    curves = [np.round(pass_at_n(values, range(1, n + 1)).T, _ROUND) for values in right]
    passing = _points(curves[0], curves[1], rng, draws, clusters)
    back = [_reversed(point.difference) for point in passing]
    measured = [_measured(side, n) for side in (first, second)]
    _, found = changes([{}, {}], measured, n, seed, draws, clusters, None if names.tuning else names.adjectives[0])
    return Added(
        n=n,
        pass_at_k=passing,
        crossovers={
            "before above after": crossover(back),
            "after above before": crossover([point.difference for point in passing]),
        },
        solved=_solved(curves[0][:, -1], curves[1][:, -1], n, rng, draws, clusters),
        by_chance=_by_chance(right[0], right[1], n // 2, curves, rng, draws, clusters) if n > 1 else None,
        thresholds=_points(at_least(right[0], n).T, at_least(right[1], n).T, rng, draws, clusters),
        quantities=found,
        ranks=() if keys is None else _ranks(first, second, keys, rng, draws, clusters),
    )


def _points(
    before: Array, after: Array, rng: Streams, draws: int, clusters: NDArray[np.intp] | None
) -> tuple[CurvePoint, ...]:
    """Of curves (P, K)."""
    sides = [
        bootstrap_cis(curve, rng=rng("curves"), draws=draws, support=UNIT, clusters=clusters)
        for curve in (before, after)
    ]
    shares = [True] * before.shape[1]
    tests = paired_tests(after, before, rng=rng("curves"), draws=draws, shares=shares, clusters=clusters)
    return tuple(CurvePoint(k, *point) for k, point in enumerate(zip(*sides, tests, strict=True), 1))


def _reversed(test: PairedTest) -> PairedTest:
    """Of the other difference."""
    return PairedTest(-test.difference, -test.high, -test.low, test.p_value, test.method, test.n_contested)


def _solved(
    before: Array, after: Array, n: int, rng: Streams, draws: int, clusters: NDArray[np.intp] | None
) -> SolvedSets:
    """Of the probabilities that n samples solve each problem; the two pools are independent."""
    parts = np.column_stack([before * after, before * (1 - after), (1 - before) * after, (1 - before) * (1 - after)])
    parts = np.round(parts, _ROUND)
    return SolvedSets(n, *bootstrap_cis(parts, rng=rng("solved"), draws=draws, support=UNIT, clusters=clusters))


def _by_chance(
    before: NDArray[np.bool_],
    after: NDArray[np.bool_],
    n: int,
    curves: list[Array],
    rng: Streams,
    draws: int,
    clusters: NDArray[np.intp] | None,
) -> ByChance:
    a, b = (curve[:, n - 1] for curve in curves)
    columns = []
    for solved, not_solved, own in ((a, b, before), (b, a, after)):
        columns += [np.round(solved * (1 - not_solved), _ROUND), lost_by_chance(own, n)]
    intervals = bootstrap_cis(
        np.column_stack(columns), rng=rng("by chance"), draws=draws, support=UNIT, clusters=clusters
    )
    beyond_lost, beyond_gained = (
        paired_test(columns[k], columns[k + 1], rng=rng("by chance"), draws=draws, share=True, clusters=clusters)
        for k in (0, 2)
    )
    lost, lost_by, gained, gained_by = intervals
    return ByChance(n, lost, lost_by, gained, gained_by, beyond_lost, beyond_gained)


def _measured(side: Side, n: int) -> dict[str, Array]:
    """Quantities of one side, (P,) each."""
    out = {"answer_entropy": answer_entropy_of_n(side.pool.answer_class, n)}
    if side.has_likelihoods and side.has_lengths:
        out["entropy_per_token"] = entropy_per_token(side)
    if side.base:
        sampled = side.base["sample"]
        out["log_likelihood_base.sample"] = sampled.mean(axis=1)
        out["log_likelihood_base_per_token.sample"] = (sampled / side.pool.n_tokens).mean(axis=1)
    return out


def _ranks(
    first: Side,
    second: Side,
    keys: tuple[NDArray[np.uint64], NDArray[np.uint64]],
    rng: Streams,
    draws: int,
    clusters: NDArray[np.intp] | None,
) -> tuple[Rank, ...]:
    pool, own = first.base["sample"], second.base["sample"]
    found = []
    by: Literal["log-likelihood", "log-likelihood per token"]
    for by, scores, others in (
        ("log-likelihood", own, pool),
        ("log-likelihood per token", own / second.pool.n_tokens, pool / first.pool.n_tokens),
    ):
        ranks = np.round(rank_in_pool(scores, keys[1], others, keys[0]).mean(axis=1), _ROUND)
        half = np.full(len(ranks), 0.5)
        found.append(
            Rank(
                by,
                bootstrap_ci(ranks, rng=rng("rank"), draws=draws, support=UNIT, clusters=clusters),
                paired_test(ranks, half, rng=rng("rank"), draws=draws, share=True, clusters=clusters),
            )
        )
    return tuple(found)
