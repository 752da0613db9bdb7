"""The demo: its command, its committed report and what the README shows of it are one run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bon_eval.draws import DrawSpec, parse_draws

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = README.split("```text\n")[1].split("```")[0]
REPORT: dict[str, Any] = json.loads((ROOT / "results" / "demo" / "report.json").read_text(encoding="utf-8"))


def line_of(name: str, accuracy: dict[str, Any]) -> str:
    low, high = accuracy["accuracy_low"], accuracy["accuracy_high"]
    return rf"{re.escape(name)} +{accuracy['accuracy']:.3f} \[{low:.2f}, {high:.2f}\]"


def test_the_makefiles_command_is_the_one_of_the_report() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    [command] = re.findall(r"/(bon-eval run --model arith-mixed .*)", makefile)
    options = dict(zip(command.split()[2::2], command.split()[3::2], strict=True))
    config = REPORT["run"]["config"]
    assert {name: str(config[name]) for name in ("model", "task", "limit", "n")} == {
        name: options.pop(f"--{name}") for name in ("model", "task", "limit", "n")
    }
    assert parse_draws([options.pop("--draw")]) == tuple(DrawSpec(**draw) for draw in config["draws"])
    assert not options
    assert command in (ROOT / "results" / "README.md").read_text(encoding="utf-8").replace("\n  ", " ")


def test_the_readme_shows_the_committed_report() -> None:
    rows = {(row["arm"], row["n"], row.get("scorer")): row for row in REPORT["arms"]}
    primary = REPORT["analysis"]["primary_scorer"]
    shown = {"greedy": rows["greedy", 1, None], "sample": rows["sample", 1, None]}
    shown |= {f"best-of-{n}": row for (arm, n, by), row in rows.items() if (arm, by) == ("best-of-n", primary)}
    shown |= {f"{arm}-of-{n}": row for (arm, n, by), row in rows.items() if arm in ("vote", "oracle") and by is None}
    assert len(shown) >= 9
    for draw in REPORT["draws"]:
        arms = {(row["arm"], row["n"], row["scorer"]): row for row in draw["arms"]}
        shown[draw["draw"]] = arms["mean", 1, None]
        shown[f"  best-of-{draw['n']}"] = arms["best-of-n", draw["n"], primary]
        shown[f"  vote-of-{draw['n']}"] = arms["vote", draw["n"], None]
    for name, row in shown.items():
        assert re.search(rf"^{line_of(name, row)}", BLOCK, re.MULTILINE), name
    for comparison in REPORT["facts"]["comparisons"]:
        assert comparison["sentence"] in " ".join(BLOCK.split())


@pytest.mark.parametrize(
    "table", ["report", "draws", "draw_pairs", "draw_curves", "draw_problems", "compute", "curves", "problems"]
)
def test_every_table_of_the_demo_is_committed(table: str) -> None:
    assert (ROOT / "results" / "demo" / f"{table}.csv").is_file()
    assert f"{table}.csv" in BLOCK
