"""Scorers of a response's log-likelihood: whole, per token, per byte."""

from __future__ import annotations

import numpy as np

from bon_eval.errors import ConfigError
from bon_eval.records import Pool, Response
from bon_eval.scorers.base import Array, scorer


@scorer(lambda pool: pool.log_likelihood.astype(np.float64), reads=["log_likelihood"])
def log_likelihood(response: Response) -> float:
    """Sum of the log-probs of the response's tokens, end token included, in nats (the default).

    score(y) = log pi(y|x) = sum_t log pi(y_t | x, y_<t).
    Source: Huang et al. 2024 (arXiv 2412.01951), the sharpening objective.
    Known failure: short answers have few factors and win; a response cut by max_tokens lacks its end token's factor.
    """
    return response.log_likelihood


@scorer(lambda pool: pool.log_likelihood / pool.n_tokens, reads=["log_likelihood", "n_tokens"])
def mean_log_likelihood(response: Response) -> float:
    """Mean log-prob per token, in nats: log-likelihood over the number of tokens.

    score(y) = log pi(y|x) / |y|.
    Source: Huang et al. 2024 (arXiv 2412.01951), the length-normalised variant.
    Known failure: long responses with much boilerplate or repetition win, since easy tokens raise the mean.
    """
    return response.log_likelihood / response.n_tokens


def _over_bytes(pool: Pool) -> Array:
    if pool.n_bytes is None:
        raise ConfigError("the pool holds no lengths in bytes; load it from a stored run")
    return pool.log_likelihood / (pool.n_bytes + 1.0)


@scorer(_over_bytes, "n_bytes", reads=["log_likelihood"])
def byte_log_likelihood(response: Response) -> float:
    """Log-likelihood per byte of the text, in nats: comparable between tokenizers.

    score(y) = log pi(y|x) / (bytes(y) + 1), with the UTF-8 bytes of the text; the end of the text counts as one more,
    since its log-prob is in the sum (an empty text is then no special case).
    Source: bits per byte, as in Gao et al. 2020 (The Pile, arXiv 2101.00027, section 3.1), here per response.
    Known failure: as `mean_log_likelihood`, and rare scripts with several bytes per letter look certain.
    """
    return response.log_likelihood / (response.n_bytes + 1.0)
