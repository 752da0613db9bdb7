"""The table in the terminal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_run import MadeRun

from bon_eval.analysis.analyse import analyse
from bon_eval.analysis.draws.facts import DrawFacts
from bon_eval.analysis.results import Analysis, Variant
from bon_eval.draws import as_stored, parse_draws
from bon_eval.report.run.affected import affected
from bon_eval.report.run.figures import write_figures
from bon_eval.report.run.terminal import WIDTH, render
from bon_eval.stats import Interval


def line_of(text: str, start: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(start))


def test_header_says_what_was_sent(analysis: Analysis) -> None:
    text = render(analysis)
    assert "arith-mixed on arith: 3 problems x 4 samples, engine transformers 5.19.0 (cpu, float32)" in text
    sent = "sent: greedy temperature 0, n 1; pool temperature 1, top_p 1, top_k off, no penalties; at most 8 tokens"
    assert sent in " ".join(text.split())


def test_rows_and_alignment(analysis: Analysis) -> None:
    lines = render(analysis).splitlines()
    rule = next(i for i, line in enumerate(lines) if line.startswith("---"))
    table = lines[rule + 1 : rule + 10]
    assert [line[:17].rstrip() for line in table] == [
        "greedy",
        "sample",
        "best-of-2",
        "best-of-4",
        "  by mean log-lik",
        "  by shortest",
        "  by random",
        "vote-of-4",
        "oracle-of-4",
    ]
    assert len({len(line) for line in table}) == 1
    column = lines[rule - 1].index("accuracy")
    assert {line[column - 1] for line in table} == {" "}
    assert table[0][column:].startswith("0.333 [")
    assert table[3][column:].startswith("0.667 [")


def test_cells_of_a_row(analysis: Analysis) -> None:
    best = line_of(render(analysis), "best-of-4").split()
    assert "+33.3" in best
    assert best[-6:] == ["+33.3", "-1.33", "2.7", "0.0", "-", "0.0"]
    assert line_of(render(analysis), "greedy").split()[-6:] == ["-", "-2.00", "2.3", "0.0", "-", "33.3"]
    assert line_of(render(analysis), "vote-of-4").split()[-4:] == ["-"] * 4
    assert "in percent" not in render(analysis)  # three problems give no interval
    sized = replace(analysis.arms[3], lift_percent=100.0, lift_percent_low=-12.4, lift_percent_high=None)
    more = render(replace(analysis, arms=(*analysis.arms[:3], sized, *analysis.arms[4:])))
    assert line_of(more, "lift in percent") == ("lift in percent of greedy's accuracy: best-of-4 +100 [-12, no bound].")


def test_notes(analysis: Analysis) -> None:
    text = " ".join(render(analysis).split())
    assert "cut: 8.3 % of the pool and 0.0 % of greedy reached the token limit" in text
    assert "unscored: 8.3 % of the pool and 33.3 % of greedy got no verdict; they count as not correct." in text
    assert "sharper than greedy" not in text
    assert "is not said of 3 problems." in text
    for comparison in analysis.facts.comparisons:
        assert comparison.sentence in text
    assert "left out" not in text
    assert "unfinished" not in text


def test_notes_of_a_partial_run_and_of_left_out_problems(analysis: Analysis) -> None:
    settings = replace(analysis.settings, exclude_truncated=True)
    text = " ".join(render(replace(analysis, n_missing=2, n_excluded=4, settings=settings)).split())
    assert (
        "unfinished run: 2 problems have no complete responses yet; those that are finished can be the short ones"
        in text
    )
    assert "3 problems of which none was cut; 4 were left out" in text


def test_notes_of_what_explains_the_lift(analysis: Analysis) -> None:
    text = " ".join(render(analysis).split())
    assert "AUROC" not in text
    assert "saturation" not in text, "of three problems nothing is said"
    assert "power" not in text
    assert "best of" not in text
    assert "strict format" not in text


def drawn(*texts: str) -> Analysis:
    """Of one sample a problem, and draws that are always right."""
    run = MadeRun(problems=40, n=1)
    specs = parse_draws(texts)
    run.meta["config"] |= {"n": 1, "draws": [as_stored(spec) for spec in specs]}
    pool = run.pool
    right = replace(pool, correct=np.ones_like(pool.correct), answer_class=np.zeros_like(pool.answer_class))
    run.others = {spec.name: right for spec in specs}  # type: ignore[attr-defined]
    return analyse(run, draws=300)


def test_a_star_that_only_a_draw_has_is_explained() -> None:
    text = render(drawn("low=temperature:0.25,n:1"))
    assert "]*" in line_of(text, "low ")
    assert not [line for line in text.splitlines() if "]*" in line and not line.startswith("low ")]
    assert "arms of draws over all of theirs (max-t)." in " ".join(text.split())
    assert "draws: low is temperature 0.25, n 1; log-lik is the model's own" in " ".join(text.split())


def test_long_names_of_draws_fit_and_stand_whole_in_the_notes() -> None:
    name = "a-very-long-name-of-some-draws"
    found = drawn(f"{name}=temperature:0.25/0.5,top_p:0.9/0.95,n:1")
    text = render(found)
    assert max(map(len, text.splitlines())) <= WIDTH
    assert len({line.split()[0] for line in text.splitlines() if line.startswith("a-very-l…")}) == 4
    assert all(f"{draw.draw} is temperature" in " ".join(text.split()) for draw in found.draws)


def test_what_was_cut_in_draws_is_said_too() -> None:
    found = drawn("low=temperature:0.25,n:1", *(f"d{k}=top_k:{k},n:1" for k in range(2, 8)))
    assert affected(found, "truncated") is None
    assert "cut:" not in render(found)

    def some(draw: DrawFacts, share: float) -> DrawFacts:
        return replace(draw, arms=(replace(draw.arms[0], truncated=share), *draw.arms[1:]))

    low, *others = found.draws
    one = replace(found, draws=(some(low, 0.25), *others))
    assert "cut: 0.0 % of the pool, 0.0 % of greedy and 25.0 % of low reached" in " ".join(render(one).split())
    many = replace(found, draws=tuple(some(draw, 0.5) for draw in found.draws))
    assert affected(many, "truncated") == (
        "0.0 % of the pool, 0.0 % of greedy, 50.0 % of low, 50.0 % of d2, 50.0 % of d3, 50.0 % of d4 and some of "
        "3 more draws"
    )


def test_figures_of_a_grid_go_with_it(tmp_path: Path) -> None:
    with_grid = drawn("grid=temperature:0.25/0.5,n:1")
    write_figures(with_grid, tmp_path)
    assert {path.name for path in tmp_path.glob("draw_*")} == {"draw_grid.png", "draw_grid.svg"}
    write_figures(replace(with_grid, draws=()), tmp_path)
    assert not [*tmp_path.glob("draw_*")]
    assert (tmp_path / "lift.png").is_file()


def test_a_run_that_has_grown_says_so_until_its_looks_were_planned(analysis: Analysis) -> None:
    steps = ["3 problems: greedy 1, sample 2", "3 problems: greedy 1, sample 4"]
    assert "grown" not in render(replace(analysis, run={**analysis.run, "extents": steps[:1]}))
    grown = replace(analysis, run={**analysis.run, "extents": steps})
    text = " ".join(render(grown).split())
    assert f"grown in 2 steps: {steps[0]}; then {steps[1]}. Where a step was chosen after a look" in text
    assert "each look counts: bon-eval report RUN --looks K." in text
    text = " ".join(render(replace(grown, settings=replace(grown.settings, looks=2))).split())
    assert f"{steps[1]}. 2 planned looks share the 5 %." in text
    assert "each look counts" not in text


def test_strict_format_has_a_line_where_its_numbers_differ(analysis: Analysis) -> None:
    same = Variant("strict format", "note", 3, analysis.arms)
    assert "strict format" not in render(replace(analysis, variants=(same,)))
    best = replace(analysis.arms[3], accuracy=Interval(0.25, 0.1, 0.4, "x"))
    strict = replace(same, arms=(*analysis.arms[:3], best, *analysis.arms[4:]))
    line = line_of(render(replace(analysis, variants=(strict,))), "strict format")
    assert line == "strict format: greedy 0.333 (lenient 0.333), best-of-4 0.250 (lenient 0.667)."


@pytest.mark.parametrize("model", ["m" * 40, "/models/" + "a-very-long-name/" * 12 + "checkpoint"])
def test_fits_a_terminal_of_100_columns_with_wide_numbers(analysis: Analysis, model: str) -> None:
    wide = tuple(
        replace(
            row,
            n=1024 if row.n > 1 else row.n,
            log_likelihood=row.log_likelihood and Interval(-1234.5, -1300.0, -1200.0, "x"),
            n_tokens=row.n_tokens and 1024.0,
            lift=row.lift and replace(row.lift, difference=-1.0, low=-1.0, high=-1.0),
            p_holm=row.p_holm and 0.01,
        )
        for row in analysis.arms
    )
    config = {**dict(analysis.run["config"]), "model": model}  # type: ignore[call-overload]
    text = render(replace(analysis, arms=wide, run={**analysis.run, "config": config}))
    assert max(len(line) for line in text.splitlines()) <= WIDTH
    assert "over the n of the table (Holm)" not in text, "no star of three problems"


def test_control_characters_in_a_name_do_not_reach_the_terminal(analysis: Analysis) -> None:
    config = {**dict(analysis.run["config"]), "model": "evil\x1b[2J\nname"}  # type: ignore[call-overload]
    text = render(replace(analysis, run={**analysis.run, "config": config}))
    assert "\x1b" not in text
    assert "evil?[2J?name" in text


def test_what_a_kill_lost_stands_in_the_notes(analysis: Analysis) -> None:
    assert "killed:" not in render(analysis)
    killed = replace(analysis, run={**analysis.run, "redrawn": 3})
    text = " ".join(render(killed).split())
    # Three problems with one greedy response and four samples each.
    assert "killed: up to 3 responses of pools that were stored in part (20 % of the run) were lost" in text
