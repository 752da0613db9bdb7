"""The rows of what explains a lift, of the arms that were not run and of what all arms cost, column by column."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from bon_eval.analysis.compute import ComputeRow
from bon_eval.analysis.explain import POINTS, Explanation, GreedyRank, Power, ScorerRow
from bon_eval.analysis.shapes import Histogram, LengthRow
from bon_eval.analysis.unrun_arms import Coverage, Replayed, ReweightedPoint, SharpShare, StoppingRow
from bon_eval.report.formats.columns import (
    REASONS,
    Column,
    CsvRow,
    Many,
    Maybe,
    Row,
    difference,
    interval,
    later,
    marked,
    own,
    renamed,
)
from bon_eval.stats.power import LEAST_PROBLEMS
from bon_eval.stats.units import FromOne, Limits, Positive

_ONE_KIND = "no pool holds both correct and incorrect responses"
_NOT_FLAT = "the curve is not shown to be flat at n = N (no look before the end shows it), or the accuracy there is 0"
_N_OF_1 = "the last n is 1"
_NO_SPREAD = f"fewer than {LEAST_PROBLEMS} problems or clusters, or differences without spread"
_PRIMARY = "the primary scorer is what the others are compared with"

SCORER = Row[ScorerRow](
    "scorer",
    (
        *own(ScorerRow, "scorer"),
        *interval(ScorerRow, "auroc", why=_ONE_KIND),
        *own(ScorerRow, "auroc_problems"),
        *own(ScorerRow, "auroc_rank", why=_ONE_KIND),
        *difference(ScorerRow, "auroc_difference", "auroc_difference", 1.0),
        *interval(ScorerRow, "accuracy"),
        *own(ScorerRow, "accuracy_rank"),
        *difference(ScorerRow, "accuracy_difference", "accuracy_difference_points", 100.0, why=_PRIMARY),
        *own(ScorerRow, "n_tokens"),
        *own(ScorerRow, "saturation_n", why=_NOT_FLAT),
        *difference(ScorerRow, "last_doubling", "last_doubling_points", 100.0, why=_N_OF_1),
        *own(ScorerRow, "is_flat"),
        REASONS,
    ),
    reasons=lambda row: {"auroc_difference": _ONE_KIND if row.auroc is None else _PRIMARY},
)

_LENGTH = Row[LengthRow](
    "length",
    (
        *own(LengthRow, "decile", "tokens_low", "tokens_high", "responses"),
        *interval(LengthRow, "accuracy"),
        *own(LengthRow, "log_likelihood"),
        REASONS,
        *own(LengthRow, "picked"),
    ),
)


def length_cells(row: LengthRow) -> CsvRow:
    """The cells of one tenth of the lengths for CSV, in the order of the columns; a column for each scorer's picks."""
    cells = _LENGTH.cells(row)
    del cells["picked"]
    return cells | {f"picked_{scorer}": share for scorer, share in row.picked.items()}


_GREEDY_RANK = Row[GreedyRank](
    "",
    (*interval(GreedyRank, "mean"), *own(GreedyRank, "median", "quartile_low", "quartile_high"), REASONS),
    description="1 + the number of pool responses that are sharper than greedy, over problems.",
)


def _problems_for(points: int) -> Column[Power]:
    needed = Annotated[int, Limits(minimum=2)] | None
    return Column(f"problems_for_{points}_points", needed, lambda power: power.problems[points], why=_NO_SPREAD)


_POWER = Row[Power](
    "power",
    (
        *own(Power, "against"),
        Column(
            "detectable_points",
            Positive | None,
            lambda power: None if power.detectable is None else 100.0 * power.detectable,
            why=_NO_SPREAD,
        ),
        *(_problems_for(points) for points in POINTS),
        REASONS,
    ),
    description="What a run of this size and spread finds with 80 % power, at the two-sided 5 % divided over the "
    "planned looks.",
)

