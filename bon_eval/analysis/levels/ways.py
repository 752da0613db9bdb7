"""Ways to decode as points: what each has of likelihood, length and correctness on each problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bon_eval.analysis.responses import Array, Responses
from bon_eval.analysis.settings import Settings
from bon_eval.draws import GREEDY, SAMPLE, DrawSpec
from bon_eval.estimators import best_of_n
from bon_eval.records import Pool

BEST_OF_N = "best-of-n"
_OFF: Mapping[str, float] = {"top_p": 1.0, "top_k": 0, "min_p": 0.0}
_PARAMETERS = ("temperature", *_OFF)


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """One way to decode: means over its responses to each problem."""

    name: str
    likelihood: Array
    """(2, P): log-likelihood of the response, and per token, in nats."""
    n_tokens: Array
    """(P,)."""
    correct: Array
    """(P,)."""


@dataclass(frozen=True, slots=True, eq=False)
class Scale:
    """Ways that differ in one parameter, in the order of its values."""

    parameter: str
    ways: tuple[Way, ...]


def methods(responses: Responses, settings: Settings, specs: Sequence[DrawSpec]) -> tuple[Way, ...]:
    """Greedy, sampling, best-of-N of the pool by log-likelihood, and each kind of named draws by what shapes it.

    A kind is what is on: the temperature, or ``top_p``, ``top_k`` and ``min_p``; a kind of several draws is the mean
    over them, so that a grid of ten is one method.
    """
    kinds: dict[str, list[Way]] = {}
    for spec in specs:
        on = [name for name, off in _OFF.items() if getattr(spec, name) != off]
        kinds.setdefault(" and ".join(on) or "temperature", []).append(
            _mean(spec.name, responses.others[spec.name].pool)
        )
    return (
        *([_mean(GREEDY, responses.greedy)] if responses.greedy.problem_ids else []),
        _mean(SAMPLE, responses.pool),
        *(best_of(responses.pool, settings.ns[-1:]) if responses.pool.n > 1 else ()),
        *(_together(kind, ways) for kind, ways in kinds.items()),
    )


def scales(
    responses: Responses, settings: Settings, specs: Sequence[DrawSpec], temperature: float | None
) -> tuple[Scale, ...]:
    """Best-of-n over n, and draws that differ in one parameter only: greedy and the pool are its ends where they fit.

    A draw with the parameters of an earlier one, or of greedy or the pool, is no other setting, and is left out.

    Args:
        responses, settings: of the analysis.
        specs: of the named draws.
        temperature: of the pool; None: unknown, and the pool is the end of no scale but best-of-n's.
    """
    found = []
    if responses.pool.n > 1:
        sizes = [n for n in settings.ns if n > 1]
        found.append(Scale(BEST_OF_N, (_mean(SAMPLE, responses.pool), *best_of(responses.pool, sizes))))
    points = []
    if responses.greedy.problem_ids:  # an imported run may have none
        points.append((dict(_OFF) | {"temperature": 0.0}, _mean(GREEDY, responses.greedy)))
    if temperature is not None:
        points.append((dict(_OFF) | {"temperature": temperature}, _mean(SAMPLE, responses.pool)))
    points += [
        ({name: float(getattr(spec, name)) for name in _PARAMETERS}, _mean(spec.name, responses.others[spec.name].pool))
        for spec in specs
    ]
    for parameter in _PARAMETERS:
        groups: dict[tuple[float, ...], dict[float, Way]] = {}
        for values, way in points:
            rest = tuple(values[name] for name in _PARAMETERS if name != parameter)
            group = groups.setdefault(rest, {})
            group.setdefault(values[parameter], way)
        for rest, group in groups.items():
            # Off is the end of its scale, and 0 of top_k the largest one.
            ordered = sorted(group, key=lambda value: np.inf if (parameter, value) == ("top_k", 0) else value)
            if len(group) > 1:
                found.append(Scale(_named(parameter, rest, temperature), tuple(group[value] for value in ordered)))
    return tuple(found)


def best_of(pool: Pool, ns: Sequence[int]) -> tuple[Way, ...]:
    """Best-of-n of a pool by log-likelihood."""
    values = np.stack([*likelihoods(pool), pool.n_tokens.astype(np.float64), pool.correct.astype(np.float64)])
    picked = best_of_n(pool.log_likelihood, values, ns)
    return tuple(Way(f"best-of-{n}", picked[:2, k], picked[2, k], picked[3, k]) for k, n in enumerate(ns))


def likelihoods(pool: Pool) -> Array:
    """(2, P, N): log-likelihood of each response, and per token."""
    return np.stack([pool.log_likelihood, pool.log_likelihood / pool.n_tokens])


def _mean(name: str, pool: Pool) -> Way:
    likelihood, right = likelihoods(pool).mean(axis=2), pool.correct.mean(axis=1)
    return Way(name, likelihood, pool.n_tokens.mean(axis=1), right)


def _together(kind: str, ways: Sequence[Way]) -> Way:
    if len(ways) == 1:
        return ways[0]
    columns = ([getattr(way, name) for way in ways] for name in ("likelihood", "n_tokens", "correct"))
    return Way(f"{kind} ({len(ways)} draws)", *(np.mean(column, axis=0) for column in columns))


def _named(parameter: str, rest: tuple[float, ...], temperature: float | None) -> str:
    others = dict(zip((name for name in _PARAMETERS if name != parameter), rest, strict=True))
    usual = {**_OFF, "temperature": temperature}
    unusual = [f"{name} {value:g}" for name, value in others.items() if value != usual[name]]
    return " at ".join(filter(None, (parameter, ", ".join(unusual))))
