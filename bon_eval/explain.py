"""What explains the lift: how well scorers tell correct from incorrect, what they pick, and what could be seen at all.

`bon_eval.explanation` says what the values are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bon_eval.cells import CORRECT, N_TOKENS, Array, Cells, Data, cell_label, sharper_than_greedy, stream
from bon_eval.estimators import pick_probability, within_problem_auroc
from bon_eval.explanation import POINTS, Explanation, GreedyRank, Histogram, LengthRow, Power, ScorerRow
from bon_eval.findings import Settings
from bon_eval.stats import (
    Interval,
    PairedTest,
    bootstrap_cis,
    detectable_difference,
    paired_tests,
    problems_needed,
)
from bon_eval.stats.closed_form import ratio_interval

SATURATION = 0.01
"""How close to its value at n = N best-of-n counts as saturated, as a fraction of that value."""

_MOST_BINS = 40
_CORE = (0.01, 0.99)
"""Quantiles between which a histogram's bins are of one width; the outer bins reach to the extremes."""


def explain(data: Data, settings: Settings, cells: Cells) -> Explanation:
    """The explanation of one analysis, for all of its scorers."""
    pool = data.responses.pool
    return Explanation(
        scorers=tuple(_scorer_rows(data, settings, cells)),
        lengths=tuple(_length_rows(data, settings)),
        greedy_rank=_greedy_rank(data, cells),
        power=tuple(_power(data, settings)),
        histograms=(
            _histogram("log_likelihood", pool.log_likelihood, pool.correct),
            _histogram("mean_log_likelihood", pool.log_likelihood / pool.n_tokens, pool.correct),
        ),
    )


def saturation_n(accuracy: Mapping[int, float]) -> int | None:
    """Smallest n from which on the accuracy stays within `SATURATION` of its value at the largest n.

    Args:
        accuracy: n -> accuracy of best-of-n, for every n = 1..N.

    Returns:
        None where the value at N is 0: nothing is one percent of it.

    >>> saturation_n({1: 0.3, 2: 0.5, 3: 0.499, 4: 0.5})
    2
    """
    largest = max(accuracy)
    final = accuracy[largest]
    if final == 0.0:
        return None
    # A value on the border of the band counts as inside, whatever its rounding.
    outside = [n for n, value in accuracy.items() if abs(value - final) > SATURATION * final * (1.0 + 1e-9)]
    return max(outside, default=0) + 1


