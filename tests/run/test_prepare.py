"""Options resolved: stop strings of a style, and the parts of a run."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bon_eval.engines.models import ASSETS
from bon_eval.errors import ConfigError
from bon_eval.run.options import RunOptions
from bon_eval.run.prepare import prepare
from bon_eval.tasks.chat import ChatOptions

ROOT = Path(__file__).resolve().parents[2]


def test_plain_style_adds_its_stop_strings(tmp_path: Path) -> None:
    text = (ROOT / "tasks" / "arith.yaml").read_text(encoding="utf-8")
    task = tmp_path / "mine.yaml"
    task.write_text(text + 'stop: ["~"]\nplain:\n  stop: ["\\n\\n"]\n', encoding="utf-8")
    options = RunOptions(model="arith-mixed", task=str(task), limit=1, engine="transformers")
    assert prepare(options).config.stop == ("~", "\n\n")
    assert prepare(replace(options, task="arith")).config.stop == ()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"stop": ("",)}, "--stop and --stop-token cannot be empty"),
        ({"stop_tokens": ("", "0")}, "--stop and --stop-token cannot be empty"),
        ({"system": "a\udc80"}, "--system 'a\\\\udc80' is no UTF-8 text"),
        ({"stop": ("b", "\udc80")}, "--stop '\\\\udc80' is no UTF-8 text"),
        ({"stop_tokens": ("0", "\udc80")}, "--stop-token '\\\\udc80' is no UTF-8 text"),
        ({"chat": ChatOptions(date="2026-02-30")}, "--date '2026-02-30' is no date; give YYYY-MM-DD"),
        ({"chat": ChatOptions(date="2026-2-3")}, "--date '2026-2-3' is not written as YYYY-MM-DD; give 2026-02-03"),
    ],
)
def test_texts_that_are_none(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        RunOptions("arith-mixed", "arith", **given)


def test_a_shard_is_the_whole_run_but_for_its_name() -> None:
    options = RunOptions("arith-mixed", "arith", limit=24, n=3, engine="transformers")
    whole = prepare(options)
    split = [prepare(replace(options, shard=f"{k}/3")) for k in (1, 2, 3)]
    assert [len(p.problems) for p in split] == [9, 9, 6]
    assert sorted(p.id for part in split for p in part.problems) == sorted(p.id for p in whole.problems)
    for k, part in enumerate(split, 1):
        identity = part.config.identity()
        assert identity.pop("shard") == f"{k}/3"
        assert identity == whole.config.identity()
        assert part.directory == whole.directory.with_name(f"{whole.directory.name}.shard-{k}-of-3")
        assert part.order == tuple(p.id for p in whole.problems)
    assert "shard" not in whole.config.identity(), "runs from before shards keep their names"


@pytest.mark.parametrize("engine", ["transformers", "vllm"])
@pytest.mark.parametrize(
    ("file", "change", "given", "said"),
    [
        ("generation_config.json", {"eos_token_id": [0, 344]}, (), "token 344 (generation_config.json) is to end"),
        ("config.json", {"eos_token_id": 5000}, (), "token 5000 (config.json) is to end"),
        (
            "generation_config.json",
            {"eos_token_id": [0, False]},
            (),
            "eos_token_id is [0, False]; it must be a token id",
        ),
        ("tokenizer_config.json", {"eos_token": "<|im_end|>"}, (), "token 344 '<|im_end|>' (tokenizer) is to end"),
        ("generation_config.json", {}, ("--stop-token", "344"), "--stop-token 344 is beyond the model's 344 tokens"),
    ],
)
def test_an_end_beyond_the_vocabulary_is_found_before_weights_are_loaded(
    bon_eval_here: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
    engine: str,
    file: str,
    change: dict[str, Any],
    given: tuple[str, ...],
    said: str,
) -> None:
    model = Path(shutil.copytree(ASSETS / "arith-mixed", tmp_path / "model"))
    path = model / file
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    out = tmp_path / "run"
    job = ("--task", "arith", "--limit", 2, "--n", 2, "--engine", engine, "--out", out)
    done = bon_eval_here("run", "--model", model, *job, *given)
    assert done.returncode == 2, done.stdout
    [line] = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert said in line
    assert not out.exists()
