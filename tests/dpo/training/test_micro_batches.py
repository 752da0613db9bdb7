"""A step's gradient is the same whatever its micro-batches: every pair counts once, and every token of an NLL."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trainings import BASE, good, invoke, log, token_scores, weights

from bon_eval.dpo.training import micro_batches
from bon_eval.dpo.training.identity import WEIGHTED, counted_otherwise
from bon_eval.dpo.training.micro_batches import Size, Weights

torch = pytest.importorskip("torch")
pytest.importorskip("trl")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten pairs of responses of other lengths."""
    place = tmp_path_factory.mktemp("micro")
    run = ["run", "--model", "arith-mixed", "--task", "arith", "--limit", "12", "--n", "8", "--engine", "transformers"]
    good(*run, "--dtype", "float32", "--out", place / "run", "--draws", "100", "--quiet", "--no-html")
    good("pairs", place / "run", "--recipe", "gold-sample", "--out", place / "pairs.jsonl")
    lines = (place / "pairs.jsonl").read_text().splitlines(keepends=True)[:10]
    (place / "pairs.jsonl").write_text("".join(lines))
    return place


STEP = ["--steps", "1", "--save-every", "1", "--warmup-steps", "0", "--optimizer", "sgd", "--max-grad-norm", "1e9"]
LOSSES: dict[str, list[str]] = {
    "sigmoid": ["dpo"],
    "RPO": ["dpo", "--loss", "sigmoid,sft:0.5"],
    "DPOP with NLL": ["dpo", "--loss", "dpop,sft", "--dpop-lambda", "5"],
    "IPO": ["dpo", "--loss", "ipo"],
    "CPO-SimPO": ["dpo", "--loss", "simpo,sft:0.5"],
    "LoRA": ["dpo", "--loss", "sigmoid,sft", "--lora-rank", "4"],
    "SFT": ["sft", "--select", "chosen"],
}


def trained(place: Path, options: list[str], micro: int, out: Path, *more: object) -> dict[str, Any]:
    """Change of each weight in one step on all ten pairs, over the learning rate."""
    command = [options[0], "--model", "arith-mixed", "--pairs", place / "pairs.jsonl", *STEP, *options[1:]]
    good(*command, "--batch-size", "12", "--micro-batch", micro, "--learning-rate", "0.01", "--out", out, *more)
    before, after = weights(out / "checkpoint-0"), weights(out / "checkpoint-1")
    return {name: (after[name] - before[name]) / 0.01 for name in before}


@pytest.mark.heavy
@pytest.mark.parametrize("options", LOSSES.values(), ids=LOSSES)
def test_a_step_is_the_same_in_any_micro_batches(place: Path, tmp_path: Path, options: list[str]) -> None:
    """Of 1 pair, of 3, 3, 3 and 1, and of all ten."""
    whole = trained(place, options, 12, tmp_path / "12", "--quiet")
    size = max(float(change.abs().max()) for change in whole.values())
    assert size > 1e-3, "the step moved something"
    [row] = log(tmp_path / "12")
    for micro in (3, 1):
        parts = trained(place, options, micro, tmp_path / str(micro), "--quiet")
        for name, change in whole.items():
            assert float((parts[name] - change).abs().max()) < 1e-4 * size, (micro, name)
        [other] = log(tmp_path / str(micro))
        assert other == pytest.approx(row, rel=1e-4, abs=1e-5), "and so is what log.csv says of it"


@pytest.mark.heavy
def test_pairs_count_once_where_steps_have_other_numbers(place: Path, tmp_path: Path) -> None:
    """Two passes in steps of 6 and 4: the loss of a step of 3 and 1 is the mean over its four pairs."""
    moved = {}
    for micro in (1, 3, 6):
        out = tmp_path / str(micro)
        command = ["dpo", "--model", "arith-mixed", "--pairs", place / "pairs.jsonl", "--steps", "4", "--quiet"]
        command += ["--batch-size", "6", "--micro-batch", micro, "--learning-rate", "3e-5", "--warmup-steps", "0"]
        good(*command, "--optimizer", "sgd", "--out", out)
        moved[micro] = log(out)
    for micro in (1, 3):
        for row, other in zip(moved[6], moved[micro], strict=True):
            assert other == pytest.approx(row, rel=1e-4, abs=1e-5)
    sides = token_scores(place / "pairs.jsonl", BASE).values()
    sums = [sum(chosen) for chosen, _ in sides]
    first, second = (row["log_likelihood_chosen"] for row in moved[3][:2])
    assert (6 * first + 4 * second) / 10 == pytest.approx(float(np.mean(sums)), abs=0.05)


