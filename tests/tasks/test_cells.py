"""What stands in a cell is what is used, or it is refused in one line with its column and row."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bon_eval.errors import TaskError
from bon_eval.tasks.load import load_task
from bon_eval.tasks.problems import load_problems

SPEC = load_task("arith")
GOOD = {"question": "1+1?", "answer": "#### 2"}


def refused(path: Path) -> str:
    with pytest.raises(TaskError) as caught:
        load_problems(SPEC, data=path)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("cell", "kind"), [(["#### 1/2", "#### 0.5"], "a list"), ({"text": "#### 2"}, "an object"), ([], "a list")]
)
@pytest.mark.parametrize("ending", ["jsonl", "json", "parquet"])
def test_nested_cells_are_no_texts(tmp_path: Path, cell: object, kind: str, ending: str) -> None:
    rows = [GOOD, GOOD | {"answer": cell}]
    path = tmp_path / f"data.{ending}"
    if ending == "parquet":
        pq.write_table(pa.Table.from_pylist([GOOD | {"answer": cell}] * 2), path)
        assert "column 'answer'" in refused(path)
    else:
        lines = [json.dumps(row) for row in rows]
        path.write_text("\n".join(lines) if ending == "jsonl" else f"[{','.join(lines)}]")
        assert f"row 1 has {kind} in column 'answer', where a text is needed" in refused(path)


def test_bytes_are_no_text(tmp_path: Path) -> None:
    pq.write_table(pa.table({"question": [b"1+1?"], "answer": ["#### 2"]}), tmp_path / "data.parquet")
    assert "row 0 has bytes in column 'question'" in refused(tmp_path / "data.parquet")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_none(value: float, tmp_path: Path) -> None:
    pq.write_table(pa.table({"question": ["1+1?", "2+2?"], "answer": [4.0, value]}), tmp_path / "data.parquet")
    assert f"row 1 has the number {value} in column 'answer'" in refused(tmp_path / "data.parquet")


def test_json_by_column_is_refused(tmp_path: Path) -> None:
    for content in ({"question": ["1+1?", "2+2?"], "answer": ["#### 2", "#### 4"]}, {"question": {"0": "1+1?"}}):
        (tmp_path / "data.json").write_text(json.dumps(content))
        assert "row 0 has" in refused(tmp_path / "data.json")


def test_two_columns_of_one_name(tmp_path: Path) -> None:
    table = pa.Table.from_arrays(
        [pa.array(["1+1?"]), pa.array(["#### 2"]), pa.array(["#### 3"])], ["question"] + ["answer"] * 2
    )
    pq.write_table(table, tmp_path / "data.parquet")
    assert "two columns named 'answer'" in refused(tmp_path / "data.parquet")


def test_what_no_one_reads_may_be_anything(tmp_path: Path) -> None:
    maps = pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64()))
    table = pa.table({"question": ["1+1?"], "answer": ["#### 2"], "tags": [["x"]], "raw": [b"\x00"], "more": maps})
    pq.write_table(table, tmp_path / "data.parquet")
    assert [p.gold for p in load_problems(SPEC, data=tmp_path / "data.parquet")] == ["2"]
    (tmp_path / "data.jsonl").write_text(json.dumps(GOOD)[:-1] + f', "seed": {"7" * 5_000}, "tags": ["x"]}}')
    assert [p.gold for p in load_problems(SPEC, data=tmp_path / "data.jsonl")] == ["2"]


def test_a_map_where_a_text_is_needed(tmp_path: Path) -> None:
    maps = pa.array([[("a", "#### 2")]], pa.map_(pa.string(), pa.string()))
    pq.write_table(pa.table({"question": ["1+1?"], "answer": maps}), tmp_path / "data.parquet")
    assert "'answer'" in refused(tmp_path / "data.parquet")


def test_long_cells_are_read_whole(tmp_path: Path) -> None:
    long = "1 + " * 100_000 + "1?"
    limit = csv.field_size_limit()
    with (tmp_path / "data.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["question", "answer"], [long, "#### 100001"]])
    [problem] = load_problems(SPEC, data=tmp_path / "data.csv")
    assert problem.fields["question"] == long
    assert csv.field_size_limit() == limit


def test_numbers_keep_their_digits(tmp_path: Path) -> None:
    spec = replace(SPEC, gold=replace(SPEC.gold, after=None))
    (tmp_path / "data.jsonl").write_text('{"question": "?", "answer": 1.50}\n{"question": "?", "answer": 0' + "}\n")
    assert [p.gold for p in load_problems(spec, data=tmp_path / "data.jsonl")] == ["1.50", "0"]
    (tmp_path / "data.jsonl").write_text('{"question": "?", "answer": ' + "9" * 5_000 + "}\n")
    assert [p.gold for p in load_problems(spec, data=tmp_path / "data.jsonl")] == ["9" * 5_000]
