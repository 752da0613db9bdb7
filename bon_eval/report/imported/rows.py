"""The rows of report.json and of the CSV files of an imported run that lacks something, column by column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bon_eval.analysis.imported.findings import (
    ImportedAnalysis,
    ImportedArm,
    ImportedPoint,
    ImportedProblem,
    ScorerAuroc,
)
from bon_eval.analysis.shapes import Histogram
from bon_eval.report.formats.columns import (
    REASONS,
    Column,
    CsvRow,
    Many,
    Row,
    Stored,
    interval,
    own,
    renamed,
    stamp,
    where_tested,
)
from bon_eval.report.run.levels.rows import LEVELS
from bon_eval.stats.units import Count, Points, Share

FORMAT = "bon-eval report of an imported run"
FORMAT_VERSION = 1


def _over(arm: str) -> tuple[Column[ImportedArm], ...]:
    """The paired test against greedy or one sample, in points."""
    field = f"over_{arm}"

    def part(name: str, scale: float) -> Any:
        def value(row: ImportedArm) -> object:
            test = getattr(row, field)
            return None if test is None else scale * getattr(test, name) if scale != 1.0 else getattr(test, name)

        return value

    def method(row: ImportedArm) -> str | None:
        test = getattr(row, field)
        return None if test is None else str(test.method)

    return (
        Column(f"{field}_points", Points | None, part("difference", 100.0), field),
        Column(f"{field}_points_low", Points | None, part("low", 100.0), field, method=method),
        Column(f"{field}_points_high", Points | None, part("high", 100.0), field, method=method),
        Column(f"{field}_method", str | None, part("method", 1.0), field),
        Column(f"{field}_contested", Count | None, part("n_contested", 1.0), field),
        *where_tested((Column(f"{field}_p_value", Share | None, part("p_value", 1.0), field),), field),
        *where_tested(own(ImportedArm, f"p_{field}"), field),
    )


ARM = Row[ImportedArm](
    "arm",
    (
        *own(ImportedArm, "arm", "n", "scorer"),
        *interval(ImportedArm, "accuracy"),
        *_over("sample"),
        *_over("greedy"),
        *own(ImportedArm, "log_likelihood", "n_tokens", "truncated", "unfinished", "unscored", "monte_carlo_error"),
        REASONS,
    ),
    reasons=lambda row: row.null_reasons,
)
CURVE = Row[ImportedPoint]("curve", own(ImportedPoint, "arm", "n", "accuracy"))
AUROC = Row[ScorerAuroc](
    "auroc", (*own(ScorerAuroc, "scorer"), *interval(ScorerAuroc, "auroc"), *own(ScorerAuroc, "problems"), REASONS)
)
_HISTOGRAM = Row[Histogram]("histogram", own(Histogram, "quantity", "edges", "correct", "incorrect"))
_PROBLEM = Row[ImportedProblem]("", own(ImportedProblem, "problem_id", "gold", "greedy_correct", "pool_accuracy"))
_PROBLEM_AFTER_SCORERS = Row[ImportedProblem](
    "", own(ImportedProblem, "vote", "oracle", "best_log_likelihood", "pool_truncated", "pool_unscored")
)
_SETTINGS = Row[ImportedAnalysis](
    "",
    (
        *own(ImportedAnalysis, "settings.scorers", "settings.votes", "settings.ns", "settings.seed", "settings.draws"),
        *own(ImportedAnalysis, "settings.vote_draws", "settings.confidence", "settings.exclude_truncated"),
        *own(ImportedAnalysis, "settings.margin", "settings.looks"),
        *own(ImportedAnalysis, "settings.cluster", "n_clusters", why="each problem is resampled by itself"),
        *own(ImportedAnalysis, "pool_size"),
        *renamed(ImportedAnalysis, problems="n_problems", problems_excluded="n_excluded"),
        REASONS,
    ),
)

DOCUMENT = Row[ImportedAnalysis](
    "",
    (
        *stamp(FORMAT, FORMAT_VERSION),
        Column("run", Stored({}, required=("config", "grader", "source")), lambda found: found.run),
        Column("analysis", _SETTINGS, lambda found: found),
        Column("arms", Many(ARM, 3), lambda found: found.arms),
        Column("curves", Many(CURVE, 1), lambda found: found.curves),
        Column("aurocs", Many(AUROC), lambda found: found.aurocs),
        Column("histograms", Many(_HISTOGRAM, 0, 2), lambda found: found.histograms),
        Column("levels", LEVELS, lambda found: found.levels),
        *own(ImportedAnalysis, "duplicate_share"),
        *own(ImportedAnalysis, "chance", why="the task states no chance, and its data has no options"),
        *own(ImportedAnalysis, "sentences", "cautions", "absent"),
        REASONS,
    ),
    description="Analysis of an imported run whose source does not state all that a full report needs; `absent` says "
    "what is not there and why. Accuracies and shares are fractions of 1, points are percentage points, "
    "log-likelihoods are in nats, lengths in tokens. A null has its reason in null_reasons beside it.",
)


def problem_cells(row: ImportedProblem) -> CsvRow:
    """The cells of one problem for CSV, a column for each scorer."""
    scorers = {f"best_of_n_{scorer}": value for scorer, value in row.best_of_n.items()}
    return _PROBLEM.cells(row) | scorers | _PROBLEM_AFTER_SCORERS.cells(row)


def document(analysis: ImportedAnalysis) -> Mapping[str, object]:
    """The content of report.json, not yet validated."""
    return DOCUMENT.json(analysis)
