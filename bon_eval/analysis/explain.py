"""What explains the lift: how well scorers tell correct from incorrect, what they pick, and what could be seen at all.

Units as in `bon_eval.analysis.results`: accuracies and shares are fractions of 1, lengths in tokens with the end token.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from bon_eval.analysis.arms import CORRECT, N_TOKENS, Cells, Data, cell_label, stream
from bon_eval.analysis.responses import Array, sharper_than_greedy
from bon_eval.analysis.settings import Settings
from bon_eval.analysis.shapes import Histogram, LengthRow, histogram, length_rows
from bon_eval.estimators import within_problem_auroc
from bon_eval.stats import (
    Interval,
    PairedTest,
    bootstrap_cis,
    detectable_difference,
    paired_tests,
    problems_needed,
)
from bon_eval.stats.paired import linear_units, paired_differences, pseudo_units
from bon_eval.stats.units import AT_LEAST_1, SHARE, Count, FromOne, Limits, Positive, Size

SATURATION = 0.01
"""How close to its value at n = N best-of-n counts as saturated, as a fraction of that value."""


def explain(data: Data, settings: Settings, cells: Cells) -> Explanation:
    """The explanation of one analysis, for all of its scorers."""
    pool = data.responses.pool
    return Explanation(
        scorers=tuple(_scorer_rows(data, settings, cells)),
        lengths=tuple(length_rows(data, settings)),
        greedy_rank=_greedy_rank(data, cells),
        power=tuple(_power(data, settings)),
        histograms=(
            histogram("log_likelihood", pool.log_likelihood, pool.correct),
            histogram("mean_log_likelihood", pool.log_likelihood / pool.n_tokens, pool.correct),
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
            clusters=responses.clusters_of(both),
        )
        intervals = dict(zip(values, found, strict=True))
        gains = _against(
            primary,
            {name: value[both] for name, value in values.items()},
            settings,
            "auroc gains",
            responses.clusters_of(both),
        )
    correct = {name: picks.per_problem[last][CORRECT] for name, picks in data.picks.items()}
    differences = _against(primary, correct, settings, "scorer gains", responses.clusters)
    accuracy = {name: cells.accuracy[cell_label(name, last)] for name in values}
    doublings, margin = _last_doublings(data, settings), settings.equivalence_margin
    for name, picks in data.picks.items():
        flat = name in doublings and margin is not None and doublings[name].is_within(margin)
        yield ScorerRow(
            scorer=name,
            auroc=intervals.get(name),
            auroc_problems=int(np.count_nonzero(both)),
            n_tokens=float(picks.means[last][N_TOKENS]),
            saturation_n=saturation_n({n: float(means[CORRECT]) for n, means in picks.means.items()}) if flat else None,
            last_doubling=doublings.get(name),
            is_flat=flat,
            accuracy=accuracy[name],
            accuracy_rank=_rank(name, accuracy),
            auroc_rank=_rank(name, intervals) if intervals else None,
            accuracy_difference=differences.get(name),
            auroc_difference=gains.get(name),
        )


def _last_doublings(data: Data, settings: Settings) -> dict[str, PairedTest]:
    """Scorer -> what the last doubling of n adds to its accuracy; empty where the last n is 1."""
    last = settings.ns[-1]
    if last == 1:
        return {}
    ends = (
        np.column_stack([picks.per_problem[last][CORRECT] for picks in data.picks.values()]),
        np.column_stack([picks.half for picks in data.picks.values() if picks.half is not None]),
    )
    tests = paired_tests(
        *ends,
        rng=stream(settings, "last doubling"),
        draws=settings.draws,
        confidence=settings.confidence,
        clusters=data.responses.clusters,
    )
    return dict(zip(data.picks, tests, strict=True))


def _against(
    primary: str, values: Mapping[str, Array], settings: Settings, name: str, clusters: NDArray[np.intp] | None
) -> dict[str, PairedTest]:
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
        clusters=clusters,
    )
    return dict(zip(others, tests, strict=True))


def _rank(name: str, intervals: Mapping[str, Interval]) -> int:
    # Equal accuracies that two sums reach differ by rounding.
    own = intervals[name].estimate
    return 1 + sum(other.estimate > own + 1e-12 for other in intervals.values())


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
    alpha = settings.planned_alpha
    for against, other in others:
        differences = paired_differences(best, other, True)
        pseudo, size = pseudo_units(best, other, responses.clusters)
        values = linear_units(differences[:, None], responses.clusters, settings.confidence)[0][:, 0]
        needed = {
            points: problems_needed(values, points / 100.0, pseudo=pseudo, size=size, alpha=alpha) for points in POINTS
        }
        yield Power(
            against=against,
            detectable=detectable_difference(values, pseudo=pseudo, size=size, alpha=alpha),
            problems={
                points: None if units is None else math.ceil(units * len(best) / len(values))
                for points, units in needed.items()
            },
        )


POINTS = (1, 2, 5)
"""Differences in percentage points for which `Power` says how many problems they need."""


@dataclass(frozen=True, slots=True)
class ScorerRow:
    """How well one scorer tells correct responses from incorrect ones, and what it picks."""

    scorer: str
    auroc: Annotated[Interval, SHARE] | None
    """Within-problem AUROC for correctness (ties count one half), averaged over the problems whose pool holds both
    kinds; 0.5 is chance. None where no problem holds both."""
    auroc_problems: Count
    """Problems behind `auroc`."""
    n_tokens: Positive
    """Mean length of what best-of-n picks at the table's last n."""
    saturation_n: Size | None
    """Smallest n from which on best-of-n's accuracy stays within 1 % of its value at n = N; None where that value is
    0, and where the curve is not shown to be flat at its end."""
    last_doubling: PairedTest | None
    """Accuracy at the table's last n minus that at half of it (the next smaller n that has an interval); None where the
    last n is 1."""
    is_flat: bool
    """Whether `last_doubling` is shown to be smaller than `Settings.equivalence_margin`."""
    accuracy: Annotated[Interval, SHARE]
    """Of best-of-n at the table's last n."""
    accuracy_rank: Size
    """1 for the highest accuracy; equal ones share the lower number."""
    auroc_rank: Size | None
    accuracy_difference: PairedTest | None
    """Accuracy minus that of the primary scorer, paired by problem; None for the primary scorer itself."""
    auroc_difference: PairedTest | None
    """AUROC minus that of the primary scorer, over the problems of `auroc_problems`; None for the primary scorer
    itself and where no problem holds both kinds."""


