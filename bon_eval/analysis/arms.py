"""What each arm is worth on each problem, and every interval and test over problems that the tables show.

Problems are the sampling unit: every interval resamples problems, every comparison of two arms is paired by problem.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bon_eval.analysis.responses import Array, Responses, sharper_than_greedy
from bon_eval.analysis.settings import Settings, half_of
from bon_eval.analysis.vote_rules import get_vote
from bon_eval.estimators import best_of_n, majority_vote, pass_at_n
from bon_eval.estimators.response_spread import response_variance
from bon_eval.estimators.weighted_votes import weighted_vote
from bon_eval.records import Pool
from bon_eval.stats import Interval, PairedTest, bootstrap_cis, paired_tests
from bon_eval.stats.bootstrap import NOT_ABOVE_0, UNBOUNDED, UNIT
from bon_eval.stats.streams import seeded_stream

QUANTITIES = ("correct", "log_likelihood", "n_tokens", "truncated", "unfinished", "unscored")
"""What is averaged over the picks of an arm, in the order of the first axis of `Picks`."""
CORRECT, LOG_LIKELIHOOD, N_TOKENS, TRUNCATED, UNFINISHED, UNSCORED = range(6)

_WEIGHTED = "vote "
"""Before the name of a weighted vote: what its cells and curves are called."""

# Curves have an interval at every n up to these sizes (about a second on one core), else at the table's n only.
_MOST_COLUMNS = 512
_MOST_CELLS = 100_000


@dataclass(frozen=True, slots=True, eq=False)
class Picks:
    """Best-of-n by one scorer."""

    means: Mapping[int, Array]
    """n -> (quantities,): mean over problems, for the n of `Data.curve_ns`."""
    per_problem: Mapping[int, Array]
    """n -> (quantities, P), for the n of `Data.interval_ns`."""
    half: Array | None
    """(P,), correct at `half_of` the table's last n; None without curves where the table has no such n."""
    response_variance: Mapping[int, Array]
    """n -> (P,): variance of the accuracy over redrawn responses, for n = 1 and the table's n; empty for N = 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Vote:
    """A vote of one rule."""

    values: Mapping[int, Array]
    """n -> (P,)."""
    error: Mapping[int, float]
    """n -> Monte Carlo standard error of the mean over problems; 0 where exact."""


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """What each arm is worth on each problem."""

    responses: Responses
    picks: Mapping[str, Picks]
    """By scorer."""
    vote: Mapping[int, Array]
    """n -> (P,), for n = 1 and the table's n."""
    vote_error: Mapping[int, float]
    """n -> Monte Carlo standard error of the mean over problems; 0 where exact."""
    oracle: Mapping[int, Array]
    """n -> (P,), for the n of `curve_ns`."""
    curve_ns: tuple[int, ...]
    """Where the curves have points: every n, or n = 1 and the table's n."""
    interval_ns: tuple[int, ...]
    """Where the curves have intervals: n = 1 and the table's n, or every n where that costs little."""
    weighted: Mapping[str, Vote]
    """Weighted votes by name, at n = 1 and the table's n; at its last n alone where there are no curves."""


@dataclass(frozen=True, slots=True)
class Cells:
    """Every interval and test of an analysis, by the label of its cell (see `cell_label`).

    Tables and curves that show one cell show one number.
    """

    accuracy: Mapping[str, Interval]
    log_likelihood: Mapping[str, Interval]
    lift: Mapping[str, PairedTest]
    """Accuracy minus greedy's, paired by problem."""
    over_sample: PairedTest
    """Best-of-n by the primary scorer at the last n, minus one sample."""
    sharper: Interval
    """Share of problems whose pool holds a response that is sharper than greedy."""
    above_greedy: Interval
    """Mean over problems of the share of the pool that is sharper than greedy."""


def cell_label(arm: str, n: int) -> str:
    """Name of the cell of a scorer or arm at n; at n = 1 every scorer and the oracle are one sample."""
    if arm in ("greedy", "sample"):
        return arm
    # The vote of one is not one sample: a response without an answer cannot vote.
    return "sample" if n == 1 and arm != "vote" and not arm.startswith(_WEIGHTED) else f"{arm} {n}"


def row_label(arm: str, n: int, scorer: str | None) -> str:
    """Name of the cell of a row of the arms table."""
    return cell_label(f"{_WEIGHTED}{scorer}" if arm == "vote" and scorer else scorer or arm, n)


def stacked(pool: Pool) -> Array:
    """(quantities, P, N); a quantity that an imported run lacks is 0 and not to be shown."""
    values = [getattr(pool, name).astype(np.float64) for name in QUANTITIES]
    return np.stack([np.zeros_like(v) if q in pool.absent else v for q, v in zip(QUANTITIES, values, strict=True)])


