"""Grading a stored run batch by batch: the batches must not show in the grades."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from example_config import CONFIG as EXAMPLE

from bon_eval.graders import grade_math
from bon_eval.graders.batch import BatchGrader, grade_many
from bon_eval.records import Draw, Problem, Response
from bon_eval.run import grading
from bon_eval.run.grading import grade_run
from bon_eval.store import parts
from bon_eval.store.writer import RunStore

POOLS = {
    "p0": ("0.5", [r"\frac12", "2", "1/2", "-1/2"]),
    "p1": ("x+1", ["1+x", "x-1", "x + 1", r"\sqrt{3}"]),
    "p2": ("7", ["7", "eight", "7.0", "no answer"]),
    "p3": (r"\sqrt{12}", [r"2\sqrt{3}", r"\sqrt{12}", "3.46", r"\frac{6}{\sqrt3}"]),
}
GOLDS = {"p0": "0.5", "p1": "x+1", "p2": "7", "p3": r"2\sqrt3"}
CONFIG = replace(EXAMPLE, grader="math")
PROMPTS = pa.table({"prompt": ["?"] * 4, "prompt_token_ids": pa.array([[1]] * 4, pa.list_(pa.int32()))})
PROBLEMS = tuple(Problem(name, {"question": "?"}, gold) for name, gold in GOLDS.items())


def responses(problem: str, arm: Draw, answers: list[str]) -> list[Response]:
    return [
        Response(
            problem, arm, i, "no answer" if a == "no answer" else rf"so \boxed{{{a}}}", (5, 2), (-0.5, -0.5), "stop"
        )
        for i, a in enumerate(answers)
    ]


def store_run(path: Path, order: list[tuple[str, Draw]]) -> Path:
    with RunStore(path, CONFIG, PROBLEMS, PROMPTS) as store:
        store.begin_session("now", {}, {})
        for problem, arm in order:
            greedy, pool = POOLS[problem]
            store.append(responses(problem, arm, [greedy] if arm == "greedy" else pool))
        store.finish_sampling()
    return path


def grades_of(path: Path) -> list[dict[str, object]]:
    rows = pq.read_table(path / "grades.parquet").to_pylist()
    return sorted(rows, key=lambda row: (row["problem_id"], row["arm"], row["index"]))


IN_ORDER: list[tuple[str, Draw]] = [(name, arm) for name in POOLS for arm in ("greedy", "sample")]
GREEDY_FIRST: list[tuple[str, Draw]] = sorted(IN_ORDER, key=lambda key: key[1])


@pytest.mark.parametrize("rows", [1, 6, 1000])
def test_batches_do_not_show(rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grading, "_BATCH_ROWS", rows)
    monkeypatch.setattr(parts, "_GROUP_BYTES", 0)  # a row group for each request
    run = store_run(tmp_path / "run", GREEDY_FIRST)
    grade_run(run, "math", quiet=True)
    assert pq.ParquetFile(run / "grades.parquet").num_row_groups == {1: 8, 6: 3, 1000: 1}[rows]
    found = grades_of(run)
    assert len(found) == 20
    for row in found:
        greedy, pool = POOLS[str(row["problem_id"])]
        answer = greedy if row["arm"] == "greedy" else pool[int(str(row["index"]))]
        text = "no answer" if answer == "no answer" else rf"so \boxed{{{answer}}}"
        expected = grade_math(text, GOLDS[str(row["problem_id"])])
        assert (row["correct"], row["answer"], row["reason"]) == (expected.correct, expected.answer, expected.reason)
    classes = {name: [r["answer_class"] for r in found if r["problem_id"] == name] for name in POOLS}
    # Greedy first, then the pool: greedy's 0.5 has the class of the pool's 1/2 although it lies in another batch.
    assert classes == {"p0": [0, 0, 1, 0, 2], "p1": [0, 0, 1, 0, 2], "p2": [0, 0, 1, 0, -1], "p3": [0, 0, 0, 1, 0]}


def test_the_order_of_the_store_changes_no_verdict_and_no_partition(tmp_path: Path) -> None:
    tables = []
    for name, order in (("a", IN_ORDER), ("b", GREEDY_FIRST), ("c", IN_ORDER[::-1])):
        run = store_run(tmp_path / name, order)
        grade_run(run, "math", quiet=True)
        rows = grades_of(run)
        verdicts = [
            (r["problem_id"], r["arm"], r["index"], r["correct"], r["correct_strict"], r["answer"]) for r in rows
        ]
        same = [
            a["answer_class"] == b["answer_class"] for a in rows for b in rows if a["problem_id"] == b["problem_id"]
        ]
        tables.append((verdicts, same))
    assert tables[0] == tables[1] == tables[2]


def test_forgotten_verdicts_are_reached_again() -> None:
    pairs = [(rf"\boxed{{\sqrt{{{3 * n * n}}}}}", rf"{n}\sqrt{{3}}" if n % 2 else "1") for n in range(2, 22)]
    expected = grade_many("math", pairs)
    with BatchGrader("math", remembered=3, workers=2) as grader:
        batches = [grader.grade(pairs[start : start + 7], strict=False)[0] for start in (0, 7, 14, 0)]
        assert len(grader._decisions) <= 3 + 7
        assert grader.keys(["0.5", None, "1/2", "7"]) == grader.keys(["1/2", None, "0.5", "7.0"])
    assert [g for batch in batches[:3] for g in batch] == expected
    assert batches[3] == expected[:7]


def test_a_run_without_responses_has_an_empty_table(tmp_path: Path) -> None:
    run = store_run(tmp_path / "run", [])
    grade_run(run, "math", quiet=True)
    table = pq.read_table(run / "grades.parquet")
    assert table.num_rows == 0
    assert table.schema.remove_metadata() == grading.SCHEMA
