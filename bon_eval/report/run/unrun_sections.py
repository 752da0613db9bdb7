"""The replayed arms of report.html: the power distribution, adaptive stopping, coverage, as escaped HTML."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape

from bon_eval.analysis.results import Analysis
from bon_eval.analysis.unrun_arms import Coverage, PowerPoint, StoppingRow
from bon_eval.estimators.reweighting import BELIEVABLE
from bon_eval.report.formats.html import difference, interval, number, table


def alpha_text(alpha: float) -> str:
    """Alpha as the tables print it.

    >>> alpha_text(1.25), alpha_text(math.inf)
    ('1.25', '∞')
    """
    return "∞" if math.isinf(alpha) else f"{alpha:g}"


def replayed(analysis: Analysis) -> Iterator[str]:
    """Each part folded away, or why it is not there."""
    found = analysis.replayed
    if found.power:
        caption = (
            "Weights proportional to π(y|x)^(α−1) turn the pool into a draw from the power distribution π^α: α = 1 is "
            f"one sample, α = ∞ best-of-{analysis.pool_size}. Where the median effective sample size is below "
            f"{BELIEVABLE:g}, the row is marked: a few responses decide it, and it is not to be believed."
        )
        yield _folded("Sharpening without resampling: the power distribution", _power(found.power, caption))
    if found.stopping:
        caption = (
            "Draw until a rule says stop, answer with the most likely response drawn; exact over all orders of each "
            "pool. Likelihood δ: stop at the first k with 1 / max π ≤ k / ln(2/δ). Patience m: stop after m draws "
            "that did not raise the likelihood. Beside it, fixed n of the same mean cost."
        )
        yield _folded("Adaptive best-of-n", _stopping(found.stopping, caption))
    if found.coverage is not None:
        yield _folded("Coverage and sharpness", _coverage(found.coverage))
    for name, reason in found.reasons.items():
        yield f'<p class="soft">{escape(name.capitalize())}: {escape(reason)}.</p>'


def _folded(summary: str, content: str) -> str:
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def _power(points: tuple[PowerPoint, ...], caption: str) -> str:
    rows = [
        (
            alpha_text(p.alpha),
            interval(p.accuracy),
            number(p.log_likelihood),
            f'{p.ess_median:.1f} <span class="range">({p.ess_low:.1f} to {p.ess_high:.1f})</span>',
            "" if p.believable else "too small to believe",
        )
        for p in points
    ]
    heads = ("alpha", "accuracy [95 %]", "log-likelihood, nats", "effective sample size, median (quartiles)", "mark")
    return table(heads, rows, caption=caption)


def _stopping(rows: tuple[StoppingRow, ...], caption: str) -> str:
    cells = [
        (
            f"likelihood, δ = {row.parameter:g}" if row.rule == "likelihood" else f"patience {row.parameter:g}",
            number(row.samples, 1),
            number(row.exhausted, 1, 100),
            interval(row.accuracy),
            number(row.fixed_accuracy, 3),
            difference(row.difference),
        )
        for row in rows
    ]
    heads = (
        "rule",
        "mean samples",
        "pool exhausted, %",
        "accuracy [95 %]",
        "fixed n of that cost",
        "difference, points [95 %]",
    )
    return table(heads, cells, caption=caption)


def _coverage(found: Coverage) -> str:
    heads = ("probability of the best response seen, at least", "problems, % [95 %]")
    rows = [(f"{1 - row.delta:g}", interval(row.share, 100, 1)) for row in found.sharp]
    left_out = (
        f" {found.left_out} problems without a finished response are left out; the intervals are of the others."
        if found.left_out
        else ""
    )
    caption = (
        f"ln C_cov is at most {found.log_coverage:.2f} nats: the mean of 1 / π(y_best|x) over {found.problems} "
        f"problems, {100 * found.heaviest:.0f} % of it from one of them; the median of −ln π is {found.median:.2f}. "
        "The most likely response is at least as likely as the best one seen: C_cov is bounded from above, the shares "
        "from below, and "
        f"ε of (ε, δ)-sharpness is at most 1 minus the share at 1 − δ.{left_out}"
    )
    return table(heads, rows, caption=caption)
