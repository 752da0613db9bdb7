"""The measures of one checkpoint: what it says, what it makes of the base model's responses, of pairs and of probes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bon_eval.analysis.two_runs.sides import Side, accuracies, implicit_reward, label, quantities, support, unit
from bon_eval.dpo.tracking.base_pool import BASE_BEST, BASE_GREEDY, BASE_TOP, top_mass
from bon_eval.dpo.tracking.measures import PAIR_MEASURES, Array, SideScores, pair_measures
from bon_eval.dpo.tracking.points import Measured
from bon_eval.estimators import best_of_n, within_problem_auroc
from bon_eval.estimators.two_pools.ranks import rank_in_own_pool, rank_in_pool
from bon_eval.records import Draw
from bon_eval.stats.bootstrap import NOT_ABOVE_0, UNIT
from bon_eval.stats.streams import streams

_MODELS = {"self": "own", "base": "base"}
PER_TOKEN = "nats per token"
GROUPS = frozenset([
    "accuracy", "auroc", "auroc_reward", "base_mass", "base_rank", "distinct_answers", "duplicates",
    "entropy_per_token", "log_likelihood", "log_likelihood_base", "log_likelihood_base_per_token",
    "log_likelihood_self", "log_likelihood_self_per_token", "tokens", "truncated",
])  # fmt: skip
"""What the names of measures begin with that are of no pairs and no probe."""
Keys = Mapping[Draw, NDArray[np.uint64]]
"""Draw -> (P, N), equal for equal responses."""


@dataclass(frozen=True, slots=True, eq=False)
class BasePool:
    """The base model's pool, which ranks what is said by others."""

    log_likelihood: Array
    """(P, N), nats under the base model."""
    keys: NDArray[np.uint64]
    """(P, N), equal for equal responses."""


def said(side: Side, keys: Keys, pool: BasePool, seed: int, *, is_base: bool) -> dict[str, Measured]:
    """Measures of a checkpoint's own responses.

    Args:
        side: its responses, scored by the base model too.
        keys: of its responses, as `pool` has them.
        pool: the base model's.
        seed: of the votes.
        is_base: whether the checkpoint is the base model, whose responses are those of `pool`.
    """
    n, ids = side.pool.n, side.pool.problem_ids
    reward = implicit_reward(side)
    right = side.pool.correct.astype(np.float64)
    arms: dict[str, Array] = {}
    for name, values in accuracies(side, n, streams(seed)).items():
        arms[name] = values
        if name == "best_base":
            arms["best_reward"] = np.round(best_of_n(reward, right, [n])[0], 12)
    found = {}
    for name, values in arms.items():
        arm = f"best-of-{n}, implicit reward" if name == "best_reward" else label(name, n)
        found[f"accuracy.{name}"] = Measured(f"accuracy, {arm}", "share", values, UNIT, ids)
    for name, values in quantities(side, n).items():
        found[name] = Measured(label(name, n), unit(name), values, support(name), ids)
    for name, words, values in _per_token(side, n):
        found[name] = Measured(words, PER_TOKEN, values, NOT_ABOVE_0, ids)
    for name, words, values in _ranks(side, keys, pool, is_base=is_base):
        found[name] = Measured(words, "share", values, UNIT, ids)
    for name, words, scores in (
        ("auroc", "log-likelihood", side.pool.log_likelihood),
        ("auroc_reward", "implicit reward", reward),
    ):
        auroc = within_problem_auroc(scores, side.pool.correct)
        both = np.isfinite(auroc)
        if both.any():
            kept = tuple(problem for problem, k in zip(ids, both, strict=True) if k)
            found[name] = Measured(f"AUROC of {words} within problems", "share", auroc[both], UNIT, kept)
    return found


