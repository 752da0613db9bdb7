"""Training on from a checkpoint of an earlier training, whole or as an adapter, and tracking both as one chain."""

from __future__ import annotations

import csv
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from tracked import forced_pairs
from trainings import BASE, FEW, good, invoke, log, token_scores, weights

torch = pytest.importorskip("torch")
pytest.importorskip("trl")
pytestmark = pytest.mark.heavy

LORA = ["--lora-rank", "4"]
FAST = ["--learning-rate", "1e-2"]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs, and SFT on their chosen side: of all weights, and as an adapter."""
    place = tmp_path_factory.mktemp("start")
    run = ["run", "--model", "arith-mixed", "--task", "arith", "--limit", "12", "--n", "8", "--engine", "transformers"]
    good(*run, "--dtype", "float32", "--out", place / "run", "--draws", "100", "--quiet", "--no-html")
    good("pairs", place / "run", "--recipe", "gold-sample", "--out", place / "pairs.jsonl")
    sft = ["sft", "--model", "arith-mixed", "--select", "chosen", "--pairs", place / "pairs.jsonl", *FEW, "--quiet"]
    good(*sft, "--out", place / "sft")
    good(*sft, *LORA, *FAST, "--out", place / "sft-lora")
    return place


def dpo(place: Path, out: Path, *more: object) -> list[object]:
    pairs = ["--pairs", place / "pairs.jsonl"]
    return ["dpo", "--model", "arith-mixed", *pairs, *FEW, "--out", out, "--quiet", *more]


def sums(place: Path, model: Path, adapter: Path | None = None) -> np.ndarray:
    """(2, pairs): log-likelihoods of chosen and rejected."""
    found = token_scores(place / "pairs.jsonl", model, adapter).values()
    return np.array([[sum(side) for side in pair] for pair in found]).T


def logged(out: Path, row: int) -> list[float]:
    return [log(out)[row][f"log_likelihood_{side}"] for side in ("chosen", "rejected")]


def test_whole_weights(place: Path) -> None:
    """As `--model CHECKPOINT` has it, but with the model that the chain began with on record."""
    start, out = place / "sft/checkpoint-4", place / "dpo"
    good(*dpo(place, out, "--start", start))
    assert logged(out, 0) == pytest.approx(sums(place, start).mean(axis=1).tolist(), abs=1e-3)
    assert log(out)[0]["loss"] == pytest.approx(math.log(2), abs=1e-5), "the start is the reference"
    assert all(torch.equal(weights(start)[name], value) for name, value in weights(out / "checkpoint-0").items())
    good(*dpo(place, place / "dpo-of-it", "--model", start))
    other = weights(place / "dpo-of-it/checkpoint-6")
    assert all(torch.equal(other[name], value) for name, value in weights(out / "checkpoint-6").items())
    content = json.loads((out / "training.json").read_text())
    assert content["start"]["checkpoint"] == str(start)
    assert (content["start"]["step"], content["settings"]["lora_rank"]) == (4, None)
    assert content["identity"]["start"] == content["start"]["content_hash"] == content["identity"]["model_hash"]
    assert content["origin_hash"] == json.loads((place / "sft/training.json").read_text())["identity"]["model_hash"]
    done = invoke(*dpo(place, out, "--start", place / "sft/checkpoint-6"))
    assert done.exit_code == 2
    assert "holds another training (" in done.output
    # ... and a third training goes on from the second, of the same model.
    good(*dpo(place, place / "dpo-2", "--start", out / "checkpoint-6", "--steps", "1"))


def test_an_adapter_is_trained_on(place: Path) -> None:
    """Its rank is the start's; the reference is model and start, also after a resume; no copy of it is saved."""
    start, out = place / "sft-lora/checkpoint-6", place / "dpo-lora"
    good(*dpo(place, out, "--start", start, *FAST))
    before = sums(place, BASE, start)
    assert logged(out, 0) == pytest.approx(before.mean(axis=1).tolist(), abs=1e-3)
    assert log(out)[0]["loss"] == pytest.approx(math.log(2), abs=1e-5)
    same = weights(out / "checkpoint-0")
    assert all(torch.equal(weights(start)[name], value) for name, value in same.items())
    assert not list(out.glob("checkpoint-*/ref"))
    settings = json.loads((out / "training.json").read_text())["settings"]
    assert (settings["lora_rank"], settings["lora_alpha"], settings["lora_targets"]) == (4, 8, "all-linear")
    # Row 3 is of the weights after step 2.
    margins = np.subtract(*(sums(place, BASE, out / "checkpoint-2") - before))
    assert log(out)[2]["loss"] == pytest.approx(float(np.logaddexp(0, -0.1 * margins).mean()), abs=1e-4)
    whole = weights(out / "checkpoint-6")
    for step in (4, 6):
        shutil.rmtree(out / f"checkpoint-{step}")
    good(*dpo(place, out, "--start", start, *FAST))
    assert all(torch.allclose(whole[n], value, atol=1e-6) for n, value in weights(out / "checkpoint-6").items())


