"""One run's side of a comparison: its arrays aligned by problem, and what each arm and quantity is on each problem."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from bon_eval.analysis.arms import Array
from bon_eval.errors import ConfigError
from bon_eval.estimators import best_of_n, majority_vote, pass_at_n
from bon_eval.estimators.coverage import best_seen, is_sharp
from bon_eval.records import Draw, Pool
from bon_eval.stats.streams import Streams
from bon_eval.store.reader import Run

_NOT_BY_RESPONSE = frozenset(
    ("problem_ids", "token_logprobs", "token_offsets", "token_stats", "plugin_scores", "same_told_by")
)
"""Fields of a pool that are no array of one number for each response."""


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One run's arrays, rows aligned by problem, with what the base model says of them."""

    greedy: Pool
    pool: Pool
    duplicates: Array
    base_greedy: Array | None
    """(P, 1) and (P, N): log-likelihood under the base model; None where the prompts differ."""
    base_pool: Array | None
    base_under: Array | None = None
    """Of the tuned side only, (P, N): the base run's pool under the tuned model."""
    base_under_greedy: Array | None = None
    """The same of its greedy responses, (P, 1)."""

    @classmethod
    def of_base(cls, run: Run) -> Side:
        """Its own likelihoods are those of the base model."""
        return cls(run.greedy, run.pool, run.duplicates, run.greedy.log_likelihood, run.pool.log_likelihood)

    @classmethod
    def of_tuned(
        cls,
        run: Run,
        under_base: Mapping[Draw, Array] | None = None,
        under_tuned: Mapping[Draw, Array] | None = None,
    ) -> Side:
        """A tuned model's run.

        Args:
            run: the run.
            under_base: draw -> its own responses under the base model, (P, n); None where the prompts differ.
            under_tuned: draw -> the base run's responses under the tuned model.
        """
        own, other = under_base or {}, under_tuned or {}
        return cls(
            run.greedy,
            run.pool,
            run.duplicates,
            base_greedy=own.get("greedy"),
            base_pool=own.get("sample"),
            base_under=other.get("sample"),
            base_under_greedy=other.get("greedy"),
        )

    def rows(self, order: NDArray[np.intp]) -> Side:
        """The problems in another order; what is of the base run has its order already."""
        return Side(
            self.greedy.take(order),
            self.pool.take(order),
            self.duplicates[order],
            None if self.base_greedy is None else self.base_greedy[order],
            None if self.base_pool is None else self.base_pool[order],
            self.base_under,
            self.base_under_greedy,
        )

    def first(self, n: int) -> Side:
        """The first n responses of each pool; the responses of a pool are exchangeable."""
        if self.pool.n == n:
            return self
        arrays = {
            f.name: getattr(self.pool, f.name)[:, :n]
            for f in fields(self.pool)
            if f.name not in _NOT_BY_RESPONSE and getattr(self.pool, f.name) is not None
        }
        cut = Pool(problem_ids=self.pool.problem_ids, same_told_by=self.pool.same_told_by, **arrays)
        return replace(self, pool=cut, base_pool=None if self.base_pool is None else self.base_pool[:, :n])


def accuracies(side: Side, n: int, rng: Streams) -> dict[str, Array]:
    """Accuracy of each arm on each problem, (P,) each."""
    right = side.pool.correct.astype(np.float64)
    vote, _ = majority_vote(side.pool.answer_class, right, [n], rng=rng("vote"))
    out = {
        "greedy": side.greedy.correct[:, 0].astype(np.float64),
        "sample": right.mean(axis=1),
        "best_own": np.round(best_of_n(side.pool.log_likelihood, right, [n])[0], 12),
    }
    if side.base_pool is not None:
        out["best_base"] = np.round(best_of_n(side.base_pool, right, [n])[0], 12)
    return out | {"vote": vote[0], "oracle": pass_at_n(side.pool.correct, [n])[0]}


def quantities(side: Side, n: int) -> dict[str, Array]:
    """Likelihoods, lengths and spread of the pool on each problem, (P,) each."""
    pool, own = side.pool, side.pool.log_likelihood
    length = pool.n_tokens.astype(np.float64)
    stack = [own, length] if side.base_pool is None else [own, length, side.base_pool]
    best = best_of_n(own, np.stack(stack), [n])[:, 0]
    out = {
        "log_likelihood_self.greedy": side.greedy.log_likelihood[:, 0],
        "log_likelihood_self.sample": own.mean(axis=1),
        "log_likelihood_self.best": best[0],
    }
    if side.base_pool is not None and side.base_greedy is not None:
        out |= {
            "log_likelihood_base.greedy": side.base_greedy[:, 0],
            "log_likelihood_base.sample": side.base_pool.mean(axis=1),
            "log_likelihood_base.best": best[2],
        }
    classes = np.sort(pool.answer_class, axis=1)
    new = (np.diff(classes, axis=1, prepend=-1) != 0) & (classes >= 0)
    return out | {
        "tokens.greedy": side.greedy.n_tokens[:, 0].astype(np.float64),
        "tokens.sample": length.mean(axis=1),
        "tokens.best": best[1],
        "entropy_per_token": -own.sum(axis=1) / length.sum(axis=1),
        "distinct_answers": new.sum(axis=1).astype(np.float64),
        "duplicates": side.duplicates,
        "truncated": pool.truncated.mean(axis=1),
    }


