"""The table that a run prints: plain text, at most 100 columns, readable without colour."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence

from bon_eval.analysis.draws.facts import DrawArm, DrawFacts
from bon_eval.analysis.results import Analysis, ArmRow, Facts, Variant
from bon_eval.analysis.settings import Settings
from bon_eval.errors import counted
from bon_eval.report.formats.text import WIDTH, clusters_text, ends, model_name, sampled_with, shortened, text_table
from bon_eval.report.run.affected import affected
from bon_eval.report.run.explain_notes import FEW_SCORERS, explained, lift_text, ranking, resampled, spoken
from bon_eval.report.run.levels.notes import level_text
from bon_eval.report.run.notes import NONE, chance_text, grown_text, percent, reasoning_text, redrawn_text, sent_text
from bon_eval.stats import Interval
from bon_eval.stats.heavy_tails import LEAST_PROBLEMS

_NAME_WIDTH = 19
_HEADINGS = ("arm", "accuracy [95 %]", "lift, points", "log-lik", "tokens", "cut %", "open %", "unsc. %")


def arms_table(analysis: Analysis) -> list[tuple[str, ...]]:
    """The arms and the main ones of the draws as texts, headings first."""
    settings, units = analysis.settings, analysis.units[0]
    rows = [_HEADINGS, *(_row(row, settings, units) for row in analysis.arms)]
    return rows + [
        _draw_row(arm, settings, units) for draw in analysis.draws for arm in draw.arms if is_main(draw, arm, settings)
    ]


def render(analysis: Analysis) -> str:
    """Header, arms table, notes and verdicts as lines of text, ending in a newline."""
    rows = arms_table(analysis)
    return "\n".join([*_header(analysis), "", *text_table(rows, left=3), "", *_notes(analysis)]) + "\n"


def _header(analysis: Analysis) -> list[str]:
    config, engine = _section(analysis.run, "config"), _section(analysis.run, "engine")
    where = [str(engine[key]) for key in ("device", "dtype") if engine.get(key)]
    engine_name = engine_label(config, engine)
    what = (
        f"{model_name(config, ' + adapter ')} on {config.get('task')}: "
        f"{counted(analysis.n_problems)} x {counted(analysis.pool_size, 'sample')}, "
        f"engine {engine_name}" + (f" ({', '.join(where)})" if where else "")
    )
    sent = sent_text(analysis.run) if "source" in analysis.run else f"sent: {sent_text(analysis.run)}"
    part = (f"shard {config['shard']}: a part of the problems",) if config.get("shard") else ()
    return [line for text in (what, sent, *part) for line in _wrapped(text)]


def engine_label(config: Mapping[str, object], engine: Mapping[str, object]) -> str:
    """Engine and version; of a served model the kind of server and its version, where it says so."""
    version = str(engine.get("version") or "")
    if "server" in engine:
        return f"{config.get('engine')} (server {' '.join(filter(None, (str(engine['server']), version)))})"
    return f"{config.get('engine')} {version}".strip()


def _section(run: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = run.get(key)
    return value if isinstance(value, dict) else {}


def _row(row: ArmRow, settings: Settings, units: int) -> tuple[str, ...]:
    return (_name(row, settings), *_cells(row, settings.shows(row.p_family, units)))


def _draw_row(arm: DrawArm, settings: Settings, units: int) -> tuple[str, ...]:
    name = (
        shortened(arm.draw, _NAME_WIDTH)
        if arm.arm == "mean"
        else f"  {arm.arm.removesuffix('-n').removesuffix('-of')}-of-{arm.n}"
    )
    return (name, *_cells(arm, settings.shows(arm.p_joint, units)))


def _cells(row: ArmRow | DrawArm, starred: bool) -> tuple[str, ...]:
    """All but the name."""
    return (
        _accuracy(row.accuracy),
        lift_text(row.lift, starred=starred),
        NONE if row.log_likelihood is None else _nats(row.log_likelihood.estimate),
        NONE if row.n_tokens is None else f"{row.n_tokens:.1f}",
        percent(row.truncated),
        percent(row.unfinished),
        percent(row.unscored),
    )


def is_main(draw: DrawFacts, arm: DrawArm, settings: Settings) -> bool:
    """Whether an arm is its draw's mean, or best-of-n by the primary scorer or the vote of all of its responses."""
    kinds = (("best-of-n", settings.primary_scorer), ("vote", None))
    return arm.arm == "mean" or (arm.n == draw.n and (arm.arm, arm.scorer) in kinds)