def test_a_new_adapter_on_whole_weights(place: Path) -> None:
    start, out = place / "sft/checkpoint-6", place / "dpo-new"
    good(*dpo(place, out, "--start", start, *LORA, *FAST))
    assert logged(out, 0) == pytest.approx(sums(place, start).mean(axis=1).tolist(), abs=1e-3)
    moved = np.subtract(*(sums(place, start, out / "checkpoint-2") - sums(place, start)))
    assert log(out)[2]["loss"] == pytest.approx(float(np.logaddexp(0, -0.1 * moved).mean()), abs=1e-4)


def test_sft_goes_on_from_an_adapter(place: Path) -> None:
    start, out = place / "sft-lora/checkpoint-2", place / "sft-on"
    sft = ["sft", "--model", "arith-mixed", "--select", "chosen", "--pairs", place / "pairs.jsonl", *FEW, *FAST]
    good(*sft, "--start", start, "--out", out, "--quiet")
    tokens = [value for chosen, _ in token_scores(place / "pairs.jsonl", BASE, start).values() for value in chosen]
    assert log(out)[0]["loss"] == pytest.approx(-float(np.mean(tokens)), abs=1e-4)
    assert log(out)[-1]["loss"] < log(out)[0]["loss"]


def test_simpo_goes_on_from_an_adapter(place: Path) -> None:
    start, out = place / "sft-lora/checkpoint-6", place / "simpo-lora"
    good(*dpo(place, out, "--start", start, "--loss", "simpo", *FAST))
    found = token_scores(place / "pairs.jsonl", BASE, start).values()
    chosen, rejected = (np.array([np.mean(pair[side]) for pair in found]) for side in (0, 1))
    expected = float(np.logaddexp(0, 1.0 - 2.0 * (chosen - rejected)).mean())
    assert log(out)[0]["loss"] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--start", "{place}/sft"], "directory; {place}/sft has those of steps 0, 2, 4, 6"),
        (["--start", "{place}/sft/checkpoint-3"], "directory; {place}/sft has those of steps 0, 2, 4, 6"),
        (["--start", "{place}/nowhere/checkpoint-2"], "directory; give one of a training's checkpoints"),
        (["--start", "{place}/sft/checkpoint-2", "--model", "arith-worked"], "was not trained from --model arith-work"),
        (["--start", "{place}/alone/checkpoint-2"], "has no training.json beside it"),
        (["--start", "{place}/cut/checkpoint-2"], "is half-written (model.safetensors is cut short)"),
        (["--start", "{place}/sft-lora/checkpoint-2", "--lora-rank", "8"], "is an adapter with 4, which is trained on"),
        (["--start", "{place}/sft-lora/checkpoint-2", "--lora-targets", "q_proj"], "is an adapter with all-linear"),
    ],
)
def test_bad_starts_are_one_line(place: Path, change: list[str], message: str) -> None:
    if not (place / "alone").exists():
        shutil.copytree(place / "sft/checkpoint-2", place / "alone/checkpoint-2")
        shutil.copytree(place / "sft", place / "cut")
        file = place / "cut/checkpoint-2/model.safetensors"
        file.write_bytes(file.read_bytes()[:-1])
    done = invoke(*dpo(place, place / "x", *(text.format(place=place) for text in change)))
    assert done.exit_code == 2
    [line] = [line for line in done.output.splitlines() if line.startswith("error: ")]
    assert message.format(place=place) in line
    assert not (place / "x").exists()


