"""Statistics of each token: sampled with the run, teacher-forced afterwards, resumed, and read into pools."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from bon_eval.cli import main
from bon_eval.errors import ConfigError, EngineError, StoreError
from bon_eval.records import Response
from bon_eval.run.token_stats import force_statistics
from bon_eval.scorers import SCORERS, get_scorer, mean_confidence, negative_entropy, self_certainty
from bon_eval.store import parts, token_stats
from bon_eval.store.reader import iter_responses, load_run
from bon_eval.store.writer import read_meta

pytest.importorskip("transformers")
RUN = ["run", "--model", "arith-mixed", "--task", "arith", "--n", "3", "--limit", "4", "--draws", "100", "--quiet"]
RUN += ["--no-html", "--dtype", "float32", "--engine", "transformers"]


def bon_eval(*args: object) -> str:
    done = CliRunner().invoke(main, [*map(str, args)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plain") / "run"
    bon_eval(*RUN, "--out", path)
    return path


@pytest.fixture(scope="module")
def scored(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scored") / "run"
    shutil.copytree(plain, path)
    assert bon_eval("score", path, "--stats", "topk,entropy,self_certainty", "--quiet").count("\n") == 3
    return path


@pytest.fixture(scope="module")
def carrying(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("carrying") / "run"
    out = bon_eval(*RUN, "--out", path, "--token-stats", "topk", "--scorer", "mean_confidence")
    assert "mean_confidence" in out
    return path


def test_a_run_that_stores_more_is_another_run_and_older_ones_keep_their_identity(plain: Path, carrying: Path) -> None:
    first, second = read_meta(plain), read_meta(carrying)
    assert "token_stats" not in first["identity"]
    assert second["identity"] == first["identity"] | {"token_stats": "topk"}
    assert (first["config"]["token_stats"], second["config"]["token_stats"]) == ("none", "topk")


def test_stored_confidences_are_the_forced_ones(carrying: Path) -> None:
    run = load_run(carrying, scorers=["mean_confidence"])
    sampled = run.pool.token_stats["topk"]
    for response in iter_responses(carrying):
        assert response.token_topk is not None
        if response.arm == "sample":
            row = run.pool.problem_ids.index(response.problem_id)
            assert mean_confidence.over(run.pool)[row, response.index] == mean_confidence(response)
    force_statistics(carrying, ["topk"], quiet=True)
    forced = np.concatenate([np.concatenate(rows) for rows in values(carrying, "topk", run.pool.problem_ids)])
    np.testing.assert_allclose(sampled, forced, atol=1e-4)


def values(path: Path, name: str, problem_ids: tuple[str, ...]) -> list[list[list[float]]]:
    stored = parts.list_parts(
        token_stats.directory(path, name), token_stats.owner(read_meta(path), name), token_stats.SCHEMA
    )
    rows = [r for table in parts.read_parts(stored) for r in table.to_pylist() if r["arm"] == "sample"]
    by = {(r["problem_id"], r["index"]): r["values"] for r in rows}
    return [[by[p, j] for j in range(3)] for p in problem_ids]


def test_scorers_of_a_scored_run(scored: Path) -> None:
    run = load_run(scored, scorers=["self_certainty", "negative_entropy", "lowest_window_confidence@4"])
    for name, scorer, sign in (("self_certainty", self_certainty, 1), ("entropy", negative_entropy, -1)):
        expected = [[sign * np.mean(v) for v in row] for row in values(scored, name, run.pool.problem_ids)]
        np.testing.assert_allclose(scorer.over(run.pool), expected, atol=1e-5)
    assert (self_certainty.over(run.pool) > 0).all()
    assert get_scorer("lowest_window_confidence@4").over(run.pool).shape == (4, 3)
    assert set(run.pool.token_stats) == {"topk", "entropy", "self_certainty"}


def test_a_report_by_all_of_them(scored: Path) -> None:
    out = bon_eval(
        "report", scored, "--own", "--draws", "100", "--no-html", "--scorer", "self_certainty", "--scorer", "shortest"
    )
    assert "by shortest" in out
    assert json.loads((scored / "report.json").read_text())["analysis"]["primary_scorer"] == "self_certainty"


def test_all_arms_are_those_whose_needs_the_run_holds(plain: Path, scored: Path) -> None:
    for path, left_out in ((plain, ["mean_confidence", "negative_entropy", "self_certainty"]), (scored, [])):
        asked = ["report", str(path), "--draws", "100", "--no-html", "--own", "--arms", "all", "--vote", "borda@2"]
        done = CliRunner().invoke(main, asked)
        assert done.exit_code == 0, done.output
        report = json.loads((path / "report.json").read_text())["analysis"]
        shown = [name for name, scorer in SCORERS.items() if not scorer.stats or not left_out]
        assert report["scorers"] == shown
        assert report["votes"][0] == "borda@2"
        assert ("borda/self_certainty" in report["votes"]) == (not left_out)
        assert all(name in done.stderr for name in left_out)
        assert ("--stats topk,entropy,self_certainty" in done.stderr) == bool(left_out)


def test_what_was_stored_is_not_computed_again(scored: Path, tmp_path: Path) -> None:
    path = tmp_path / "run"
    shutil.copytree(scored, path)
    folder = token_stats.directory(path, "entropy")
    [part] = folder.glob("part-*")
    whole = pq.read_table(part).sort_by([("problem_id", "ascending"), ("arm", "ascending"), ("index", "ascending")])
    meta = read_meta(path)
    first = next(
        iter(parts.read_parts(parts.list_parts(folder, token_stats.owner(meta, "entropy"), token_stats.SCHEMA)))
    )
    first = first.filter(pc.equal(first["problem_id"], first["problem_id"][0]))
    part.unlink()
    parts.write_part(folder, 0, 0, token_stats.owner(meta, "entropy"), [first], token_stats.SCHEMA)
    with pytest.raises(StoreError, match=r"has no entropy; run: bon-eval score .* --stats entropy"):
        load_run(path, scorers=["negative_entropy"])
    force_statistics(path, ["entropy", "self_certainty"], quiet=True)
    joined = pa.concat_tables([pq.read_table(file) for file in folder.glob("part-*")])
    again = joined.sort_by([("problem_id", "ascending"), ("arm", "ascending"), ("index", "ascending")])
    assert again.select(["problem_id", "arm", "index"]).equals(whole.select(["problem_id", "arm", "index"]))
    for old, new in zip(whole["values"].to_pylist(), again["values"].to_pylist(), strict=True):
        np.testing.assert_allclose(old, new, atol=1e-4)
    before = sorted(p.name for p in folder.iterdir())
    force_statistics(path, ["entropy"], quiet=True)
    assert sorted(p.name for p in folder.iterdir()) == before


def test_what_a_grown_run_lacks_is_named_in_one_line(scored: Path, tmp_path: Path) -> None:
    path = tmp_path / "run"
    shutil.copytree(scored, path)
    done = CliRunner().invoke(
        main, [*RUN, "--out", str(path), "--n", "4", "--draw", "low=temperature:0.5,n:2", "--arms", "all"]
    )
    assert done.exit_code == 2
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert line.endswith(
        f"has no topk, and some have no entropy, self_certainty; run: bon-eval score {path} --stats "
        "topk,entropy,self_certainty"
    )
    bon_eval("score", path, "--stats", "topk,entropy,self_certainty", "--quiet")
    assert "by self certainty" in bon_eval("report", path, "--draws", "100", "--no-html", "--arms", "all")


def test_parts_are_read_once_however_many_draws_there_are(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run"
    shutil.copytree(plain, path)
    grid = "grid=temperature:0.3/0.6/0.9/1.2,n:2"
    bon_eval(*RUN, "--out", path, "--draw", grid)
    read: list[list[str]] = []
    from bon_eval.store import pools

    original = pools.parts.read_parts

    def counted(stored: Any, columns: Any, **rest: Any) -> Any:
        read.append(list(columns))
        return original(stored, columns, **rest)

    monkeypatch.setattr(pools.parts, "read_parts", counted)
    run = load_run(path, token_logprobs=True)
    monkeypatch.undo()
    assert len(run.others) == 4
    assert [columns[-1] for columns in read].count("token_logprobs") == 1
    stored = {(r.arm, r.problem_id, r.index): r.token_logprobs for r in iter_responses(path)}
    for draw, pool in run.draws.items():
        assert pool.token_logprobs is not None
        assert pool.token_offsets is not None
        for cell in range(pool.n_tokens.size):
            row, index = divmod(cell, pool.n)
            own = pool.token_logprobs[pool.token_offsets[cell] : pool.token_offsets[cell + 1]]
            assert own.tolist() == list(stored[draw, pool.problem_ids[row], index])


def test_a_pool_that_lacks_them_says_which_command_makes_them(plain: Path) -> None:
    for scorer, stat in (
        ("self_certainty", "self_certainty"),
        ("negative_entropy", "entropy"),
        ("tail_confidence", "topk"),
    ):
        with pytest.raises(StoreError, match=rf"has no {stat}; run: bon-eval score {plain} --stats {stat}"):
            load_run(plain, scorers=[scorer])
    with pytest.raises(ConfigError, match="run: bon-eval score RUN --stats self_certainty"):
        self_certainty.over(load_run(plain).pool)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--model", "arith-mixed", "--task", "arith", "--scorer", "mean_confidence"], "add --token-stats topk"),
        (["run", "--model", "arith-mixed", "--task", "arith", "--scorer", "self_certainty"], "run without it, then"),
        (["run", "--model", "arith-mixed", "--task", "arith", "--vote", "borda/tail_confidence"], "--token-stats topk"),
        (["report", "RUN", "--vote", "plurality"], "unknown vote 'plurality'; valid: borda, filtered, majority"),
        (["report", "RUN", "--scorer", "no.py:f"], "there is no file no.py"),
        (["score", "RUN"], "give either --by RUN2 or --stats"),
        (["score", "RUN", "--stats", "surprise"], "unknown statistic 'surprise'; valid: entropy, self_certainty, topk"),
        (["score", "RUN", "--by", "RUN", "--engine-arg", "a=1"], "--engine-arg goes with --stats"),
        (["score", "RUN", "--stats", "entropy", "--engine-arg", "a=1"], "unknown argument of engine transformers 'a'"),
    ],
)
def test_what_cannot_be_asked_for(plain: Path, arguments: list[str], message: str) -> None:
    done = CliRunner().invoke(main, [str(plain) if a == "RUN" else a for a in arguments])
    assert done.exit_code == 2
    assert message in done.output
    assert done.output.count("\n") == 1


def test_a_users_own_scorer_reads_whole_responses(plain: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("def words(response):\n    return len(response.text.split())\n", encoding="utf-8")
    name = f"{path}:words"
    run = load_run(plain, scorers=[name])
    scores = get_scorer(name).over(run.pool)
    for r in iter_responses(plain):
        if r.arm == "sample":
            assert scores[run.pool.problem_ids.index(r.problem_id), r.index] == len(r.text.split())
    with pytest.raises(ConfigError, match="load the run with scorers="):
        get_scorer(name).over(load_run(plain).pool)


def test_bytes_are_those_of_the_texts(plain: Path) -> None:
    run = load_run(plain)
    assert run.pool.n_bytes is not None
    for r in iter_responses(plain):
        if r.arm == "sample":
            assert run.pool.n_bytes[run.pool.problem_ids.index(r.problem_id), r.index] == len(r.text.encode())


@pytest.mark.parametrize("bad", [None, (0.5,), (0.5, float("nan")), (0.5, -0.1)])
def test_confidences_that_cannot_be_true_are_not_stored(bad: tuple[float, ...] | None) -> None:
    response = Response("p", "sample", 1, "t", (4, 5), (-1.0, -1.0), "stop", token_topk=bad)
    with pytest.raises(EngineError, match="problem p, sample 1: the engine gave no finite top-k confidence"):
        parts.to_table([response], parts.TOPK_SCHEMA)
