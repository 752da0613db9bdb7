"""Logs of lm-evaluation-harness: read as it writes them, and written so that they come back graded the same."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bon_eval.cli import main
from bon_eval.records import Problem
from bon_eval.store.reader import iter_responses, load_run

Row = dict[str, Any]
Refused = Callable[..., str]
NAME = "samples_arith_2026-05-01T10-00-00.123456.jsonl"


@pytest.fixture
def log(problems: Sequence[Problem]) -> list[Row]:
    """As version 0.4 logs a generating task with two filters and two repeats: rows repeat per filter."""
    return [
        {
            "doc_id": 40 + k,  # counts rows of a larger data set
            "doc": {"question": p.fields["question"], "answer": p.fields["answer"]},
            "target": p.fields["answer"],
            "arguments": {
                "gen_args_0": {
                    "arg_0": f"Question: {p.fields['question']}\nAnswer:",
                    "arg_1": {"until": ["Question:"], "do_sample": True, "temperature": 0.7, "max_gen_toks": 64},
                }
            },
            "resps": [[f" so\n#### {p.gold}", " I do not know"]],
            "filtered_resps": [p.gold],
            "filter": name,
            "metrics": ["exact_match"],
            "doc_hash": "a",
            "prompt_hash": "b",
            "target_hash": "c",
            "exact_match": 1.0,
        }
        for name in ("strict-match", "flexible-extract")
        for k, p in enumerate(problems)
    ]


def test_a_log_is_read_once_for_all_filters(
    log: list[Row], write: Callable[..., Path], bring: Callable[..., Result], tmp_path: Path
) -> None:
    source = write(log, NAME)
    results = tmp_path / NAME.replace("samples_arith", "results").replace(".jsonl", ".json")
    results.write_text(json.dumps({"model_name": "org/model", "results": {}}))
    done = bring(source)
    assert done.exit_code == 0, done.output
    assert "12 problems of the 500 of the task, 2 responses each, matched by question" in done.output
    assert "rows repeat for filters strict-match, flexible-extract" in done.output
    run = load_run(tmp_path / "run")
    assert run.pool.correct.tolist() == [[True, False]] * 12
    config, source_of = run.meta["config"], run.meta["source"]
    assert (config["model"], config["temperature"], config["max_tokens"]) == ("org/model", 0.7, 64)
    assert source_of["prompts"] == "stated by the source"
    assert source_of["task"] == "arith"
    report = CliRunner().invoke(main, ["report", str(tmp_path / "run"), "--draws", "200", "--no-html"])
    assert "format lm-eval" in report.output
    assert "temperature 0.7, at most 64 tokens" in " ".join(report.output.split())


def test_a_folder_with_a_log_and_rows_of_older_versions(
    log: list[Row],
    write: Callable[..., Path],
    bring: Callable[..., Result],
    refused: Callable[..., str],
    tmp_path: Path,
) -> None:
    (tmp_path / "logs").mkdir()
    for row in log:
        row["arguments"] = [["a prompt", {"do_sample": False}]]
        row["resps"] = [row["resps"][0][:1]]
    for row in log[12:]:
        row["arguments"], row["filter"] = log[0]["arguments"], "flexible-extract"
    for k, row in enumerate(log[:12]):
        row["arguments"] = [[f"prompt {k}", {"do_sample": False}]]
    write(log, f"logs/{NAME}")
    done = bring(tmp_path / "logs")
    assert done.exit_code == 0, done.output
    assert "the source's own agree on 12 of 12 responses" in done.output
    assert load_run(tmp_path / "run").meta["config"]["temperature"] == 0
    write(log, "logs/samples_gsm8k_2026-05-01T10-00-00.123456.jsonl")
    assert "holds 2 logs" in refused(tmp_path / "logs", out=tmp_path / "other")


def test_log_likelihoods_of_given_answers_are_no_responses(
    log: list[Row], write: Callable[..., Path], refused: Callable[..., str]
) -> None:
    log[0] |= {
        "resps": [[["-1.5", "False"]], [["-2.5", "True"]]],
        "arguments": {"gen_args_0": {"arg_0": "p", "arg_1": " A"}, "gen_args_1": {"arg_0": "p", "arg_1": " B"}},
    }
    assert "holds log-likelihoods of given answers and no generated text" in refused(write(log, NAME))


def test_a_run_that_is_exported_and_imported_again_is_graded_the_same(
    full_rows: list[Row], write: Callable[..., Path], bring: Callable[..., Result], tmp_path: Path
) -> None:
    assert bring(write(full_rows), "--temperature", "1", "--max-tokens", "16", "--model", "m").exit_code == 0
    out = tmp_path / "logs"
    done = CliRunner().invoke(main, ["export", str(tmp_path / "run"), "--format", "lm-eval", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "left out: log-likelihoods" in done.output
    shutil.move(tmp_path / "run", tmp_path / "before")
    [greedy] = out.glob("samples_arith-greedy_*")
    [pool] = out.glob("samples_arith_*")
    again = bring(pool, "--greedy", greedy)
    assert again.exit_code == 0, again.output
    assert "imported 12 problems" in again.output
    one, other = load_run(tmp_path / "before"), load_run(tmp_path / "run")
    for name in ("correct", "unscored", "answer_class"):
        assert (getattr(one.pool, name) == getattr(other.pool, name)).all()
        assert (getattr(one.greedy, name) == getattr(other.greedy, name)).all()
    texts = [{(r.problem_id, r.arm, r.index): r.text for r in iter_responses(run.path)} for run in (one, other)]
    assert texts[0] == texts[1]
    assert [(p.id, p.gold) for p in one.problems] == [(p.id, p.gold) for p in other.problems]
    assert (other.meta["config"]["model"], other.meta["config"]["temperature"]) == ("m", 1.0)
    taken = CliRunner().invoke(main, ["export", str(tmp_path / "run"), "--format", "lm-eval", "--out", str(out)])
    assert taken.exit_code == 2
    assert "exists; give --out another directory" in taken.stderr


@pytest.mark.parametrize("form", ["lm-eval", "every-eval-ever", "dataset"])
def test_what_an_export_leaves_of_a_run_is_said(
    form: str, rows: list[Row], write: Callable[..., Path], bring: Callable[..., Result], tmp_path: Path
) -> None:
    # The first problem has two responses more than the others.
    more = [rows[0] | {"text": "#### 1"}, rows[0] | {"text": "#### 2"}]
    assert bring(write(rows[:4] + more + rows[4:])).exit_code == 0
    done = CliRunner().invoke(main, ["export", str(tmp_path / "run"), "--format", form, "--out", str(tmp_path / "out")])
    assert "exported 12 problems, 48 responses" in done.output
    assert "left out: 2 responses beyond n = 4 and the problems that are analysed" in done.output
