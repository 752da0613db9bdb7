"""What a run's terminal report says of why best-of-n does what it does: scorers, saturation, spread, power."""

from __future__ import annotations

from collections.abc import Sequence

from bon_eval.analysis.explain import Power, ScorerRow
from bon_eval.analysis.results import Analysis, SelectedScorer
from bon_eval.analysis.settings import half_of
from bon_eval.errors import counted
from bon_eval.report.formats.text import ends, text_table
from bon_eval.report.run.notes import NONE
from bon_eval.scorers import get_scorer
from bon_eval.stats import Interval, PairedTest
from bon_eval.stats.heavy_tails import LEAST_PROBLEMS

FEW_SCORERS = 6
"""Up to so many, the AUROCs are a sentence; more of them are a table."""


def resampled(analysis: Analysis) -> list[str]:
    """Of the headline arm: what is resampled in which interval."""
    settings = analysis.settings
    best = (r for r in analysis.arms if (r.n, r.scorer) == (settings.ns[-1], settings.primary_scorer))
    arm = next(best, None)
    if arm is None or arm.responses is None or arm.fresh is None:
        return []
    over, alone, fresh = (ends(i.low, i.high, ".2f").strip() for i in (arm.accuracy, arm.responses, arm.fresh))
    of = f"{analysis.units[1]}s and responses"
    return [
        f"what is resampled: best-of-{arm.n} is {arm.accuracy.estimate:.3f}, {over} over {of}; "
        f"{alone or 'no interval'} over responses alone, for these problems"
        + (f"; a fresh best-of-{arm.n} run on them would lie in {fresh}." if fresh else _same_pick(arm.responses))
    ]


def _same_pick(found: Interval) -> str:
    return f" ({found.reason})."


def ranking(analysis: Analysis) -> list[str]:
    """Many scorers: a table by accuracy of best-of-n, with AUROC and paired differences from the primary scorer."""
    primary, last = spoken(analysis.settings.primary_scorer), analysis.settings.ns[-1]
    rows = [(f"scorer of best-of-{last}", "accuracy", f"points over {primary}", "AUROC [95 %]", f"over {primary}")]
    for row in sorted(analysis.explanation.scorers, key=lambda row: row.accuracy_rank):
        auroc, gain = row.auroc, row.auroc_difference
        few = row.auroc_problems < LEAST_PROBLEMS
        rows.append(
            (
                spoken(row.scorer),
                f"{row.accuracy.estimate:.3f}",
                lift_text(row.accuracy_difference),
                NONE if auroc is None or few else f"{auroc.estimate:.2f}{ends(auroc.low, auroc.high, '.2f')}",
                NONE if gain is None or few else f"{gain.difference:+z.2f}{ends(gain.low, gain.high, '+z.2f')}",
            )
        )
    return text_table(rows)


def explained(analysis: Analysis) -> list[str]:
    found, settings = analysis.explanation, analysis.settings
    known = [
        (row.scorer, row.auroc) for row in found.scorers if row.auroc is not None and not get_scorer(row.scorer).blind
    ]
    out = []
    n = found.scorers[0].auroc_problems
    if n < LEAST_PROBLEMS:
        out.append(f"AUROC within problems is left out: {n} hold both kinds of response; from {LEAST_PROBLEMS} on.")
    elif known and len(found.scorers) <= FEW_SCORERS:
        values = ", ".join(
            f"{spoken(name)} {auroc.estimate:.2f}{ends(auroc.low, auroc.high, '.2f')}" for name, auroc in known
        )
        out.append(
            f"AUROC within problems, 0.5 is chance: {values} (the {n} with both kinds among "
            f"{counted(analysis.pool_size, 'response')}, on which it depends)."
        )
    primary = next(row for row in found.scorers if row.scorer == settings.primary_scorer)
    out += _saturation(primary, analysis)
    if analysis.selected is not None:
        out.append(_selected(analysis.selected))
    out += [
        _power(power, analysis) for power in found.power if power.against == "greedy" and power.detectable is not None
    ]
    return out


def _saturation(row: ScorerRow, analysis: Analysis) -> list[str]:
    """What the last doubling of n adds; nothing for too few problems."""
    test, margin = row.last_doubling, 100 * analysis.settings.margin
    if test is None or analysis.units[0] < LEAST_PROBLEMS:
        return []
    last = analysis.settings.ns[-1]
    doubling = f"the last doubling (from {half_of(last)} to {last})"
    numbers = f"{100 * test.difference:+z.1f} points{ends(test.low, test.high, '+z.1f', 100.0)}"
    if row.is_flat:
        within = "" if row.saturation_n is None else f"; within 1 % of it from n = {row.saturation_n} on"
        return [f"saturation: flat at n = {last}, {doubling} adds less than {margin:g} points: {numbers}{within}."]
    verdict = test.verdict(alpha=analysis.settings.alpha)
    if verdict == "lower":
        return [f"saturation: falling at n = {last}: {doubling} adds {numbers}."]
    if verdict != "higher" and round(100 * test.difference, 1) <= 0.0:
        return [f"saturation: undecided at n = {last}: {doubling} adds {numbers}."]
    looks = analysis.settings.looks
    unsure = "" if verdict == "higher" else ", for all that is shown"
    unsure += f" at one of {looks} looks" if unsure and looks > 1 else ""
    return [f"saturation: still rising at n = {last}{unsure}: {doubling} adds {numbers}."]


def _selected(found: SelectedScorer) -> str:
    naive, fair = found.accuracy, found.cross_fitted
    return (
        f"best of {found.of} scorers: {spoken(found.scorer)} {naive.estimate:.3f} on the problems that select it, "
        f"{fair.estimate:.3f}{ends(fair.low, fair.high, '.2f')} on those that do not (cross-fitted)."
    )


def _power(power: Power, analysis: Analysis) -> str:
    assert power.detectable is not None
    clustered = "" if analysis.n_clusters is None else ", in clusters as large as here"
    needed = [f"{n:,}" for n in power.problems.values() if n is not None]
    return (
        f"power: this run finds a difference from greedy of {100 * power.detectable:.1f} points with 80 % power; "
        f"{_listed([str(points) for points in power.problems])} points need {_listed(needed)} problems{clustered}."
    )


def _listed(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}"


def spoken(scorer: str) -> str:
    return scorer.replace("_", " ").replace("log likelihood", "log-lik")


def lift_text(test: PairedTest | None, *, starred: bool = False) -> str:
    if test is None:
        return NONE
    mark = "*" if starred else ""
    return f"{100 * test.difference:+z.1f}{ends(test.low, test.high, '+z.0f', 100.0)}{mark}"
