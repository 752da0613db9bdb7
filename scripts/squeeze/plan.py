"""results/squeeze/conditions.yaml as commands of bon-eval."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from arith.corpus import held_out_questions, test_problems, to_jsonl
from arith.problems import distinct_problems

BON_EVAL = [sys.executable, "-m", "bon_eval.cli"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One training with its tracking."""

    condition: str
    setting: str
    seed: int

    @property
    def name(self) -> str:
        """As a folder."""
        return f"{self.condition}-{self.setting}-{self.seed}"


@dataclass(frozen=True, slots=True)
class Plan:
    """The conditions file and where its runs go."""

    path: Path
    content: dict[str, Any]
    work: Path
    seeds: tuple[int, ...]

    def cells(self) -> list[Cell]:
        """Every training, seed by seed."""
        conditions, settings = self.content["conditions"], self.content["settings"]
        return [Cell(c, s, seed) for seed in self.seeds for c in conditions for s in settings]

    def write_data(self) -> None:
        """The training problems and the held-out rows."""
        self.work.mkdir(parents=True, exist_ok=True)
        train, held = self.content["train"], self.content["held_out"]
        made = distinct_problems(train["stream"], train["problems"], exclude=held_out_questions())
        (self.work / "train.jsonl").write_text(to_jsonl(made), encoding="utf-8")
        rows = test_problems()[held["first"] : held["first"] + held["problems"]]
        (self.work / "held_out.jsonl").write_text(to_jsonl(rows), encoding="utf-8")

    def shared(self) -> list[list[list[str]]]:
        """Chains of commands that the cells stand on; chains are independent, the commands of one are in order."""
        chains = []
        for name, data, seed in [("held-out", "held_out", 0), *((f"train-{s}", "train", s) for s in self.seeds)]:
            run = str(self.work / "pools" / name)
            rows = str(self.work / f"{data}.jsonl")
            chain = [[*BON_EVAL, "run", *self._model(), "--seed", str(seed), "--data", rows, "--task", "arith"]]
            chain[0] += ["--n", str(self.content["n"]), "--out", run, "--quiet", "--draws", "1000"]
            recipes = self.content["held_out_pairs"] if data == "held_out" else self._recipes()
            for key, recipe in recipes.items():
                out = str(self.work / "pairs" / f"{name}-{key}.jsonl")
                chain.append([*BON_EVAL, "pairs", run, "--recipe", recipe, "--seed", str(seed), "--out", out])
            chains.append(chain)
        return chains

    def commands(self, cell: Cell) -> list[list[str]]:
        """Train, then track."""
        condition, setting = self.content["conditions"][cell.condition], self.content["settings"][cell.setting]
        training, steps = self.content["training"], int(setting["steps"])
        out = str(self.work / "trainings" / cell.name)
        common = ["--model", self.content["model"], "--out", out, "--seed", str(cell.seed), "--steps", str(steps)]
        common += ["--save-every", str(steps // int(training["checkpoints"]))]
        common += ["--learning-rate", str(setting["learning_rate"]), "--batch-size", str(training["batch_size"])]
        common += ["--micro-batch", str(training["batch_size"]), "--max-grad-norm", str(training["max_grad_norm"])]
        common += ["--warmup-steps", str(int(training["warmup_share"] * steps)), "--quiet"]
        if condition["method"] == "sft":
            run = str(self.work / "pools" / f"train-{cell.seed}")
            train = [*BON_EVAL, "sft", "--run", run, "--select", condition["select"], *common]
        else:
            pairs = str(self.work / "pairs" / f"train-{cell.seed}-{cell.condition}.jsonl")
            train = [*BON_EVAL, "dpo", "--pairs", pairs, "--beta", str(training["beta"]), *common]
        track = [*BON_EVAL, "track", "--base", self.content["model"], "--checkpoints", out, "--task", "arith"]
        track += ["--engine", self.content["engine"], "--dtype", self.content["dtype"], "--n", str(self.content["n"])]
        track += ["--data", str(self.work / "held_out.jsonl"), "--beta", str(training["beta"])]
        track += ["--base-run", str(self.work / "pools" / "held-out")]
        for key in self.content["held_out_pairs"]:
            track += ["--pairs", f"{key}={self.work / 'pairs' / f'held-out-{key}.jsonl'}"]
        track += ["--out", str(self.work / "tracks" / cell.name), "--quiet", "--no-html", "--draws", "1000"]
        return [train, track]

    def _model(self) -> list[str]:
        return ["--model", self.content["model"], "--engine", self.content["engine"], "--dtype", self.content["dtype"]]

    def _recipes(self) -> dict[str, str]:
        return {name: c["recipe"] for name, c in self.content["conditions"].items() if c["method"] == "dpo"}


def read_plan(path: Path, work: Path, *, fast: bool) -> Plan:
    """The plan; `fast` keeps the first seed and fewer checkpoints."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    seeds = tuple(content["seeds"])
    if not fast:
        return Plan(path, content, work, seeds)
    less = content["training"] | {"checkpoints": content["fast"]["checkpoints"]}
    return Plan(path, content | {"training": less}, work, seeds[: content["fast"]["seeds"]])


def settings_text(content: dict[str, Any]) -> Iterator[str]:
    """A line for each setting."""
    for name, setting in content["settings"].items():
        yield f"{name}: learning rate {setting['learning_rate']:g}, {setting['steps']} steps"
