"""What the problem browser of report.html shows: columns of numbers, and texts within a budget.

Texts are read a row group at a time and a problem is JSON as soon as its responses are there: what the browser shows
is all that is held of a run. What does not fit the budget stays in the Parquet files, and the head says how much.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bon_eval.analysis.results import Analysis
from bon_eval.draws import SAMPLE
from bon_eval.errors import StoreError
from bon_eval.report.formats.browser_rows import FIRST, Entry, Shown, entries, filled, read_grades
from bon_eval.report.formats.page_json import members
from bon_eval.report.formats.text import sampled_with
from bon_eval.store.reader import Run


@dataclass(frozen=True, slots=True)
class Budget:
    """How much of a run a page holds."""

    text_bytes: int = 14_000_000
    """Of all texts together, as UTF-8 in JSON; shared equally by the problems."""
    text_chars: int = 4_000
    """Of one text; the rest is cut, and the page says how much."""
    responses: int = 70_000
    """Rows of the browser, shared equally by the problems; greedy and the pool's best-of-N pick always have one."""


@dataclass(frozen=True, slots=True)
class BrowserProblem:
    """One problem as the members of a JSON object, without its braces."""

    shared: str
    """``id``, ``gold`` and ``fields``, which two runs of one task share."""
    own: str
    """What this run gave."""

    def joined(self) -> str:
        """The problem of one run."""
        return f"{{{self.shared},{self.own}}}"


@dataclass(frozen=True, slots=True)
class BrowserData:
    """The content of the browser."""

    head: Mapping[str, Any]
    """Counts and names for the whole page."""
    problems: Mapping[str, BrowserProblem]
    """By problem id, in the order of the analysis."""


def browser_data(run: Run, analysis: Analysis, budget: Budget | None = None) -> BrowserData:
    """The content of the browser.

    Args:
        run: the stored run.
        analysis: of that run; its problems are shown, in their order.
        budget: how much to hold.

    Raises:
        StoreError: a part is damaged, or the grades are of other responses.
    """
    limits = budget or Budget()
    of_problem = entries(run, analysis, limits.responses)
    read_grades(run, of_problem)
    reasons = {reason: k for k, reason in enumerate(sorted({r for e in of_problem.values() for r in e.reasons}))}
    others = _Others.of(run, analysis)
    fields = {problem.id: problem.fields for problem in run.problems}
    scorer = analysis.settings.primary_scorer
    share = limits.text_bytes // max(1, len(of_problem))
    total = len(of_problem) * sum(pool.n for pool in run.draws.values())
    rows = sum(len(entry.kept) for entry in of_problem.values())
    packed: dict[str, BrowserProblem | None] = dict.fromkeys(of_problem)
    left_out = cut = 0
    for entry in filled(run, of_problem, limits.text_chars):
        problem = entry.row.problem_id
        own, missing, shortened = _own(entry, scorer, reasons, others, share, limits.text_chars)
        packed[problem] = BrowserProblem(
            members(
                {
                    "id": problem,
                    "gold": entry.row.gold[: limits.text_chars],
                    "fields": {name: value[: limits.text_chars] for name, value in fields[problem].items()},
                }
            ),
            members(own),
        )
        left_out += missing
        cut += shortened
    problems = {problem: content for problem, content in packed.items() if content is not None}
    if len(problems) < len(packed):
        lacking = next(problem for problem, content in packed.items() if content is None)
        raise StoreError(f"{run.path}: problem {lacking} lacks responses; run the same `bon-eval run` command again")
    head = {
        "n": [analysis.pool_size],
        "best_of": [analysis.settings.ns[-1]],
        "scorer": scorer,
        "draws": [others.head],
        "reasons": list(reasons),
        "responses": total,
        "rows": rows,
        "texts_left_out": left_out,
        "texts_cut": cut,
        "text_chars": limits.text_chars,
    }
    return BrowserData(head, problems)


