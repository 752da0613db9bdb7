"""The rows of draws besides greedy and the pool, column by column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bon_eval.analysis.arms import LOG_LIKELIHOOD, N_TOKENS, TRUNCATED, UNFINISHED, UNSCORED
from bon_eval.analysis.draws.facts import DrawArm, DrawFacts, DrawPair
from bon_eval.analysis.draws.values import ArmValues
from bon_eval.report.formats.columns import (
    REASONS,
    Column,
    CsvRow,
    Many,
    Row,
    interval,
    lift,
    marked,
    own,
    where_tested,
)
from bon_eval.stats.units import Points

_PICKS_AN_ANSWER = "the arm picks an answer, not one response"

DRAW_ARM = Row[DrawArm](
    "draw_arm",
    (
        *own(DrawArm, "name", "arm", "n"),
        *own(DrawArm, "scorer", why="only best-of-n and weighted votes go by a scorer"),
        *interval(DrawArm, "accuracy"),
        *lift(DrawArm, "lift"),
        *where_tested(own(DrawArm, "p_joint"), "lift"),
        *interval(DrawArm, "log_likelihood", why=_PICKS_AN_ANSWER),
        *own(DrawArm, "n_tokens", "truncated", why=_PICKS_AN_ANSWER),
        *own(DrawArm, "unfinished", why=f"{_PICKS_AN_ANSWER}, or the grades do not tell reasoning from the answer"),
        *own(DrawArm, "unscored", why=_PICKS_AN_ANSWER),
        *own(DrawArm, "monte_carlo_error", why="exact: no subsets were drawn"),
        REASONS,
    ),
)

DRAW = Row[DrawFacts](
    "draw",
    (
        *own(DrawFacts, "draw", "n", "temperature", "top_p", "top_k", "min_p", "own_distribution"),
        *interval(DrawFacts, "tokens"),
        marked("tokens"),
        *own(DrawFacts, "duplicate_share", why="the texts were not read"),
        *own(DrawFacts, "distinct_answers", "answer_entropy"),
        Column("arms", Many(DRAW_ARM, 1), lambda facts: facts.arms),
        REASONS,
    ),
    description="A named draw, how it was sampled, and every way to answer from it. Log-likelihoods are those of the "
    "model's raw distribution.",
)

DRAW_PAIR = Row[DrawPair](
    "draw_pair",
    (
        *own(DrawPair, "arm", "other"),
        Column("difference_points", Points, lambda pair: 100.0 * pair.test.difference),
        Column("difference_points_low", Points | None, lambda pair: 100.0 * pair.test.low),
        Column("difference_points_high", Points | None, lambda pair: 100.0 * pair.test.high),
        Column("method", str, lambda pair: pair.test.method),
        Column("contested", int, lambda pair: pair.test.n_contested),
        *where_tested(own(DrawPair, "test.p_value", "p_joint"), "test"),
        REASONS,
    ),
    description="An arm of a draw against an arm of the pool or its like of another draw, paired by problem.",
)


def draw_cells(facts: DrawFacts) -> Iterator[CsvRow]:
    """One draw for CSV: a row for each of its arms, behind what is the same for all of them."""
    shared = {name: cell for name, cell in DRAW.cells(facts).items() if name != "arms"}
    for arm in facts.arms:
        own_cells = DRAW_ARM.cells(arm)
        del own_cells["name"]
        yield {f"draw_{k}" if k == "n" or k.startswith("tokens") else k: v for k, v in shared.items()} | own_cells


_OF_PICKS = {
    "log_likelihood": LOG_LIKELIHOOD,
    "n_tokens": N_TOKENS,
    "truncated": TRUNCATED,
    "unfinished": UNFINISHED,
    "unscored": UNSCORED,
}


def draw_problem_cells(problem_ids: Sequence[str], arms: Sequence[ArmValues]) -> Iterator[CsvRow]:
    """For CSV a row for each arm of each problem; what a cell's arm or grades do not have is empty."""
    none = [None] * len(problem_ids)
    columns: list[tuple[CsvRow, list[list[float] | list[None]]]] = []
    for arm in arms:
        of_picks: list[list[float] | list[None]] = [
            none
            if arm.quantities is None or (quantity == UNFINISHED and not arm.knows_reasoning)
            else arm.quantities[quantity].tolist()
            for quantity in _OF_PICKS.values()
        ]
        names: CsvRow = {"name": arm.name, "draw": arm.draw, "arm": arm.arm, "n": arm.n, "scorer": arm.scorer}
        columns.append((names, [arm.correct.tolist(), *of_picks]))
    for k, problem in enumerate(problem_ids):
        for names, values in columns:
            cells = (of_arm[k] for of_arm in values)
            yield {"problem_id": problem, **names, **dict(zip(("accuracy", *_OF_PICKS), cells, strict=True))}
