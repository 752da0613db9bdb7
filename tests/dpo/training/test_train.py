"""Training with TRL itself on the embedded model: what it starts from, what it is fed, resume, and what stops it."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tracked import forced_pairs
from trainings import BASE, FEW, good, invoke, log, token_scores, weights

torch = pytest.importorskip("torch")
pytest.importorskip("trl")
pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the base model, off-policy pairs of it, and a DPO on them."""
    place = tmp_path_factory.mktemp("train")
    run = ["run", "--model", "arith-mixed", "--task", "arith", "--limit", "12", "--n", "8", "--engine", "transformers"]
    good(*run, "--dtype", "float32", "--out", place / "run", "--draws", "100", "--quiet", "--no-html")
    good("pairs", place / "run", "--recipe", "gold-sample", "--out", place / "pairs.jsonl")
    good("dpo", "--model", "arith-mixed", "--pairs", place / "pairs.jsonl", "--out", place / "dpo", *FEW, "--quiet")
    return place


def engine_scores(place: Path, model: Path, adapter: Path | None = None) -> dict[str, tuple[float, float]]:
    """Pair id -> log-likelihoods of chosen and rejected, by the harness's engine."""
    found = token_scores(place / "pairs.jsonl", model, adapter)
    return {pair: (sum(chosen), sum(rejected)) for pair, (chosen, rejected) in found.items()}


def test_checkpoints_from_step_0_on(place: Path) -> None:
    from bon_eval.dpo.training.checkpoints import find_checkpoints

    found = find_checkpoints(place / "dpo")
    assert [c.step for c in found.checkpoints] == [0, 2, 4, 6]
    assert found.skipped == ()
    start, base = weights(place / "dpo/checkpoint-0"), weights(BASE)
    assert all(torch.equal(start[name], base[name]) for name in base)
    assert not torch.equal(weights(place / "dpo/checkpoint-6")["model.norm.weight"], base["model.norm.weight"])


def test_no_model_card_is_left(place: Path) -> None:
    """Neither TRL's nor PEFT's, which say nothing that training.json does not."""
    more = [*FEW, "--steps", "1", "--quiet"]
    pairs = ["--model", "arith-mixed", "--pairs", place / "pairs.jsonl"]
    good("dpo", *pairs, *more, "--lora-rank", "4", "--out", place / "card-lora")
    good("dpo", *pairs, *more, "--loss", "simpo", "--out", place / "card-simpo")
    good("sft", *pairs, *more, "--select", "chosen", "--lora-rank", "4", "--out", place / "card-sft")
    for out in ("dpo", "card-lora", "card-simpo", "card-sft"):
        assert (place / out / "training.json").is_file()
        assert [path for path in (place / out).rglob("*") if path.suffix == ".md"] == []


