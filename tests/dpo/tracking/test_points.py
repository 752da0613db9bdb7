"""Changes of a measure that some problems have at one of two steps only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bon_eval.dpo.tracking.points import Clusters, Measured, make_points
from bon_eval.stats import paired_test
from bon_eval.stats.bootstrap import UNBOUNDED, UNIT
from bon_eval.stats.streams import streams


def auroc(values: dict[str, float]) -> Measured:
    return Measured("AUROC", "share", np.array(list(values.values())), UNIT, tuple(values))


def test_auroc_changes_over_the_problems_that_have_it_at_both_steps() -> None:
    rng = np.random.default_rng(0)
    before = {f"p{i}": float(x) for i, x in enumerate(rng.uniform(0.4, 0.6, size=30))}
    # Each problem that stays rises by .1; those that come and go would hide it.
    after = {name: value + 0.1 for name, value in list(before.items())[10:]}
    after = dict(reversed(after.items())) | {f"q{i}": 0.0 for i in range(15)}
    base, now = make_points({0: {"auroc": auroc(before)}, 7: {"auroc": auroc(after)}}, 0, 500)
    assert base.change is None
    assert base.value.estimate == pytest.approx(np.mean(list(before.values())))
    assert now.value.estimate == pytest.approx(np.mean(list(after.values())))
    assert now.change is not None
    assert now.change.difference == pytest.approx(0.1)
    assert now.change.n_contested == 20
    assert now.value.estimate < base.value.estimate < base.value.estimate + now.change.difference


def test_without_a_problem_in_both_there_is_no_change() -> None:
    _, now = make_points({0: {"auroc": auroc({"a": 0.5})}, 7: {"auroc": auroc({"b": 0.5})}}, 0, 500)
    assert now.change is None


def columns_of(rng: np.random.Generator, shift: float) -> dict[str, Measured]:
    """Measures of 30 problems and of 1 to 4 pairs of each, by one source for two problems."""
    ids = tuple(f"p{i}" for i in range(30))
    behind = tuple(i for k, i in enumerate(ids) for _ in range(1 + k % 4))
    units = tuple(("set", k) for k in range(len(behind)))
    pairs = len(behind)
    return {
        "accuracy": Measured("accuracy", "share", (rng.random(30) < 0.4 + shift).astype(float), UNIT, ids),
        "nats": Measured("nats", "nats", rng.normal(shift, 1.0, 30), UNBOUNDED, ids),
        "ranking": Measured("ranking", "share", (rng.random(pairs) < 0.5 + shift).astype(float), UNIT, units, behind),
        "margin": Measured("margin", "nats", rng.normal(shift, 1.0, pairs), UNBOUNDED, units, behind),
    }


def test_a_cluster_for_each_problem_changes_no_point() -> None:
    rng = np.random.default_rng(0)
    columns = {0: columns_of(rng, 0.0), 3: columns_of(rng, 0.3)}
    own = Clusters({f"p{i}": i for i in range(30)})
    assert make_points(columns, 0, 300, own) == make_points(columns, 0, 300)


def test_problems_of_one_source_are_resampled_with_their_pairs() -> None:
    """Two problems that are one: the points of 15 problems with the pairs of both."""
    rng = np.random.default_rng(1)
    columns = {0: columns_of(rng, 0.0), 3: columns_of(rng, 0.3)}
    found = make_points(columns, 0, 300, Clusters({f"p{i}": i // 2 for i in range(30)}))
    merged = {
        step: {
            name: column
            if column.behind is None
            else replace(column, behind=tuple(f"p{int(p[1:]) // 2}" for p in column.behind))
            for name, column in of_step.items()
        }
        for step, of_step in columns.items()
    }
    by_place = {(point.step, point.name): point for point in make_points(merged, 0, 300)}
    for point in found:
        if point.name in ("ranking", "margin"):
            other = by_place[point.step, point.name]
            assert (point.value, point.change) == (other.value, other.change)
    accuracy = next(point for point in found if point.name == "accuracy" and point.step == 3)
    by_hand = paired_test(
        columns[3]["accuracy"].values,
        columns[0]["accuracy"].values,
        rng=streams(0)("changes-0"),
        draws=300,
        clusters=np.arange(30) // 2,
    )
    assert accuracy.change == by_hand


def test_pairs_of_other_problems_are_clusters_of_their_own() -> None:
    rng = np.random.default_rng(2)
    behind = tuple(f"train{i // 2}" for i in range(18))
    column = Measured("ranking", "nats", rng.normal(size=18), UNBOUNDED, tuple(("set", k) for k in range(18)), behind)
    [point] = make_points({0: {"ranking": column}}, 0, 300, Clusters({"p0": 0}))
    assert point.value.method == "none: 9 clusters; from 10 on"


def test_shares_of_signs_of_differences_from_the_base_model_have_no_change() -> None:
    ids = tuple(f"p{i}" for i in range(30))
    zero, half = np.zeros(30), np.tile([0.0, 1.0], 15)

    def columns(signs: np.ndarray, ranked: np.ndarray) -> dict[str, Measured]:
        names = ("mine.both_fall", "mine.reward_accuracy", "mine.ranking_accuracy")
        return {n: Measured(n, "share", v, UNIT, ids) for n, v in zip(names, (signs, signs, ranked), strict=True)}

    points = make_points({0: columns(zero, zero), 3: columns(half, half)}, 0, 300)
    shown = {point.name: point.verdict for point in points if point.step}
    assert shown == {
        "mine.both_fall": "not shown",
        "mine.reward_accuracy": "not shown",
        "mine.ranking_accuracy": "higher",
    }


def test_no_verdict_of_few_problems() -> None:
    for count, verdict in ((9, "not shown"), (10, "higher")):
        before = {f"p{i}": 0.1 + 0.01 * i for i in range(count)}
        after = {name: value + 0.5 + 0.001 * k for k, (name, value) in enumerate(before.items())}
        point = make_points({0: {"auroc": auroc(before)}, 7: {"auroc": auroc(after)}}, 0, 500)[-1]
        assert (point.step, point.verdict) == (7, verdict)


def test_a_change_over_few_problems_has_no_verdict_however_many_have_a_value() -> None:
    before = {f"p{i}": 0.1 + 0.01 * i for i in range(20)}
    after = {f"p{i}": 0.5 + 0.011 * i for i in range(11, 40)}
    point = make_points({0: {"auroc": auroc(before)}, 7: {"auroc": auroc(after)}}, 0, 500)[-1]
    assert point.change is not None
    assert point.change.n_contested == 9
    assert point.verdict == "not shown"
