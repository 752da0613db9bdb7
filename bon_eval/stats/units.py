"""Types of numbers and texts with the range that each may have: what a row says of itself, and its JSON schema too."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated


@dataclass(frozen=True, slots=True)
class Limits:
    """A range or form, by the keywords of JSON Schema; stands in an `Annotated`."""

    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: float | None = None
    exclusive_maximum: float | None = None
    min_items: int | None = None
    max_items: int | None = None
    unique_items: bool | None = None
    pattern: str | None = None
    min_length: int | None = None
    enum: tuple[str, ...] | None = None

    def keywords(self) -> dict[str, object]:
        """Those that are given, as JSON Schema spells them.

        >>> Limits(exclusive_minimum=0, maximum=1).keywords()
        {'maximum': 1, 'exclusiveMinimum': 0}
        """
        given = {_camel(field.name): getattr(self, field.name) for field in fields(self)}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in given.items()
            if value is not None
        }


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


@dataclass(frozen=True, slots=True)
class EstimateOnly:
    """Of an interval: the estimate lies in the range, its ends may leave it."""


SHARE = Limits(minimum=0, maximum=1)
NOT_POSITIVE = Limits(maximum=0)
NOT_NEGATIVE = Limits(minimum=0)
AT_LEAST_1 = Limits(minimum=1)
UNIQUE = Limits(unique_items=True)

Share = Annotated[float, SHARE]
"""A fraction of 1: accuracies, probabilities and p-values too."""
InnerShare = Annotated[float, Limits(exclusive_minimum=0, exclusive_maximum=1)]
Points = Annotated[float, Limits(minimum=-100, maximum=100)]
"""Percentage points."""
LogLikelihood = Annotated[float, NOT_POSITIVE]
"""In nats."""
Positive = Annotated[float, Limits(exclusive_minimum=0)]
NotNegative = Annotated[float, NOT_NEGATIVE]
FromOne = Annotated[float, AT_LEAST_1]
Count = Annotated[int, NOT_NEGATIVE]
Size = Annotated[int, AT_LEAST_1]
"""A number of things of which there is at least one, or a place counted from 1."""
