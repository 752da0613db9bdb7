"""Whether draws that should be independent repeat each other, beyond what the model's own entropy explains.

Servers behind a router that share a seed give one stream of draws several times over; a cache gives one answer to
equal requests. A model of low entropy repeats itself honestly. What tells them apart are the log-likelihoods: a draw is
one of the sequences that came before it with the sum of their probabilities, which the draws themselves report.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field

FALSE_ALARM = 1e-6
"""Probability, over a whole run, with which independent draws are called repeats."""
_SHARES = (0.5, 0.05, 0.005)
# Log-probs come from other kernels and precisions than the draws: a chance larger by a tenth is the same one.
_MARGIN = 1.1


@dataclass(slots=True)
class Repeats:
    """A test that draws are independent, pool by pool, in an order that does not depend on them.

    Draw j is new or one of the different sequences before it in its pool. Under independence it is one of them with
    probability q, the sum of their probabilities, whatever came before; the alternative repeats one of them besides
    with a share r of all draws. The likelihood ratio of the two, averaged over some r, is a martingale that starts at
    1: it reaches 1 / `FALSE_ALARM` with that probability at most, however often it is looked at (Ville 1939). With q
    near 1 (short answers, yes or no) a repeat says nothing.
    """

    temperature: float = 1.0
    """Of the draws. Above 1, exp(log-likelihood / temperature) bounds a sequence's probability from above; below 1 no
    bound is known from log-probs of temperature 1, and nothing is told."""
    draws: int = 0
    """Draws that had others before them."""
    seen: int = 0
    """Draws that were one of those before them."""
    expected: float = 0.0
    """How many of them independent draws would have, at most."""
    _logs: list[float] = field(default_factory=lambda: [0.0] * len(_SHARES))

    @property
    def tells(self) -> bool:
        """Whether draws of this temperature can show anything."""
        return self.temperature >= 1.0

    def add(self, keys: Sequence[Hashable], log_likelihoods: Iterable[float]) -> None:
        """Take in a pool.

        Args:
            keys: what tells one sequence from another, such as its token ids; in the order of the request.
            log_likelihoods: of the same draws under the model at temperature 1, in nats.
        """
        if not self.tells:
            return
        before: set[Hashable] = set()
        chance = 0.0
        for key, value in zip(keys, log_likelihoods, strict=True):
            if before:
                q = min(1.0, _MARGIN * chance)
                hit = key in before
                self.draws, self.seen, self.expected = self.draws + 1, self.seen + hit, self.expected + q
                for k, share in enumerate(_SHARES):
                    # q may be too small for a number, where a repeat says all.
                    self._logs[k] += math.log(1.0 - share + (share / max(q, 1e-300) if hit else 0.0))
            if key not in before:
                before.add(key)
                chance += math.exp(value / self.temperature)

    @property
    def log_evidence(self) -> float:
        """Natural logarithm of the likelihood ratio: repeated over independent."""
        highest = max(self._logs)
        return highest + math.log(sum(math.exp(x - highest) for x in self._logs) / len(self._logs))

    @property
    def found(self) -> bool:
        """Whether the draws are shown to repeat each other."""
        return self.log_evidence >= -math.log(FALSE_ALARM)