def length_deciles(n_tokens: NDArray[np.int32]) -> NDArray[np.int64]:
    """The decile (0 shortest to 9) of every response's length, in the shape of `n_tokens`.

    Equal lengths share a decile, the one that holds the middle of them in the sorted order of all responses; where
    few lengths are frequent, a decile can be empty.

    >>> length_deciles(np.array([1, 1, 1, 2, 3, 4, 5, 6, 7, 8], dtype=np.int32)).tolist()
    [1, 1, 1, 3, 4, 5, 6, 7, 8, 9]
    """
    counts = np.bincount(n_tokens.ravel()).astype(np.int64)
    doubled_middle = 2 * (np.cumsum(counts) - counts) + counts
    return np.asarray((10 * doubled_middle // (2 * n_tokens.size))[n_tokens], dtype=np.int64)


def histogram_edges(values: Array) -> Array:
    """Edges of at most `_MOST_BINS` bins of one round width, the outer bins stretched to hold all values.

    A few responses with extreme values would otherwise leave all others in one bin.

    Args:
        values: any shape, at least one number, finite.

    Returns:
        (bins + 1,), increasing.
    """
    smallest, largest = float(values.min()), float(values.max())
    low, high = (float(x) for x in np.quantile(values, _CORE))
    if low == high:
        low, high = smallest, largest
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        return np.array([smallest - 0.5, largest + 0.5])
    step = _round_up((high - low) / (_MOST_BINS - 2))
    edges = np.arange(math.floor(low / step), math.ceil(high / step) + 1, dtype=np.float64) * step
    edges[0], edges[-1] = min(edges[0], smallest), max(edges[-1], largest)
    return edges


def _round_up(width: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(width))
    return next(power * factor for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if power * factor >= width * (1 - 1e-9))


def _scorer_rows(data: Data, settings: Settings, cells: Cells) -> Iterator[ScorerRow]:
    responses, last, primary = data.responses, settings.ns[-1], settings.primary_scorer
    values = {name: within_problem_auroc(score, responses.pool.correct) for name, score in responses.scores.items()}
    both = ~np.isnan(values[primary])
    intervals: dict[str, Interval] = {}
    gains: dict[str, PairedTest] = {}
    if both.any():
        columns = np.column_stack([value[both] for value in values.values()])
        found = bootstrap_cis(
            columns,
            rng=stream(settings, "auroc"),
            draws=settings.draws,
            confidence=settings.confidence,
            support=(0.0, 1.0),
        )
        intervals = dict(zip(values, found, strict=True))
        gains = _against(primary, {name: value[both] for name, value in values.items()}, settings, "auroc gains")
    correct = {name: picks.per_problem[last][CORRECT] for name, picks in data.picks.items()}
    differences = _against(primary, correct, settings, "scorer gains")
    accuracy = {name: cells.accuracy[cell_label(name, last)] for name in values}
    for name, picks in data.picks.items():
        yield ScorerRow(
            scorer=name,
            auroc=intervals.get(name),
            auroc_problems=int(np.count_nonzero(both)),
            n_tokens=float(picks.means[last][N_TOKENS]),
            saturation_n=saturation_n({n: float(means[CORRECT]) for n, means in picks.means.items()}),
            accuracy=accuracy[name],
            accuracy_rank=_rank(name, accuracy),
            auroc_rank=_rank(name, intervals) if intervals else None,
            accuracy_difference=differences.get(name),
            auroc_difference=gains.get(name),
        )


def _against(primary: str, values: Mapping[str, Array], settings: Settings, name: str) -> dict[str, PairedTest]:
    """Every other scorer minus the primary one, paired by problem."""
    others = [scorer for scorer in values if scorer != primary]
    if not others:
        return {}
    tests = paired_tests(
        np.column_stack([values[scorer] for scorer in others]),
        values[primary][:, None],
        rng=stream(settings, name),
        draws=settings.draws,
        confidence=settings.confidence,
    )
    return dict(zip(others, tests, strict=True))


def _rank(name: str, intervals: Mapping[str, Interval]) -> int:
    # Equal accuracies that two sums reach differ by rounding.
    own = intervals[name].estimate
    return 1 + sum(other.estimate > own + 1e-12 for other in intervals.values())


def _length_rows(data: Data, settings: Settings) -> Iterator[LengthRow]:
    pool, last = data.responses.pool, settings.ns[-1]
    n_problems = len(data.responses.golds)
    decile = length_deciles(pool.n_tokens)
    picked = {
        name: np.bincount(decile.ravel(), weights=pick_probability(score, last).ravel(), minlength=10) / n_problems
        for name, score in data.responses.scores.items()
    }
    cell = (np.arange(n_problems)[:, None] * 10 + decile).ravel()
    sizes = np.bincount(cell, minlength=n_problems * 10).reshape(n_problems, 10).astype(np.float64)
    right = (
        np.bincount(cell[pool.correct.ravel()], minlength=n_problems * 10).reshape(n_problems, 10).astype(np.float64)
    )
    total = np.bincount(decile.ravel(), weights=pool.log_likelihood.ravel(), minlength=10)
    for d in range(10):
        responses = int(sizes[:, d].sum())
        if not responses:
            continue
        lengths = pool.n_tokens[decile == d]
        low, high, method = ratio_interval(right[:, d], sizes[:, d], settings.confidence)
        yield LengthRow(
            decile=d + 1,
            tokens_low=int(lengths.min()),
            tokens_high=int(lengths.max()),
            responses=responses,
            accuracy=Interval(float(right[:, d].sum()) / responses, low, high, method),
            log_likelihood=float(total[d]) / responses,
            # Pick probabilities sum to 1 up to rounding only, and no share exceeds 1.
            picked={name: round(float(share[d]), 12) for name, share in picked.items()},
        )


def _greedy_rank(data: Data, cells: Cells) -> GreedyRank:
    ranks = 1 + np.count_nonzero(sharper_than_greedy(data.responses), axis=1)
    low, median, high = (float(x) for x in np.quantile(ranks, (0.25, 0.5, 0.75)))
    above, n = cells.above_greedy, data.responses.pool.n
    # The mean rank is 1 + N times the mean share above greedy, and so is its interval.
    mean = Interval(float(ranks.mean()), 1.0 + n * above.low, 1.0 + n * above.high, above.method)
    return GreedyRank(mean=mean, median=median, quartile_low=low, quartile_high=high)


def _power(data: Data, settings: Settings) -> Iterator[Power]:
    responses = data.responses
    best = data.picks[settings.primary_scorer].per_problem[settings.ns[-1]][CORRECT]
    others: tuple[tuple[Literal["greedy", "sample"], Array], ...] = (
        ("greedy", responses.greedy.correct[:, 0].astype(np.float64)),
        ("sample", responses.pool.correct.mean(axis=1)),
    )
    for against, other in others:
        # One value reached by two sums differs by rounding, which is no spread.
        differences = np.round(best - other, 12)
        yield Power(
            against=against,
            detectable=detectable_difference(differences),
            problems={points: problems_needed(differences, points / 100.0) for points in POINTS},
        )


def _histogram(
    quantity: Literal["log_likelihood", "mean_log_likelihood"], values: Array, correct: NDArray[np.bool_]
) -> Histogram:
    edges = histogram_edges(values)
    bins = np.searchsorted(edges[1:-1], values.ravel(), side="right")
    counts = np.bincount(2 * bins + correct.ravel(), minlength=2 * (len(edges) - 1)).reshape(-1, 2)
    return Histogram(
        quantity=quantity,
        edges=tuple(edges.tolist()),
        correct=tuple(counts[:, 1].tolist()),
        incorrect=tuple(counts[:, 0].tolist()),
    )
