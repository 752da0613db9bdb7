"""Scorers of the sampled tokens' log-probs: the weakest step, the weakest stretch, the end.

The windows are those of DeepConf (Fu et al. 2025, arXiv 2508.15260): group confidence is a mean over a sliding window
of w tokens, w = 2048 in the paper; a response shorter than the window is one window.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bon_eval.errors import ConfigError, EngineError
from bon_eval.records import Pool, Response
from bon_eval.scorers import segments
from bon_eval.scorers.base import Array, Need, Scorer, scorer

WINDOW = 2048
"""Tokens of DeepConf's window."""


def token_values(pool: Pool, name: Need) -> tuple[segments.Tokens, segments.Offsets]:
    """Numbers of all tokens and where each response's begin."""
    values = pool.token_logprobs if name == "token_logprobs" else pool.token_stats.get(name)
    if values is None or pool.token_offsets is None:
        raise ConfigError(f"the pool was loaded without {name}; load it with them")
    if not np.array_equal(np.diff(pool.token_offsets), pool.n_tokens.ravel()) or len(values) != pool.token_offsets[-1]:
        raise EngineError("token log-probs and token counts of the pool disagree; sample the run again")
    return values, pool.token_offsets


def over_tokens(name: Need, reduce: Callable[[segments.Tokens, segments.Offsets], Array]) -> Callable[[Pool], Array]:
    """The form for pools of a number that each response's tokens are reduced to."""
    return lambda pool: reduce(*token_values(pool, name)).reshape(pool.n_tokens.shape)


def one(values: tuple[float, ...] | None, reduce: Callable[[segments.Tokens, segments.Offsets], Array]) -> float:
    """The same of one response."""
    tokens = np.array(values, dtype=np.float64)
    return float(reduce(tokens, np.array([0, len(tokens)]))[0])


def checked_window(name: str, window: float) -> int:
    """The window as int, or `ConfigError`."""
    if window != int(window) or window < 1:
        raise ConfigError(f"{name}@{window:g}: a window is a whole number of tokens, at least 1; give {name}@64")
    return int(window)


@scorer(over_tokens("token_logprobs", segments.lowest), "token_logprobs")
def min_token_logprob(response: Response) -> float:
    """Log-prob of the least likely token, in nats: one doubtful step sinks the response.

    score(y) = min_t log pi(y_t | x, y_<t).
    Source: the one-token limit of the group confidences of DeepConf (arXiv 2508.15260).
    Known failure: punishes a rare but harmless wording; longer responses have lower minima.
    """
    return min(response.token_logprobs)


@scorer(over_tokens("token_logprobs", segments.lowest_decile_mean), "token_logprobs")
def lowest_decile_mean(response: Response) -> float:
    """Mean log-prob of the least likely tenth of the tokens, in nats.

    score(y) = mean of the ceil(|y| / 10) smallest log pi(y_t | x, y_<t).
    Source: the bottom-10 % confidence of DeepConf (arXiv 2508.15260), on single tokens instead of windows.
    Known failure: with ten tokens or fewer it is the least likely token alone.
    """
    return one(response.token_logprobs, segments.lowest_decile_mean)


def windowed_lowest(window: float = WINDOW) -> Scorer:
    """`lowest_window_mean` with its window in tokens."""
    size = checked_window("lowest_window_mean", window)

    def reduce(tokens: segments.Tokens, offsets: segments.Offsets) -> Array:
        return segments.lowest_window_mean(tokens, offsets, size)

    @scorer(over_tokens("token_logprobs", reduce), "token_logprobs", name=named("lowest_window_mean", size))
    def lowest_window_mean(response: Response) -> float:
        """Lowest mean log-prob of a sliding window of 2048 tokens (or of @N), in nats: the weakest stretch.

        score(y) = min_t mean of log pi(y_s | x, y_<s) over s = t - w + 1 .. t, for full windows; the mean of all
        tokens where |y| <= w.
        Source: lowest group confidence of DeepConf (arXiv 2508.15260), on the sampled tokens' log-probs.
        Known failure: up to w tokens it is `mean_log_likelihood`; give short responses a small window.
        """
        return one(response.token_logprobs, reduce)

    return lowest_window_mean


def windowed_tail(window: float = WINDOW) -> Scorer:
    """`tail_mean` with its window in tokens."""
    size = checked_window("tail_mean", window)

    def reduce(tokens: segments.Tokens, offsets: segments.Offsets) -> Array:
        return segments.tail_mean(tokens, offsets, size)

    @scorer(over_tokens("token_logprobs", reduce), "token_logprobs", name=named("tail_mean", size))
    def tail_mean(response: Response) -> float:
        """Mean log-prob of the last 2048 tokens (or of @N), in nats: where the answer stands.

        score(y) = mean of log pi(y_t | x, y_<t) over the last min(w, |y|) tokens.
        Source: tail confidence of DeepConf (arXiv 2508.15260), on the sampled tokens' log-probs.
        Known failure: up to w tokens it is `mean_log_likelihood`; a fixed closing phrase fills a small window.
        """
        return one(response.token_logprobs, reduce)

    return tail_mean


def named(name: str, window: int) -> str:
    """The name with its window, where that is not the paper's."""
    return name if window == WINDOW else f"{name}@{window}"


lowest_window_mean = windowed_lowest()
tail_mean = windowed_tail()
