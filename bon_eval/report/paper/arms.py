"""The arms of a run as a table of LaTeX: greedy, one sample, best-of-n, votes, the oracle, and those of draws."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bon_eval.analysis.draws.facts import DrawArm
from bon_eval.analysis.imported.either import AnyAnalysis
from bon_eval.analysis.imported.findings import ImportedAnalysis, ImportedArm
from bon_eval.analysis.results import Analysis, ArmRow
from bon_eval.analysis.settings import Settings
from bon_eval.errors import counted
from bon_eval.report.formats.figures import scorer_label
from bon_eval.report.formats.text import config_of, model_name
from bon_eval.report.paper.latex import Table, escape, interval, number
from bon_eval.stats import Interval, PairedTest

AnyArm = ArmRow | DrawArm | ImportedArm
Rows = list[list[str]]

_INDENT = r"\quad "
_SHARES = {"truncated": r"cut (\%)", "unfinished": r"open (\%)", "unscored": r"unscored (\%)"}
"""Columns of what makes an accuracy lower or unsure; one where nothing is is left out."""
_SAID = {
    "truncated": "cut: share of responses that reached the token limit",
    "unfinished": "open: share with reasoning that was not finished",
    "unscored": "unscored: share of responses without a verdict, which count as not correct",
}


def arms_table(analysis: AnyAnalysis, *, narrow: bool) -> Table:
    """The table; its numbers are those of the report.

    `narrow`: for one of two columns, without log-likelihoods and tokens, for which that has no room.
    """
    rows = list(_main(analysis))
    shares = [name for name in _SHARES if any(getattr(row, name) for _, row, _ in rows)]
    lifts = _lift_names(analysis)
    likelihood = not narrow and any(row.log_likelihood is not None for _, row, _ in rows)
    tokens = not narrow and any(row.n_tokens is not None for _, row, _ in rows)
    heads = [("arm", 1), (r"accuracy (\%)", 2), *((escape(f"{what}, points"), 2) for what, _, _ in lifts)]
    heads += [(head, 1) for head, there in (("log-lik.", likelihood), ("tokens", tokens)) if there]
    heads += [(_SHARES[name], 1) for name in shares]
    groups: dict[int, Rows] = {}
    starred = False
    for name, row, group in rows:
        cells = [name, *_accuracy(row.accuracy)]
        for _, test, p in lifts:
            p_value, difference = _field(row, p), _field(row, test)
            star = isinstance(p_value, float) and analysis.settings.shows(p_value, analysis.units[0])
            starred |= star
            cells += _lift(difference, star)
        if likelihood:
            nats = row.log_likelihood
            cells.append(number(nats.estimate if isinstance(nats, Interval) else nats, ".2f"))
        if tokens:
            cells.append(number(row.n_tokens, ".1f"))
        cells += [number(None if (x := getattr(row, share)) is None else 100 * x, ".1f") for share in shares]
        groups.setdefault(group, []).append(cells)
    caption = _caption(analysis, starred=starred, likelihood=likelihood, shares=shares)
    return Table("arms", caption, tuple(heads), tuple(groups.values()))


def _lift_names(analysis: AnyAnalysis) -> list[tuple[str, str, str]]:
    """What each column of differences is called, the field of its test, and that of the p-value within its family."""
    if isinstance(analysis, Analysis):
        return [("lift over greedy", "lift", "p_family")]
    greedy = any(row.arm == "greedy" for row in analysis.arms)
    return [
        *([("over greedy", "over_greedy", "p_over_greedy")] if greedy else []),
        ("over one sample", "over_sample", "p_over_sample"),
    ]


def _field(row: AnyArm, field: str) -> object:
    """Of a row; an arm of a draw has its family's p-value under another name."""
    return getattr(row, "p_joint" if field == "p_family" and isinstance(row, DrawArm) else field)


def _main(analysis: AnyAnalysis) -> Iterator[tuple[str, AnyArm, int]]:
    """(name, arm, group of rows) of every arm of the table and the main ones of each draw."""
    settings = analysis.settings
    for row in analysis.arms:
        yield _name(row, settings), row, _group(row, settings)
    if isinstance(analysis, ImportedAnalysis):
        return
    for k, draw in enumerate(analysis.draws):
        kinds = (("best-of-n", settings.primary_scorer), ("vote", None))
        for arm in draw.arms:
            if arm.arm == "mean":
                yield escape(arm.draw), arm, 3 + k
            elif arm.n == draw.n and (arm.arm, arm.scorer) in kinds:
                kind = "best-of" if arm.arm == "best-of-n" else "vote-of"
                yield f"{_INDENT}{kind}-{arm.n}", arm, 3 + k


def _group(row: ArmRow | ImportedArm, settings: Settings) -> int:
    if row.arm in ("greedy", "sample"):
        return 0
    if row.arm == "best-of-n":
        return 1
    return 2


def _name(row: ArmRow | ImportedArm, settings: Settings) -> str:
    if row.arm == "greedy":
        return "greedy"
    if row.arm == "sample":
        return "one sample"
    if row.arm == "best-of-n":
        if row.scorer == settings.primary_scorer:
            return f"best-of-{row.n}"
        return f"{_INDENT}by {escape(scorer_label(row.scorer or ''))}"
    return f"{row.arm}-of-{row.n}" + (f" {escape(scorer_label(row.scorer))}" if row.scorer else "")


def _accuracy(value: Interval) -> list[str]:
    return [number(100 * value.estimate, ".1f"), interval(value.low, value.high, ".1f", 100.0)]


def _lift(test: object, starred: bool) -> list[str]:
    if not isinstance(test, PairedTest):
        return ["--", ""]
    star = r"\rlap{$^{*}$}" if starred else ""
    return [number(100 * test.difference, "+z.1f") + star, interval(test.low, test.high, "+z.1f", 100.0)]


def _caption(analysis: AnyAnalysis, *, starred: bool, likelihood: bool, shares: Sequence[str]) -> str:
    config, settings = config_of(analysis.run), analysis.settings
    what = f"{counted(analysis.n_problems)}, {counted(analysis.pool_size, 'response')} each"
    parts = [
        f"{model_name(config)} on {config['task']} ({what}). Accuracy with 95 % intervals over {analysis.units[1]}s; "
        "differences are paired by problem, in percentage points."
    ]
    if any(row.arm == "best-of-n" for row in analysis.arms):
        best = f"Best-of-n picks the response of highest {scorer_label(settings.primary_scorer)}"
        others = f"; by ...: best-of-{settings.ns[-1]} under another scorer" if len(settings.scorers) > 1 else ""
        parts.append(f"{best}{others}.")
    if likelihood:
        parts.append("Log-lik.: mean log-likelihood of the chosen responses under the model, in nats.")
    if shares:
        parts.append(f"In % of the chosen responses, {'; '.join(_SAID[name] for name in shares)}.")
    if starred:
        parts.append(f"*: p at most {settings.alpha:g}, {_families(analysis)}.")
    return escape(" ".join(parts))


def _families(analysis: AnyAnalysis) -> str:
    if isinstance(analysis, ImportedAnalysis):
        return "adjusted over all arms of the table (max-t)"
    draws = ", arms of draws over all of theirs (max-t)" if analysis.draws else ""
    return f"adjusted: best-of-n over the n of the table (Holm), other arms over all of them (max-t){draws}"
