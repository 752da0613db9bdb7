"""Recipes on hand-made pools: what may be picked, what is drawn, and why there is less than was asked for."""

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
from bon_eval.dpo.pairs.files import Pair
from bon_eval.dpo.pairs.recipes import RECIPES, PairOptions, check_options
from bon_eval.dpo.pairs.stored_pools import vote_shares
from bon_eval.errors import ConfigError

R, W, U = "right", "wrong", "unscored"


def candidate(
    index: int, verdict: str, log_likelihood: float, votes: float = 0.0, *, text: str | None = None, **more: Any
) -> Candidate:
    said = f"{verdict} {index}" if text is None else text
    ids = (*map(ord, said), 0)
    number = more.pop("number", None)
    cut = more.pop("truncated", False)
    return Candidate(index, said, ids, log_likelihood, verdict == R, verdict == U, votes, cut, number)


def pool(
    *rows: tuple[Any, ...], problem: str = "p", solution: str | None = None, right: Fraction | None = None
) -> CandidatePool:
    """Rows: verdict, log-likelihood, votes, and a mapping of other fields."""
    candidates = []
    for index, (verdict, log_likelihood, *rest) in enumerate(rows):
        votes = next((x for x in rest if isinstance(x, float)), 0.0)
        more = next((x for x in rest if isinstance(x, dict)), {})
        candidates.append(candidate(index, verdict, log_likelihood, votes, **more))
    return CandidatePool(problem, "question\n", tuple(candidates), (7, 8), solution, right)


def texts(pairs: tuple[Pair, ...]) -> list[tuple[Any, Any]]:
    return [(pair.chosen, pair.rejected) for pair in pairs]


def every(made: CandidatePool, recipe: str, **options: Any) -> set[tuple[Any, Any]]:
    """All pairs that a recipe allows."""
    pairs, _ = build_pairs([made], recipe, PairOptions(per_problem=1000, **options))
    assert len(set(texts(pairs))) == len(pairs)
    return set(texts(pairs))


def reasons(made: CandidatePool, recipe: str, **options: Any) -> list[str]:
    _, skipped = build_pairs([made], recipe, PairOptions(**options))
    assert all(ids == ("p",) for ids in skipped.values())
    return list(skipped)


CUT = {"truncated": True}
MIXED = pool((R, -1.0), (W, -2.0), (U, -0.5), (R, -4.0), (W, -3.0), (R, -0.1, CUT), (W, -0.2, {"text": " "}))


def test_correct_wrong_takes_neither_unscored_nor_truncated_nor_empty_responses() -> None:
    rights, wrongs = ("right 0", "right 3"), ("wrong 1", "wrong 4")
    assert every(MIXED, "correct-wrong") == {(c, r) for c in rights for r in wrongs}


def test_wrong_wrong_chooses_the_likelier() -> None:
    made = pool((W, -3.0), (W, -1.0), (W, -2.0), (R, 0.0), (U, -0.5))
    assert every(made, "wrong-wrong") == {("wrong 1", "wrong 2"), ("wrong 1", "wrong 0"), ("wrong 2", "wrong 0")}
    assert every(made, "wrong-wrong", margin=1.0) == every(made, "wrong-wrong")
    assert every(made, "wrong-wrong", margin=1.5) == {("wrong 1", "wrong 0")}


def test_wrong_wrong_by_votes_chooses_the_larger_share_and_never_two_of_one_answer() -> None:
    made = pool((W, -9.0, 0.3), (W, -1.0, 0.2), (W, -2.0, 0.2), (R, 0.0, 0.3), (W, -0.1, 0.0))
    expected = {(f"wrong {i}", f"wrong {j}") for i, j in ((0, 1), (0, 2), (0, 4), (1, 4), (2, 4))}
    assert every(made, "wrong-wrong", order="votes") == expected
    # 0.3 - 0.2 is less than 0.1 in floating point
    assert every(made, "wrong-wrong", order="votes", margin=0.1) == expected
    assert every(made, "wrong-wrong", order="votes", margin=0.25) == {("wrong 0", "wrong 4")}


