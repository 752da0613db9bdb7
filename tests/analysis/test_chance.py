"""What guessing gives: from the task's own statement, from each problem's options; what is said of runs of guessers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from toy_server import Toy, toy_server

from bon_eval.analysis.analyse import analyse
from bon_eval.analysis.shapes import unknown_tokens, unlike_guessing
from bon_eval.config import RunConfig
from bon_eval.engines.models import ASSETS
from bon_eval.errors import TaskError
from bon_eval.graders import GRADERS
from bon_eval.graders.choice_text import WRITTEN, chance_level, gold_with_options
from bon_eval.report.formats.csv_json import validate
from bon_eval.report.run.figures import figures
from bon_eval.report.run.page import page
from bon_eval.report.run.rows import document
from bon_eval.report.run.terminal import render
from bon_eval.stats import Interval
from bon_eval.store.reader import Run, load_run
from bon_eval.tasks.load import list_tasks, load_task
from bon_eval.tasks.problems import load_problems, task_hash

Command = Callable[..., Any]

TASK = """
name: coins
description: guesses
source: made here
licence: MIT
dataset:
  files:
    test: rows.jsonl
columns:
  question: question
  answer: answer
  options: options
prompt: |-
  {question}
  {options}
answer_format: "{gold}"
grader: choice
max_tokens: 8
"""


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 questions of four options and 40 of two: chance is 3/8."""
    folder = tmp_path_factory.mktemp("coins")
    rows = [
        {"question": f"How many ? {k}", "answer": "AB"[k % 2], "options": [str(x) for x in range(4 if k < 40 else 2)]}
        for k in range(80)
    ]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "coins.yaml").write_text(TASK)
    return folder / "coins.yaml"


