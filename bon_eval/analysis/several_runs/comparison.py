"""Several stored runs of one task in, one comparison out: every run's accuracies, and every pair's differences.

Units as in `bon_eval.analysis.two_runs.comparison`. All pairs of runs in all arms are one family: Holm's correction is
over all of it, so that another run or arm never makes a difference easier to show.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from bon_eval.analysis.responses import Array
from bon_eval.analysis.settings import check_comparison_draws
from bon_eval.analysis.two_runs.comparison import Comparison, facts_of
from bon_eval.analysis.two_runs.names import names_of
from bon_eval.analysis.two_runs.sides import Side, accuracies, label, lacking, quantities, support, unit
from bon_eval.errors import ConfigError, counted
from bon_eval.stats import Interval, PairedTest, bootstrap_cis, holm, paired_tests
from bon_eval.stats.bootstrap import UNIT
from bon_eval.stats.clusters import sampling_units
from bon_eval.stats.heavy_tails import LEAST_PROBLEMS
from bon_eval.stats.paired import Verdict
from bon_eval.stats.streams import streams
from bon_eval.stats.units import Count, Share, Size
from bon_eval.store.comparable import check_comparable, common_clusters, same_problems
from bon_eval.store.reader import Run

_SHOWN = ("tokens.greedy", "tokens.sample", "tokens.best", "entropy_per_token", "distinct_answers", "truncated")
"""Quantities of each run that need no other model."""


@dataclass(frozen=True, slots=True)
class OfRun:
    """One arm's accuracy, or one quantity, of one run."""

    name: str
    label: str
    unit: str
    run: str
    value: Interval


@dataclass(frozen=True, slots=True)
class PairDifference:
    """One arm's accuracy of two runs, paired by problem."""

    name: str
    label: str
    first: str
    second: str
    difference: PairedTest
    """Second minus first."""
    p_holm: Share
    """Holm-adjusted over all pairs of runs in all arms."""

    @property
    def verdict(self) -> Verdict:
        """What the test says within its family."""
        return self.difference.verdict(p_value=self.p_holm)

    @property
    def shown_p(self) -> float | None:
        """The adjusted p-value; None where the difference has no interval."""
        return None if np.isnan(self.difference.low) else self.p_holm