def test_best_random_chooses_the_likeliest_and_reads_no_grade() -> None:
    rejected = ("wrong 1", "right 0", "wrong 4", "right 3")
    assert every(MIXED, "best-random") == {("unscored 2", text) for text in rejected}
    regraded = replace(MIXED, candidates=tuple(replace(c, correct=False, unscored=True) for c in MIXED.candidates))
    assert build_pairs([regraded], "best-random", PairOptions()) == build_pairs([MIXED], "best-random", PairOptions())
    assert every(MIXED, "best-random", margin=2.0) == {("unscored 2", "wrong 4"), ("unscored 2", "right 3")}


def test_gold_sample_has_no_token_ids_for_the_solution_and_refuses_its_own_text() -> None:
    made = replace(MIXED, solution="right 0\n")
    pairs, _ = build_pairs([made], "gold-sample", PairOptions(per_problem=9))
    assert {p.rejected for p in pairs} == {"wrong 1", "unscored 2", "right 3", "wrong 4"}
    assert {(p.chosen, p.chosen_token_ids, p.prompt_token_ids) for p in pairs} == {("right 0\n", None, (7, 8))}
    assert all(p.rejected_token_ids == (*map(ord, str(p.rejected)), 0) for p in pairs)


def test_a_text_that_the_pool_repeats_makes_one_pair_and_is_drawn_as_often_as_it_is_sampled() -> None:
    same = {"text": "again"}
    made = pool((R, -1.0), (W, -2.0), (W, -1.0, same), (W, -1.0, same), (W, -1.0, same))
    assert every(made, "correct-wrong") == {("right 0", "wrong 1"), ("right 0", "again")}
    drawn = Counter(
        build_pairs([made], "correct-wrong", PairOptions(seed=seed))[0][0].rejected for seed in range(2_000)
    )
    assert abs(drawn["again"] / 2_000 - 0.75) < 0.04  # four standard errors


def test_one_text_of_two_tokenizations_never_stands_on_both_sides_nor_in_both_directions() -> None:
    made = pool((W, -1.0, {"text": "same"}), (W, -2.0), (W, -3.0, {"text": "same"}))
    other = replace(made.candidates[2], token_ids=(1, 2, 0))
    made = replace(made, candidates=(*made.candidates[:2], other))
    for seed in range(20):
        pairs, _ = build_pairs([made], "wrong-wrong", PairOptions(per_problem=9, seed=seed))
        assert len(pairs) == 1
        assert {pairs[0].chosen, pairs[0].rejected} == {"same", "wrong 1"}


def test_sides_differ_in_their_tokens_too() -> None:
    made = pool((R, -1.0), (W, -1.0), (W, -1.0))
    [right, same, other] = made.candidates
    made = replace(made, candidates=(right, replace(same, token_ids=right.token_ids), other))
    assert every(made, "correct-wrong") == {("right 0", "wrong 2")}


def test_lengths_are_tokens_and_for_gold_characters() -> None:
    made = pool((R, -1.0, {"text": "1234567"}), (W, -1.0, {"text": "123"}), (W, -1.0, {"text": "x" * 15}))
    assert every(made, "correct-wrong", match_length=2) == {("1234567", "123"), ("1234567", "x" * 15)}  # 8, 4, 16
    assert reasons(made, "correct-wrong", match_length=1.99) == ["fewer than 1 pair within a length ratio of 1.99"]
    gold = replace(made, solution="123456")
    assert every(gold, "gold-sample", match_length=2) == {("123456", "123"), ("123456", "1234567")}


def test_messages_stay_messages() -> None:
    prompt = ({"role": "user", "content": "question"},)
    [pair], _ = build_pairs([replace(pool((R, -1.0), (W, -1.0)), prompt=prompt)], "correct-wrong", PairOptions())
    assert pair.prompt == prompt
    assert pair.chosen == ({"role": "assistant", "content": "right 0"},)
    assert pair.rejected == ({"role": "assistant", "content": "wrong 1"},)
    assert (pair.id, pair.problem_id, pair.recipe) == ("p/0", "p", "correct-wrong")


