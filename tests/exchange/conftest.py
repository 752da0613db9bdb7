"""Sources of responses to the embedded task, made by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bon_eval.cli import main
from bon_eval.records import Problem
from bon_eval.tasks.load import load_task
from bon_eval.tasks.problems import load_problems

Row = dict[str, Any]


@pytest.fixture(scope="session")
def problems() -> tuple[Problem, ...]:
    """The first problems of the task arith."""
    return load_problems(load_task("arith"), limit=12)


@pytest.fixture
def rows(problems: Sequence[Problem]) -> list[Row]:
    """A row for each response: four to each of twelve problems, the first one right; the last two texts alike."""
    texts = ("#### {gold}", "so it is\n#### 99999", "#### -1", "#### -1")
    return [
        {"id": p.id, "question": p.fields["question"], "text": text.format(gold=p.gold)}
        for p in problems
        for text in texts
    ]


@pytest.fixture
def full_rows(rows: list[Row], problems: Sequence[Problem]) -> list[Row]:
    """The same with all that a source can state, and a greedy response to each problem."""
    found = []
    for k, row in enumerate(rows):
        logprobs = [-0.25 * (1 + k % 4), -0.5]
        stated = {"gold": problems[k // 4].gold, "token_ids": [5, 6], "token_logprobs": logprobs, "arm": "sample"}
        found.append(row | stated | {"finish_reason": "stop", "log_likelihood": math.fsum(logprobs)})
    greedy = [row | {"arm": "greedy"} for row in found[1::4]]
    return found + greedy


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """(rows, name="source.jsonl") -> a file of them, a row a line."""

    def written(rows: Sequence[Row], name: str = "source.jsonl") -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return written


@pytest.fixture
def bring(tmp_path: Path) -> Callable[..., Result]:
    """(source, *options) -> what `bon-eval import` did, into tmp_path / "run"."""

    def imported(*arguments: object, task: str = "arith", out: Path | None = None) -> Result:
        target = out or tmp_path / "run"
        return CliRunner().invoke(
            main, ["import", *map(str, arguments), "--task", task, "--out", str(target), "--quiet"]
        )

    return imported


@pytest.fixture
def refused(bring: Callable[..., Result], tmp_path: Path) -> Callable[..., str]:
    """(source, *options) -> the one line with which an import was refused; nothing is left behind."""

    def line(*arguments: object, **more: Any) -> str:
        before = sorted(tmp_path.rglob("*"))
        result = bring(*arguments, **more)
        assert result.exit_code == 2, result.output
        text = result.stderr.strip()
        assert text.startswith("error: ")
        assert "\n" not in text
        assert sorted(tmp_path.rglob("*")) == before
        return text

    return line
