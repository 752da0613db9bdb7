"""Paired comparison of two arms, or of two models, on the same problems."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bon_eval.errors import ConfigError
from bon_eval.stats.bootstrap import check_draws, over_units, resolve_intervals
from bon_eval.stats.closed_form import is_binary
from bon_eval.stats.clusters import alike_size, checked_clusters, cluster_sums, effective_number
from bon_eval.stats.heavy_tails import SignTest, sign_test
from bon_eval.stats.means import DIFFERENCE, UNBOUNDED, Resolved, is_contested, reason_of
from bon_eval.stats.units import Count, Share

Verdict = Literal["higher", "lower", "same", "not shown"]
"""What a test says of a difference: ``same`` where it is shown to be smaller than a margin."""

_ROUNDING = 1e-9
"""Differences that small, relative to the values or to 1 for shares, are of the sums that reached one value."""


@dataclass(frozen=True, slots=True)
class PairedTest:
    """Mean difference over problems, its confidence interval, and the two-sided test that it is 0: one method."""

    difference: float
    """mean(a) - mean(b), in the unit of the values."""
    low: float
    high: float
    """Both NaN where there is no interval."""
    p_value: Share
    """At most 1 - confidence exactly where the interval excludes 0; 1.0 where there is no interval."""
    method: str
    """As in `bon_eval.stats.bootstrap`."""
    n_contested: Count
    """Problems on which a and b differ."""
    marked: bool = False
    """The differences are too skewed for interval and p-value to be relied on: the verdict goes by `signs`."""
    signs: SignTest | None = None
    """Of nats or tokens, how many problems rose; None for accuracies and other shares."""
    inner_low: float = np.nan
    inner_high: float = np.nan
    """What two one-sided tests go by: the interval of confidence 1 - 2 (1 - confidence), 90 % for 95 %, with room for
    the skewness of the differences (`bon_eval.stats.means.Resolved`)."""

    @property
    def reason(self) -> str | None:
        """Why there is no interval, or None."""
        return reason_of(self.method)

    @property
    def by_signs(self) -> bool:
        """Whether the verdict is that of the problems' signs and not of the mean."""
        return self.marked and self.signs is not None

    @property
    def verdict_p_value(self) -> Share:
        """The p-value that the verdict goes by, before any correction for a family."""
        return self.signs.p_value if self.by_signs and self.signs is not None else self.p_value

    def is_within(self, margin: float) -> bool:
        """Whether the difference is shown to be smaller than a margin either way, by two one-sided tests.

        Each test is at the level that one end of a two-sided interval has twice of: 5 % for a 95 % interval
        (Schuirmann 1987, doi 10.1007/BF01068419). `margin` is above 0, in the unit of the values.
        """
        return bool(-margin < self.inner_low and self.inner_high < margin)

    def verdict(self, *, p_value: float | None = None, margin: float | None = None, alpha: float = 0.05) -> Verdict:
        """What the test says: a difference, or that it is smaller than a margin, or neither.

        Args:
            p_value: adjusted for the family that the comparison belongs to, in place of `verdict_p_value`.
            margin: as in `is_within`; None: nothing is shown to be the same.
            alpha: the level; at 0 no difference is shown.
        """
        used = self.verdict_p_value if p_value is None else p_value
        if alpha <= 0.0 or used > alpha or not np.isfinite(self.low):
            return "same" if margin is not None and self.is_within(margin) else "not shown"
        if self.by_signs and self.signs is not None:
            return "higher" if self.signs.above > self.signs.below else "lower"
        return "higher" if self.low + self.high > 0.0 else "lower"