UNFIT = ", truncated and empty ones left out"
SHORT: dict[str, tuple[CandidatePool, str, dict[str, Any], list[str]]] = {
    "all fine": (MIXED, "correct-wrong", {"per_problem": 4}, []),
    "one too few": (MIXED, "correct-wrong", {"per_problem": 5}, ["fewer than 5 pairs of different texts"]),
    "no correct": (pool((W, 0.0), (U, 0.0)), "correct-wrong", {}, ["no correct response"]),
    "correct cut": (pool((W, 0.0), (R, 0.0, CUT)), "shuffled", {}, ["no correct response" + UNFIT]),
    "no wrong": (pool((R, 0.0), (U, 0.0)), "correct-wrong", {}, ["no wrong response"]),
    "wrong empty": (pool((R, 0.0), (W, 0.0, {"text": ""})), "correct-wrong", {}, ["no wrong response" + UNFIT]),
    "one wrong": (pool((W, 0.0), (R, 0.0)), "wrong-wrong", {}, ["fewer than two wrong responses"]),
    "wrong cut": (pool((W, 0.0), (W, 0.0, CUT)), "wrong-wrong", {}, ["fewer than two wrong responses" + UNFIT]),
    "tied": (pool((W, -1.0), (W, -1.0)), "wrong-wrong", {}, ["fewer than 1 pair not tied in likelihood"]),
    "tied votes": (
        pool((W, -1.0, 0.5), (W, -2.0, 0.5)),
        "wrong-wrong",
        {"order": "votes"},
        ["fewer than 1 pair not tied in votes"],
    ),
    "margin": (
        pool((W, -1.0), (W, -2.0)),
        "best-random",
        {"margin": 1.5},
        ["fewer than 1 pair with a gap of at least 1.5 (nats)"],
    ),
    "no number": (
        pool((W, -1.0, {"number": Fraction(1)}), (W, -2.0), right=Fraction(0)),
        "wrong-wrong",
        {"order": "distance"},
        ["fewer than 1 pair whose answers are both numbers"],
    ),
    "as far on the other side": (
        pool((W, -1.0, {"number": Fraction(3)}), (W, -2.0, {"number": Fraction(7)}), right=Fraction(5)),
        "wrong-wrong",
        {"order": "distance"},
        ["fewer than 1 pair not tied in distance"],
    ),
    "distance margin": (
        pool((W, -1.0, {"number": Fraction(3)}), (W, -2.0, {"number": Fraction(8)}), right=Fraction(5)),
        "wrong-wrong",
        {"order": "distance", "margin": 1.5},
        ["fewer than 1 pair with a gap of at least 1.5 (distance to the right answer)"],
    ),
    "right answer no number": (
        pool((W, -1.0, {"number": Fraction(3)}), (W, -2.0, {"number": Fraction(8)})),
        "wrong-wrong",
        {"order": "distance"},
        ["the right answer is no number"],
    ),
    "random of one": (pool((W, 0.0), (R, 0.0)), "wrong-wrong", {"order": "random"}, ["fewer than two wrong responses"]),
    "one response": (pool((W, 0.0), (R, 0.0, CUT)), "best-random", {}, ["fewer than two responses" + UNFIT]),
    "one text": (
        pool((W, 0.0, {"text": "a"}), (W, 0.0, {"text": "a"})),
        "best-random",
        {},
        ["fewer than 1 pair of different texts"],
    ),
    "all gold": (
        pool((R, 0.0, {"text": "a"}), solution="a"),
        "gold-sample",
        {},
        ["fewer than 1 pair of different texts"],
    ),
    "no gold": (pool((R, 0.0)), "gold-sample", {}, ["no solution in the data set"]),
    "all cut": (pool((R, 0.0, CUT), solution="a"), "gold-sample", {}, ["no response" + UNFIT]),
}


