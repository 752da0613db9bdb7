"""compare.html: two runs on one page, in the style and under the rules of report.html."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bon_eval.analysis.imported.either import AnyAnalysis, analyse_any
from bon_eval.analysis.results import Analysis
from bon_eval.analysis.two_runs.added import Added
from bon_eval.analysis.two_runs.comparison import Comparison
from bon_eval.analysis.two_runs.findings import Change
from bon_eval.analysis.two_runs.names import Names
from bon_eval.estimators import chosen_index
from bon_eval.report.comparison.added import absent, added_text, heading, shown_points, shown_thresholds
from bon_eval.report.comparison.added_figures import added_figures
from bon_eval.report.comparison.figures import Groups, comparison_figures
from bon_eval.report.comparison.terminal import (
    by_reason,
    derived,
    marked_text,
    more_by_scoring,
    not_the_same,
    samples_text,
)
from bon_eval.report.formats.browser import BrowserData, Budget, browser_data
from bon_eval.report.formats.html import panel, render_pieces
from bon_eval.report.formats.page_json import left_out, pieces
from bon_eval.report.formats.text import clusters_text, config_of, model_name
from bon_eval.stats import Interval, PairedTest
from bon_eval.store.comparable import same_problems
from bon_eval.store.files import write_pieces
from bon_eval.store.forced import Likelihoods, load_likelihoods
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


def write_comparison_page(runs: tuple[Run, Run], found: Comparison, directory: Path) -> Path:
    """Write compare.html into an existing directory.

    Args:
        runs: the two, in their order.
        found: their comparison.
        directory: usually that of the second run.

    Raises:
        StoreError: a part is damaged, or the file cannot be written.
    """
    analyses = [analyse_any(run, seed=found.seed, draws=found.draws, cluster=found.cluster) for run in runs]
    names = found.names
    rows = same_problems(*runs, names.places)
    browser = side_by_side(runs, analyses, names.sides, [rows], _BUDGET)
    configs = config_of(found.before), config_of(found.after)
    models = [model_name(config) for config in configs] if names.tuning else names.sides
    title = f"{models[0]} and {models[1]} on {configs[0]['task']}"
    likelihoods = None if found.sources is None else load_likelihoods(*runs)
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
            for name, figure in comparison_figures(analyses, groups_of(runs[0], likelihoods, names), names)
        ],
        "added": None if found.added is None else _added(found, found.added),
        "left_out": None if browser is None else left_out(browser.head),
        "absent": by_reason(found.reasons),
        "more": more_by_scoring(found),
        "with_draws": browser is not None and any(browser.head["draws"]),
    }
    path = directory / "compare.html"
    write_pieces(path, render_pieces("compare.html.jinja", values, None if browser is None else browser.pieces()))
    return path


def _added(found: Comparison, added: Added) -> dict[str, object]:
    """The section on what was added, for its template."""
    rows = [("pass@k", f"k = {point.k}", point) for point in shown_points(added)]
    rows += [("at least", f"{point.k} of {added.n} correct", point) for point in shown_thresholds(added)]
    text = added_text(found)
    captions = {"compare_pass_at_k": f"{text['crossover'][0].upper()}{text['crossover'][1:]}."}
    return {
        "heading": heading(found),
        "finding": next(finding for finding in found.findings if finding.name == "added"),
        "text": text,
        "absent": absent(found),
        "rows": rows,
        "quantities": [_change(change) for change in added.quantities],
        "panels": [
            panel(figure, name, figure.axes[0].get_title(loc="left"), captions.get(name, ""))
            for name, figure in added_figures(added, found.names)
        ],
    }


@dataclass(frozen=True, slots=True)
class SideBySide:
    """The browser of several runs' responses to the same problems."""

    head: Mapping[str, Any]
    """Counts and names for the whole page."""
    sides: Sequence[BrowserData]
    twins: Sequence[Sequence[str]]
    """Of each run but the first, its ids of the first one's problems, in their order."""

    def pieces(self) -> Iterator[str]:
        """As JSON for the page's script."""
        return pieces(self.head, self._problems())

    def _problems(self) -> Iterator[str]:
        """Each problem once, with the columns of every run."""
        first, *others = self.sides
        for (_, content), *ids in zip(first.problems.items(), *self.twins, strict=True):
            own = [content.own, *(side.problems[i].own for side, i in zip(others, ids, strict=True))]
            yield f'{{{content.shared},"sides":[{",".join(f"{{{text}}}" for text in own)}]}}'


def side_by_side(
    runs: Sequence[Run],
    analyses: Sequence[AnyAnalysis],
    names: Sequence[str],
    rows: Sequence[NDArray[np.intp]],
    budget: Budget,
) -> SideBySide | None:
    """The browser of several runs; None where one of them is imported and lacks what it shows.

    Args:
        runs: in their order.
        analyses: of the runs.
        names: of the runs.
        rows: of each run but the first, its problems in the order of the first one's.
        budget: for each run.
    """
    whole = [(run, a) for run, a in zip(runs, analyses, strict=True) if isinstance(a, Analysis)]
    if len(whole) < len(runs):
        return None
    sides = [browser_data(run, analysis, budget) for run, analysis in whole]
    twins = [[run.pool.problem_ids[row] for row in order] for run, order in zip(runs[1:], rows, strict=True)]
    return SideBySide(_side_by_side_head(sides, names), sides, twins)


def _side_by_side_head(sides: Sequence[BrowserData], names: Sequence[str]) -> dict[str, Any]:
    """Counts and names of several runs for the browser."""
    counts = ("responses", "rows", "texts_left_out", "texts_cut")
    return {
        "reasons": [side.head["reasons"] for side in sides],
        **{name: sum(side.head[name] for side in sides) for name in counts},
        **{name: [side.head[name][0] for side in sides] for name in ("n", "best_of", "draws")},
        "text_chars": sides[0].head["text_chars"],
        "sides": list(names),
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


def groups_of(base: Run, likelihoods: Likelihoods | None, names: Names) -> Groups:
    """What is compared under the first run's model: its log-likelihoods by label; empty without any."""
    if likelihoods is None:
        return {}
    own, best = likelihoods.base["sample"], chosen_index(base.pool.log_likelihood)
    first, second = names.adjectives
    return {
        f"{first} pool": own,
        f"{first} best-of-{base.pool.n}": own[np.arange(len(own)), best],
        **_greedy(f"{first} greedy", likelihoods.base),
        f"{second} pool": likelihoods.tuned_by_base["sample"],
        **_greedy(f"{second} greedy", likelihoods.tuned_by_base),
    }


def _greedy(label: str, of: Mapping[str, NDArray[np.float64]]) -> Groups:
    return {label: of["greedy"]} if "greedy" in of else {}
