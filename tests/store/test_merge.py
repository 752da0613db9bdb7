"""Shards of a run and their merge, through the command line on the transformers engine."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from bon_eval.cli import main
from bon_eval.config import digest, shard_index
from bon_eval.errors import StoreError
from bon_eval.run.options import RunOptions
from bon_eval.run.prepare import prepare
from bon_eval.store import parts
from bon_eval.store.merge import merge_shards
from bon_eval.store.reader import iter_responses, load_run, stored_parts, stored_problems
from bon_eval.store.writer import read_meta

ROOT = Path(__file__).resolve().parents[2]
JOB = ["--model", "arith-mixed", "--task", "arith", "--limit", "24", "--n", "3", "--engine", "transformers"]
JOB += ["--draws", "100", "--no-html"]
OPTIONS = RunOptions("arith-mixed", "arith", limit=24, n=3, engine="transformers")
SIZES = {1: 9, 2: 9, 3: 6}
"""Problems 0 to 23 in three shards, by `shard_index`."""


def run(*args: str | Path) -> str:
    done = CliRunner().invoke(main, [*map(str, args), "--quiet"])
    assert done.exit_code == 0, done.output
    return done.output


def refused(*args: str | Path) -> str:
    done = CliRunner().invoke(main, [*map(str, args)])
    assert done.exit_code == 2, done.output
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return line


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("shards")
    found = [folder / f"whole.shard-{k}-of-3" for k in (1, 2, 3)]
    for k, path in enumerate(found, 1):
        run("run", *JOB, "--shard", f"{k}/3", "--out", path)
    return found


def copies(shards: list[Path], folder: Path) -> list[Path]:
    return [Path(shutil.copytree(path, folder / path.name)) for path in shards]


def test_each_shard_is_an_ordinary_run_with_a_stream_of_its_own(shards: list[Path]) -> None:
    seeds = set()
    for k, path in enumerate(shards, 1):
        stored = load_run(path)
        assert len(stored.pool.problem_ids) == SIZES[k]
        seeds |= {session["seed"] for session in read_meta(path)["sessions"]}
        done = CliRunner().invoke(main, ["report", str(path), "--draws", "100", "--no-html"])
        assert f"shard {k}/3: a part of the problems" in done.output
    assert len(seeds) == 3
    assert prepare(OPTIONS).config.seed not in seeds


def test_merged_shards_are_the_run(shards: list[Path], tmp_path: Path) -> None:
    given = copies(shards, tmp_path)
    shown = run("merge", *given[::-1])
    whole = tmp_path / "whole"
    assert (whole / "report.html").is_file()
    assert not [path for path in given if (path / "report.html").exists() or (path / "figures").exists()]
    assert "24 problems x 3 samples" in shown
    assert "a part of the problems" not in shown
    assert "grown in" not in shown, "shards of other sizes are no growth"
    rows = list(iter_responses(whole))
    before = [r for path in given for r in iter_responses(path)]
    assert {(r.problem_id, r.arm, r.index): r for r in rows} == {(r.problem_id, r.arm, r.index): r for r in before}
    assert len(rows) == len(before) == 24 * 4
    expected = prepare(OPTIONS)
    assert [p.id for p in stored_problems(whole)] == [p.id for p in expected.problems]
    meta = read_meta(whole)
    assert meta["identity"] == expected.config.identity()
    assert [session["shard"] for session in meta["sessions"]] == ["1/3", "2/3", "3/3"]
    assert meta["config"]["shard"] is None
    done = CliRunner().invoke(main, ["run", *JOB, "--out", str(whole)])
    assert "nothing to sample" in done.stderr
    # The accuracies of the whole are those of the parts, weighed by their problems.
    correct = [load_run(path).greedy.correct.sum() for path in given]
    assert load_run(whole).greedy.correct.sum() == sum(correct)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["whole", *(p.name for p in given)]


def test_what_is_missing_is_named_and_can_be_sampled_later(shards: list[Path], tmp_path: Path) -> None:
    first, second, third = copies(shards, tmp_path)
    part = next(third.glob("responses/part-*"))
    part.rename(tmp_path / "lost.parquet")
    error = refused("merge", first, third)
    order = [p.id for p in prepare(OPTIONS).problems]
    lacking = [i for i in order if shard_index(i, 3) != 1]
    assert f"{len(lacking)} of 24 problems lack responses, the first is {lacking[0]}:" in error
    assert "9 in shard 2/3 (not given)" in error
    assert "6 in shard 3/3," not in error
    assert "6 in shard 3/3" in error
    assert not (tmp_path / "whole").exists()
    run("merge", first, third, second, "--partial", "--no-html")
    whole = tmp_path / "whole"
    assert read_meta(whole)["state"] == "sampling"
    kept = {(r.problem_id, r.arm, r.index): r for r in iter_responses(whole)}
    assert len(kept) == 18 * 4
    run("run", *JOB, "--out", whole)
    rows = {(r.problem_id, r.arm, r.index): r for r in iter_responses(whole)}
    assert len(rows) == 24 * 4
    assert all(rows[key] == row for key, row in kept.items())


def test_a_merge_without_a_whole_shard_can_be_finished(shards: list[Path], tmp_path: Path) -> None:
    """The problems of the absent shard come back with the run that samples them."""
    out = tmp_path / "merged"
    run("merge", *shards[:2], "--partial", "--out", out, "--no-html")
    assert len(stored_problems(out)) == 18
    run("run", *JOB, "--out", out)
    assert [p.id for p in stored_problems(out)] == [p.id for p in prepare(OPTIONS).problems]
    assert len(list(iter_responses(out))) == 24 * 4


def test_shards_with_another_draw_under_one_name_are_refused(shards: list[Path], tmp_path: Path) -> None:
    """Their identities are the same, and so are names and n: only the parameters tell."""
    given = copies(shards, tmp_path)
    for path, temperature in zip(given, (0.5, 0.7, 0.5), strict=True):
        draw = f"low=temperature:{temperature},n:2"
        run("run", *JOB, "--draw", draw, "--shard", f"{given.index(path) + 1}/3", "--out", path)
    line = refused("merge", *given, "--out", tmp_path / "new")
    assert "hold draws 'low' with other parameters (temperature 0.5 -> 0.7); sample it for both" in line
    assert not (tmp_path / "new").exists()


def test_merges_that_are_refused(shards: list[Path], tmp_path: Path) -> None:
    given = copies(shards, tmp_path)
    whole = tmp_path / "one"
    run("run", *JOB, "--out", whole)
    assert "is a whole run, no shard of one" in refused("merge", whole)
    assert "are both shard 1/3" in refused("merge", given[0], given[0])
    assert "has no run.json" in refused("merge", tmp_path)
    other = tmp_path / "other"
    run("run", *JOB, "--temperature", "0.7", "--shard", "2/3", "--out", other)
    assert "temperature: 1.0 -> 0.7" in refused("merge", given[0], other)
    another = tmp_path / "another"
    run("run", *JOB, "--shard", "2/2", "--out", another)
    assert "two ways to split one run" in refused("merge", given[0], another)
    (another / "order.parquet").unlink()
    assert "order.parquet is missing or damaged" in refused("merge", another, "--out", tmp_path / "new")
    run("run", *JOB, "--shard", "2/2", "--out", another)
    assert "of 24 problems lack responses" in refused("merge", another, "--out", tmp_path / "new")
    run("run", *JOB, "--draw", "low=temperature:0.5,n:2", "--shard", "1/3", "--out", given[0])
    assert "are not equally far: low: 2 -> 0 responses a problem; run" in refused("merge", *given)
    run("run", *JOB, "--shard", "1/3", "--out", given[0])
    moved = given[0].rename(tmp_path / "elsewhere")
    assert "give --out" in refused("merge", moved, *given[1:])
    assert "exists; give --out another directory" in refused("merge", moved, *given[1:], "--out", whole)
    assert not list(tmp_path.glob(".tmp-*"))
    assert "holds none of the" in refused("run", *JOB[:5], "1", *JOB[6:], "--shard", "2/3", "--out", tmp_path / "none")
    assert not (tmp_path / "none").exists()
    assert "--after compares whole runs" in refused(
        "run", *JOB, "--draws", "240", "--shard", "1/2", "--after", "arith-worked"
    )


def test_a_problem_of_another_shard_is_found(shards: list[Path], tmp_path: Path) -> None:
    first, second, third = copies(shards, tmp_path)
    meta = read_meta(third)
    foreign = list(parts.read_parts(stored_parts(second, read_meta(second))))
    for part in (third / "responses").iterdir():
        part.unlink()
    parts.write_part(third / "responses", 0, 0, digest(meta["identity"]), foreign)
    with pytest.raises(StoreError, match="belong to another shard than 3/3"):
        merge_shards([first, third])


def test_a_shard_in_use_is_not_merged(shards: list[Path], tmp_path: Path) -> None:
    given = copies(shards, tmp_path)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(given[1])], stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": str(ROOT)}
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    assert f"in use by process {holder.pid}" in refused("merge", *given)
    holder.kill()
    holder.communicate()
    run("merge", *given, "--no-html")


HOLD = """
import sys, time
from pathlib import Path
from bon_eval.store.files import lock
with lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(3600)
"""

SLOW = """
import sys, time
from pathlib import Path
from bon_eval.store import merge, parts
plain = parts.write_part
def slow(*args):
    found = plain(*args)
    print("part", flush=True)
    time.sleep(3600)
    return found
parts.write_part = slow
merge.merge_shards([Path(p) for p in sys.argv[1:]])
"""


def test_kill_in_the_middle_of_a_merge(shards: list[Path], tmp_path: Path) -> None:
    given = copies(shards, tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, *map(str, given)], stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": str(ROOT)}
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "part\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "whole").exists()
    [left] = tmp_path.glob(".tmp-merge-*")
    assert not (left / "run.json").exists()
    run("merge", *given, "--no-html")
    assert len(list(iter_responses(tmp_path / "whole"))) == 24 * 4
    assert not list(tmp_path.glob(".tmp-*"))
