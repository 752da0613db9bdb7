"""The rows of report.json and of its CSV files, column by column, and the document that they make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated

from bon_eval.analysis.curves import CurvePoint
from bon_eval.analysis.results import (
    Analysis,
    ArmPair,
    ArmRow,
    Facts,
    Headline,
    ProblemRow,
    SelectedScorer,
    Variant,
)
from bon_eval.analysis.shapes import ReasoningRow
from bon_eval.config import TOKEN_STATS, RunConfig
from bon_eval.report.formats.columns import (
    REASONS,
    Column,
    CsvRow,
    Many,
    Row,
    Stored,
    interval,
    later,
    lift,
    own,
    renamed,
    stamp,
    where_tested,
)
from bon_eval.report.formats.field_types import field_type
from bon_eval.report.run.draw_rows import DRAW, DRAW_PAIR
from bon_eval.report.run.explain_rows import COMPUTE, EXPLANATION, REPLAYED
from bon_eval.report.run.levels.rows import LEVELS
from bon_eval.stats.units import Count, Limits, NotNegative, Points, Share, Size

FORMAT_VERSION = 5
"""Of report.json; grows when a reader of the older one would misread it."""

_INTERVAL_ELSEWHERE = "intervals are computed at n = 1 and at the n of the arms table"
_PICKS_AN_ANSWER = "the arm picks an answer, not one response"
_NO_REASONING = "the grades do not tell reasoning from the answer"
_EXACT = "exact: no subsets were drawn"

ARM = Row[ArmRow](
    "arm",
    (
        *own(ArmRow, "arm", "n", "scorer"),
        *interval(ArmRow, "accuracy"),
        *lift(ArmRow, "lift"),
        *own(ArmRow, "lift_percent", "lift_percent_low", "lift_percent_high"),
        *where_tested(own(ArmRow, "p_holm", "p_joint"), "lift"),
        *interval(ArmRow, "log_likelihood"),
        Column("log_likelihood_marked", bool, lambda row: row.log_likelihood is not None and row.log_likelihood.marked),
        *own(ArmRow, "n_tokens", "truncated"),
        *later(*own(ArmRow, "unfinished")),
        *own(ArmRow, "unscored", "monte_carlo_error"),
        *interval(ArmRow, "responses", "accuracy_over_responses")[1:],
        *interval(ArmRow, "fresh", "accuracy_of_a_fresh_run")[1:],
        REASONS,
    ),
    reasons=lambda row: {**row.null_reasons, "scorer": "only best-of-n and weighted votes go by a scorer"},
)

CURVE = Row[CurvePoint](
    "curve",
    (
        *own(CurvePoint, "scorer", "n", "accuracy"),
        *interval(CurvePoint, "interval", "accuracy", why=_INTERVAL_ELSEWHERE)[1:],
        Column("lift_points", Points, lambda point: 100.0 * point.difference),
        *lift(CurvePoint, "lift", why=_INTERVAL_ELSEWHERE)[1:],
        *own(CurvePoint, "log_likelihood", "n_tokens", "truncated", why=_PICKS_AN_ANSWER),
        *later(*own(CurvePoint, "unfinished", why=f"{_PICKS_AN_ANSWER}, or {_NO_REASONING}")),
        *own(CurvePoint, "unscored", why=_PICKS_AN_ANSWER),
        *own(CurvePoint, "monte_carlo_error", why=_EXACT),
        REASONS,
    ),
)

PAIR = Row[ArmPair](
    "pair",
    (
        *own(ArmPair, "arm", "other"),
        Column("difference_points", Points, lambda pair: 100.0 * pair.test.difference),
        Column("difference_points_low", Points | None, lambda pair: 100.0 * pair.test.low),
        Column("difference_points_high", Points | None, lambda pair: 100.0 * pair.test.high),
        *renamed(ArmPair, method="test.method", contested="test.n_contested"),
        *where_tested(own(ArmPair, "test.p_value"), "test"),
        *own(ArmPair, "family"),
        *where_tested(own(ArmPair, "p_holm", why="of the families of n"), "test"),
        *where_tested(own(ArmPair, "p_joint", why="of the family of other pairs"), "test"),
        REASONS,
    ),
)

_PROBLEM = Row[ProblemRow](
    "",
    (
        *own(ProblemRow, "problem_id", "gold", "greedy_correct", "greedy_unscored", "greedy_truncated"),
        *own(ProblemRow, "greedy_unfinished", "greedy_log_likelihood", "pool_accuracy"),
    ),
)
_PROBLEM_AFTER_SCORERS = Row[ProblemRow](
    "",
    (
        *own(ProblemRow, "vote", "oracle", "best_log_likelihood", "above_greedy"),
        *own(ProblemRow, "pool_truncated", "pool_unfinished", "pool_unscored"),
    ),
)


def problem_cells(row: ProblemRow) -> CsvRow:
    """The cells of one problem, in the order of the columns; a column for each scorer."""
    scorers = {f"best_of_n_{scorer}": value for scorer, value in row.best_of_n.items()}
    return _PROBLEM.cells(row) | scorers | _PROBLEM_AFTER_SCORERS.cells(row)


_HEADLINE = Row[Headline](
    "comparison",
    (
        *own(Headline, "against", "verdict", "sentence"),
        *lift(Headline, "test"),
        *where_tested(own(Headline, "p_holm"), "test"),
        REASONS,
    ),
)

_SHARPER = Row[Facts](
    "",
    (
        *interval(Facts, "sharper_than_greedy", "share"),
        REASONS,
        *renamed(Facts, same_response_told_by="same_told_by"),
    ),
)

_REASONING = Row[ReasoningRow](
    "reasoning",
    (
        *own(ReasoningRow, "draw", "share", "unfinished"),
        *own(ReasoningRow, "reasoning_chars", "answer_chars", why="no response has a reasoning block that closes"),
        REASONS,
    ),
    description="Share of responses with a reasoning block, and the mean length of both parts in characters where the "
    f"block closes. No rows: {_NO_REASONING}.",
)

_FACTS = Row[Facts](
    "",
    (
        *own(Facts, "verdict"),
        Column("comparisons", Many(_HEADLINE, 2, 2), lambda facts: facts.comparisons),
        Column("sharper_than_greedy", _SHARPER, lambda facts: facts),
        *own(Facts, "duplicate_share", why="the texts were not read"),
        *own(Facts, "above_greedy"),
        *later(
            Column("reasoning", Many(_REASONING, 0, 2), lambda facts: facts.reasoning),
            *own(Facts, "special_inside", why="the run was stored or graded before special tokens were counted"),
            *own(Facts, "chance", "chance_oracle", why="the task states no chance, and its data has no options"),
            *own(Facts, "cautions"),
        ),
        REASONS,
    ),
)

_SELECTED = Row[SelectedScorer](
    "",
    (
        *own(SelectedScorer, "scorer", "of"),
        *interval(SelectedScorer, "accuracy"),
        *interval(SelectedScorer, "cross_fitted"),
        REASONS,
    ),
    description="The most accurate scorer, on the problems that selected it and on those that did not (cross-fitted); "
    "none with one scorer or fewer than 10 problems.",
)

_VARIANT = Row[Variant](
    "variant",
    (
        *own(Variant, "name", "note"),
        *renamed(Variant, problems="n_problems"),
        Column("arms", Many(ARM, 5), lambda variant: variant.arms),
        *later(Column("draws", Many(DRAW), lambda variant: variant.draws)),
    ),
)

_SETTINGS = Row[Analysis](
    "",
    (
        *own(Analysis, "settings.scorers", "settings.votes", "settings.primary_scorer", "settings.ns", "settings.seed"),
        *own(Analysis, "settings.draws", "settings.vote_draws", "settings.confidence", "settings.exclude_truncated"),
        *own(Analysis, "settings.margin", "settings.looks", "settings.partial"),
        *own(Analysis, "settings.cluster", "n_clusters", why="each problem is resampled by itself"),
        *own(Analysis, "pool_size"),
        *renamed(Analysis, problems="n_problems", problems_excluded="n_excluded", problems_missing="n_missing"),
    ),
)

# `RunConfig` checks these itself; its layer has no types of numbers to say them by.
_CONFIG_RANGES: dict[str, object] = {
    "n": Size,
    "temperature": NotNegative | None,  # null or 0 in imported runs alone
    **dict.fromkeys(("limit", "max_tokens"), Size | None),
    **dict.fromkeys(("seed", "shots"), Count | None),
    "chance": Share | None,
    "stop_token_ids": tuple[Count, ...],
    "draws": tuple[Mapping[str, object], ...],
    "token_stats": Annotated[str, Limits(enum=TOKEN_STATS)],
    "shard": Annotated[str, Limits(pattern="^[0-9]+/[0-9]+$")] | None,
    "system": Annotated[str, Limits(min_length=0)] | None,  # empty: no system text in place of the task's
}

_CONFIG = Stored(
    {f.name: field_type(RunConfig, f.name) for f in fields(RunConfig) if not f.name.endswith("_hash")} | _CONFIG_RANGES,
    required=("task", "model", "engine", "dtype", "n", "temperature", "max_tokens", "seed", "grader"),
    description="RunConfig as the run stored it, content hashes included.",
)

_RUN_KEYS: Mapping[str, object] = {
    "config": _CONFIG,
    "versions": Mapping[str, str | None],
    "engine": Stored({}, description="Facts that the engine gave: name, version, device, dtype, kernels."),
    "hashes": Mapping[str, str | None],
    "state": str | None,
    "sessions": Count,
    "redrawn": Count,
    "extents": tuple[str, ...],
    "report": str,
    "grader": Stored({"name": str, "version": str}, required=("name", "version"), closed=True),
    "source": Stored({}, description="Of an imported run: files, what they state and what not."),
}

_ALWAYS = tuple(name for name in _RUN_KEYS if name not in ("redrawn", "extents", "report", "source"))
"""What older documents of the same format have as well, and the run's own report: ``report`` is another one's name."""

DOCUMENT = Row[Analysis](
    "",
    (
        *stamp("bon-eval report", FORMAT_VERSION),
        Column("run", Stored(_RUN_KEYS, required=_ALWAYS, closed=True), lambda found: found.run),
        Column("analysis", _SETTINGS, lambda found: found),
        Column(
            "arms",
            Many(ARM, 5),
            lambda found: found.arms,
            description="The arms table: greedy, sample, best-of-n, vote, oracle.",
        ),
        Column(
            "pairs",
            Many(PAIR),
            lambda found: found.pairs,
            description="Every arm of the table against every earlier one, paired by problem.",
        ),
        Column(
            "curves",
            Many(CURVE, 1),
            lambda found: [point for point in found.curves if point.n in {1, *found.settings.ns}],
            description="At n = 1 and the n of the table; curves.csv has every n.",
        ),
        *later(
            Column(
                "compute",
                Many(COMPUTE, 2),
                lambda found: found.compute,
                description="Accuracy against tokens generated per problem: draws, best-of-n and votes, adaptive arms.",
            )
        ),
        *later(
            Column("draws", Many(DRAW), lambda found: found.draws, description="Besides greedy and the pool."),
            Column("draw_pairs", Many(DRAW_PAIR), lambda found: found.draw_pairs),
            Column("levels", LEVELS, lambda found: found.levels),
        ),
        Column("facts", _FACTS, lambda found: found.facts),
        Column("selected_scorer", Many(_SELECTED, 0, 1), lambda found: [found.selected] if found.selected else []),
        Column("explanation", EXPLANATION, lambda found: found.explanation),
        Column("replayed", REPLAYED, lambda found: found.replayed),
        Column(
            "variants",
            Many(_VARIANT),
            lambda found: found.variants,
            description="The arms table under other rules, on the same stored responses.",
        ),
        *own(Analysis, "variant_reasons"),
    ),
    description="Analysis of one run. Accuracies and shares are fractions of 1, points are percentage points, "
    "log-likelihoods are in nats, lengths in tokens. A null has its reason in null_reasons beside it.",
)


def document(analysis: Analysis) -> dict[str, object]:
    """The content of report.json: JSON-ready, not yet validated."""
    return DOCUMENT.json(analysis)
