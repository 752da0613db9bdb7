"""Claims about training, decided from trajectories by rules that a file fixed beforehand.

A claim is a list of parts, a part is one number with a threshold; see results/squeeze/conditions.yaml for the words.
Problems are the sampling unit of every interval, and the seeds of training are a second source of its width; besides,
every seed's own estimate must lie on the claimed side.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from bon_eval.dpo.tracking.measures import Array
from bon_eval.dpo.tracking.points import Unit
from bon_eval.dpo.tracking.trajectory import Trajectory
from bon_eval.errors import ConfigError
from bon_eval.stats.bootstrap import DIFFERENCE, UNBOUNDED, Interval
from bon_eval.stats.closed_form import with_seeds
from bon_eval.stats.clusters import linearised
from bon_eval.stats.ratio_means import ratio_mean
from bon_eval.stats.streams import streams

Outcome = Literal["holds", "fails", "open"]
Verdict = Literal["reproduced", "not reproduced", "not decided"]
BASE = "base"
"""The condition's name for the base model itself."""
ONE_SEED = "for this seed of training only"
"""What an outcome says of one seed: its interval knows no other."""
_KEYS = {"what", "condition", "measure", "above", "below", "within", "fails", "minus", "only_if"}


@dataclass(frozen=True, slots=True)
class ClaimPart:
    """One number of a claim and what is claimed of it."""

    what: Literal["change", "value"]
    condition: str
    measure: str
    above: float | None = None
    below: float | None = None
    within: float | None = None
    """Between minus this and this."""
    fails: float | None = None
    """Where the other side begins; None: at the threshold itself."""
    minus: tuple[str, str] | None = None
    """(condition, measure) that is subtracted, problem by problem."""
    only_if: ClaimPart | None = None

    def threshold(self) -> str:
        """The claim as text."""
        if self.within is not None:
            return f"within ±{self.within:g}"
        return f"above {self.above:g}" if self.above is not None else f"below {self.below:g}"


@dataclass(frozen=True, slots=True)
class PartResult:
    """A part with its measurement."""

    part: ClaimPart
    label: str
    unit: str
    value: Interval
    """Mean over the problems of all seeds, for other problems and other seeds."""
    by_seed: tuple[float, ...]
    outcome: Outcome
    note: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """What a part is made of."""

    by_seed: list[dict[Unit, float]]
    """Of each seed the number of each problem or pair."""
    behind: Mapping[Unit, str]
    """The problem of each."""
    label: str
    unit: str
    bounded: bool
    """Whether they are shares, or differences of shares."""


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """A claim under one setting."""

    id: str
    text: str
    parts: tuple[PartResult, ...]
    verdict: Verdict


Trajectories = Mapping[str, Sequence[Trajectory]]
"""Condition -> one trajectory for each seed."""


def parse_claims(content: object) -> dict[str, tuple[str, tuple[ClaimPart, ...]]]:
    """Id -> (text, parts) of the ``claims`` of a conditions file.

    Raises:
        ConfigError: a part that is not as it should be; the message names the claim.
    """
    if not isinstance(content, Mapping) or not content:
        raise ConfigError("the conditions file has no claims; give each a text and parts")
    found = {}
    for id_, claim in content.items():
        if not isinstance(claim, Mapping) or set(claim) != {"text", "parts"}:
            raise ConfigError(f"claim {id_!r} must have a text and parts, and nothing else")
        if not isinstance(claim["parts"], list) or not claim["parts"]:
            raise ConfigError(f"claim {id_!r} must have a list of parts")
        found[str(id_)] = str(claim["text"]), tuple(_part(entry, str(id_)) for entry in claim["parts"])
    return found


def decide(
    claims: Mapping[str, tuple[str, tuple[ClaimPart, ...]]],
    trajectories: Trajectories,
    *,
    seed: int = 0,
    draws: int = 10_000,
) -> tuple[ClaimResult, ...]:
    """Every claim under one setting.

    Raises:
        ConfigError: a part names a condition or a measure that there is not.
    """
    out = []
    for id_, (text, parts) in claims.items():
        results = tuple(_measure(part, trajectories, seed, draws) for part in parts)
        outcomes = {result.outcome for result in results}
        verdict: Verdict = (
            "not reproduced" if "fails" in outcomes else "not decided" if "open" in outcomes else "reproduced"
        )
        out.append(ClaimResult(id_, text, results, verdict))
    return tuple(out)


