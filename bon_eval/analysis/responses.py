"""The responses that an analysis is of, every draw's rows aligned by problem id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bon_eval.records import Pool
from bon_eval.stats.clusters import rows_of, sampling_units

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """The responses of a draw besides greedy and the pool, rows aligned with theirs."""

    pool: Pool
    scores: Mapping[str, Array]
    """Scorer -> (P, N)."""
    vote_scores: Mapping[str, Array]
    """Scorer of a weighted vote -> (P, N)."""
    duplicates: Array | None
    """(P,): share of the draw's responses that repeat an earlier one."""

    def take(self, rows: NDArray[np.intp]) -> Drawn:
        """The same with the given problems only."""
        scores, votes = ({k: v[rows] for k, v in of.items()} for of in (self.scores, self.vote_scores))
        duplicates = None if self.duplicates is None else self.duplicates[rows]
        return Drawn(self.pool.take(rows), scores, votes, duplicates)


@dataclass(frozen=True, slots=True, eq=False)
class Responses:
    """The responses that take part, rows of all arrays aligned by problem id."""

    golds: tuple[str, ...]
    greedy: Pool
    pool: Pool
    scores: Mapping[str, Array]
    """Scorer -> (P, N)."""
    duplicates: Array | None
    """(P,): share of the pool that repeats an earlier response."""
    vote_scores: Mapping[str, Array] = field(default_factory=dict)
    """Scorer of a weighted vote -> (P, N)."""
    clusters: NDArray[np.intp] | None = None
    """(P,): number of each problem's cluster; None: each problem is resampled by itself."""
    chance: Array | None = None
    """(P,): how often a guess is right, NaN where that is not known; None: never."""
    others: Mapping[str, Drawn] = field(default_factory=dict)
    """By the draw's name."""

    def take(self, rows: NDArray[np.intp]) -> Responses:
        """The same with the given problems only."""
        return Responses(
            golds=tuple(self.golds[i] for i in rows),
            greedy=self.greedy.take(rows),
            pool=self.pool.take(rows),
            scores={name: score[rows] for name, score in self.scores.items()},
            duplicates=None if self.duplicates is None else self.duplicates[rows],
            vote_scores={name: score[rows] for name, score in self.vote_scores.items()},
            clusters=self.clusters_of(rows),
            chance=None if self.chance is None else self.chance[rows],
            others={name: drawn.take(rows) for name, drawn in self.others.items()},
        )

    def clusters_of(self, kept: NDArray[np.intp] | NDArray[np.bool_]) -> NDArray[np.intp] | None:
        """Of some of the problems, numbered anew."""
        return rows_of(self.clusters, kept)

    @property
    def pools(self) -> tuple[Pool, ...]:
        """The responses of every draw, greedy and the pool first."""
        return (self.greedy, self.pool, *(drawn.pool for drawn in self.others.values()))

    @property
    def knows_reasoning(self) -> bool:
        """Whether the grades say where reasoning ends."""
        return self.pool.answer_chars is not None and self.greedy.answer_chars is not None

    @property
    def units(self) -> tuple[int, str]:
        """How many of what are resampled: ``problem`` or ``cluster``."""
        return sampling_units(len(self.golds), self.clusters)

    def untruncated(self) -> NDArray[np.intp]:
        """Rows of the problems of which no response of any draw was truncated."""
        return np.flatnonzero(~np.any([pool.truncated.any(axis=1) for pool in self.pools], axis=0))


def sharper_than_greedy(responses: Responses) -> NDArray[np.bool_]:
    """(P, N): whether the response's log-likelihood is higher than greedy's, and it is not the greedy response.

    An engine gives one response two log-likelihoods that differ by its rounding: the greedy response over again is
    neither sharper nor less sharp, whatever they are. Where a pool does not say which responses those are
    (`Pool.same_as_greedy`), every response of higher log-likelihood counts.
    """
    pool, greedy = responses.pool, responses.greedy
    higher: NDArray[np.bool_] = pool.log_likelihood > greedy.log_likelihood
    return higher if pool.same_as_greedy is None else higher & ~pool.same_as_greedy
