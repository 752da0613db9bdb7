"""report.html: one self-contained page, no network, no script but its own.

A Content-Security-Policy admits the page's own script by its hash and nothing else; model texts are JSON in an inert
element and reach the page as text only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bon_eval.analysis.compute import ComputeRow
from bon_eval.analysis.draws.facts import DrawArm, DrawFacts
from bon_eval.analysis.results import Analysis
from bon_eval.analysis.settings import Settings
from bon_eval.errors import counted
from bon_eval.estimators.reweighting import BELIEVABLE
from bon_eval.report.formats.browser import Budget, browser_data
from bon_eval.report.formats.figures import scorer_label
from bon_eval.report.formats.html import panel, render_pieces
from bon_eval.report.formats.page_json import left_out, pieces
from bon_eval.report.formats.text import clusters_text, config_of, model_name
from bon_eval.report.run.affected import affected
from bon_eval.report.run.figures import MOST_SCORERS, figures
from bon_eval.report.run.levels.notes import level_name, level_text
from bon_eval.report.run.notes import chance_text, grown_text, reasoning_text, redrawn_text, sent_text
from bon_eval.report.run.terminal import engine_label, is_main
from bon_eval.store.files import write_pieces
from bon_eval.store.reader import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GRID_CAPTION = (
    "The draws of one grid. Log-likelihoods are of one response under the model's raw distribution; the entropy is of "
    "the answers to one problem, by their shares in n responses."
)
_CAPTIONS = {
    "compute": (
        "Accuracy against generated tokens per problem (log axis), at the n of the table and the parameters of "
        "adaptive arms; best-of-n begins at one sample. Bars at one n are drawn side by side to keep them apart."
    ),
    "lift": (
        "Lift over greedy decoding, by scorer and n. Bars are 95 % intervals over problems, paired by problem; they "
        "are drawn side by side to keep them apart."
    ),
    "accuracy": "Accuracy against n (log axis). The oracle counts a problem where any of n responses is correct.",
    "log_likelihood": (
        "Pool responses by log-likelihood, whole and per token. The outermost bins hold everything beyond them."
    ),
    "levels": "How likelihood and correctness go together at each level; the line is where likelihood says nothing.",
    "sharpening": (
        "The pool reweighted to the power distribution: power 1 is one sample, infinity best-of-N by log-likelihood. "
        "Bands are 95 % intervals (left) and quartiles over problems (right); hollow points have too small an "
        "effective sample size to be believed."
    ),
}


def write_page(
    run: Run,
    analysis: Analysis,
    directory: Path,
    budget: Budget | None = None,
    *,
    texts: bool = True,
    drawn: Iterable[tuple[str, Figure]] | None = None,
) -> Path:
    """Write report.html into an existing directory.

    Args:
        run: the stored run, loaded with token log-probs where the primary scorer needs them.
        analysis: of that run.
        directory: usually the run's own.
        budget: how much of the responses the page holds; what does not fit is left to the Parquet files.
        texts: False leaves the problem browser out, for a page that may be shared where the data may not.
        drawn: what `figures` gave; default: they are drawn here.

    Raises:
        StoreError: a part is damaged, or the file cannot be written; an older page is kept.
    """
    path = directory / "report.html"
    write_pieces(path, page(run, analysis, budget, texts=texts, drawn=drawn))
    return path


def page(
    run: Run,
    analysis: Analysis,
    budget: Budget | None = None,
    *,
    texts: bool = True,
    drawn: Iterable[tuple[str, Figure]] | None = None,
) -> Iterator[str]:
    """The page in pieces: as one text it would be held several times over."""
    data = browser_data(run, analysis, budget) if texts else None
    config = config_of(analysis.run)
    title = f"{model_name(config)} on {config['task']}"
    if name := analysis.run.get("report"):
        title += f": report {name}"
    engine = analysis.run.get("engine")
    engine = engine if isinstance(engine, Mapping) else {}
    where = ", ".join([engine_label(config, engine), *(str(engine[k]) for k in ("device", "dtype") if engine.get(k))])
    how = sent_text(analysis.run)
    sent = (
        f"{counted(analysis.n_problems)} x {counted(analysis.pool_size, 'sample')}, engine {where}. "
        f"{how[:1].upper()}{how[1:]}."
        + (f" Shard {config['shard']}: a part of the problems." if config.get("shard") else "")
    )
    lengths = analysis.explanation.lengths
    picked_by = tuple(lengths[0].picked)[:MOST_SCORERS] if lengths else ()
    panels = {
        name: panel(figure, name, caption, caption)
        for name, figure in (figures(analysis) if drawn is None else drawn)
        for caption in [_CAPTIONS.get(name, _GRID_CAPTION)]
    }
    grids = [panels.pop(name) for name in list(panels) if name not in _CAPTIONS]
    main_draws, other_draws = _by_weight(analysis.draws, analysis.settings)
    values = {
        "title": title,
        "sent": sent,
        "clusters": None
        if analysis.n_clusters is None
        else clusters_text(analysis.n_clusters, analysis.settings.cluster),
        "analysis": analysis,
        "affected": {
            "truncated": affected(analysis, "truncated"),
            "unfinished": affected(analysis, "unfinished"),
            "unscored": affected(analysis, "unscored"),
        },
        "marked": any(row.log_likelihood is not None and row.log_likelihood.marked for row in analysis.arms),
        "reasoning": [*chance_text(analysis), *reasoning_text(analysis.facts)],
        "primary": analysis.settings.primary_scorer,
        "last": analysis.settings.ns[-1],
        "grids": grids,
        "main_draws": main_draws,
        "other_draws": other_draws,
        "variant_draws": {v.name: _by_weight(v.draws, analysis.settings)[0] for v in analysis.variants},
        "grown": [*grown_text(analysis.run, analysis.settings.looks), *redrawn_text(analysis)],
        "compute": panels.pop("compute"),
        "levels": panels.pop("levels", None),
        "level_name": level_name,
        "level_text": level_text(analysis.levels, analysis.settings),
        "main_costs": [row for row in analysis.compute if not _of_another_scorer(row, analysis)],
        "other_costs": [row for row in analysis.compute if _of_another_scorer(row, analysis)],
        "panels": panels.values(),
        "picked_by": picked_by,
        "picked_heads": tuple(f"picked by {scorer_label(scorer)}, %" for scorer in picked_by),
        "believable": BELIEVABLE,
        "left_out": None if data is None else left_out(data.head),
    }
    listed = None if data is None else pieces(data.head, (problem.joined() for problem in data.problems.values()))
    yield from render_pieces("report.html.jinja", values, listed)


def _by_weight(
    draws: Iterable[DrawFacts], settings: Settings
) -> tuple[list[tuple[DrawFacts, DrawArm]], list[tuple[DrawFacts, DrawArm]]]:
    """The arms of draws, each with its draw: those of the main table, and the others."""
    arms = [(draw, arm) for draw in draws for arm in draw.arms]
    return [pair for pair in arms if is_main(*pair, settings)], [pair for pair in arms if not is_main(*pair, settings)]


def _of_another_scorer(row: ComputeRow, analysis: Analysis) -> bool:
    return (row.arm == "best-of-n" and row.by != analysis.settings.primary_scorer) or row.draw is not None
