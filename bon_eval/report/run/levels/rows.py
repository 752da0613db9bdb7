"""The rows of whether likelihood predicts correctness, column by column."""

from __future__ import annotations

from bon_eval.analysis.levels.facts import LevelRow, Levels
from bon_eval.report.formats.columns import REASONS, Column, CsvRow, Many, Row, interval, own

LEVEL = Row[LevelRow](
    "level",
    (
        *own(LevelRow, "level", "of", "statistic", "compared", "problems", "problems_at_length"),
        *own(LevelRow, "responses", why="of methods and settings all responses take part"),
        *interval(LevelRow, "summed"),
        *interval(LevelRow, "per_token"),
        *interval(LevelRow, "summed_at_length"),
        *interval(LevelRow, "per_token_at_length"),
        *own(LevelRow, "predicts", "predicts_at_length"),
        REASONS,
    ),
    reasons=lambda row: row.reasons,
)

LEVELS = Row[Levels](
    "",
    (
        Column("rows", Many(LEVEL), lambda found: found.rows),
        *own(Levels, "reason", why="there are rows"),
        REASONS,
    ),
    description="Whether likelihood predicts correctness across decoding methods, the settings of one, prompt-answer "
    "pairs and responses to one prompt. auroc: the likelier of a correct and an incorrect response is the correct one, "
    "0.5 is chance; points: gained on the line from the least likely of the points to the most likely, 0 is chance.",
)


def level_cells(row: LevelRow) -> CsvRow:
    """The cells of one row for CSV."""
    return LEVEL.cells(row) | {"compared": "; ".join(row.compared)}
