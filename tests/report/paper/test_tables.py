"""Tables of LaTeX have the numbers of the report, and no others."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from made_runs import made_run

from bon_eval.analysis.draws.facts import DrawArm, DrawFacts
from bon_eval.analysis.results import Analysis
from bon_eval.analysis.several_runs.comparison import compare_several
from bon_eval.analysis.two_runs.comparison import compare_runs
from bon_eval.report.comparison.rows import document as document_of_two
from bon_eval.report.comparison.several import document as document_of_several
from bon_eval.report.paper.arms import arms_table
from bon_eval.report.paper.changes import comparison_tables
from bon_eval.report.paper.latex import Table, render_table
from bon_eval.report.run.rows import document
from bon_eval.store.reader import Run


def rows_of(table: Table) -> list[list[str]]:
    """Cells as numbers and words, without LaTeX."""
    signs = r"\$|\\rlap\{\$\^\{[^}]*\}\$\}|\\quad |\\allowbreak|[{}]"
    return [[re.sub(signs, "", cell) for cell in row] for group in table.groups for row in group]


def ends(low: float | None, high: float | None, form: str, scale: float = 100.0) -> str:
    return "" if low is None or high is None else f"[{scale * low:{form}}, {scale * high:{form}}]"


def test_the_arms_are_those_of_report_json(found: Analysis) -> None:
    stored: list[dict[str, Any]] = document(found)["arms"]  # type: ignore[assignment]
    table = arms_table(found, narrow=False)
    rows = rows_of(table)
    assert [row[0] for row in rows[:3]] == ["greedy", "one sample", "best-of-2"]
    assert len(rows) == len(stored)
    for row, arm in zip(rows, stored, strict=True):
        nats, tokens = arm["log_likelihood"], arm["n_tokens"]
        assert row[1:3] == [f"{100 * arm['accuracy']:.1f}", ends(arm["accuracy_low"], arm["accuracy_high"], ".1f")]
        points = arm["lift_points"]
        assert row[3] == ("--" if points is None else f"{points:+z.1f}")
        assert row[4] == ends(arm["lift_points_low"], arm["lift_points_high"], "+z.1f", 1.0)
        assert row[5:7] == ["--" if x is None else f"{x:{form}}" for x, form in ((nats, ".2f"), (tokens, ".1f"))]


def test_stars_are_those_of_the_tests_and_explained(found: Analysis) -> None:
    table = arms_table(found, narrow=False)
    starred = [r"^{*}" in row[3] for group in table.groups for row in group]
    assert starred == [found.settings.shows(row.p_family, 60) for row in found.arms]
    assert any(starred)
    assert "p at most 0.05" in table.caption
    none = replace(found, arms=tuple(replace(a, p_holm=1.0, p_joint=None) for a in found.arms))
    assert "p at most" not in arms_table(none, narrow=False).caption


def test_a_narrow_table_has_intervals_and_neither_tokens_nor_nats(found: Analysis) -> None:
    wide, narrow = (rows_of(arms_table(found, narrow=narrow)) for narrow in (False, True))
    assert narrow == [row[:5] for row in wide]


def test_what_was_cut_has_a_column_and_a_word(found: Analysis) -> None:
    assert "cut" not in arms_table(found, narrow=False).caption
    arms = tuple(replace(arm, truncated=0.125) if arm.arm == "sample" else arm for arm in found.arms)
    table = arms_table(replace(found, arms=arms), narrow=False)
    assert [head for head, _ in table.heads][-1] == r"cut (\%)"
    assert "reached the token limit" in table.caption
    assert rows_of(table)[1][-1] == "12.5"


def test_fewer_than_ten_problems_have_no_star(analysis: Analysis) -> None:
    assert "rlap" not in render_table(arms_table(analysis, narrow=False), wide=False)


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    rates = ([0.3] * 60, [0.6] * 60, [0.35] * 60)
    names = ("org/a", "org/a_model-with & a very long $name", "c")
    return [made_run(name, seed=k, rates=rate) for k, (name, rate) in enumerate(zip(names, rates, strict=True))]


def test_two_runs_are_those_of_compare_json(runs: list[Run]) -> None:
    found = compare_runs(*runs[:2], tuning=False, draws=600)
    stored: dict[str, Any] = document_of_two(found)
    accuracy, quantity = comparison_tables(found)
    for row, change in zip(rows_of(accuracy), stored["accuracies"], strict=True):
        assert row[1:3] == [f"{100 * change['before']:.1f}", ends(change["before_low"], change["before_high"], ".1f")]
        assert row[3:5] == [f"{100 * change['after']:.1f}", ends(change["after_low"], change["after_high"], ".1f")]
        assert row[5] == f"{100 * change['difference']:+z.1f}"
        assert row[6] == ends(change["difference_low"], change["difference_high"], "+z.1f")
        p = change["p_holm"]
        assert row[7] == ("<0.001" if p < 0.001 else f"{p:.3f}")
    assert len(rows_of(quantity)) == len(stored["quantities"])
    # A long name is a number within the table, and stands in the caption once.
    assert ("(2)", 2) in accuracy.heads
    assert r"(2): a\_\allowbreak{}model-with \& a very long \$name." in accuracy.caption
    assert not [row for table in (accuracy, quantity) for row in rows_of(table) if "very long" in row[0]]


def test_three_runs_are_those_of_compare_json(runs: list[Run]) -> None:
    found = compare_several(runs, draws=800)
    stored: dict[str, Any] = document_of_several(found)
    accuracy, quantity, pairs = comparison_tables(found)
    assert [table.label for table in (accuracy, quantity, pairs)] == ["compare", "compare_quantities", "compare_pairs"]
    cells = [cell for row in rows_of(accuracy) for cell in row[1::2]]
    assert cells == [f"{100 * row['value']:.1f}" for row in stored["accuracies"]]
    for row, pair in zip(rows_of(pairs), stored["pairs"], strict=True):
        assert row[2] == f"{100 * pair['difference']:+z.1f}"
        assert row[3] == ends(pair["difference_low"], pair["difference_high"], "+z.1f")


def test_draws_have_rows_of_their_own(found: Analysis) -> None:
    best = found.arms[2]
    assert best.lift is not None
    whole = DrawArm("l_w", "mean", 1, None, best.accuracy, best.lift, 0.01, None, 3.0, 0.0, None, 0.0)
    kinds: tuple[tuple[Any, int, str | None], ...] = (
        ("best-of-n", 8, "log_likelihood"),
        ("best-of-n", 4, "log_likelihood"),
        ("best-of-n", 8, "shortest"),
        ("vote", 8, None),
        ("oracle", 8, None),
    )
    arms = (whole, *(replace(whole, arm=arm, n=n, scorer=by, p_joint=0.5) for arm, n, by in kinds))
    draw = DrawFacts("l_w", 8, 0.25, 1.0, 0, 0.0, True, best.accuracy, None, 1.0, 0.5, arms)
    table = arms_table(replace(found, draws=(draw,)), narrow=False)
    assert [row[0] for row in table.groups[-1]] == [r"l\_\allowbreak{}w", r"\quad best-of-8", r"\quad vote-of-8"]
    assert [r"^{*}" in row[3] for row in table.groups[-1]] == [True, False, False]
    assert "arms of draws over all of theirs" in table.caption
