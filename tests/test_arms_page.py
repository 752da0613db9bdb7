"""docs/arms.md and other pages show draws that are draws, and name what a report holds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from bon_eval.cli.scale import plan
from bon_eval.config import RunConfig
from bon_eval.draws import PARAMETERS, parse_draws

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "arms.md").read_text(encoding="utf-8")
OTHERS = "".join((ROOT / p).read_text(encoding="utf-8") for p in ("README.md", "docs/running.md"))
GIVEN = sorted(set(re.findall(r"--draw ([a-z]+=[^\s`]+)", PAGE + OTHERS)))


@pytest.mark.parametrize("text", GIVEN)
def test_every_draw_that_is_shown_is_one(text: str) -> None:
    assert parse_draws([text])


def test_grids_are_named_as_the_page_says() -> None:
    lines = re.findall(r"--draw (\S+/\S+) +# \w+(?: draws)?: (.+)", PAGE)
    assert len(lines) == 2
    for text, names in lines:
        assert [draw.name for draw in parse_draws([text])] == names.split(", ")


def test_the_yaml_blocks_hold_draws() -> None:
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
    [task, config] = blocks
    assert [draw.name for draw in parse_draws(task["draws"])] == ["low", "nucleus"]
    assert len(parse_draws(config["draw"])) == 4


def test_every_key_of_a_draw_has_a_row() -> None:
    for key in (*PARAMETERS, "n"):
        assert re.search(rf"^\| `{key}` \|", PAGE, re.MULTILINE), key


def test_what_the_page_calls_extent_is_no_part_of_the_identity() -> None:
    from example_config import CONFIG

    identity = RunConfig.identity(CONFIG)
    assert not {"n", "limit", "draws"} & identity.keys()
    assert {
        "temperature",
        "max_tokens",
        "seed",
        "engine",
        "dtype",
        "model_hash",
        "prompt_style",
        "shots",
    } <= identity.keys()
    assert "grow" in {option.name for option in plan.params}
