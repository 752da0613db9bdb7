"""The rows of an analysis, from what each arm is worth on each problem: arms, curves, problems, headline facts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Literal

import numpy as np

from bon_eval.analysis.arms import (
    CORRECT,
    N_TOKENS,
    Cells,
    Data,
    Picks,
    cell_label,
    row_label,
    stacked,
)
from bon_eval.analysis.families import adjust_arms, relative_lifts
from bon_eval.analysis.responses import Array, sharper_than_greedy
from bon_eval.analysis.results import (
    ArmKind,
    ArmPair,
    ArmRow,
    Facts,
    Headline,
    ProblemRow,
)
from bon_eval.analysis.settings import Settings
from bon_eval.analysis.shapes import cautions, reasoning_rows, unlike_guessing
from bon_eval.errors import counted
from bon_eval.stats import Interval, PairedTest
from bon_eval.stats.heavy_tails import LEAST_PROBLEMS

_ROUNDING = 1e-9
_PICKS_AN_ANSWER = "the arm picks an answer, not one response"
_UNKNOWN = "the grades are of a version that did not tell reasoning from the answer; run: bon-eval grade"


def arm_rows(data: Data, settings: Settings, cells: Cells) -> tuple[ArmRow, ...]:
    """The arms table: greedy, sample, best-of-n by the primary scorer, by the others at the last n, vote, oracle."""
    primary, last = settings.primary_scorer, settings.ns[-1]
    arms = data.responses
    means = {scorer: picks.means for scorer, picks in data.picks.items()}
    rows = [
        _arm_row(cells, "greedy", 1, None, stacked(arms.greedy).mean(axis=(1, 2))),
        _over_responses(
            _arm_row(cells, "sample", 1, None, stacked(arms.pool).mean(axis=(1, 2))), data.picks[primary], settings
        ),
    ]
    for scorer, ns in ((primary, settings.ns), *((name, (last,)) for name in settings.scorers if name != primary)):
        for n in ns:
            row = _arm_row(cells, "best-of-n", n, scorer, means[scorer][n])
            rows.append(_over_responses(row, data.picks[scorer], settings))
    rows.append(_arm_row(cells, "vote", last, None, None, error=data.vote_error[last]))
    rows += [_arm_row(cells, "vote", last, name, None, error=v.error[last]) for name, v in data.weighted.items()]
    rows.append(_arm_row(cells, "oracle", last, None, None))
    if not arms.knows_reasoning:
        rows = [
            replace(row, unfinished=None, null_reasons={"unfinished": _UNKNOWN, **row.null_reasons}) for row in rows
        ]
    return adjust_arms(data, settings, relative_lifts(data, settings, rows))


def _over_responses(row: ArmRow, picks: Picks, settings: Settings) -> ArmRow:
    """The row with what redrawn responses to the same problems would give; as it is where the pool is one response."""
    if row.n not in picks.response_variance:
        return row
    from scipy import special

    value, variance = picks.per_problem[row.n][CORRECT], picks.response_variance[row.n]
    # A fresh answer is right or wrong; E[v - v^2] falls short of that spread by the variance of v.
    outcome = np.maximum(value - value**2 + variance, 0.0)
    quantile = float(special.ndtri(1.0 - (1.0 - settings.confidence) / 2.0))
    mean = row.accuracy.estimate
    found = []
    for method, total in (("jackknife over responses", variance), ("prediction", variance + outcome)):
        half = quantile * float(np.sqrt(total.sum())) / len(value)
        # Nothing changes where any one response is left out: fresh pools need not agree for that.
        if half < _ROUNDING:
            found.append(Interval(mean, np.nan, np.nan, "none: leaving out any one response changes nothing"))
        else:
            found.append(Interval(mean, max(0.0, mean - half), min(1.0, mean + half), method))
    return replace(row, responses=found[0], fresh=found[1])


def _arm_row(
    cells: Cells,
    arm: ArmKind,
    n: int,
    scorer: str | None,
    means: Array | None,
    *,
    error: float = 0.0,
) -> ArmRow:
    """`means` over problems and picks, (quantities,); None for an arm of which only the accuracy exists."""
    label = row_label(arm, n, scorer)
    reasons: dict[str, str] = {}
    lift = log_likelihood = n_tokens = truncated = unfinished = unscored = None
    if arm == "greedy":
        reasons["lift"] = "greedy is the baseline"
    else:
        lift = cells.lift[label]
    reasons |= dict.fromkeys(("responses", "fresh"), "given of pools of two or more, for sample and best-of-n")
    reasons["p_holm"] = "not in the family of n of the primary scorer"
    reasons["p_joint"] = "not in the family of other arms"
    if means is not None:
        log_likelihood = cells.log_likelihood[label]
        n_tokens, truncated, unfinished, unscored = means[N_TOKENS:].tolist()
    else:
        reasons |= dict.fromkeys(
            ("log_likelihood", "n_tokens", "truncated", "unfinished", "unscored"), _PICKS_AN_ANSWER
        )
    if not error:
        reasons["monte_carlo_error"] = "exact: no subsets were drawn"
    return ArmRow(
        arm=arm,
        n=n,
        scorer=scorer,
        accuracy=cells.accuracy[label],
        lift=lift,
        lift_percent=None,
        lift_percent_low=None,
        lift_percent_high=None,
        p_holm=None,
        p_joint=None,
        log_likelihood=log_likelihood,
        n_tokens=n_tokens,
        truncated=truncated,
        unfinished=unfinished,
        unscored=unscored,
        monte_carlo_error=error or None,
        null_reasons=reasons,
    )


def problem_rows(data: Data, settings: Settings) -> Iterator[ProblemRow]:
    """One row for each problem, in the order of the pool."""
    last = settings.ns[-1]
    above = sharper_than_greedy(data.responses).mean(axis=1)
    pool, greedy, golds = data.responses.pool, data.responses.greedy, data.responses.golds
    known = data.responses.knows_reasoning
    for i, problem_id in enumerate(pool.problem_ids):
        yield ProblemRow(
            problem_id=problem_id,
            gold=golds[i],
            greedy_correct=bool(greedy.correct[i, 0]),
            greedy_unscored=bool(greedy.unscored[i, 0]),
            greedy_truncated=bool(greedy.truncated[i, 0]),
            greedy_unfinished=bool(greedy.unfinished[i, 0]) if known else None,
            greedy_log_likelihood=float(greedy.log_likelihood[i, 0]),
            pool_accuracy=float(pool.correct[i].mean()),
            best_of_n={scorer: float(picks.per_problem[last][CORRECT, i]) for scorer, picks in data.picks.items()},
            vote=float(data.vote[last][i]),
            oracle=float(data.oracle[last][i]),
            best_log_likelihood=float(pool.log_likelihood[i].max()),
            above_greedy=float(above[i]),
            pool_truncated=float(pool.truncated[i].mean()),
            pool_unfinished=float(pool.unfinished[i].mean()) if known else None,
            pool_unscored=float(pool.unscored[i].mean()),
        )


def facts(
    data: Data,
    settings: Settings,
    cells: Cells,
    arms: tuple[ArmRow, ...],
    pairs: tuple[ArmPair, ...],
    *,
    also: Iterable[str] = (),
) -> Facts:
    """The verdicts against greedy and against one sample, and how often the pool is sharper than greedy.

    `also`: cautions about the prompts.
    """
    scorer, last = settings.primary_scorer, settings.ns[-1]
    duplicates, inside = data.responses.duplicates, data.responses.pool.special_inside
    best = next(row for row in arms if (row.arm, row.n, row.scorer) == ("best-of-n", last, scorer))
    # Best-of-1 is the sample: no pair of its own.
    over_sample = next((pair.p_family for pair in pairs if (pair.arm, pair.other) == (best.name, "sample")), 1.0)
    assert best.p_holm is not None
    responses, chance = data.responses, data.responses.chance
    level, guessers = _guessing(chance, last)
    single = {row.arm: row.accuracy for row in arms[:2]} | {f"best-of-{last}": best.accuracy}
    return Facts(
        comparisons=(
            _headline(data, settings, "greedy", cells.lift[cell_label(scorer, last)], best.p_holm),
            _headline(data, settings, "sample", cells.over_sample, over_sample),
        ),
        sharper_than_greedy=cells.sharper,
        same_told_by=data.responses.pool.same_told_by or "nothing",
        above_greedy=cells.above_greedy.estimate,
        duplicate_share=None if duplicates is None else float(duplicates.mean()),
        reasoning=tuple(reasoning_rows(data)),
        special_inside=None if inside is None else float(inside.mean()),
        chance=level,
        chance_oracle=guessers,
        cautions=(
            *cautions(responses.greedy, responses.pool, responses.units),
            *(() if level is None or guessers is None else unlike_guessing(single, level, guessers, last)),
            *also,
        ),
    )


def _guessing(chance: Array | None, n: int) -> tuple[float, float] | tuple[None, None]:
    """How often a guess is right, and an oracle over n of them."""
    if chance is None:
        return 0.0, 0.0
    if np.isnan(chance).any():
        return None, None
    return float(chance.mean()), float((1.0 - (1.0 - chance) ** n).mean())


def _headline(
    data: Data, settings: Settings, against: Literal["greedy", "sample"], test: PairedTest, p_holm: float
) -> Headline:
    arm = f"best-of-{settings.ns[-1]} by {settings.primary_scorer}"
    other = {"greedy": "greedy decoding", "sample": "one sample"}[against]
    verdict, sentence = verdict_sentence(arm, other, test, p_holm, settings, data.responses.units)
    return Headline(against=against, test=test, p_holm=p_holm, verdict=verdict, sentence=sentence)


def verdict_sentence(
    arm: str,
    other: str,
    test: PairedTest,
    p_value: float,
    settings: Settings,
    of: tuple[int, str],
    family: str = "the n of the table",
) -> tuple[str, str]:
    """The verdict on one arm's accuracy minus another's, in a word and in a sentence.

    Args:
        arm, other: in words.
        test: of the difference.
        p_value: adjusted for its family.
        settings: of the analysis.
        of: how many of what are resampled (see `Responses.units`).
        family: what the p-value is adjusted over.
    """
    units, unit = of
    if units < LEAST_PROBLEMS:
        few = counted(units, unit)
        sentence = f"Whether {arm} is more accurate than {other} is not said of {few}; from {LEAST_PROBLEMS} on."
        return "not shown", sentence
    verdict = test.verdict(p_value=p_value, margin=settings.equivalence_margin, alpha=settings.alpha)
    numbers = f"{100 * test.difference:+z.1f} points [{100 * test.low:+z.1f}, {100 * test.high:+z.1f}]"
    numbers += f" over {units} {unit}s"
    if settings.alpha == 0.0:
        sentence = f"No verdict on {arm} and {other} before the run is finished: {numbers} so far."
    elif verdict == "not shown":
        sentence = f"A difference in accuracy between {arm} and {other} is not shown: {numbers}"
        if not test.low <= 0.0 <= test.high:
            looks = f", of which {settings.alpha:.4f} is needed at each of {settings.looks} looks"
            sentence += f"; by itself p = {test.p_value:.4f}, over {family} {p_value:.4f}"
            sentence += looks if settings.looks > 1 else ""
        sentence += "."
    elif verdict == "same":
        sentence = (
            f"The accuracy of {arm} is shown to be that of {other} within {100 * settings.margin:g} points: {numbers}, "
            f"90 % [{100 * test.inner_low:+z.1f}, {100 * test.inner_high:+z.1f}]."
        )
    else:
        sentence = f"The accuracy of {arm} is {verdict} than that of {other}: {numbers}."
    return verdict, sentence