@pytest.mark.heavy
def test_sft_counts_tokens_whatever_the_model_takes(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some models declare that they take no number of items; TRL's loss is its own."""
    from transformers import AutoModelForCausalLM

    kind = type(AutoModelForCausalLM.from_pretrained(BASE))
    monkeypatch.setattr(kind, "accepts_loss_kwargs", False, raising=False)
    whole = trained(place, LOSSES["SFT"], 12, tmp_path / "12", "--quiet")
    parts = trained(place, LOSSES["SFT"], 3, tmp_path / "3", "--quiet")
    size = max(float(change.abs().max()) for change in whole.values())
    assert max(float((parts[n] - change).abs().max()) for n, change in whole.items()) < 1e-4 * size


def test_weights_by_hand() -> None:
    step = [Size(4, 40), Size(4, 20), Size(2, 30)]
    found = [micro_batches.weights(size, step) for size in step]
    # 4 of 10 pairs are 1.2 times a third, and so on.
    assert [w.pairs for w in found] == pytest.approx([1.2, 1.2, 0.6])
    assert [w.tokens for w in found] == pytest.approx([4 / 3, 2 / 3, 1.0])
    even = [Size(7, 70)] * 6
    assert {micro_batches.weights(size, even) for size in even} == {Weights(1.0, 1.0)}, "exactly, as ever"


def test_what_is_logged_of_pairs_is_weighted() -> None:
    given = {"rewards/margins": 2.0, "logps/chosen": -8.0, "entropy": 3.0}
    assert micro_batches.weighted_metrics(given, 0.5) == {"rewards/margins": 1.0, "logps/chosen": -4.0, "entropy": 3.0}


OLD: dict[str, tuple[dict[str, Any], int, bool]] = {
    # settings, pairs, whether the older version gave other numbers.
    "whole micro-batches": ({}, 128, False),
    "a smaller one among others": ({}, 100, True),
    "a smaller one, never reached": ({"steps": 1}, 100, False),
    "a smaller one by itself": ({}, 65, False),
    "one a step": ({"micro_batch": 64}, 100, False),
    "NLL": ({"loss": "sigmoid,sft:0.5"}, 128, True),
    "NLL of a whole batch": ({"loss": "sigmoid,sft", "micro_batch": 64}, 100, False),
    "SFT": ({"method": "sft", "loss": None}, 100, False),
}


@pytest.mark.parametrize(("given", "pairs", "other"), OLD.values(), ids=OLD)
def test_which_older_trainings_had_other_numbers(given: dict[str, Any], pairs: int, *, other: bool) -> None:
    settings = {"method": "dpo", "batch_size": 64, "micro_batch": 8, "steps": 8} | given
    assert counted_otherwise({"settings": settings}, pairs) == other
    assert not counted_otherwise({"settings": settings, WEIGHTED: True}, pairs)


@pytest.mark.heavy
def test_an_older_training_is_not_gone_on_with_in_another_way(place: Path, tmp_path: Path) -> None:
    """Where its numbers are today's it is; one with an NLL had its micro-batch in its identity."""
    out = tmp_path / "dpo"
    command = ["dpo", "--model", "arith-mixed", "--pairs", place / "pairs.jsonl", *STEP, "--loss", "sigmoid,sft"]
    command += ["--batch-size", "10", "--out", out]
    good(*command, "--micro-batch", "10")
    content = json.loads((out / "training.json").read_text())
    assert "micro_batch" not in content["identity"]
    older = {key: value for key, value in content.items() if key != WEIGHTED}
    older["identity"]["micro_batch"] = 10
    (out / "training.json").write_text(json.dumps(older))
    assert "trained already" in good(*command, "--micro-batch", "5")
    older["identity"]["micro_batch"] = older["settings"]["micro_batch"] = 5
    (out / "training.json").write_text(json.dumps(older))
    done = invoke(*command, "--micro-batch", "5")
    assert done.exit_code == 2
    assert "holds a training of an older version, in which a step's micro-batches counted the same" in done.output
