"""Commands on a stored run: reported with other n and scorers, graded again, without the model."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from example_run import FAST

from bon_eval.cli import main

Check = Callable[..., None]
Command = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).resolve().parents[2]


def test_a_scorer_of_token_log_probs_works_on_a_stored_run(copy: Path) -> None:
    command = ["report", str(copy), "--scorer", "min_token_logprob", "--scorer", "log_likelihood", *FAST, "--no-html"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert "by min token logprob" in result.output
    assert "report.html" not in result.output


def test_report_beyond_the_stored_pool(one_line_error: Check, copy: Path) -> None:
    one_line_error(CliRunner().invoke(main, ["report", str(copy), "--ns", "64"]), "n = 64", "pool of 6")


def test_grade_again_gives_the_same_grades(bon_eval_here: Command, one_line_error: Check, copy: Path) -> None:
    import pyarrow.parquet as pq

    before = pq.read_table(copy / "grades.parquet")
    (copy / "grades.parquet").unlink()
    one_line_error(bon_eval_here("report", copy, *FAST), "bon-eval grade")
    assert bon_eval_here("grade", copy, "--quiet").returncode == 0
    assert pq.read_table(copy / "grades.parquet").equals(before)


@pytest.mark.parametrize("limit", [["--deadline", "0"], ["--memory-mb", "1"]])
def test_limits_of_the_grader_that_make_no_sense(one_line_error: Check, copy: Path, limit: list[str]) -> None:
    before = (copy / "grades.parquet").read_bytes()
    one_line_error(CliRunner().invoke(main, ["grade", str(copy), *limit]), "deadline", "memory")
    assert (copy / "grades.parquet").read_bytes() == before


def test_scorers_are_listed() -> None:
    from bon_eval.analysis.vote_rules import VOTES
    from bon_eval.scorers import SCORERS

    listed = CliRunner().invoke(main, ["scorers"])
    scorers, _, votes = listed.output.partition("\nvotes, ")
    assert [line.split()[0] for line in scorers.splitlines()] == list(SCORERS)
    assert [line.split()[0] for line in votes.splitlines()[1:]] == list(VOTES)
    assert all(len(line.split()) > 3 for line in (*scorers.splitlines(), *votes.splitlines()[1:]))


def test_analysis_needs_no_engine(finished: Path) -> None:
    code = (
        "import sys; from bon_eval.store.reader import load_run; from bon_eval.analysis.analyse import analyse; "
        f"analyse(load_run({str(finished)!r}), draws=200); print(sorted({{m.split('.')[0] for m in sys.modules}}))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    for heavy in ("torch", "vllm", "transformers", "trl", "sympy", "datasets", "jinja2"):
        assert f"'{heavy}'" not in loaded
