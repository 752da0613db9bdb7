"""A run as benchmarks/report.py stores it: loaded in batches, with every token log-prob in its place."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from bon_eval.scorers import get_scorer
from bon_eval.store.reader import iter_responses, load_run

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "report.py"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("report_benchmark", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_token_log_probs_lie_where_their_response_is(benchmark: ModuleType, tmp_path: Path) -> None:
    benchmark.write_run(tmp_path / "run", 70, 5, 12)
    run = load_run(tmp_path / "run", token_logprobs=True)
    assert run.pool.token_logprobs is not None
    assert run.pool.correct_strict is not None
    assert (run.pool.correct_strict <= (run.pool.correct | run.pool.unscored)).all()
    row_of = {problem_id: row for row, problem_id in enumerate(run.pool.problem_ids)}
    lowest = {
        arm: get_scorer("min_token_logprob").over(pool) for arm, pool in (("greedy", run.greedy), ("sample", run.pool))
    }
    distinct: dict[str, set[str]] = {}
    count = 0
    for response in iter_responses(tmp_path / "run"):
        row = row_of[response.problem_id]
        assert lowest[response.arm][row, response.index] == np.float32(min(response.token_logprobs))
        if response.arm == "sample":
            distinct.setdefault(response.problem_id, set()).add(response.text)
        count += 1
    assert count == 70 * 6
    assert run.duplicates.tolist() == [1 - len(distinct[problem_id]) / 5 for problem_id in run.pool.problem_ids]
    assert load_run(tmp_path / "run").pool.token_logprobs is None


@pytest.mark.slow
def test_the_benchmark_prints_its_ratios() -> None:
    command = [sys.executable, str(SCRIPT), "--problems", "6", "12", "--n", "4", "--tokens", "8"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    assert len(lines) == 2
    assert re.search(r"12 problems x 4 x 8 tokens .* x the memory for 2.00 x the responses", lines[1])
