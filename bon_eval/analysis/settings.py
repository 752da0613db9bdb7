"""What an analysis is asked for, checked before anything is paid for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from bon_eval.analysis.vote_rules import MAJORITY, get_vote
from bon_eval.errors import ConfigError
from bon_eval.scorers import get_scorer
from bon_eval.stats.heavy_tails import LEAST_PROBLEMS
from bon_eval.stats.units import UNIQUE, Count, InnerShare, Limits, Size

DEFAULT_SCORERS = ("log_likelihood", "mean_log_likelihood", "shortest", "random")

# Subsets over all problems together: the error of a mean over problems depends on their product with the problems.
_VOTE_SUBSETS = 100_000


@dataclass(frozen=True, slots=True)
class Settings:
    """How the analysis was made; with the stored run it determines every number."""

    scorers: Annotated[tuple[str, ...], Limits(min_items=1, unique_items=True)]
    ns: Annotated[tuple[Size, ...], Limits(min_items=1, unique_items=True)]
    """Increasing; the last one is the n of the controls, the vote, the oracle and the verdicts."""
    seed: Count
    draws: Size
    """Bootstrap resamples of problems, and random sign patterns of families of comparisons."""
    vote_draws: Annotated[int, Limits(minimum=2)]
    """Random subsets of each pool behind a vote of fewer than all responses."""
    exclude_truncated: bool
    confidence: InnerShare = 0.95
    margin: InnerShare = 0.02
    """Differences in accuracy below this are as good as none: what "shown to be the same" goes by."""
    looks: Size = 1
    """Planned looks at one run while it grows, this one included: each has its part of the 5 % for verdicts."""
    partial: bool = False
    """Whether problems of the run are not finished: without planned looks nothing is decided then."""
    cluster: str | None = None
    """Column of the task whose equal values mark problems that are resampled together; None: each by itself."""
    votes: Annotated[tuple[str, ...], UNIQUE] = ()
    """Weighted votes besides the majority's, as `bon_eval.analysis.vote_rules.get_vote` names them."""

    @property
    def alpha(self) -> float:
        """Level of a verdict: 5 % divided over the planned looks; 0 for a look that was not planned."""
        return 0.0 if self.partial and self.looks == 1 else self.planned_alpha

    @property
    def planned_alpha(self) -> float:
        """Level of each look that was planned, and of the finished run's verdict."""
        return 0.05 / self.looks

    @property
    def equivalence_margin(self) -> float | None:
        """What "shown to be the same" goes by; None where a look before the end, or one of several, decides nothing."""
        return self.margin if self.looks == 1 and not self.partial else None

    def shows(self, p_value: float | None, units: int) -> bool:
        """Whether a p-value, adjusted for its family, shows a difference.

        Never where `alpha` is 0, nor of fewer than `LEAST_PROBLEMS` units (problems or clusters), of which there is no
        verdict.

        >>> settings = resolve_settings(8, 20, partial=True)
        >>> settings.shows(0.0, 20), resolve_settings(8, 20).shows(0.04, 20), resolve_settings(8, 9).shows(0.04, 9)
        (False, True, False)
        >>> resolve_settings(8, 20, looks=2).shows(0.04, 20)
        False
        """
        return p_value is not None and units >= LEAST_PROBLEMS and self.alpha > 0.0 and p_value <= self.alpha

    @property
    def primary_scorer(self) -> str:
        """``log_likelihood`` where it was asked for, else the first scorer."""
        return "log_likelihood" if "log_likelihood" in self.scorers else self.scorers[0]


COMPARED_ACCURACIES = 6
"""Of two compared runs, at most."""


def half_of(last: int) -> int:
    """Where the last doubling begins: half of the last n, rounded down, at least 1."""
    return max(1, last // 2)


def default_ns(pool_size: int) -> tuple[int, ...]:
    """Powers of two from 2 up to the pool size, and the pool size (best-of-1 is the sample arm).

    >>> default_ns(12), default_ns(1)
    ((2, 4, 8, 12), (1,))
    """
    powers = {1 << k for k in range(1, pool_size.bit_length())}
    return tuple(sorted(powers | {pool_size}))


def check_comparison_draws(draws: int, pairs: int = 1) -> None:
    """Raise `ConfigError` where so few bootstrap draws could not show a difference in accuracy, however large it is.

    The smallest bootstrap p-value is 2 / (draws + 1), and Holm's correction multiplies the smallest of the table by the
    number of its accuracies, for each pair of runs. Tests in closed form need no draws, but which tests these are
    depends on the values.
    """
    tests = pairs * COMPARED_ACCURACIES
    least = math.ceil(2 * tests / 0.05)
    if draws < least:
        what = "two runs" if pairs == 1 else f"{pairs} pairs of runs"
        raise ConfigError(
            f"{draws} bootstrap draws are too few to compare {what}: the smallest p-value that they can give is "
            f"2 / {draws + 1}, which is not below 0.05 once it is adjusted for {tests} accuracies; give "
            f"--draws {least} or more"
        )


def resolve_settings(
    pool_size: int,
    n_problems: int,
    *,
    scorers: Sequence[str] = DEFAULT_SCORERS,
    votes: Sequence[str] = (),
    ns: Sequence[int] | None = None,
    seed: int = 0,
    draws: int = 10_000,
    exclude_truncated: bool = False,
    margin: float = 0.02,
    looks: int = 1,
    partial: bool = False,
    cluster: str | None = None,
) -> Settings:
    """Check what an analysis is asked for, before any sampling is paid for; arguments as in `analyse`.

    Raises:
        ConfigError: an unknown scorer or vote, n < 1 or larger than the pool, a negative seed, too few draws.
    """
    if not scorers:
        raise ConfigError("no scorer was given; name at least one, such as log_likelihood")
    for name in scorers:
        get_scorer(name)
    weighted = tuple(dict.fromkeys(name for name in votes if get_vote(name).name != MAJORITY))
    if seed < 0:
        raise ConfigError(f"analysis seed {seed} is negative; give a whole number >= 0")
    if not 0.0 < margin < 1.0:
        raise ConfigError(f"a margin of {100 * margin:g} points is not between 0 and 100; give a few points, such as 2")
    if looks < 1:
        raise ConfigError(f"{looks} planned looks decide nothing; give at least 1, this one included")
    if draws < 100:
        raise ConfigError(f"{draws} bootstrap draws cannot give a 95 % interval; give at least 100")
    if draws < (least := math.ceil(looks / 0.05)):
        raise ConfigError(
            f"{draws} draws cannot give a p-value below {0.05 / looks:.4f}, the level of one of {looks} looks; give "
            f"--draws {least} or more"
        )
    sizes = default_ns(pool_size) if ns is None else tuple(sorted(set(ns)))
    if not sizes:
        raise ConfigError("the list of n is empty; give at least one n, or none for the powers of two")
    if sizes[0] < 1:
        raise ConfigError(f"n = {sizes[0]} is not a number of responses; give n >= 1")
    if sizes[-1] > pool_size:
        raise ConfigError(
            f"n = {sizes[-1]} is larger than the stored pool of {pool_size}; "
            f"give n <= {pool_size}, or sample a larger pool with --n {sizes[-1]}"
        )
    return Settings(
        scorers=tuple(dict.fromkeys(scorers)),
        ns=sizes,
        seed=seed,
        draws=draws,
        vote_draws=min(200, max(20, _VOTE_SUBSETS // max(1, n_problems))),
        exclude_truncated=exclude_truncated,
        margin=margin,
        looks=looks,
        partial=partial,
        cluster=cluster,
        votes=weighted,
    )
