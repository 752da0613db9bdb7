"""Arms that were not run, from the stored pools: the power distribution, adaptive stopping, coverage.

Units as in `bon_eval.analysis.results`: accuracies and shares are fractions of 1, log-likelihoods are in nats.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from bon_eval.analysis.arms import Data, stream
from bon_eval.analysis.responses import Array
from bon_eval.analysis.settings import Settings
from bon_eval.estimators import best_of_n
from bon_eval.estimators.coverage import DELTAS, best_seen, is_sharp, log_coverage_interval
from bon_eval.estimators.reweighting import ALPHAS, BELIEVABLE, effective_sample_size, power_weights
from bon_eval.estimators.stopping import Stopping, likelihood_stopping, patience_stopping
from bon_eval.stats import Interval, PairedTest, bootstrap_cis, paired_tests
from bon_eval.stats.bootstrap import NOT_BELOW_0
from bon_eval.stats.units import (
    NOT_NEGATIVE,
    SHARE,
    Count,
    FromOne,
    InnerShare,
    LogLikelihood,
    NotNegative,
    Positive,
    Share,
    Size,
)

STOPPING_DELTAS = (0.5, 0.1, 0.01)
"""Of the likelihood rule."""
PATIENCE = (2, 4, 8)
"""Of the patience rule, in draws; those of at least N draws say nothing."""

_TEMPERED = "the pool was not drawn at temperature 1, so weights of pi^(alpha - 1) do not lead to pi^alpha"
_POOL_OF_ONE = "a pool of one response leaves nothing to decide"
_UNFINISHED = "no problem has a finished response: a truncated one's log-likelihood bounds nothing"


def replay(data: Data, settings: Settings, temperature: float | None) -> Replayed:
    """All of it for one analysis; `temperature` is the pool's, None where it is not recorded."""
    reasons: dict[str, str] = {}
    reweighted: tuple[ReweightedPoint, ...] = ()
    if temperature == 1.0:
        reweighted = tuple(_reweighted(data, settings))
    else:
        reasons["power"] = _TEMPERED
    stopping: tuple[StoppingRow, ...] = ()
    if data.responses.pool.n > 1:
        stopping = tuple(_stopping(data, settings))
    else:
        reasons["stopping"] = _POOL_OF_ONE
    coverage = _coverage(data, settings)
    if coverage is None:
        reasons["coverage"] = _UNFINISHED
    return Replayed(reweighted, stopping, coverage, reasons)


def _reweighted(data: Data, settings: Settings) -> Iterator[ReweightedPoint]:
    pool = data.responses.pool
    correct = pool.correct.astype(np.float64)
    columns, likelihoods, sizes = [], [], []
    for alpha in ALPHAS:
        weights = power_weights(pool.log_likelihood, alpha)
        # Rounding of the weights' sum would take an accuracy above 1.
        columns.append(np.round((weights * correct).sum(axis=1), 12))
        likelihoods.append(float((weights * pool.log_likelihood).sum(axis=1).mean()))
        sizes.append(effective_sample_size(weights))
    intervals = bootstrap_cis(
        np.column_stack(columns),
        rng=stream(settings, "power"),
        draws=settings.draws,
        confidence=settings.confidence,
        clusters=data.responses.clusters,
    )
    for alpha, interval, likelihood, size in zip(ALPHAS, intervals, likelihoods, sizes, strict=True):
        low, median, high = (float(x) for x in np.quantile(size, (0.25, 0.5, 0.75)))
        yield ReweightedPoint(
            alpha=alpha,
            accuracy=interval,
            log_likelihood=likelihood,
            ess_median=median,
            ess_low=low,
            ess_high=high,
            believable=alpha == 1.0 or median >= BELIEVABLE * (1.0 - 1e-9),
        )


def _stopping(data: Data, settings: Settings) -> Iterator[StoppingRow]:
    pool = data.responses.pool
    own, correct, n = pool.log_likelihood, pool.correct.astype(np.float64), pool.n
    rules: list[tuple[Literal["likelihood", "patience"], float, Stopping]] = [
        ("likelihood", delta, likelihood_stopping(own, correct, delta, pool.n_tokens)) for delta in STOPPING_DELTAS
    ]
    rules += [("patience", k, patience_stopping(own, correct, k, pool.n_tokens)) for k in PATIENCE if k < n]
    values = np.column_stack([np.round(found.value, 12) for _, _, found in rules])
    fixed = _at_costs(own, correct, [float(found.samples.mean()) for _, _, found in rules])
    intervals = bootstrap_cis(
        values,
        rng=stream(settings, "stopping"),
        draws=settings.draws,
        confidence=settings.confidence,
        clusters=data.responses.clusters,
    )
    tokens = bootstrap_cis(
        np.column_stack([found.cost for _, _, found in rules]),
        support=NOT_BELOW_0,
        rng=stream(settings, "tokens"),
        draws=settings.draws,
        confidence=settings.confidence,
        clusters=data.responses.clusters,
    )
    tests = paired_tests(
        values,
        fixed,
        rng=stream(settings, "stopping tests"),
        draws=settings.draws,
        confidence=settings.confidence,
        clusters=data.responses.clusters,
    )
    for k, (rule, parameter, found) in enumerate(rules):
        yield StoppingRow(
            rule=rule,
            parameter=float(parameter),
            samples=float(found.samples.mean()),
            tokens=tokens[k],
            exhausted=float(np.round(found.exhausted.mean(), 12)),
            accuracy=intervals[k],
            fixed_accuracy=float(fixed[:, k].mean()),
            difference=tests[k],
        )


