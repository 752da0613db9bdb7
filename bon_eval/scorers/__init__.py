"""Scorers: what best-of-N picks by. A scorer is ``scorer(response) -> float``, higher is better.

``scorer.over(pool)`` gives the same numbers for a whole pool, shape (P, N), float64. `SCORERS` holds the public ones
by name; `Scorer.needs` says which of them need more than a run stores by default.
"""

from __future__ import annotations

from collections.abc import Callable

from bon_eval.errors import ConfigError
from bon_eval.graders.workers.own_file import is_file_name
from bon_eval.scorers.base import STATS, Need, Scorer, scorer
from bon_eval.scorers.confidence import (
    lowest_window_confidence,
    mean_confidence,
    negative_entropy,
    self_certainty,
    tail_confidence,
    windowed_lowest_confidence,
    windowed_tail_confidence,
)
from bon_eval.scorers.controls import longest, random, seeded_random, shortest
from bon_eval.scorers.likelihood import byte_log_likelihood, log_likelihood, mean_log_likelihood
from bon_eval.scorers.plugin import PluginScorer, from_entry_point, from_file, offered_names
from bon_eval.scorers.tokens import (
    lowest_decile_mean,
    lowest_window_mean,
    min_token_logprob,
    tail_mean,
    windowed_lowest,
    windowed_tail,
)

__all__ = [
    "DEFAULT_SCORER",
    "SCORERS",
    "STATS",
    "Need",
    "PluginScorer",
    "Scorer",
    "byte_log_likelihood",
    "get_scorer",
    "log_likelihood",
    "longest",
    "lowest_decile_mean",
    "lowest_window_confidence",
    "lowest_window_mean",
    "mean_confidence",
    "mean_log_likelihood",
    "min_token_logprob",
    "negative_entropy",
    "offered_names",
    "random",
    "scorer",
    "seeded_random",
    "self_certainty",
    "shortest",
    "tail_confidence",
    "tail_mean",
]

SCORERS: dict[str, Scorer] = {
    scorer.name: scorer
    for scorer in (
        log_likelihood,
        mean_log_likelihood,
        byte_log_likelihood,
        min_token_logprob,
        lowest_decile_mean,
        lowest_window_mean,
        tail_mean,
        mean_confidence,
        lowest_window_confidence,
        tail_confidence,
        negative_entropy,
        self_certainty,
        shortest,
        longest,
        random,
    )
}
"""The public scorers by name; `log_likelihood` is the default."""

_WINDOWED: dict[str, Callable[[float], Scorer]] = {
    "lowest_window_mean": windowed_lowest,
    "tail_mean": windowed_tail,
    "lowest_window_confidence": windowed_lowest_confidence,
    "tail_confidence": windowed_tail_confidence,
}
"""Those that take a window: ``lowest_window_mean@64``."""

DEFAULT_SCORER = log_likelihood.name


def get_scorer(name: str, *, seed: int = 0) -> Scorer:
    """The scorer of that name.

    Args:
        name: of `SCORERS`; with ``@N`` a window of N tokens where the scorer has one; ``path.py:name`` of a user's own
            file; or an entry point of the group ``bon_eval.scorers``.
        seed: of ``random``; the others have none.

    Raises:
        ConfigError: no such scorer; the message lists the valid names.
    """
    if name == "random":
        return seeded_random(seed)
    if name in SCORERS:
        return SCORERS[name]
    if is_file_name(name):
        return from_file(name)
    stem, sign, parameter = name.partition("@")
    if sign and stem in _WINDOWED:
        try:
            window = float(parameter)
        except ValueError as error:
            raise ConfigError(f"{name}: {parameter!r} is no window in tokens; give {stem}@64") from error
        return _WINDOWED[stem](window)
    return from_entry_point(name, list(SCORERS))