def _name(row: ArmRow, settings: Settings) -> str:
    if row.arm in ("greedy", "sample"):
        return row.arm
    if row.arm == "best-of-n":
        return f"best-of-{row.n}" if row.scorer == settings.primary_scorer else f"  by {spoken(row.scorer or '')}"
    return f"{row.arm}-of-{row.n}" if row.scorer is None else f"  {spoken(row.scorer)}"


def _percents(analysis: Analysis) -> list[str]:
    """Lifts of best-of-n by the primary scorer in percent of greedy's accuracy, where they have an interval."""
    shown = [
        f"{_name(row, analysis.settings)} {row.lift_percent:+z.0f}{ends(row.lift_percent_low, high, '+z.0f')}"
        for row in analysis.arms
        if (row.arm, row.scorer) == ("best-of-n", analysis.settings.primary_scorer)
        and row.lift_percent is not None
        and row.lift_percent_low is not None
        for high in [math.inf if row.lift_percent_high is None else row.lift_percent_high]
    ]
    return [f"lift in percent of greedy's accuracy: {', '.join(shown)}."] if shown else []


def _accuracy(interval: Interval) -> str:
    return f"{interval.estimate:.3f}{ends(interval.low, interval.high, '.2f')}"


def _nats(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 100 else f"{value:.1f}"


def _notes(analysis: Analysis) -> list[str]:
    settings, facts = analysis.settings, analysis.facts
    last = settings.ns[-1]
    notes = [
        f"best-of-n picks the response of highest {settings.primary_scorer.replace('_', ' ')}; intervals (95 %) are "
        f"over {analysis.units[1]}s, lifts are paired by problem; log-lik in nats per response, raw distribution.",
    ]
    p_values = [row.p_family for row in analysis.arms]
    p_values += [arm.p_joint for draw in analysis.draws for arm in draw.arms if is_main(draw, arm, settings)]
    if any(settings.shows(p_value, analysis.units[0]) for p_value in p_values):
        notes.append(
            f"*: p at most {settings.alpha:g} against greedy, adjusted: best-of-n over the n of the table (Holm), "
            "other arms over all of them (max-t)"
            + (", arms of draws over all of theirs (max-t)." if analysis.draws else ".")
        )
    if len(settings.scorers) > 1:
        notes.append(f"by ...: best-of-{last} under another scorer.")
    if settings.votes:
        notes.append(f"below the vote: votes of {last} that weigh responses by a score (see bon-eval scorers).")
    notes += [*_percents(analysis), *_warnings(analysis), *(f"caution: {text}." for text in facts.cautions)]
    if analysis.draws:
        notes.append(
            "draws: "
            + "; ".join(f"{draw.draw} is {sampled_with(draw)}, n {draw.n}" for draw in analysis.draws)
            + "; log-lik is the model's own, whatever was sampled from."
        )
    notes += [*grown_text(analysis.run, settings.looks), *redrawn_text(analysis)]
    if analysis.n_clusters is not None:
        notes.append(clusters_text(analysis.n_clusters, settings.cluster))
    enough = analysis.units[0] >= LEAST_PROBLEMS
    none = next((row.lift.reason for row in analysis.arms if row.lift is not None and row.lift.reason), None)
    if none is not None:
        notes.append(f"lifts have no interval: {none}.")
    if enough:
        notes += [*resampled(analysis), _sharper(facts)]
    notes.append(_generated(analysis))
    if facts.duplicate_share is not None:
        notes.append(f"duplicates: {percent(facts.duplicate_share)} % of pool responses repeat an earlier one.")
    notes += chance_text(analysis)
    notes += reasoning_text(facts)
    if enough:
        notes += [*explained(analysis), *level_text(analysis.levels, settings, numbers=True)]
    else:
        few = counted(*analysis.units)
        notes.append(f"what explains the lift, and how likely better responses are, is not said of {few}.")
    strict = next((variant for variant in analysis.variants if variant.name == "strict format"), None)
    notes += [] if strict is None else _strict(strict, analysis)
    notes += [comparison.sentence for comparison in facts.comparisons]
    lines = [line for note in notes for line in _wrapped(note)]
    return lines if len(settings.scorers) <= FEW_SCORERS else [*ranking(analysis), "", *lines]


def _sharper(facts: Facts) -> str:
    share = facts.sharper_than_greedy
    return (
        f"sharper than greedy: {percent(share.estimate)} %{ends(share.low, share.high, '.0f', 100.0)} of problems have "
        f"a pool response of higher log-likelihood than greedy's{facts.told_apart}."
    )


def _generated(analysis: Analysis) -> str:
    """What the arms cost, beside the column of tokens, which is of the answers."""
    one = {row.arm: f"{row.tokens.estimate:,.1f}" for row in analysis.compute[:2]}
    return (
        f"generated per problem, prompts not counted: greedy {one['greedy']} tokens, one sample {one['sample']}; "
        "best-of-n and votes take n samples."
    )


def _strict(strict: Variant, analysis: Analysis) -> list[str]:
    """Greedy and best-of-n by the primary scorer at the last n, where their numbers are not those of the table."""
    best = 1 + len(analysis.settings.ns)
    names = [_name(row, analysis.settings) for row in analysis.arms]
    lenient, found = ([f"{row.accuracy.estimate:.3f}" for row in arms] for arms in (analysis.arms, strict.arms))
    if (found[0], found[best]) == (lenient[0], lenient[best]):
        return []
    pairs = ", ".join(f"{names[i]} {found[i]} (lenient {lenient[i]})" for i in (0, best))
    return [f"strict format: {pairs}."]


def _warnings(analysis: Analysis) -> list[str]:
    out = []
    if analysis.n_missing or analysis.run.get("state") == "sampling":
        have = "has" if analysis.n_missing == 1 else "have"
        missing = f"{counted(analysis.n_missing)} {have}" if analysis.n_missing else "some problems may have"
        looks = analysis.settings.looks
        verdicts = f"{looks} planned looks share the 5 %" if looks > 1 else "no verdict before it is finished"
        out.append(
            f"unfinished run: {missing} no complete responses yet; those that are finished can be the short ones; "
            f"{verdicts}."
        )
    if analysis.settings.exclude_truncated:
        out.append(
            f"without truncated responses: {counted(analysis.n_problems)} of which none was cut; {analysis.n_excluded} "
            "were left out, which tend to be those with long answers."
        )
    if cut := affected(analysis, "truncated"):
        out.append(
            f"cut: {cut} reached the token limit; their log-likelihood lacks the end token and is inflated (see "
            "--exclude-truncated)."
        )
    if unfinished := affected(analysis, "unfinished"):
        out.append(f"open: {unfinished} have reasoning that was not finished, so no answer; they count as wrong.")
    if unscored := affected(analysis, "unscored"):
        out.append(f"unscored: {unscored} got no verdict; they count as not correct.")
    return out


def _wrapped(text: str) -> Sequence[str]:
    printable = "".join(c if c.isprintable() else "?" for c in text)
    return textwrap.wrap(printable, WIDTH, subsequent_indent="  ", break_on_hyphens=False)
