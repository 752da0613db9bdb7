"""What a micro-batch counts for in its optimizer step: every pair, and every token of an NLL, the same as any other.

The trainers take the mean over the micro-batches of a step of each one's own mean. Where these hold unequal numbers, as
the last of a pass over the pairs does, or of tokens, a micro-batch's mean is multiplied by its number over the mean
number of its step: then the mean of means is the mean over the whole step, whatever the size of a micro-batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Size:
    """What there is in a micro-batch."""

    pairs: int
    tokens: int
    """Of its chosen responses, end tokens included."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What means over a micro-batch are multiplied by."""

    pairs: float
    """Means over pairs."""
    tokens: float
    """Means over the tokens of chosen responses."""


def weights(size: Size, step: Sequence[Size]) -> Weights:
    """The weights of a micro-batch among those of its step; exactly 1 where all hold as many.

    >>> step = [Size(3, 30), Size(1, 20)]
    >>> weights(step[0], step), weights(step[1], step)
    (Weights(pairs=1.5, tokens=1.2), Weights(pairs=0.5, tokens=0.8))
    """
    pairs, tokens = sum(s.pairs for s in step), sum(s.tokens for s in step)
    return Weights(size.pairs * len(step) / pairs, size.tokens * len(step) / tokens)


def size_of(inputs: Mapping[str, Any]) -> Size:
    """The size of a micro-batch of TRL's DPOTrainer, whose first half of rows is chosen, or of its CPOTrainer."""
    if "chosen_labels" in inputs:
        labels = inputs["chosen_labels"]
        return Size(len(labels), int((labels != -100).sum()))
    chosen = inputs["completion_mask"].chunk(2, dim=0)[0]
    return Size(len(chosen), int(chosen.sum()))


_OF_PAIRS = ("rewards/", "logps/")


def weighted_metrics(metrics: Mapping[str, float], weight: float) -> dict[str, float]:
    """What a trainer logs of a micro-batch, with its means over pairs weighted: it logs the mean over the step's."""
    return {name: value * weight if name.startswith(_OF_PAIRS) else value for name, value in metrics.items()}
