"""Drawing pairs: a recipe over pools in memory -> pairs, and what could not be built.

What is drawn on a problem depends on the seed, the recipe and that problem alone, so other problems and other recipes
change nothing; more pairs per problem keep the first ones. The orders of a recipe go through the couples of
responses in the same sequence and take the first that they can order; of one couple they differ in the direction alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from bon_eval.dpo.pairs.candidates import CandidatePool
from bon_eval.dpo.pairs.files import Pair, Text
from bon_eval.dpo.pairs.orders import ROUNDING, Order, Rule, distance_rules, lead_rules
from bon_eval.dpo.pairs.recipes import RECIPES, PairOptions, PairSide, PairSides, check_options, order_of
from bon_eval.stats.streams import seeded_stream


def build_pairs(
    pools: Iterable[CandidatePool], recipe: str, options: PairOptions
) -> tuple[tuple[Pair, ...], dict[str, tuple[str, ...]]]:
    """The pairs of a recipe, and the problems that gave fewer than `options.per_problem`, by reason.

    On each problem pairs are drawn uniformly and without replacement from all (chosen, rejected) that the recipe and
    the options allow, so a text that the pool repeats is picked as often as it is sampled. Two texts make at most one
    pair of a problem, in whichever direction, and they differ by more than surrounding blanks. Truncated and empty
    responses are never used.

    Raises:
        ConfigError: as `check_options` does.
    """
    check_options(recipe, options)
    pairs: list[Pair] = []
    skipped: dict[str, list[str]] = {}
    for pool in pools:
        found, reason = _pairs_of(pool, recipe, options)
        pairs.extend(found)
        if reason is not None:
            skipped.setdefault(reason, []).append(pool.problem_id)
    return tuple(pairs), {reason: tuple(ids) for reason, ids in skipped.items()}


def recipe_name(recipe: str, order: Order | None) -> str:
    """What a pair's `recipe` is: the order is in it where it is not the recipe's own."""
    return recipe if order in (None, RECIPES[recipe].order) else f"{recipe}-{order}"


def _pairs_of(pool: CandidatePool, recipe: str, options: PairOptions) -> tuple[list[Pair], str | None]:
    """The pairs of one problem, and why there are fewer than asked for."""
    rule = RECIPES[recipe]
    order = order_of(recipe, options)
    sides = rule.sides(pool, order)
    if sides.lacking is not None:
        return [], sides.lacking
    keys, rules = _grid(pool, sides, order, options)
    left, right = np.nonzero(np.logical_and.reduce([r.holds for r in rules]))
    picks: dict[int, tuple[int, int]] = {}
    for k in _in_random_order(pool.problem_id, recipe, options, left, right, keys.shape):
        picks.setdefault(int(keys[left[k], right[k]]), (int(left[k]), int(right[k])))
        if len(picks) == options.per_problem:
            break
    turns = np.zeros(len(picks), dtype=np.bool_)
    if rule.turned is not None or order == "random":
        name = recipe_name(recipe, order)
        turns = seeded_stream(options.seed, f"pairs/{name}/{pool.problem_id}").random(len(picks)) < 0.5
    pairs = []
    for k, ((i, j), turn) in enumerate(zip(picks.values(), turns, strict=True)):
        chosen, rejected = sides.chosen[i], sides.rejected[j]
        ends = (rejected, chosen) if turn else (chosen, rejected)
        pairs.append(_pair(pool, recipe_name(recipe, order), k, *ends))
    return pairs, None if len(pairs) == options.per_problem else _shortage(keys, rules, options.per_problem)


def _in_random_order(
    problem: str,
    recipe: str,
    options: PairOptions,
    left: NDArray[np.intp],
    right: NDArray[np.intp],
    shape: tuple[int, ...],
) -> NDArray[np.intp]:
    """The places of (left, right) in the order in which they are drawn."""
    rule = RECIPES[recipe]
    if rule.orders:
        # A couple has one place whichever of the two is chosen, and has it whatever else is allowed.
        place = seeded_stream(options.seed, f"pairs/{recipe}//{problem}").random(shape)
        return np.argsort(place[np.minimum(left, right), np.maximum(left, right)], kind="stable")
    source, order = rule.turned or recipe, order_of(recipe, options)
    return seeded_stream(options.seed, f"pairs/{source}/{order or ''}/{problem}").permutation(len(left))


def _grid(
    pool: CandidatePool, sides: PairSides, order: Order | None, options: PairOptions
) -> tuple[NDArray[np.int64], list[Rule]]:
    """For every (chosen, rejected) a number for its two texts, the same in either order, and the rules for pairs."""
    texts: dict[str, int] = {}
    # Responses without token ids differ from all others.
    ids: dict[object, int] = {}
    (text_c, ids_c, length_c), (text_r, ids_r, length_r) = (
        (
            np.array([texts.setdefault(s.text.strip(), len(texts)) for s in side], dtype=np.int64),
            np.array([ids.setdefault(s.token_ids or object(), len(ids)) for s in side], dtype=np.int64),
            np.array([s.length for s in side], dtype=np.float64),
        )
        for side in (sides.chosen, sides.rejected)
    )
    rules = [Rule("of different texts", (text_c[:, None] != text_r) & (ids_c[:, None] != ids_r))]
    if order == "distance":
        assert pool.right is not None  # else the recipe has no sides
        nearer, farther = ([s.number for s in side] for side in (sides.chosen, sides.rejected))
        rules += distance_rules(pool.right, nearer, farther, options.margin)
    elif order is not None and order != "random":
        high, low = ([s.value for s in side] for side in (sides.chosen, sides.rejected))
        rules += lead_rules(order, high, low, options.margin)
    if options.match_length is not None:
        longer, shorter = np.maximum(length_c[:, None], length_r), np.minimum(length_c[:, None], length_r)
        near = longer <= (options.match_length + ROUNDING) * shorter
        rules.append(Rule(f"within a length ratio of {options.match_length:g}", near))
    return np.minimum(text_c[:, None], text_r) * len(texts) + np.maximum(text_c[:, None], text_r), rules


def _shortage(keys: NDArray[np.int64], rules: Sequence[Rule], wanted: int) -> str:
    """The first rule that leaves too few different pairs."""
    allowed = np.ones(keys.shape, dtype=np.bool_)
    for rule in rules:
        allowed &= rule.holds
        if len(np.unique(keys[allowed])) < wanted:
            break
    return f"fewer than {wanted} {'pair' if wanted == 1 else 'pairs'} {rule.unmet}"


def _pair(pool: CandidatePool, recipe: str, k: int, chosen: PairSide, rejected: PairSide) -> Pair:
    def form(text: str) -> Text:
        return text if isinstance(pool.prompt, str) else ({"role": "assistant", "content": text},)

    return Pair(
        id=f"{pool.problem_id}/{k}",
        problem_id=pool.problem_id,
        prompt=pool.prompt,
        chosen=form(chosen.text),
        rejected=form(rejected.text),
        recipe=recipe,
        prompt_token_ids=pool.prompt_token_ids,
        chosen_token_ids=chosen.token_ids,
        rejected_token_ids=rejected.token_ids,
        end_token_id=pool.end_token_id,
        stop=pool.stop if chosen.token_ids or rejected.token_ids else (),
    )
