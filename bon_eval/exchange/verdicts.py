"""A source's own verdicts beside those of the task's grader: both are kept, and how often they agree is said."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

FILE = "source_verdicts.parquet"
_KEY = ["problem_id", "arm", "index"]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How a source's verdicts and the grader's agree."""

    stated: int
    """Responses with a verdict of the source."""
    agree: int
    """Of them, those that the grader judges alike; unscored is not correct."""
    first: str | None
    """The first that it judges otherwise."""


def agreement(run: Path) -> Agreement | None:
    """Of a graded run; None where its source states no verdicts. Held are the verdicts, and no text."""
    if not (run / FILE).is_file():
        return None
    stated = pq.read_table(run / FILE)
    stated = stated.filter(pc.is_valid(stated["correct"]))
    graded = pq.read_table(run / "grades.parquet", columns=[*_KEY, "correct"])
    graded = graded.set_column(3, "graded", pc.fill_null(graded["correct"], False))
    both = stated.join(graded, keys=_KEY, join_type="inner")
    other = both.filter(pc.not_equal(both["correct"], both["graded"])).sort_by([(name, "ascending") for name in _KEY])
    first = None
    if other.num_rows:
        row = other.slice(0, 1).to_pylist()[0]
        word = {True: "right", False: "wrong"}
        first = (
            f"{row['arm']} {row['index']} of problem {row['problem_id']!r}, {word[row['correct']]} in the source and "
            f"{word[row['graded']]} here"
        )
    return Agreement(both.num_rows, both.num_rows - other.num_rows, first)