def compute_data(responses: Responses, settings: Settings, *, curves: bool, votes_at_last: bool | None = None) -> Data:
    """What each arm is worth on each problem, at every n for `curves`, else at n = 1 and the table's n only.

    `votes_at_last`: whether weighted votes are taken at the table's last n alone; default: where there are no curves.
    """
    votes_at_last = not curves if votes_at_last is None else votes_at_last
    pool = responses.pool
    n_problems, shown = len(responses.golds), tuple(sorted({1, *settings.ns}))
    curve_ns = tuple(range(1, pool.n + 1)) if curves else shown
    columns = pool.n * (len(settings.scorers) + 1)
    every_n = curves and columns <= _MOST_COLUMNS and columns * n_problems <= _MOST_CELLS
    interval_ns = curve_ns if every_n else shown
    vote, error = majority_vote(
        pool.answer_class, pool.correct, shown, rng=stream(settings, "vote"), draws=settings.vote_draws
    )
    error_of_mean = np.sqrt((error**2).sum(axis=1)) / n_problems
    values = stacked(pool)
    return Data(
        responses=responses,
        picks={name: _picks(score, values, curve_ns, interval_ns, shown) for name, score in responses.scores.items()},
        vote=dict(zip(shown, vote, strict=True)),
        vote_error=dict(zip(shown, error_of_mean.tolist(), strict=True)),
        oracle=dict(zip(curve_ns, pass_at_n(pool.correct, curve_ns), strict=True)),
        curve_ns=curve_ns,
        interval_ns=interval_ns,
        weighted={
            name: _vote(responses, settings, name, shown[-1:] if votes_at_last else shown) for name in settings.votes
        },
    )


def _vote(responses: Responses, settings: Settings, name: str, ns: Sequence[int]) -> Vote:
    rule, pool = get_vote(name), responses.pool
    values, error = weighted_vote(
        pool.answer_class,
        responses.vote_scores[rule.scorer],
        pool.correct,
        ns,
        rule.weights,
        rng=stream(settings, f"vote {name}"),
        draws=settings.vote_draws,
    )
    # Sums of weights differ in the last bits: a problem that is always solved is no contested one.
    np.round(values, 12, out=values)
    error_of_mean = np.sqrt((error**2).sum(axis=1)) / len(responses.golds)
    return Vote(dict(zip(ns, values, strict=True)), dict(zip(ns, error_of_mean.tolist(), strict=True)))


def _picks(scores: Array, values: Array, ns: Sequence[int], interval_ns: Sequence[int], shown: Sequence[int]) -> Picks:
    picked = best_of_n(scores, values, ns)
    # The weights of the ranks sum to 1 up to rounding only; unrounded, a problem that both arms always solve would
    # count as contested in the paired test, and a share could exceed 1.
    for quantity in (CORRECT, TRUNCATED, UNFINISHED, UNSCORED):
        np.round(picked[quantity], 12, out=picked[quantity])
    means = picked.mean(axis=2)
    half = half_of(shown[-1])
    return Picks(
        half=picked[CORRECT, ns.index(half)].copy() if half in ns else None,
        means={n: means[:, i] for i, n in enumerate(ns)},
        per_problem={n: picked[:, i].copy() for i, n in enumerate(ns) if n in interval_ns},
        response_variance=dict(zip(shown, response_variance(scores, values[CORRECT], shown), strict=True))
        if scores.shape[1] > 1
        else {},
    )


def compute_cells(data: Data, settings: Settings) -> Cells:
    """All intervals and tests at once: they share the resampled problems and the sign patterns."""
    primary, last = settings.primary_scorer, settings.ns[-1]
    arms = data.responses
    greedy, sample = stacked(arms.greedy).mean(axis=2), stacked(arms.pool).mean(axis=2)
    correct = {"greedy": greedy[CORRECT], "sample": sample[CORRECT]}
    log_likelihood = {"greedy": greedy[LOG_LIKELIHOOD], "sample": sample[LOG_LIKELIHOOD]}
    for scorer, picks in data.picks.items():
        for n, quantities in picks.per_problem.items():
            correct.setdefault(cell_label(scorer, n), quantities[CORRECT])
            if n == last or (scorer == primary and n in settings.ns):
                log_likelihood.setdefault(cell_label(scorer, n), quantities[LOG_LIKELIHOOD])
    for n, value in data.vote.items():
        correct[cell_label("vote", n)] = value
    for name, weighted in data.weighted.items():
        correct |= {row_label("vote", n, name): value for n, value in weighted.values.items()}
    for n in data.interval_ns:
        correct.setdefault(cell_label("oracle", n), data.oracle[n])
    best = correct[cell_label(primary, last)]
    sharper = sharper_than_greedy(arms)

    columns = np.column_stack(
        [*correct.values(), *log_likelihood.values(), sharper.any(axis=1).astype(np.float64), sharper.mean(axis=1)]
    )
    # Arrays made by hand may hold scores of any sign.
    nats = [NOT_ABOVE_0 if (value <= 0.0).all() else UNBOUNDED for value in log_likelihood.values()]
    kinds = [*[None] * len(correct), *nats, UNIT, UNIT]
    intervals = bootstrap_cis(
        columns,
        support=kinds,
        rng=stream(settings, "intervals"),
        draws=settings.draws,
        confidence=settings.confidence,
        clusters=arms.clusters,
    )
    challengers = [label for label in correct if label != "greedy"]
    tests = paired_tests(
        np.column_stack([*(correct[label] for label in challengers), best]),
        np.column_stack([correct["greedy"]] * len(challengers) + [correct["sample"]]),
        rng=stream(settings, "tests"),
        draws=settings.draws,
        confidence=settings.confidence,
        clusters=arms.clusters,
    )
    return Cells(
        accuracy=dict(zip(correct, intervals[: len(correct)], strict=True)),
        log_likelihood=dict(zip(log_likelihood, intervals[len(correct) : -2], strict=True)),
        lift=dict(zip(challengers, tests[:-1], strict=True)),
        over_sample=tests[-1],
        sharper=intervals[-2],
        above_greedy=intervals[-1],
    )


def stream(settings: Settings, name: str) -> np.random.Generator:
    """The random stream of one use; streams of other uses are independent of it."""
    return seeded_stream(settings.seed, name)
