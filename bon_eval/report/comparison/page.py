"""compare.html: two runs on one page, in the style and under the rules of report.html."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bon_eval.analysis.results import Analysis
from bon_eval.analysis.two_runs.comparison import Comparison
from bon_eval.analysis.two_runs.findings import Change
from bon_eval.estimators import chosen_index
from bon_eval.report.comparison.figures import Groups, comparison_figures
from bon_eval.report.comparison.terminal import derived, marked_text, not_the_same, samples_text
from bon_eval.report.formats.browser import BrowserData, Budget, browser_data
from bon_eval.report.formats.html import panel, render_pieces
from bon_eval.report.formats.page_json import left_out, pieces
from bon_eval.report.formats.text import clusters_text, config_of, model_name
from bon_eval.stats import Interval, PairedTest
from bon_eval.store.files import write_pieces
from bon_eval.store.forced import Likelihoods
from bon_eval.store.reader import Run

_BUDGET = Budget(text_bytes=7_000_000, responses=35_000)


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One measure before and after, as its table shows it."""

    label: str
    unit: str
    scale: float
    digits: int
    before: Interval
    after: Interval
    difference: PairedTest
    p: float | None
    """Within the family of its table, where that is one."""


def write_comparison_page(
    runs: tuple[Run, Run],
    analyses: tuple[Analysis, Analysis],
    found: Comparison,
    likelihoods: Likelihoods | None,
    directory: Path,
) -> Path:
    """Write compare.html into an existing directory.

    Args:
        runs, analyses: before and after.
        found: their comparison.
        likelihoods: of both runs' responses under both models; None where the prompts differ.
        directory: usually that of the run after.

    Raises:
        StoreError: a part is damaged, or the file cannot be written.
    """
    first, second = (browser_data(run, a, _BUDGET) for run, a in zip(runs, analyses, strict=True))
    head = _head(first, second)
    before, after = config_of(found.before), config_of(found.after)
    title = f"{model_name(before)} and {model_name(after)} on {before['task']}"
    values = {
        "title": title,
        "found": found,
        "accuracies": [_change(c) for c in found.accuracies],
        "draw_accuracies": [_change(c) for c in found.draw_accuracies],
        "quantities": [_change(c) for c in found.quantities],
        "samples": samples_text(found),
        "clusters": None if found.n_clusters is None else clusters_text(found.n_clusters, found.cluster),
        "not_the_same": not_the_same(found),
        "derived": derived(found),
        "marked": marked_text(found),
        "panels": [
            panel(figure, name, figure.axes[0].get_title(loc="left"))
            for name, figure in comparison_figures(*analyses, _groups(runs[0], likelihoods))
        ],
        "left_out": left_out(head),
        "with_draws": any(head["draws"]),
    }
    path = directory / "compare.html"
    write_pieces(path, render_pieces("compare.html.jinja", values, pieces(head, _side_by_side(first, second))))
    return path


def _side_by_side(before: BrowserData, after: BrowserData) -> Iterator[str]:
    """Each problem once, with both runs' columns."""
    for problem, content in before.problems.items():
        yield f'{{{content.shared},"sides":[{{{content.own}}},{{{after.problems[problem].own}}}]}}'


def _head(before: BrowserData, after: BrowserData) -> dict[str, Any]:
    counts = ("responses", "rows", "texts_left_out", "texts_cut")
    return {
        "reasons": [before.head["reasons"], after.head["reasons"]],
        **{name: before.head[name] + after.head[name] for name in counts},
        **{name: [before.head[name][0], after.head[name][0]] for name in ("n", "best_of", "draws")},
        "text_chars": before.head["text_chars"],
        "sides": ["before", "after"],
    }


def _change(change: Change) -> ChangeRow:
    share = change.unit == "share"
    return ChangeRow(
        label=change.label,
        unit="%" if share else change.unit,
        scale=100.0 if share else 1.0,
        digits=1 if share else 3 if change.name == "entropy_per_token" else 2,
        before=change.before,
        after=change.after,
        difference=change.difference,
        p=change.shown_p,
    )


def _groups(base: Run, likelihoods: Likelihoods | None) -> Groups:
    if likelihoods is None:
        return {}
    own, best = likelihoods.base["sample"], chosen_index(base.pool.log_likelihood)
    return {
        "base pool": own,
        f"base best-of-{base.pool.n}": own[np.arange(len(own)), best],
        "base greedy": likelihoods.base["greedy"],
        "tuned pool": likelihoods.tuned_by_base["sample"],
        "tuned greedy": likelihoods.tuned_by_base["greedy"],
    }
