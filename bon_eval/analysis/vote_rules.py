"""Votes by name: ``majority``, or ``RULE[@PARAMETER][/SCORER]`` such as ``borda@0.5/self_certainty``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bon_eval.errors import ConfigError, unknown_name
from bon_eval.estimators.weighted_votes import (
    Rule,
    borda_weights,
    equal_weights,
    filtered_weights,
    score_weights,
    softmax_weights,
)
from bon_eval.scorers import Scorer, get_scorer

MAJORITY = "majority"
DEFAULT_VOTE_SCORER = "mean_log_likelihood"
"""Of rules that name no scorer."""


@dataclass(frozen=True, slots=True)
class VoteRule:
    """One way to weigh the votes of a pool."""

    name: str
    """As it was asked for."""
    scorer: str
    """Whose scores the weights are made of."""
    weights: Rule


@dataclass(frozen=True, slots=True)
class _Kind:
    """A rule before it has a parameter and a scorer."""

    summary: str
    parameter: float | None
    """The default; None where the rule takes none."""
    make: Callable[[float, Literal["exp", "score"]], Rule]


VOTES: dict[str, _Kind] = {
    MAJORITY: _Kind(
        "One vote for each response (self-consistency, arXiv 2203.11171).", None, lambda p, k: equal_weights
    ),
    "weighted": _Kind(
        "Votes weigh as the score, or its exp where it is a logarithm (DeepConf, arXiv 2508.15260).",
        None,
        lambda p, kind: score_weights(kind),
    ),
    "softmax": _Kind(
        "Votes weigh as exp(score / T), T = 0.1 unless @T is given (CISC, arXiv 2502.06233).",
        0.1,
        lambda p, kind: softmax_weights(p),
    ),
    "borda": _Kind(
        "Votes weigh as (n - rank)^p, p = 0.5 unless @P is given (self-certainty, arXiv 2502.18581).",
        0.5,
        lambda p, kind: borda_weights(p),
    ),
    "filtered": _Kind(
        "The weighted vote of the top share, 0.1 unless @SHARE is given (DeepConf offline, arXiv 2508.15260).",
        0.1,
        filtered_weights,
    ),
}
"""The rules by name."""


ALL_VOTES = (
    "weighted/log_likelihood",
    "weighted",
    "softmax",
    "borda",
    "filtered",
    "weighted/lowest_window_confidence",
    "filtered/lowest_window_confidence",
    "borda/self_certainty",
)
"""What ``--arms all`` shows besides the majority vote, where the run holds what their scorers need."""


def get_vote(name: str) -> VoteRule:
    """The vote of that name.

    Raises:
        ConfigError: no such rule or scorer, or a parameter that the rule does not take.

    >>> get_vote("borda@0.5/shortest").scorer
    'shortest'
    """
    stem, _, scorer = name.partition("/")
    kind_name, sign, given = stem.partition("@")
    if kind_name not in VOTES:
        raise ConfigError(unknown_name("vote", kind_name, list(VOTES)))
    kind = VOTES[kind_name]
    if sign and kind.parameter is None:
        raise ConfigError(f"vote {name!r}: {kind_name} takes no parameter; give {kind_name}")
    if kind_name == MAJORITY and scorer:
        raise ConfigError(f"vote {name!r}: majority weighs all responses alike; give weighted/{scorer}")
    try:
        parameter = float(given) if sign else kind.parameter or 0.0
    except ValueError as error:
        raise ConfigError(f"vote {name!r}: {given!r} is no number; give {kind_name}@{kind.parameter}") from error
    found: Scorer = get_scorer(scorer or DEFAULT_VOTE_SCORER)
    return VoteRule(name, found.name, kind.make(parameter, found.weight))
