"""What the curves of two runs say in words: whether a training added, or only sharpened."""

from __future__ import annotations

import math
from collections.abc import Iterable

from bon_eval.analysis.two_runs.added import Added, Direction
from bon_eval.analysis.two_runs.findings import Change, Finding, few_text
from bon_eval.analysis.two_runs.names import Names
from bon_eval.estimators.two_pools.crossover import Crossover
from bon_eval.stats.heavy_tails import LEAST_PROBLEMS


def added_finding(changes: Iterable[Change], found: Added, units: tuple[int, str], names: Names) -> Finding:
    """The verdict, from the tests of one sample and of the oracle within the family of all accuracies.

    ``yes``: more problems are solved within n samples; ``no``: one sample is more accurate, and fewer are solved;
    ``lost``: fewer are solved, and one sample is not more accurate.

    Args:
        changes: of the comparison's accuracies.
        found: of the same runs.
        units: how many of what are resampled; of fewer than `LEAST_PROBLEMS` nothing is said.
        names: of the runs.
    """
    by_name = {change.name: change.verdict for change in changes}
    one, many = by_name["accuracy.sample"], by_name["accuracy.oracle"]
    subject = "Training" if names.tuning else names.models[1]
    within = f"within {found.n} samples"
    if units[0] < LEAST_PROBLEMS:
        what = "Whether training added" if names.tuning else f"Whether {subject} solves more"
        return Finding("added", "not shown", f"{what} is not shown: nothing is said of {few_text(units)}.")
    sample = {"higher": "one sample is more accurate", "lower": "one sample is less accurate"}.get(
        one, "one sample is not shown to differ"
    )
    if many == "higher":
        verb = "added" if names.tuning else "solves more"
        return Finding("added", "yes", f"{subject} {verb}: {within} more problems are solved; {sample}.")
    if many == "lower" and one == "higher":
        verb = "sharpened and did not add" if names.tuning else "is sharper and solves less"
        crossing = crossing_text(found, found.leads(), names)
        text = f"{subject} {verb}: {sample}, and {within} fewer problems are solved; {crossing}."
        return Finding("added", "no", text)
    if many == "lower":
        verb = "lost" if names.tuning else "solves less"
        return Finding("added", "lost", f"{subject} {verb}: {within} fewer problems are solved; {sample}.")
    what = "Whether training added" if names.tuning else f"Whether {subject} solves more"
    text = f"{what} is not shown: {within} neither more nor fewer problems are shown to be solved; {sample}."
    return Finding("added", "not shown", text)


def crossing_text(found: Added, direction: Direction, names: Names) -> str:
    """Where one run's pass@k rises above the other's, as the end of a sentence."""
    ahead = 0 if direction.startswith("before") else 1
    where = crossover_text(found.crossovers[direction])
    if names.tuning:
        return f"{names.adjectives[ahead]} pass@k rises above {names.adjectives[1 - ahead]} pass@k {where}"
    return f"pass@k of {names.models[ahead]} rises above that of {names.models[1 - ahead]} {where}"


def crossover_text(found: Crossover) -> str:
    """A crossover with its interval in words.

    >>> crossover_text(Crossover(4.0, 2.5, math.inf, 16)), crossover_text(Crossover(math.inf, math.inf, math.inf, 16))
    ('at k = 4.0 [2.5, none up to 16]', 'at no k up to 16')
    """

    def end(value: float) -> str:
        return (
            "at most 1" if value == 1.0 else f"{value:.1f}" if math.isfinite(value) else f"none up to {found.largest}"
        )

    if not math.isfinite(found.estimate):
        at = f"at no k up to {found.largest}"
    else:
        at = f"at k = {end(found.estimate)}" if found.estimate > 1.0 else "from one sample on"
    if found.reason:
        return f"{at}, without an interval ({found.reason})"
    return at if found.low == found.high else f"{at} [{end(found.low)}, {end(found.high)}]"
