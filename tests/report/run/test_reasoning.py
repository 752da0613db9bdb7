"""Reasoning on its way from the stored responses to the report: lengths, a column of its own, and the dimmed text."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from example_config import CONFIG as EXAMPLE

from bon_eval.analysis.analyse import analyse
from bon_eval.records import Draw, Problem, Response
from bon_eval.report.formats.browser import browser_data
from bon_eval.report.formats.csv_json import validate
from bon_eval.report.run.page import page
from bon_eval.report.run.rows import document, problem_cells
from bon_eval.report.run.terminal import render
from bon_eval.run.grading import grade_run
from bon_eval.store.reader import Run, load_run
from bon_eval.store.writer import RunStore

THOUGHT = "<think>#### 8, no: \U0001f600</think>"
TEXTS: dict[Draw, list[str]] = {
    "greedy": [f"{THOUGHT}\n#### 9"],
    "sample": ["#### 9", f"{THOUGHT}#### 8", "<think>#### 9 </script> and", "It may be 8.</think>#### 9"],
}
PROMPTS = {"p": "What?", "q": "What?<think>\n"}


def stored(path: Path, reasoning: tuple[tuple[str, str], ...] | None = None) -> Path:
    config = replace(EXAMPLE, grader="gsm8k", reasoning=reasoning)
    prompts = pa.table(
        {"prompt": list(PROMPTS.values()), "prompt_token_ids": pa.array([[1]] * len(PROMPTS), pa.list_(pa.int32()))}
    )
    problems = [Problem(name, {"question": "?"}, "9") for name in PROMPTS]
    with RunStore(path, config, problems, prompts) as store:
        store.begin_session("now", {}, {})
        for problem in PROMPTS:
            for draw, texts in TEXTS.items():
                store.append(
                    [Response(problem, draw, i, text, (5, 2), (-0.5, -0.1 * i), "stop") for i, text in enumerate(texts)]
                )
        store.finish_sampling()
    grade_run(path, quiet=True)
    return path


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return load_run(stored(tmp_path / "run"))


def test_grades_hold_both_lengths(run: Run) -> None:
    n, whole = len(THOUGHT), [len(text) for text in TEXTS["sample"]]
    assert run.pool.reasoning_chars is not None
    assert run.pool.answer_chars is not None
    closed = len("It may be 8.</think>")
    # The prompt of q opened a block: a response that never closes it has no answer.
    assert run.pool.reasoning_chars.tolist() == [[-1, n, whole[2], closed], [whole[0], n, whole[2], closed]]
    assert run.pool.answer_chars.tolist() == [[6, 6, -1, 6], [-1, 6, -1, 6]]
    assert run.pool.correct.tolist() == [[True, False, False, True], [False, False, False, True]]
    assert run.pool.unfinished.tolist() == [[False, False, True, False], [True, False, True, False]]
    assert not run.pool.unscored.any()
    assert run.to_pandas()["answer_chars"].tolist() == [7, 7, 6, 6, -1, 6, -1, 6, -1, 6]


def test_the_report_counts_what_was_not_finished(run: Run) -> None:
    found = analyse(run)
    sample = next(row for row in found.arms if row.arm == "sample")
    assert sample.unfinished == pytest.approx(3 / 8)
    assert next(row for row in found.arms if row.arm == "greedy").unfinished == 0.0
    content = json.loads(json.dumps(document(found)))
    validate(content)
    rows = {row["draw"]: row for row in content["facts"]["reasoning"]}
    assert (rows["sample"]["share"], rows["sample"]["unfinished"]) == (7 / 8, 3 / 8)
    assert rows["sample"]["reasoning_chars"] == pytest.approx((len(THOUGHT) + len("It may be 8.</think>")) / 2)
    assert rows["sample"]["answer_chars"] == 6.0
    assert [problem_cells(row)["pool_unfinished"] for row in found.problems] == [0.25, 0.5]
    text = " ".join(render(found).split())
    assert "open: 37.5 % of the pool and 0.0 % of greedy have reasoning that was not finished" in text
    assert "reasoning blocks: 87.5 % of the pool (finished: mean 24 characters, then 6 of answer) and 100.0 %" in text


def test_the_browser_shows_what_was_cut_away(run: Run) -> None:
    found = analyse(run)
    [p, _] = (json.loads(problem.joined()) for problem in browser_data(run, found).problems.values())
    shown = {index: (p["reasoning"][t], p["texts"][t]) for index, t in zip(p["index"], p["text"], strict=True)}
    assert shown == {
        -1: (THOUGHT, "\n#### 9"),
        0: (None, "#### 9"),
        1: (THOUGHT, "#### 8"),
        2: (TEXTS["sample"][2], ""),
        3: ("It may be 8.</think>", "#### 9"),
    }
    assert p["unfinished"] == 1
    html = "".join(page(run, found))
    assert "#### 9 </script> and" not in html
    assert "reasoning that was not finished" in html


def test_grades_of_older_versions_say_that_they_do_not_tell(run: Run) -> None:
    path = run.path / "grades.parquet"
    grades = pq.read_table(path).drop_columns(["reasoning_chars", "answer_chars"])
    pq.write_table(grades, path)
    older = load_run(run.path)
    found = analyse(older)
    assert older.pool.reasoning_chars is None
    content = json.loads(json.dumps(document(found)))
    validate(content)
    assert content["arms"][0]["unfinished"] is None
    assert "bon-eval grade" in content["arms"][0]["null_reasons"]["unfinished"]
    assert content["facts"]["reasoning"] == []
    assert found.problems[0].pool_unfinished is None
    assert "reasoning" not in render(found)
    browser_data(older, found)


def test_a_task_without_reasoning_reads_all_of_a_response(tmp_path: Path) -> None:
    run = load_run(stored(tmp_path / "run", reasoning=()))
    assert run.pool.correct[:, 2].all()
    assert run.pool.reasoning_chars is not None
    assert (run.pool.reasoning_chars == -1).all()
    assert run.meta["identity"] == load_run(stored(tmp_path / "other")).meta["identity"]
