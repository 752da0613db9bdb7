"""What each arm is worth on each problem, and every interval and test over problems that the tables show.

Problems are the sampling unit: every interval resamples problems, every comparison of two arms is paired by problem.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bon_eval.findings import Settings
from bon_eval.pool import Pool
from bon_eval.stats import Interval, PairedTest, bootstrap_cis, paired_tests

Array = NDArray[np.float64]

QUANTITIES = ("correct", "log_likelihood", "n_tokens", "truncated", "unscored")
"""What is averaged over the picks of an arm, in the order of the first axis of `Picks`."""
CORRECT, LOG_LIKELIHOOD, N_TOKENS, TRUNCATED, UNSCORED = range(5)

SHARPER_TOLERANCE = 1e-3
"""Nats per token: how closely an engine must reproduce the log-probs of one and the same response."""


@dataclass(frozen=True, slots=True, eq=False)
class Picks:
    """Best-of-n by one scorer."""

    means: Array
    """(quantities, N): mean over problems at n = 1..N."""
    per_problem: Mapping[int, Array]
    """n -> (quantities, P), for the n of `Data.interval_ns`."""


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """The problems that take part, rows aligned by problem id, and what each arm is worth on them."""

    golds: tuple[str, ...]
    greedy: Pool
    pool: Pool
    duplicates: Array | None
    """(P,): share of the pool that repeats an earlier response."""
    picks: Mapping[str, Picks]
    """By scorer."""
    vote: Mapping[int, Array]
    """n -> (P,), for n = 1 and the table's n."""
    vote_error: Mapping[int, float]
    """n -> Monte Carlo standard error of the mean over problems; 0 where exact."""
    oracle: Array
    """(N, P): n = 1..N."""
    interval_ns: tuple[int, ...]
    """Where the curves have intervals: n = 1 and the table's n, or every n where that costs little."""


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


def cell_label(arm: str, n: int) -> str:
    """Name of the cell of a scorer or arm at n; at n = 1 every scorer and the oracle are one sample."""
    if arm in ("greedy", "sample"):
        return arm
    # The vote of one is not one sample: a response without an answer cannot vote.
    return "sample" if n == 1 and arm != "vote" else f"{arm} {n}"


def stacked(pool: Pool) -> Array:
    """(quantities, P, N)."""
    return np.stack([getattr(pool, name).astype(np.float64) for name in QUANTITIES])


def compute_cells(data: Data, settings: Settings) -> Cells:
    """All intervals and tests at once: they share the resampled problems and the sign patterns."""
    primary, last = settings.primary_scorer, settings.ns[-1]
    greedy, sample = stacked(data.greedy).mean(axis=2), stacked(data.pool).mean(axis=2)
    correct = {"greedy": greedy[CORRECT], "sample": sample[CORRECT]}
    log_likelihood = {"greedy": greedy[LOG_LIKELIHOOD], "sample": sample[LOG_LIKELIHOOD]}
    for scorer, picks in data.picks.items():
        for n, quantities in picks.per_problem.items():
            correct.setdefault(cell_label(scorer, n), quantities[CORRECT])
            if n == last or (scorer == primary and n in settings.ns):
                log_likelihood.setdefault(cell_label(scorer, n), quantities[LOG_LIKELIHOOD])
    for n, value in data.vote.items():
        correct[cell_label("vote", n)] = value
    for n in data.interval_ns:
        correct.setdefault(cell_label("oracle", n), data.oracle[n - 1])
    best = correct[cell_label(primary, last)]
    sharper = sharper_than_greedy(data).any(axis=1).astype(np.float64)

    columns = np.column_stack([*correct.values(), *log_likelihood.values(), sharper])
    intervals = bootstrap_cis(
        columns, rng=stream(settings, "intervals"), draws=settings.draws, confidence=settings.confidence
    )
    challengers = [label for label in correct if label != "greedy"]
    tests = paired_tests(
        np.column_stack([*(correct[label] for label in challengers), best]),
        np.column_stack([correct["greedy"]] * len(challengers) + [correct["sample"]]),
        rng=stream(settings, "tests"),
        draws=settings.draws,
        confidence=settings.confidence,
    )
    return Cells(
        accuracy=dict(zip(correct, intervals[: len(correct)], strict=True)),
        log_likelihood=dict(zip(log_likelihood, intervals[len(correct) : -1], strict=True)),
        lift=dict(zip(challengers, tests[:-1], strict=True)),
        over_sample=tests[-1],
        sharper=intervals[-1],
    )


def stream(settings: Settings, name: str) -> np.random.Generator:
    """The random stream of one use; streams of other uses are independent of it."""
    return np.random.default_rng([settings.seed, zlib.crc32(name.encode())])


def sharper_than_greedy(data: Data) -> NDArray[np.bool_]:
    """(P, N): whether the response's log-likelihood is higher than greedy's, and it is not the greedy response."""
    gap = data.pool.log_likelihood - data.greedy.log_likelihood
    same = (data.pool.n_tokens == data.greedy.n_tokens) & (np.abs(gap) <= SHARPER_TOLERANCE * data.greedy.n_tokens)
    out: NDArray[np.bool_] = (gap > 0.0) & ~same
    return out
