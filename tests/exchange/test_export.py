"""Runs out again as an every_eval_ever file and as a data set: what is in them, and how they come back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from bon_eval.cli import main
from bon_eval.store.reader import iter_responses, load_run

TEXT, NO_TEXT, SIZE = {"type": "string"}, {"type": ["string", "null"]}, {"type": "integer", "minimum": 0}


def closed(required: dict[str, Any], optional: dict[str, Any] | None = None, kind: Any = "object") -> dict[str, Any]:
    """An object that has these fields and no others."""
    properties = required | (optional or {})
    return {"type": kind, "required": list(required), "properties": properties, "additionalProperties": False}


INSTANCE = closed(
    dict.fromkeys(("schema_version", "evaluation_id", "model_id", "evaluation_name", "sample_id"), TEXT)
    | {
        "interaction_type": {"const": "single_turn"},
        "input": closed({"raw": TEXT, "reference": {"type": "array", "items": TEXT}}, {"formatted": NO_TEXT}),
        "answer_attribution": {
            "type": "array",
            "items": closed(
                dict.fromkeys(("source", "extracted_value", "extraction_method"), TEXT)
                | {"turn_idx": SIZE, "is_terminal": {"type": "boolean"}}
            ),
        },
        "evaluation": closed({"score": {"type": "number"}, "is_correct": {"type": "boolean"}}),
        "output": closed({"raw": {"type": "array", "items": TEXT}}),
    },
    {
        "sample_hash": NO_TEXT,
        "messages": {"type": "null"},
        "token_usage": closed(
            dict.fromkeys(("input_tokens", "output_tokens", "total_tokens"), SIZE), kind=["object", "null"]
        ),
        "metadata": {"type": ["object", "null"], "additionalProperties": TEXT},
    },
)
"""What instance_level_eval_0.2.1 of every_eval_ever asks of an instance of one turn, as far as an export has it."""


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ("{", "cannot read"),
        ("[1]", "cannot read"),
        ('{"temperature": "hot"}', "states 'hot' as temperature, which cannot be; say it with --temperature"),
        ('{"max_tokens": 1.5}', "states 1.5 as max-tokens, which cannot be"),
        ('{"model": 3}', "states 3 as model, which cannot be"),
    ],
)
def test_bad_facts_in_a_data_set_are_one_line(
    facts: str, said: str, rows: list[dict[str, Any]], refused: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "set").mkdir()
    table = pa.Table.from_pylist(rows).replace_schema_metadata({"bon_eval": facts})
    pq.write_table(table, tmp_path / "set" / "part.parquet")
    assert said in refused(tmp_path / "set")


@pytest.mark.parametrize("form", ["every-eval-ever", "dataset"])
def test_a_run_that_is_exported_comes_back_graded_the_same(
    form: str, full_rows: list[dict[str, Any]], write: Callable[..., Path], bring: Callable[..., Result], tmp_path: Path
) -> None:
    assert bring(write(full_rows), "--temperature", "0.7", "--max-tokens", "99", "--model", "org/m").exit_code == 0
    out = tmp_path / "out"
    done = CliRunner().invoke(main, ["export", str(tmp_path / "run"), "--format", form, "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert ("temperature and limit of tokens (say them again with import" in done.output) == (form != "dataset")
    shutil.move(tmp_path / "run", tmp_path / "before")
    again = bring(out)
    assert again.exit_code == 0, again.output
    assert "the source's own agree on 60 of 60 responses" in again.output
    one, other = load_run(tmp_path / "before"), load_run(tmp_path / "run")
    for name in ("correct", "unscored", "log_likelihood"):
        assert (getattr(one.pool, name) == getattr(other.pool, name)).all()
        assert (getattr(one.greedy, name) == getattr(other.greedy, name)).all()
    same = [run.pool.answer_class[:, :, None] == run.pool.answer_class[:, None] for run in (one, other)]
    assert (same[0] == same[1]).all()  # the numbers of the classes are by the order in which responses lie
    texts = [{(r.problem_id, r.arm, r.index): r.text for r in iter_responses(run.path)} for run in (one, other)]
    assert texts[0] == texts[1]
    config = other.meta["config"]
    assert config["model"] == "org/m"
    if form == "every-eval-ever":
        for file in out.iterdir():
            for row in file.read_text(encoding="utf-8").splitlines():
                jsonschema.validate(json.loads(row), INSTANCE)
    if form == "dataset":
        from datasets import load_dataset

        assert (config["temperature"], config["max_tokens"]) == (0.7, 99)

        rows = load_dataset(str(out), split="sample", cache_dir=str(tmp_path / "cache"))
        assert len(rows) == 12
        assert not other.pool.absent
