"""The cost of a run: worked out by hand, and against a run that was made."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bon_eval.cli import main
from bon_eval.errors import ConfigError
from bon_eval.run.plan import Figure, Job, Rates, make_plan, render
from bon_eval.store.extent import Held
from bon_eval.store.reader import iter_responses

ROOT = Path(__file__).resolve().parents[2]
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
    assert plan.stored == 0


def test_every_draw_is_a_request_of_its_own() -> None:
    plan = make_plan([replace(JOBS[0], draws={"greedy": 1, "sample": 4, "low": 3})], Rates())
    assert (plan.requests, plan.responses, plan.prompt_tokens) == (9, 3 * 8, 3 * 60)


def held(responses: dict[tuple[str, str], int]) -> Held:
    stored = Held()
    for (problem, draw), n in responses.items():
        stored.add(problem, draw, range(n))
    return stored


def test_what_a_run_holds_is_not_counted_again() -> None:
    # Of problem 0 all is there, of problem 1 three of four samples are missing, of problem 2 greedy alone; what is
    # stored beyond the plan (a larger pool, another draw, another problem) is no part of it.
    stored = {("0", "greedy"): 1, ("0", "sample"): 9, ("0", "low"): 2, ("1", "greedy"): 1, ("1", "sample"): 1}
    stored |= {("2", "sample"): 4, ("7", "greedy"): 1}
    job = replace(JOBS[0], stored=held(stored))
    plan = make_plan([job], Rates(Figure(50.0, "given"), Figure(20.0, "given"), Figure(7.0, "given")))
    assert (plan.problems, plan.requests, plan.responses, plan.stored) == (2, 2, 3 + 1, 11)
    assert (plan.prompt_tokens, plan.longest_prompt) == (20 + 30, 30)
    assert (plan.most_tokens, plan.tokens.value, plan.disk_bytes.value) == (400, 80, 28)
    assert plan.hours is not None
    assert plan.hours.value == pytest.approx(80 / 50 / 3600)
    # Problems 0, 1, 2 are in shards 1, 2, 3 of four: the largest has three of the four responses.
    split = make_plan([job], Rates(Figure(1.0, "given")), shards=4)
    assert split.hours is not None
    assert split.shard_hours == pytest.approx(split.hours.value * 3 / 4)
    assert split.largest_shard == 1
    text = render("title", plan)
    assert "11 more are stored and stay" in text


def test_where_all_is_stored_there_is_nothing_to_sample() -> None:
    whole = held({(problem, draw): 4 for problem in "012" for draw in ("greedy", "sample")})
    plan = make_plan([replace(JOBS[0], stored=whole)], Rates(Figure(1.0, "given")))
    assert (plan.requests, plan.responses, plan.tokens.value, plan.stored, plan.shard_hours) == (0, 0, 0, 15, 0)
    assert render("title", plan) == "title\n  nothing to sample: all 15 responses are stored\n"


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


RUN = ["--model", "arith-mixed", "--task", "arith"]


def call(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


def sample(out: Path, *args: object) -> None:
    shown = ["--engine", "transformers", "--out", out, "--quiet", "--draws", 100, "--no-html"]
    done = call("run", *RUN, *args, *shown)
    assert done.exit_code == 0, done.output


def planned(*args: object) -> dict[str, Any]:
    done = call("plan", *RUN, *args, "--json")
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_plan_like_a_run_is_that_run(tmp_path: Path) -> None:
    out = tmp_path / "run"
    job = ["--limit", "12", "--n", "4"]
    sample(out, *job)
    rows = list(iter_responses(out))
    [session] = json.loads((out / "run.json").read_text())["sessions"]
    plan = planned(*job, "--like", out)
    assert plan["responses"] == len(rows) == session["responses"]
    assert plan["tokens"]["value"] == pytest.approx(sum(r.n_tokens for r in rows))
    assert plan["prompt_tokens"] == session["prompt_tokens"]
    assert plan["hours"]["value"] == pytest.approx(session["seconds"] / 3600)
    assert plan["disk_bytes"]["value"] == pytest.approx(sum(p.stat().st_size for p in (out / "responses").iterdir()))
    text = call("plan", *RUN, *job, "--tokens-per-second", 100, "--shards", 3).output
    assert "at 100 generated tokens/s, as given" in text
    assert "of 12 problems in the largest of 3" in text


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight problems, two samples and a draw."""
    out = tmp_path_factory.mktemp("plan") / "run"
    sample(out, "--limit", 8, "--n", 2, "--draw", "low=temperature:0.5,n:2")
    return out