@dataclass(frozen=True, slots=True)
class SeveralComparison:
    """Everything that the comparison of three runs or more prints."""

    names: tuple[str, ...]
    """Of the runs, in their order."""
    runs: tuple[Mapping[str, object], ...]
    """Facts of each, as `bon_eval.analysis.two_runs.comparison.Comparison.before` has them."""
    n_problems: Size
    n_clusters: Size | None
    cluster: str | None
    n: Size
    """Of best-of-n, vote, oracle and distinct answers: the smallest N. All else takes all responses."""
    sizes: tuple[Size, ...]
    """N of each run."""
    differences: Mapping[str, Mapping[str, str]]
    """Second run and on -> what it differs in from the first one besides the model -> how."""
    draws: Size
    seed: Count
    reasons: Mapping[str, str]
    """What the runs cannot be compared by -> why."""
    accuracies: tuple[OfRun, ...]
    """Arm by arm, run by run."""
    quantities: tuple[OfRun, ...]
    pairs: tuple[PairDifference, ...]
    """Arm by arm."""

    @property
    def units(self) -> tuple[int, str]:
        """How many of what are resampled: ``problem`` or ``cluster``."""
        return (self.n_problems, "problem") if self.n_clusters is None else (self.n_clusters, "cluster")

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the tests say, a sentence for each arm."""
        if self.units[0] < LEAST_PROBLEMS:
            return (f"No difference is shown: nothing is said of {counted(*self.units)}, from {LEAST_PROBLEMS} on.",)
        return tuple(self._sentence(name) for name in dict.fromkeys(pair.name for pair in self.pairs))

    def _sentence(self, name: str) -> str:
        pairs = [pair for pair in self.pairs if pair.name == name]
        shown, open_ = [], []
        for pair in pairs:
            if pair.verdict not in ("higher", "lower"):
                open_.append(f"{pair.first} and {pair.second}")
                continue
            better, worse = (pair.second, pair.first)[:: 1 if pair.verdict == "higher" else -1]
            ends = sorted(abs(100 * end) for end in (pair.difference.low, pair.difference.high))
            points = abs(100 * pair.difference.difference)
            shown.append(f"{better} above {worse} by {points:.1f} points [{ends[0]:.1f}, {ends[1]:.1f}]")
        words = f"{pairs[0].label[0].upper()}{pairs[0].label[1:]}: {'; '.join(shown) or 'no difference is shown'}"
        return words + (f"; not shown: {', '.join(open_)}." if shown and open_ else ".")


AnyComparison = Comparison | SeveralComparison
"""Of two runs, or of more."""


def compare_several(
    runs: Sequence[Run],
    *,
    names: Sequence[str] = (),
    seed: int = 0,
    draws: int = 10_000,
    allow_different: Collection[str] = (),
    cluster: str | None = None,
) -> SeveralComparison:
    """Compare three or more runs of one task on the same problems, by their accuracies.

    Args:
        runs: graded.
        names: of the runs; default: their models'.
        seed: of all randomness.
        draws: bootstrap draws.
        allow_different: of `bon_eval.store.comparable.DIFFERENCES`.
        cluster: as in `bon_eval.analysis.two_runs.comparison.compare_runs`.

    Raises:
        ConfigError: fewer than three runs, names that do not fit, runs that cannot be compared, too few draws.
    """
    if len(runs) < 3:
        raise ConfigError(f"compare_several takes three runs or more, and there are {len(runs)}; see compare_runs")
    check_comparison_draws(draws, pairs=len(runs) * (len(runs) - 1) // 2)
    called = names_of(runs, names)
    first, *others = runs
    rows: list[NDArray[np.intp]] = [np.arange(len(first.pool.problem_ids))]
    differences, together = {}, None
    for name, run in zip(called[1:], others, strict=True):
        places = (f"with {called[0]}", f"with {name}")
        if found := check_comparable(first, run, allow_different, names=places, tuning=False):
            differences[name] = found
        rows.append(same_problems(first, run, places))
        together = common_clusters(first, run, rows[-1], cluster, places)
    column, clusters = together or (None, None)
    sides = [Side.of(run).rows(order) for run, order in zip(runs, rows, strict=True)]
    n = min(side.pool.n for side in sides)
    rng = streams(seed)
    right = [accuracies(side, n, rng) for side in sides]
    measured = [quantities(side, n) for side in sides]
    arms = [name for name in right[0] if all(name in other for other in right)]
    shown = [name for name in _SHOWN if all(name in other for other in measured)]
    units, _ = sampling_units(len(first.pool.problem_ids), clusters)
    return SeveralComparison(
        names=called,
        runs=tuple(map(facts_of, runs)),
        n_problems=len(first.pool.problem_ids),
        n_clusters=None if clusters is None else units,
        cluster=column,
        n=n,
        sizes=tuple(side.pool.n for side in sides),
        differences=differences,
        draws=draws,
        seed=seed,
        reasons=lacking(sides, [f"with {name}" for name in called]),
        accuracies=tuple(_of_runs(arms, right, called, n, seed, draws, clusters, accuracy=True)),
        quantities=tuple(_of_runs(shown, measured, called, n, seed, draws, clusters)),
        pairs=tuple(_pairs(arms, right, called, n, seed, draws, clusters)),
    )


def _of_runs(
    names: Sequence[str],
    values: Sequence[Mapping[str, Array]],
    called: Sequence[str],
    n: int,
    seed: int,
    draws: int,
    clusters: NDArray[np.intp] | None,
    *,
    accuracy: bool = False,
) -> Iterator[OfRun]:
    if not names:
        return
    supports = [UNIT if accuracy else support(name) for name in names]
    found = [
        bootstrap_cis(
            np.column_stack([of_run[name] for name in names]),
            rng=streams(seed)("intervals"),
            draws=draws,
            support=supports,
            clusters=clusters,
        )
        for of_run in values
    ]
    for k, name in enumerate(names):
        for run, intervals in zip(called, found, strict=True):
            kind = "share" if accuracy else unit(name)
            yield OfRun(f"accuracy.{name}" if accuracy else name, label(name, n), kind, run, intervals[k])


def _pairs(
    arms: Sequence[str],
    values: Sequence[Mapping[str, Array]],
    called: Sequence[str],
    n: int,
    seed: int,
    draws: int,
    clusters: NDArray[np.intp] | None,
) -> Iterator[PairDifference]:
    pairs = list(combinations(range(len(values)), 2))
    keys = [(name, one, other) for name in arms for one, other in pairs]
    seconds = np.column_stack([values[other][name] for name, _, other in keys])
    firsts = np.column_stack([values[one][name] for name, one, _ in keys])
    tests = paired_tests(
        seconds, firsts, rng=streams(seed)("tests"), draws=draws, shares=[True] * len(keys), clusters=clusters
    )
    adjusted = holm([test.p_value for test in tests]).tolist()
    for (name, one, other), test, p_holm in zip(keys, tests, adjusted, strict=True):
        yield PairDifference(f"accuracy.{name}", label(name, n), called[one], called[other], test, p_holm)
