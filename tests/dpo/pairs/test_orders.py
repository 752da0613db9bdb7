"""The orders of wrong-wrong: distance by brute force, a fair coin, the same couples, likelihood kept out."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bon_eval.dpo.pairs.build import build_pairs
from bon_eval.dpo.pairs.candidates import Candidate, CandidatePool
from bon_eval.dpo.pairs.orders import distance_rules, lead_rules
from bon_eval.dpo.pairs.recipes import PairOptions

NUMBERS = st.one_of(st.none(), st.fractions(-3, 3, max_denominator=6))
RIGHT = Fraction(12)


def made_pool(
    n: int, rng: np.random.Generator, *, problem: str = "p", right: Fraction | None = RIGHT, ties: bool = True
) -> CandidatePool:
    """Wrong responses with random numbers; a third of them states none where there are ties."""
    candidates = []
    for i in range(n):
        number = Fraction(int(rng.integers(1, 40)), 3) if ties else Fraction(i)
        candidates.append(
            Candidate(
                index=i,
                text=f"text {i}",
                token_ids=(i + 1, 0),
                log_likelihood=-float(rng.integers(1, 9)) if ties else -float(rng.random()),
                correct=False,
                unscored=False,
                vote_share=float(rng.integers(1, 4)) / 8 if ties else float(rng.random()),
                truncated=False,
                number=None if ties and rng.random() < 1 / 3 else number,
            )
        )
    return CandidatePool(problem, "question\n", tuple(candidates), (7, 8), None, right)


def drawn(pools: list[CandidatePool], order: Any, **options: Any) -> list[tuple[str, Any, Any]]:
    pairs, _ = build_pairs(pools, "wrong-wrong", PairOptions(order=order, **options))
    return [(pair.problem_id, pair.chosen, pair.rejected) for pair in pairs]


@given(
    right=st.fractions(-2, 2, max_denominator=6),
    chosen=st.lists(NUMBERS, min_size=1, max_size=6),
    rejected=st.lists(NUMBERS, min_size=1, max_size=6),
    margin=st.sampled_from((None, 0.0, 0.1, 0.5, 1.0)),
)
def test_distance_by_brute_force(
    right: Fraction, chosen: list[Fraction | None], rejected: list[Fraction | None], margin: float | None
) -> None:
    known, leads = distance_rules(right, chosen, rejected, margin)
    least = {None: Fraction(0), 0.0: Fraction(0), 0.1: Fraction(1, 10), 0.5: Fraction(1, 2), 1.0: Fraction(1)}[margin]
    for i, c in enumerate(chosen):
        for j, r in enumerate(rejected):
            assert known.holds[i, j] == (c is not None and r is not None)
            lead = None if c is None or r is None else abs(r - right) - abs(c - right)
            assert leads.holds[i, j] == (lead is not None and lead > 0 and lead >= least)


def test_a_margin_is_exact() -> None:
    tenth = Fraction(1, 10)
    _, leads = distance_rules(Fraction(0), [Fraction(0)], [tenth, tenth - Fraction(1, 10**30)], 0.1)
    assert leads.holds.tolist() == [[True, False]]
    huge = Fraction(10**40)
    _, leads = distance_rules(Fraction(0), [huge], [huge + 1, huge], None)
    assert leads.holds.tolist() == [[True, False]], "no floating point: the numbers are equal there"


def test_by_hand() -> None:
    # The right answer is 44: 43 is nearer than 46, which is nearer than 30; 45 is as near as 43.
    numbers = [Fraction(43), Fraction(46), Fraction(30), None, Fraction(45)]
    pool = made_pool(5, np.random.default_rng(0), right=Fraction(44))
    pool = replace(pool, candidates=tuple(replace(c, number=n) for c, n in zip(pool.candidates, numbers, strict=True)))
    found = {(c, r) for _, c, r in drawn([pool], "distance", per_problem=99)}
    expected = [(0, 1), (0, 2), (1, 2), (4, 1), (4, 2)]
    assert found == {(f"text {i}", f"text {j}") for i, j in expected}
    found = {(c, r) for _, c, r in drawn([pool], "distance", per_problem=99, margin=2)}
    assert found == {(f"text {i}", f"text {j}") for i, j in [(0, 2), (1, 2), (4, 2)]}, "1 or 2 from 14 away"


def test_values_lead_as_floats_do() -> None:
    [rule] = lead_rules("votes", [0.3, 0.1], [0.2, 0.3], 0.1)
    assert rule.holds.tolist() == [[True, False], [False, False]]


@pytest.mark.parametrize("order", ["votes", "distance", "random"])
def test_pairs_do_not_depend_on_likelihood(order: str) -> None:
    rng = np.random.default_rng(3)
    pools = [made_pool(8, rng, problem=str(k)) for k in range(60)]
    shuffled = []
    for pool in pools:
        nats = rng.permutation([c.log_likelihood for c in pool.candidates])
        new = tuple(replace(c, log_likelihood=float(x)) for c, x in zip(pool.candidates, nats, strict=True))
        shuffled.append(replace(pool, candidates=new))
    assert shuffled != pools
    for per_problem in (1, 4):
        found = drawn(pools, order, per_problem=per_problem)
        assert found == drawn(shuffled, order, per_problem=per_problem)
        assert len(found) > 40
    assert drawn(pools, "likelihood") != drawn(shuffled, "likelihood")


def test_all_orders_draw_the_same_couples_where_none_is_tied() -> None:
    rng = np.random.default_rng(5)
    pools = [made_pool(7, rng, problem=str(k), ties=False, right=Fraction(-1)) for k in range(40)]
    couples = {}
    for order in ("likelihood", "votes", "distance", "random"):
        found = drawn(pools, order, per_problem=5)
        couples[order] = [(problem, frozenset((c, r))) for problem, c, r in found]
    assert len(couples["random"]) == 200
    assert all(found == couples["random"] for found in couples.values())


def test_a_random_direction_is_a_fair_coin_on_every_couple() -> None:
    pool = made_pool(3, np.random.default_rng(1))
    counts = Counter((c, r) for seed in range(6000) for _, c, r in drawn([pool], "random", seed=seed))
    assert len(counts) == 6
    # Six directed pairs of 1000 each expected, with a standard deviation of 29.
    assert all(abs(count - 1000) < 120 for count in counts.values()), counts


def test_a_random_direction_is_fair_against_likelihood_and_distance() -> None:
    rng = np.random.default_rng(7)
    pools = [made_pool(6, rng, problem=str(k), ties=False) for k in range(3000)]
    by_text = {p.problem_id: {c.text: c for c in p.candidates} for p in pools}
    found = [(by_text[p][c], by_text[p][r]) for p, c, r in drawn(pools, "random")]
    likelier = np.mean([c.log_likelihood > r.log_likelihood for c, r in found])
    nearer = np.mean([abs(c.number - RIGHT) < abs(r.number - RIGHT) for c, r in found])
    first = np.mean([c.index < r.index for c, r in found])
    limit = 4 * 0.5 / np.sqrt(3000)
    assert max(abs(share - 0.5) for share in (likelier, nearer, first)) < limit


def test_a_text_that_is_sampled_often_is_drawn_often_in_both_directions() -> None:
    pool = made_pool(4, np.random.default_rng(2))
    again = tuple(replace(c, text="again", token_ids=(5, 0)) for c in pool.candidates[1:])
    pool = replace(pool, candidates=(pool.candidates[0], *again))
    counts = Counter((c, r) for seed in range(2000) for _, c, r in drawn([pool], "random", seed=seed))
    assert set(counts) == {("text 0", "again"), ("again", "text 0")}
    assert abs(counts["again", "text 0"] - 1000) < 100


def test_names_say_the_order() -> None:
    pool = made_pool(6, np.random.default_rng(4), ties=False)
    names = {
        order: build_pairs([pool], "wrong-wrong", PairOptions(order=order))[0][0].recipe  # type: ignore[arg-type]
        for order in ("likelihood", "votes", "distance", "random")
    }
    assert names == {
        "likelihood": "wrong-wrong",
        "votes": "wrong-wrong-votes",
        "distance": "wrong-wrong-distance",
        "random": "wrong-wrong-random",
    }
