"""Claims about training, decided from trajectories by rules that a file fixed beforehand.

A claim is a list of parts, a part is one number with a threshold; see results/squeeze/conditions.yaml for the words.
Problems are the sampling unit of every interval; seeds of training are held against each other by their sign.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from bon_eval.dpo.tracking.measures import Array, per_problem
from bon_eval.dpo.tracking.trajectory import Trajectory
from bon_eval.errors import ConfigError
from bon_eval.stats.bootstrap import UNBOUNDED, Interval, bootstrap_ci
from bon_eval.stats.streams import streams

Outcome = Literal["holds", "fails", "open"]
Verdict = Literal["reproduced", "not reproduced", "not decided"]
BASE = "base"
"""The condition's name for the base model itself."""
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
    """Mean over the problems of all seeds."""
    by_seed: tuple[float, ...]
    outcome: Outcome
    note: str = ""


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


def numbers(
    trajectories: Trajectories, what: str, condition: str, measure: str
) -> tuple[list[dict[str, float]], str, str, bool]:
    """For each seed the number of each problem; with label, unit and whether they are shares.

    Raises:
        ConfigError: no such condition or measure.
    """
    at_base = condition == BASE
    chosen = next(iter(trajectories.values())) if at_base else trajectories.get(condition)
    if not chosen:
        raise ConfigError(f"a claim names condition {condition!r}, which there is not")
    out = []
    label, unit, bounded = measure, "", True
    for trajectory in chosen:
        columns = trajectory.columns
        last, first = columns[0 if at_base else trajectory.steps[-1]], columns[0]
        if measure not in last or measure not in first:
            raise ConfigError(f"a claim names measure {measure!r}, which there is not")
        now, base = last[measure], first[measure]
        label, unit, bounded = now.label, now.unit, bounded and now.bounded
        values = dict(zip(now.units, now.values.tolist(), strict=True))
        if what == "change":
            before = dict(zip(base.units, base.values.tolist(), strict=True))
            values = {k: v - before[k] for k, v in values.items() if k in before}
        out.append(values)
        if at_base:
            break
    return out, label, unit, bounded


def over_seeds(by_seed: Sequence[Mapping[str, float]]) -> tuple[Array, bool]:
    """The seeds' numbers as one for each problem, in order of first appearance; shape (P,).

    Where every seed has every problem these are the problems' means over seeds. Otherwise (a problem has no AUROC where
    all its responses are right, say) a mean of such means would weigh a number by how few seeds have its problem: see
    `per_problem` for what stands in its place. The second value says whether they are plain means.
    """
    numbers = [(problem, value) for values in by_seed for problem, value in values.items()]
    return per_problem(np.array([value for _, value in numbers]), [problem for problem, _ in numbers])


def _measure(part: ClaimPart, trajectories: Trajectories, seed: int, draws: int) -> PartResult:
    by_seed, label, unit, bounded = numbers(trajectories, part.what, part.condition, part.measure)
    if part.minus is not None:
        others, other_label, _, other_bounded = numbers(trajectories, part.what, *part.minus)
        # The base model has no seeds: its one set of numbers stands against each seed of the other condition.
        by_seed = by_seed * len(others) if part.condition == BASE else by_seed
        others = others * len(by_seed) if part.minus[0] == BASE else others
        if len(others) != len(by_seed):
            raise ConfigError(
                f"a claim subtracts {part.minus[0]!r} with {len(others)} seeds from {part.condition!r} with "
                f"{len(by_seed)}; give both the same seeds"
            )
        by_seed = [
            {k: v - other[k] for k, v in values.items() if k in other}
            for values, other in zip(by_seed, others, strict=True)
        ]
        label, bounded = f"{label} minus {part.minus[0]}: {other_label}", bounded and other_bounded
    pooled, plain = over_seeds(by_seed)
    shares = bounded and plain and part.minus is None
    support = ((-1.0, 1.0) if part.what == "change" else (0.0, 1.0)) if shares else UNBOUNDED
    value = bootstrap_ci(pooled, rng=streams(seed)("claims"), draws=draws, support=support)
    means = tuple(float(np.mean(list(values.values()))) for values in by_seed)
    found, note = outcome(part, value, means), ""
    if part.only_if is not None:
        needed = _measure(part.only_if, trajectories, seed, draws)
        if needed.outcome != "holds":
            found, note = "open", f"{part.only_if.condition}: {needed.label} is not {part.only_if.threshold()}"
    return PartResult(part, label, unit, value, means, found, note)


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
