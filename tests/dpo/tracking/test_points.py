"""Changes of a measure that some problems have at one of two steps only."""

from __future__ import annotations

import numpy as np
import pytest

from bon_eval.dpo.tracking.points import Column, make_points


def auroc(values: dict[str, float]) -> Column:
    return Column("AUROC", "share", np.array(list(values.values())), True, tuple(values))


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
