"""The table that a run prints: plain text, at most 100 columns, readable without colour."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence

from bon_eval.analysis.explain import Power, ScorerRow
from bon_eval.analysis.results import Analysis, ArmRow, Facts, SelectedScorer, Variant
from bon_eval.analysis.settings import Settings
from bon_eval.report.formats.text import WIDTH, ends, model_name, text_table
from bon_eval.scorers import get_scorer
from bon_eval.stats import Interval, PairedTest
from bon_eval.stats.heavy_tails import LEAST_PROBLEMS

_HEADINGS = ("arm", "accuracy [95 %]", "lift, points", "log-lik", "tokens", "cut %", "unsc. %")
_NONE = "-"
_FEW_SCORERS = 6
"""Up to so many, the AUROCs are a sentence; more of them are a table."""


def render(analysis: Analysis) -> str:
    """Header, arms table, notes and verdicts as lines of text, ending in a newline."""
    rows = [_HEADINGS, *(_row(row, analysis.settings) for row in analysis.arms)]
    return "\n".join([*_header(analysis), "", *text_table(rows, left=3), "", *_notes(analysis)]) + "\n"


def _header(analysis: Analysis) -> list[str]:
    config, engine = _section(analysis.run, "config"), _section(analysis.run, "engine")
    where = [str(engine[key]) for key in ("device", "dtype") if engine.get(key)]
    engine_name = engine_label(config, engine)
    what = (
        f"{model_name(config, ' + adapter ')} on {config.get('task')}: "
        f"{analysis.n_problems} problem{'s' if analysis.n_problems != 1 else ''} x {analysis.pool_size} samples, "
        f"engine {engine_name}" + (f" ({', '.join(where)})" if where else "")
    )
    sent = (
        f"sent: greedy temperature 0, n 1; pool temperature {config.get('temperature'):g}, top_p 1, top_k off, "
        f"no penalties; at most {config.get('max_tokens')} tokens; seed {config.get('seed')}"
    )
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


def _row(row: ArmRow, settings: Settings) -> tuple[str, ...]:
    return (
        _name(row, settings),
        _accuracy(row.accuracy),
        _lift(row.lift, row.p_family, settings.alpha),
        _NONE if row.log_likelihood is None else _nats(row.log_likelihood.estimate),
        _NONE if row.n_tokens is None else f"{row.n_tokens:.1f}",
        _share(row.truncated),
        _share(row.unscored),
    )


def _name(row: ArmRow, settings: Settings) -> str:
    if row.arm in ("greedy", "sample"):
        return row.arm
    if row.arm == "best-of-n":
        return f"best-of-{row.n}" if row.scorer == settings.primary_scorer else f"  by {_spoken(row.scorer or '')}"
    return f"{row.arm}-of-{row.n}" if row.scorer is None else f"  {_spoken(row.scorer)}"


def _percents(analysis: Analysis) -> list[str]:
    """Lifts of best-of-n by the primary scorer in percent of greedy's accuracy, where they have an interval."""
    shown = [
        f"{_name(row, analysis.settings)} {row.lift_percent:+.0f}{ends(row.lift_percent_low, high, '+.0f')}"
        for row in analysis.arms
        if (row.arm, row.scorer) == ("best-of-n", analysis.settings.primary_scorer)
        and row.lift_percent is not None
        and row.lift_percent_low is not None
        for high in [math.inf if row.lift_percent_high is None else row.lift_percent_high]
    ]
    return [f"lift in percent of greedy's accuracy: {', '.join(shown)}."] if shown else []


def _accuracy(interval: Interval) -> str:
    return f"{interval.estimate:.3f}{ends(interval.low, interval.high, '.2f')}"


def _lift(test: PairedTest | None, p_family: float | None, alpha: float) -> str:
    if test is None:
        return _NONE
    mark = "*" if p_family is not None and p_family <= alpha else ""
    return f"{100 * test.difference:+.1f}{ends(test.low, test.high, '+.0f', 100.0)}{mark}"


