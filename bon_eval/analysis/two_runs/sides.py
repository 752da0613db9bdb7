"""One run's side of a comparison: its arrays aligned by problem, and what each arm and quantity is on each problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from bon_eval.analysis.responses import Array
from bon_eval.errors import ConfigError
from bon_eval.estimators import best_of_n, majority_vote, pass_at_n
from bon_eval.estimators.coverage import best_seen, is_sharp
from bon_eval.estimators.distinct import distinct_of_n
from bon_eval.records import Draw, Pool
from bon_eval.stats.bootstrap import NOT_ABOVE_0, NOT_BELOW_0, UNIT, Support
from bon_eval.stats.streams import Streams
from bon_eval.store.reader import Run

_DRAWS: tuple[Draw, ...] = ("sample", "greedy")


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One run's arrays, rows aligned by problem, with what both models say of its responses.

    The log-likelihoods in `pool` and `greedy` are the sampled ones: what best-of-n picks by, and what the run's own
    log-likelihood is. Differences between two models take the arrays below (see `bon_eval.store.forced`).
    """

    greedy: Pool
    """Of no problems where the run has none."""
    pool: Pool
    duplicates: Array
    own: Mapping[Draw, Array]
    """Draw -> (P, n): under the run's own model."""
    base: Mapping[Draw, Array]
    """Under the base model; empty where the prompts differ."""
    base_under: Mapping[Draw, Array] = field(default_factory=dict)
    """Of the tuned side only: the base run's responses under the tuned model, in the base run's order."""

    @classmethod
    def of(
        cls,
        run: Run,
        *,
        own: Mapping[Draw, Array] | None = None,
        base: Mapping[Draw, Array] | None = None,
        base_under: Mapping[Draw, Array] | None = None,
    ) -> Side:
        """A run's side; `own` is by default the sampled log-likelihoods, the other two are empty."""
        sampled = {draw: pool.log_likelihood for draw, pool in run.draws.items() if pool.problem_ids}
        return cls(run.greedy, run.pool, run.duplicates, own or sampled, base or {}, base_under or {})

    @property
    def has_greedy(self) -> bool:
        """Whether the run has greedy responses; one that was sampled elsewhere may have none."""
        return bool(self.greedy.problem_ids)

    @property
    def has_likelihoods(self) -> bool:
        """Whether the run has a log-likelihood of every response."""
        return "log_likelihood" not in self.pool.absent and bool(np.isfinite(self.pool.log_likelihood).all())

    @property
    def has_lengths(self) -> bool:
        """Whether the run has a number of tokens of every response."""
        return "n_tokens" not in self.pool.absent and bool((self.pool.n_tokens > 0).all())

    @property
    def knows_cuts(self) -> bool:
        """Whether the run says of every response whether it was cut."""
        return "truncated" not in self.pool.absent

    def rows(self, order: NDArray[np.intp]) -> Side:
        """The problems in another order; what is of the base run has its order already."""
        return replace(
            self,
            greedy=self.greedy.take(order) if self.has_greedy else self.greedy,
            pool=self.pool.take(order),
            duplicates=self.duplicates[order],
            own={draw: values[order] for draw, values in self.own.items()},
            base={draw: values[order] for draw, values in self.base.items()},
        )


def lacking(sides: Sequence[Side], places: Sequence[str]) -> dict[str, str]:
    """What runs cannot be compared by, since one of them lacks it -> why.

    >>> lacking([], [])
    {}
    """
    words = {
        "greedy": ("there are no greedy responses", [side.has_greedy for side in sides]),
        "own likelihood": ("there are no log-likelihoods", [side.has_likelihoods for side in sides]),
        "lengths": ("there are no numbers of tokens", [side.has_lengths for side in sides]),
        "truncated": ("which responses were cut is not known", [side.knows_cuts for side in sides]),
    }
    return {
        name: f"{why} {', '.join(place for place, has in zip(places, there, strict=True) if not has)}"
        for name, (why, there) in words.items()
        if not all(there)
    }


