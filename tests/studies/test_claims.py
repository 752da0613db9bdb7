"""Claims against trajectories made by hand, and the committed conditions against the measures that exist."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from squeeze.claims import Outcome, decide, outcome
from squeeze.plan import read_plan
from squeeze.rules import Claim, ClaimPart, of_condition, parse_claims

from bon_eval.dpo.pairs.recipes import RECIPES
from bon_eval.dpo.tracking.points import Measured
from bon_eval.dpo.tracking.trajectory import Trajectory
from bon_eval.errors import ConfigError
from bon_eval.stats.bootstrap import UNBOUNDED, UNIT, Interval

CONDITIONS = Path(__file__).resolve().parents[2] / "results" / "squeeze" / "conditions.yaml"
NAN = math.nan

ABOVE = {"above": 0.0}
BELOW = {"below": 0.0}
WITHIN = {"within": 0.05}
ROOM = {"below": 0.02, "fails": 0.0}
"""Holds below 0.02; fails where all of it lies above 0 and it does not hold."""
FAR = {"above": 0.0, "fails": -0.5}
# What is claimed, low and high of the interval, estimates of the seeds -> outcome.
OUTCOMES: dict[str, tuple[dict[str, float], float, float, list[float], Outcome]] = {
    "above: all of it": (ABOVE, 0.1, 0.3, [0.1, 0.3], "holds"),
    "above: interval at the threshold": (ABOVE, 0.0, 0.3, [0.1, 0.3], "open"),
    "above: interval over the threshold": (ABOVE, -0.1, 0.3, [0.1, 0.3], "open"),
    "above: one seed disagrees": (ABOVE, 0.1, 0.3, [-0.01, 0.4], "open"),
    "above: one seed at the threshold": (ABOVE, 0.1, 0.3, [0.0, 0.4], "open"),
    "above: all on the other side": (ABOVE, -0.3, -0.1, [-0.1, -0.3], "fails"),
    "above: other side, one seed disagrees": (ABOVE, -0.3, -0.1, [0.01, -0.5], "open"),
    "above: other side ends at the threshold": (ABOVE, -0.3, 0.0, [-0.1, -0.3], "open"),
    "above: another threshold": ({"above": 0.5}, 0.4, 0.49, [0.45], "fails"),
    "below: all of it": (BELOW, -0.3, -0.1, [-0.1, -0.3], "holds"),
    "below: interval at the threshold": (BELOW, -0.3, 0.0, [-0.1, -0.3], "open"),
    "below: one seed disagrees": (BELOW, -0.3, -0.1, [0.01, -0.5], "open"),
    "below: all on the other side": (BELOW, 0.1, 0.3, [0.1, 0.3], "fails"),
    "below: other side, one seed disagrees": (BELOW, 0.1, 0.3, [-0.01, 0.3], "open"),
    "within: all of it": (WITHIN, -0.04, 0.04, [-0.049, 0.049], "holds"),
    "within: interval at the edge": (WITHIN, -0.04, 0.05, [0.0], "open"),
    "within: one seed outside": (WITHIN, -0.01, 0.03, [0.0, 0.06], "open"),
    "within: above it": (WITHIN, 0.06, 0.1, [0.07, 0.2], "fails"),
    "within: below it": (WITHIN, -0.1, -0.06, [-0.07, -0.2], "fails"),
    "within: at the edge from outside": (WITHIN, 0.05, 0.1, [0.07], "open"),
    "within: seeds outside on both sides": (WITHIN, 0.06, 0.1, [0.2, -0.2], "open"),
    "within: wider than the room": (WITHIN, -0.2, 0.2, [0.0], "open"),
    "fails: holds inside the room": (ROOM, -0.01, 0.015, [0.0], "holds"),
    "fails: holding comes first": (ROOM, 0.005, 0.015, [0.01], "holds"),
    "fails: beyond the other side's start": (ROOM, 0.005, 0.03, [0.01], "fails"),
    "fails: at the other side's start": (ROOM, 0.0, 0.03, [0.01], "open"),
    "fails: not yet on the other side": (FAR, -0.4, -0.1, [-0.2], "open"),
    "fails: on the other side": (FAR, -0.9, -0.6, [-0.7], "fails"),
    "no interval from one problem": (ABOVE, NAN, NAN, [0.3], "open"),
    "no interval from one problem, within": (WITHIN, NAN, NAN, [0.0], "open"),
}


@pytest.mark.parametrize(("claimed", "low", "high", "seeds", "expected"), OUTCOMES.values(), ids=OUTCOMES)
def test_outcome(claimed: dict[str, Any], low: float, high: float, seeds: list[float], expected: Outcome) -> None:
    part = ClaimPart("change", "m", **claimed)
    found = Interval(sum(seeds) / len(seeds), low, high, "")
    assert outcome(part, found, found, seeds) == expected


def test_a_part_may_hold_at_one_level_and_fail_at_another() -> None:
    part = ClaimPart("change", "m", above=0.0)
    narrow, wide = (lambda x: Interval(x, x - 0.1, x + 0.1, "")), (lambda x: Interval(x, x - 0.5, x + 0.5, ""))
    assert outcome(part, narrow(0.2), wide(0.2), [0.2]) == "holds"
    assert outcome(part, wide(0.2), narrow(0.2), [0.2]) == "open"
    assert outcome(part, narrow(-0.2), wide(-0.2), [-0.2]) == "open"
    assert outcome(part, wide(-0.2), narrow(-0.2), [-0.2]) == "fails"


@pytest.mark.parametrize(
    ("claimed", "text"),
    [({"above": 0.5}, "above 0.5"), ({"below": 0.0}, "below 0"), ({"within": 0.05}, "within ±0.05")],
)
def test_thresholds_as_text(claimed: dict[str, Any], text: str) -> None:
    assert ClaimPart("value", "m", **claimed).threshold() == text


P = 40
IDS = tuple(f"q{k}" for k in range(P))
SPREAD = np.linspace(-0.1, 0.1, P)
"""Of mean 0, so that estimates are known to the last digit and intervals are narrow."""


def column(values: Any, *, share: bool = False, ids: tuple[str, ...] = IDS, label: str = "the measure") -> Measured:
    return Measured(
        label, "share" if share else "nats", np.asarray(values, dtype=np.float64), UNIT if share else UNBOUNDED, ids
    )


def trajectory(columns: dict[int, dict[str, Measured]]) -> Trajectory:
    return Trajectory(
        steps=tuple(columns),
        points=(),
        columns=columns,
        ches={},
        n=4,
        n_problems=P,
        pair_counts={},
        probe_counts={},
        beta=0.1,
        base={},
        base_source="forced",
        skipped=(),
    )


def moving(base: float, now: float, **options: Any) -> Trajectory:
    """One measure m that goes from base over a detour to now."""
    at = {0: base, 5: 9.0, 10: now}
    return trajectory({step: {"m": column(value + SPREAD * (step > 0), **options)} for step, value in at.items()})


def claim(conditions: list[str], *parts: ClaimPart, needs: Any = "all") -> Claim:
    return Claim("a", "a claim", "", "", "", tuple(conditions), needs, parts)


def decided(condition: str, part: ClaimPart, trajectories: dict[str, list[Trajectory]]) -> Any:
    [found] = decide([claim([condition], part)], trajectories, {}, draws=200)
    assert (found.claim.id, found.claim.text) == ("a", "a claim")
    [result] = found.parts
    assert result.condition == condition
    return result


def test_a_change_is_the_last_step_minus_step_0() -> None:
    result = decided("x", ClaimPart("change", "m", above=0.0), {"x": [moving(-3.0, -2.0), moving(-3.0, -1.0)]})
    assert result.value.estimate == pytest.approx(1.5, abs=1e-12)
    assert result.by_seed == pytest.approx((1.0, 2.0), abs=1e-12)
    # Seeds of mean 1 and 2: t of one degree of freedom times 0.5, 6.35, and the little that problems add.
    assert result.value.low == pytest.approx(1.5 - 6.353, abs=0.001)
    assert result.value.high == pytest.approx(1.5 + 6.353, abs=0.001)
    assert (result.outcome, result.label, result.unit, result.note) == ("open", "the measure", "nats", "")


def test_a_value_is_the_last_steps_own() -> None:
    result = decided("x", ClaimPart("value", "m", below=-2.5), {"x": [moving(-3.0, -2.0)]})
    assert result.value.estimate == pytest.approx(-2.0, abs=1e-12)
    assert (result.outcome, result.note) == ("fails", "for this seed of training only")


def test_base_is_step_0_once() -> None:
    result = decided(
        "base", ClaimPart("value", "m", above=-4.0), {"x": [moving(-3.0, -2.0)] * 3, "y": [moving(5.0, 6.0)]}
    )
    assert result.by_seed == (-3.0,)
    assert (result.value.estimate, result.value.method) == (-3.0, "none: no problems differ")
    assert (result.outcome, result.note) == ("open", "")


def test_the_base_model_has_no_seed_to_speak_of() -> None:
    base = trajectory({step: {"m": column(-3.0 + SPREAD)} for step in (0, 10)})
    result = decided("base", ClaimPart("value", "m", above=-4.0), {"x": [base]})
    assert (result.outcome, result.note) == ("holds", "")


def test_seeds_that_disagree_leave_a_part_open() -> None:
    part = ClaimPart("change", "m", above=0.0)
    assert decided("x", part, {"x": [moving(0.0, 3.0), moving(0.0, 2.8)]}).outcome == "holds"
    result = decided("x", part, {"x": [moving(0.0, 3.0), moving(0.0, -0.5)]})
    assert result.value.low < 0.0 < result.value.estimate
    assert result.outcome == "open"
    # Nine seeds of 3 and one of -0.1: the interval alone would let it hold.
    result = decided("x", part, {"x": [moving(0.0, 3.0)] * 9 + [moving(0.0, -0.1)]})
    assert result.value.low > 0.0
    assert result.outcome == "open"


def test_minus_subtracts_problem_by_problem_and_seed_by_seed() -> None:
    # The spread is common to both sides and cancels: every problem's number is 2 in seed 1 and 4 in seed 2.
    pairs = {"x": [moving(0.0, 3.0), moving(0.0, 3.0)], "y": [moving(0.0, 1.0), moving(0.0, -1.0)]}
    result = decided("x", ClaimPart("change", "m", above=0.0, minus=("y", "m")), pairs)
    assert result.by_seed == pytest.approx((2.0, 4.0), abs=1e-12)
    assert result.label == "the measure minus y: the measure"


def test_minus_keeps_the_problems_that_both_have() -> None:
    # x has q0 and q1, y has q1 and q2: only q1 counts, 5 - 1.
    left = trajectory({s: {"m": column([2.0, 5.0], ids=("q0", "q1"))} for s in (0, 10)})
    right = trajectory({s: {"m": column([1.0, 7.0], ids=("q1", "q2"))} for s in (0, 10)})
    result = decided("x", ClaimPart("value", "m", above=0.0, minus=("y", "m")), {"x": [left], "y": [right]})
    assert result.value.estimate == 4.0
    assert result.outcome == "open", "one problem gives no interval"


@pytest.mark.parametrize(("condition", "other", "sign"), [("x", "base", 1.0), ("base", "x", -1.0)])
def test_the_base_model_stands_against_every_seed(condition: str, other: str, sign: float) -> None:
    part = ClaimPart("value", "m", above=0.0, minus=(other, "m"))
    result = decided(condition, part, {"x": [moving(-3.0, -2.0), moving(-3.0, -1.0)]})
    assert result.by_seed == pytest.approx((sign, 2 * sign), abs=1e-12)


def test_conditions_with_other_numbers_of_seeds_cannot_be_subtracted() -> None:
    part = ClaimPart("value", "m", above=0.0, minus=("y", "m"))
    with pytest.raises(ConfigError, match=r"has 3 seeds and .* has 2; give both the same"):
        decided("x", part, {"x": [moving(0.0, 1.0)] * 3, "y": [moving(0.0, 1.0)] * 2})


def test_a_change_is_paired_by_problem() -> None:
    # AUROC exists for other problems at each step: q1 and q2 are in both, 0.75 - 0.5 and 0.5 - 0.75.
    found = trajectory(
        {
            0: {"m": column([1.0, 0.5, 0.75], share=True, ids=("q0", "q1", "q2"))},
            10: {"m": column([0.5, 0.75, 0.25], share=True, ids=("q2", "q1", "q3"))},
        }
    )
    result = decided("x", ClaimPart("change", "m", above=-1.0), {"x": [found]})
    assert result.value.estimate == pytest.approx(0.0, abs=1e-12)
    assert result.by_seed == pytest.approx((0.0,), abs=1e-12)


def test_the_mean_is_over_all_numbers_that_there_are() -> None:
    # Seed 1 has q0 ... q39 at 1, seed 2 has q0 ... q19 at 4: 120 / 60 = 2, not the mean of the problems' means, 1.75.
    seeds = [
        trajectory({s: {"m": column(np.full(n, value), ids=IDS[:n])} for s in (0, 10)})
        for n, value in ((P, 1.0), (P // 2, 4.0))
    ]
    result = decided("x", ClaimPart("value", "m", above=0.0), {"x": seeds})
    assert result.value.estimate == pytest.approx(2.0)
    assert result.by_seed == (1.0, 4.0)


def pairs(set_name: str, values: Any, behind: Any) -> Trajectory:
    """Pairs of which problem q0 has more than the others."""
    units = tuple((set_name, k) for k in range(len(behind)))
    made = Measured("the measure", "share", np.asarray(values, dtype=np.float64), UNIT, units, tuple(behind))
    return trajectory({step: {f"{set_name}.m": made} for step in (0, 10)})


def test_pairs_of_unequal_numbers_by_problem() -> None:
    # Six of six pairs over five problems are no certainty.
    found = pairs("held", np.ones(6), ("q0", "q0", "q1", "q2", "q3", "q4"))
    result = decided("x", ClaimPart("value", "held.m", above=0.9), {"x": [found]})
    assert (result.value.estimate, result.value.high, result.outcome) == (1.0, 1.0, "open")
    assert result.value.low < 0.5
    assert result.value.method == "wilson-design ratio"


def test_minus_of_other_pairs_goes_by_the_problems_means() -> None:
    # Left: q0 has 1 and 0, q1 to q9 have 1. Right: q0 to q9 have 0, q9 twice. Means differ by (0.5 + 9) / 10.
    left = pairs("a", [1.0, 0.0] + [1.0] * 9, ("q0", *(f"q{k}" for k in range(10))))
    right = pairs("b", [0.0] * 11, (*(f"q{k}" for k in range(10)), "q9"))
    part = ClaimPart("value", "a.m", above=0.0, minus=("y", "b.m"))
    result = decided("x", part, {"x": [left], "y": [right]})
    assert result.value.estimate == pytest.approx(0.95)
    assert -1.0 <= result.value.low < 0.95 < result.value.high <= 1.0
    # The same pairs on both sides go pair by pair: (10 - 0) / 11.
    part = ClaimPart("value", "a.m", above=0.0, minus=("y", "a.m"))
    zeros = pairs("a", [0.0] * 11, ("q0", *(f"q{k}" for k in range(10))))
    assert decided("x", part, {"x": [left], "y": [zeros]}).value.estimate == pytest.approx(10 / 11)


def test_minus_without_a_common_problem() -> None:
    sides = {"x": [pairs("a", [1.0], ("q0",))], "y": [pairs("b", [1.0], ("q1",))]}
    with pytest.raises(ConfigError, match="have no problem in common"):
        decided("x", ClaimPart("value", "a.m", above=0.0, minus=("y", "b.m")), sides)


def test_a_part_that_is_too_skewed_is_open() -> None:
    values = np.full(P, 1.0) + 0.001 * SPREAD
    values[0] = 1e4
    found = trajectory({step: {"m": column(values * (step > 0))} for step in (0, 10)})
    result = decided("x", ClaimPart("change", "m", above=-1e9), {"x": [found]})
    assert result.value.marked
    assert (result.outcome, result.note) == (
        "open",
        "the problems' numbers are too skewed for an interval of their mean",
    )


@pytest.mark.parametrize("sd_seed", [0.1, 0.3])
def test_seeds_that_differ_by_chance_prove_nothing(sd_seed: float) -> None:
    # Three seeds, 50 problems, a true change of 0. Over problems alone 5 to 9 % of claims would hold, 11 % with 200.
    rng = np.random.default_rng(4)
    held, covered, alone, trials = 0, 0, 0, 400
    for _ in range(trials):
        values = rng.normal(size=P) + sd_seed * rng.normal(size=(3, 1)) + 0.3 * rng.normal(size=(3, P))
        seeds = [trajectory({step: {"m": column(v * (step > 0))} for step in (0, 10)}) for v in values]
        result = decided("x", ClaimPart("change", "m", above=0.0), {"x": seeds})
        held += result.outcome == "holds"
        covered += result.value.low <= 0.0 <= result.value.high
        mean = values.mean(axis=0)
        alone += abs(mean.mean()) > 2.02 * mean.std(ddof=1) / math.sqrt(P)
    assert held <= 0.04 * trials
    assert covered >= 0.94 * trials
    assert alone >= 0.05 * trials or sd_seed < 0.2


def test_shares_keep_their_range() -> None:
    # 38 of 40 answers right: an interval of the mean alone would reach above 1.
    right = column([1.0] * 38 + [0.0] * 2, share=True)
    found = trajectory({s: {"m": right} for s in (0, 10)})
    result = decided("x", ClaimPart("value", "m", above=0.5), {"x": [found]})
    assert result.value.high <= 1.0
    assert result.value.method == "wilson-midp"
    assert result.unit == "share"


def test_only_if_opens_a_part_whose_condition_does_not_hold() -> None:
    falls, rises = moving(0.0, -1.0), moving(0.0, 1.0)
    part = ClaimPart("change", "m", above=0.0, only_if=("y", ClaimPart("change", "m", below=0.0)))
    assert decided("x", part, {"x": [rises], "y": [falls]}).outcome == "holds"
    result = decided("x", part, {"x": [rises], "y": [rises]})
    assert (result.outcome, result.note) == ("open", "y: the measure is not below 0")
    # A part that would fail is open too: the question does not arise.
    assert decided("x", part, {"x": [falls], "y": [rises]}).outcome == "open"


VERDICTS: dict[str, tuple[str, list[float], str]] = {
    "all: all hold": ("all", [1.0, 1.0], "reproduced"),
    "all: one is open": ("all", [1.0, 0.0], "not decided"),
    "all: one fails": ("all", [1.0, -1.0], "not reproduced"),
    "all: failing outweighs being open": ("all", [0.0, -1.0, 1.0], "not reproduced"),
    "any: one holds": ("any", [-1.0, 0.0, 1.0], "reproduced"),
    "any: one is open": ("any", [-1.0, 0.0], "not decided"),
    "any: all fail": ("any", [-1.0, -1.0], "not reproduced"),
}


@pytest.mark.parametrize(("needs", "changes", "verdict"), VERDICTS.values(), ids=VERDICTS)
def test_verdicts_over_conditions(needs: str, changes: list[float], verdict: str) -> None:
    trajectories = {f"c{k}": [moving(0.0, change)] for k, change in enumerate(changes)}
    [found] = decide([claim(list(trajectories), ClaimPart("change", "m", above=0.0), needs=needs)], trajectories, {})
    assert found.verdict == verdict
    assert list(found.by_condition) == list(trajectories)


def test_a_condition_shows_a_claim_by_all_of_its_parts() -> None:
    up, down = ClaimPart("change", "m", above=0.0), ClaimPart("change", "m", below=0.0)
    trajectories = {"x": [moving(0.0, 1.0)], "y": [moving(0.0, -1.0)]}
    [found] = decide([claim(["x", "y"], up, down, needs="any")], trajectories, {}, draws=200)
    assert dict(found.by_condition) == {"x": "fails", "y": "fails"}
    assert found.verdict == "not reproduced"
    [found] = decide([claim(["x", "y"], up, needs="any")], trajectories, {}, draws=200)
    assert dict(found.by_condition) == {"x": "holds", "y": "fails"}


def noise(rng: np.random.Generator, conditions: int) -> dict[str, list[Trajectory]]:
    """Conditions in which nothing happens, of three seeds each."""
    return {
        f"c{k}": [
            trajectory({step: {"m": column(v * (step > 0))} for step in (0, 10)}) for v in rng.normal(size=(3, P))
        ]
        for k in range(conditions)
    }


@pytest.mark.parametrize(("needs", "wrong"), [("any", "reproduced"), ("all", "not reproduced")])
def test_many_conditions_do_not_make_a_verdict_by_chance(needs: str, wrong: str) -> None:
    # Eight conditions at 95 % each, uncorrected, would give the wrong verdict in more than a tenth of studies.
    rng = np.random.default_rng(7)
    verdicts = []
    for _ in range(150):
        trajectories = noise(rng, 8)
        made = claim(list(trajectories), ClaimPart("change", "m", above=0.0), needs=needs)
        verdicts += [found.verdict for found in decide([made], trajectories, {}, draws=400)]
    assert verdicts.count(wrong) <= 0.05 * len(verdicts)


def test_the_mean_over_the_training_is_the_area_by_its_length() -> None:
    # 0 at step 0, 9 at step 5, 1 at step 10: trapezoids of 22.5 and 25 over 10 steps.
    result = decided("x", ClaimPart("change", "m", "mean", above=0.0), {"x": [moving(0.0, 1.0)]})
    assert result.value.estimate == pytest.approx(4.75, abs=1e-12)
    assert result.by_seed == pytest.approx((4.75,), abs=1e-12)
    assert result.label == "the measure, mean over the training"


@pytest.mark.parametrize(
    ("claimed", "estimate", "by_seed", "label"),
    [
        # 9 and 8 at step 5; 1 and 2 at step 10.
        ({"above": 0.0}, 8.5, (9.0, 8.0), "the measure, highest of the checkpoints"),
        ({"below": 0.0}, 1.5, (1.0, 2.0), "the measure, lowest of the checkpoints"),
    ],
)
def test_some_checkpoint(claimed: dict[str, float], estimate: float, by_seed: tuple[float, ...], label: str) -> None:
    at = ({0: 0.0, 5: 9.0, 10: 1.0}, {0: 0.0, 5: 8.0, 10: 2.0})
    seeds = [trajectory({step: {"m": column(v + SPREAD * (step > 0))} for step, v in s.items()}) for s in at]
    result = decided("x", ClaimPart("change", "m", "some", **claimed), {"x": seeds})
    assert (result.value.estimate, result.label) == (pytest.approx(estimate), label)
    assert result.by_seed == pytest.approx(by_seed)


def test_the_best_of_many_checkpoints_is_no_finding() -> None:
    # Ten checkpoints of noise: the highest alone would be above 0 in more than a tenth of trainings.
    rng = np.random.default_rng(11)
    held, alone = 0, 0
    for _ in range(200):
        values = rng.normal(size=(10, P))
        columns = {10 * (k + 1): {"m": column(v)} for k, v in enumerate(values)}
        found = trajectory({0: {"m": column(np.zeros(P))}} | columns)
        part = ClaimPart("change", "m", "some", above=0.0)
        [result] = decide([claim(["x"], part)], {"x": [found]}, {}, draws=1000)
        held += result.verdict == "reproduced"
        alone += (values.mean(axis=1) / values.std(axis=1, ddof=1) * math.sqrt(P)).max() > 2.02
    assert held <= 0.05 * 200
    assert alone > 0.1 * 200


def test_checkpoints_without_the_measure_are_passed_over() -> None:
    # Step 5 was forced alone: it has no pool, and so no m; step 20 neither.
    at = {0: 0.0, 5: None, 10: 2.0, 15: 4.0, 20: None}
    found = trajectory({step: {} if v is None else {"m": column(v + SPREAD)} for step, v in at.items()})
    assert decided("x", ClaimPart("change", "m", above=0.0), {"x": [found]}).value.estimate == pytest.approx(4.0)
    mean = decided("x", ClaimPart("change", "m", "mean", above=0.0), {"x": [found]})
    assert mean.value.estimate == pytest.approx((10.0 + 15.0) / 15.0)


def test_the_last_checkpoints_of_trainings_of_other_lengths() -> None:
    longer = trajectory({step: {"m": column(v + SPREAD)} for step, v in ((0, 0.0), (10, 7.0), (30, 5.0))})
    part = ClaimPart("change", "m", above=0.0, minus=("y", "m"))
    assert decided("x", part, {"x": [longer], "y": [moving(0.0, 2.0)]}).value.estimate == pytest.approx(3.0)
    with pytest.raises(ConfigError, match="compare the same steps"):
        decided("x", replace(part, when="mean"), {"x": [longer], "y": [moving(0.0, 2.0)]})


def test_the_base_model_has_no_course() -> None:
    for part in (ClaimPart("change", "m", above=0.0), ClaimPart("change", "m", "mean", above=0.0)):
        with pytest.raises(ConfigError, match="at the base model, which has values alone"):
            decided("base", part, {"x": [moving(0.0, 1.0)]})


def test_a_conditions_own_pairs() -> None:
    made = pairs("held", [1.0] * P, IDS)
    part = ClaimPart("value", "{own}.m", above=0.5, only_if=("base", ClaimPart("value", "{own}.m", above=0.5)))
    [found] = decide([claim(["x"], part)], {"x": [made]}, {"x": "held"}, draws=200)
    assert found.parts[0].part.measure == "held.m"
    with pytest.raises(ConfigError, match=r"claimed of 'x', which has no pairs of its own"):
        decide([claim(["x"], part)], {"x": [made]}, {}, draws=200)


def test_self_stands_for_the_condition() -> None:
    two = trajectory({s: {"m": column(1.0 + SPREAD), "k": column(3.0 + SPREAD)} for s in (0, 10)})
    part = ClaimPart("value", "k", above=0.0, minus=("self", "m"))
    assert decided("x", part, {"x": [two]}).value.estimate == pytest.approx(2.0)


def test_the_same_seed_gives_the_same_numbers() -> None:
    claims = [claim(["x"], ClaimPart("change", "m", above=0.0))]
    first, again, other = (decide(claims, {"x": [moving(0.0, 1.0)]}, {}, seed=s, draws=200) for s in (1, 1, 2))
    assert first == again
    assert first[0].parts[0].value != other[0].parts[0].value


@pytest.mark.parametrize("minus", [None, ("x", "m")], ids=["the part's own", "the other side"])
@pytest.mark.parametrize(
    ("condition", "measure", "message"),
    [("z", "m", "condition 'z', which there is not"), ("x", "chosen", "no checkpoint after step 0 has 'chosen'")],
)
def test_unknown_names(condition: str, measure: str, message: str, minus: tuple[str, str] | None) -> None:
    part = ClaimPart("change", measure if minus is None else minus[1], above=0.0)
    part = part if minus is None else replace(part, minus=(condition, measure))
    with pytest.raises(ConfigError, match=message):
        decided(condition if minus is None else minus[0], part, {"x": [moving(0.0, 1.0)]})


def test_a_measure_that_only_the_last_step_has() -> None:
    found = trajectory({0: {}, 10: {"m": column(1.0 + SPREAD)}})
    assert decided("x", ClaimPart("value", "m", above=0.0), {"x": [found]}).value.estimate == pytest.approx(1.0)
    with pytest.raises(ConfigError, match="no checkpoint after step 0 has 'm'"):
        decided("x", ClaimPart("change", "m", above=0.0), {"x": [found]})
    with pytest.raises(ConfigError, match="measure 'm', which the base model has not"):
        decided("base", ClaimPart("value", "m", above=0.0), {"x": [found]})


def test_a_claim_among_conditions() -> None:
    made = claim(["x", "y", "base"], ClaimPart("change", "m", above=0.0))
    assert made.among({"base", "x", "z"}).conditions == ("x", "base")
    assert made.among({"z"}).conditions == ()


PART: dict[str, Any] = {"what": "change", "measure": "m", "above": 0}
CLAIM: dict[str, Any] = {"text": "t", "conditions": ["x"], "needs": "all", "parts": [PART]}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in PART.items() if key != name}


def test_parse_every_word() -> None:
    entry = {**without("above"), "below": 0.02, "fails": 0, "when": "mean", "minus": {"condition": "y"}}
    entry["only_if"] = {**without("above"), "what": "value", "within": 0.5, "condition": "base"}
    words = {"quote": " q ", "source": "s", "refuted": "r", "needs": "any"}
    [found] = parse_claims({1: {**CLAIM, **words, "parts": [PART, entry]}})
    second = ClaimPart(
        "change",
        "m",
        "mean",
        below=0.02,
        fails=0.0,
        minus=("y", "m"),
        only_if=("base", ClaimPart("value", "m", within=0.5)),
    )
    parts = (ClaimPart("change", "m", above=0.0), second)
    assert found == Claim("1", "t", "q", "s", "r", ("x",), "any", parts)


BAD_CLAIMS: dict[str, tuple[object, str]] = {
    "nothing": (None, "has no claims"),
    "none": ({}, "has no claims"),
    "a list": ([PART], "has no claims"),
    "no text": ({"a": {k: v for k, v in CLAIM.items() if k != "text"}}, "claim 'a' has text, conditions, needs"),
    "one word more": ({"a": {**CLAIM, "note": ""}}, "claim 'a' has text, conditions, needs"),
    "a text": ({"a": "t"}, "claim 'a' has text, conditions, needs"),
    "some": ({"a": {**CLAIM, "needs": "some"}}, "needs is 'some'; valid: all, any"),
    "no conditions": ({"a": {**CLAIM, "conditions": []}}, "claim 'a' must have a list of conditions"),
    "a condition": ({"a": {**CLAIM, "conditions": "x"}}, "claim 'a' must have a list of conditions"),
    "no parts": ({"a": {**CLAIM, "parts": []}}, "claim 'a' must have a list of parts"),
    "parts as a number": ({"a": {**CLAIM, "parts": 3}}, "claim 'a' must have a list of parts"),
}


@pytest.mark.parametrize(("content", "message"), BAD_CLAIMS.values(), ids=BAD_CLAIMS)
def test_claims_that_are_none(content: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse_claims(content)
    assert "\n" not in str(caught.value)


BAD_PARTS: dict[str, tuple[object, str]] = {
    "a text": ("above 0", "a part has what, measure"),
    "no what": (without("what"), "a part has what, measure"),
    "a condition": ({**PART, "condition": "x"}, "a part has what, measure"),
    "an unknown when": ({**PART, "when": "first"}, "when is 'first'; valid: last, mean, some"),
    "a course of a value": ({**PART, "what": "value", "when": "mean"}, "a value is of the last checkpoint"),
    "some within": ({**without("above"), "within": 1, "when": "some"}, "give above or below"),
    "no measure": (without("measure"), "a part has what, measure"),
    "an unknown word": ({**PART, "above_": 0}, "a part has what, measure"),
    "an unknown what": ({**PART, "what": "ratio"}, "what is 'ratio'; valid: change, value"),
    "no side": (without("above"), "one of above, below, within, not none"),
    "two sides": ({**PART, "below": 1}, "one of above, below, within, not above and below"),
    "within and fails": ({**without("above"), "within": 1, "fails": 2}, "fails has no meaning"),
    "a side that is a text": ({**PART, "above": "0"}, "above is '0'; it must be a number"),
    "a side that is nothing": ({**PART, "above": None}, "above is None; it must be a number"),
    "a side that is not finite": ({**PART, "above": NAN}, "above is nan; it must be a number"),
    "fails that is a truth value": ({**PART, "fails": True}, "fails is True; it must be a number"),
    "minus as a text": ({**PART, "minus": "y"}, "minus has a condition and may have a measure"),
    "minus without a condition": ({**PART, "minus": {"measure": "y"}}, "minus has a condition and may have a measure"),
    "only_if without a side": ({**PART, "only_if": without("above")}, "one of above, below, within, not none"),
    "only_if as a text": ({**PART, "only_if": "x"}, "only_if is a part"),
}


@pytest.mark.parametrize(("part", "message"), BAD_PARTS.values(), ids=BAD_PARTS)
def test_parts_that_are_none(part: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse_claims({"g": {**CLAIM, "parts": [PART, part]}})
    assert str(caught.value).startswith("claim 'g': ")
    assert "\n" not in str(caught.value)


def test_the_committed_conditions_name_what_there_is(tmp_path: Path) -> None:
    plan = read_plan(CONDITIONS, tmp_path, fast=False)
    content, own = plan.content, plan.own()
    claims = parse_claims(content["claims"])
    assert [found.id for found in claims] == list("abcdefghijklmn")
    known = {"base", *content["conditions"]}
    for found in claims:
        assert found.source, found.id
        assert found.refuted, found.id
        assert set(found.conditions) <= known
        for condition in found.conditions:
            for part in found.parts:
                made = of_condition(part, condition, own)
                assert made.minus is None or made.minus[0] in known
    assert {c["pairs"] for c in content["conditions"].values() if "pairs" in c} <= set(content["pairs"])
    assert set(content["held_out_pairs"]) <= set(content["pairs"])
    shown = [name for names in content["figures"].values() for name in names]
    assert set(shown) == set(content["conditions"])
    recipes = [o for kind in content["pairs"].values() for o in kind.get("options", ()) if o in RECIPES]
    assert len(recipes) == len(content["pairs"]) - 2, "the pairs outside of the support have no recipe"