def _at_costs(log_likelihood: Array, correct: Array, samples: list[float]) -> Array:
    """(P, costs): value of best-of-n at mean numbers of samples, each between two n."""
    most = log_likelihood.shape[1]
    # A mean over problems of numbers up to N may exceed N in its last bits.
    low = [min(math.floor(cost + 1e-9), most) for cost in samples]
    sizes = sorted({n for k in low for n in (k, min(k + 1, most))})
    value = dict(zip(sizes, best_of_n(log_likelihood, correct, sizes), strict=True))
    shares = [max(0.0, cost - k) if k < most else 0.0 for cost, k in zip(samples, low, strict=True)]
    columns = [(1.0 - s) * value[k] + s * value[min(k + 1, most)] for s, k in zip(shares, low, strict=True)]
    return np.round(np.column_stack(columns), 12)


def _coverage(data: Data, settings: Settings) -> Coverage | None:
    pool, greedy = data.responses.pool, data.responses.greedy
    own = np.concatenate([pool.log_likelihood, greedy.log_likelihood], axis=1)
    finished = ~np.concatenate([pool.truncated, greedy.truncated], axis=1)
    best, _ = best_seen(own, finished)
    there = np.isfinite(best)
    if not there.any():
        return None
    best, clusters = best[there], data.responses.clusters_of(there)
    sharp = np.column_stack([is_sharp(best, delta).astype(np.float64) for delta in DELTAS])
    intervals = bootstrap_cis(
        sharp,
        rng=stream(settings, "coverage"),
        draws=settings.draws,
        confidence=settings.confidence,
        clusters=clusters,
    )
    return Coverage(
        problems=len(best),
        left_out=int(np.count_nonzero(~there)),
        log_coverage=log_coverage_interval(
            best,
            rng=stream(settings, "ln coverage"),
            draws=settings.draws,
            confidence=settings.confidence,
            clusters=clusters,
        ),
        median=float(np.median(-best)),
        heaviest=1.0 / float(np.exp(best.min() - best).sum()),
        sharp=tuple(SharpShare(delta, interval) for delta, interval in zip(DELTAS, intervals, strict=True)),
    )


@dataclass(frozen=True, slots=True)
class ReweightedPoint:
    """The pool reweighted to the power distribution pi^alpha; alpha = 1 is the sample arm, infinity best-of-N."""

    alpha: FromOne
    accuracy: Annotated[Interval, SHARE]
    log_likelihood: LogLikelihood
    """Mean over problems."""
    ess_median: Positive
    """Effective sample size, over problems."""
    ess_low: Positive
    ess_high: Positive
    """Quartiles."""
    believable: bool
    """Whether `ess_median` is at least `bon_eval.estimators.reweighting.BELIEVABLE`; at alpha 1 nothing is weighted."""


@dataclass(frozen=True, slots=True)
class StoppingRow:
    """Best-of-n that stops by a rule, replayed over all orders of each pool, beside fixed n of the same mean cost."""

    rule: Literal["likelihood", "patience"]
    parameter: Positive
    """delta of the likelihood rule, draws of the patience rule."""
    samples: FromOne
    """Mean over problems of the responses drawn; a lower bound where pools were exhausted."""
    tokens: Annotated[Interval, NOT_NEGATIVE]
    """Of all responses drawn, per problem; their mean is not `samples` times that of the pool where problems or
    responses that the rule draws longer for are longer or shorter."""
    exhausted: Share
    """Mean probability that the pool ended before the rule stopped."""
    accuracy: Annotated[Interval, SHARE]
    fixed_accuracy: Share
    """Of best-of-n by log-likelihood at n = `samples`, interpolated between the neighbouring n."""
    difference: PairedTest
    """`accuracy` minus that, paired by problem."""


@dataclass(frozen=True, slots=True)
class SharpShare:
    """How many problems have a response of at least a given probability."""

    delta: InnerShare
    share: Annotated[Interval, SHARE]
    """Of the problems with pi(y_best|x) >= 1 - delta; 1 minus it bounds epsilon of (epsilon, delta)-sharpness."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """The probability of the best response seen: bounds of what it is for the most likely one.

    See `bon_eval.estimators.coverage`.
    """

    problems: Size
    """With a finished response; the others are left out."""
    left_out: Count
    log_coverage: Interval
    """ln of the mean of 1 / pi(y_best|x), in nats: an upper bound of ln C_cov."""
    median: NotNegative
    """Median over problems of -ln pi(y_best|x)."""
    heaviest: Share
    """Share of the mean of 1 / pi(y_best|x) that one problem carries."""
    sharp: tuple[SharpShare, ...]


@dataclass(frozen=True, slots=True)
class Replayed:
    """All of it for one run."""

    reweighted: tuple[ReweightedPoint, ...]
    """By alpha, increasing; empty where the pool was not drawn at temperature 1."""
    stopping: tuple[StoppingRow, ...]
    coverage: Coverage | None
    reasons: Mapping[str, str]
    """``power``, ``stopping`` or ``coverage`` that is not there -> why."""
