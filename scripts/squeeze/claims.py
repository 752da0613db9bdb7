"""Claims about training, decided from trajectories by rules that a file fixed beforehand.

A claim is asked of every condition that it names, by one or more parts; a part is one number with a threshold. The
words are in results/squeeze/conditions.yaml; `squeeze.rules` says what it may say, `squeeze.numbers` makes the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bon_eval.stats.bootstrap import Interval
from squeeze.numbers import BASE, Trajectories, measured, number, subtracted
from squeeze.rules import Claim, ClaimPart, of_condition

Outcome = Literal["holds", "fails", "open"]
Verdict = Literal["reproduced", "not reproduced", "not decided"]
LEVEL = 0.95
ONE_SEED = "for this seed of training only"
"""What an outcome says of one seed: its interval knows no other."""


@dataclass(frozen=True, slots=True)
class PartResult:
    """A part under one condition, with its measurement."""

    condition: str
    part: ClaimPart
    label: str
    unit: str
    value: Interval
    """95 %, for other problems and other seeds."""
    by_seed: tuple[float, ...]
    outcome: Outcome
    note: str = ""


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """A claim about one model."""

    claim: Claim
    parts: tuple[PartResult, ...]
    """By condition, then in the claim's order."""
    by_condition: Mapping[str, Outcome]
    verdict: Verdict


def decide(
    claims: Sequence[Claim],
    trajectories: Trajectories,
    own: Mapping[str, str],
    *,
    seed: int = 0,
    draws: int = 10_000,
) -> tuple[ClaimResult, ...]:
    """Every claim about one model.

    A claim of all conditions is reproduced where every part holds at 95 %, which needs no correction, and not
    reproduced where one part fails at a level that is corrected for the number of parts (Bonferroni). A claim of any
    condition is reproduced where one has all its parts hold, corrected for the number of conditions, and not
    reproduced where in every one a part fails, corrected for the number of parts of one.

    Args:
        claims: of the conditions file.
        trajectories: condition -> one trajectory for each seed.
        own: condition -> the name of the held-out pairs of its own kind.
        seed, draws: of the intervals.

    Raises:
        ConfigError: a part names a condition or a measure that there is not.
    """
    return tuple(_decide(claim, trajectories, own, seed, draws) for claim in claims)


def outcome(part: ClaimPart, holding: Interval, failing: Interval, by_seed: Sequence[float]) -> Outcome:
    """Whether a part holds: the interval and every seed's estimate on the claimed side.

    Args:
        part: with its threshold.
        holding: the interval at the level at which the part is said to hold.
        failing: the interval at the level at which it is said to fail.
        by_seed: the estimate of every seed.

    >>> part, narrow = ClaimPart("change", "m", above=0.0), Interval(0.2, 0.1, 0.3, "")
    >>> outcome(part, narrow, narrow, [0.1, 0.3]), outcome(part, narrow, narrow, [-0.1, 0.3])
    ('holds', 'open')
    """
    low, high = min(holding.low, *by_seed), max(holding.high, *by_seed)
    least, most = min(failing.low, *by_seed), max(failing.high, *by_seed)
    if any(math.isnan(end) for end in (holding.low, failing.low)):
        return "open"
    if part.within is not None:
        if -part.within < low and high < part.within:
            return "holds"
        return "fails" if least > part.within or most < -part.within else "open"
    if part.above is not None:
        other = part.above if part.fails is None else part.fails
        return "holds" if low > part.above else "fails" if most < other else "open"
    assert part.below is not None
    other = part.below if part.fails is None else part.fails
    return "holds" if high < part.below else "fails" if least > other else "open"


def label(measure: str, part: ClaimPart) -> str:
    """What a part's number is, in words."""
    when = {"last": "", "mean": ", mean over the training"}
    extreme = "highest" if part.below is None else "lowest"
    return measure + when.get(part.when, f", {extreme} of the checkpoints")


def _decide(claim: Claim, trajectories: Trajectories, own: Mapping[str, str], seed: int, draws: int) -> ClaimResult:
    every = claim.needs == "all"
    holding = 1.0 - (1.0 - LEVEL) / (1 if every else len(claim.conditions))
    failing = 1.0 - (1.0 - LEVEL) / (len(claim.parts) * (len(claim.conditions) if every else 1))
    found: list[PartResult] = []
    by_condition: dict[str, Outcome] = {}
    for condition in claim.conditions:
        parts = [of_condition(part, condition, own) for part in claim.parts]
        results = [_measure(part, condition, trajectories, (holding, failing), seed, draws) for part in parts]
        found += results
        by_condition[condition] = _joint([result.outcome for result in results], every=True)
    joint = _joint(list(by_condition.values()), every=every)
    verdicts: dict[Outcome, Verdict] = {"holds": "reproduced", "fails": "not reproduced", "open": "not decided"}
    return ClaimResult(claim, tuple(found), by_condition, verdicts[joint])


def _joint(outcomes: Sequence[Outcome], *, every: bool) -> Outcome:
    """Of all of them, or of one."""
    decisive: Outcome = "fails" if every else "holds"
    other: Outcome = "holds" if every else "fails"
    return decisive if decisive in outcomes else "open" if "open" in outcomes else other


def _measure(
    part: ClaimPart,
    condition: str,
    trajectories: Trajectories,
    levels: tuple[float, float],
    seed: int,
    draws: int,
) -> PartResult:
    found = measured(trajectories, condition, part.measure, part.what, part.when)
    if part.minus is not None:
        other, measure = part.minus
        found = subtracted(found, measured(trajectories, other, measure, part.what, part.when), other)
    sign = -1 if part.below is not None else 1
    numbers = {
        level: number(found, part.when, sign, seed=seed, draws=draws, confidence=level) for level in {LEVEL, *levels}
    }
    value, means = numbers[LEVEL]
    holding, failing = (numbers[level][0] for level in levels)
    shown, note = outcome(part, holding, failing, means), ""
    if value.marked:
        shown, note = "open", "the problems' numbers are too skewed for an interval of their mean"
    elif shown != "open" and len(means) == 1 and {condition, *(part.minus or ())[:1]} != {BASE}:
        note = ONE_SEED
    if part.only_if is not None:
        where, needed = part.only_if
        result = _measure(needed, where, trajectories, (LEVEL, LEVEL), seed, draws)
        if result.outcome != "holds":
            shown, note = "open", f"{result.condition}: {result.label} is not {needed.threshold()}"
    return PartResult(condition, part, label(found.label, part), found.unit, value, means, shown, note)