@dataclass(frozen=True, slots=True)
class GreedyRank:
    """Where greedy's log-likelihood stands among the pool's: 1 + the number of sharper responses."""

    mean: Annotated[Interval, AT_LEAST_1]
    """Mean rank over problems, between 1 and N + 1."""
    median: FromOne
    quartile_low: FromOne
    quartile_high: FromOne


@dataclass(frozen=True, slots=True)
class Power:
    """What a run of this size and spread could have seen of best-of-n (primary scorer, last n) minus another arm."""

    against: Literal["greedy", "sample"]
    detectable: Positive | None
    """Smallest true difference that the report's own test finds with 80 % power at its level, as a fraction; None
    without spread, and with fewer than `bon_eval.stats.power.LEAST_PROBLEMS` problems or clusters."""
    problems: Mapping[int, Annotated[int, Limits(minimum=2)] | None]
    """Points of `POINTS` -> problems that such a difference would need, in clusters as large as this run's; None as
    above."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What explains the lift of one run."""

    scorers: tuple[ScorerRow, ...]
    lengths: tuple[LengthRow, ...]
    greedy_rank: GreedyRank
    power: tuple[Power, ...]
    """Against greedy, then against sample."""
    histograms: tuple[Histogram, ...]
    """Raw, then per token."""
