"""What the report of an imported run that lacks something prints: at most 100 columns of plain text."""

from __future__ import annotations

from bon_eval.analysis.imported.findings import ImportedAnalysis, ImportedArm
from bon_eval.errors import counted
from bon_eval.report.formats.figures import scorer_label
from bon_eval.report.formats.text import clusters_text, config_of, ends, model_name, text_table, wrapped
from bon_eval.report.run.explain_notes import lift_text
from bon_eval.report.run.levels.notes import level_text
from bon_eval.report.run.notes import NONE, percent, sent_text

_UNKNOWN = "?"


def render_imported(analysis: ImportedAnalysis) -> str:
    """Header, arms table, notes and verdicts as lines of text, ending in a newline."""
    below = [
        *notes(analysis),
        *level_text(analysis.levels, analysis.settings, numbers=True),
        *(f"absent: {part}: {why}." for part, why in analysis.absent.items()),
        *analysis.sentences,
    ]
    table = text_table(imported_table(analysis), left=2)
    return "\n".join([*wrapped(header(analysis)), "", *table, "", *wrapped(below)]) + "\n"


def imported_table(analysis: ImportedAnalysis) -> list[tuple[str, ...]]:
    """The arms as texts, headings first."""
    return [headings(analysis), *(cells(row, analysis) for row in analysis.arms)]


def header(analysis: ImportedAnalysis) -> list[str]:
    """Which responses these are."""
    config = config_of(analysis.run)
    what = f"{counted(analysis.n_problems)} x {counted(analysis.pool_size, 'sample')}"
    return [f"{model_name(config)} on {config['task']}: {what}", sent_text(analysis.run)]


def headings(analysis: ImportedAnalysis) -> tuple[str, ...]:
    """Of the arms table; greedy's column where there are greedy responses."""
    greedy = ("over greedy",) if has_greedy(analysis) else ()
    return ("arm", "accuracy [95 %]", *greedy, "over one sample", "log-lik", "tokens", "cut %", "unsc. %")


def has_greedy(analysis: ImportedAnalysis) -> bool:
    """Whether the run has greedy responses."""
    return any(row.arm == "greedy" for row in analysis.arms)


def cells(row: ImportedArm, analysis: ImportedAnalysis) -> tuple[str, ...]:
    """One arm; a question mark is what the source does not state."""
    settings, units = analysis.settings, analysis.units[0]

    def number(name: str, form: str) -> str:
        value = getattr(row, name)
        if value is None:
            return NONE if row.arm in ("vote", "oracle") else _UNKNOWN
        return percent(value) if form == "%" else f"{value:{form}}"

    name = row.arm if row.arm in ("greedy", "sample") else row.name.replace("_", " ").replace("likelihood", "lik")
    greedy = (lift_text(row.over_greedy, starred=settings.shows(row.p_over_greedy, units)),)
    return (
        name,
        f"{row.accuracy.estimate:.3f}{ends(row.accuracy.low, row.accuracy.high, '.2f')}",
        *(greedy if has_greedy(analysis) else ()),
        lift_text(row.over_sample, starred=settings.shows(row.p_over_sample, units)),
        number("log_likelihood", ".2f"),
        number("n_tokens", ".1f"),
        number("truncated", "%"),
        number("unscored", "%"),
    )


def notes(analysis: ImportedAnalysis) -> list[str]:
    """What stands below the table, besides what is not there and the verdicts."""
    found = [
        f"intervals (95 %) are over {analysis.units[1]}s, differences in points and paired by problem; ?: the source "
        f"does not say; *: p at most {analysis.settings.alpha:g} in the family of all arms against one sample, or "
        "against greedy (max-t).",
        "oracle-of-n counts a problem where any of n responses is correct (pass@n).",
    ]
    found += [f"caution: {text}." for text in analysis.cautions]
    if analysis.n_clusters is not None:
        found.append(clusters_text(analysis.n_clusters, analysis.settings.cluster))
    if analysis.n_excluded:
        found.append(f"without truncated responses: {counted(analysis.n_excluded)} left out.")
    found.append(f"duplicates: {percent(analysis.duplicate_share)} % of pool responses repeat an earlier one.")
    if analysis.aurocs:
        each = [
            f"{scorer_label(row.scorer)} {row.auroc.estimate:.2f}{ends(row.auroc.low, row.auroc.high, '.2f')}"
            for row in analysis.aurocs
        ]
        found.append(
            f"AUROC within problems, 0.5 is chance: {', '.join(each)} (the {analysis.aurocs[0].problems} with both "
            "kinds)."
        )
    return found