@pytest.mark.parametrize(("made", "recipe", "options", "expected"), SHORT.values(), ids=SHORT)
def test_why_there_are_fewer(made: CandidatePool, recipe: str, options: dict[str, Any], expected: list[str]) -> None:
    assert reasons(made, recipe, **options) == expected


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "unknown recipe": ("best", {}, "unknown recipe 'best'; valid: best-random, correct-wrong"),
    "order of another": ("best-random", {"order": "votes"}, "only wrong-wrong takes an order"),
    "unknown order": (
        "wrong-wrong",
        {"order": "length"},
        "unknown order 'length'; valid: distance, likelihood, random",
    ),
    "margin without order": ("correct-wrong", {"margin": 0.0}, "orders nothing; .* one of: best-random, wrong-wrong"),
    "shuffled margin": ("shuffled", {"margin": 1.0}, "orders nothing"),
    "gold margin": ("gold-sample", {"margin": 1.0}, "orders nothing"),
    "negative margin": ("wrong-wrong", {"margin": -1.0}, "give nats, at least 0"),
    "endless margin": ("wrong-wrong", {"margin": float("inf")}, "give nats, at least 0"),
    "margin nan": ("wrong-wrong", {"margin": float("nan")}, "give nats, at least 0"),
    "share above 1": ("wrong-wrong", {"margin": 2.0, "order": "votes"}, "a vote share from 0 to 1"),
    "random margin": ("wrong-wrong", {"margin": 1.0, "order": "random"}, "in random direction, which orders nothing"),
    "negative distance": ("wrong-wrong", {"margin": -1.0, "order": "distance"}, "a distance in the answers' own units"),
    "no pairs": ("shuffled", {"per_problem": 0}, "0 pairs per problem"),
    "seed": ("shuffled", {"seed": -1}, "seed -1 is negative"),
    "ratio": ("shuffled", {"match_length": 0.9}, "match length 0.9 .* at least 1"),
}


@pytest.mark.parametrize(("recipe", "options", "message"), REFUSED.values(), ids=REFUSED)
def test_options_that_make_no_sense(recipe: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        check_options(recipe, PairOptions(**options))
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError):
        build_pairs([MIXED], recipe, PairOptions(**options))


@st.composite
def pools(draw: st.DrawFn) -> CandidatePool:
    rows = draw(
        st.lists(
            st.tuples(
                st.sampled_from((R, W, U)),
                st.integers(-6, 0).map(float),
                st.sampled_from((0.0, 0.25, 0.5)),
                st.fixed_dictionaries({"text": st.sampled_from(["a", "aa", "b", "bb", "ccc", "c\n", "d", ""])}),
                st.booleans(),
                st.sampled_from((None, Fraction(-1), Fraction(1, 3), Fraction(2, 3), Fraction(2))),
            ),
            min_size=1,
            max_size=12,
        )
    )
    made = pool(
        *((v, ll, votes, more | {"truncated": cut, "number": number}) for v, ll, votes, more, cut, number in rows),
        solution="aa",
        right=Fraction(1, 3),
    )
    return replace(made, problem_id=draw(st.sampled_from("xyz")))


OPTIONS = st.builds(
    PairOptions,
    per_problem=st.integers(1, 6),
    margin=st.sampled_from((None, 0.0, 0.25, 2.0)),
    match_length=st.sampled_from((None, 1.0, 1.5)),
    seed=st.integers(0, 3),
    order=st.sampled_from((None, "likelihood", "votes", "distance", "random")),
)


def fitting(recipe: str, options: PairOptions) -> PairOptions:
    order = options.order if recipe == "wrong-wrong" else None
    margin = options.margin if RECIPES[recipe].order and order != "random" else None
    return replace(options, order=order, margin=min(margin, 1.0) if margin and order == "votes" else margin)


@given(made=pools(), options=OPTIONS, recipe=st.sampled_from(sorted(RECIPES)))
def test_every_pair_obeys_its_recipe(made: CandidatePool, options: PairOptions, recipe: str) -> None:
    options = fitting(recipe, options)
    pairs, skipped = build_pairs([made], recipe, options)
    assert (len(pairs) < options.per_problem) == bool(skipped)
    assert len({frozenset((str(p.chosen).strip(), str(p.rejected).strip())) for p in pairs}) == len(pairs)
    fit = [c for c in made.candidates if not c.truncated and c.text.strip()]

    def matches(text: Any, ids: Any) -> list[Candidate]:
        return [c for c in fit if (c.text, c.token_ids) == (text, ids)]

    for pair in pairs:
        assert str(pair.chosen).strip() != str(pair.rejected).strip()
        losers = matches(pair.rejected, pair.rejected_token_ids)
        if recipe == "gold-sample":
            assert (pair.chosen, pair.chosen_token_ids) == ("aa", None)
            assert losers
            lengths = len("aa"), len(str(pair.rejected))
        else:
            winners = matches(pair.chosen, pair.chosen_token_ids)
            couples = [(w, x) for w in winners for x in losers]
            assert any(_holds(recipe, options, w, x, fit) for w, x in couples)
            lengths = len(pair.chosen_token_ids or ()), len(pair.rejected_token_ids or ())
        if options.match_length is not None:
            assert max(lengths) <= options.match_length * min(lengths)


