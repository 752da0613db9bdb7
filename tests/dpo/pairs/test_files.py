"""The pair file: what is written is read back, what is no pair is named, and a user's file is taken in other forms."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bon_eval.dpo.pairs.files import Pair, read_pairs, to_record, write_pairs
from bon_eval.dpo.pairs.preferences import load_pairs
from bon_eval.errors import ConfigError, StoreError

USER = ({"role": "user", "content": "2+2?"},)
PAIRS = (
    Pair("a/0", "a", "2+2?\n", "4\u2028\n", "5", "best-random", (1, 2), (3, 0), (4, 0), 0, ("\n\n", "Q")),
    Pair("a/1", "a", "2+2?\n", "#### 4 é", "\x85 5", "gold-sample", (1, 2), None, (4, 0)),
    Pair(
        "b/0",
        "b",
        USER,
        ({"role": "assistant", "content": "4"},),
        ({"role": "assistant", "content": "5"},),
        "correct-wrong",
    ),
)
ROW = {"prompt": "p", "chosen": "c", "rejected": "r"}


def put(path: Path, *rows: object) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "new" / "pairs.jsonl"
    write_pairs(path, PAIRS)
    assert read_pairs(path) == PAIRS
    assert load_pairs(str(path)) == PAIRS
    first = json.loads(path.read_text(encoding="utf-8").split("\n")[1])
    assert first["chosen"] == "#### 4 é"
    assert "chosen_token_ids" not in first, "unknown token ids are left out"


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot write .*file"):
        write_pairs(tmp_path / "file" / "pairs.jsonl", PAIRS)


def test_a_users_file_has_its_lines_as_ids_and_its_prompts_as_problems(tmp_path: Path) -> None:
    found = read_pairs(put(tmp_path / "u.jsonl", ROW, "", {**ROW, "prompt": "q", "extra": 1}))
    assert [(p.id, p.problem_id, p.recipe) for p in found] == [("1", "p", "file"), ("3", "q", "file")]
    assert found[0].prompt_token_ids is None


CASES: dict[str, tuple[list[Any], str]] = {
    "empty file": ([], "holds no pair"),
    "not JSON": ([ROW, "{"], "line 2 is not JSON"),
    "two values of a column": (
        [ROW, '{"prompt": "p", "chosen": "c", "chosen": "d", "rejected": "r"}'],
        "line 2 is not JSON: 'chosen' stands there twice",
    ),
    "not an object": ([[1]], "line 1 is no JSON object"),
    "no prompt": ([{"chosen": "c", "rejected": "r"}], "line 1 has no column prompt"),
    "same sides": ([ROW, {**ROW, "rejected": "c"}], "line 2: chosen equals rejected"),
    "empty side": ([{**ROW, "rejected": " \n"}], "line 1: rejected is empty"),
    "empty message": (
        [{"prompt": list(USER), "chosen": [{"role": "assistant", "content": ""}], "rejected": list(USER)}],
        "line 1: chosen is empty",
    ),
    "mixed forms": ([{**ROW, "prompt": list(USER)}], "line 1 mixes plain text and messages"),
    "number as text": ([{**ROW, "chosen": 4}], "line 1: chosen is neither text nor"),
    "messages without content": ([{**ROW, "chosen": [{"role": "assistant"}]}], "line 1: chosen is neither"),
    "token ids": ([{**ROW, "chosen_token_ids": [1, -1]}], "line 1: chosen_token_ids is not a list of token ids"),
    "end token": ([{**ROW, "end_token_id": "0"}], "line 1: end_token_id is no token id"),
    "negative end token": ([{**ROW, "end_token_id": -1}], "line 1: end_token_id is no token id"),
    "stop strings": ([{**ROW, "stop": "Q"}], "line 1: stop is not a list of texts"),
    "one id twice": ([{**ROW, "id": "x"}, {**ROW, "id": "x", "chosen": "d"}], "two pairs with the id 'x'"),
}


@pytest.mark.parametrize(("rows", "message"), CASES.values(), ids=CASES)
def test_what_is_no_pair(tmp_path: Path, rows: list[Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read_pairs(put(tmp_path / "u.jsonl", *rows))
    assert "\n" not in str(caught.value)
    assert "u.jsonl" in str(caught.value)


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "pairs.parquet"
    pq.write_table(pa.Table.from_pylist([to_record(pair) for pair in PAIRS[:2]]), path)
    assert load_pairs(str(path)) == PAIRS[:2], "null token ids are unknown ones"
    pq.write_table(pa.Table.from_pylist([to_record(PAIRS[2])]), path)
    assert load_pairs(str(path)) == PAIRS[2:]
    pq.write_table(pa.Table.from_pylist([ROW, {**ROW, "chosen": None}]), path)
    with pytest.raises(ConfigError, match="row 1 has no column chosen"):
        load_pairs(str(path))


def test_two_columns_of_one_name(tmp_path: Path) -> None:
    columns = [pa.array([text]) for text in ("p", "c", "d", "r")]
    table = pa.Table.from_arrays(columns, ["prompt", "chosen", "chosen", "rejected"])
    pq.write_table(table, tmp_path / "pairs.parquet")
    with pytest.raises(ConfigError, match="two columns named 'chosen'"):
        load_pairs(str(tmp_path / "pairs.parquet"))


@pytest.mark.parametrize("target", ["pyarrow.parquet.ParquetFile", "datasets.load_dataset"])
def test_what_no_list_names(target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise ArithmeticError("odd\nand long")

    pq.write_table(pa.Table.from_pylist([ROW]), tmp_path / "pairs.parquet")
    monkeypatch.setattr(target, fail)
    with pytest.raises(ConfigError, match="ArithmeticError: odd and long"):
        load_pairs("hub:some/pairs" if "datasets" in target else str(tmp_path / "pairs.parquet"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lacking.jsonl", "cannot read pairs"),
        ("lacking.parquet", "cannot read preferences"),
        ("text.parquet", "cannot read preferences"),
        ("pairs.csv", "ending '.csv'; give a .jsonl or .parquet file, or hub:NAME"),
    ],
)
def test_files_that_are_none(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "text.parquet").write_text("no Parquet")
    with pytest.raises(ConfigError, match=message) as caught:
        load_pairs(str(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_hub_data_set_by_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's loader reads a folder of the same layout from disk: splits are tested without network."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "set"
    folder.mkdir()
    put(folder / "train.jsonl", ROW)
    put(folder / "test.jsonl", {**ROW, "chosen": "d"}, {**ROW, "prompt": "q"})
    assert [p.chosen for p in load_pairs(f"hub:{folder}")] == ["c"]
    assert [(p.id, p.chosen, p.problem_id) for p in load_pairs(f"hub:{folder}:test")] == [
        ("0", "d", "p"),
        ("1", "c", "q"),
    ]
    with pytest.raises(ConfigError, match=r"cannot load the preferences hub:.*:validation from the hub: .*jsonl"):
        load_pairs(f"hub:{folder}:validation")


def test_hub_that_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    with pytest.raises(ConfigError, match=r"without the hub, give a \.jsonl or .parquet file") as caught:
        load_pairs("hub:nobody/nothing:train")
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="names no data set"):
        load_pairs("hub::train")


def test_reading_local_pairs_needs_neither_torch_nor_trl() -> None:
    import subprocess

    code = (
        "import sys, bon_eval.dpo.pairs.build, bon_eval.dpo.pairs.from_run, bon_eval.dpo.pairs.preferences\n"
        "print([m for m in ('torch', 'transformers', 'datasets', 'trl') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
