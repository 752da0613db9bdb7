"""What is wrong with a run as a whole, one sentence each: it saves a day to read them before the table."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bon_eval.errors import counted
from bon_eval.records import Pool

FEW_PROBLEMS = 30
"""With fewer, intervals are wide whatever the run shows."""
MOST_EMPTY, MOST_SPECIAL, MOST_UNREAD = 0.05, 0.01, 0.5
"""Shares above which empty responses, special tokens inside and responses without an answer are said."""


def cautions(greedy: Pool, pool: Pool, units: tuple[int, str]) -> Iterator[str]:
    """Sentences about greedy, (P, 1), and the pool, (P, N), of one run; none where nothing is odd.

    `units`: how many of what are resampled (see `Responses.units`).

    >>> from dataclasses import replace
    >>> one = np.zeros((40, 1))
    >>> right = np.ones((40, 1), dtype=np.bool_)
    >>> made = Pool(tuple(map(str, range(40))), one, one, ~right, right, ~right, one)
    >>> list(cautions(made, made, (40, "problem")))
    []
    >>> list(cautions(made, replace(made, truncated=right), (40, "problem")))
    ['every response of the pool was cut: none has an end of its own; give more --max-tokens']
    """
    if pool.truncated.all():
        yield "every response of the pool was cut: none has an end of its own; give more --max-tokens"
    if not pool.correct.any() and not greedy.correct.any():
        yield "no response is correct: look at some of them before the numbers (prompt, grader, end tokens)"
    unread = _share(pool.answer_class < 0, greedy.answer_class < 0)
    if unread > MOST_UNREAD:
        yield f"no answer was found in {100 * unread:.0f} % of responses: does the prompt ask for the task's format?"
    if pool.n_bytes is not None and greedy.n_bytes is not None:
        empty = _share(pool.n_bytes == 0, greedy.n_bytes == 0)
        if empty > MOST_EMPTY:
            yield f"{100 * empty:.1f} % of responses are empty: the model ends at once"
    if pool.special_inside is not None and greedy.special_inside is not None:
        special = _share(pool.special_inside, greedy.special_inside)
        if special > MOST_SPECIAL:
            yield (
                f"special tokens inside: {100 * special:.1f} % of responses go on behind a special token, which their "
                "text does not show; name a missing end with --stop-token"
            )
    if units[0] < FEW_PROBLEMS:
        yield f"{counted(*units)} only: intervals begin to be narrow enough to use from {FEW_PROBLEMS} on"


def _share(pool: np.ndarray, greedy: np.ndarray) -> float:
    """Of all responses."""
    return float((pool.sum() + greedy.sum()) / (pool.size + greedy.size))