def _holds(recipe: str, options: PairOptions, chosen: Candidate, rejected: Candidate, fit: list[Candidate]) -> bool:
    margin = options.margin or 0.0
    wrong = [not c.correct and not c.unscored for c in (chosen, rejected)]
    lead = chosen.log_likelihood - rejected.log_likelihood
    if recipe == "correct-wrong":
        return chosen.correct and wrong[1]
    if recipe == "shuffled":
        return (chosen.correct and wrong[1]) or (rejected.correct and wrong[0])
    if recipe == "best-random":
        return chosen.log_likelihood == max(c.log_likelihood for c in fit) and lead > 0 and lead >= margin
    if options.order == "random":
        return all(wrong)
    if options.order == "votes":
        lead = chosen.vote_share - rejected.vote_share
    if options.order == "distance":
        if chosen.number is None or rejected.number is None:
            return False
        lead = float(abs(rejected.number - Fraction(1, 3)) - abs(chosen.number - Fraction(1, 3)))
    return all(wrong) and lead > 0 and lead >= margin - 1e-9


@given(made=pools(), options=OPTIONS, recipe=st.sampled_from(sorted(RECIPES)))
def test_more_pairs_keep_the_first_and_other_problems_change_nothing(
    made: CandidatePool, options: PairOptions, recipe: str
) -> None:
    options = fitting(recipe, options)
    alone, _ = build_pairs([made], recipe, options)
    around = replace(MIXED, solution="s", right=Fraction(1))
    others = [replace(around, problem_id="before"), made, replace(around, problem_id="after")]
    among, _ = build_pairs(others, recipe, options)
    assert tuple(p for p in among if p.problem_id == made.problem_id) == alone
    more, _ = build_pairs([made], recipe, replace(options, per_problem=options.per_problem + 3))
    assert more[: len(alone)] == alone


def test_shuffled_are_the_pairs_of_correct_wrong_in_both_directions() -> None:
    problems = [replace(MIXED, problem_id=str(i)) for i in range(400)]
    straight, _ = build_pairs(problems, "correct-wrong", PairOptions(per_problem=2, seed=5))
    shuffled, _ = build_pairs(problems, "shuffled", PairOptions(per_problem=2, seed=5))
    kept = [a.chosen == b.chosen for a, b in zip(straight, shuffled, strict=True)]
    for a, b, same in zip(straight, shuffled, kept, strict=True):
        turned = replace(
            a,
            chosen=a.rejected,
            rejected=a.chosen,
            chosen_token_ids=a.rejected_token_ids,
            rejected_token_ids=a.chosen_token_ids,
        )
        assert b == replace(a if same else turned, recipe="shuffled")
    assert abs(np.mean(kept) - 0.5) < 4 * 0.5 / np.sqrt(len(kept))


def test_the_seed_decides() -> None:
    problems = [replace(MIXED, problem_id=str(i)) for i in range(50)]
    one, again, other = (build_pairs(problems, "correct-wrong", PairOptions(seed=seed))[0] for seed in (1, 1, 2))
    assert one == again
    assert one != other
    assert len({(p.chosen, p.rejected) for p in one}) == 4, "problems draw independently"


def test_the_likelihood_order_is_the_default() -> None:
    made = pool((W, -3.0), (W, -1.0), (W, -2.0))
    default, named = (build_pairs([made], "wrong-wrong", PairOptions(order=o)) for o in (None, "likelihood"))
    assert default == named
    [pair], _ = build_pairs([pool((W, -1.0, 0.5), (W, -1.0, 0.2))], "wrong-wrong", PairOptions(order="votes"))
    assert pair.recipe == "wrong-wrong-votes"


def test_vote_shares_by_hand() -> None:
    classes = np.array([[0, 0, 1, -1], [-1, -1, -1, -1], [3, 3, 3, 3]], dtype=np.int32)
    assert vote_shares(classes).tolist() == [[0.5, 0.5, 0.25, 0.0], [0.0] * 4, [1.0] * 4]