def test_a_plan_of_growth_is_what_the_session_that_grows_samples(stored: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(stored, out)
    grown = ["--limit", 10, "--n", 3, "--draw", "low=temperature:0.5,n:2", "--draw", "cut=top_p:0.9,n:2"]
    plan = planned(*grown, "--grow", out)
    sample(out, *grown)
    first, second = json.loads((out / "run.json").read_text())["sessions"]
    assert plan["responses"] == second["responses"] == 8 * (1 + 2) + 2 * 8
    assert plan["prompt_tokens"] == second["prompt_tokens"]
    assert plan["stored"] == first["responses"] == 8 * 5
    assert (plan["problems"], plan["requests"]) == (10, 8 * 2 + 2 * 4)
    assert str(out) in plan["tokens"]["source"], "the lengths are those of the run that grows"
    text = call("plan", *RUN, *grown, "--grow", out).output
    assert "nothing to sample: all 80 responses are stored" in text


def test_a_smaller_plan_has_nothing_to_sample_and_writes_nothing(stored: Path) -> None:
    before = {path: path.read_bytes() for path in stored.rglob("*") if path.is_file()}
    plan = planned("--limit", 5, "--n", 1, "--grow", stored)
    assert (plan["responses"], plan["stored"], plan["problems"], plan["longest_prompt"]) == (0, 10, 0, 0)
    assert {path: path.read_bytes() for path in stored.rglob("*") if path.is_file()} == before


def test_shards_grow_by_the_plan(tmp_path: Path) -> None:
    shards = [tmp_path / "one", tmp_path / "two"]
    for k, out in enumerate(shards, 1):
        sample(out, "--limit", 6, "--n", 1, "--shard", f"{k}/2")
    both = [arg for out in shards for arg in ("--grow", out)]
    plan = planned("--limit", 8, "--n", 2, "--shards", 2, *both)
    assert (plan["stored"], plan["responses"]) == (12, 8 * 3 - 12)
    done = call("plan", *RUN, "--limit", 8, "--n", 2, *both)
    assert done.exit_code == 2
    assert "is shard 1/2, and runs keep their split; give --shards 2" in done.stderr


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["--n", 2, "--draw", "low=temperature:0.25,n:2"], r"draw 'low' is stored with other parameters .*0.5 -> 0.25"),
        (["--n", 2, "--max-tokens", 64], r"of another run \(max_tokens: 128 -> 64\)"),
        (["--n", 2, "--seed", 1], r"of another run \(seed: 0 -> 1\)"),
        (["--n", 2, "--shards", 2], r"is a whole run, and runs keep their split; give --shards 1"),
        (["--n", 2, "--grow", "STORED"], r"are the same part of arith; give it once"),
        (["--n", 2, "--task", "svamp"], r"is of task arith, and the plan is of svamp"),
    ],
)
def test_runs_that_cannot_grow_into_the_plan(stored: Path, args: list[object], named: str) -> None:
    done = call("plan", *RUN, *(stored if arg == "STORED" else arg for arg in args), "--grow", stored)
    assert done.exit_code == 2
    [line] = done.stderr.splitlines()
    assert re.search(named, line), line


def test_other_data_and_older_runs_cannot_grow(stored: Path, tmp_path: Path) -> None:
    source = ROOT / "bon_eval" / "assets" / "arith" / "test.jsonl"
    rows = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()[:9]]
    rows[3]["question"] = rows[3]["question"].replace("?", "??")
    data = tmp_path / "test.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    done = call("plan", *RUN, "--n", 2, "--data", data, "--grow", stored)
    assert done.exit_code == 2
    assert "holds another problem" in done.stderr
    older = tmp_path / "older"
    shutil.copytree(stored, older)
    meta = json.loads((older / "run.json").read_text())
    (older / "run.json").write_text(json.dumps(meta | {"format": 1}))
    done = call("plan", *RUN, "--n", 2, "--grow", older)
    assert done.exit_code == 2
    assert "in run format 1, in which runs cannot go on or grow" in done.stderr
