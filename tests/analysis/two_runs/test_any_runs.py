"""Two runs of any models: by accuracy alone, under their own names, on problems matched by what they ask."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from made_runs import in_other_order, made_run

from bon_eval.analysis.two_runs.comparison import compare_runs
from bon_eval.analysis.two_runs.names import BEFORE_AFTER, named, names_of
from bon_eval.cli import main
from bon_eval.errors import ConfigError
from bon_eval.records import Problem
from bon_eval.report.comparison.rows import document
from bon_eval.report.comparison.terminal import render
from bon_eval.store.comparable import same_problems
from bon_eval.store.reader import Run


@pytest.fixture(scope="module")
def two() -> tuple[Run, Run]:
    """Models with other prompts and other end tokens."""
    return made_run("owner/small"), made_run("owner/large", seed=3, stop_token_ids=[7], dtype="bfloat16")


def test_two_models_are_compared_by_accuracy_under_their_own_names(two: tuple[Run, Run]) -> None:
    found = compare_runs(*two, draws=300, tuning=False)
    assert found.names.sides == ("small", "large")
    by_name = {c.name: c for c in found.accuracies}
    assert by_name["accuracy.sample"].difference.difference == pytest.approx(
        two[1].pool.correct.mean() - two[0].pool.correct.mean()
    )
    assert found.sources is None
    assert found.owed == (), "what scoring cannot give is not asked for: the prompts differ"
    assert found.differences["stop_token_ids"] == "[2] with small and [7] with large"
    assert found.differences["prompts"] == "not the same tokens"
    text = render(found)
    assert text.splitlines()[4].split() == ["accuracy", "small", "large", "difference", "p"]
    words = " ".join(text.split())
    assert "One sample of large is not shown to differ in accuracy from one of small" in words
    for word in ("before", "after", "tuned", "base model", "base log-lik"):
        assert word not in words.replace("best-of", ""), word
    assert document(found)["names"] == ["small", "large"]


def test_a_training_is_told_in_its_own_words_and_held_to_more(two: tuple[Run, Run]) -> None:
    with pytest.raises(ConfigError, match=r"stop_token_ids is \[2\] before and \[7\] after"):
        compare_runs(*two, draws=300)
    assert compare_runs(*two, draws=300, tuning=False, names=("one", "two")).names == named("one", "two")
    assert named("before", "after") is BEFORE_AFTER


def test_names_of_runs(two: tuple[Run, Run]) -> None:
    small, large = two
    other = replace(small, path=Path("runs/again"))
    assert names_of([small, large]) == ("small", "large")
    assert names_of([small, other, large]) == ("small (small)", "small (again)", "large")
    elsewhere = made_run("someone/small")
    assert names_of([small, elsewhere]) == ("owner/small", "someone/small")
    assert names_of([small, replace(small, path=Path("elsewhere/small"))])[1] == "small (elsewhere/small)"
    with pytest.raises(ConfigError, match="is given twice"):
        names_of([small, small])
    with pytest.raises(ConfigError, match="--as has 1 name and there are 2 runs"):
        names_of([small, large], ["one"])
    with pytest.raises(ConfigError, match="--as one,one: names must be there and differ"):
        names_of([small, large], ["one", "one"])
    assert names_of([small, large], ["before", "late"]) == ("before", "late")
    for given in (["after", "before"], ["before", "middle", "after"]):
        with pytest.raises(ConfigError, match="before,after is of two runs, first that of the base model"):
            names_of([small, large, elsewhere][: len(given)], given)


def test_what_one_run_does_not_tell_is_named_and_not_refused(two: tuple[Run, Run]) -> None:
    small, large = two
    unknown = replace(large, meta=large.meta | {"config": large.meta["config"] | {"max_tokens": None}})
    found = compare_runs(small, unknown, draws=300, tuning=False)
    assert found.differences["max_tokens"] == "8 with small and unknown with large"
    shorter = replace(large, meta=large.meta | {"config": large.meta["config"] | {"max_tokens": 5}})
    with pytest.raises(ConfigError, match="max_tokens is 8 with small and 5 with large"):
        compare_runs(small, shorter, draws=300, tuning=False)


def test_a_run_from_elsewhere_without_greedy_responses_and_likelihoods(two: tuple[Run, Run]) -> None:
    small, large = two
    config = {**large.meta["config"], "prompts_hash": None, "dtype": None}
    pool = replace(large.pool, log_likelihood=np.full_like(large.pool.log_likelihood, np.nan))
    nothing = replace(large.greedy.take([]), problem_ids=())
    bare = replace(large, meta=large.meta | {"config": config}, pool=pool, greedy=nothing)
    for runs in ((small, bare), (bare, small)):
        found = compare_runs(*runs, draws=300, tuning=False)
        assert [c.name for c in found.accuracies] == ["accuracy.sample", "accuracy.vote", "accuracy.oracle"]
        assert [c.name for c in found.quantities] == ["tokens.sample", "distinct_answers", "duplicates", "truncated"]
        assert found.reasons["greedy"] == "there are no greedy responses with large"
        assert found.reasons["own likelihood"] == "there are no log-likelihoods with large"
        assert found.reasons["divergences"].startswith("a run does not tell its prompts")
        assert "not compared: greedy; there are no greedy responses with large." in render(found)
        document(found)


# --- the same problems


def test_problems_are_matched_by_content_where_ids_are_those_of_rows(two: tuple[Run, Run]) -> None:
    small, large = two
    count = len(small.problems)
    order = np.random.default_rng(5).permutation(count).tolist()
    for ids in ([str(i) for i in range(count)], [f"doc-{i}" for i in range(count)]):
        moved = in_other_order(large, order, ids)
        rows = same_problems(small, moved)
        assert [moved.problems[row].fields for row in rows] == [problem.fields for problem in small.problems]
        plain, again = (compare_runs(small, run, draws=300, tuning=False) for run in (large, moved))
        assert document(again)["accuracies"] == document(plain)["accuracies"]
    assert same_problems(small, large).tolist() == list(range(count))


def test_problems_that_occur_twice_are_matched_in_their_order(two: tuple[Run, Run]) -> None:
    def doubled(run: Run) -> Run:
        first = run.problems[0]
        return replace(run, problems=(first, replace(first, id="1"), *run.problems[2:]))

    small, large = (doubled(run) for run in two)
    moved = in_other_order(large, [2, 0, 1, *range(3, 60)], [f"doc-{i}" for i in range(60)])
    assert same_problems(small, moved).tolist() == [1, 2, 0, *range(3, 60)]


def test_another_problem_under_one_id_is_refused(two: tuple[Run, Run]) -> None:
    small, large = two

    def changed(problem: Problem) -> Run:
        return replace(large, problems=(*large.problems[:4], problem, *large.problems[5:]))

    other = replace(large.problems[4], fields={"question": "What is 4 + 2?"})
    with pytest.raises(ConfigError, match=r"problem '4' is another one in column 'question': 'What is 4 \+ 1\?' with"):
        compare_runs(small, changed(other), draws=300, tuning=False)
    with pytest.raises(ConfigError, match=r"problem '4' has another gold answer: '5' before, '6' after"):
        same_problems(small, changed(replace(large.problems[4], gold="6")))
    blanks = replace(large.problems[4], fields={"question": "What is  4 + 1?\n"})
    assert same_problems(small, changed(blanks)).tolist() == list(range(60))
    more = replace(large, problems=tuple(replace(p, fields=p.fields | {"level": "3"}) for p in large.problems))
    assert same_problems(small, more).tolist() == list(range(60)), "columns that only one run stored do not count"


def test_a_problem_that_one_run_lacks_is_named(two: tuple[Run, Run]) -> None:
    small, large = two
    rows = list(range(59))
    fewer = in_other_order(large, rows, [str(i) for i in rows])
    with pytest.raises(ConfigError, match="problem '59' is missing"):
        same_problems(small, fewer)


# --- from the command line


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    pytest.importorskip("torch")
    place = tmp_path_factory.mktemp("any")
    command = ["run", "--task", "arith", "--limit", "12", "--n", "4", "--draws", "240", "--quiet", "--no-html"]
    for model in ("arith-mixed", "arith-worked"):
        args = [*command, "--engine", "transformers", "--model", model, "--out", str(place / model)]
        assert CliRunner().invoke(main, args).exit_code == 0
    return place / "arith-mixed", place / "arith-worked"


def compare(*args: str | Path) -> Any:
    return CliRunner().invoke(main, ["compare", *map(str, args), "--draws", "240"])


def test_without_scores_the_commands_that_give_more_are_printed(stored: tuple[Path, Path], tmp_path: Path) -> None:
    done = compare(*stored, "--out", tmp_path)
    assert done.exit_code == 0, done.output
    commands = [f"bon-eval score {one} --by {other}" for one, other in (stored, stored[::-1])]
    assert done.output.splitlines()[-5:-2] == [
        "For likelihoods under both models, divergences and what sharpening explains run both, then compare again:",
        *(f"  {command}" for command in commands),
    ]
    content = json.loads((tmp_path / "compare.json").read_text())
    assert content["owed"] == commands
    assert content["null_reasons"]["divergences"].startswith("neither run was scored by the other's model")
    assert content["names"] == ["arith-mixed", "arith-worked"]
    page = (tmp_path / "compare.html").read_text()
    assert "arith-worked minus arith-mixed" in page
    assert "greedy wrong with arith-mixed, right with arith-worked" in page
    assert commands[0] in page
    assert "the tuned model" not in page
    assert (tmp_path / "compare_curves.csv").is_file()
    assert compare(*stored, "--out", tmp_path, "--no-html").exit_code == 0
    assert not (tmp_path / "compare.html").exists(), "an older page does not stand beside newer numbers"


def test_one_run_alone_and_names_that_do_not_fit(stored: tuple[Path, Path], tmp_path: Path) -> None:
    for args, message in (
        (stored[:1], "compare takes two runs or more, and there is 1"),
        ((*stored, "--as", "a,b,c"), "--as has 3 names and there are 2 runs"),
        ((*stored, "--as", "a,"), "names must be there"),
        ((stored[0], stored[0]), "arith-mixed (" + str(stored[0]) + ") is given twice"),
    ):
        done = compare(*args, "--out", tmp_path / "none")
        assert done.exit_code == 2
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
    assert not (tmp_path / "none").exists()


def test_a_story_without_scores_is_told_by_accuracy(stored: tuple[Path, Path], tmp_path: Path) -> None:
    done = compare(*stored, "--as", "before,after", "--out", tmp_path)
    assert done.exit_code == 0, done.output
    assert "One tuned sample is" in done.output
    assert "Accuracy before and after" in (tmp_path / "compare.html").read_text()


def test_three_runs_on_one_page(stored: tuple[Path, Path], tmp_path: Path, open_page: Any) -> None:
    command = ["run", "--task", "arith", "--limit", "12", "--n", "3", "--draws", "240", "--quiet", "--no-html"]
    third = tmp_path / "third"
    args = [*command, "--engine", "transformers", "--seed", "4", "--model", "arith-mixed", "--out", str(third)]
    assert CliRunner().invoke(main, args).exit_code == 0
    assert compare(*stored, "--out", tmp_path, "--no-html").exit_code == 0
    done = CliRunner().invoke(main, ["compare", *map(str, (*stored, third)), "--out", str(tmp_path), "--draws", "720"])
    assert done.exit_code == 0, done.output
    assert not (tmp_path / "compare_curves.csv").exists()
    names = ["arith-mixed (arith-mixed)", "arith-worked", "arith-mixed (third)"]
    assert json.loads((tmp_path / "compare.json").read_text())["names"] == names
    tab, trouble = open_page((tmp_path / "compare.html").resolve(), viewport={"width": 390, "height": 900})
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
    assert tab.text_content("h1") == f"{names[0]}, {names[1]} and {names[2]} on arith"
    tab.click(".problem > button >> nth=0")
    assert [side.text_content() for side in tab.query_selector_all(".sides > section > h3")] == names
    assert len(tab.query_selector_all("figure svg")) == 2
    assert trouble == []
    tab.close()
