"""report.html: one self-contained page, no network, no script but its own.

A Content-Security-Policy admits the page's own script by its hash and nothing else; model texts are JSON in an inert
element and reach the page as text only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path

from bon_eval.analysis.results import Analysis
from bon_eval.report.formats.browser import Budget, browser_data, pieces
from bon_eval.report.formats.figures import scorer_label
from bon_eval.report.formats.html import browser_section, configuration, document_pieces
from bon_eval.report.run import sections
from bon_eval.report.run.terminal import engine_label
from bon_eval.report.run.unrun_sections import replayed
from bon_eval.store.files import write_pieces
from bon_eval.store.reader import Run

_DEFINITIONS = (
    (
        "Log-likelihood",
        "Sum of the log-probs of a response’s own tokens, end token included, under the model’s raw distribution, in "
        "nats.",
    ),
    (
        "Greedy, sample, pool",
        "Greedy is temperature 0, one response. The pool holds N responses at the pool’s temperature without top-p, "
        "top-k or penalties; sample is the mean over the pool.",
    ),
    (
        "Best-of-n",
        "The exact expected value of the response that the scorer ranks first in a random n-subset of the pool; ties "
        "share. It is the unbiased estimate of best-of-n under fresh sampling.",
    ),
    (
        "Intervals and tests",
        "Problems are the sampling unit. Lifts are paired by problem. A star marks p below 5 % after Holm’s correction "
        "over the n of the table.",
    ),
    (
        "Cut, unscored",
        "Cut responses reached the token limit. Unscored ones got no verdict; they count as not correct.",
    ),
)

_FILTERS = (
    ("all", "all problems"),
    ("gained", "greedy wrong, best-of-N right"),
    ("lost", "greedy right, best-of-N wrong"),
    ("contested", "pool holds right and wrong"),
    ("cut", "with a response cut at the token limit"),
    ("unscored", "with an unscored response"),
)


def write_page(
    run: Run, analysis: Analysis, directory: Path, budget: Budget | None = None, *, texts: bool = True
) -> Path:
    """Write report.html into an existing directory.

    Args:
        run: the stored run, loaded with token log-probs where the primary scorer needs them.
        analysis: of that run.
        directory: usually the run's own.
        budget: how much of the responses the page holds; what does not fit is left to the Parquet files.
        texts: False leaves the problem browser out, for a page that may be shared where the data may not.

    Raises:
        StoreError: a part is damaged, or the file cannot be written; an older page is kept.
    """
    path = directory / "report.html"
    write_pieces(path, page(run, analysis, budget, texts=texts))
    return path


def page(run: Run, analysis: Analysis, budget: Budget | None = None, *, texts: bool = True) -> Iterator[str]:
    """The page in pieces: as one text it would be held several times over."""
    data = browser_data(run, analysis, budget) if texts else None
    config = analysis.run.get("config")
    assert isinstance(config, Mapping)
    adapter = f" + {config['adapter']}" if config.get("adapter") else ""
    title = f"{config['model']}{adapter} on {config['task']}"
    engine = analysis.run.get("engine")
    engine = engine if isinstance(engine, Mapping) else {}
    where = ", ".join([engine_label(config, engine), *(str(engine[k]) for k in ("device", "dtype") if engine.get(k))])
    sent = (
        f"{analysis.n_problems} problems x {analysis.pool_size} samples, engine {where}. Greedy at "
        f"temperature 0, pool at temperature {config['temperature']:g}, top_p 1, top_k off, no penalties, at most "
        f"{config['max_tokens']} tokens, seed {config['seed']}."
        + (f" Shard {config['shard']}: a part of the problems." if config.get("shard") else "")
    )
    primary = analysis.settings.primary_scorer
    first, second = (comparison.sentence for comparison in analysis.facts.comparisons)
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="soft">{escape(sent)}</p>',
        f'<p class="verdict">{escape(first)}</p>',
        f"<p>{escape(second)}</p>",
        *(f'<p class="warning">{escape(w)}</p>' for w in sections.warnings(analysis)),
        "<h2>Arms</h2>",
        sections.arms(
            analysis.arms,
            primary,
            f"Best-of-n picks by {scorer_label(primary)}; “by …” is best-of-{analysis.settings.ns[-1]} under another "
            "scorer. Lift is over greedy.",
        ),
        sections.pairs(analysis),
        "<h2>Panels</h2>",
        *sections.panels(analysis),
        "<h2>What explains the lift</h2>",
        *sections.explanation(analysis),
        "<h2>Arms that were not run</h2>",
        *replayed(analysis),
        "<h2>Under other rules</h2>",
        *sections.variants(analysis),
        browser_section(data.head, _FILTERS) if data is not None else "",
        "<h2>Definitions</h2>",
        '<dl class="defs">' + "".join(f"<dt>{t}</dt><dd>{d}</dd>" for t, d in _DEFINITIONS) + "</dl>",
        "<h2>Configuration</h2>",
        "<details><summary>Every resolved parameter, versions, engine facts and hashes</summary>",
        *configuration(analysis.run),
        "</details>",
    ]
    listed = None if data is None else pieces(data.head, (problem.joined() for problem in data.problems.values()))
    yield from document_pieces(title, "\n".join(body), listed)
