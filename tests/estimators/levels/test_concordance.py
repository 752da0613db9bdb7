"""Concordance at any and at like lengths: by hand, by every pair, and where the truth is known."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from bon_eval.errors import ConfigError
from bon_eval.estimators import within_problem_auroc
from bon_eval.estimators.levels.concordance import across_problems, columns, within_problems
from bon_eval.stats.closed_form import concordance_interval
from bon_eval.stats.clusters import effective_number


def like(a: int, b: int) -> bool:
    return max(a, b) - min(a, b) <= min(a, b) / 10


def balanced(pairs: list[tuple[float, int]]) -> float:
    """Of (ranked right, sign of the correct one's extra length): both signs alike, and equal lengths their own."""
    of = {sign: [right for right, s in pairs if s == sign] for sign in (1, -1, 0)}
    both = min(len(of[1]), len(of[-1]))
    total = len(of[0]) + 2 * both
    if not total:
        return float("nan")
    directions = sum(both * np.mean(of[sign]) for sign in (1, -1)) if both else 0.0
    return float((directions + sum(of[0])) / total)


def ranked(a: float, b: float) -> float:
    return float(a > b) + 0.5 * (a == b)


def made(rng: np.random.Generator, p: int, n: int, ties: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    scores = rng.integers(-3, 0, (2, p, n)).astype(float) if ties else rng.normal(size=(2, p, n))
    return scores, rng.random((p, n)) < 0.5, rng.integers(18, 24, (p, n))


@pytest.mark.parametrize("ties", [False, True])
def test_within_a_problem_it_is_every_pair_of_like_length(ties: bool) -> None:
    scores, correct, length = made(np.random.default_rng(1), 30, 9, ties)
    found = within_problems(scores, correct, length)
    for k, row in product(range(2), range(30)):
        pairs = [
            (ranked(scores[k, row, a], scores[k, row, b]), int(np.sign(length[row, a] - length[row, b])))
            for a, b in product(np.flatnonzero(correct[row]), np.flatnonzero(~correct[row]))
            if like(length[row, a], length[row, b])
        ]
        assert found[k, row] == pytest.approx(balanced(pairs), nan_ok=True)
    assert np.isnan(found).any() < np.isnan(found).size
    assert within_problems(scores[0], correct, length).tolist() == pytest.approx(found[0].tolist(), nan_ok=True)


def test_by_hand() -> None:
    # Correct: 20 tokens at -1, 22 at -9. Incorrect: 21 at -2, 40 at -8, 20 at -5.
    scores, length = [[-1.0, -9.0, -2.0, -8.0, -5.0]], [[20, 22, 21, 40, 20]]
    # Shorter: (20, 21) right. Longer: (22, 21) and (22, 20) wrong. Equal: (20, 20) right. Of 40 tokens: none alike.
    # One pair of each direction counts, and the equal one: (1 + 0 + 1) / 3.
    assert within_problems(scores, [[1, 1, 0, 0, 0]], length).tolist() == [pytest.approx(2 / 3)]
    # Any length: -1 beats all three, -9 none of them.
    assert within_problem_auroc(scores, [[1, 1, 0, 0, 0]]).tolist() == [0.5]


def test_at_one_length_it_is_the_auroc_and_per_token_is_no_other_question() -> None:
    scores, correct, _ = made(np.random.default_rng(2), 20, 8, ties=False)
    length = np.random.default_rng(3).integers(5, 90, (20, 1)) * np.ones((20, 8), dtype=int)
    found = within_problems(np.stack([scores[0], scores[0] / length]), correct, length)
    assert found[0].tolist() == pytest.approx(within_problem_auroc(scores[0], correct).tolist(), nan_ok=True)
    assert found[1].tolist() == pytest.approx(found[0].tolist(), nan_ok=True)


@pytest.mark.parametrize("ties", [False, True])
def test_across_problems_it_is_every_pair_of_two_problems(ties: bool) -> None:
    scores, correct, length = made(np.random.default_rng(4), 12, 3, ties)
    found = across_problems(scores, correct, length)
    for k in range(2):
        pairs = [
            (ranked(scores[k, a, r], scores[k, b, r]), length[a, r], length[b, r])
            for r, a, b in product(range(3), range(12), range(12))
            if correct[a, r] and not correct[b, r]
        ]
        assert found[k][0].estimate == pytest.approx(np.mean([right for right, _, _ in pairs]))
        alike = [(right, int(np.sign(a - b))) for right, a, b in pairs if like(a, b)]
        assert found[k][1].estimate == pytest.approx(balanced(alike))
        for across, n_pairs in zip(found[k], (len(pairs), len(alike)), strict=True):
            assert across.units.mean() == pytest.approx(across.estimate)
            assert across.sides.sum(axis=1).tolist() == [n_pairs, n_pairs]


def test_of_one_response_a_problem_the_spread_is_that_of_delong() -> None:
    rng = np.random.default_rng(5)
    correct = rng.random(60) < 0.3
    scores = rng.normal(size=60) + correct
    [(found, _)] = across_problems(scores[None, :, None], correct[:, None], np.ones((60, 1), dtype=int))
    right, wrong = scores[correct], scores[~correct]
    assert found.estimate == pytest.approx(stats.mannwhitneyu(right, wrong).statistic / (len(right) * len(wrong)))
    ahead = right[:, None] > wrong
    delong = ahead.mean(axis=1).var() / len(right) + ahead.mean(axis=0).var() / len(wrong)
    assert found.units.var() / 60 == pytest.approx(delong)


def test_without_pairs_there_is_no_number() -> None:
    [(every, alike)] = across_problems([[[1.0], [2.0]]], [[1], [1]], [[3], [3]])
    assert np.isnan([every.estimate, alike.estimate, *every.units, *alike.units]).all()
    [(every, alike)] = across_problems([[[1.0], [2.0]]], [[1], [0]], [[3], [30]])
    assert every.estimate == 0.0
    assert np.isnan(alike.estimate)
    assert np.isnan(within_problems([[1.0, 2.0]], [[1, 1]], [[3, 3]])).all()


@pytest.mark.parametrize(
    ("scores", "correct", "length"),
    [
        ([[1.0, np.nan]], [[1, 0]], [[3, 3]]),
        ([[1.0, 2.0]], [[0.5, 0]], [[3, 3]]),
        ([[1.0, 2.0]], [[1, 0]], [[3, 0]]),
        ([[1.0, 2.0]], [[1, 0]], [[3, 3, 3]]),
        ([[1.0, 2.0, 3.0]], [[1, 0]], [[3, 3]]),
    ],
)
def test_bad_input_is_refused(scores: list, correct: list, length: list) -> None:
    with pytest.raises(ConfigError):
        within_problems(scores, correct, length)


def test_columns_are_bounded_by_the_work() -> None:
    assert [columns(100, 64), columns(20_000, 64), columns(1, 5)] == [64, 1, 5]


def drawn(
    rng: np.random.Generator, p: int, n: int, *, by_length: float, direct: float, curve: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Responses of about 100 tokens whose correctness goes by their length, and by their likelihood where `direct`."""
    relative = rng.normal(0, 0.3, (p, 1)) + 0.3 * rng.normal(size=(p, n))
    length = np.maximum(1, np.round(100 * np.exp(relative))).astype(int)
    logit = rng.normal(size=(p, 1)) - by_length * np.log(length / 100) / 0.3
    correct = rng.random((p, n)) < 1 / (1 + np.exp(-logit))
    summed = -0.2 * length * (1 + curve * np.log(length / 100)) + 6 * rng.normal(size=(p, n)) + 6 * direct * correct
    return np.stack([summed, summed / length]), correct, length


@pytest.mark.parametrize(("by_length", "curve"), [(1.5, 0.0), (3.0, 0.0), (-2.0, 0.0), (1.5, 0.5), (3.0, -0.5)])
def test_likelihood_that_predicts_through_length_alone_is_at_chance_at_like_lengths(
    by_length: float, curve: float
) -> None:
    scores, correct, length = drawn(np.random.default_rng(6), 1500, 16, by_length=by_length, direct=0.0, curve=curve)
    raw = [np.nanmean(within_problem_auroc(score, correct)) for score in scores]
    assert max(abs(value - 0.5) for value in raw) > 0.15, "length is a strong confounder here"
    alike = within_problems(scores, correct, length)
    error = np.nanstd(alike[0]) / np.sqrt(np.isfinite(alike[0]).sum())
    assert error < 0.012
    assert np.nanmean(alike, axis=1) == pytest.approx(0.5, abs=3 * error + 0.005)
    few = across_problems(scores[:, :, :4], correct[:, :4], length[:, :4])
    assert abs(few[0][0].estimate - 0.5) > 0.1
    for across in few:
        assert across[1].estimate == pytest.approx(0.5, abs=3 * across[1].units.std() / np.sqrt(1500) + 0.005)


@pytest.mark.parametrize("by_length", [-3.0, 0.0, 3.0])
def test_likelihood_that_predicts_beyond_length_does_so_at_like_lengths(by_length: float) -> None:
    """Whatever length does to the raw number, even where it turns it round."""
    scores, correct, length = drawn(np.random.default_rng(7), 800, 16, by_length=by_length, direct=1.0)
    truth = stats.norm.cdf(1 / np.sqrt(2))  # two normal values a standard deviation apart
    assert np.nanmean(within_problems(scores, correct, length), axis=1) == pytest.approx(truth, abs=0.03)
    raw = np.nanmean(within_problem_auroc(scores[0], correct))
    assert raw < 0.5 if by_length == -3.0 else raw > 0.65


@pytest.mark.parametrize(("p", "rate", "n"), [(20, 0.2, 1), (40, 0.5, 1), (40, 0.2, 4)])
def test_intervals_cover_the_truth(p: int, rate: float, n: int) -> None:
    rng, truth, hits, some = np.random.default_rng(8), stats.norm.cdf(1 / np.sqrt(2)), 0, 0
    for _ in range(300):
        correct = rng.random((p, n)) < rate
        scores = rng.normal(size=(1, p, n)) + correct
        [(found, _)] = across_problems(scores, correct, np.full((p, n), 9))
        if not np.isnan(found.estimate):
            first, second = (effective_number(side) for side in found.sides)
            low, high, _ = concordance_interval(found.units, (first, second), 0.95)
            assert 0.0 <= low <= found.estimate <= high <= 1.0
            some, hits = some + 1, hits + (low <= truth <= high)
    assert some > 250
    assert hits / some > 0.94


def test_complete_separation_has_an_interval_of_as_many_problems_as_the_rarer_side() -> None:
    units = np.ones(30)
    low, high, method = concordance_interval(units, (4.0, 26.0), 0.95)
    t = stats.t.ppf(0.975, 6)
    assert (low, high, method) == (pytest.approx(4 / (4 + t * t)), 1.0, "wilson-design pairs")
