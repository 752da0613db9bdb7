"""How far the log-probs that sampling recorded lie from forced ones: per token, per response, and in best-of-n."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bon_eval.errors import EngineError
from bon_eval.estimators.changed_picks import changed_picks
from bon_eval.records import Response


@dataclass(frozen=True, slots=True)
class TokenDifferences:
    """Absolute differences per token, in nats; NaN where one of them is."""

    n_tokens: int
    mean: float
    p99: float
    """The smallest difference that 99 % of tokens do not exceed."""
    largest: float
    response: Response
    """The response with the largest difference."""
    position: int
    """Its token with the largest difference, counted from 0."""
    forced: float
    """The forced log-prob of that token."""


@dataclass(frozen=True, slots=True)
class ResponseDifferences:
    """Differences of the log-likelihoods of a pool's responses."""

    n_responses: int
    rms: float
    """Root mean square difference of a response's two log-likelihoods, in nats."""
    spread: float | None
    """Standard deviation of the recorded ones within a problem's pool, in nats; None where no pool has two."""
    n_tokens: float
    """Mean tokens of a response."""
    nats_per_token: float
    """Minus the mean of the recorded log-probs of a token."""
    changed: Mapping[int, float]
    """n -> share of n-subsets, averaged over problems, in which best-of-n picks another response by the forced ones;
    NaN where a log-likelihood is."""

    @property
    def of_spread(self) -> float | None:
        """`rms` over `spread`; None where the responses of a pool do not differ, or are one."""
        return None if not self.spread else self.rms / self.spread


def token_differences(
    responses: Sequence[Response], forced: Mapping[str, Sequence[float]], scored_by: str
) -> TokenDifferences:
    """Compare recorded log-probs with forced ones, keyed by `key(response)`; empty responses have none.

    Raises:
        EngineError: a response came back with another number of log-probs, or none has a token.
    """
    for response in responses:
        if len(given := forced.get(key(response), ())) != response.n_tokens:
            raise EngineError(
                f"engine {scored_by} scored {len(given)} tokens of a response with {response.n_tokens} (problem "
                f"{response.problem_id}, {response.arm} {response.index})"
            )
    told = [r for r in responses if r.n_tokens]
    if not told:
        raise EngineError(f"all {len(responses)} responses are empty, so engine {scored_by} has nothing to score")
    with np.errstate(invalid="ignore"):  # inf - inf is nan, and nan is the largest difference of all
        apart = [np.abs(np.subtract(r.token_logprobs, forced[key(r)])) for r in told]
    largest = [float(np.where(np.isnan(d), np.inf, d).max()) for d in apart]
    worst = int(np.argmax(largest))
    position = int(np.argmax(np.where(np.isnan(apart[worst]), np.inf, apart[worst])))
    everything = np.concatenate(apart)
    return TokenDifferences(
        len(everything),
        float(everything.mean()),
        float(np.quantile(everything, 0.99, method="inverted_cdf")),
        float(everything.max()),
        told[worst],
        position,
        float(forced[key(told[worst])][position]),
    )


def response_differences(
    responses: Sequence[Response], forced: Mapping[str, Sequence[float]], ns: Sequence[int]
) -> ResponseDifferences:
    """Compare log-likelihoods within each problem's pool; arguments as in `token_differences`.

    Args:
        responses: the pools, with at least one token in all.
        ns: sizes of best-of-n, none larger than the smallest pool.
    """
    pools: dict[str, list[Response]] = {}
    for response in responses:
        pools.setdefault(response.problem_id, []).append(response)
    recorded = [np.array([r.log_likelihood for r in pool]) for pool in pools.values()]
    again = [np.array([float(sum(forced.get(key(r), ()))) for r in pool]) for pool in pools.values()]
    several = [(values, len(values) - 1) for values in recorded if len(values) > 1]
    with np.errstate(invalid="ignore"):
        squares = float(sum(((values - values.mean()) ** 2).sum() for values, _ in several))
        mean_square = float(np.mean((np.concatenate(recorded) - np.concatenate(again)) ** 2))
    changed = [
        _changed(a, b, _numbered([r.token_ids for r in pool]), ns)
        for a, b, pool in zip(recorded, again, pools.values(), strict=True)
    ]
    n_tokens = sum(r.n_tokens for r in responses)
    return ResponseDifferences(
        len(responses),
        math.sqrt(mean_square),
        math.sqrt(squares / sum(free for _, free in several)) if several else None,
        n_tokens / len(responses),
        -sum(r.log_likelihood for r in responses) / n_tokens,
        dict(zip(ns, np.mean(changed, axis=0).tolist(), strict=True)),
    )


def sizes(pool: int) -> list[int]:
    """The n of best-of-n for a pool of that size: powers of two from 2 on, and the pool's own.

    >>> sizes(8), sizes(6), sizes(1)
    ([2, 4, 8], [2, 4, 6], [])
    """
    powers = [2**k for k in range(1, pool.bit_length()) if 2**k < pool]
    return [*powers, pool] if pool > 1 else []


def key(response: Response) -> str:
    """Name of a response in a scoring call."""
    return f"{response.problem_id}/{response.arm}/{response.index}"


def _changed(
    scores: NDArray[np.float64], again: NDArray[np.float64], same: NDArray[np.int64], ns: Sequence[int]
) -> NDArray[np.float64]:
    if np.isnan(scores).any() or np.isnan(again).any():
        return np.full(len(ns), np.nan)
    return changed_picks(scores, again, same, ns)


def _numbered(responses: Sequence[tuple[int, ...]]) -> NDArray[np.int64]:
    number: dict[tuple[int, ...], int] = {}
    return np.array([number.setdefault(token_ids, len(number)) for token_ids in responses], dtype=np.int64)
