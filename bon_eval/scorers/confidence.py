"""Scorers of the model's whole distribution at each token, not of the sampled token alone.

They need numbers that a run does not store by default: ``run --token-stats topk`` or ``score RUN --stats ...``.
"""

from __future__ import annotations

from bon_eval.records import Response
from bon_eval.scorers import segments
from bon_eval.scorers.base import Array, Scorer, scorer
from bon_eval.scorers.tokens import WINDOW, checked_window, named, one, over_tokens


@scorer(over_tokens("topk", segments.mean), "topk", weight="score")
def mean_confidence(response: Response) -> float:
    """Mean top-k confidence of the tokens, in nats.

    score(y) = mean_t C_t with C_t = -(1/k) sum of the k largest log pi(v | x, y_<t), k = 20 (the whole vocabulary
    where it is smaller). A peaked distribution has unlikely runners-up, so C_t is large where the model is sure.
    Source: average trace confidence of DeepConf (arXiv 2508.15260).
    Known failure: sure of boilerplate is sure; long fluent responses hide one doubtful step.
    """
    return one(response.token_topk, segments.mean)


def windowed_lowest_confidence(window: float = WINDOW) -> Scorer:
    """`lowest_window_confidence` with its window in tokens."""
    size = checked_window("lowest_window_confidence", window)

    def reduce(tokens: segments.Tokens, offsets: segments.Offsets) -> Array:
        return segments.lowest_window_mean(tokens, offsets, size)

    @scorer(over_tokens("topk", reduce), "topk", name=named("lowest_window_confidence", size), weight="score")
    def lowest_window_confidence(response: Response) -> float:
        """Lowest mean top-k confidence of a sliding window of 2048 tokens (or of @N), in nats.

        score(y) = min_t mean of C_s over s = t - w + 1 .. t, for full windows; the mean of all where |y| <= w.
        Source: lowest group confidence of DeepConf (arXiv 2508.15260).
        Known failure: up to w tokens it is `mean_confidence`; give short responses a small window.
        """
        return one(response.token_topk, reduce)

    return lowest_window_confidence


def windowed_tail_confidence(window: float = WINDOW) -> Scorer:
    """`tail_confidence` with its window in tokens."""
    size = checked_window("tail_confidence", window)

    def reduce(tokens: segments.Tokens, offsets: segments.Offsets) -> Array:
        return segments.tail_mean(tokens, offsets, size)

    @scorer(over_tokens("topk", reduce), "topk", name=named("tail_confidence", size), weight="score")
    def tail_confidence(response: Response) -> float:
        """Mean top-k confidence of the last 2048 tokens (or of @N), in nats.

        score(y) = mean of C_t over the last min(w, |y|) tokens.
        Source: tail confidence of DeepConf (arXiv 2508.15260).
        Known failure: up to w tokens it is `mean_confidence`; a fixed closing phrase fills a small window.
        """
        return one(response.token_topk, reduce)

    return tail_confidence


def _minus_mean(tokens: segments.Tokens, offsets: segments.Offsets) -> Array:
    return -segments.mean(tokens, offsets)


@scorer(over_tokens("entropy", _minus_mean), "entropy")
def negative_entropy(response: Response) -> float:
    """Minus the mean entropy of the model's distribution at the tokens, in nats.

    score(y) = -mean_t H_t with H_t = -sum_v pi(v | x, y_<t) log pi(v | x, y_<t), the full vocabulary.
    Source: the entropy baseline of Kang et al. 2025 (self-certainty, arXiv 2502.18581).
    Known failure: many ways to say one thing are entropy without doubt; repetition has almost none.
    """
    return one(response.token_entropy, _minus_mean)


@scorer(over_tokens("self_certainty", segments.mean), "self_certainty", weight="score")
def self_certainty(response: Response) -> float:
    """Mean divergence of the model's distribution from the uniform one, in nats.

    score(y) = mean_t KL(U || pi(. | x, y_<t)) = -(1 / (|y| V)) sum_t sum_v log(V pi(v | x, y_<t)), the full
    vocabulary of V tokens.
    Source: Kang et al. 2025 (arXiv 2502.18581), equation of self-certainty.
    Known failure: ruled by how small the smallest probabilities are, which says little about the next token.
    """
    return one(response.token_self_certainty, segments.mean)


lowest_window_confidence = windowed_lowest_confidence()
tail_confidence = windowed_tail_confidence()
