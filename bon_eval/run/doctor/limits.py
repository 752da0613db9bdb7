"""How far recorded and forced log-probs may lie apart in each precision, and why.

Rounding moves a logit by a share of its size: 2^-8 in bfloat16 (8 significant bits), 2^-11 in float16 and 2^-24 in
float32, and the log-prob of a token by what that makes of it: little where the model is sure, much where it is not.
So the mean is held against the nats per token of the model's own pool and a response against its pool's spread; p99
and the largest difference, which a sure model does not shrink, against nats. float16's limits are bfloat16's over 8,
as its rounding is. A fault smaller than a precision's rounding is not told from it: a smaller dtype's verdict says
less, and float32's most.
"""

from __future__ import annotations

from dataclasses import dataclass

from bon_eval.errors import EngineError, unknown_name
from bon_eval.run.doctor.agreement import ResponseDifferences, TokenDifferences

LEAST = 1e-3
"""Nats per token that are no fault in any precision: the limit of float32."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Largest differences, each inclusive; None is no limit of its own."""

    mean: float | None
    """Of the mean difference per token, as a share of the pool's nats per token."""
    p99: float | None
    """Of the 99th percentile, in nats per token."""
    largest: float
    """Of the largest difference, in nats per token."""
    of_spread: float | None
    """Of the root mean square difference of a response, as a share of the spread within a problem's pool."""
    reason: str


_BFLOAT16 = Limits(
    mean=0.1,
    p99=0.5,
    largest=2.0,
    of_spread=0.1,
    reason=(
        "bfloat16 keeps 8 significant bits; right engines were seen at a mean of 2 %, a p99 of 0.2, a maximum of 0.6 "
        "nats and 2.5 % of the spread, and at 10 % recorded and forced log-likelihoods still correlate by .995"
    ),
)
LIMITS = {
    "float32": Limits(
        mean=None,
        p99=None,
        largest=LEAST,
        of_spread=None,
        reason="float32 keeps 24 significant bits; right engines were seen at 5e-5 nats at most",
    ),
    "float16": Limits(
        mean=0.1 / 8,
        p99=0.5 / 8,
        largest=2.0 / 8,
        of_spread=0.1 / 8,
        reason="float16 keeps 11 significant bits, 3 more than bfloat16: its limits over 8",
    ),
    "bfloat16": _BFLOAT16,
}
"""By dtype, the sharpest first."""


def loosest(*dtypes: str | None) -> str:
    """The dtype whose limits hold between engines of these dtypes; None, a server's, may be any.

    >>> loosest("float32", "float16"), loosest("float32", None)
    ('float16', 'bfloat16')

    Raises:
        EngineError: a dtype without limits.
    """
    order = list(LIMITS)
    for dtype in dtypes:
        if dtype is not None and dtype not in LIMITS:
            raise EngineError(f"{unknown_name('dtype', dtype, order)}; an engine computed in it, and it has no limits")
    return max((dtype or order[-1] for dtype in dtypes), key=order.index)


def exceeded(
    limits: Limits, tokens: TokenDifferences, nats_per_token: float, responses: ResponseDifferences | None = None
) -> list[str]:
    """What lies beyond the limits, each in words; NaN does.

    Args:
        nats_per_token: of the model's own pool at temperature 1.
        responses: of a pool; None for other responses.
    """
    found = []
    if limits.mean is not None and not tokens.mean <= max(limits.mean * nats_per_token, LEAST):
        found.append(
            f"the mean per token is {tokens.mean:.2g} nats (limit {limits.mean:.3g} of the pool's {nats_per_token:.2g} "
            "nats per token)"
        )
    if limits.p99 is not None and not tokens.p99 <= limits.p99:
        found.append(f"p99 is {tokens.p99:.2g} nats (limit {limits.p99:.3g})")
    if not tokens.largest <= limits.largest:
        found.append(f"the largest is {tokens.largest:.2g} nats (limit {limits.largest:g})")
    if responses is not None and limits.of_spread is not None and not responses.rms <= LEAST * responses.n_tokens:
        of_spread = responses.of_spread
        if of_spread is not None and not of_spread <= limits.of_spread:
            found.append(
                f"a response's log-likelihood differs by {of_spread:.3g} of its pool's spread (limit "
                f"{limits.of_spread:.3g})"
            )
    return found
