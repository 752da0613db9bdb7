"""Tokens generated per problem, by hand and against every subset and order; accuracies as in the other tables."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations, pairwise, permutations
from typing import Any

import numpy as np
import pytest
from made_run import MadeRun

from bon_eval.analysis.analyse import analyse
from bon_eval.analysis.compute import ComputeRow, undercut
from bon_eval.analysis.results import Analysis
from bon_eval.report.formats.csv_json import validate
from bon_eval.report.run.figures import figures
from bon_eval.report.run.page import page
from bon_eval.report.run.rows import document
from bon_eval.report.run.terminal import render
from bon_eval.stats import Interval, bootstrap_ci
from bon_eval.stats.bootstrap import NOT_BELOW_0
from bon_eval.store.reader import Run


def by_name(analysis: Analysis) -> dict[str, ComputeRow]:
    found = {row.name: row for row in analysis.compute}
    assert len(found) == len(analysis.compute)
    return found


def long_where_wrong(problems: int = 40, n: int = 5) -> MadeRun:
    """Lengths differ between problems, and wrong responses are longer; likely ones are short."""
    run, rng = MadeRun(problems=problems, n=n), np.random.default_rng(5)
    scale = rng.integers(1, 30, size=(problems, 1))
    for name in ("greedy", "pool"):
        pool = getattr(run, name)
        tokens = scale * (1 + 2 * ~pool.correct) + rng.integers(0, 9, size=pool.correct.shape)
        likely = -tokens / 40.0 - rng.integers(0, 2, size=tokens.shape) / 2.0
        setattr(run, name, replace(pool, n_tokens=tokens.astype(np.int32), log_likelihood=likely))
    return run


def test_by_hand(make_hand_run: Callable[[], Run]) -> None:
    found = by_name(analyse(make_hand_run(), draws=200))
    # Greedy: 3, 2 and 2 tokens. Pools: 4 2 2 8, 2 3 4 5 and 2 3 1 4, on average 4, 3.5 and 2.5.
    tokens = {name: row.tokens.estimate for name, row in found.items()}
    assert tokens["greedy"] == pytest.approx(7 / 3)
    assert tokens["sample"] == pytest.approx(10 / 3)
    for scorer in ("log_likelihood", "mean_log_likelihood", "shortest", "random"):
        assert tokens[f"best-of-2 {scorer}"] == pytest.approx(20 / 3)
        assert tokens[f"best-of-4 {scorer}"] == pytest.approx(40 / 3)
    assert (tokens["vote-of-2"], tokens["vote-of-4"]) == pytest.approx((20 / 3, 40 / 3))
    accuracy = {name: row.accuracy.estimate for name, row in found.items()}
    assert accuracy["greedy"] == pytest.approx(1 / 3)
    assert accuracy["sample"] == pytest.approx((2 / 4 + 1 / 4 + 1 / 4) / 3)
    assert accuracy["best-of-2 log_likelihood"] == pytest.approx(4 / 9)
    assert accuracy["best-of-4 log_likelihood"] == pytest.approx(2 / 3)
    # Patience 2 without ties: two of the orders in three go on after three draws, whatever the lengths.
    assert found["adaptive patience 2"].tokens.estimate == pytest.approx(found["adaptive patience 2"].samples * 10 / 3)


def test_fixed_n_costs_what_random_subsets_cost() -> None:
    run = long_where_wrong()
    found = by_name(analyse(run, ns=[2, 3, 5], votes=["weighted/log_likelihood"], draws=100))
    for n in (2, 3, 5):
        subsets = [sorted(subset) for subset in combinations(range(5), n)]
        expected = np.mean([run.pool.n_tokens[:, subset].sum(axis=1).mean() for subset in subsets])
        for name in ("best-of-{} log_likelihood", "vote-of-{}", "vote-of-{} weighted/log_likelihood"):
            assert found[name.format(n)].tokens.estimate == pytest.approx(expected)
            assert found[name.format(n)].samples == n


def test_adaptive_arms_cost_what_all_orders_cost_on_average() -> None:
    run = long_where_wrong()
    found = by_name(analyse(run, draws=100))
    orders = list(permutations(range(5)))

    def likelihood(seen: list[float]) -> bool:
        return math.exp(-max(seen)) <= len(seen) / math.log(2 / 0.5)

    def patience(seen: list[float]) -> bool:
        record = max(i for i in range(len(seen)) if i == 0 or seen[i] > max(seen[:i]))
        return len(seen) - 1 - record >= 2

    for name, stops in (("adaptive likelihood 0.5", likelihood), ("adaptive patience 2", patience)):
        spent = []
        for scores, tokens in zip(run.pool.log_likelihood.tolist(), run.pool.n_tokens.tolist(), strict=True):
            for order in orders:
                k = next((k for k in range(1, 5) if stops([scores[i] for i in order[:k]])), 5)
                spent.append(sum(tokens[i] for i in order[:k]))
        assert found[name].tokens.estimate == pytest.approx(np.mean(spent))
    # Hard problems are long ones, and the rule draws more for them: samples alone would say less.
    row, one = found["adaptive likelihood 0.5"], found["sample"].tokens.estimate
    assert row.tokens.estimate > 1.1 * row.samples * one


def test_accuracies_are_those_of_the_other_tables() -> None:
    found = analyse(MadeRun(), votes=["borda"], ns=[4, 16], draws=200)
    rows = by_name(found)
    for arm in found.arms:
        if arm.arm != "oracle":
            assert rows[arm.name].accuracy == arm.accuracy
    for point in found.curves:
        if point.n == 4 and point.scorer in found.settings.scorers:
            assert rows[f"best-of-4 {point.scorer}"].accuracy == point.interval
    adaptive = [row for row in found.compute if row.arm == "adaptive"]
    for row, stopping in zip(adaptive, found.replayed.stopping, strict=True):
        assert (row.samples, row.tokens, row.accuracy) == (stopping.samples, stopping.tokens, stopping.accuracy)
    assert not [row for row in found.compute if row.arm == "oracle"]


def test_intervals_of_tokens_are_of_means_over_problems() -> None:
    run = long_where_wrong()
    found = by_name(analyse(run, ns=[5], draws=4000))
    totals = run.pool.n_tokens.sum(axis=1)
    direct = bootstrap_ci(totals, rng=np.random.default_rng(1), draws=4000, support=NOT_BELOW_0)
    shown = found["best-of-5 log_likelihood"].tokens
    assert (shown.estimate, shown.method, shown.marked) == (
        pytest.approx(direct.estimate),
        direct.method,
        direct.marked,
    )
    assert (shown.low, shown.high) == pytest.approx((direct.low, direct.high), rel=0.02)
    one = found["sample"].tokens
    assert (shown.low, shown.high) == pytest.approx((5 * one.low, 5 * one.high))


def test_the_n_of_the_table_alone() -> None:
    found = by_name(analyse(MadeRun(), ns=[3, 7], scorers=["shortest"], draws=100))
    assert [name for name in found if not name.startswith("adaptive")] == [
        *("greedy", "sample", "best-of-3 shortest", "best-of-7 shortest", "vote-of-3", "vote-of-7")
    ]
    # Best-of-1 is the sample; a vote of one is not, where the response has no answer.
    found = by_name(analyse(MadeRun(), ns=[1, 2], scorers=["shortest"], draws=100))
    assert [name for name in found if not name.startswith("adaptive")] == [
        *("greedy", "sample", "best-of-2 shortest", "vote-of-1", "vote-of-2")
    ]


def test_an_unfinished_run_counts_what_is_complete() -> None:
    run, whole = long_where_wrong(), long_where_wrong()
    kept = list(range(25))
    run.greedy, run.pool = whole.greedy.take(kept), whole.pool.take(kept)
    found = analyse(run, draws=100)
    assert found.n_missing == 15
    tokens = by_name(found)["best-of-5 log_likelihood"].tokens.estimate
    assert tokens == pytest.approx(whole.pool.n_tokens[:25].sum(axis=1).mean())
    assert tokens != pytest.approx(whole.pool.n_tokens.sum(axis=1).mean())
    validate(document(found))


def test_problems_left_out_are_left_out_of_the_tokens_too() -> None:
    run = long_where_wrong()
    truncated = np.zeros(run.pool.truncated.shape, dtype=np.bool_)
    truncated[:7, 2] = True
    run.pool = replace(run.pool, truncated=truncated)
    found = by_name(analyse(run, exclude_truncated=True, draws=100))
    assert found["sample"].tokens.estimate == pytest.approx(run.pool.n_tokens[7:].mean())
    assert found["greedy"].tokens.estimate == pytest.approx(run.greedy.n_tokens[7:].mean())


def row(name: str, tokens: float, accuracy: float) -> ComputeRow:
    return ComputeRow(name, None, 1, Interval(tokens, 0.0, 99.0, ""), Interval(accuracy, 0.0, 1.0, ""))


def test_an_arm_is_undercut_by_the_most_accurate_that_costs_no_more() -> None:
    rng = np.random.default_rng(2)
    rows = [row(str(k), float(t), float(a)) for k, (t, a) in enumerate(rng.integers(1, 8, size=(60, 2)) / [1, 10])]
    for found in undercut(rows):
        tokens, accuracy = found.tokens.estimate, found.accuracy.estimate
        better = [
            (o.accuracy.estimate, -o.tokens.estimate)
            for o in rows
            if (o.accuracy.estimate, -o.tokens.estimate) != (accuracy, -tokens)
            and o.accuracy.estimate >= accuracy
            and o.tokens.estimate <= tokens
        ]
        if not better:
            assert found.undercut_by is None
        else:
            other = rows[int(found.undercut_by or "")]
            assert (other.accuracy.estimate, -other.tokens.estimate) == max(better)


def test_rounding_undercuts_nothing() -> None:
    rows = undercut([row("a", 30.0, 0.3), row("b", 0.1 * 300 * (1 + 1e-13), 0.1 + 0.2), row("c", 30.0, 0.3 - 1e-13)])
    assert [found.undercut_by for found in rows] == [None, None, None]


def test_equal_lengths_have_no_interval_and_a_reason() -> None:
    run = MadeRun()
    run.pool = replace(run.pool, n_tokens=np.full_like(run.pool.n_tokens, 6))
    found = analyse(run, draws=100)
    assert by_name(found)["sample"].tokens.reason == "no problems differ"
    content: dict[str, Any] = document(found)
    validate(content)
    cells = content["compute"][1]
    assert (cells["tokens"], cells["tokens_low"]) == (6.0, None)
    assert cells["null_reasons"]["tokens_low"] == "no interval: no problems differ"
    assert dict(figures(found))["compute"].axes


def test_nothing_generated_is_not_drawn_on_a_log_axis() -> None:
    run = MadeRun(n=1)
    run.greedy = replace(run.greedy, n_tokens=np.zeros_like(run.greedy.n_tokens))
    found = analyse(run, draws=100)
    assert list(by_name(found)) == ["greedy", "sample", "vote-of-1"]
    assert by_name(found)["greedy"].tokens.estimate == 0.0
    validate(document(found))
    [ax] = dict(figures(found))["compute"].axes
    assert ax.get_legend_handles_labels()[1] == ["vote", "sample"]
    assert ax.get_xlim()[0] > 0
    assert "Accuracy against generated tokens" in "".join(page(run, found, texts=False))  # type: ignore[arg-type]


def test_the_figure_holds_the_points_of_the_table() -> None:
    found = analyse(MadeRun(), draws=200)
    rows = by_name(found)
    [ax] = dict(figures(found))["compute"].axes
    assert ax.get_xscale() == "log"
    assert ax.get_legend_handles_labels()[1] == [
        *("log-likelihood", "mean log-likelihood", "shortest", "vote"),
        *("adaptive, likelihood", "adaptive, patience", "greedy", "sample"),
    ]
    drawn = [
        (line.get_linestyle(), [(x, y) for x, y in zip(*map(list, line.get_data()), strict=True)]) for line in ax.lines
    ]

    def points(*names: str) -> list[tuple[float, float]]:
        return [(rows[name].tokens.estimate, 100 * rows[name].accuracy.estimate) for name in names]

    best = points("sample", *(f"best-of-{n} log_likelihood" for n in (2, 4, 8, 16)))
    assert best in [line for dash, line in drawn if dash != "None"]
    assert points("greedy") in [line for dash, line in drawn if dash == "None"]


def test_a_further_draw_is_one_more_point() -> None:
    found = analyse(MadeRun(), draws=100)
    low = ComputeRow("mean", None, 1, Interval(5.0, 4.0, 6.0, "made"), Interval(0.5, 0.4, 0.6, "made"), "low")
    more = replace(found, compute=(*found.compute, low))
    [ax] = dict(figures(more))["compute"].axes
    assert ax.get_legend_handles_labels()[1][-3:] == ["greedy", "sample", "low"]
    validate(document(more))
    assert ">low</th>" in "".join(page(MadeRun(), more, texts=False))  # type: ignore[arg-type]


@pytest.mark.parametrize("factor", [0.01, 1.0, 300.0, 1e5])
@pytest.mark.parametrize("spread", [1.0, 3.0])
def test_ticks_of_tokens_are_round_and_apart(factor: float, spread: float) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    found = analyse(MadeRun(), draws=100)
    scaled = tuple(
        replace(row, tokens=replace(t, estimate=s * t.estimate, low=s * t.low, high=s * t.high))
        for row in found.compute
        for t in [row.tokens]
        for s in [factor * t.estimate ** (spread - 1)]
    )
    figure = dict(figures(replace(found, compute=scaled)))["compute"]
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    [ax] = figure.axes
    labels = [tick.label1 for tick in ax.xaxis.get_major_ticks()]
    assert len(labels) >= 2
    ends = [label.get_window_extent(canvas.get_renderer()) for label in labels]
    assert all(left.x1 < right.x0 for left, right in pairwise(ends))
    for label, place in zip(labels, ax.get_xticks(), strict=True):
        assert float(label.get_text().replace(",", "")) == pytest.approx(place)
        assert ax.get_xlim()[0] <= place <= ax.get_xlim()[1]


def test_the_terminal_says_what_is_generated_beside_the_tokens_of_answers() -> None:
    run = MadeRun()
    found = analyse(run, draws=100)
    text = " ".join(render(found).split())
    greedy, one = run.greedy.n_tokens.mean(), run.pool.n_tokens.mean()
    assert f"generated per problem, prompts not counted: greedy {greedy:.1f} tokens, one sample {one:.1f};" in text
    assert max(map(len, render(found).splitlines())) <= 100


def test_clusters_are_resampled_together() -> None:
    run = long_where_wrong(problems=60)
    alone = by_name(analyse(run, draws=500))["sample"].tokens
    sources = [f"s{k // 6}" for k in range(60)]
    run.problems = tuple(
        replace(problem, fields={**problem.fields, "source": source})
        for problem, source in zip(run.problems, sources, strict=True)
    )
    together = by_name(analyse(run, cluster="source", draws=500))["sample"].tokens
    assert together.estimate == pytest.approx(alone.estimate)
    assert (together.low, together.high) != (alone.low, alone.high)
