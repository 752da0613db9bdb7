"""An imported run in a paper: the panels and the numbers that it has, and what its source does not state."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from bon_eval.cli import main

Row = dict[str, Any]


def test_an_imported_run_has_its_single_panels_and_says_what_is_not_known(
    rows: list[Row], write: Callable[..., Path], bring: Callable[..., Result], tmp_path: Path
) -> None:
    assert bring(write(rows), "--model", "org/x_1").exit_code == 0
    run = tmp_path / "run"
    assert CliRunner().invoke(main, ["report", str(run), "--no-html"]).exit_code == 0
    done = CliRunner().invoke(main, ["figures", str(run), "--latex"])
    assert done.exit_code == 0, done.output
    assert done.stderr == ""
    files = {path.name for path in (run / "paper").iterdir()}
    assert files == {"accuracy.pdf", "accuracy.svg", "arms.tex", "methods.txt", "methods.tex"}
    said = (run / "paper" / "methods.txt").read_text()
    assert "sampled by another program and imported from" in said
    assert "The source does not state the temperature, the limit of tokens, log-likelihoods, numbers of tokens" in said
    for unsaid in ("greedily", "Best-of-n", "seed None", "None", "vLLM", "top_p", "sampled with bon-eval"):
        assert unsaid not in said, unsaid
    table = (run / "paper" / "arms.tex").read_text()
    assert "over one sample, points" in table
    assert "over greedy" not in table
    for arm in json.loads((run / "report.json").read_text())["arms"]:
        assert f"${100 * arm['accuracy']:.1f}$" in table


def test_a_source_that_states_all_has_all(
    full_rows: list[Row], write: Callable[..., Path], bring: Callable[..., Result], tmp_path: Path
) -> None:
    options = ("--temperature", "1", "--max-tokens", "64")
    assert bring(write(full_rows), "--model", "org/full", *options).exit_code == 0
    done = CliRunner().invoke(main, ["figures", str(tmp_path / "run"), "--latex"])
    assert done.exit_code == 0, done.output
    folder = tmp_path / "run" / "paper"
    assert (folder / "panels.pdf").is_file()
    said = (folder / "methods.txt").read_text()
    assert "4 responses to each problem, and one greedy response." in said
    assert "As sampled: temperature 1, at most 64 tokens." in said
    assert "does not state" not in said
    assert "Log-likelihoods are sums of the token log-probs that the source states." in said
