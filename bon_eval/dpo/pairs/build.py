"""Drawing pairs: a recipe over pools in memory -> pairs, and what could not be built.

What is drawn on a problem depends on the seed, the recipe and that problem alone, so other problems and other recipes
change nothing; more pairs per problem keep the first ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bon_eval.dpo.pairs.candidates import CandidatePool
from bon_eval.dpo.pairs.files import Pair, Text
from bon_eval.dpo.pairs.recipes import RECIPES, Order, PairOptions, PairSide, PairSides, check_options, order_of
from bon_eval.stats.streams import seeded_stream

# Shares such as 3/10 - 2/10 and ratios such as 23/20 are not exact in floating point.
_ROUNDING = 1e-9


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


@dataclass(frozen=True, slots=True)
class _Rule:
    """One condition on pairs."""

    unmet: str
    """What the pairs are said to lack, after "fewer than k pairs"."""
    holds: NDArray[np.bool_]
    """Shape (chosen, rejected)."""


def _pairs_of(pool: CandidatePool, recipe: str, options: PairOptions) -> tuple[list[Pair], str | None]:
    """The pairs of one problem, and why there are fewer than asked for."""
    rule = RECIPES[recipe]
    order = order_of(recipe, options)
    sides = rule.sides(pool, order)
    if sides.lacking is not None:
        return [], sides.lacking
    keys, rules = _grid(sides, order, options)
    left, right = np.nonzero(np.logical_and.reduce([r.holds for r in rules]))
    source = rule.turned or recipe
    rng = seeded_stream(options.seed, "/".join(("pairs", source, order or "", pool.problem_id)))
    picks: dict[int, tuple[int, int]] = {}
    for k in rng.permutation(len(left)):
        picks.setdefault(int(keys[left[k], right[k]]), (int(left[k]), int(right[k])))
        if len(picks) == options.per_problem:
            break
    turns = np.zeros(len(picks), dtype=np.bool_)
    if rule.turned is not None:
        turns = seeded_stream(options.seed, f"pairs/{recipe}/{pool.problem_id}").random(len(picks)) < 0.5
    name = f"{recipe}-votes" if order == "votes" else recipe
    pairs = []
    for k, ((i, j), turn) in enumerate(zip(picks.values(), turns, strict=True)):
        chosen, rejected = sides.chosen[i], sides.rejected[j]
        pairs.append(_pair(pool, name, k, *((rejected, chosen) if turn else (chosen, rejected))))
    return pairs, None if len(pairs) == options.per_problem else _shortage(keys, rules, options.per_problem)


def _grid(sides: PairSides, order: Order | None, options: PairOptions) -> tuple[NDArray[np.int64], list[_Rule]]:
    """For every (chosen, rejected) a number for its two texts, the same in either order, and the rules for pairs."""
    texts: dict[str, int] = {}
    ids: dict[tuple[int, ...] | None, int] = {}
    (text_c, ids_c, length_c, value_c), (text_r, ids_r, length_r, value_r) = (
        (
            np.array([texts.setdefault(s.text.strip(), len(texts)) for s in side], dtype=np.int64),
            np.array([ids.setdefault(s.token_ids, len(ids)) for s in side], dtype=np.int64),
            np.array([s.length for s in side], dtype=np.float64),
            np.array([s.value for s in side], dtype=np.float64),
        )
        for side in (sides.chosen, sides.rejected)
    )
    rules = [_Rule("of different texts", (text_c[:, None] != text_r) & (ids_c[:, None] != ids_r))]
    if order is not None:
        gap, margin = value_c[:, None] - value_r, options.margin or 0.0
        unit = "nats" if order == "likelihood" else "vote share"
        needed = f"with a gap of at least {margin:g} ({unit})" if margin else f"not tied in {order}"
        rules.append(_Rule(needed, (gap > 0) & (gap >= margin - _ROUNDING)))
    if options.match_length is not None:
        longer, shorter = np.maximum(length_c[:, None], length_r), np.minimum(length_c[:, None], length_r)
        near = longer <= (options.match_length + _ROUNDING) * shorter
        rules.append(_Rule(f"within a length ratio of {options.match_length:g}", near))
    return np.minimum(text_c[:, None], text_r) * len(texts) + np.maximum(text_c[:, None], text_r), rules


def _shortage(keys: NDArray[np.int64], rules: Sequence[_Rule], wanted: int) -> str:
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
    )