def accuracies(side: Side, n: int, rng: Streams) -> dict[str, Array]:
    """Accuracy of each arm on each problem, (P,) each; best-of-n, vote and oracle from all responses.

    Arms that the run lacks what they need for are not there (`lacking`).
    """
    right = side.pool.correct.astype(np.float64)
    vote, _ = majority_vote(side.pool.answer_class, right, [n], rng=rng("vote"))
    out = {"greedy": side.greedy.correct[:, 0].astype(np.float64)} if side.has_greedy else {}
    out["sample"] = right.mean(axis=1)
    if side.has_likelihoods:
        out["best_own"] = np.round(best_of_n(side.pool.log_likelihood, right, [n])[0], 12)
    if side.base:
        out["best_base"] = np.round(best_of_n(side.base["sample"], right, [n])[0], 12)
    return out | {"vote": vote[0], "oracle": pass_at_n(side.pool.correct, [n])[0]}


def implicit_reward(side: Side) -> Array:
    """log pi(y|x) - log pi_ref(y|x) of each response of a tuned model's pool, (P, N), in nats; pi_ref: the base model.

    The reward that DPO fits, over beta and up to a number for each problem (Rafailov et al. 2023, arXiv 2305.18290,
    equation 5): as a scorer neither has an effect. At the base model itself it is 0 everywhere, and best-of-n by it,
    ties shared, is one sample.
    """
    return np.asarray(side.own["sample"] - side.base["sample"], dtype=np.float64)


def entropy_per_token(side: Side) -> Array:
    """Minus the mean log-prob of the pool's own tokens on each problem, (P,), in nats."""
    return np.asarray(-side.pool.log_likelihood.sum(axis=1) / side.pool.n_tokens.sum(axis=1), dtype=np.float64)


def quantities(side: Side, n: int) -> dict[str, Array]:
    """Likelihoods, lengths and spread of the pool on each problem, (P,) each, from all responses of the pool.

    Those that need likelihoods and lengths are not of a run that lacks them.
    """
    pool = side.pool
    out = _of_each(side, n, "log_likelihood_self", pool.log_likelihood, side.greedy.log_likelihood)
    if side.base:
        out |= _of_each(side, n, "log_likelihood_base", side.base["sample"], side.base.get("greedy"))
    out |= _of_each(side, n, "tokens", pool.n_tokens.astype(np.float64), side.greedy.n_tokens.astype(np.float64))
    if side.has_likelihoods and side.has_lengths:
        out["entropy_per_token"] = entropy_per_token(side)
    out |= {"distinct_answers": distinct_of_n(pool.answer_class, n), "duplicates": side.duplicates}
    return out | ({"truncated": pool.truncated.mean(axis=1)} if side.knows_cuts else {})


def _of_each(side: Side, n: int, name: str, pool: Array, greedy: Array | None) -> dict[str, Array]:
    """A quantity of the greedy response, one sample and best-of-n by own likelihood, of those that the run has."""
    if not (side.has_lengths if name == "tokens" else side.has_likelihoods):
        return {}
    out = {f"{name}.greedy": greedy[:, 0]} if side.has_greedy and greedy is not None else {}
    out[f"{name}.sample"] = pool.mean(axis=1)
    if side.has_likelihoods:
        out[f"{name}.best"] = best_of_n(side.pool.log_likelihood, pool, [n])[0]
    return out


