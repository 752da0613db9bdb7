"""What a source states of all its responses, and what of none or of some: counted as they go by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bon_eval.exchange.sample import Sample

KINDS: Mapping[str, str] = {
    "log_likelihood": "states no log-likelihood",
    "n_tokens": "states no number of tokens",
    "token_ids": "states no token ids",
    "token_logprobs": "states no token log-probs",
    "truncated": "does not say whether a response was cut",
}
"""What a source can lack, in words."""


@dataclass(slots=True)
class Stated:
    """Counts over the responses of a source."""

    responses: int = 0
    there: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    lacking: dict[str, str] = field(default_factory=dict)
    """Where the first response stands that lacks it."""
    summed: bool = False
    """Whether log-likelihoods are sums of token log-probs."""

    def see(self, sample: Sample) -> None:
        """Take in a response."""
        self.responses += 1
        known = {
            "log_likelihood": sample.nats is not None,
            "n_tokens": sample.size is not None,
            "token_ids": sample.token_ids is not None,
            "token_logprobs": sample.token_logprobs is not None,
            "truncated": sample.finish_reason is not None,
        }
        self.summed |= sample.token_logprobs is not None
        for name, is_known in known.items():
            if is_known:
                self.there[name] += 1
            else:
                self.lacking.setdefault(name, sample.where)

    def absent(self) -> dict[str, str]:
        """What not every response has -> why."""
        return {
            name: f"the source {KINDS[name]}" + ("" if not self.there[name] else f" for {self._some(name)}")
            for name in KINDS
            if self.there[name] < self.responses
        }

    def origin(self) -> str:
        """Where the log-likelihoods come from."""
        return "sums of the token log-probs that the source states" if self.summed else "stated by the source"

    def _some(self, name: str) -> str:
        lacking = self.responses - self.there[name]
        return f"{lacking:,} of {self.responses:,} responses (the first: {self.lacking[name]})"