def _nats(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 100 else f"{value:.1f}"


def _share(share: float | None) -> str:
    return _NONE if share is None else f"{100 * share:.1f}"


def _notes(analysis: Analysis) -> list[str]:
    settings, facts = analysis.settings, analysis.facts
    last = settings.ns[-1]
    notes = [
        f"best-of-n picks the response of highest {settings.primary_scorer.replace('_', ' ')}; intervals (95 %) are "
        "over problems, lifts are paired by problem; log-lik in nats per response, raw distribution.",
    ]
    if any(row.p_family is not None and row.p_family <= settings.alpha for row in analysis.arms):
        notes.append(
            f"*: p at most {settings.alpha:g} against greedy, adjusted: best-of-n over the n of the table (Holm), "
            "other arms over all of them (max-t)."
        )
    if len(settings.scorers) > 1:
        notes.append(f"by ...: best-of-{last} under another scorer.")
    if settings.votes:
        notes.append(f"below the vote: votes of {last} that weigh responses by a score (see bon-eval scorers).")
    notes += [*_percents(analysis), *_warnings(analysis)]
    if analysis.n_clusters is not None:
        notes.append(f"resampled are {analysis.n_clusters} clusters of problems with one {settings.cluster}.")
    enough = analysis.n_problems >= LEAST_PROBLEMS
    none = next((row.lift.method for row in analysis.arms if row.lift and row.lift.method.startswith("none: ")), None)
    if none is not None:
        notes.append(f"lifts have no interval: {none.removeprefix('none: ')}.")
    if enough:
        notes += [*_resampled(analysis), _sharper(facts)]
    if facts.duplicate_share is not None:
        notes.append(f"duplicates: {_share(facts.duplicate_share)} % of pool responses repeat an earlier one.")
    if enough:
        notes += _explanation(analysis)
    else:
        problems = f"{analysis.n_problems} problem{'s' if analysis.n_problems != 1 else ''}"
        notes.append(f"what explains the lift, and how likely better responses are, is not said of {problems}.")
    strict = next((variant for variant in analysis.variants if variant.name == "strict format"), None)
    notes += [] if strict is None else _strict(strict, analysis)
    notes += [comparison.sentence for comparison in facts.comparisons]
    lines = [line for note in notes for line in _wrapped(note)]
    return lines if len(settings.scorers) <= _FEW_SCORERS else [*_ranking(analysis), "", *lines]


def _sharper(facts: Facts) -> str:
    share = facts.sharper_than_greedy
    return (
        f"sharper than greedy: {_share(share.estimate)} %{ends(share.low, share.high, '.0f', 100.0)} of problems have "
        f"a pool response of higher log-likelihood than greedy's{facts.told_apart}."
    )


def _resampled(analysis: Analysis) -> list[str]:
    """Of the headline arm: what is resampled in which interval."""
    settings = analysis.settings
    best = (r for r in analysis.arms if (r.n, r.scorer) == (settings.ns[-1], settings.primary_scorer))
    arm = next(best, None)
    if arm is None or arm.responses is None or arm.fresh is None:
        return []
    over, alone, fresh = (ends(i.low, i.high, ".2f").strip() for i in (arm.accuracy, arm.responses, arm.fresh))
    return [
        f"what is resampled: best-of-{arm.n} is {arm.accuracy.estimate:.3f}, {over} over problems and responses; "
        f"{alone} over responses alone, for these problems; a fresh best-of-{arm.n} run on them would lie in {fresh}."
    ]


def _ranking(analysis: Analysis) -> list[str]:
    """Many scorers: a table by accuracy of best-of-n, with AUROC and paired differences from the primary scorer."""
    primary, last = _spoken(analysis.settings.primary_scorer), analysis.settings.ns[-1]
    rows = [(f"scorer of best-of-{last}", "accuracy", f"points over {primary}", "AUROC [95 %]", f"over {primary}")]
    for row in sorted(analysis.explanation.scorers, key=lambda row: row.accuracy_rank):
        auroc, gain = row.auroc, row.auroc_difference
        rows.append(
            (
                _spoken(row.scorer),
                f"{row.accuracy.estimate:.3f}",
                _lift(row.accuracy_difference, None, 0.0),
                _NONE if auroc is None else f"{auroc.estimate:.2f}{ends(auroc.low, auroc.high, '.2f')}",
                _NONE if gain is None else f"{gain.difference:+.2f}{ends(gain.low, gain.high, '+.2f')}",
            )
        )
    return text_table(rows)


def _explanation(analysis: Analysis) -> list[str]:
    explanation, settings = analysis.explanation, analysis.settings
    known = [
        (row.scorer, row.auroc)
        for row in explanation.scorers
        if row.auroc is not None and not get_scorer(row.scorer).blind
    ]
    out = []
    n = explanation.scorers[0].auroc_problems
    if n < LEAST_PROBLEMS:
        out.append(f"AUROC within problems is left out: {n} hold both kinds of response; from {LEAST_PROBLEMS} on.")
    elif known and len(explanation.scorers) <= _FEW_SCORERS:
        values = ", ".join(
            f"{_spoken(name)} {auroc.estimate:.2f}{ends(auroc.low, auroc.high, '.2f')}" for name, auroc in known
        )
        out.append(
            f"AUROC within problems, 0.5 is chance: {values} (the {n} with both kinds among {analysis.pool_size} "
            "responses, on which it depends)."
        )
    primary = next(row for row in explanation.scorers if row.scorer == settings.primary_scorer)
    out += _saturation(primary, analysis)
    if analysis.selected is not None:
        out.append(_selected(analysis.selected))
    out += [_power(power) for power in explanation.power if power.against == "greedy" and power.detectable is not None]
    return out


def _saturation(row: ScorerRow, analysis: Analysis) -> list[str]:
    """What the last doubling of n adds; nothing for too few problems."""
    test, margin = row.last_doubling, 100 * analysis.settings.margin
    if test is None or analysis.n_problems < LEAST_PROBLEMS:
        return []
    last = analysis.settings.ns[-1]
    numbers = f"{100 * test.difference:+.1f} points{ends(test.low, test.high, '+.1f', 100.0)}"
    if row.is_flat:
        within = "" if row.saturation_n is None else f"; within 1 % of it from n = {row.saturation_n} on"
        return [
            f"saturation: flat at n = {last}, the last doubling adds less than {margin:g} points: {numbers}{within}."
        ]
    return [f"saturation: still rising at n = {last}, or not shown to be flat: the last doubling adds {numbers}."]


def _selected(found: SelectedScorer) -> str:
    naive, fair = found.accuracy, found.cross_fitted
    return (
        f"best of {found.of} scorers: {_spoken(found.scorer)} {naive.estimate:.3f} on the problems that select it, "
        f"{fair.estimate:.3f}{ends(fair.low, fair.high, '.2f')} on those that do not (cross-fitted)."
    )


def _power(power: Power) -> str:
    assert power.detectable is not None
    needed = [f"{n:,}" for n in power.problems.values() if n is not None]
    return (
        f"power: this run finds a difference from greedy of {100 * power.detectable:.1f} points with 80 % power; "
        f"{_listed([str(points) for points in power.problems])} points need {_listed(needed)} problems."
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


def _listed(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}"


def _spoken(scorer: str) -> str:
    return scorer.replace("_", " ").replace("log likelihood", "log-lik")


def _warnings(analysis: Analysis) -> list[str]:
    greedy, sample = analysis.arms[0], analysis.arms[1]
    out = []
    if analysis.n_missing or analysis.run.get("state") == "sampling":
        missing = f"{analysis.n_missing} problems have" if analysis.n_missing else "some problems may have"
        looks = analysis.settings.looks
        verdicts = f"{looks} planned looks share the 5 %" if looks > 1 else "no verdict before it is finished"
        out.append(
            f"unfinished run: {missing} no complete responses yet; those that are finished can be the short ones; "
            f"{verdicts}."
        )
    if analysis.settings.exclude_truncated:
        out.append(
            f"without truncated responses: {analysis.n_problems} problems of which none was cut; {analysis.n_excluded} "
            "were left out, which tend to be those with long answers."
        )
    if greedy.truncated or sample.truncated:
        out.append(
            f"cut: {_share(sample.truncated)} % of the pool and {_share(greedy.truncated)} % of greedy reached the "
            "token limit; their log-likelihood lacks the end token and is inflated (see --exclude-truncated)."
        )
    if greedy.unscored or sample.unscored:
        out.append(
            f"unscored: {_share(sample.unscored)} % of the pool and {_share(greedy.unscored)} % of greedy got no "
            "verdict; they count as not correct."
        )
    return out


def _wrapped(text: str) -> Sequence[str]:
    printable = "".join(c if c.isprintable() else "?" for c in text)
    return textwrap.wrap(printable, WIDTH, subsequent_indent="  ", break_on_hyphens=False)
