"""What vLLM's front process knows of the sequences that its engine has in hand, read from its output processor."""

from __future__ import annotations

import time
from typing import Any

from bon_eval.engines.base import Pulse
from bon_eval.records import ForcedSequence

# Seconds between two counts of tokens: one takes about a millisecond for thousands of sequences.
_EVERY_S = 1.0


class Counts:
    """The counts of one engine: `pulse` is for any thread, the rest for the one that steps the engine."""

    def __init__(self, processor: Any) -> None:
        self._processor = processor
        self._tokens = self._ended = 0
        self._forcing = False
        self._counted = 0.0

    def begin(self, *, forcing: bool) -> None:
        """A stream of requests begins."""
        self._forcing, self._counted = forcing, 0.0

    def ended(self, ticket: Any, output: Any) -> None:
        """A sequence is finished: what it was, and what vLLM gave for it."""
        forced = isinstance(ticket, ForcedSequence)
        self._ended += len(ticket.response_token_ids) if forced else sum(len(c.token_ids) for c in output.outputs)

    def stepped(self) -> None:
        """The engine has made a step."""
        if (now := time.monotonic()) >= self._counted + _EVERY_S:
            self._counted = now
            self._tokens = self._ended + (0 if self._forcing else _tokens_in_hand(self._processor))

    def end(self) -> None:
        """The stream is at its end, or given up."""
        self._tokens = self._ended

    def pulse(self) -> Pulse:
        """See `Engine.pulse`. The tokens are at most a step behind, or a second where that is longer."""
        states = list(self._processor.request_states.values())  # at once, since the other thread changes the dict
        # A sequence that is scored has its one token when it is done.
        unbegun = 0 if self._forcing else sum(state.is_prefilling for state in states)
        return Pulse(self._tokens, len(states) - unbegun, unbegun)


def _tokens_in_hand(processor: Any) -> int:
    """Tokens so far of the sequences that are not finished."""
    return sum(state.detokenizer.num_output_tokens() for state in processor.request_states.values())
