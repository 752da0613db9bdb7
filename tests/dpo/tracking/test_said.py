"""What a checkpoint says, and makes of the base model's responses: recomputed one by one from what is stored."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bigram import BASE, END, TUNED
from click.testing import CliRunner

from bon_eval.cli import main
from bon_eval.dpo.tracking.points import Measured
from bon_eval.dpo.tracking.trajectory import load_trajectory
from bon_eval.records import Response
from bon_eval.store.forced import load_forced_by, own_likelihoods
from bon_eval.store.prompts import load_prompts
from bon_eval.store.reader import Run, iter_responses, load_run

Columns = Mapping[int, Mapping[str, Measured]]
Law = dict[int, tuple[float, float, float]]


@pytest.fixture(scope="module")
def columns(tracked: Path) -> Columns:
    return load_trajectory(tracked, intervals=False).columns


def responses(run: Path) -> dict[tuple[str, str], list[Response]]:
    """(problem, draw) -> its responses by index."""
    found: dict[tuple[str, str], list[Response]] = {}
    for response in iter_responses(run):
        found.setdefault((response.problem_id, response.arm), []).append(response)
    return {key: sorted(of_key, key=lambda r: r.index) for key, of_key in found.items()}


def log_likelihood(law: Law, prompt: tuple[int, ...], tokens: tuple[int, ...]) -> float:
    """Of a response under a bigram model, exactly."""
    before = (prompt[-1], *tokens[:-1])
    return sum(math.log(law[b][t]) for b, t in zip(before, tokens, strict=True))


@pytest.mark.parametrize(("step", "law"), [(0, BASE), (4, TUNED)])
def test_mass_on_the_base_models_likeliest(tracked: Path, columns: Columns, step: int, law: Law) -> None:
    """The sum over different whole responses of the base pool, picked by the base model, of exact probabilities."""
    stored, prompts = responses(tracked / "runs/base"), load_prompts(tracked / "runs/base")
    for k in (1, 4, 16):
        column = columns[step][f"base_mass.{k}"]
        for problem, mass in zip(column.units, column.values.tolist(), strict=True):
            prompt = prompts[str(problem)]
            whole = [r for r in stored[str(problem), "sample"] if r.token_ids[-1] == END]
            whole.sort(key=lambda r: (-r.log_likelihood, r.index))
            different = list(dict.fromkeys(r.token_ids for r in whole))[:k]
            exact = sum(math.exp(log_likelihood(law, prompt, tokens)) for tokens in different)
            assert mass == pytest.approx(exact, abs=1e-5)
    assert all(columns[step]["base_mass.1"].values <= columns[step]["base_mass.4"].values)


def test_mass_at_the_base_model_is_that_of_its_own_log_likelihoods(tracked: Path, columns: Columns) -> None:
    run = load_run(tracked / "runs/base")
    ended = np.where(run.pool.truncated, -np.inf, run.pool.log_likelihood)
    assert columns[0]["base_mass.1"].values.tolist() == np.exp(ended.max(axis=1)).tolist()


def likelihoods(tracked: Path, step: int) -> tuple[Run, Mapping[str, Any], Mapping[str, Any]]:
    """A run with its responses' log-likelihoods under its own model and under the base model."""
    base = load_run(tracked / "runs/base")
    run = base if step == 0 else load_run(tracked / f"runs/step-{step:06d}")
    own = own_likelihoods(run)[0]
    return run, own, own if step == 0 else load_forced_by(run, base)


@pytest.mark.parametrize("step", [0, 4])
def test_the_implicit_reward_as_a_scorer(tracked: Path, columns: Columns, step: int) -> None:
    run, own, base = likelihoods(tracked, step)
    reward = own["sample"] - base["sample"]
    right = run.pool.correct
    picked = [r[s == s.max()].mean() for s, r in zip(reward, right, strict=True)]
    np.testing.assert_allclose(columns[step]["accuracy.best_reward"].values, picked, atol=1e-12)
    for problem, auroc in zip(columns[step]["auroc_reward"].units, columns[step]["auroc_reward"].values, strict=True):
        p = run.pool.problem_ids.index(str(problem))
        good, bad = reward[p][right[p]], reward[p][~right[p]]
        pairs = [0.5 if g == b else float(g > b) for g in good for b in bad]
        assert auroc == pytest.approx(np.mean(pairs))
    if step == 0:
        np.testing.assert_array_equal(reward, 0.0)
        assert set(columns[0]["auroc_reward"].values) == {0.5}
        sample = columns[0]["accuracy.sample"].values
        np.testing.assert_allclose(columns[0]["accuracy.best_reward"].values, sample, atol=1e-12)


@pytest.mark.parametrize("step", [0, 4])
def test_log_likelihoods_per_token(tracked: Path, columns: Columns, step: int) -> None:
    run, _, base = likelihoods(tracked, step)
    best = run.pool.log_likelihood
    for model, pool, greedy in (
        ("self", run.pool.log_likelihood, run.greedy.log_likelihood),
        ("base", base["sample"], base["greedy"]),
    ):
        ratios = pool / run.pool.n_tokens
        expected = {
            "sample": ratios.mean(axis=1),
            "greedy": (greedy / run.greedy.n_tokens)[:, 0],
            "best": [r[s == s.max()].mean() for s, r in zip(best, ratios, strict=True)],
        }
        for arm, values in expected.items():
            column = columns[step][f"log_likelihood_{model}_per_token.{arm}"]
            np.testing.assert_allclose(column.values, values, atol=1e-12)
            assert column.unit == "nats per token"


