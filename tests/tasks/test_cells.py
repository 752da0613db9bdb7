"""What stands in a cell is what is used, or it is refused in one line with its column and row."""

from __future__ import annotations

import csv
import io
import json
import os
import time
from dataclasses import replace
from pathlib import Path

import datasets
import PIL.Image
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


def test_a_picture_is_no_text(tmp_path: Path) -> None:
    """`datasets` decodes it, and what it reads as nobody meant."""
    image = datasets.Image()
    pixels = io.BytesIO()
    PIL.Image.new("RGB", (2, 2)).save(pixels, "PNG")
    rows = {"question": [{"bytes": pixels.getvalue(), "path": None}], "answer": ["#### 2"]}
    features = datasets.Features({"question": image, "answer": datasets.Value("string")})
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "data.parquet")
    assert "in column 'question', where a text is needed" in refused(tmp_path / "data.parquet")


def test_what_no_list_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise ArithmeticError("odd\nand long")

    pq.write_table(pa.Table.from_pylist([GOOD]), tmp_path / "data.parquet")
    for target in ("pyarrow.parquet.ParquetFile", "datasets.Dataset.__init__", "datasets.Dataset.__getitem__"):
        with monkeypatch.context() as patch:
            patch.setattr(target, fail)
            assert "ArithmeticError: odd and long" in refused(tmp_path / "data.parquet")


def test_two_columns_of_one_name(tmp_path: Path) -> None:
    table = pa.Table.from_arrays(
        [pa.array(["1+1?"]), pa.array(["#### 2"]), pa.array(["#### 3"])], ["question"] + ["answer"] * 2
    )
    pq.write_table(table, tmp_path / "data.parquet")
    assert "two columns named 'answer'" in refused(tmp_path / "data.parquet")


def test_two_values_of_one_name_in_a_row(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text(json.dumps(GOOD) + '\n{"question": "?", "answer": "1", "answer": "2"}\n')
    assert "line 2 has two values of 'answer'; drop one" in refused(tmp_path / "data.jsonl")
    (tmp_path / "data.jsonl").write_text('{"question": "?", "answer": "#### 2", "tags": {"x": 1, "x": 2}}')
    assert [p.gold for p in load_problems(SPEC, data=tmp_path / "data.jsonl")] == ["2"], "nobody reads the tags"


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


def test_a_pipe_or_a_device_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "endless.csv").symlink_to("/dev/zero")
    for name in ("pipe.jsonl", "endless.csv"):
        assert "is a pipe or a device and no regular file" in refused(tmp_path / name)


@pytest.mark.parametrize("ending", ["csv", "json", "parquet"])
def test_a_file_of_columns_without_end(tmp_path: Path, ending: str) -> None:
    path, n = tmp_path / f"data.{ending}", 200_000
    if ending == "csv":
        path.write_text(",".join(f"c{i}" for i in range(n)) + "\n")
    elif ending == "json":  # by key, as some tools write records
        path.write_text(json.dumps({f"q{i}": GOOD for i in range(n)}))
    else:
        pq.write_table(pa.table({f"c{i}": [0] for i in range(6_000)}), path)
    began = time.process_time()
    assert "has more than 5,000 columns; write one problem per row" in refused(path)
    assert time.process_time() - began < 200


def test_a_message_names_a_few_of_many_columns(tmp_path: Path) -> None:
    row = {"x" * 10_000: "1"} | {f"c{i}": "1" for i in range(4_000)}
    (tmp_path / "data.jsonl").write_text(json.dumps(row))
    message = refused(tmp_path / "data.jsonl")
    assert "has no column" in message
    assert message.endswith("and 3981 others")
    assert len(message) < 1_000
