"""Sentences on a run that stand in the terminal and on the page alike."""

from __future__ import annotations

from collections.abc import Mapping

from bon_eval.analysis.results import Analysis, Facts
from bon_eval.errors import counted
from bon_eval.report.formats.text import config_of

NONE = "-"


def percent(share: float | None) -> str:
    """A share in percent, without the sign.

    >>> percent(0.375), percent(None)
    ('37.5', '-')
    """
    return NONE if share is None else f"{100 * share:.1f}"


def sent_text(run: Mapping[str, object]) -> str:
    """How the responses were sampled, in a phrase; of an imported run where they come from, and what is known of it."""
    config = config_of(run)
    source = run.get("source")
    if isinstance(source, Mapping):
        files = [f"{file['path']} (sha256 {file['sha256'][:12]})" for file in source["files"]]
        others = f" and {counted(len(files) - 1, 'other file')}" if len(files) > 1 else ""
        known = [
            "temperature unknown" if config["temperature"] is None else f"temperature {config['temperature']:g}",
            "limit of tokens unknown" if config["max_tokens"] is None else f"at most {config['max_tokens']} tokens",
        ]
        nats = f"; log-likelihoods {source['log_likelihood']}" if source["log_likelihood"] else ""
        return f"imported, format {source['format']}: {files[0]}{others}; pool: {', '.join(known)}{nats}"
    return (
        f"greedy temperature 0, n 1; pool temperature {config['temperature']:g}, top_p 1, top_k off, no penalties; at "
        f"most {config['max_tokens']} tokens; seed {config['seed']}"
    )


def grown_text(run: Mapping[str, object], looks: int = 1) -> list[str]:
    """What the run's sessions sampled for, where it has grown, in a sentence; `looks`: as many as were planned."""
    extents = run.get("extents")
    if not isinstance(extents, list) or len(extents) < 2:
        return []
    planned = (
        f"{looks} planned looks share the 5 %"
        if looks > 1
        else "Where a step was chosen after a look at the results, each look counts: bon-eval report RUN --looks K"
    )
    return [f"grown in {len(extents)} steps: {'; then '.join(extents)}. {planned}."]


def redrawn_text(analysis: Analysis) -> list[str]:
    """What kills have done to the run's numbers, in a sentence; nothing where there was none."""
    redrawn = analysis.run.get("redrawn")
    if not isinstance(redrawn, int) or not redrawn:
        return []
    problems = analysis.n_problems + analysis.n_missing + analysis.n_excluded
    total = problems * (1 + analysis.pool_size + sum(draw.n for draw in analysis.draws))
    share = f"{100 * redrawn / total:.2g} % of the run"
    return [
        f"killed: up to {counted(redrawn, 'response')} of pools that were stored in part ({share}) were lost and drawn "
        "again; those in flight are long ones more often, so that lengths, and what depends on them, are too small by "
        "about that share (docs/scaling.md)."
    ]


def chance_text(analysis: Analysis) -> list[str]:
    """How often a guess is right, in a sentence; nothing where it never is."""
    facts, last = analysis.facts, analysis.settings.ns[-1]
    if facts.chance is None:
        grader = analysis.run.get("grader")
        name = grader.get("name") if isinstance(grader, dict) else None
        return [
            f"chance: how often a guess is right is not known of grader {name} without a column of options; state "
            "chance in the task's file (0 where no guess is), and give the run's command again."
        ]
    if not facts.chance:
        return []
    return [
        f"chance: a guess is right in {percent(facts.chance)} % of cases; an oracle over guesses has "
        f"{percent(facts.chance_oracle)} % at n = {last}."
    ]


def reasoning_text(facts: Facts) -> list[str]:
    """How much of the responses is reasoning, in a sentence; nothing where no response has any."""
    if not any(row.share for row in facts.reasoning):
        return []
    of = {"greedy": "greedy", "sample": "the pool"}
    parts = []
    for row in reversed(facts.reasoning):
        part = f"{percent(row.share)} % of {of[row.draw]}"
        if row.reasoning_chars is not None and row.answer_chars is not None:
            part += f" (finished: mean {row.reasoning_chars:,.0f} characters, then {row.answer_chars:,.0f} of answer)"
        parts.append(part)
    return [f"reasoning blocks: {' and '.join(parts)}."]
