"""What the runs of a comparison are called: before and after a training, or each by its model."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bon_eval.errors import ConfigError, counted
from bon_eval.store.reader import Run

STORY = ("before", "after")
"""The names under which the second run is that of a model tuned from the first one's."""


@dataclass(frozen=True, slots=True)
class Names:
    """The words for two runs: in headings, and within sentences."""

    sides: tuple[str, str] = STORY
    """Above columns and in legends."""
    models: tuple[str, str] = ("the base model", "the tuned model")
    adjectives: tuple[str, str] = ("base", "tuned")
    """Before ``likelihood``, ``pool`` or ``sample``."""
    tuning: bool = True
    """Whether the second model is tuned from the first."""

    @property
    def places(self) -> tuple[str, str]:
        """Behind what stands on one side: ``before``, or ``with MODEL``."""
        return self.sides if self.tuning else (f"with {self.sides[0]}", f"with {self.sides[1]}")

    def sample(self, side: int) -> str:
        """One response of a side's pool.

        >>> Names().sample(1), named("A", "B").sample(1)
        ('one tuned sample', 'one sample of B')
        """
        return f"one {self.adjectives[side]} sample" if self.tuning else f"one sample of {self.sides[side]}"

    def pools(self, side: int) -> str:
        """Several pools of a side.

        >>> Names().pools(1), named("A", "B").pools(1)
        ('tuned pools', 'pools of B')
        """
        return f"{self.adjectives[side]} pools" if self.tuning else f"pools of {self.sides[side]}"

    def best(self, side: int, n: int | str) -> str:
        """Best-of-n of a side's pool.

        >>> Names().best(0, 8), named("A", "B").best(0, 8)
        ('base best-of-8', 'best-of-8 of A')
        """
        return f"{self.adjectives[side]} best-of-{n}" if self.tuning else f"best-of-{n} of {self.sides[side]}"

    def said(self, reason: str) -> str:
        """A reason that an estimator gives in words of base and tuned model, with these names.

        >>> named("A", "B").said("one tuned sample is less accurate than one base sample")
        'one sample of B is less accurate than one sample of A'
        """
        if self.tuning:
            return reason
        for side in (0, 1):
            word = BEFORE_AFTER.adjectives[side]
            name, sample = (text.replace("\\", r"\\") for text in (self.sides[side], self.sample(side)))
            for phrase, own in (
                (f"one {word} sample", sample),
                (f"{word} (best-of-\\w+)", rf"\1 of {name}"),
                (f"the {word} model", name),
                (f"the {word} pool", f"the pool of {name}"),
            ):
                reason = re.sub(rf"\b{phrase}\b", own, reason)
        return reason


BEFORE_AFTER = Names()


def named(first: str, second: str) -> Names:
    """Two runs by names of their own; ``before`` and ``after`` are those of a training."""
    if (first, second) == STORY:
        return BEFORE_AFTER
    both = (first, second)
    return Names(both, both, both, tuning=False)


def names_of(runs: Sequence[Run], given: Sequence[str] = ()) -> tuple[str, ...]:
    """A name for each run: those given, else its model's, without folders and owner where that tells runs apart.

    Two runs of one model are told apart by their directories.

    Raises:
        ConfigError: not as many names as runs, an empty one, two that are the same, or ``before`` and ``after`` of
            more than two runs or in the other order.
    """
    if given:
        if len(given) != len(runs):
            raise ConfigError(
                f"--as has {counted(len(given), 'name')} and there are {len(runs)} runs; give one for each"
            )
        if not all(given) or len(set(given)) < len(given):
            raise ConfigError(f"--as {','.join(given)}: names must be there and differ from each other")
        if set(STORY) <= set(given) and tuple(given) != STORY:
            raise ConfigError(
                f"--as {','.join(given)}: before,after is of two runs, first that of the base model, then that of the "
                "model tuned from it; give these two in that order with --as before,after, or other names"
            )
        return tuple(given)
    ways: tuple[Callable[[Run], str], ...] = (
        lambda run: _model(run.meta["config"], short=True),
        lambda run: _model(run.meta["config"]),
        lambda run: f"{_model(run.meta['config'], short=True)} ({run.path.name})",
        lambda run: f"{_model(run.meta['config'], short=True)} ({run.path})",
    )
    names = [ways[0](run) for run in runs]
    for way in ways[1:]:
        alike = Counter(names)
        names = [name if alike[name] == 1 else way(run) for name, run in zip(names, runs, strict=True)]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(f"{twice} is given twice; name each run once")
    return tuple(names)


def _model(config: Mapping[str, Any], *, short: bool = False) -> str:
    """Model and adapter of a run.

    >>> _model({"model": "owner/model", "adapter": "/runs/dpo/checkpoint-40"}, short=True)
    'model + checkpoint-40'
    """
    parts = [str(config["model"]), *([str(config["adapter"])] if config.get("adapter") else [])]
    return " + ".join(Path(part).name or part for part in parts) if short else " + ".join(parts)
