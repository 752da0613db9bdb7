"""Runs that grow, on a real engine: in n, in problems, in draws, killed in between, and in every form of run."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from held_run import HeldRun
from toy_server import Toy, toy_server

from bon_eval.cli import main
from bon_eval.engines.models import ASSETS
from bon_eval.store.reader import iter_responses, load_run
from bon_eval.store.writer import read_meta
from bon_eval.tasks.load import load_task
from bon_eval.tasks.problems import load_problems

BASE = ["run", "--model", "arith-mixed", "--task", "arith", "--engine", "transformers", "--draws", "100", "--quiet"]
LOW = ["--draw", "low=temperature:0.3,n:2"]
NUCLEUS = ["--draw", "nucleus=temperature:1.2,top_p:0.8,n:3"]
WHOLE = ["--n", "5", "--limit", "6", *LOW, *NUCLEUS]

Rows = dict[tuple[str, str, int], tuple[tuple[int, ...], tuple[float, ...]]]


def run(out: Path, *args: str, base: Sequence[str] = BASE) -> str:
    done = CliRunner().invoke(main, [*base, "--out", str(out), *args], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def fails(out: Path, *args: str) -> str:
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file() and p.name != "run.lock"}
    done = CliRunner().invoke(main, [*BASE, "--out", str(out), *args], catch_exceptions=False)
    assert done.exit_code == 2, done.output
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file() and p.name != "run.lock"} == before
    [line] = done.stderr.strip().splitlines()
    return line


def rows(out: Path) -> Rows:
    found = [((r.problem_id, r.arm, r.index), (r.token_ids, r.token_logprobs)) for r in iter_responses(out)]
    assert len(dict(found)) == len(found)
    return dict(found)


def keys(n: int, limit: int, **draws: int) -> set[tuple[str, str, int]]:
    of = {"greedy": 1, "sample": n, **draws}
    return {(str(p), draw, k) for p in range(limit) for draw, size in of.items() for k in range(size)}


@pytest.fixture(scope="module")
def at_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("growth") / "at-once"
    run(out, *WHOLE)
    return out


def step(out: Path, kept: Rows, args: Sequence[str], expected: set[tuple[str, str, int]]) -> Rows:
    run(out, *args)
    now = rows(out)
    assert set(now) == expected
    assert all(now[key] == kept[key] for key in now.keys() & kept.keys()), "what was there has changed"
    return kept | now


@pytest.mark.slow
def test_in_any_order_it_is_in_extent_the_run_that_was_made_at_once(at_once: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    kept = step(out, {}, ["--n", "2", "--limit", "3"], keys(2, 3))
    kept = step(out, kept, ["--n", "2", "--limit", "5", *NUCLEUS], keys(2, 5, nucleus=3))
    kept = step(out, kept, ["--n", "4", "--limit", "3"], keys(4, 3))
    kept = step(out, kept, ["--n", "1", "--limit", "2", *LOW], keys(1, 2, low=2))
    kept = step(out, kept, WHOLE, keys(5, 6, low=2, nucleus=3))
    grown, whole = load_run(out), load_run(at_once)
    assert set(rows(out)) == set(rows(at_once)) == set(kept)
    assert grown.problems == whole.problems
    assert {d: p.log_likelihood.shape for d, p in grown.draws.items()} == {
        d: p.log_likelihood.shape for d, p in whole.draws.items()
    }
    meta, other = read_meta(out), read_meta(at_once)
    assert meta["identity"] == other["identity"]
    changed = {"sessions", "versions", "engine"}
    assert {k: v for k, v in meta.items() if k not in changed} == {k: v for k, v in other.items() if k not in changed}
    assert len({session["seed"] for session in meta["sessions"]}) == len(meta["sessions"]) == 5
    report = json.loads((out / "report.json").read_text())
    assert report["run"]["extents"][0] == "3 problems: greedy 1, sample 2"
    assert len(report["run"]["extents"]) == 5
    assert [draw["draw"] for draw in report["draws"]] == ["low", "nucleus"]
    greedy = {key: row[0] for key, row in rows(out).items() if key[1] == "greedy"}
    assert greedy == {key: row[0] for key, row in rows(at_once).items() if key[1] == "greedy"}


@pytest.mark.slow
def test_a_run_that_is_killed_while_it_grows_loses_nothing(tmp_path: Path) -> None:
    out = tmp_path / "run"
    run(out, "--n", "2", "--limit", "4")
    kept = rows(out)
    larger = ["--n", "24", "--limit", "24", *LOW]
    for _ in range(2):
        HeldRun(out, 1, *BASE, "--out", str(out), *larger).killed()
        stored = rows(out)
        assert all(stored[key] == row for key, row in kept.items())
        assert len(stored) > len(kept)
        kept = stored
    assert set(kept) < keys(24, 24, low=2)
    step(out, kept, ["--n", "3", "--limit", "5"], keys(3, 5))
    step(out, kept, larger, keys(24, 24, low=2))


def test_what_cannot_grow_is_one_line_and_nothing_is_written(at_once: Path) -> None:
    assert "draw 'low' is stored with other parameters (temperature 0.3 -> 0.4)" in fails(
        at_once, "--n", "5", "--limit", "6", "--draw", "low=temperature:0.4,n:2"
    )
    assert "holds another run (temperature: 1.0 -> 0.9)" in fails(at_once, *WHOLE, "--temperature", "0.9")
    assert "holds another run (max_tokens: " in fails(at_once, *WHOLE, "--max-tokens", "9")
    assert "'greedy' cannot name a draw" in fails(at_once, *WHOLE, "--draw", "greedy=temperature:1,n:2")


@pytest.mark.slow
def test_shards_grow_and_merge(tmp_path: Path) -> None:
    def shard(k: int, *args: str) -> Path:
        out = tmp_path / f"part-{k}"
        run(out, "--shard", f"{k}/2", *args)
        return out

    small, large = ["--n", "2", "--limit", "4"], ["--n", "3", "--limit", "6", *LOW]
    parts = [shard(k, *small) for k in (1, 2)]
    kept = rows(parts[0]) | rows(parts[1])
    shard(1, *large)
    done = CliRunner().invoke(main, ["merge", *map(str, parts), "--out", str(tmp_path / "whole")])
    assert done.exit_code == 2
    assert "are not equally far" in done.stderr
    shard(2, *large)
    done = CliRunner().invoke(main, ["merge", *map(str, parts), "--out", str(tmp_path / "whole")])
    assert done.exit_code == 0, done.output
    whole = rows(tmp_path / "whole")
    assert set(whole) == keys(3, 6, low=2)
    assert all(whole[key] == row for key, row in kept.items())
    kept = step(tmp_path / "whole", whole, ["--n", "4", "--limit", "7", *LOW], keys(4, 7, low=2))
    step(tmp_path / "whole", kept, small, keys(2, 4))


def test_a_task_and_a_file_of_options_hold_draws(at_once: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    run(out, "--config", str(at_once / "run.json"))
    assert set(rows(out)) == keys(5, 6, low=2, nucleus=3)
    (tmp_path / "run.yaml").write_text("n: 2\nlimit: 2\ndraw: ['low=temperature:0.3,n:2']\n")
    run(out, "--config", str(tmp_path / "run.yaml"))
    assert set(rows(out)) == keys(2, 2, low=2)


@pytest.mark.slow
def test_rows_that_are_there_twice_are_said(tmp_path: Path) -> None:
    rows_of = [dict(p.fields) | {"source": str(k)} for k, p in enumerate(load_problems(load_task("arith"), limit=3))]
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in [*rows_of, *rows_of[:2]]))
    more = ["--n", "2", "--data", str(data)]
    said = " ".join(run(tmp_path / "run", *more).split())
    assert "caution: 2 problems of the run have the prompt of another one before" in said
    assert "the prompt of another" not in run(tmp_path / "run", *more, "--limit", "3")
    assert "the prompt of another" not in run(tmp_path / "run", *more, "--cluster", "question")
    for k in (1, 2):
        run(tmp_path / f"part-{k}", "--shard", f"{k}/2", *more)
    merged = ["merge", str(tmp_path / "part-1"), str(tmp_path / "part-2"), "--out", str(tmp_path / "whole")]
    done = CliRunner().invoke(main, [*merged, "--no-html"], catch_exceptions=False)
    assert "caution: 2 problems of the run have the prompt" in " ".join(done.output.split())


@pytest.mark.slow
def test_a_run_through_a_server_grows(bon_eval: Callable[..., Any], tmp_path: Path) -> None:
    out = tmp_path / "run"
    with toy_server(Toy({9: 5.0, 8: 3.0, 7: 2.0, 6: 2.0, 5: 2.0, 0: 1.0})) as url:
        served = ["--base-url", url, "--model", ASSETS / "arith-mixed", "--engine-arg", "served_model=toy"]
        base = ["run", *served, "--task", "arith", "--max-tokens", 30, "--draws", 100, "--no-html", "--out", out]
        kept: Rows = {}
        for args, expected in (
            (["--n", 2, "--limit", 3], keys(2, 3)),
            (["--n", 4, "--limit", 5, "--draw", "low=temperature:0.5,n:2"], keys(4, 5, low=2)),
            (["--n", 3, "--limit", 2], keys(3, 2)),
        ):
            done = bon_eval(*base, *args)
            assert done.returncode == 0, done.stderr
            now = rows(out)
            assert set(now) == expected
            assert all(now[key] == kept[key] for key in now.keys() & kept.keys())
            kept |= now