LABELS = {
    "greedy": "greedy",
    "sample": "sample",
    "best_own": "best-of-{n}, own likelihood",
    "best_base": "best-of-{n}, base likelihood",
    "vote": "vote-of-{n}",
    "oracle": "oracle-of-{n}",
    "log_likelihood_base.greedy": "base log-lik, greedy",
    "log_likelihood_base.sample": "base log-lik, sample",
    "log_likelihood_base.best": "base log-lik, best-of-{n}",
    "log_likelihood_self.greedy": "own log-lik, greedy",
    "log_likelihood_self.sample": "own log-lik, sample",
    "log_likelihood_self.best": "own log-lik, best-of-{n}",
    "log_likelihood_best": "log-lik of the base's best",
    "sharp_base.50": "p(base's best) at least 0.5",
    "sharp_base.90": "p(base's best) at least 0.9",
    "sharp_own.50": "p(own best) at least 0.5",
    "sharp_own.90": "p(own best) at least 0.9",
    "tokens.greedy": "length, greedy",
    "tokens.sample": "length, sample",
    "tokens.best": "length, best-of-{n}",
    "entropy_per_token": "entropy estimate per token",
    "distinct_answers": "distinct answers of {n}",
    "duplicates": "duplicate share of the pool",
    "truncated": "truncated share of the pool",
}


def unit(name: str) -> str:
    """What a quantity is measured in."""
    if name.startswith("log_likelihood"):
        return "nats"
    if name.startswith("tokens"):
        return "tokens"
    return {"entropy_per_token": "nats", "distinct_answers": "answers"}.get(name, "share")


SHARP = {"50": 0.5, "90": 0.1}
"""Percent of probability -> delta."""


@dataclass(frozen=True, slots=True, eq=False)
class BestResponses:
    """What both models give the best responses."""

    before: Mapping[str, Array]
    after: Mapping[str, Array]
    """Quantity of `bon_eval.analysis.sides.LABELS` -> (P,)."""
    seen: Mapping[str, Array]
    """``before``, ``after`` (its own best) and ``after, at the base model's best`` -> ln pi of the best response seen,
    in nats, of each problem that has a finished one; empty where none has."""
    left_out: int
    """Problems without a finished response: not sharp, and left out of the likelihoods and of coverage."""


def best_responses(first: Side, second: Side) -> BestResponses:
    """Compare the two models at the responses of both runs.

    Args:
        first, second: before and after, rows aligned; every response scored by both models.

    Raises:
        ConfigError: the responses were not scored by the other model.
    """
    under_base = [first.base_pool, first.base_greedy, second.base_pool, second.base_greedy]
    under_tuned = [
        second.base_under,
        second.base_under_greedy,
        second.pool.log_likelihood,
        second.greedy.log_likelihood,
    ]
    base, tuned = (_joined(arrays) for arrays in (under_base, under_tuned))
    finished = ~np.concatenate(
        [first.pool.truncated, first.greedy.truncated, second.pool.truncated, second.greedy.truncated], axis=1
    )
    best, column = best_seen(base, finished)
    own_best, _ = best_seen(tuned, finished)
    there = np.isfinite(best)
    at_best = np.where(there, np.take_along_axis(tuned, column[:, None], axis=1)[:, 0], -np.inf)
    before: dict[str, Array] = {}
    after: dict[str, Array] = {}
    if there.all():
        before["log_likelihood_best"], after["log_likelihood_best"] = best, at_best
    for percent, delta in SHARP.items():
        sharp = is_sharp(best, delta).astype(np.float64)
        before |= {f"sharp_base.{percent}": sharp, f"sharp_own.{percent}": sharp}
        after[f"sharp_base.{percent}"] = is_sharp(at_best, delta).astype(np.float64)
        after[f"sharp_own.{percent}"] = is_sharp(own_best, delta).astype(np.float64)
    seen = {"before": best, "after": own_best, "after, at the base model's best": at_best}
    seen = {name: values[there] for name, values in seen.items()} if there.any() else {}
    return BestResponses(before, after, seen, int(np.count_nonzero(~there)))


def _joined(arrays: list[Array | None]) -> Array:
    known = [array for array in arrays if array is not None]
    if len(known) != len(arrays):
        raise ConfigError("the best responses need every response scored by both models; run: bon-eval score --by")
    return np.concatenate(known, axis=1)