_HISTOGRAM = Row[Histogram](
    "histogram",
    own(Histogram, "quantity", "edges", "correct", "incorrect"),
    description="Pool responses by log-likelihood; one more edge than bins, unscored counted as incorrect.",
)

EXPLANATION = Row[Explanation](
    "",
    (
        Column("scorers", Many(SCORER, 1), lambda found: found.scorers),
        Column(
            "lengths",
            Many(_LENGTH, 1, 10),
            lambda found: found.lengths,
            description="Tenths of the pool responses by length; equal lengths are never split.",
        ),
        Column("greedy_rank", _GREEDY_RANK, lambda found: found.greedy_rank),
        Column("power", Many(_POWER, 2, 2), lambda found: found.power),
        Column("histograms", Many(_HISTOGRAM, 2, 2), lambda found: found.histograms),
    ),
    description="What explains the lift.",
)

REWEIGHTED = Row[ReweightedPoint](
    "reweighted",
    (
        Column(
            "alpha",
            FromOne | Literal["infinity"],
            lambda point: "infinity" if math.isinf(point.alpha) else point.alpha,
        ),
        *interval(ReweightedPoint, "accuracy"),
        *own(ReweightedPoint, "log_likelihood", "ess_median"),
        *renamed(ReweightedPoint, ess_quartile_low="ess_low", ess_quartile_high="ess_high"),
        *own(ReweightedPoint, "believable"),
        REASONS,
    ),
    description="The pool reweighted to the power distribution of exponent alpha.",
)

STOPPING = Row[StoppingRow](
    "stopping",
    (
        *own(StoppingRow, "rule", "parameter", "samples"),
        *later(*interval(StoppingRow, "tokens"), marked("tokens")),
        *own(StoppingRow, "exhausted"),
        *interval(StoppingRow, "accuracy"),
        *own(StoppingRow, "fixed_accuracy"),
        *difference(StoppingRow, "difference", "difference_points", 100.0),
        REASONS,
    ),
    description="Best-of-n that stops by a rule, beside fixed n of the same mean cost.",
)

COMPUTE = Row[ComputeRow](
    "compute",
    (
        *own(ComputeRow, "name", "arm"),
        *later(*own(ComputeRow, "draw", why="greedy or the pool")),
        *own(ComputeRow, "by", why="a draw's mean, or the majority vote: nothing ranks its responses"),
        *own(ComputeRow, "samples"),
        *interval(ComputeRow, "tokens"),
        marked("tokens"),
        *interval(ComputeRow, "accuracy"),
        *own(ComputeRow, "undercut_by", why="no arm is at least as accurate for no more tokens"),
        REASONS,
    ),
    description="Tokens generated per problem, prompts not counted, and accuracy. undercut_by: an arm at least as "
    "accurate for no more tokens, by the estimates.",
)

_SHARP = Row[SharpShare]("", (*own(SharpShare, "delta"), *interval(SharpShare, "share"), REASONS))

_COVERAGE = Row[Coverage](
    "coverage",
    (
        *own(Coverage, "problems"),
        *renamed(Coverage, problems_left_out="left_out"),
        *interval(Coverage, "log_coverage", "log_coverage_bound"),
        *renamed(Coverage, median_surprisal="median", heaviest_share="heaviest"),
        REASONS,
        Column("sharp", Many(_SHARP), lambda found: found.sharp),
    ),
    description="Upper bound of ln C_cov, and the share of problems with a response of probability at least 1 - delta.",
)

REPLAYED = Row[Replayed](
    "",
    (
        Column("power", Many(REWEIGHTED), lambda found: found.reweighted),
        Column("stopping", Many(STOPPING), lambda found: found.stopping),
        Column("coverage", Maybe(_COVERAGE), lambda found: found.coverage),
        *renamed(Replayed, null_reasons="reasons"),
    ),
    description="Arms that were not run, from the stored pools.",
)