@pytest.mark.parametrize("step", [0, 4])
def test_ranks_in_the_base_pool(tracked: Path, columns: Columns, step: int) -> None:
    run, _, base = likelihoods(tracked, step)
    own_base = own_likelihoods(load_run(tracked / "runs/base"))[0]["sample"]
    said = responses(run.path)
    pool = responses(tracked / "runs/base")
    for draw in ("sample", "greedy"):
        column = columns[step][f"base_rank.{draw}"]
        for p, problem in enumerate(run.pool.problem_ids):
            ranks = []
            for i, response in enumerate(said[problem, draw]):
                against = []
                for j, other in enumerate(pool[problem, "sample"]):
                    if not (step == 0 and draw == "sample" and i == j):
                        gap = base[draw][p, i] - own_base[p, j]
                        tie = gap == 0.0 or response.token_ids == other.token_ids
                        against.append(0.5 if tie else float(gap > 0.0))
                ranks.append(np.mean(against))
            assert column.values[p] == pytest.approx(np.mean(ranks), abs=1e-9)
    if step == 0:
        assert columns[0]["base_rank.sample"].values.tolist() == [0.5, 0.5]
    else:
        # The tuned model is the sharper one.
        assert columns[4]["base_rank.sample"].values.mean() > 0.5


def test_greedy_is_decoded_anew_at_each_checkpoint(tracked: Path, columns: Columns) -> None:
    """y* of the current model, under itself and under the base model, beside the base model's own greedy response."""
    greedy = responses(tracked / "runs/step-000004")
    assert greedy["0", "greedy"][0].token_ids != responses(tracked / "runs/base")["0", "greedy"][0].token_ids
    prompts = load_prompts(tracked / "runs/base")
    for law, name in ((TUNED, "log_likelihood_self.greedy"), (BASE, "log_likelihood_base.greedy")):
        exact = [log_likelihood(law, prompts[p], greedy[p, "greedy"][0].token_ids) for p in ("0", "1")]
        np.testing.assert_allclose(columns[4][name].values, exact, atol=1e-5)


@pytest.mark.heavy
@pytest.mark.slow
def test_a_real_training(tmp_path: Path) -> None:
    """DPO of the embedded model, three checkpoints: what is forced is what was sampled, and every measure is there."""
    pytest.importorskip("trl")

    def good(*arguments: object) -> str:
        done = CliRunner().invoke(main, [str(a) for a in arguments])
        assert done.exit_code == 0, done.output
        return str(done.output)

    sampling = ["--task", "arith", "--limit", "12", "--n", "8", "--engine", "transformers", "--dtype", "float32"]
    run, pairs, training, out = (tmp_path / name for name in ("run", "pairs.jsonl", "dpo", "track"))
    good("run", "--model", "arith-mixed", *sampling, "--out", run, "--draws", "100", "--quiet", "--no-html")
    good("pairs", run, "--recipe", "gold-sample", "--out", pairs)
    few = ["--steps", "6", "--save-every", "2", "--batch-size", "12", "--micro-batch", "12", "--learning-rate", "1e-4"]
    good("dpo", "--model", "arith-mixed", "--pairs", pairs, "--out", training, *few, "--quiet")
    track = ["track", "--base", "arith-mixed", "--checkpoints", training, *sampling, "--pairs", pairs, "--out", out]
    track += ["--base-run", run, "--draws", "200", "--quiet"]
    good(*track, "--forced-only", "--no-html")
    alone = load_trajectory(out, intervals=False).columns
    shown = good(*track)
    found = load_trajectory(out, intervals=False)
    assert found.steps == found.sampled == (0, 2, 4, 6)
    for step, columns in alone.items():
        for name, column in columns.items():
            assert found.columns[step][name].values.tolist() == column.values.tolist(), name
    # Sampled and forced log-probs of the base model's responses agree, and so do the masses that they make.
    track_json = json.loads((out / "track.json").read_text())
    from bon_eval.dpo.tracking.forced import ForcedLog

    stored = track_json["base_sets"]["base/top"]
    base = load_run(run)
    row_of = {problem: row for row, problem in enumerate(base.pool.problem_ids)}
    sampled = base.pool.log_likelihood[[row_of[p] for p in stored["problem_ids"]], stored["index"]]
    from bon_eval.dpo.pairs.tokens import TokenResponse
    from bon_eval.dpo.tracking.base_pool import base_sets
    from bon_eval.engines.base import EngineSpec
    from bon_eval.engines.models import resolve_model
    from bon_eval.engines.transformers import TransformersEngine
    from bon_eval.records import ForcedSequence

    top: tuple[TokenResponse, ...] = base_sets(run)["base/top"]
    with TransformersEngine(EngineSpec(str(resolve_model("arith-mixed").directory), "float32")) as engine:
        sequences = [ForcedSequence(str(k), r.prompt, r.response) for k, r in enumerate(top)]
        forced = {int(key): sum(values) for key, values in engine.score(sequences)}
    np.testing.assert_allclose([forced[k] for k in range(len(top))], sampled, atol=1e-3)
    # Training moved the model: other log-likelihoods of the same responses.
    [by] = {c["by"] for c in track_json["checkpoints"] if c["step"] == 6}
    last = ForcedLog(out / "forced/step-000006", by).read().log_likelihoods(stored["keys"])
    assert np.abs(last - sampled).max() > 0.1
    with (out / "trajectory.csv").open() as file:
        rows = {int(row["step"]): row for row in csv.DictReader(file)}
    assert float(rows[0]["base_rank.sample"]) == 0.5
    assert float(rows[0]["accuracy.best_reward"]) == pytest.approx(float(rows[0]["accuracy.sample"]))
    for row in rows.values():
        masses = [float(row[f"base_mass.{k}"]) for k in (1, 4)]
        assert 0.0 < masses[0] <= masses[1] <= 1.0
        assert "base_mass.16" not in row, "a pool of 8 has no 16"
    assert "probability" in shown
