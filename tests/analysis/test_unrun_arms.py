"""The replayed arms of a run: their ends are other arms of the table, their rows are consistent."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from made_run import MadeRun

from bon_eval.analysis.analyse import analyse
from bon_eval.analysis.results import Analysis
from bon_eval.errors import ConfigError
from bon_eval.records import Pool
from bon_eval.report.formats.csv_json import validate
from bon_eval.report.formats.figures import scorer_label
from bon_eval.report.run.explain_rows import REWEIGHTED
from bon_eval.report.run.figures import figures
from bon_eval.report.run.page import page
from bon_eval.report.run.rows import document
from bon_eval.report.run.terminal import render


def tokens_of(pool: Pool) -> dict[str, Any]:
    """Token log-probs of -1 each."""
    offsets = np.concatenate([[0], pool.n_tokens.ravel().cumsum()]).astype(np.int64)
    return {"token_logprobs": np.full(offsets[-1], -1, dtype=np.float32), "token_offsets": offsets}


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    votes = ("borda@0/shortest", "weighted/log_likelihood", "majority", "filtered@0.5")
    scorers = ("log_likelihood", "mean_log_likelihood", "shortest", "longest", "random")
    return analyse(MadeRun(), scorers=scorers, votes=votes, ns=[4, 16], draws=300)


def page_of(analysis: Analysis) -> str:
    return "".join(page(MadeRun(), analysis, texts=False))


def arm(analysis: Analysis, name: str) -> Any:
    return next(row for row in analysis.arms if row.name == name)


def test_the_curve_begins_at_the_sample_arm_and_ends_at_best_of_n(analysis: Analysis) -> None:
    first, *_, last = analysis.replayed.reweighted
    assert (first.alpha, last.alpha) == (1.0, math.inf)
    for point, name in ((first, "sample"), (last, "best-of-16 log_likelihood")):
        row = arm(analysis, name)
        assert abs(point.accuracy.estimate - row.accuracy.estimate) < 1e-12
        assert abs(point.log_likelihood - row.log_likelihood.estimate) < 1e-12
    likelihoods = [p.log_likelihood for p in analysis.replayed.reweighted]
    assert likelihoods == sorted(likelihoods)
    sizes = [p.ess_median for p in analysis.replayed.reweighted]
    assert sizes == sorted(sizes, reverse=True)
    assert first.ess_median == pytest.approx(16.0)
    assert [p.believable for p in analysis.replayed.reweighted] == [True, *(s >= 10 for s in sizes[1:])]
    assert not last.believable


def test_a_tempered_pool_has_no_curve_and_says_why() -> None:
    found = analyse(MadeRun(temperature=0.7), draws=100)
    assert found.replayed.reweighted == ()
    assert "not drawn at temperature 1" in found.replayed.reasons["power"]
    validate(document(found))
    assert "not drawn at temperature 1" in page_of(found)


def test_stopping_rows_stand_beside_fixed_n_of_their_cost(analysis: Analysis) -> None:
    rows = analysis.replayed.stopping
    assert [(r.rule, r.parameter) for r in rows] == [
        *(("likelihood", d) for d in (0.5, 0.1, 0.01)),
        *(("patience", k) for k in (2.0, 4.0, 8.0)),
    ]
    curve = {p.n: p.accuracy for p in analysis.curves if p.scorer == "log_likelihood"}
    for row in rows:
        low = math.floor(row.samples)
        share = row.samples - low
        expected = curve[low] if low == 16 else (1 - share) * curve[low] + share * curve[low + 1]
        assert row.fixed_accuracy == pytest.approx(expected, abs=1e-9)
        assert row.difference.difference == pytest.approx(row.accuracy.estimate - row.fixed_accuracy, abs=1e-9)
        assert 0.0 <= row.exhausted <= 1.0
    samples = [r.samples for r in rows]
    assert samples[:3] == sorted(samples[:3])
    assert samples[3:] == sorted(samples[3:])


def test_coverage_by_hand() -> None:
    run = MadeRun(problems=2, n=2)
    run.pool = replace(
        run.pool,
        log_likelihood=np.log([[0.5, 0.9], [0.2, 0.1]]),
        truncated=np.array([[False, True], [False, False]]),
    )
    run.greedy = replace(run.greedy, log_likelihood=np.log([[0.4], [0.25]]), truncated=np.array([[False], [True]]))
    found = analyse(run, draws=100).replayed.coverage
    assert found is not None
    assert (found.problems, found.left_out) == (2, 0)
    assert math.exp(found.log_coverage.estimate) == pytest.approx((2 + 5) / 2)
    assert found.median == pytest.approx((math.log(2) + math.log(5)) / 2)
    assert found.heaviest == pytest.approx(5 / 7)
    assert [row.delta for row in found.sharp] == [0.9, 0.75, 0.5, 0.25, 0.1]
    assert [row.share.estimate for row in found.sharp] == [1.0, 0.5, 0.5, 0.0, 0.0]


def test_one_problem_that_carries_all_carries_no_more_than_all() -> None:
    run = MadeRun(problems=3, n=2)
    run.pool = replace(run.pool, log_likelihood=np.array([[-411.7, -412.3], [-1.3, -2.0], [-0.7, -0.9]]))
    run.pool = replace(run.pool, truncated=np.zeros((3, 2), dtype=np.bool_))
    run.greedy = replace(run.greedy, log_likelihood=np.full((3, 1), -500.0))
    found = analyse(run, draws=100).replayed.coverage
    assert found is not None
    assert found.heaviest == 1.0
    assert found.log_coverage.method == "none: 3 problems; from 100 on"
    assert found.log_coverage.estimate == pytest.approx(411.7 - math.log(3), abs=1e-9)


def test_problems_without_a_finished_response_are_left_out() -> None:
    run = MadeRun(problems=3, n=2)
    truncated = np.array([[True, True], [False, False], [False, False]])
    run.pool, run.greedy = replace(run.pool, truncated=truncated), replace(run.greedy, truncated=truncated[:, :1])
    found = analyse(run, draws=100).replayed.coverage
    assert found is not None
    assert (found.problems, found.left_out) == (2, 1)
    run.pool = replace(run.pool, truncated=~np.zeros((3, 2), dtype=np.bool_))
    run.greedy = replace(run.greedy, truncated=~np.zeros((3, 1), dtype=np.bool_))
    none = analyse(run, draws=100)
    assert none.replayed.coverage is None
    assert "no problem has a finished response" in none.replayed.reasons["coverage"]
    validate(document(none))


def test_weighted_votes_are_arms_and_curves(analysis: Analysis) -> None:
    assert analysis.settings.votes == ("borda@0/shortest", "weighted/log_likelihood", "filtered@0.5")
    majority, borda = arm(analysis, "vote-of-16"), arm(analysis, "vote-of-16 borda@0/shortest")
    assert borda.accuracy.estimate == pytest.approx(majority.accuracy.estimate, abs=1e-12)
    assert borda.monte_carlo_error is None
    curve = {p.n: p for p in analysis.curves if p.scorer == "vote weighted/log_likelihood"}
    assert sorted(curve) == [1, 4, 16]
    assert curve[16].accuracy == arm(analysis, "vote-of-16 weighted/log_likelihood").accuracy.estimate
    assert curve[4].monte_carlo_error is not None
    names = {pair.arm for pair in analysis.pairs}
    assert "vote-of-16 filtered@0.5" in names
    text = render(analysis)
    assert "  weighted/log-lik" in text
    assert "votes of 16 that weigh responses by a score" in " ".join(text.split())


def test_scorers_are_ranked_against_the_primary_one(analysis: Analysis) -> None:
    rows = {row.scorer: row for row in analysis.explanation.scorers}
    assert rows["log_likelihood"].accuracy_difference is None
    assert rows["log_likelihood"].auroc_difference is None
    for name, row in rows.items():
        assert row.accuracy == arm(analysis, f"best-of-16 {name}").accuracy
        better = sum(other.accuracy.estimate > row.accuracy.estimate + 1e-12 for other in rows.values())
        assert row.accuracy_rank == 1 + better
        if name != "log_likelihood":
            gain = row.accuracy.estimate - rows["log_likelihood"].accuracy.estimate
            assert row.accuracy_difference is not None
            assert row.auroc_difference is not None
            assert row.accuracy_difference.difference == pytest.approx(gain)
            assert row.auroc is not None
            assert rows["log_likelihood"].auroc is not None
            auroc = row.auroc.estimate - rows["log_likelihood"].auroc.estimate
            assert row.auroc_difference.difference == pytest.approx(auroc)
    assert rows["shortest"].auroc is not None
    ranks = sorted(rows.values(), key=lambda row: row.accuracy_rank)
    _, html = page_of(analysis).split("<h2>What explains the lift</h2>")
    places = [html.index(f">{scorer_label(row.scorer)}<") for row in ranks]
    assert places == sorted(places)


def test_many_scorers_are_a_table_in_the_terminal() -> None:
    scorers = ["log_likelihood", "mean_log_likelihood", "shortest", "longest", "random"]
    run = MadeRun()
    few = render(analyse(run, scorers=scorers, draws=100))
    assert "AUROC within problems" in few
    run.pool = replace(run.pool, n_bytes=2 * run.pool.n_tokens, **tokens_of(run.pool))
    many = render(analyse(run, scorers=[*scorers, "byte_log_likelihood", "min_token_logprob"], draws=100))
    assert "AUROC within problems" not in many
    assert "scorer of best-of-16" in many
    assert "points over log-lik" in many


def test_figures_of_many_scorers_show_the_first_and_fit() -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    names = ["log_likelihood", "mean_log_likelihood", "shortest", "longest", "random", "byte_log_likelihood"]
    run = MadeRun()
    run.pool = replace(run.pool, n_bytes=2 * run.pool.n_tokens, **tokens_of(run.pool))
    found = analyse(run, scorers=[*names, "tail_mean", "min_token_logprob"], draws=100)
    drawn = dict(figures(found))
    for name in ("compute", "accuracy"):
        handles = drawn[name].axes[0].get_legend_handles_labels()[0]
        styles = {(line.get_color(), line.get_marker(), line.get_linestyle()) for line in handles}
        assert len(styles) == len(handles)
    lift = drawn["lift"]
    [ax] = lift.axes
    canvas = FigureCanvasAgg(lift)
    canvas.draw()
    [title] = [t for t in lift.findobj(Text) if t.get_text() == "Best-of-n minus greedy, 6 of 8 scorers (95 % bars)"]
    assert title.get_window_extent(canvas.get_renderer()).x1 <= lift.bbox.x1
    assert len(ax.get_legend_handles_labels()[1]) == 6


def test_the_document_fits_its_schema_and_infinity_is_a_word(analysis: Analysis) -> None:
    content = document(analysis)
    validate(content)
    json.dumps(content, allow_nan=False)
    assert REWEIGHTED.cells(analysis.replayed.reweighted[-1])["alpha"] == "infinity"
    assert "too small to believe" in page_of(analysis)


def test_an_unknown_vote_is_one_line() -> None:
    with pytest.raises(ConfigError, match="unknown vote 'plurality'"):
        analyse(MadeRun(), votes=["plurality"])