def test_a_training_from_before_there_were_starts_goes_on(place: Path) -> None:
    """Its training.json, as it was written then, is the same training and says what it began with."""
    out = place / "old"
    shutil.copytree(place / "sft", out)
    content = json.loads((out / "training.json").read_text())
    del content["origin_hash"]
    for name in ("loss", "label_smoothing", "ld_alpha", "simpo_gamma", "dpop_lambda"):
        del content["settings"][name]
        assert name not in content["identity"]
    (out / "training.json").write_text(json.dumps(content, indent=2) + "\n")
    good(*dpo(place, place / "dpo-of-old", "--start", out / "checkpoint-2", "--steps", "1"))
    sft = ["sft", "--model", "arith-mixed", "--select", "chosen", "--pairs", place / "pairs.jsonl", *FEW]
    assert "trained already" in good(*sft, "--out", out)


@pytest.mark.parametrize("kind", ["lora", "new"])
def test_a_chain_is_tracked_as_one(place: Path, kind: str) -> None:
    """SFT, then DPO: an adapter trained on (on one engine), or a new one on the SFT's weights."""
    sft, after = (place / "sft-lora", place / "dpo-lora") if kind == "lora" else (place / "sft", place / "dpo-new")
    out = place / f"track-{kind}"
    track = [
        "track",
        "--base",
        "arith-mixed",
        "--task",
        "arith",
        "--limit",
        "6",
        "--n",
        "4",
        "--engine",
        "transformers",
    ]
    track += ["--pairs", place / "pairs.jsonl", "--checkpoints", sft, "--checkpoints", after, "--out", out]
    text = " ".join(good(*track, "--draws", "200", "--quiet").split())
    assert f"stage 1, steps 0 to 6: {sft} (sft); stage 2, steps 6 to 12: {after} (dpo, sigmoid)." in text
    with (out / "trajectory.csv").open() as file:
        rows = [(int(row["step"]), int(row["stage"])) for row in csv.DictReader(file)]
    assert rows == [(0, 1), (2, 1), (4, 1), (6, 1), (8, 2), (10, 2), (12, 2)]
    for step in (6, 10):
        folder = sft if step == 6 else after
        path = folder / f"checkpoint-{step if step == 6 else step - 6}"
        model, adapter = (BASE, path) if kind == "lora" else (path, None) if step == 6 else (sft / "checkpoint-6", path)
        stored = forced_pairs(out, step, "pairs")
        found = [stored[side] for side in ("chosen", "rejected")]
        assert np.array(found) == pytest.approx(sums(place, model, adapter), abs=1e-3)
    if kind == "lora":  # one engine from the first on, whose own checkpoint samples last
        late = place / "track-late"
        again = [late if part is out else part for part in track]
        good(*again, "--draws", "200", "--quiet", "--base-run", out / "runs/base", "--sample-at", "12")
        assert sorted(path.name for path in (late / "runs").iterdir()) == ["base", "step-000012"]
        for side, values in forced_pairs(late, 6, "pairs").items():
            assert np.array_equal(values, forced_pairs(out, 6, "pairs")[side])


@pytest.mark.slow
def test_rounds_begin_at_a_start(place: Path) -> None:
    """Round 1 samples from the start, and it is the reference of every round."""
    out, start = place / "rounds", place / "sft-lora/checkpoint-6"
    rounds = ["--rounds", "2", "--task", "arith", "--recipe", "best-random", "--n", "4", "--limit", "12"]
    few = [
        "--steps",
        "2",
        "--save-every",
        "1",
        "--batch-size",
        "12",
        "--micro-batch",
        "12",
        "--warmup-steps",
        "0",
        *FAST,
    ]
    command = ["dpo", "--model", "arith-mixed", "--start", start, *rounds, *few, "--loss", "ipo"]
    good(*command, "--engine", "transformers", "--out", out)
    configs = [json.loads((out / f"round-{k}/run/run.json").read_text())["config"] for k in (1, 2)]
    assert [config["model"] for config in configs] == ["arith-mixed"] * 2
    assert [Path(config["adapter"]) for config in configs] == [start, out / "round-1/checkpoint-2"]
    assert log(out / "round-1")[0]["loss"] == pytest.approx(25.0, abs=1e-3)
    pairs = out / "round-2/pairs.jsonl"
    now, before = (
        [[np.mean(side) for side in pair] for pair in token_scores(pairs, BASE, adapter).values()]
        for adapter in (out / "round-1/checkpoint-2", start)
    )
    change = np.array(now) - np.array(before)
    assert len(change) <= 12, "the first step saw all of them"
    expected = float(np.mean((change[:, 0] - change[:, 1] - 5.0) ** 2))
    assert log(out / "round-2")[0]["loss"] == pytest.approx(expected, rel=1e-3), len(change)