def test_training_is_fed_the_tokens_that_are_measured(place: Path) -> None:
    """At the first step the whole batch is every pair: TRL's own log-probs must be the engine's."""
    first = log(place / "dpo")[0]
    scores = engine_scores(place, BASE).values()
    assert first["loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert first["log_likelihood_chosen"] == pytest.approx(sum(c for c, _ in scores) / len(scores), abs=1e-3)
    assert first["log_likelihood_rejected"] == pytest.approx(sum(r for _, r in scores) / len(scores), abs=1e-3)


def test_dpo_lowers_its_loss_and_the_engine_sees_it(place: Path) -> None:
    rows = log(place / "dpo")
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[-1]["loss"] < rows[0]["loss"]
    before, after = engine_scores(place, BASE), engine_scores(place, place / "dpo/checkpoint-6")
    margins = [(after[p][0] - before[p][0]) - (after[p][1] - before[p][1]) for p in before]
    assert sum(margins) / len(margins) > 0.1


HELD = """
import sys, time
from transformers import Trainer
step = Trainer.training_step
def held(trainer, *given, **more):
    if trainer.state.global_step == 3:
        time.sleep(3600)
    return step(trainer, *given, **more)
Trainer.training_step = held
from bon_eval.cli import main
main(sys.argv[1:])
"""


def test_kill_9_and_resume_end_at_the_same_weights(place: Path) -> None:
    """Killed after a checkpoint; a half-written one after it is made again; the end is the uninterrupted end."""
    out = place / "killed"
    command = [sys.executable, "-c", HELD, "dpo", "--model", "arith-mixed", *FEW, "--quiet"]
    command += ["--pairs", str(place / "pairs.jsonl"), "--out", str(out)]
    process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 1200
    while not (out / "checkpoint-2/trainer_state.json").is_file():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert not list(out.glob("checkpoint-[46]"))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (out / "checkpoint-4").mkdir()
    (out / "checkpoint-4/config.json").write_text("{}")
    again = good("dpo", "--model", "arith-mixed", *FEW, "--pairs", place / "pairs.jsonl", "--out", out)
    assert "checkpoint-4 is removed and made again" in " ".join(again.split())
    whole, resumed = weights(place / "dpo/checkpoint-6"), weights(out / "checkpoint-6")
    assert all(torch.allclose(whole[name], resumed[name], atol=1e-7) for name in whole)
    assert len(log(out)) == 6


def test_the_same_command_again_trains_nothing(place: Path) -> None:
    before = (place / "dpo/checkpoint-6/model.safetensors").stat().st_mtime_ns
    again = good("dpo", "--model", "arith-mixed", "--pairs", place / "pairs.jsonl", "--out", place / "dpo", *FEW)
    assert "trained already" in again
    assert "Rafailov et al. 2023" in again
    assert "beta 0.1" in again
    assert (place / "dpo/checkpoint-6/model.safetensors").stat().st_mtime_ns == before


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(place: Path) -> None:
    out = place / "nan"
    few = ["--steps", "6", "--save-every", "1", "--batch-size", "12", "--micro-batch", "12", "--warmup-steps", "0"]
    pairs = ["--pairs", place / "pairs.jsonl", "--out", out, "--quiet"]
    done = invoke("dpo", "--model", "arith-mixed", *pairs, *few, "--learning-rate", "1e38", "--max-grad-norm", "1e9")
    assert done.exit_code == 2
    [line] = [line for line in done.output.splitlines() if line.startswith("error: ")]
    assert "lower --learning-rate" in line
    kept = line.rsplit(" ", 1)[1]
    assert all(bool(torch.isfinite(w).all()) for w in weights(out / kept).values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--beta", "0.2"], "holds another training (beta: 0.1 -> 0.2)"),
        (["--seed", "1"], "holds another training (seed: 0 -> 1)"),
        (["--optimizer", "lion"], "'lion' is unknown; valid: rmsprop"),
        (["--micro-batch", "5"], "no multiple of --micro-batch 5"),
        (["--epochs", "1"], "--steps and --epochs"),
        (["--rounds", "1"], "give --task and no --pairs"),
        (["--pairs", "{place}/none.jsonl"], "none.jsonl"),
        (["--model", "no/such"], "no/such"),
        (["--out", "{place}/pairs.jsonl"], "cannot write"),
    ],
)
def test_bad_input_is_one_line(place: Path, change: list[str], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    arguments = ["dpo", "--model", "arith-mixed", "--pairs", place / "pairs.jsonl", "--out", place / "dpo", *FEW]
    done = invoke(*arguments, *(text.format(place=place) for text in change))
    assert done.exit_code == 2
    [line] = [line for line in done.output.splitlines() if line.startswith("error: ")]
    assert message in line


@pytest.mark.parametrize(
    "more",
    [("--order", "votes"), ("--n", "16"), ("--task", "arith"), ("--recipe", "correct-wrong"), ("--engine", "vllm")],
)
def test_options_of_rounds_are_refused_without_them(place: Path, more: tuple[str, str]) -> None:
    """Also where the value is the default: it would have no part in the training."""
    done = invoke("dpo", "--model", "arith-mixed", "--pairs", place / "pairs.jsonl", "--out", place / "no", *more)
    assert done.exit_code == 2
    assert f"error: {more[0]} is of pairs that are made on the way" in done.output
    assert not (place / "no").exists()


def test_what_trl_raises_is_one_line(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refusing the settings, on no list while it is made, and in the middle; the traceback is in training.log."""
    import trl

    def line(out: str, *more: object) -> str:
        done = invoke(
            "dpo", "--model", "arith-mixed", "--pairs", place / "pairs.jsonl", *FEW, "--out", place / out, *more
        )
        assert done.exit_code == 2, done.output
        [line] = [line for line in done.output.splitlines() if line.startswith("error: ")]
        assert "Traceback (most recent call last)" in (place / out / "training.log").read_text()
        assert f"(traceback in {place / out}/training.log)" in line
        return line

    said = line("head", "--lora-rank", "4", "--lora-targets", "lm_head")
    assert said.startswith("error: TRL refuses this training: ValueError: Applying a PEFT adapter to `lm_head`")
    said = line("target", "--lora-rank", "4", "--lora-targets", "nowhere")
    assert said.startswith("error: TRL refuses this training: ")
    assert "Target modules {'nowhere'} not found" in said

    def odd(*_: object, **__: object) -> None:
        raise ArithmeticError("odd\nand on two lines")

    with monkeypatch.context() as patched:
        patched.setattr(trl.DPOTrainer, "__init__", odd)
        assert "TRL refuses this training: ArithmeticError: odd and on two lines" in line("made")
    for refused in ("head", "target", "made"):
        assert not (place / refused / "training.json").exists(), "a mended command could not take its directory"
    real = trl.DPOTrainer.training_step

    def fails(self: trl.DPOTrainer, *args: object, **kwargs: object) -> object:
        return odd() if self.state.global_step == 3 else real(self, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(trl.DPOTrainer, "training_step", fails)
        said = line("middle")
    assert f"{place}/middle: training stopped: ArithmeticError: odd and on two lines (traceback" in said
    assert "the same command goes on from the last" in said
    good("dpo", "--model", "arith-mixed", "--pairs", place / "pairs.jsonl", *FEW, "--out", place / "middle", "--quiet")
    whole, resumed = weights(place / "dpo/checkpoint-6"), weights(place / "middle/checkpoint-6")
    assert all(torch.allclose(whole[name], resumed[name], atol=1e-7) for name in whole)


@pytest.mark.parametrize("select", ["best", "greedy", "correct"])
def test_sft_raises_the_likelihood_of_what_is_selected(place: Path, select: str) -> None:
    from bon_eval.dpo.training.commands import selected_responses
    from bon_eval.engines.base import EngineSpec
    from bon_eval.engines.models import resolve_model
    from bon_eval.engines.transformers import TransformersEngine
    from bon_eval.records import ForcedSequence
    from bon_eval.store.reader import load_run

    out = place / f"sft-{select}"
    good("sft", "--model", "arith-mixed", "--run", place / "run", "--select", select, "--out", out, *FEW, "--quiet")
    chosen = selected_responses(place / "run", select, resolve_model("arith-mixed"), seed=0)
    run = load_run(place / "run")
    if select == "best":
        assert len(chosen) == len(run.problems)
    totals = []
    for model in (BASE, out / "checkpoint-6"):
        with TransformersEngine(EngineSpec(str(model), "float32")) as engine:
            scored = dict(engine.score(ForcedSequence(r.id, r.prompt, r.response) for r in chosen))
        totals.append({problem: sum(values) for problem, values in scored.items()})
    if select == "best":
        best = dict(zip(run.pool.problem_ids, run.pool.log_likelihood.max(axis=1), strict=True))
        assert totals[0] == pytest.approx(best, abs=1e-3)
    assert sum(totals[1].values()) > sum(totals[0].values())


def test_sft_on_chosen(place: Path) -> None:
    out = place / "sft-chosen"
    good("sft", "--model", "arith-mixed", "--select", "chosen", "--pairs", place / "pairs.jsonl", "--out", out, *FEW)
    before, after = engine_scores(place, BASE), engine_scores(place, out / "checkpoint-6")
    assert sum(c for c, _ in after.values()) > sum(c for c, _ in before.values())
    # ... and DPO goes on from there, with that checkpoint as its reference.
    first = place / "dpo-after-sft"
    good("dpo", "--model", out / "checkpoint-6", "--pairs", place / "pairs.jsonl", "--out", first, *FEW, "--quiet")
    assert log(first)[0]["loss"] == pytest.approx(math.log(2), abs=1e-5)
    done = invoke("sft", "--model", "arith-mixed", "--select", "chosen", "--out", place / "x", *FEW)
    assert done.exit_code == 2
    assert "--select chosen takes the responses of --pairs" in done.output


def test_lora_checkpoints_are_swapped_on_one_engine(place: Path) -> None:
    """What tracking stores for each adapter is what an engine opened for that adapter alone says."""
    out = place / "lora"
    lora = ["--lora-rank", "4", "--learning-rate", "1e-2"]
    good("dpo", "--model", "arith-mixed", "--pairs", place / "pairs.jsonl", "--out", out, *FEW, *lora, "--quiet")
    track = ["track", "--base", "arith-mixed", "--checkpoints", out, "--task", "arith", "--limit", "6", "--n", "4"]
    track += ["--pairs", place / "pairs.jsonl", "--engine", "transformers", "--out", place / "lora-track"]
    good(*track, "--draws", "200", "--quiet")
    seen = []
    for step in (0, 2, 4, 6):
        stored = forced_pairs(place / "lora-track", step, "pairs")
        adapter = None if step == 0 else out / f"checkpoint-{step}"
        for k, (chosen, rejected) in enumerate(engine_scores(place, BASE, adapter).values()):
            assert stored["chosen"][k] == pytest.approx(chosen, abs=1e-3)
            assert stored["rejected"][k] == pytest.approx(rejected, abs=1e-3)
        seen.append(stored["chosen"].sum())
    assert len(set(seen)) == 4
    assert (place / "lora-track/trajectory.html").is_file()


@pytest.mark.slow
def test_on_policy_rounds(place: Path) -> None:
    """Each round samples from the policy as it is, keeps the base model as reference, and counts its steps on."""
    from bon_eval.dpo.training.checkpoints import find_checkpoints

    out = place / "rounds"
    rounds = ["--rounds", "2", "--task", "arith", "--recipe", "best-random", "--n", "4", "--limit", "12"]
    few = ["--steps", "2", "--save-every", "1", "--batch-size", "12", "--learning-rate", "3e-4", "--warmup-steps", "0"]
    command = ["dpo", "--model", "arith-mixed", *rounds, *few, "--engine", "transformers", "--out", out]
    good(*command)
    assert [c.step for c in find_checkpoints(out).checkpoints] == [0, 1, 2, 3, 4]
    configs = [json.loads((out / f"round-{k}/run/run.json").read_text())["config"] for k in (1, 2)]
    assert configs[0]["model"] == "arith-mixed"
    assert Path(configs[1]["model"]) == out / "round-1/checkpoint-2"
    # The policy of round 2 is not its reference: the loss does not begin at ln 2.
    assert log(out / "round-1")[0]["loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert abs(log(out / "round-2")[0]["loss"] - math.log(2)) > 1e-3
    trained = {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}
    good(*command)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")} == trained
