"""TRAINING.md of an embedded model: what it was trained on and how, its loss, and the arms that came out."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import torch
import transformers

from arith.corpus import Mix
from arith.evaluation import MAX_TOKENS, ArmResult
from arith.training import Hyperparameters, LossRecord

LOSSES = "losses.csv"


def write_losses(folder: Path, records: list[LossRecord]) -> None:
    """Write the loss curve as CSV: step, mean loss in nats per response token since the row before, seconds so far."""
    with (folder / LOSSES).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["step", "loss", "seconds"])
        writer.writerows([r.step, f"{r.loss:.4f}", f"{r.seconds:.0f}"] for r in records)


def read_losses(folder: Path) -> list[LossRecord]:
    """The loss curve that `write_losses` wrote."""
    with (folder / LOSSES).open(encoding="utf-8", newline="") as file:
        return [LossRecord(int(r["step"]), float(r["loss"]), float(r["seconds"])) for r in csv.DictReader(file)]


def write_training_md(
    folder: Path, mix: Mix, parameters: int, arms: list[ArmResult], oracle: float, problems: int, n: int, seed: int
) -> None:
    """Write TRAINING.md beside the model, from the loss curve that stands there and the given evaluation."""
    records = read_losses(folder)
    hp = Hyperparameters(steps=records[-1].step)
    command = mix.name.removeprefix("arith-")
    lines = [
        f"# {mix.name}",
        "",
        "A small language model for demonstrations and tests, trained from scratch on generated arithmetic word",
        f"problems. {mix.worked_share:.0%} of its corpus answers a problem with the worked solution (one equation a",
        f"line, then `#### n`), {1 - mix.worked_share:.0%} with the answer alone (`#### n`); the style is drawn",
        "independently of the problem.",
        "",
        f"Made by `python scripts/train_arith.py train {command}`; torch {torch.__version__}, transformers "
        f"{transformers.__version__}, one CPU thread,",
        f"{records[-1].seconds:.0f} s. Corpus seed `{mix.seed}`.",
        "",
        f"* Llama architecture, {parameters:,} parameters (hidden 128, 4 layers, 4 heads of 32, context 256, tied",
        "  embeddings), trained in float32, stored in bfloat16.",
        "* Byte-level vocabulary: 256 bytes, the words of the stories, `#### `, end and padding marks.",
        "* Prompt: the question and one newline; no chat template, nothing added before it. The loss is that of the",
        "  response tokens alone, end token included. The corpus is a stream without epochs; no question of the",
        "  task's files is in it.",
        "* " + ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in dataclasses.asdict(hp).items()) + ".",
        "",
        "## Arms",
        "",
        f"First {problems} problems of the test split, {n} samples each, at most {MAX_TOKENS} tokens, float32,",
        f"sampling seed {seed}; by the training script's own loop, not by bon-eval's engines. Worked: share of",
        "responses that begin with a step. Log-likelihood in nats, end token included.",
        "",
        "| arm | accuracy | worked | log-likelihood | tokens | truncated |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {a.arm} | {a.accuracy:.3f} | {a.worked_share:.3f} | {a.log_likelihood:.2f} | {a.n_tokens:.1f} "
        f"| {a.truncated_share:.4f} |"
        for a in arms
    ]
    lines += [f"| oracle of {n} | {oracle:.3f} | | | | |", "", "## Loss", ""]
    lines += ["Mean over the last 50 steps, nats per response token.", "", "| step | loss | seconds |"]
    lines += ["| ---: | ---: | ---: |"]
    lines += [f"| {r.step} | {r.loss:.4f} | {r.seconds:.0f} |" for r in records]
    (folder / "TRAINING.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