def _per_token(side: Side, n: int) -> list[tuple[str, str, Array]]:
    """Log-likelihood over length of greedy, one sample and best-of-n, as a mean over responses, under both models."""
    scores = side.pool.log_likelihood
    out = []
    for name, word in _MODELS.items():
        sampled = (scores, side.greedy.log_likelihood) if name == "self" else (side.base["sample"], side.base["greedy"])
        pool, greedy = sampled[0] / side.pool.n_tokens, sampled[1] / side.greedy.n_tokens
        best = best_of_n(scores, pool, [n])[0]
        for arm, words, values in (
            ("greedy", "greedy", greedy[:, 0]),
            ("sample", "sample", pool.mean(axis=1)),
            ("best", f"best-of-{n}", best),
        ):
            out.append((f"log_likelihood_{name}_per_token.{arm}", f"{word} log-lik per token, {words}", values))
    return out


def _ranks(side: Side, keys: Keys, pool: BasePool, *, is_base: bool) -> list[tuple[str, str, Array]]:
    """Ranks in the base pool; of the base model's own pool, where there are others for a response to stand among."""
    ranks = {"greedy": rank_in_pool(side.base["greedy"], keys["greedy"], pool.log_likelihood, pool.keys)}
    if not is_base:
        ranks["sample"] = rank_in_pool(side.base["sample"], keys["sample"], pool.log_likelihood, pool.keys)
    elif pool.keys.shape[1] > 1:
        ranks["sample"] = rank_in_own_pool(pool.log_likelihood, pool.keys)
    return [
        (f"base_rank.{draw}", f"rank in the base pool, {draw}", np.round(values.mean(axis=1), 12))
        for draw, values in ranks.items()
    ]


def of_base(
    stored: Mapping[str, Mapping[str, Sequence[str]]], n: int, log_likelihoods: Callable[[str], Array]
) -> dict[str, Measured]:
    """Measures of the base model's responses under a checkpoint.

    Args:
        stored: of ``base/best``, ``base/greedy`` and ``base/top`` the ``problem_ids``.
        n: size of the base model's pool.
        log_likelihoods: set -> its responses' under the checkpoint, nats.
    """
    found = {}
    for name, words in ((BASE_BEST, f"best-of-{n}"), (BASE_GREEDY, "greedy")):
        ids = tuple(stored[name]["problem_ids"])
        key = f"log_likelihood.{name.replace('/', '_')}"
        found[key] = Measured(f"log-likelihood of base {words}", "nats", log_likelihoods(name), NOT_ABOVE_0, ids)
    ids = tuple(stored[BASE_TOP]["problem_ids"])
    for k, (problems, mass) in top_mass(log_likelihoods(BASE_TOP), ids).items() if ids else ():
        if k <= n:
            label = f"probability of the base's {'likeliest response' if k == 1 else f'{k} likeliest responses'}"
            found[f"base_mass.{k}"] = Measured(label, "share", mass, UNIT, problems)
    return found


def of_pairs(
    set_name: str, problem_ids: Sequence[str], sides: Sequence[SideScores], beta: float
) -> dict[str, Measured]:
    """Measures of a pair set; `sides` are chosen and rejected at the base model, then at the checkpoint."""
    found = {}
    for name, values in pair_measures(*sides, beta=beta).items():
        kind = PAIR_MEASURES[name]
        kept = np.isfinite(values)
        if not kept.any():
            continue
        # A response whose every argmax is saturated has no log of the mass outside it: it takes no part.
        places = np.flatnonzero(kept).tolist()
        units, ids = tuple((set_name, k) for k in places), tuple(problem_ids[k] for k in places)
        label = f"{kind.label} ({set_name})"
        found[f"{set_name}.{name}"] = Measured(label, kind.unit, values[kept], kind.support, units, ids)
    return found


def of_probe(set_name: str, problem_ids: Sequence[str], log_likelihood: Array) -> dict[str, Measured]:
    """The measure of a probe."""
    units = tuple((set_name, k) for k in range(len(problem_ids)))
    label = f"log-likelihood of {set_name}"
    return {
        f"{set_name}.log_likelihood": Measured(label, "nats", log_likelihood, NOT_ABOVE_0, units, tuple(problem_ids))
    }
