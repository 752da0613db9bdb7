"""Recipes: what a preference pair of a problem's pool may choose and reject, and the options that fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import get_args

from bon_eval.dpo.pairs.candidates import Candidate, CandidatePool
from bon_eval.dpo.pairs.orders import Order
from bon_eval.errors import ConfigError, unknown_name

_UNFIT = ", truncated and empty ones left out"
_RANGES = {
    "likelihood": "nats, at least 0",
    "votes": "a vote share from 0 to 1",
    "distance": "a distance in the answers' own units, at least 0",
}


@dataclass(frozen=True, slots=True)
class PairOptions:
    """What a recipe is asked for; `check_options` says which options fit which recipe."""

    per_problem: int = 1
    """Most pairs of one problem."""
    order: Order | None = None
    """Of `wrong-wrong` only; None: by likelihood."""
    margin: float | None = None
    """Smallest gap by which chosen leads in what orders the recipe: nats, vote share, or distance to the right answer.
    None: any lead."""
    match_length: float | None = None
    """Largest allowed ratio of the longer side to the shorter: in tokens, or in characters where the tokens of a side
    are unknown (the solution's, another model's responses'). None: any."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class PairSide:
    """What a recipe may choose or reject."""

    text: str
    token_ids: tuple[int, ...] | None
    length: int
    value: float = 0.0
    """What orders the recipe: nats, or vote share."""
    number: Fraction | None = None
    """The same of the order by distance."""


@dataclass(frozen=True, slots=True)
class PairSides:
    """What a recipe may choose and what it may reject; one response may stand in both."""

    chosen: Sequence[PairSide]
    rejected: Sequence[PairSide]
    lacking: str | None = None
    """Why there is no pair at all."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A rule for pairs."""

    summary: str
    sides: Callable[[CandidatePool, Order | None], PairSides]
    order: Order | None = None
    """What chosen must lead in; None: nothing."""
    turned: str | None = None
    """The recipe whose pairs these are, each in a random direction."""
    orders: tuple[Order, ...] = ()
    """What it can be ordered by; all of these draw the same couples, as far as they can order them."""
    two_pools: bool = False
    """Whether chosen and rejected may come from two runs."""


def check_options(recipe: str, options: PairOptions, *, two_pools: bool = False) -> None:
    """Raise `ConfigError` for an unknown recipe or order, a value out of range, or an option the recipe cannot use.

    `two_pools`: whether rejected is to come from another run.
    """
    if recipe not in RECIPES:
        raise ConfigError(unknown_name("recipe", recipe, list(RECIPES)))
    order = order_of(recipe, options)
    if options.order is not None and not RECIPES[recipe].orders:
        raise ConfigError(f"order {options.order} was given for recipe {recipe}; only wrong-wrong takes an order")
    if options.order is not None and options.order not in get_args(Order):
        raise ConfigError(unknown_name("order", options.order, list(get_args(Order))))
    if two_pools and not RECIPES[recipe].two_pools:
        fit = ", ".join(sorted(name for name, known in RECIPES.items() if known.two_pools))
        raise ConfigError(f"rejected from another run was given for recipe {recipe}; only these take two runs: {fit}")
    if options.per_problem < 1:
        raise ConfigError(f"{options.per_problem} pairs per problem make no file; give at least 1")
    if options.seed < 0:
        raise ConfigError(f"seed {options.seed} is negative; give a whole number >= 0")
    if options.match_length is not None and not 1 <= options.match_length < math.inf:
        raise ConfigError(f"match length {options.match_length:g} is no ratio of longer to shorter; give at least 1")
    if options.margin is None:
        return
    if order is None or order == "random":
        ordered = ", ".join(sorted(name for name, known in RECIPES.items() if known.order is not None))
        how = f"recipe {recipe}" if order is None else f"{recipe} in random direction"
        raise ConfigError(
            f"margin {options.margin:g} was given for {how}, which orders nothing; leave it out, or use one of: "
            f"{ordered}" + (" (by likelihood, votes or distance)" if order == "random" else "")
        )
    most = 1.0 if order == "votes" else math.inf
    if not 0 <= options.margin <= most or math.isinf(options.margin):
        raise ConfigError(f"margin {options.margin:g} is out of range for {recipe} by {order}; give {_RANGES[order]}")


def order_of(recipe: str, options: PairOptions) -> Order | None:
    """What chosen must lead in, or None where the recipe orders nothing."""
    return options.order or RECIPES[recipe].order


def _side(pool: CandidatePool, candidate: Candidate, order: Order | None = None) -> PairSide:
    ids = candidate.token_ids
    return PairSide(
        candidate.text,
        ids,
        len(ids) if ids is not None and pool.tokens_known else len(candidate.text),
        {"likelihood": candidate.log_likelihood, "votes": candidate.vote_share}.get(order or "", 0.0),
        candidate.number,
    )


def _correct_wrong(pool: CandidatePool, _: Order | None) -> PairSides:
    correct, wrong = [c for c in pool.candidates if c.correct], [c for c in pool.rejectable if c.wrong]
    for name, found in (("no correct response", correct), ("no wrong response", wrong)):
        if not any(c.fit for c in found):
            return PairSides((), (), name + (_UNFIT if found else ""))
    return PairSides([_side(pool, c) for c in correct if c.fit], [_side(pool, c) for c in wrong if c.fit])


def _wrong_wrong(pool: CandidatePool, order: Order | None) -> PairSides:
    if order == "distance" and pool.right is None:
        return PairSides((), (), "the right answer is no number")
    wrong = [c for c in pool.candidates if c.wrong]
    sides = [_side(pool, c, order) for c in wrong if c.fit]
    if len(sides) < 2:
        return PairSides((), (), "fewer than two wrong responses" + (_UNFIT if len(wrong) >= 2 else ""))
    return PairSides(sides, sides)


def _best_random(pool: CandidatePool, order: Order | None) -> PairSides:
    sides = [_side(pool, c, order) for c in pool.candidates if c.fit]
    if len(sides) < 2:
        return PairSides((), (), "fewer than two responses" + _UNFIT)
    return PairSides([max(sides, key=lambda side: side.value)], sides)


def _gold_sample(pool: CandidatePool, _: Order | None) -> PairSides:
    if pool.solution is None:
        return PairSides((), (), "no solution in the data set")
    gold = PairSide(pool.solution, None, len(pool.solution))
    samples = [PairSide(c.text, c.token_ids, len(c.text)) for c in pool.candidates if c.fit]
    return PairSides([gold], samples, None if samples else "no response" + _UNFIT)


RECIPES: Mapping[str, Recipe] = {
    "correct-wrong": Recipe("a random correct over a random wrong response", _correct_wrong, two_pools=True),
    "wrong-wrong": Recipe(
        "of two random wrong responses the likelier, the one with more votes or nearer to the right answer, or either",
        _wrong_wrong,
        "likelihood",
        orders=get_args(Order),
    ),
    "best-random": Recipe("the likeliest response over a random other one; no grades", _best_random, "likelihood"),
    "gold-sample": Recipe("the data set's own solution over a random response", _gold_sample),
    "shuffled": Recipe(
        "the pairs of correct-wrong, each in a random direction", _correct_wrong, turned="correct-wrong", two_pools=True
    ),
}