def paired_test(
    a: ArrayLike,
    b: ArrayLike,
    *,
    rng: np.random.Generator,
    draws: int = 10_000,
    confidence: float = 0.95,
    share: bool | None = None,
    clusters: ArrayLike | None = None,
) -> PairedTest:
    """Compare two arms on the same problems, row by row.

    The p-value is the level at which the interval would just touch 0, so that the two never disagree: of Student's t
    with pseudo-problems where single answers take part or few problems are contested, else the larger one of
    bootstrap-t and Student's t (see `bon_eval.stats.bootstrap`). A permutation test of signs would need differences
    that are symmetric about 0: single answers minus the mean of many are not, and at an accuracy of 3 % and 30
    problems it rejects a true null in a third of all runs.

    Args:
        a, b: (P,), one number for each problem, the same problem in the same row (see `align`).
        rng: resamples problems (used by bootstrap-t only).
        draws: bootstrap draws, at least 100.
        confidence: coverage of the interval in (0, 1).
        share: whether the values are accuracies or other shares, and not nats or tokens that lie between 0 and 1 by
            chance; None: whether all of them lie there.
        clusters: (P,), the number 0 .. C - 1 of each problem's cluster; see `bon_eval.stats.bootstrap_ci`.

    Raises:
        ConfigError: no problems, shapes that differ, a value that is not finite, draws or confidence out of range.

    >>> test = paired_test([1, 1, 1, 1, 1, 1, 1, 0], [0] * 8, rng=np.random.default_rng(0))
    >>> test.n_contested, round(test.p_value, 3), test.method, test.verdict()
    (7, 0.025, 'pseudo-t', 'higher')
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.ndim != 1 or first.shape != second.shape:
        raise ConfigError(f"paired_test got shapes {first.shape} and {second.shape}; both must be (problems,)")
    shares = None if share is None else [share]
    sides = first[:, None], second[:, None]
    return paired_tests(*sides, rng=rng, draws=draws, confidence=confidence, shares=shares, clusters=clusters)[0]


def paired_tests(
    a: ArrayLike,
    b: ArrayLike,
    *,
    rng: np.random.Generator,
    draws: int = 10_000,
    confidence: float = 0.95,
    shares: Sequence[bool] | None = None,
    clusters: ArrayLike | None = None,
) -> list[PairedTest]:
    """`paired_test` of every column of a (P, K) against that of b, (P, K) or (P, 1).

    All columns share the resampled problems: K tests cost little more than one. `shares` says for each column whether
    it holds accuracies or other shares, and not nats or tokens that lie between 0 and 1 by chance; default: whether all
    its values lie there.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.ndim != 2 or second.shape not in (first.shape, (len(first), 1)) or len(first) == 0:
        raise ConfigError(f"paired_tests got shapes {first.shape} and {second.shape}; expected (problems, K) twice")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ConfigError("a value to compare is not finite; leave the problem out of both sides")
    check_draws(draws, confidence)
    second = np.broadcast_to(second, first.shape)
    low, high = np.minimum(first, second).min(axis=0), np.maximum(first, second).max(axis=0)
    inside = [bool(x) for x in (low >= 0.0) & (high <= 1.0)]
    bounded = inside if shares is None else list(shares)
    if len(bounded) != first.shape[1] or any(b and not i for b, i in zip(bounded, inside, strict=True)):
        raise ConfigError(
            "paired_tests got `shares` that do not fit: one for each column, true only for values in [0, 1]"
        )
    difference = paired_differences(first, second, bounded)
    numbers = None if clusters is None else checked_clusters(clusters, len(difference))
    rarest = [
        _rarest(one, other, numbers) if share else np.inf
        for one, other, share in zip(first.T, second.T, bounded, strict=True)
    ]
    supports = [DIFFERENCE if share else UNBOUNDED for share in bounded]
    found = resolve_intervals(difference, supports, rarest, rng, draws, confidence, clusters)
    signed = difference if numbers is None else cluster_sums(difference, numbers)
    contested = np.count_nonzero(difference, axis=0)
    return [
        as_test(resolved, n, None if share else sign_test(column, confidence))
        for resolved, n, share, column in zip(found, contested.tolist(), bounded, signed.T, strict=True)
    ]


