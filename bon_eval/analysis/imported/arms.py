"""The arms table of an imported run that lacks something: accuracies, and tests against one sample and greedy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from bon_eval.analysis.arms import (
    CORRECT,
    LOG_LIKELIHOOD,
    N_TOKENS,
    TRUNCATED,
    UNFINISHED,
    UNSCORED,
    Data,
    stacked,
    stream,
)
from bon_eval.analysis.imported.findings import ImportedArm
from bon_eval.analysis.responses import Array
from bon_eval.analysis.results import ArmKind
from bon_eval.analysis.settings import Settings
from bon_eval.scorers import get_scorer
from bon_eval.stats import PairedTest, bootstrap_cis, paired_tests, step_down
from bon_eval.stats.paired import paired_differences

_PICKS = "the arm picks an answer, not one response"
_OLD_GRADES = "the grades are of a version that did not tell reasoning from the answer; run: bon-eval grade"
_QUANTITIES = {
    "log_likelihood": LOG_LIKELIHOOD,
    "n_tokens": N_TOKENS,
    "truncated": TRUNCATED,
    "unfinished": UNFINISHED,
    "unscored": UNSCORED,
}


Cell = tuple[ArmKind, int, str | None]


def _cells(data: Data, settings: Settings) -> dict[Cell, tuple[Array, Array | None]]:
    """Arm -> its accuracy on each problem, (P,), and the means of all quantities of what it picks; in table order."""
    responses, last = data.responses, settings.ns[-1]
    found: dict[Cell, tuple[Array, Array | None]] = {}
    pools = {"greedy": responses.greedy, "sample": responses.pool}
    names: tuple[ArmKind, ...] = ("greedy", "sample")
    for arm in names:
        if pools[arm].problem_ids:
            values = stacked(pools[arm]).mean(axis=2)
            found[arm, 1, None] = values[CORRECT], values.mean(axis=1)
    for scorer, picks in data.picks.items():
        if not get_scorer(scorer).blind:
            for n in settings.ns if scorer == settings.primary_scorer else (last,):
                found["best-of-n", n, scorer] = picks.per_problem[n][CORRECT], picks.means[n]
    for n in settings.ns:
        found["vote", n, None] = data.vote[n], None
    for name, vote in data.weighted.items():
        found["vote", last, name] = vote.values[last], None
    for n in settings.ns:
        found["oracle", n, None] = data.oracle[n], None
    return found


@dataclass(frozen=True, slots=True)
class _Family:
    """All arms against one of them."""

    tests: Mapping[Cell, PairedTest]
    adjusted: Mapping[Cell, float]
    """Step-down p-values."""


def imported_arms(data: Data, settings: Settings, lacking: Mapping[str, str]) -> tuple[ImportedArm, ...]:
    """Greedy where there is one, sample, best-of-n by the primary scorer, by the others at the last n, votes, oracle.

    `lacking`: as `bon_eval.records.Pool.absent`.
    """
    cells = _cells(data, settings)
    intervals = bootstrap_cis(
        np.column_stack([value for value, _ in cells.values()]),
        rng=stream(settings, "intervals"),
        draws=settings.draws,
        confidence=settings.confidence,
        clusters=data.responses.clusters,
    )
    sample = _family(cells, ("sample", 1, None), data, settings)
    greedy = _family(cells, ("greedy", 1, None), data, settings)
    rows = []
    for (cell, (_, means)), accuracy in zip(cells.items(), intervals, strict=True):
        arm, n, scorer = cell
        error = 0.0
        if arm == "vote":
            error = data.vote_error[n] if scorer is None else data.weighted[scorer].error[n]
        shown = {} if means is None else {q: float(means[k]) for q, k in _QUANTITIES.items() if q not in lacking}
        if data.responses.pool.answer_chars is None:
            shown.pop("unfinished", None)
        row = ImportedArm(
            arm=arm,
            n=n,
            scorer=scorer,
            accuracy=accuracy,
            over_sample=sample.tests.get(cell),
            p_over_sample=sample.adjusted.get(cell),
            over_greedy=greedy.tests.get(cell),
            p_over_greedy=greedy.adjusted.get(cell),
            log_likelihood=shown.get("log_likelihood"),
            n_tokens=shown.get("n_tokens"),
            truncated=shown.get("truncated"),
            unfinished=shown.get("unfinished"),
            unscored=shown.get("unscored"),
            monte_carlo_error=error or None,
        )
        rows.append(replace(row, null_reasons=_reasons(row, means is None, lacking)))
    return tuple(rows)


def _reasons(row: ImportedArm, picks_answers: bool, lacking: Mapping[str, str]) -> dict[str, str]:
    """Why each number that is not there is not."""
    found = {name: _PICKS if picks_answers else lacking.get(name, _OLD_GRADES) for name in _QUANTITIES}
    found["scorer"] = "only best-of-n and weighted votes go by a scorer"
    found["monte_carlo_error"] = "exact: no subsets were drawn"
    own = "greedy is held against nothing but by the others" if row.arm == "greedy" else "it is one sample itself"
    found |= dict.fromkeys(("over_sample", "p_over_sample"), own)
    return found | dict.fromkeys(("over_greedy", "p_over_greedy"), lacking.get("greedy", "it is greedy itself"))


def _family(cells: Mapping[Cell, tuple[Array, Array | None]], base: Cell, data: Data, settings: Settings) -> _Family:
    """Every other arm against one, unless it is the same one under another name; empty where that one is not there."""
    against = [cell for cell in cells if cell != base and not (base[0] == "sample" and _is_one(cell))]
    if base not in cells or not against:
        return _Family({}, {})
    tests = paired_tests(
        np.column_stack([cells[cell][0] for cell in against]),
        np.column_stack([cells[base][0]] * len(against)),
        rng=stream(settings, f"tests against {base[0]}"),
        draws=settings.draws,
        confidence=settings.confidence,
        clusters=data.responses.clusters,
    )
    adjusted = step_down(
        np.column_stack([paired_differences(cells[cell][0], cells[base][0], True) for cell in against]),
        [test.p_value for test in tests],
        rng=stream(settings, f"family against {base[0]}"),
        draws=settings.draws,
        clusters=data.responses.clusters,
    )
    return _Family(dict(zip(against, tests, strict=True)), dict(zip(against, adjusted.tolist(), strict=True)))


def _is_one(cell: Cell) -> bool:
    """Whether an arm is greedy, or one sample under another name."""
    arm, n, _ = cell
    return arm == "greedy" or (n == 1 and arm in ("best-of-n", "oracle"))
