"""A model takes an imported run's texts as its own: forced in its tokens, told apart from what the source states."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from click.testing import CliRunner, Result

from bon_eval.cli import main
from bon_eval.store.prompts import load_prompts
from bon_eval.store.reader import iter_responses, load_run

OWN = ["--as-own", "--by", "arith-mixed", "--engine", "transformers", "--dtype", "float32", "--quiet"]


def test_texts_that_a_model_sampled_get_the_log_likelihoods_that_they_had(
    sampled_float32: Path, write: Callable[..., Path], bring: Callable[..., Result], tmp_path: Path
) -> None:
    responses = [r for r in iter_responses(sampled_float32) if r.arm == "sample"]
    rows = [
        {"id": r.problem_id, "sample_index": r.index, "text": r.text, "finish_reason": r.finish_reason}
        | {"log_likelihood": -77.0}  # what is not so, and must not be taken over
        for r in responses
    ]
    assert bring(write(rows)).exit_code == 0
    run = tmp_path / "run"
    assert (load_run(run).pool.log_likelihood == -77.0).all()
    done = CliRunner().invoke(main, ["score", str(run), *OWN])
    assert done.exit_code == 0, done.output
    loaded, before = load_run(run), load_run(sampled_float32)
    assert load_prompts(run) == load_prompts(sampled_float32)
    ids = {(r.problem_id, r.index): r.token_ids for r in iter_responses(run)}
    same = np.array([[ids[p, i] == s for i, s in enumerate(row)] for p, row in _sampled_ids(sampled_float32).items()])
    assert same.mean() > 0.8  # others were sampled in other tokens than their text is split into
    near = np.abs(loaded.pool.log_likelihood - before.pool.log_likelihood) < 1e-4
    assert near[same].all()
    meta = json.loads((run / "run.json").read_text())
    assert meta["source"]["log_likelihood"] == "forced, re-tokenised by arith-mixed"
    assert "log_likelihood" not in meta["source"]["absent"]
    assert len(list((run / "responses").glob("*.parquet"))) == 1  # what the source states stays
    result = CliRunner().invoke(main, ["report", str(run), "--draws", "200", "--no-html"])
    assert result.exit_code == 0, result.output
    assert "log-likelihoods forced, re-tokenised by arith-mixed" in " ".join(result.output.split())
    crossed = CliRunner().invoke(main, ["score", str(run), "--by", str(sampled_float32), "--quiet"])
    assert crossed.exit_code == 0, crossed.output
    assert (run / "scores").is_dir()


def _sampled_ids(run: Path) -> dict[str, list[tuple[int, ...]]]:
    found: dict[str, dict[int, tuple[int, ...]]] = {}
    for r in iter_responses(run):
        if r.arm == "sample":
            found.setdefault(r.problem_id, {})[r.index] = r.token_ids
    order = load_run(run).pool.problem_ids
    return {problem: [ids for _, ids in sorted(found[problem].items())] for problem in order}


def test_a_run_that_was_sampled_here_has_its_own(sampled_float32: Path) -> None:
    done = CliRunner().invoke(main, ["score", str(sampled_float32), *OWN])
    assert done.exit_code == 2
    assert "was sampled here and has log-likelihoods of its own" in done.stderr
    alone = CliRunner().invoke(main, ["score", str(sampled_float32), "--stats", "entropy", "--dtype", "float32"])
    assert "--engine, --dtype and --task go with --as-own" in alone.stderr
