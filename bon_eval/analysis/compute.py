"""What every arm costs to run: tokens generated per problem, beside the accuracy that the other tables show.

A fixed n costs n times the pool's mean tokens, which is the exact expectation over random n-subsets, whatever picks the
answer; an adaptive arm what it has drawn when it stops. Tokens of prompts are not counted. The oracle is no arm here:
it is told the gold answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np

from bon_eval.analysis.arms import Cells, Data, cell_label, row_label, stream
from bon_eval.analysis.draws.facts import DrawFacts
from bon_eval.analysis.settings import Settings
from bon_eval.analysis.unrun_arms import StoppingRow
from bon_eval.stats import Interval, bootstrap_cis
from bon_eval.stats.bootstrap import NOT_BELOW_0
from bon_eval.stats.units import NOT_NEGATIVE, SHARE, FromOne

_SAME = 1e-9
"""Differences below this, of tokens relative to their number, are rounding."""


@dataclass(frozen=True, slots=True)
class ComputeRow:
    """One arm: tokens generated for one answer, and how accurate the answer is."""

    arm: str
    """The way to answer: ``greedy``, ``sample``, ``best-of-n``, ``vote`` or ``adaptive``; of another draw ``mean``."""
    by: str | None
    """Scorer of best-of-n, name of a weighted vote, rule of an adaptive arm; None for draws and the majority vote."""
    samples: FromOne
    """Responses generated per problem: n, of an adaptive arm the mean."""
    tokens: Annotated[Interval, NOT_NEGATIVE]
    """Generated per problem, end tokens included, prompts not."""
    accuracy: Annotated[Interval, SHARE]
    """The interval that the arm has in the other tables."""
    draw: str | None = None
    """The draw that it answers from; None: greedy or the pool."""
    undercut_by: str | None = None
    """Of the arms that are at least as accurate for no more tokens, by the estimates, the most accurate; None where
    there is none (see `undercut`)."""

    @property
    def name(self) -> str:
        """The arm in one line, such as ``best-of-8 log_likelihood`` or ``adaptive patience 4``."""
        if self.arm in ("best-of-n", "vote"):
            arm = f"{self.arm.removesuffix('-n').removesuffix('-of')}-of-{self.samples:g}"
        else:
            arm = "" if self.arm == "mean" else self.arm
        return " ".join(filter(None, (self.draw, arm, self.by)))


def compute_rows(
    data: Data, settings: Settings, cells: Cells, stopping: Iterable[StoppingRow], draws: Iterable[DrawFacts] = ()
) -> tuple[ComputeRow, ...]:
    """Greedy and one sample, best-of-n by every scorer and votes at the n of the table, adaptive arms, other draws.

    Best-of-1 is one sample and stands there once. Accuracies are those of `cells` and `stopping`.
    """
    greedy, sample = _mean_tokens(data, settings)
    rows = [
        ComputeRow("greedy", None, 1, greedy, cells.accuracy["greedy"]),
        ComputeRow("sample", None, 1, sample, cells.accuracy["sample"]),
    ]
    kinds: list[tuple[str, str | None]] = [("best-of-n", scorer) for scorer in settings.scorers]
    kinds += [("vote", name) for name in (None, *settings.votes)]
    rows += [
        ComputeRow(arm, by, n, _times(n, sample), cells.accuracy[label])
        for arm, by in kinds
        for n in settings.ns
        if (label := row_label(arm, n, by)) != cell_label("sample", 1)
    ]
    rows += [
        ComputeRow("adaptive", f"{row.rule} {row.parameter:g}", row.samples, row.tokens, row.accuracy)
        for row in stopping
    ]
    rows += [
        ComputeRow(arm.arm, arm.scorer, arm.n, _times(arm.n, facts.tokens), arm.accuracy, facts.draw)
        for facts in draws
        for arm in facts.arms
        if arm.arm != "oracle"
    ]
    return undercut(rows)


def _mean_tokens(data: Data, settings: Settings) -> tuple[Interval, Interval]:
    """Of one greedy response and of one sample."""
    responses = data.responses
    greedy, sample = bootstrap_cis(
        np.column_stack([pool.n_tokens.mean(axis=1) for pool in (responses.greedy, responses.pool)]),
        support=NOT_BELOW_0,
        rng=stream(settings, "tokens"),
        draws=settings.draws,
        confidence=settings.confidence,
        clusters=responses.clusters,
    )
    return greedy, sample


def _times(n: int, one: Interval) -> Interval:
    """Of a mean that is n times another's: every method of means in tokens scales with its values."""
    if one.reason:
        return replace(one, estimate=n * one.estimate)
    return replace(one, estimate=n * one.estimate, low=n * one.low, high=n * one.high)


def undercut(rows: Sequence[ComputeRow]) -> tuple[ComputeRow, ...]:
    """The rows, each with the arm that it loses to: at least as accurate for no more tokens, and better in one of them.

    Of several the most accurate, then the one of fewest tokens, then the first. It goes by the estimates alone: which
    arms are left is as uncertain as the accuracies that their intervals show, and says nothing about differences, which
    `bon_eval.analysis.families.arm_pairs` tests.

    >>> def row(arm, tokens, accuracy):
    ...     return ComputeRow(arm, None, 1, Interval(tokens, 0, 99, ""), Interval(accuracy, 0, 1, ""))
    >>> rows = [row("a", 10, 0.5), row("b", 20, 0.5), row("c", 20, 0.6), row("d", 30, 0.4), row("e", 10, 0.5)]
    >>> [found.undercut_by for found in undercut(rows)]
    [None, 'c', None, 'c', None]
    """
    return tuple(replace(row, undercut_by=_best_of(rows, row)) for row in rows)


def _best_of(rows: Sequence[ComputeRow], row: ComputeRow) -> str | None:
    better = [other for other in rows if _beats(other, row)]
    found = min(better, key=lambda other: (-other.accuracy.estimate, other.tokens.estimate), default=None)
    return None if found is None else found.name


def _beats(other: ComputeRow, row: ComputeRow) -> bool:
    gain = other.accuracy.estimate - row.accuracy.estimate
    saving = row.tokens.estimate - other.tokens.estimate
    least = _SAME * row.tokens.estimate
    return gain >= -_SAME and saving >= -least and (gain > _SAME or saving > least)