@pytest.fixture(scope="module")
def guessed(task: Path, bon_eval_here: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a server that answers A, B, C or D, each as often as the others.

    Such a run leaves torch out of its process; out of this one, which others use, it does not.
    """
    import transformers  # noqa: F401

    out = tmp_path_factory.mktemp("guessed") / "run"

    def play(body: dict[str, Any], answer: dict[str, Any]) -> Any:
        for choice in answer.get("choices", ()):
            if "token_ids" in choice:
                letter = "AABCD"[choice["token_ids"][0]]
                choice["text"] = f"The answer is ({letter})"
        return answer

    with toy_server(Toy({1: 1.0, 2: 1.01, 3: 1.02, 4: 1.03, 0: 0.2}), play) as url:
        served = ["--base-url", url, "--model", ASSETS / "arith-mixed", "--engine-arg", "served_model=toy"]
        job = ["--task", task, "--n", 8, "--draws", 500, "--stop", "\n\n", "--prompt-style", "plain"]
        done = bon_eval_here("run", *served, *job, "--engine-arg", "patience=2", "--out", out)
    assert done.returncode == 0, done.stderr
    return out


def facts(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "report.json").read_text())["facts"]
    return found


@pytest.mark.slow
def test_a_guesser_is_said_to_be_one_in_terminal_page_and_figure(guessed: Path, bon_eval_here: Command) -> None:
    found = facts(guessed)
    assert found["chance"] == pytest.approx((1 / 4 + 1 / 2) / 2)
    assert found["chance_oracle"] == pytest.approx((1 - 0.75**8 + 1 - 0.5**8) / 2)
    [said] = [text for text in found["cautions"] if "chance" in text]
    assert "sample" in said
    assert "is not shown to be above chance (0.38); an oracle over guesses rises by itself, to 0.948 over 8" in said
    page = (guessed / "report.html").read_text()
    assert "is not shown to be above chance (0.38)" in page
    assert "Chance: a guess is right in 37.5 % of cases" in page
    terminal = " ".join(bon_eval_here("report", guessed, "--own", "--draws", 200, "--no-html").stdout.split())
    assert "caution: accuracy of " in terminal
    assert "chance: a guess is right in 37.5 % of cases; an oracle over guesses has 94.8 % at n = 8." in terminal


@pytest.mark.slow
def test_the_figure_has_a_line_of_chance(guessed: Path) -> None:
    found = analyse(load_run(guessed), draws=200)
    [figure] = [figure for name, figure in figures(found) if name == "accuracy"]
    [line] = [line for line in figure.axes[0].lines if line.get_label() == "chance (37.5 %)"]
    assert line.get_ydata()[0] == 37.5
    assert "chance: " in render(found)


def test_a_task_states_its_own_and_an_old_run_is_read(
    guessed: Path, task: Path, bon_eval_here: Command, tmp_path: Path
) -> None:
    meta = guessed / "run.json"
    kept = meta.read_text()
    try:
        for stated, wanted in ((0.1, 0.1), (0.0, 0.0)):
            changed = json.loads(kept)
            changed["config"]["chance"] = stated
            meta.write_text(json.dumps(changed))
            assert bon_eval_here("report", guessed, "--own", "--draws", 200, "--no-html").returncode == 0
            assert facts(guessed)["chance"] == pytest.approx(wanted)
        older = json.loads(kept)
        del older["config"]["chance"]
        del older["tokenizer"]["prompts_with_unknown"]
        meta.write_text(json.dumps(older))
        assert bon_eval_here("report", guessed, "--own", "--draws", 200, "--no-html").returncode == 0
        assert facts(guessed)["chance"] == pytest.approx(0.375)
    finally:
        meta.write_text(kept)


@pytest.mark.parametrize("value", ["1", "1.5", "-0.1", "true", "'0.25'", "[0.25]", ".nan", ".inf"])
def test_a_level_that_is_none(value: str, task: Path) -> None:
    file = task.with_name("bad.yaml")
    file.write_text(f"{TASK}chance: {value}\n")
    with pytest.raises(TaskError, match=r"bad\.yaml: chance is .*; it must be a number from 0 to below 1"):
        load_task(file)


def test_it_is_no_part_of_any_identity(task: Path) -> None:
    file = task.with_name("stated.yaml")
    file.write_text(f"{TASK}chance: 0.25\n")
    stated, plain = load_task(file), load_task(task)
    assert (stated.chance, plain.chance) == (0.25, None)
    assert task_hash(stated, load_problems(stated)) == task_hash(plain, load_problems(plain))
    assert "chance" in RunConfig.__dataclass_fields__
    for name in list_tasks():
        assert load_task(name).chance is None


@pytest.mark.parametrize("name", GRADERS)
def test_every_grader_but_multiple_choice_without_options_knows_its_chance(name: str) -> None:
    options = gold_with_options("B", ["red", "blue", "green", "grey"])
    known = {"true_false": 0.5} | dict.fromkeys(WRITTEN, 0.0)
    assert chance_level(name, "B") == known.get(name)
    assert chance_level(name, options) == known.get(name, 0.25)


def test_another_packages_grader_knows_it_by_the_options_alone() -> None:
    assert chance_level("theirs", "B") is None
    assert chance_level("theirs", gold_with_options("B", ["red", "blue"])) == 0.5


@pytest.mark.parametrize("grader", ["choice", "theirs"])
def test_a_chance_that_is_not_known_is_said_to_be_so(grader: str, make_hand_run: Callable[[], Run]) -> None:
    found = analyse(replace(make_hand_run(), grader={"name": grader, "version": "1"}), draws=200)
    content: Any = document(found)
    validate(content)
    assert (content["facts"]["chance"], content["facts"]["chance_oracle"]) == (None, None)
    assert content["facts"]["null_reasons"]["chance"] == "the task states no chance, and its data has no options"
    assert not [text for text in content["facts"]["cautions"] if "chance" in text]
    said = f"how often a guess is right is not known of grader {grader} without a column of options; state chance in"
    assert f"chance: {said} the task's file" in " ".join(render(found).split())
    [figure] = [figure for name, figure in figures(found) if name == "accuracy"]
    assert not [line for line in figure.axes[0].lines if "chance" in str(line.get_label())]


def test_the_page_says_so_too(guessed: Path) -> None:
    run = load_run(guessed)
    bare = replace(run, problems=tuple(replace(p, gold=p.gold.splitlines()[0]) for p in run.problems))
    text = "".join(page(bare, analyse(bare, draws=200)))
    assert "Chance: how often a guess is right is not known of grader choice without" in " ".join(text.split())


def test_a_stated_chance_stands_in_for_options(make_hand_run: Callable[[], Run]) -> None:
    run = make_hand_run()
    meta = dict(run.meta) | {"config": dict(run.meta["config"]) | {"chance": 0.25}}
    found = analyse(replace(run, grader={"name": "choice", "version": "1"}, meta=meta), draws=200)
    assert found.facts.chance == 0.25
    assert found.facts.chance_oracle == pytest.approx(1 - 0.75**4)


def test_tasks_check_says_where_it_is_not_known(task: Path, bon_eval_here: Command) -> None:
    plain = TASK.replace("  options: options\n", "").replace("  {options}\n", "").replace("name: coins", "name: lone")
    file = task.with_name("lone.yaml")
    said = "lone: how often a guess is right is not known; name the column of options, or state chance"
    for more, expected in (("", True), ("chance: 0\n", False), ("chance: 0.25\n", False)):
        file.write_text(plain + more)
        done = bon_eval_here("tasks", "check", file)
        assert done.returncode == 0, done.stdout
        assert (said in done.stdout) == expected
    assert "not known" not in bon_eval_here("tasks", "check", task).stdout


def test_who_is_above_chance_is_not_named() -> None:
    arms = {"greedy": Interval(0.27, 0.22, 0.33, ""), "sample": Interval(0.4, 0.35, 0.45, "")}
    assert list(unlike_guessing(arms, 0.25, 0.9, 8)) == [
        "accuracy of greedy 0.27 [0.22, 0.33] is not shown to be above chance (0.25)"
    ]
    assert list(unlike_guessing(arms, 0.2, 0.9, 8)) == []
    assert list(unlike_guessing(arms, 0.0, 0.0, 8)) == []
    none = {"sample": Interval(0.2, float("nan"), float("nan"), "none: few")}
    assert list(unlike_guessing(none, 0.25, 0.9, 8)) == []


@pytest.mark.slow
def test_unknown_tokens_in_prompts_are_counted(bon_eval_here: Command, guessed: Path, tmp_path: Path) -> None:
    """The embedded tokenizer knows every byte; in a copy of it the digit 7 stands for all that is unknown."""
    assert not any("unknown tokens" in text for text in facts(guessed)["cautions"])
    assert list(unknown_tokens(0)) == []
    folder = tmp_path / "model"
    shutil.copytree(ASSETS / "arith-mixed", folder)
    settings = folder / "tokenizer_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"unk_token": "7"}))
    job = ["--task", "arith", "--n", 1, "--limit", 12, "--max-tokens", 4, "--draws", 200, "--engine", "transformers"]
    done = bon_eval_here("run", "--model", folder, *job, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    rows = (ASSETS / "arith" / "test.jsonl").read_text().splitlines()[:12]
    count = sum("7" in json.loads(row)["question"] for row in rows)
    assert 0 < count < 12
    assert f"caution: unknown tokens in {count} prompts: " in " ".join(done.stdout.split())
    assert f"Unknown tokens in {count} prompts: " in " ".join((tmp_path / "run" / "report.html").read_text().split())
