"""Options resolved: stop strings of a style, and the parts of a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bon_eval.errors import ConfigError
from bon_eval.run.options import RunOptions
from bon_eval.run.prepare import prepare

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
