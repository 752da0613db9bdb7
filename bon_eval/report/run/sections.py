"""The sections of report.html as escaped HTML: verdicts, tables, figures, explanation, configuration, definitions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from bon_eval.analysis.results import Analysis, ArmRow
from bon_eval.report.formats.figures import inline_svg, scorer_label
from bon_eval.report.formats.html import _NONE, difference, interval, number, table
from bon_eval.report.run.figures import MOST_SCORERS, figures

CAPTIONS = {
    "lift": (
        "Lift over greedy decoding, by scorer and n. Bars are 95 % intervals over problems, paired by problem; they "
        "are drawn side by side to keep them apart."
    ),
    "accuracy": "Accuracy against n (log axis). The oracle counts a problem where any of n responses is correct.",
    "log_likelihood": (
        "Pool responses by log-likelihood, whole and per token. The outermost bins hold everything beyond them."
    ),
    "sharpening": (
        "The pool reweighted to the power distribution: power 1 is one sample, infinity best-of-N by log-likelihood. "
        "Bands are 95 % intervals (left) and quartiles over problems (right); hollow points have too small an "
        "effective sample size to be believed."
    ),
}


def arms(rows: Sequence[ArmRow], primary: str, caption: str) -> str:
    """The arms table."""
    heads = (
        "arm",
        "accuracy [95 %]",
        "lift, points [95 %]",
        "lift, %",
        "log-likelihood, nats",
        "tokens",
        "cut, %",
        "unscored, %",
    )
    cells = [
        (
            _arm_name(row, primary),
            interval(row.accuracy),
            difference(row.lift, row.p_holm),
            _NONE if row.lift_percent is None else f"{row.lift_percent:+.1f}",
            interval(row.log_likelihood, digits=2),
            number(row.n_tokens, 1),
            number(row.truncated, 1, 100),
            number(row.unscored, 1, 100),
        )
        for row in rows
    ]
    main = [k for k, row in enumerate(rows) if row.arm == "greedy" or (row.scorer == primary and row.n == _last(rows))]
    return table(heads, cells, caption=caption, main=main)


def _last(rows: Sequence[ArmRow]) -> int:
    return max(row.n for row in rows)


def _arm_name(row: ArmRow, primary: str) -> str:
    if row.arm in ("greedy", "sample"):
        return row.arm
    if row.arm != "best-of-n":
        weighted = f'<span class="by">{escape(scorer_label(row.scorer))}</span>' if row.scorer else ""
        return weighted or f"{row.arm}-of-{row.n}"
    if row.scorer == primary:
        return f"best-of-{row.n}"
    return f'<span class="by">by {escape(scorer_label(row.scorer or ""))}</span>'


def pairs(analysis: Analysis) -> str:
    """Every arm against every earlier one, folded away."""
    rows = [
        (
            f"{escape(_plain_arm(pair.arm))} minus {escape(_plain_arm(pair.other))}",
            difference(pair.test, pair.p_holm),
            str(pair.test.n_contested),
            f"{pair.test.p_value:.4f}",
            f"{pair.p_holm:.4f}",
            pair.family,
        )
        for pair in analysis.pairs
    ]
    heads = ("arms", "difference, points [95 %]", "contested problems", "p", "p, Holm", "family of the correction")
    return f"<details><summary>Every arm against every other</summary>{table(heads, rows)}</details>"


def _plain_arm(name: str) -> str:
    arm, _, scorer = name.partition(" ")
    return f"{arm} by {scorer_label(scorer)}" if scorer else arm


def panels(analysis: Analysis) -> Iterator[str]:
    """The figures, inline."""
    for name, figure in figures(analysis):
        caption = CAPTIONS[name]
        yield (
            f'<figure role="img" aria-label="{escape(caption)}">{inline_svg(figure, name)}'
            f"<figcaption>{escape(caption)}</figcaption></figure>"
        )


def explanation(analysis: Analysis) -> Iterator[str]:
    """What explains the lift."""
    e, facts, last = analysis.explanation, analysis.facts, analysis.settings.ns[-1]
    primary = analysis.settings.primary_scorer
    yield table(
        (
            "scorer",
            f"accuracy of best-of-{last} [95 %]",
            f"points over {scorer_label(primary)} [95 %]",
            "AUROC within problems [95 %]",
            "problems",
            f"tokens of the best-of-{last} pick",
            "saturated from n",
        ),
        [
            (
                escape(scorer_label(row.scorer)),
                interval(row.accuracy),
                difference(row.accuracy_difference),
                interval(row.auroc),
                str(row.auroc_problems),
                number(row.n_tokens, 1),
                _NONE if row.saturation_n is None else str(row.saturation_n),
            )
            for row in sorted(e.scorers, key=lambda row: row.accuracy_rank)
        ],
        caption="Scorers by the accuracy of what they pick, with the paired difference. AUROC: how well each ranks "
        "correct above incorrect responses of one problem (0.5 is chance; only problems whose pool holds both). "
        "Saturated: from which n on it stays within 1 % of its accuracy at the largest n.",
    )
    rank, sharper = e.greedy_rank, facts.sharper_than_greedy
    yield (
        f"<p>{interval(sharper, 100, 1)} % of problems have a pool response of higher log-likelihood than greedy’s. "
        f"Greedy’s mean rank among the pool’s {analysis.pool_size} responses is {interval(rank.mean, digits=1)}, "
        f"its median {rank.median:g} (quartiles {rank.quartile_low:g} and {rank.quartile_high:g}; rank 1: nothing in "
        "the pool is likelier)."
        + (
            ""
            if facts.duplicate_share is None
            else f" {100 * facts.duplicate_share:.1f} % of pool responses repeat an earlier one of their pool."
        )
        + "</p>"
    )
    for power in e.power:
        if power.detectable is None:
            continue
        needed = ", ".join(
            f"{points} point{'s' if points != 1 else ''}: {count:,}"
            for points, count in power.problems.items()
            if count
        )
        yield (
            f"<p>With {analysis.n_problems} problems, a true difference between best-of-{last} and {power.against} of "
            f"{100 * power.detectable:.1f} points is found with 80 % power (two-sided 5 %). Problems needed for a "
            f"difference of {needed}.</p>"
        )
    scorers = list(e.lengths[0].picked)[:MOST_SCORERS] if e.lengths else []
    yield table(
        (
            "tokens",
            "responses",
            "accuracy [95 %]",
            "log-likelihood, nats",
            *(f"picked by {scorer_label(s)}, %" for s in scorers),
        ),
        [
            (
                f"{row.tokens_low} to {row.tokens_high}" if row.tokens_low != row.tokens_high else str(row.tokens_low),
                f"{row.responses:,}",
                interval(row.accuracy),
                number(row.log_likelihood),
                *(number(row.picked[s], 1, 100) for s in scorers),
            )
            for row in e.lengths
        ],
        caption=f"Pool responses by length, in tenths, and the share of best-of-{last} picks in each.",
    )


def variants(analysis: Analysis) -> Iterator[str]:
    """The arms table under other rules, or why it would be the same."""
    for variant in analysis.variants:
        caption = f"{variant.name.capitalize()}: {variant.note}."
        yield arms(variant.arms, analysis.settings.primary_scorer, caption)
    for name, reason in analysis.variant_reasons.items():
        yield f'<p class="soft">{escape(name.capitalize())}: {escape(reason)}.</p>'


def warnings(analysis: Analysis) -> Iterator[str]:
    """What a reader must know before the numbers."""
    greedy, sample = analysis.arms[0], analysis.arms[1]
    if analysis.n_missing:
        yield f"The run is unfinished: {analysis.n_missing} problems have no complete responses yet."
    if analysis.settings.exclude_truncated:
        yield f"{analysis.n_excluded} problems with a truncated response were left out."
    if greedy.truncated or sample.truncated:
        yield (
            f"{number(sample.truncated, 1, 100)} % of the pool and {number(greedy.truncated, 1, 100)} % of greedy "
            "reached the token limit: their log-likelihood lacks the end token and is inflated."
        )
    if greedy.unscored or sample.unscored:
        yield (
            f"{number(sample.unscored, 1, 100)} % of the pool and {number(greedy.unscored, 1, 100)} % of greedy got no "
            "verdict; they count as not correct."
        )
