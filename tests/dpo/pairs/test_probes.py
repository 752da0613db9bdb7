"""The options --pairs [NAME=]FILE and --probe NAME=FILE: names, files, and lines that are no response."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bon_eval.dpo.training.commands import named_pairs, named_probes
from bon_eval.errors import ConfigError

PAIR = {"prompt": "p", "chosen": "c", "rejected": "r"}
PROBE = {"prompt": "p", "response": "c"}
USER = [{"role": "user", "content": "p"}]
SAID = [{"role": "assistant", "content": "c"}]


def put(path: Path, *rows: object) -> Path:
    path.parent.mkdir(exist_ok=True)
    text = "".join((row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")
    return path


def refused(call: Any, *given: str) -> str:
    with pytest.raises(ConfigError) as caught:
        call(list(given))
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_pair_sets_by_name(tmp_path: Path) -> None:
    first = put(tmp_path / "a.jsonl", PAIR)
    second = put(tmp_path / "b.jsonl", PAIR, {**PAIR, "chosen": "d"})
    found = named_pairs([f"train={first}", f"held-out={second}"])
    assert {name: [p.chosen for p in pairs] for name, pairs in found.items()} == {
        "train": ["c"],
        "held-out": ["c", "d"],
    }
    assert list(named_pairs([f"z={first}", f"a={second}"])) == ["z", "a"], "in the order given"
    assert named_pairs([]) == {}


def test_pairs_without_a_name(tmp_path: Path) -> None:
    path = put(tmp_path / "a.jsonl", PAIR)
    assert list(named_pairs([str(path)])) == ["pairs"]


def test_an_equals_sign_in_a_path_makes_no_name(tmp_path: Path) -> None:
    path = put(tmp_path / "beta=0.1" / "a=b.jsonl", PAIR)
    assert list(named_pairs([str(path)])) == ["pairs"]
    assert list(named_pairs([f"x={path}"])) == ["x"], "the first one parts name and path"


def test_pair_sets_of_one_name(tmp_path: Path) -> None:
    path = put(tmp_path / "a.jsonl", PAIR)
    assert refused(named_pairs, str(path), str(path)).startswith("--pairs gives 'pairs' twice; name them: ")
    assert refused(named_pairs, f"x={path}", f"x={path}").startswith("--pairs gives 'x' twice")
    assert refused(named_pairs, f"pairs={path}", str(path)).startswith("--pairs gives 'pairs' twice")


def test_a_pair_file_that_is_none(tmp_path: Path) -> None:
    assert "cannot read pairs" in refused(named_pairs, f"x={tmp_path / 'no.jsonl'}")
    assert "holds no pair" in refused(named_pairs, f"x={put(tmp_path / 'e.jsonl')}")
    assert "line 1 has no column rejected" in refused(
        named_pairs, f"x={put(tmp_path / 'p.jsonl', {**PROBE, 'chosen': 'c'})}"
    )
    assert "ending ''" in refused(named_pairs, "x=")


READ: dict[str, tuple[dict[str, Any], object]] = {
    "response": ({"prompt": "p", "response": "c"}, "c"),
    "TRL's completion": ({"prompt": "p", "completion": "c"}, "c"),
    "a pair's chosen": (PAIR, "c"),
    "response comes first": ({**PAIR, "completion": "x", "response": "y"}, "y"),
    "a dash": ({"prompt": "p", "response": "-"}, "-"),
    "a plus": ({"prompt": "p", "response": "+"}, "+"),
    "messages": ({"prompt": USER, "completion": SAID}, tuple(SAID)),
    "a dash as message": (
        {"prompt": USER, "response": [{"role": "assistant", "content": "-"}]},
        ({"role": "assistant", "content": "-"},),
    ),
    "a line separator in the text": ({"prompt": "p", "response": "a\u2028b\x85c"}, "a\u2028b\x85c"),
}


@pytest.mark.parametrize(("record", "response"), READ.values(), ids=READ)
def test_a_probe_is_a_prompt_and_a_response(tmp_path: Path, record: dict[str, Any], response: object) -> None:
    path = put(tmp_path / "probe.jsonl", record)
    [[found]] = named_probes([f"x={path}"]).values()
    assert found.chosen == response
    assert found.prompt == ("p" if isinstance(record["prompt"], str) else tuple(USER))
    assert (found.id, found.chosen_token_ids, found.rejected_token_ids) == ("1", None, None)


def test_a_probe_keeps_ids_problems_and_tokens(tmp_path: Path) -> None:
    given = {"id": "i", "problem_id": "q", "prompt_token_ids": [1, 2], "response_token_ids": [3, 0]}
    # Ids of the columns that are not read are no part of the probe.
    other = {"chosen": "x", "chosen_token_ids": [7], "rejected_token_ids": [8]}
    path = put(tmp_path / "probe.jsonl", PROBE, "", PROBE | given | other)
    first, second = named_probes([f"x={path}"])["x"]
    assert (first.id, first.problem_id) == ("1", "p")
    assert (second.id, second.problem_id, second.chosen) == ("i", "q", "c")
    assert (second.prompt_token_ids, second.chosen_token_ids, second.rejected_token_ids) == ((1, 2), (3, 0), None)


def test_a_line_number_is_an_id_where_none_is_given(tmp_path: Path) -> None:
    path = put(tmp_path / "probe.jsonl", PROBE, "", PROBE)
    assert [p.id for p in named_probes([f"x={path}"])["x"]] == ["1", "3"]


def test_probes_need_names(tmp_path: Path) -> None:
    path = put(tmp_path / "probe.jsonl", PROBE)
    assert refused(named_probes, str(path)) == f"--probe {str(path)!r} has no name; give NAME=FILE"
    assert "has no name" in refused(named_probes, f"={path}")
    assert refused(named_probes, f"x={path}", f"x={path}") == "--probe gives 'x' twice; use two names"
    assert list(named_probes([f"y={path}", f"x={path}"])) == ["y", "x"]
    assert named_probes([]) == {}


BAD: dict[str, tuple[list[object], str]] = {
    "empty file": ([], "holds no response"),
    "blank lines": (["", "  "], "holds no response"),
    "not JSON": ([PROBE, '{"prompt": "p", '], "line 2 is not JSON"),
    "not an object": ([[PROBE]], "line 1 is no JSON object; a probe has the columns prompt and response"),
    "no response": ([PROBE, {"prompt": "p"}], "line 2 has no column response"),
    "no prompt": ([{"response": "c"}], "line 1 has no column prompt"),
    "empty response": ([{"prompt": "p", "response": " "}], "line 1: chosen is empty"),
    "a number as response": ([{"prompt": "p", "response": 4}], "line 1: chosen is neither text nor"),
    "no messages": ([{"prompt": USER, "response": []}], "line 1: chosen is neither text nor"),
    "mixed forms": ([{"prompt": USER, "response": "c"}], "line 1 mixes plain text and messages"),
    "token ids": ([{**PROBE, "response_token_ids": "3"}], "line 1: chosen_token_ids is not a list of token ids"),
    "one id twice": ([{**PROBE, "id": "i"}, {**PROBE, "id": "i"}], "line 2 has the id 'i' of an earlier line"),
}


@pytest.mark.parametrize(("rows", "message"), BAD.values(), ids=BAD)
def test_lines_that_are_no_response(tmp_path: Path, rows: list[object], message: str) -> None:
    path = put(tmp_path / "probe.jsonl", *rows)
    found = refused(named_probes, f"x={path}")
    assert message in found
    assert str(path) in found


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert "cannot read probe" in refused(named_probes, f"x={tmp_path / 'no.jsonl'}")
    assert "cannot read probe" in refused(named_probes, f"x={tmp_path}")
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe{}")
    assert "cannot read probe" in refused(named_probes, f"x={tmp_path / 'binary.jsonl'}")
