"""How lengths and log-likelihoods are distributed over correct and incorrect responses."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from bon_eval.analysis.arms import Data
from bon_eval.analysis.responses import Array
from bon_eval.analysis.settings import Settings
from bon_eval.errors import counted
from bon_eval.estimators import pick_probability
from bon_eval.records import Pool
from bon_eval.stats import (
    Interval,
)
from bon_eval.stats.closed_form import ratio_interval
from bon_eval.stats.clusters import cluster_sums
from bon_eval.stats.units import SHARE, Count, Limits, LogLikelihood, NotNegative, Share, Size


@dataclass(frozen=True, slots=True)
class LengthRow:
    """Pool responses of one tenth of the lengths; equal lengths are never split, so the tenths are about equal."""

    decile: Annotated[int, Limits(minimum=1, maximum=10)]
    """1 (shortest) to 10."""
    tokens_low: Size
    tokens_high: Size
    """Both inclusive."""
    responses: Size
    accuracy: Annotated[Interval, SHARE]
    """Share correct of the responses, interval over problems."""
    log_likelihood: LogLikelihood
    """Mean over the responses."""
    picked: Mapping[str, Share]
    """Scorer -> share of its best-of-n picks (table's last n) that have a length of this row."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Pool responses by log-likelihood and correctness. Unscored responses are counted as incorrect."""

    quantity: Literal["log_likelihood", "mean_log_likelihood"]
    edges: Annotated[tuple[float, ...], Limits(min_items=2)]
    """Increasing, one more than the bins; the outer ones hold all responses."""
    correct: Annotated[tuple[Count, ...], Limits(min_items=1)]
    incorrect: Annotated[tuple[Count, ...], Limits(min_items=1)]


@dataclass(frozen=True, slots=True)
class ReasoningRow:
    """How much of the responses of one draw is reasoning."""

    draw: Literal["greedy", "sample"]
    share: Share
    """Of responses with a reasoning block, finished or not."""
    unfinished: Share
    """Of responses whose block never closes."""
    reasoning_chars: NotNegative | None
    """Mean length in characters over the responses whose block closes; None where none does."""
    answer_chars: NotNegative | None
    """The same of what follows the block."""


def reasoning_rows(data: Data) -> Iterator[ReasoningRow]:
    """A row each for greedy and the pool; none where the grades do not tell reasoning from the answer."""
    draws: tuple[tuple[Literal["greedy", "sample"], Pool], ...] = (
        ("greedy", data.responses.greedy),
        ("sample", data.responses.pool),
    )
    for draw, pool in draws:
        reasoning, answer = pool.reasoning_chars, pool.answer_chars
        if reasoning is None or answer is None:
            return
        closed = (reasoning >= 0) & (answer >= 0)
        means = (float(chars[closed].mean()) if closed.any() else None for chars in (reasoning, answer))
        yield ReasoningRow(draw, float((reasoning >= 0).mean()), float((answer < 0).mean()), *means)


_MOST_BINS = 40


_CORE = (0.01, 0.99)
"""Quantiles between which a histogram's bins are of one width; the outer bins reach to the extremes."""


def length_deciles(n_tokens: NDArray[np.int32]) -> NDArray[np.int64]:
    """The decile (0 shortest to 9) of every response's length, in the shape of `n_tokens`.

    Equal lengths share a decile, the one that holds the middle of them in the sorted order of all responses; where
    few lengths are frequent, a decile can be empty.

    >>> length_deciles(np.array([1, 1, 1, 2, 3, 4, 5, 6, 7, 8], dtype=np.int32)).tolist()
    [1, 1, 1, 3, 4, 5, 6, 7, 8, 9]
    """
    counts = np.bincount(n_tokens.ravel()).astype(np.int64)
    doubled_middle = 2 * (np.cumsum(counts) - counts) + counts
    return np.asarray((10 * doubled_middle // (2 * n_tokens.size))[n_tokens], dtype=np.int64)


def histogram_edges(values: Array) -> Array:
    """Edges of at most `_MOST_BINS` bins of one round width, the outer bins stretched to hold all values.

    A few responses with extreme values would otherwise leave all others in one bin.

    Args:
        values: any shape, at least one number, finite.

    Returns:
        (bins + 1,), increasing.
    """
    smallest, largest = float(values.min()), float(values.max())
    low, high = (float(x) for x in np.quantile(values, _CORE))
    if low == high:
        low, high = smallest, largest
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        return np.array([smallest - 0.5, largest + 0.5])
    step = _round_up((high - low) / (_MOST_BINS - 2))
    edges = np.arange(math.floor(low / step), math.ceil(high / step) + 1, dtype=np.float64) * step
    edges[0], edges[-1] = min(edges[0], smallest), max(edges[-1], largest)
    return edges


def _round_up(width: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(width))
    return next(power * factor for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if power * factor >= width * (1 - 1e-9))


def length_rows(data: Data, settings: Settings) -> Iterator[LengthRow]:
    pool, last = data.responses.pool, settings.ns[-1]
    n_problems = len(data.responses.golds)
    decile = length_deciles(pool.n_tokens)
    picked = {
        name: np.bincount(decile.ravel(), weights=pick_probability(score, last).ravel(), minlength=10) / n_problems
        for name, score in data.responses.scores.items()
    }
    cell = (np.arange(n_problems)[:, None] * 10 + decile).ravel()
    sizes = np.bincount(cell, minlength=n_problems * 10).reshape(n_problems, 10).astype(np.float64)
    right = (
        np.bincount(cell[pool.correct.ravel()], minlength=n_problems * 10).reshape(n_problems, 10).astype(np.float64)
    )
    if data.responses.clusters is not None:
        sizes, right = (cluster_sums(x, data.responses.clusters) for x in (sizes, right))
    total = np.bincount(decile.ravel(), weights=pool.log_likelihood.ravel(), minlength=10)
    for d in range(10):
        responses = int(sizes[:, d].sum())
        if not responses:
            continue
        lengths = pool.n_tokens[decile == d]
        low, high, method = ratio_interval(right[:, d], sizes[:, d], settings.confidence)
        if len(sizes) == 1 < n_problems:
            low, high, method = math.nan, math.nan, "none: 1 cluster; from 2 on"
        yield LengthRow(
            decile=d + 1,
            tokens_low=int(lengths.min()),
            tokens_high=int(lengths.max()),
            responses=responses,
            accuracy=Interval(float(right[:, d].sum()) / responses, low, high, method),
            log_likelihood=float(total[d]) / responses,
            # Pick probabilities sum to 1 up to rounding only, and no share exceeds 1.
            picked={name: round(float(share[d]), 12) for name, share in picked.items()},
        )


def histogram(
    quantity: Literal["log_likelihood", "mean_log_likelihood"], values: Array, correct: NDArray[np.bool_]
) -> Histogram:
    edges = histogram_edges(values)
    bins = np.searchsorted(edges[1:-1], values.ravel(), side="right")
    counts = np.bincount(2 * bins + correct.ravel(), minlength=2 * (len(edges) - 1)).reshape(-1, 2)
    return Histogram(
        quantity=quantity,
        edges=tuple(edges.tolist()),
        correct=tuple(counts[:, 1].tolist()),
        incorrect=tuple(counts[:, 0].tolist()),
    )


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
    unread = _of_all(pool.answer_class < 0, greedy.answer_class < 0)
    if unread > MOST_UNREAD:
        yield f"no answer was found in {100 * unread:.0f} % of responses: let the prompt ask for the task's format"
    if pool.n_bytes is not None and greedy.n_bytes is not None:
        empty = _of_all(pool.n_bytes == 0, greedy.n_bytes == 0)
        if empty > MOST_EMPTY:
            yield f"{100 * empty:.1f} % of responses are empty: the model ends at once"
    if pool.special_inside is not None and greedy.special_inside is not None:
        special = _of_all(pool.special_inside, greedy.special_inside)
        if special > MOST_SPECIAL:
            yield (
                f"special tokens inside: {100 * special:.1f} % of responses go on behind a special token, which their "
                "text does not show; name a missing end with --stop-token"
            )
    if units[0] < FEW_PROBLEMS:
        yield f"{counted(*units)} only: intervals begin to be narrow enough to use from {FEW_PROBLEMS} on"


def unlike_guessing(accuracies: Mapping[str, Interval], chance: float, oracle: float, n: int) -> Iterator[str]:
    """A sentence where accuracies are not shown to be above chance; none where chance is 0.

    Args:
        accuracies: arm -> accuracy; without an interval nothing is said of it.
        chance: how often a guess is right.
        oracle: the same of an oracle over n guesses.

    >>> ends = {"greedy": Interval(0.27, 0.22, 0.33, ""), "sample": Interval(0.4, 0.35, 0.45, "")}
    >>> for text in unlike_guessing(ends, 0.25, 0.9, 8): print(text)
    accuracy of greedy 0.27 [0.22, 0.33] is not shown to be above chance (0.25)
    """
    low = {arm: i for arm, i in accuracies.items() if chance > 0 and i.low <= chance}
    if not low:
        return
    arms = ", ".join(f"{arm} {i.estimate:.2f} [{i.low:.2f}, {i.high:.2f}]" for arm, i in low.items())
    text = f"accuracy of {arms} is not shown to be above chance ({chance:.2g})"
    if "sample" in low and n > 1:
        text += f"; an oracle over guesses rises by itself, to {oracle:.3f} over {n}, so that its rise shows no skill"
    yield text


def unknown_tokens(prompts: int) -> Iterator[str]:
    """A sentence about prompts that the tokenizer does not know in full; none where there are none."""
    if prompts:
        yield (
            f"unknown tokens in {counted(prompts, 'prompt')}: the tokenizer does not know all of their characters or "
            "words, and the model does not see them"
        )


def special_in_problems(problems: int) -> Iterator[str]:
    """A sentence about problems that hold the name of a special token; none where there are none."""
    if problems:
        yield (
            f"special tokens in {counted(problems)}: their text holds the name of one, and the model sees the token in "
            "its place: reword those rows"
        )


def repeated_prompts(problems: int) -> Iterator[str]:
    """A sentence about problems that the model sees as another one before; none where there are none."""
    if problems:
        have = "has" if problems == 1 else "have"
        yield (
            f"{counted(problems)} of the run {have} the prompt of another one before, and count as independent all the "
            "same, so that intervals are too narrow: drop those rows, or name the column that they share with --cluster"
        )


def _of_all(pool: NDArray[np.bool_], greedy: NDArray[np.bool_]) -> float:
    """Of all responses."""
    return float((pool.sum() + greedy.sum()) / (pool.size + greedy.size))