LABELS = {
    "greedy": "greedy",
    "sample": "sample",
    "best_own": "best-of-{n}, own likelihood",
    "best_base": "best-of-{n}, {base} likelihood",
    "vote": "vote-of-{n}",
    "oracle": "oracle-of-{n}",
    "log_likelihood_base.greedy": "{base} log-lik, greedy",
    "log_likelihood_base.sample": "{base} log-lik, sample",
    "log_likelihood_base.best": "{base} log-lik, best-of-{n}",
    "log_likelihood_base_per_token.sample": "{base} log-lik per token, sample",
    "log_likelihood_self.greedy": "own log-lik, greedy",
    "log_likelihood_self.sample": "own log-lik, sample",
    "log_likelihood_self.best": "own log-lik, best-of-{n}",
    "log_likelihood_best": "log-lik of {of_base} best",
    "sharp_base.50": "p({of_base} best) at least 0.5",
    "sharp_base.90": "p({of_base} best) at least 0.9",
    "sharp_own.50": "p(own best) at least 0.5",
    "sharp_own.90": "p(own best) at least 0.9",
    "tokens.greedy": "length, greedy",
    "tokens.sample": "length, sample",
    "tokens.best": "length, best-of-{n}",
    "answer_entropy": "entropy of {n} answers",
    "entropy_per_token": "entropy estimate per token",
    "distinct_answers": "distinct answers of {n}",
    "duplicates": "duplicate share of the pool",
    "truncated": "truncated share of the pool",
}


def label(name: str, n: int, base: str | None = None) -> str:
    """What an arm or a quantity is called; `base` is the first run's name where it is no base model.

    >>> label("log_likelihood_best", 8), label("best_base", 8, "A")
    ("log-lik of the base's best", 'best-of-8, A likelihood')
    """
    of_base = "the base's" if base is None else f"{base}'s"
    return LABELS[name].format(n=n, base=base or "base", of_base=of_base)


def unit(name: str) -> str:
    """What a quantity is measured in."""
    if name.startswith("log_likelihood"):
        return "nats"
    if name.startswith("tokens"):
        return "tokens"
    return {"entropy_per_token": "nats", "answer_entropy": "nats", "distinct_answers": "answers"}.get(name, "share")


def support(name: str) -> Support:
    """Where a quantity's numbers can lie, and so its interval."""
    if unit(name) == "share":
        return UNIT
    return NOT_ABOVE_0 if name.startswith("log_likelihood") else NOT_BELOW_0


SHARP = {"50": 0.5, "90": 0.1}
"""Percent of probability -> delta."""


@dataclass(frozen=True, slots=True, eq=False)
class BestResponses:
    """What both models give the best responses."""

    before: Mapping[str, Array]
    after: Mapping[str, Array]
    """Quantity of `bon_eval.analysis.two_runs.sides.LABELS` -> (P,)."""
    seen: Mapping[str, Array]
    """``before``, ``after`` (its own best) and ``after, at the base model's best`` -> ln pi of the best response seen,
    in nats, of each problem that has a finished one; empty where none has."""
    there: NDArray[np.bool_]
    """(P,): which those are; the others are not sharp, and left out of the likelihoods and of coverage."""

    @property
    def left_out(self) -> int:
        """Problems without a finished response."""
        return int(np.count_nonzero(~self.there))


def best_responses(first: Side, second: Side) -> BestResponses:
    """Compare the two models at the responses of both runs.

    Args:
        first, second: before and after, rows aligned; every response scored by both models. Their pools may differ in
            size: the best response is the best of all that either run saw.

    Raises:
        ConfigError: the responses were not scored by the other model.
    """
    if not (first.base and second.base and second.base_under):
        raise ConfigError("the best responses need every response scored by both models; run: bon-eval score --by")
    draws = [[draw for draw in _DRAWS if draw == "sample" or side.has_greedy] for side in (first, second)]
    base, tuned = (
        np.concatenate([side[draw] for side, own in zip(sides, draws, strict=True) for draw in own], axis=1)
        for sides in ((first.base, second.base), (second.base_under, second.own))
    )
    # Of a response that may have been cut, the end token was forced with it: it is the likelihood of a whole one.
    finished = ~np.concatenate(
        [
            (side.pool if draw == "sample" else side.greedy).truncated
            for side, own in zip((first, second), draws, strict=True)
            for draw in own
        ],
        axis=1,
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
    return BestResponses(before, after, seen, there)
