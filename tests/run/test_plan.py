"""The cost of a run: worked out by hand, and against a run that was made."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from bon_eval.cli import main
from bon_eval.errors import ConfigError
from bon_eval.run.plan import Figure, Job, Rates, make_plan
from bon_eval.store.reader import iter_responses

JOBS = [
    Job("a", ("0", "1", "2"), (10, 20, 30), {"greedy": 1, "sample": 4}, 100),
    Job("b", ("x",), (5,), {"greedy": 1, "sample": 9}, 10),
]


def test_the_numbers_by_hand() -> None:
    plan = make_plan(JOBS, Rates(Figure(50.0, "given"), Figure(20.0, "given"), Figure(7.0, "given")))
    assert (plan.problems, plan.requests, plan.responses) == (4, 8, 3 * 5 + 10)
    assert (plan.prompt_tokens, plan.longest_prompt) == (2 * 65, 30)
    assert plan.most_tokens == 15 * 100 + 10 * 10
    # Responses of b are cut at 10 tokens whatever the mean is.
    assert plan.tokens.value == 15 * 20 + 10 * 10
    assert plan.hours is not None
    assert plan.hours.value == pytest.approx(400 / 50 / 3600)
    assert plan.disk_bytes.value == 25 * 7
    assert plan.shard_hours == plan.hours.value


def test_without_rates_there_is_a_bound_and_no_time() -> None:
    plan = make_plan(JOBS, Rates())
    assert plan.tokens.value == plan.most_tokens == 1600
    assert plan.hours is None
    assert plan.disk_bytes.value == 7 * 1600


def test_the_largest_shard_decides() -> None:
    # Of 0 .. 7 in four shards: 1, 2, 3, 4, 3, 4, 4, 3 (see `shard_index`).
    job = Job("a", tuple(map(str, range(8))), (1,) * 8, {"greedy": 1, "sample": 1}, 10)
    plan = make_plan([job], Rates(Figure(1.0, "given")), shards=4)
    assert plan.largest_shard == 3
    assert plan.hours is not None
    assert plan.shard_hours == pytest.approx(plan.hours.value * 3 / 8)


@pytest.mark.parametrize(
    ("jobs", "rates", "shards", "named"),
    [
        ([], Rates(), 1, "no problem"),
        (JOBS, Rates(), 0, "--shards must be at least 1"),
        ([replace(JOBS[0], draws={"greedy": 1, "sample": -3})], Rates(), 1, "--n must be at least 1, got -3"),
        ([replace(JOBS[0], max_tokens=0)], Rates(), 1, "--max-tokens must be at least 1, got 0"),
        (JOBS, Rates(Figure(0.0, "given")), 1, "tokens per second must be above 0"),
        (JOBS, Rates(None, Figure(-1.0, "given")), 1, "tokens per response must be above 0"),
    ],
)
def test_plans_that_make_no_sense(jobs: list[Job], rates: Rates, shards: int, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        make_plan(jobs, rates, shards)


def test_a_plan_like_a_run_is_that_run(tmp_path: Path) -> None:
    out = tmp_path / "run"
    job = ["--model", "arith-mixed", "--task", "arith", "--limit", "12", "--n", "4"]
    done = CliRunner().invoke(
        main, ["run", *job, "--engine", "transformers", "--out", str(out), "--quiet", "--draws", "100", "--no-html"]
    )
    assert done.exit_code == 0, done.output
    rows = list(iter_responses(out))
    [session] = json.loads((out / "run.json").read_text())["sessions"]
    shown = CliRunner().invoke(main, ["plan", *job, "--like", str(out), "--json"])
    assert shown.exit_code == 0, shown.output
    plan = json.loads(shown.output)
    assert plan["responses"] == len(rows) == session["responses"]
    assert plan["tokens"]["value"] == pytest.approx(sum(r.n_tokens for r in rows))
    assert plan["prompt_tokens"] == session["prompt_tokens"]
    assert plan["hours"]["value"] == pytest.approx(session["seconds"] / 3600)
    assert plan["disk_bytes"]["value"] == pytest.approx(sum(p.stat().st_size for p in (out / "responses").iterdir()))
    text = CliRunner().invoke(main, ["plan", *job, "--tokens-per-second", "100", "--shards", "3"]).output
    assert "at 100 generated tokens/s, as given" in text
    assert "of 12 problems in the largest of 3" in text