def outcome(part: ClaimPart, value: Interval, by_seed: Sequence[float]) -> Outcome:
    """Whether a part holds: the interval and every seed's estimate on the claimed side.

    >>> part = ClaimPart("change", "x", "m", above=0.0)
    >>> outcome(part, Interval(0.2, 0.1, 0.3, ""), [0.1, 0.3]), outcome(part, Interval(0.2, 0.1, 0.3, ""), [-0.1, 0.3])
    ('holds', 'open')
    """
    ends = (value.low, value.high, *by_seed)
    if part.within is not None:
        if all(abs(x) < part.within for x in ends):
            return "holds"
        return "fails" if min(ends) > part.within or max(ends) < -part.within else "open"
    if part.above is not None:
        other = part.above if part.fails is None else part.fails
        return "holds" if min(ends) > part.above else "fails" if max(ends) < other else "open"
    assert part.below is not None
    other = part.below if part.fails is None else part.fails
    return "holds" if max(ends) < part.below else "fails" if min(ends) > other else "open"


def numbers(trajectories: Trajectories, what: str, condition: str, measure: str) -> Numbers:
    """A measure of a condition under every seed; the base model has no seeds and stands there once.

    Raises:
        ConfigError: no such condition or measure.
    """
    at_base = condition == BASE
    chosen = next(iter(trajectories.values()))[:1] if at_base else trajectories.get(condition)
    if not chosen:
        raise ConfigError(f"a claim names condition {condition!r}, which there is not")
    out, behind = [], dict[Unit, str]()
    label, unit, bounded = measure, "", True
    for trajectory in chosen:
        columns = trajectory.columns
        last, first = columns[0 if at_base else trajectory.steps[-1]], columns[0]
        if measure not in last or measure not in first:
            raise ConfigError(f"a claim names measure {measure!r}, which there is not")
        now, base = last[measure], first[measure]
        label, unit, bounded = now.label, now.unit, bounded and now.bounded
        behind |= zip(now.units, now.problems, strict=True)
        values = dict(zip(now.units, now.values.tolist(), strict=True))
        if what == "change":
            before = dict(zip(base.units, base.values.tolist(), strict=True))
            values = {k: v - before[k] for k, v in values.items() if k in before}
        out.append(values)
    return Numbers(out, behind, label, unit, bounded)


def layout(found: Numbers) -> tuple[Array, Array]:
    """Sums of each problem's numbers under each seed, and how many they are: (S, P) each.

    A problem may have no number under a seed (no AUROC where all its responses are right, say): the mean is over all
    the numbers that there are.
    """
    rows = {problem: k for k, problem in enumerate(dict.fromkeys(found.behind[u] for v in found.by_seed for u in v))}
    sums, sizes = np.zeros((2, len(found.by_seed), len(rows)))
    for s, values in enumerate(found.by_seed):
        for unit, value in values.items():
            sums[s, rows[found.behind[unit]]] += value
            sizes[s, rows[found.behind[unit]]] += 1.0
    return sums, sizes


def _subtracted(part: ClaimPart, found: Numbers, others: Numbers) -> Numbers:
    """Number by number where both have numbers of the same, else the means of each problem."""
    assert part.minus is not None
    left, right = found.by_seed, others.by_seed
    # The base model has no seeds: its one set of numbers stands against each seed of the other condition.
    left = left * len(right) if part.condition == BASE else left
    right = right * len(left) if part.minus[0] == BASE else right
    if len(left) != len(right):
        raise ConfigError(
            f"a claim subtracts {part.minus[0]!r} with {len(right)} seeds from {part.condition!r} with "
            f"{len(left)}; give both the same seeds"
        )
    behind = found.behind
    if not behind.keys() & others.behind.keys():
        left, right = ([_problem_means(v, n.behind) for v in s] for s, n in ((left, found), (right, others)))
        behind = {problem: problem for problem in behind.values()}
    both = [{k: v - b[k] for k, v in a.items() if k in b} for a, b in zip(left, right, strict=True)]
    label = f"{found.label} minus {part.minus[0]}: {others.label}"
    return Numbers(both, behind, label, found.unit, found.bounded and others.bounded)