@dataclass(frozen=True, slots=True)
class _Others:
    """What the browser says of the draws besides greedy and the pool."""

    head: list[dict[str, object]]
    """Of each its name, how it was sampled, and n."""
    worth: Mapping[str, list[list[float]]]
    """Problem -> of each draw its accuracy and, of more than one response, that of best-of-n of all of them."""
    flagged: Mapping[str, frozenset[str]]
    """Problem -> ``cut``, ``unfinished``, ``unscored`` where a response of such a draw is."""

    @classmethod
    def of(cls, run: Run, analysis: Analysis) -> _Others:
        ids = [row.problem_id for row in analysis.problems]
        columns: list[list[NDArray[np.float64]]] = []
        for facts in analysis.draws:
            best = ("best-of-n", facts.n, analysis.settings.primary_scorer)
            arms = [arm for arm in analysis.draw_problems if arm.draw == facts.draw]
            columns.append([a.correct for a in arms if a.arm == "mean" or (a.arm, a.n, a.scorer) == best])
        pools = run.others.values()
        flags: dict[str, set[str]] = {problem: set() for problem in run.pool.problem_ids}
        for name, of_pools in (
            ("cut", [pool.truncated for pool in pools]),
            ("unfinished", [pool.unfinished for pool in pools]),
            ("unscored", [pool.unscored for pool in pools]),
        ):
            for values in of_pools:
                for row in np.flatnonzero(values.any(axis=1)):
                    flags[run.pool.problem_ids[row]].add(name)
        return cls(
            [{"name": facts.draw, "how": sampled_with(facts), "n": facts.n} for facts in analysis.draws],
            {p: [[round(float(c[k]), 4) for c in of_draw] for of_draw in columns] for k, p in enumerate(ids)},
            {problem: frozenset(names) for problem, names in flags.items()},
        )


def _own(
    entry: Entry, scorer: str, reasons: Mapping[str, int], others: _Others, budget: int, most_chars: int
) -> tuple[dict[str, object], int, int]:
    """One problem's columns; how many of its rows have no text, and how many texts are cut."""
    responses = [entry.responses[key] for key in entry.kept]
    always = (FIRST, (SAMPLE, entry.picks[SAMPLE]))
    texts: dict[tuple[Shown, Shown | None], int] = {}
    text_of, spent, left_out = [], 0, 0
    for key, response in zip(entry.kept, responses, strict=True):
        text = response.text, response.reasoning
        if text not in texts:
            # What JSON makes of it: control characters take six bytes.
            both = text[0].text + (text[1].text if text[1] is not None else "")
            size = len(json.dumps(both, ensure_ascii=False).encode("utf-8", "replace")) + 8
            if spent + size > budget and key not in always:
                text_of.append(-1)
                left_out += 1
                continue
            spent += size
            texts[text] = len(texts)
        text_of.append(texts[text])
    answers: dict[str | None, int] = {}
    row, flagged = entry.row, others.flagged[entry.row.problem_id]
    return (
        {
            "greedy": int(row.greedy_correct),
            "best": round(row.best_of_n[scorer], 4),
            "sample": round(row.pool_accuracy, 4),
            "cut": int(row.greedy_truncated or row.pool_truncated > 0 or "cut" in flagged),
            "unfinished": int(bool(row.greedy_unfinished or row.pool_unfinished or "unfinished" in flagged)),
            "unscored": int(row.greedy_unscored or row.pool_unscored > 0 or "unscored" in flagged),
            "pick": entry.picks[SAMPLE],
            **_of_others(entry, others),
            "texts": [text.text for text, _ in texts],
            "more": [text.more for text, _ in texts],
            **_reasoning([reasoning for _, reasoning in texts]),
            "index": [-1 if key == FIRST else key[1] for key in entry.kept],
            "text": text_of,
            "ll": [round(r.log_likelihood, 3) for r in responses],
            "tokens": [r.n_tokens for r in responses],
            "finish": [r.finish for r in responses],
            "correct": entry.correct,
            "answer": [answers.setdefault(answer, len(answers)) for answer in entry.answers],
            "answers": [None if a is None else a[:most_chars] for a in answers],
            "reason": [reasons[reason] for reason in entry.reasons],
        },
        left_out,
        sum(text.more > 0 or (reasoning is not None and reasoning.more > 0) for text, reasoning in texts),
    )


def _of_others(entry: Entry, others: _Others) -> dict[str, object]:
    """Which rows are of which draw (0: greedy and the pool), the others' picks and worth; nothing without others."""
    if not others.head:
        return {}
    names = [str(draw["name"]) for draw in others.head]
    number = {name: k for k, name in enumerate(names, 1)}
    return {
        "draw": [number.get(draw, 0) for draw, _ in entry.kept],
        "picks": [entry.picks[name] for name in names],
        "worth": others.worth[entry.row.problem_id],
    }


def _reasoning(found: Sequence[Shown | None]) -> dict[str, object]:
    """The reasoning before each text; nothing where there is none."""
    if not any(found):
        return {}
    return {
        "reasoning": [None if shown is None else shown.text for shown in found],
        "reasoning_more": [0 if shown is None else shown.more for shown in found],
    }
