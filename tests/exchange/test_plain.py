"""Plain rows as a run: what they state is stored, what they do not is absent with the reason."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from bon_eval.cli import main
from bon_eval.records import Problem
from bon_eval.store.reader import iter_responses, load_run

Row = dict[str, Any]
Write = Callable[..., Path]
Bring = Callable[..., Result]
Refused = Callable[..., str]


def report(run: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["report", str(run), "--draws", "200", "--no-html", "--own", *options])


def test_texts_alone_become_a_run_that_says_what_it_lacks(
    rows: list[Row], write: Write, bring: Bring, tmp_path: Path
) -> None:
    done = bring(write(rows))
    assert done.exit_code == 0, done.output
    assert "12 problems of the 500 of the task, 4 responses each, matched by id" in done.output
    assert "the source names no model: source is its file's name; --model states it" in done.output
    assert "the source states no log-likelihood" in done.output
    assert "the source does not say whether a response was cut" in done.output
    run = load_run(tmp_path / "run")
    assert run.pool.correct.tolist() == [[True, False, False, False]] * 12
    assert np.isnan(run.pool.log_likelihood).all()
    assert run.greedy.problem_ids == ()
    assert set(run.pool.absent) == {"log_likelihood", "n_tokens", "token_ids", "token_logprobs", "truncated", "greedy"}
    named = bring(write(rows), "--model", "mine", out=tmp_path / "named")
    assert "names no model" not in named.output
    result = report(tmp_path / "run")
    assert result.exit_code == 0, result.output
    stored = json.loads((tmp_path / "run" / "report.json").read_text())
    arms = {(a["arm"], a["n"]): a for a in stored["arms"]}
    assert {arm for arm, _ in arms} == {"sample", "vote", "oracle"}
    assert arms["sample", 1]["accuracy"] == 0.25
    # pass@2 of 1 right in 4: 1 - C(3, 2) / C(4, 2)
    assert arms["oracle", 2]["accuracy"] == pytest.approx(0.5)
    # "#### -1" stands there twice: the vote of all four is wrong on every problem.
    assert arms["vote", 4]["accuracy"] == 0.0
    sample = arms["sample", 1]
    for name in ("log_likelihood", "n_tokens", "truncated"):
        assert sample[name] is None
        assert "the source" in sample["null_reasons"][name]
    assert sample["null_reasons"]["over_greedy_points"].startswith("the source has no greedy responses")
    assert "best-of-n by log-likelihood" in stored["absent"]
    assert "--as-own" in stored["absent"]["best-of-n by log-likelihood"]
    assert stored["duplicate_share"] == pytest.approx(0.25)


def test_a_full_source_gives_the_full_report(full_rows: list[Row], write: Write, bring: Bring, tmp_path: Path) -> None:
    done = bring(write(full_rows), "--temperature", "1", "--max-tokens", "16")
    assert done.exit_code == 0, done.output
    assert "absent" not in done.output
    result = report(tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "imported, format plain" in result.output
    stored = json.loads((tmp_path / "run" / "report.json").read_text())
    assert stored["format"] == "bon-eval report"
    best = next(a for a in stored["arms"] if (a["arm"], a["n"]) == ("best-of-n", 4))
    assert best["accuracy"] == 1.0  # the first response is right and has the highest log-likelihood
    assert best["log_likelihood"] == pytest.approx(-0.75)
    assert stored["run"]["source"]["log_likelihood"] == "sums of the token log-probs that the source states"


def test_a_run_that_goes_out_as_rows_comes_back_with_the_same_report(
    bon_eval_here: Callable[..., Any], made_once: Callable[..., Path], write: Write, bring: Bring, tmp_path: Path
) -> None:
    def make(folder: Path) -> None:
        command = "run --model arith-mixed --task arith --n 6 --limit 12 --engine transformers --no-html --draws 200"
        done = bon_eval_here(*command.split(), "--out", folder / "run")
        assert done.returncode == 0, done.stderr

    run = made_once("exchange-run", make) / "run"
    problem = {p.id: p for p in load_run(run).problems}
    rows = [
        {
            "problem_id": r.problem_id,
            "question": problem[r.problem_id].fields["question"],
            "gold": problem[r.problem_id].gold,
            "arm": r.arm,
            "sample_index": r.index,
            "text": r.text,
            "token_ids": r.token_ids,
            "token_logprobs": r.token_logprobs,
            "finish_reason": r.finish_reason,
        }
        for r in iter_responses(run)
    ]
    assert bring(write(rows), "--temperature", "1").exit_code == 0
    assert report(tmp_path / "run").exit_code == 0
    one, other = (json.loads((place / "report.json").read_text()) for place in (run, tmp_path / "run"))
    # The others hold votes of fewer than all responses, whose subsets are drawn by the classes' numbers.
    for part in ("arms", "pairs", "explanation", "replayed"):
        assert one[part] == other[part]


def test_a_list_column_in_every_file_format(
    problems: Sequence[Problem], write: Write, bring: Bring, tmp_path: Path
) -> None:
    lists = [
        {"id": int(p.id), "outputs": [f"#### {p.gold}", "#### 0"], "cumulative_logprobs": [-1.5, -2.5]}
        for p in problems
    ]
    texts = []
    (tmp_path / "a.json").write_text(json.dumps(lists), encoding="utf-8")
    pq.write_table(pa.Table.from_pylist(lists), tmp_path / "a.parquet")
    with (tmp_path / "a.csv").open("w", encoding="utf-8-sig", newline="") as file:  # as a spreadsheet writes it
        writer = csv.writer(file)
        writer.writerow(["id", "text", "log_likelihood"])
        for row in lists:
            writer.writerows(zip([row["id"]] * 2, row["outputs"], row["cumulative_logprobs"], strict=True))
    for source in (write(lists, "a.jsonl"), *(tmp_path / name for name in ("a.json", "a.parquet", "a.csv"))):
        done = bring(source)
        assert done.exit_code == 0, (source, done.output)
        run = load_run(tmp_path / "run")
        assert run.pool.log_likelihood.tolist() == [[-1.5, -2.5]] * 12
        texts.append([r.text for r in iter_responses(tmp_path / "run")])
        shutil.rmtree(tmp_path / "run")
    assert texts.count(texts[0]) == 4


def test_numbers_of_responses_are_their_indices_and_gaps_are_closed(
    problems: Sequence[Problem], write: Write, bring: Bring, tmp_path: Path
) -> None:
    numbers = (7, 1, 4)
    rows = [
        {"id": p.id, "sample_index": k, "text": f"#### {k}", "correct": k == 4}
        for p in reversed(problems)
        for k in numbers
    ]
    assert bring(write(rows)).exit_code == 0
    for response in iter_responses(tmp_path / "run"):
        assert response.text == f"#### {sorted(numbers)[response.index]}"
    stated = pq.read_table(tmp_path / "run" / "source_verdicts.parquet").to_pylist()
    assert {row["index"] for row in stated if row["correct"]} == {1}
    assert load_run(tmp_path / "run").pool.problem_ids == tuple(p.id for p in problems)


def test_nested_columns(problems: Sequence[Problem], write: Write, bring: Bring, tmp_path: Path) -> None:
    rows = [
        {"doc": {"id": p.id}, "choices": [{"message": {"content": f"#### {p.gold}"}, "stop": "length"}] * 2}
        for p in problems
    ]
    columns = ("--id-column", "doc.id", "--text-column", "choices.message.content", "--finish-reason-column")
    assert bring(write(rows), *columns, "choices.stop").exit_code == 0
    run = load_run(tmp_path / "run")
    assert run.pool.truncated.all()
    assert "truncated" not in run.pool.absent


def test_pools_of_different_sizes_are_analysed_up_to_the_smallest(
    rows: list[Row], write: Write, bring: Bring, tmp_path: Path
) -> None:
    done = bring(write(rows[:-1]))  # the last problem has three
    assert done.exit_code == 0, done.output
    assert "3 to 4 responses each" in done.output
    assert "up to n = 3, the smallest (problem '11')" in done.output
    assert load_run(tmp_path / "run").pool.n == 3
    assert "the first 3 of each are" in " ".join(report(tmp_path / "run").output.split())


def test_questions_and_rows_match_where_ids_do_not(
    rows: list[Row],
    problems: Sequence[Problem],
    write: Write,
    bring: Bring,
    refused: Callable[..., str],
    tmp_path: Path,
) -> None:
    named = [{**row, "id": f"arith-{row['id']}", "question": f"  {row['question']}\n"} for row in rows]
    assert "matched by question" in bring(write(named)).output
    shutil.rmtree(tmp_path / "run")
    without = [{"id": row["id"], "text": row["text"]} for row in named]
    assert "has no problem 'arith-0'; its ids are such as 0, 1, 2" in refused(write(without))
    lists = [{"outputs": [f"#### {p.gold}"] * 2} for p in problems]
    assert "neither which problem nor which question" in refused(write(lists))
    assert bring(write(lists), "--match", "row").exit_code == 0
    assert load_run(tmp_path / "run").pool.correct.all()


def test_greedy_responses_from_a_source_of_their_own(
    rows: list[Row], full_rows: list[Row], write: Write, bring: Bring, refused: Callable[..., str], tmp_path: Path
) -> None:
    greedy = write([{k: v for k, v in row.items() if k in ("id", "text")} for row in full_rows[-12:]], "greedy.jsonl")
    assert bring(write(rows), "--greedy", greedy).exit_code == 0
    run = load_run(tmp_path / "run")
    assert not run.greedy.correct.any()
    assert "greedy" not in run.pool.absent
    assert report(tmp_path / "run").exit_code == 0
    arms = json.loads((tmp_path / "run" / "report.json").read_text())["arms"]
    oracle = next(a for a in arms if (a["arm"], a["n"]) == ("oracle", 4))
    assert oracle["over_greedy_points"] == pytest.approx(100.0)
    shutil.rmtree(tmp_path / "run")
    short = write([{"id": row["id"], "text": row["text"]} for row in full_rows[-12:-1]], "short.jsonl")
    assert "1 problem of 12 have no greedy response" in refused(write(rows), "--greedy", short)


def test_the_source_stands_for_the_task_where_its_data_is_not_at_hand(
    problems: Sequence[Problem], write: Write, bring: Bring, refused: Callable[..., str], tmp_path: Path
) -> None:
    rows = [{"question": p.fields["question"], "gold": p.gold, "text": f"#### {p.gold}"} for p in problems]
    assert bring(write(rows), "--problems", "source", task="gsm8k").exit_code == 0
    assert load_run(tmp_path / "run").pool.correct.all()
    shutil.rmtree(tmp_path / "run")
    bare = [{"question": p.fields["question"], "text": "x"} for p in problems]
    assert "line 1 states no gold answer" in refused(write(bare), "--problems", "source", task="gsm8k")


def test_golds_of_source_and_task(
    rows: list[Row],
    problems: Sequence[Problem],
    write: Write,
    bring: Bring,
    refused: Callable[..., str],
    tmp_path: Path,
) -> None:
    golds = {p.id: p.gold for p in problems}
    same = [{**row, "gold": f"{golds[row['id']]}.0"} for row in rows]  # the same number in another form
    assert bring(write(same)).exit_code == 0
    shutil.rmtree(tmp_path / "run")
    other = [{**row, "gold": "-1" if row["id"] == "3" else golds[row["id"]]} for row in rows]
    line = refused(write(other))
    assert f"gold answer of problem '3' differs, '-1' in the source and '{golds['3']}' in the task" in line
    assert "golds: the gold answer of problem '3'" in bring(write(other), "--golds", "source").output
    run = load_run(tmp_path / "run")
    assert run.pool.correct[3].tolist() == [False, False, True, True]
    assert "1 problem has another gold answer in the source" in " ".join(report(tmp_path / "run").output.split())
    shutil.rmtree(tmp_path / "run")
    assert bring(write(other), "--golds", "task").exit_code == 0
    assert load_run(tmp_path / "run").pool.correct[3].tolist() == [True, False, False, False]


def test_verdicts_of_the_source_are_kept_apart(rows: list[Row], write: Write, bring: Bring, tmp_path: Path) -> None:
    done = bring(write([{**row, "correct": k != 1} for k, row in enumerate(rows)]))
    # Of 48 the grader finds 12 right; the source says 47 are, and is with it on the 12 and on the one that it denies.
    assert "the source's own agree on 13 of 48 responses" in done.output
    assert "sample 2 of problem '0', right in the source and wrong here" in done.output
    stated = pq.read_table(tmp_path / "run" / "source_verdicts.parquet")
    assert stated["correct"].to_pylist().count(True) == 47
    assert load_run(tmp_path / "run").pool.correct.sum() == 12