def _problem_means(values: Mapping[Unit, float], behind: Mapping[Unit, str]) -> dict[Unit, float]:
    grouped: dict[Unit, list[float]] = {}
    for unit, value in values.items():
        grouped.setdefault(behind[unit], []).append(value)
    return {problem: float(np.mean(of_problem)) for problem, of_problem in grouped.items()}


def _interval(part: ClaimPart, found: Numbers, seed: int, draws: int) -> Interval:
    sums, sizes = layout(found)
    # Shares differ by at most 1, changes of shares by at most 2.
    reach = 2.0 if part.what == "change" and part.minus is not None else 1.0
    shares = (0.0, 1.0) if part.what == "value" and part.minus is None else DIFFERENCE
    support = shares if found.bounded else UNBOUNDED
    rng = streams(seed)("claims")
    scaled = ratio_mean(sums.sum(axis=0) / reach, sizes.sum(axis=0), support=support, rng=rng, draws=draws)
    over_problems = reach * scaled.low, reach * scaled.high
    means, estimate = linearised(sums.sum(axis=1), sizes.sum(axis=1)), reach * scaled.estimate
    low, high = np.clip(with_seeds(estimate, over_problems, means, 0.95), *(reach * end for end in support)).tolist()
    method = scaled.method if len(means) == 1 or math.isnan(low) else f"{scaled.method}, {len(means)} seeds"
    return replace(scaled, estimate=estimate, low=low, high=high, method=method)


def _measure(part: ClaimPart, trajectories: Trajectories, seed: int, draws: int) -> PartResult:
    measured = numbers(trajectories, part.what, part.condition, part.measure)
    if part.minus is not None:
        measured = _subtracted(part, measured, numbers(trajectories, part.what, *part.minus))
    if not all(measured.by_seed):
        raise ConfigError(f"no problem has a number for a claim about {part.condition!r}: {measured.label}")
    value = _interval(part, measured, seed, draws)
    means = tuple(float(np.mean(list(values.values()))) for values in measured.by_seed)
    found, note = outcome(part, value, means), ""
    if value.marked:
        found, note = "open", "the problems' numbers are too skewed for an interval of their mean"
    elif found != "open" and len(means) == 1 and {part.condition, *(part.minus or ())[:1]} != {BASE}:
        note = ONE_SEED
    if part.only_if is not None:
        needed = _measure(part.only_if, trajectories, seed, draws)
        if needed.outcome != "holds":
            found, note = "open", f"{part.only_if.condition}: {needed.label} is not {part.only_if.threshold()}"
    return PartResult(part, measured.label, measured.unit, value, means, found, note)


def _part(entry: Any, claim: str) -> ClaimPart:
    if not isinstance(entry, Mapping) or not {"what", "condition", "measure"} <= set(entry) <= _KEYS:
        raise ConfigError(f"claim {claim!r}: a part has what, condition, measure and one of above, below, within")
    if entry["what"] not in ("change", "value"):
        raise ConfigError(f"claim {claim!r}: what is {entry['what']!r}; valid: change, value")
    sides = [name for name in ("above", "below", "within") if name in entry]
    if len(sides) != 1:
        raise ConfigError(
            f"claim {claim!r}: a part has one of above, below, within, not {' and '.join(sides) or 'none'}"
        )
    if "within" in entry and "fails" in entry:
        raise ConfigError(f"claim {claim!r}: within has two sides, so fails has no meaning; leave it out")
    minus = entry.get("minus")
    if minus is not None and (not isinstance(minus, Mapping) or set(minus) != {"condition", "measure"}):
        raise ConfigError(f"claim {claim!r}: minus has a condition and a measure, and nothing else")
    return ClaimPart(
        what=entry["what"],
        condition=str(entry["condition"]),
        measure=str(entry["measure"]),
        minus=None if minus is None else (str(minus["condition"]), str(minus["measure"])),
        only_if=_part(entry["only_if"], claim) if "only_if" in entry else None,
        **{name: _number(entry[name], name, claim) for name in (*sides, "fails") if name in entry},
    )


def _number(value: object, name: str, claim: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise ConfigError(f"claim {claim!r}: {name} is {value!r}; it must be a number")
    return float(value)