def paired_differences(a: ArrayLike, b: ArrayLike, shares: Sequence[bool] | bool) -> NDArray[np.float64]:
    """a - b, (P, K), where rounding is no difference.

    One quantity that is reached by two sums (best-of-1 and the pool's mean) differs by rounding: that contests nothing.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    out: NDArray[np.float64] = first - second
    scale = np.maximum(np.maximum(np.abs(first), np.abs(second)), np.asarray(shares, dtype=np.float64))
    out[np.abs(out) <= _ROUNDING * scale] = 0.0
    return out


def as_test(resolved: Resolved, n_contested: int, signs: SignTest | None) -> PairedTest:
    """The test of a difference whose interval was found."""
    return PairedTest(
        difference=resolved.interval.estimate,
        low=resolved.interval.low,
        high=resolved.interval.high,
        p_value=resolved.p_value if np.isfinite(resolved.p_value) else 1.0,
        method=resolved.interval.method,
        n_contested=n_contested,
        marked=resolved.interval.marked,
        signs=signs,
        inner_low=resolved.inner[0],
        inner_high=resolved.inner[1],
    )


def align(ids_a: Sequence[str], ids_b: Sequence[str]) -> NDArray[np.intp]:
    """Rows of b in the order of a: ``ids_b[align(ids_a, ids_b)[i]] == ids_a[i]``.

    Raises:
        ConfigError: an id that occurs twice on one side, or on one side only; the message names it.

    >>> align(["x", "y"], ["y", "x"]).tolist()
    [1, 0]
    """
    rows = {problem_id: row for row, problem_id in enumerate(ids_b)}
    known = set(ids_a)
    for side, ids, distinct in (("first", ids_a, len(known)), ("second", ids_b, len(rows))):
        if distinct != len(ids):
            twice = next(x for i, x in enumerate(ids) if x in ids[:i])
            raise ConfigError(f"problem {twice!r} occurs twice on the {side} side; ids must be unique to be paired")
    for problem_id in ids_a:
        if problem_id not in rows:
            raise ConfigError(
                f"problem {problem_id!r} is missing on the second side; compare runs of the same problems"
            )
    for problem_id in ids_b:
        if problem_id not in known:
            raise ConfigError(f"problem {problem_id!r} is missing on the first side; compare runs of the same problems")
    return np.array([rows[problem_id] for problem_id in ids_a], dtype=np.intp)


def pseudo_problems(a: ArrayLike, b: ArrayLike) -> float:
    """Pseudo-problems of each sign that the paired test of two arms' accuracies, (P,) each, adds; 0 where none."""
    return pseudo_units(a, b, None)[0]


def pseudo_units(a: ArrayLike, b: ArrayLike, clusters: ArrayLike | None) -> tuple[float, float]:
    """Pseudo-problems or -clusters of each sign that the paired test of two arms' accuracies adds, and their size.

    0 of them where it adds none. They are added to the values of `linear_units`.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    difference = paired_differences(first, second, True)[:, None]
    parts, units = over_units(difference, clusters)
    numbers, alike = None, 1.0
    if clusters is not None:
        numbers = checked_clusters(clusters, len(first))
        sizes = np.bincount(numbers).astype(np.float64)
        alike = alike_size(difference[:, 0], cluster_sums(difference, numbers)[:, 0], sizes)
    rarest, values = _rarest(first, second, numbers), units.values(parts)[:, 0]
    return (0.0, alike) if is_contested(values, rarest) else units.pseudo(values, rarest, alike)


def linear_units(
    columns: NDArray[np.float64], clusters: ArrayLike | None, confidence: float, *, nats: bool = False
) -> tuple[NDArray[np.float64], float]:
    """Values (C, K) of what is resampled for columns (P, K), for Student's t, and how many units they count as.

    Without clusters the columns themselves. Of clusters of unequal sizes residuals are stretched so that C - 1 degrees
    of freedom say what fewer would, and those of `nats` by their tail too (`bon_eval.stats.means`).
    """
    parts, units = over_units(columns, clusters)
    return units.values(parts, units.stretch(confidence, nats=nats)), units.counted


def _rarest(a: NDArray[np.float64], b: NDArray[np.float64], numbers: NDArray[np.intp] | None) -> float:
    """How many of a side of single answers are of the rarer kind, correct or incorrect.

    0 where both sides are single answers and infinity where none is. Those of clusters count as the effective number of
    clusters that they are in.
    """
    sides = [min(_spread(side, numbers), _spread(1.0 - side, numbers)) for side in (a, b) if is_binary(side)]
    return 0.0 if len(sides) == 2 else min(sides, default=np.inf)


def _spread(kind: NDArray[np.float64], numbers: NDArray[np.intp] | None) -> float:
    if numbers is None or not kind.any():
        return float(kind.sum())
    return effective_number(np.bincount(numbers, weights=kind).astype(np.float64))
