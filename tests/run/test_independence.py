"""Replicas that share a seed, and honest repeats, through a server of the tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from toy_server import Toy, toy_server

from bon_eval.engines.models import ASSETS

pytestmark = pytest.mark.slow
Command = Callable[..., Any]
LONG = Toy({9: 5.0, 8: 3.0, 7: 2.0, 6: 2.0, 5: 2.0, 0: 1.0})
SHORT = Toy({0: 9.0, 9: 1.0})
"""Nine of ten responses are the end alone."""


def arguments(url: str, out: Path, *more: object, concurrency: int = 24) -> list[object]:
    served = ["--base-url", url, "--model", ASSETS / "arith-mixed", "--engine-arg", "served_model=toy"]
    parts = ["--engine-arg", "max_n=4", "--engine-arg", f"concurrency={concurrency}", "--engine-arg", "patience=2"]
    job = ["--task", "arith", "--limit", 8, "--n", 16, "--max-tokens", 40, "--draws", 200]
    return ["run", *served, *parts, *job, "--out", out, *more]


@pytest.fixture(scope="module")
def run(bon_eval: Command) -> Command:
    """In processes of their own, since a run through a server leaves torch out of its process."""
    return bon_eval


def test_replicas_with_one_seed_are_refused_and_are_after_a_resume(run: Command, tmp_path: Path) -> None:
    """Two servers behind a router, each with the draws of seed 0: every second part repeats the one before."""
    with toy_server(LONG, replicas=lambda request: request // 2) as url:
        done = run(*arguments(url, tmp_path / "run"))
    assert done.returncode == 2
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert "--seed" in last
    with toy_server(LONG, replicas=lambda request: 7 + request // 3) as url:
        again = run(*arguments(url, tmp_path / "run"))
    assert again.returncode == 2, "what was stored is still there, and the draws repeat"
    assert "--seed" in again.stderr.strip().splitlines()[-1]
    with toy_server(LONG) as url:
        assert run(*arguments(url, tmp_path / "run", "--fresh")).returncode == 0


def test_shifted_repeats_within_a_pool_are_refused(run: Command, tmp_path: Path) -> None:
    """Three of four draws of each part come again, in another place."""

    def play(body: dict[str, Any], answer: dict[str, Any]) -> Any:
        if body.get("n") == 4 and body["max_tokens"] == 40:
            kept.append(answer["choices"])
            if len(kept) % 2 == 0:
                for k in range(3):
                    answer["choices"][k + 1] = kept[-2][k] | {"index": k + 1}
                made = sum(len(c["token_ids"]) for c in answer["choices"])
                answer["usage"]["completion_tokens"] = made
        return answer

    kept: list[list[dict[str, Any]]] = []
    with toy_server(LONG, play) as url:
        done = run(*arguments(url, tmp_path / "run", concurrency=4))
    assert done.returncode == 2
    assert "error: draws repeat each other: " in done.stderr
    assert "token for token, where the model's own log-likelihoods explain" in done.stderr


@pytest.mark.parametrize("model", [LONG, SHORT])
def test_independent_draws_run_to_the_end(model: Toy, run: Command, tmp_path: Path) -> None:
    with toy_server(model) as url:
        done = run(*arguments(url, tmp_path / "run"))
    assert done.returncode == 0, done.stderr
