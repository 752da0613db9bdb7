"""The run of three problems that tests/analysis/test_analyse.py works out by hand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bon_eval.analysis.analyse import analyse
from bon_eval.analysis.results import Analysis
from bon_eval.records import Pool, Problem

_DTYPES = {
    "log_likelihood": np.float64,
    "n_tokens": np.int32,
    "truncated": np.bool_,
    "correct": np.bool_,
    "unscored": np.bool_,
    "answer_class": np.int32,
}


@dataclass(frozen=True)
class HandRun:
    meta: dict[str, Any]
    problems: tuple[Problem, ...]
    greedy: Pool
    pool: Pool
    grader: dict[str, str]


def pool_of(stored: dict[str, Any]) -> Pool:
    arrays: dict[str, Any] = {name: np.array(stored[name], dtype=dtype) for name, dtype in _DTYPES.items()}
    return Pool(problem_ids=tuple(stored["problem_ids"]), **arrays)


@pytest.fixture
def run() -> HandRun:
    """Three problems with a pool of four, worked out by hand below."""
    stored = json.loads((Path(__file__).parent.parent / "hand_run.json").read_text(encoding="utf-8"))
    return HandRun(
        meta=stored["meta"],
        problems=tuple(Problem(p["id"], {"question": "q"}, p["gold"]) for p in stored["problems"]),
        greedy=pool_of(stored["greedy"]),
        pool=pool_of(stored["pool"]),
        grader={"name": "gsm8k", "version": "1"},
    )


@pytest.fixture
def analysis(run: HandRun) -> Analysis:
    return analyse(run)
