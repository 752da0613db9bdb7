"""compare.html: two runs on one page, in the style and under the rules of report.html."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bon_eval.analysis.comparison import BeforeAfter, Change
from bon_eval.analysis.results import Analysis
from bon_eval.estimators import chosen_index
from bon_eval.report.comparison.figures import Groups, pair_figures
from bon_eval.report.comparison.terminal import equivalent_text
from bon_eval.report.formats.browser import BrowserData, Budget, browser_data, pieces
from bon_eval.report.formats.figures import inline_svg
from bon_eval.report.formats.html import browser_section, configuration, document_pieces, interval, table
from bon_eval.store.files import write_pieces
from bon_eval.store.reader import Run

_FILTERS = (
    ("all", "all problems"),
    ("greedy_gained", "greedy wrong before, right after"),
    ("greedy_lost", "greedy right before, wrong after"),
    ("sample_up", "one sample more accurate after"),
    ("sample_down", "one sample less accurate after"),
    ("cut", "with a response cut at the token limit"),
    ("unscored", "with an unscored response"),
)
_BUDGET = Budget(text_bytes=7_000_000, responses=35_000)


def write_pair_page(
    runs: tuple[Run, Run],
    analyses: tuple[Analysis, Analysis],
    found: BeforeAfter,
    base_pool: NDArray[np.float64] | None,
    base_greedy: NDArray[np.float64] | None,
    directory: Path,
) -> Path:
    """Write compare.html into an existing directory.

    Args:
        runs, analyses: before and after.
        found: their comparison.
        base_pool, base_greedy: (P, N) and (P, 1), the tuned run's responses under the base model; None where the
            prompts differ.
        directory: usually that of the run after.

    Raises:
        StoreError: a part is damaged, or the file cannot be written.
    """
    first, second = (browser_data(run, a, _BUDGET) for run, a in zip(runs, analyses, strict=True))
    head = _head(first, second)
    title = f"{_name(found.before)} and {_name(found.after)} on {_config(found.before)['task']}"
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="soft">Before and after tuning: {found.n_problems} problems x {found.n} samples, paired by problem; '
        "intervals are 95 % over problems.</p>",
        *(f'<p class="verdict">{escape(f.sentence)}</p>' for f in found.findings),
        *(f'<p class="warning">Not compared: {escape(n)}; {escape(r)}.</p>' for n, r in found.reasons.items()),
        "<h2>Accuracy</h2>",
        _changes(found.accuracies, "p is Holm-adjusted over the table."),
        "<h2>Sharpening</h2>",
        *_sharpening(found),
        "<h2>Panels</h2>",
        *_panels(analyses, _groups(runs[0], base_pool, base_greedy)),
        "<h2>Likelihood, length, spread</h2>",
        _changes(found.quantities, "p is not adjusted. The entropy estimate is minus the mean log-prob of own tokens."),
        browser_section(head, _FILTERS),
        "<h2>Configuration</h2>",
        *(
            f"<details><summary>{side}</summary>{''.join(configuration(facts))}</details>"
            for side, facts in (("before", found.before), ("after", found.after))
        ),
    ]
    path = directory / "compare.html"
    write_pieces(path, document_pieces(title, "\n".join(body), pieces(head, _side_by_side(first, second))))
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
        "n": before.head["n"],
        "text_chars": before.head["text_chars"],
        "sides": ["before", "after"],
    }


def _changes(changes: tuple[Change, ...], caption: str) -> str:
    rows = []
    for c in changes:
        share = c.unit == "share"
        digits, scale = (1, 100.0) if share else (3 if c.name == "entropy_per_token" else 2, 1.0)
        d = c.difference
        low, high = scale * d.low, scale * d.high
        rows.append(
            (
                escape(c.label),
                "%" if share else escape(c.unit),
                interval(c.before, scale, digits),
                interval(c.after, scale, digits),
                f"{scale * d.difference:+.{digits}f} "
                f'<span class="range">[{low:+.{digits}f}, {high:+.{digits}f}]</span>',
                _p(d.p_value if c.p_holm is None else c.p_holm),
            )
        )
    heads = ("", "unit", "before [95 %]", "after [95 %]", "difference [95 %]", "p")
    return table(heads, rows, caption=f"Differences are paired by problem, shares in points. {caption}")


def _p(value: float) -> str:
    return "&lt;0.001" if value < 0.001 else f"{value:.3f}"


def _sharpening(found: BeforeAfter) -> Iterator[str]:
    rows = [
        (
            escape(name),
            f'{kl.estimate:.3f} <span class="range">[{kl.low:.3f}, {kl.high:.3f}]</span>',
            f"nats per response, standard error {kl.standard_error:.3f}",
        )
        for name, kl in found.divergences.items()
    ]
    names = {"log_likelihood": "base log-likelihood", "accuracy": "accuracy"}
    rows += [
        (f"sharpening-equivalent N by {names[name]}", escape(equivalent_text(e)), "base samples")
        for name, e in found.equivalent_n.items()
    ]
    a = found.amortised
    if a.share is not None:
        rows.append(
            ("amortised share", f"{100 * a.share:.0f} [{100 * a.low:.0f}, {100 * a.high:.0f}]", "% of the gain")
        )
    yield table((), rows)
    if a.reason:
        yield f'<p class="soft">Amortised share: none; {escape(a.reason)}.</p>'
    yield (
        '<p class="soft">The sharpening-equivalent N is the smallest n at which the base model’s best-of-n reaches the '
        "mean of one tuned sample; the amortised share is the tuned sample’s gain in accuracy over the base sample, as "
        "a share of base best-of-N’s.</p>"
    )


def _groups(base: Run, base_pool: NDArray[np.float64] | None, base_greedy: NDArray[np.float64] | None) -> Groups:
    if base_pool is None or base_greedy is None:
        return {}
    own = base.pool.log_likelihood
    best = own[np.arange(len(own)), chosen_index(own)]
    return {
        "base pool": own,
        f"base best-of-{base.pool.n}": best,
        "base greedy": base.greedy.log_likelihood,
        "tuned pool": base_pool,
        "tuned greedy": base_greedy,
    }


def _panels(analyses: tuple[Analysis, Analysis], groups: Groups) -> Iterator[str]:
    for name, figure in pair_figures(*analyses, groups):
        title = figure.axes[0].get_title(loc="left")
        yield f'<figure role="img" aria-label="{escape(title)}">{inline_svg(figure, name)}</figure>'


def _config(facts: Mapping[str, object]) -> Mapping[str, object]:
    config = facts["config"]
    assert isinstance(config, Mapping)
    return config


def _name(facts: Mapping[str, object]) -> str:
    config = _config(facts)
    return f"{config['model']}" + (f" + {config['adapter']}" if config.get("adapter") else "")
