"""The best of several arms on problems that did not select it: against plain loops, and known truth."""

import numpy as np
import pytest

from bon_eval.errors import ConfigError
from bon_eval.estimators.cross_fitting import cross_fitted


def by_loops(values, halves, left_out=None):
    """The estimate and each problem's value, with one problem left out of every split."""
    total, held = 0.0, np.zeros(len(values))
    for one, other in halves:
        for own, selects in ((one, other), (other, one)):
            asked = [i for i in selects if i != left_out]
            arm = int(values[asked].sum(axis=0).argmax())
            for i in own:
                if i != left_out:
                    total += values[i, arm]
                    held[i] += values[i, arm]
    return total / len(halves) / (len(values) - (left_out is not None)), held / len(halves)


def test_values_and_jackknife_equal_plain_loops():
    generator = np.random.default_rng(1)
    values = (generator.random((11, 4)) < 0.4).astype(float)
    rng, halves = np.random.default_rng(5), []
    for _ in range(7):
        order = rng.permutation(11)
        halves.append((order[:5], order[5:]))
    found = cross_fitted(values, rng=np.random.default_rng(5), splits=7)
    estimate, held = by_loops(values, halves)
    assert found.values.tolist() == pytest.approx(held.tolist())
    without = np.array([by_loops(values, halves, i)[0] for i in range(11)])
    alone = (held.sum() - held) / 10
    expected = np.sqrt(((without - without.mean()) ** 2).sum() / ((alone - alone.mean()) ** 2).sum())
    assert estimate == pytest.approx(held.mean())
    assert expected > 1.0
    assert found.widening == pytest.approx(expected)


def test_an_arm_that_is_always_best_is_its_own_accuracy():
    values = np.column_stack([np.resize([1.0, 0.0], 40), np.zeros(40)])
    found = cross_fitted(values, rng=np.random.default_rng(0))
    assert found.values.tolist() == pytest.approx(values[:, 0].tolist())
    assert found.widening == pytest.approx(1.0)


def test_clusters_stay_together():
    """Four problems of each cluster are one problem of four times the weight: halves, values and jackknife."""
    values = np.random.default_rng(2).random((12, 3))
    clusters = np.repeat(np.arange(12), 4)
    one = cross_fitted(values, rng=np.random.default_rng(3))
    four = cross_fitted(np.repeat(values, 4, axis=0), rng=np.random.default_rng(3), clusters=clusters)
    assert four.values[::4].tolist() == pytest.approx(one.values.tolist())
    assert four.widening == pytest.approx(one.widening)


def test_what_is_selected_is_not_favoured():
    """Ten arms of accuracy 0.5: the best one's own accuracy is far above, the cross-fitted one is not."""
    generator = np.random.default_rng(0)
    runs = [(generator.random((30, 10)) < 0.5).astype(float) for _ in range(300)]
    fitted = [cross_fitted(run, rng=generator, splits=20).values.mean() for run in runs]
    assert np.mean([run.mean(axis=0).max() for run in runs]) > 0.6
    assert np.mean(fitted) == pytest.approx(0.5, abs=4 * np.std(fitted) / np.sqrt(300))


@pytest.mark.parametrize("values", [[[1.0, 0.0]], [[np.nan, 0.0], [1.0, 0.0]]])
def test_bad_input(values):
    with pytest.raises(ConfigError, match="halves"):
        cross_fitted(values, rng=np.random.default_rng(0))
