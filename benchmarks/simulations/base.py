"""What a simulation is, and the cells that repeating it gives."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Draw = Callable[[int, np.random.Generator], bool | float | Sequence[bool | float | None] | None]
"""(problems, generator) -> what one repetition says, or a sequence with one entry for each row of its experiment:
whether the interval held the truth, whether the test erred or found, or an error. None: nothing was given."""

Kind = Literal["coverage", "error", "power", "bias", "for comparison"]
"""What a row's numbers are, and so which one over the scenarios is the worst: the lowest coverage or power, the highest
rate of error, the largest bias. ``for comparison``: of what is not offered, or of chosen samples; nothing is required
of the rate, which is the lowest."""

LOWEST_COVERAGE, HIGHEST_ERROR = 0.93, 0.06
NEVER = 10**9
"""`Row.from_problems` of what nothing is promised of."""
_LEAST_GIVEN = 0.05
"""Share of the repetitions that must give something for a rate to be stated."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table."""

    name: str
    kind: Kind
    from_problems: int = 20
    """Problems from which on the row's numbers must be within the bounds."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """Rows that come from the same repetitions, under each of several scenarios."""

    rows: tuple[Row, ...]
    scenarios: Mapping[str, Draw]
    one_in: int = 1
    """So many times fewer repetitions than asked for: each takes long."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The rate or mean of one row, scenario and number of problems, with its Monte Carlo error."""

    value: float
    """NaN where nothing was given."""
    error: float
    none: float
    """Share of repetitions without anything."""

    def text(self, kind: Kind) -> str:
        """As it stands in the table; a bias in points."""
        if math.isnan(self.value):
            return "none"
        value, error = (100 * self.value, 100 * self.error) if kind == "bias" else (self.value, self.error)
        shown = f"{value:+.2f} ± {error:.2f}" if kind == "bias" else f"{value:.3f} ± {error:.3f}"
        return shown + (f" ({100 * self.none:.0f} % none)" if self.none >= 0.005 else "")


def cells(draw: Draw, n_rows: int, label: str, n_problems: int, repetitions: int) -> list[Cell]:
    """One cell for each row of an experiment under one scenario."""
    rng = np.random.default_rng([2026, n_problems, zlib.crc32(label.encode())])
    found: list[list[float]] = [[] for _ in range(n_rows)]
    for _ in range(repetitions):
        drawn = draw(n_problems, rng)
        for values, value in zip(found, drawn if isinstance(drawn, Sequence) else (drawn,), strict=True):
            if value is not None:
                values.append(float(value))
    return [_cell(np.array(values), repetitions) for values in found]


def _cell(values: np.ndarray, repetitions: int) -> Cell:
    none = 1.0 - len(values) / repetitions
    if len(values) < max(2.0, _LEAST_GIVEN * repetitions):
        return Cell(math.nan, math.nan, none)
    return Cell(float(values.mean()), float(values.std()) / math.sqrt(len(values)), none)


def worst(kind: Kind, found: Sequence[Cell]) -> Cell:
    """Of the scenarios that gave something, the one that speaks most against the row."""
    given = [cell for cell in found if not math.isnan(cell.value)]
    if not given:
        return found[0]
    key = {"error": lambda cell: -cell.value, "bias": lambda cell: -abs(cell.value)}.get(kind, lambda cell: cell.value)
    return min(given, key=key)


def is_outside(row: Row, n_problems: int, cell: Cell) -> bool:
    """Whether a cell is beyond the bounds of its row; a bias, by more than two of its errors."""
    if math.isnan(cell.value) or n_problems < row.from_problems:
        return False
    return {
        "coverage": cell.value < LOWEST_COVERAGE,
        "error": cell.value > HIGHEST_ERROR,
        "bias": abs(cell.value) > 2.0 * cell.error,
    }.get(row.kind, False)


def held(low: float, high: float, truth: float) -> bool | None:
    """Whether an interval holds the truth; None where there is no interval."""
    return None if math.isnan(low) else bool(low <= truth <= high)
