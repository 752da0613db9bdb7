"""results/squeeze/conditions.yaml as commands of bon-eval."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from arith.corpus import held_out_questions, to_jsonl
from arith.problems import ArithProblem, distinct_problems

from bon_eval.dpo.probes.paraphrases import read_paraphrases
from squeeze.outside import outside_pairs, said_pairs

Command = list[str]
"""Arguments of ``bon-eval``."""
PARAPHRASES = Path(__file__).parent / "paraphrases.yaml"
HELD_OUT = "held-out"
BASE_REPORT = "base"
"""Name of the problems of the base model's own report."""
TRAINED = "trained"
"""Name of the pairs that a condition was trained on, where they are followed."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One training with its tracking."""

    model: str
    condition: str
    seed: int

    @property
    def name(self) -> str:
        """As a folder."""
        return f"{self.model}-{self.condition.replace(' ', '-')}-{self.seed}"


@dataclass(frozen=True, slots=True)
class Plan:
    """The conditions file and where its runs go."""

    path: Path
    content: dict[str, Any]
    work: Path
    seeds: tuple[int, ...]
    models: tuple[str, ...]

    def cells(self) -> list[Cell]:
        """Every training, seed by seed."""
        grid = itertools.product(self.seeds, self.models, self.content["conditions"])
        return [Cell(model, condition, seed) for seed, model, condition in grid if model in self._models(condition)]

    def of(self, model: str) -> list[str]:
        """The conditions of a model."""
        return [condition for condition in self.content["conditions"] if model in self._models(condition)]

    def own(self) -> dict[str, str]:
        """Condition -> the held-out pairs of the kind that it is trained on."""
        found = {name: condition.get("pairs") for name, condition in self.content["conditions"].items()}
        return {name: kind for name, kind in found.items() if kind in self.content["held_out_pairs"]}

    def write_data(self) -> None:
        """Problems for training, by seed, and held-out ones; and the pairs outside of the models' support."""
        self.work.mkdir(parents=True, exist_ok=True)
        (self.work / "pairs").mkdir(exist_ok=True)
        seen = {*held_out_questions(), *(problem.question for model in self.models for problem in self.brought(model))}
        for name in (*self._pools(), *self._reports()):
            made = self._made(name)
            problems = distinct_problems(f"{made['stream']}-{name}", made["problems"], exclude=frozenset(seen))
            seen |= {problem.question for problem in problems}
            (self.work / f"{name}.jsonl").write_text(to_jsonl(problems), encoding="utf-8")
            for model in self.models if name in self._pools() else ():
                path = self.pair_file(model, name, "outside")
                path.write_text(outside_pairs(problems, f"{made['stream']}-{name}"), encoding="utf-8")

    def pools(self) -> list[tuple[str, list[Command]]]:
        """(name, commands) of every pool; they are independent."""
        found = []
        # The other model's pools are what the model is trained on where pairs come from another model.
        for model, (name, seed) in itertools.product(self._sampled(), (self._pools() | self._reports()).items()):
            command = ["run", *self._model(model), "--seed", str(seed), "--data", str(self.work / f"{name}.jsonl")]
            n = self._made(name).get("n", self.content["n"])
            command += ["--task", "arith", "--n", str(n), "--out", str(self.pool(model, name))]
            commands = [[*command, "--quiet", "--no-html", "--draws", "1000"]]
            if name in self._reports():
                commands.append(["report", str(self.pool(model, name)), "--no-texts"])
            found.append((f"pool {model} {name}", commands))
        return found

    def pairs(self) -> list[tuple[str, list[Command]]]:
        """(name, commands) of the pairs and probes of every pool of the models."""
        found = []
        for model, (name, seed) in itertools.product(self.models, self._pools().items()):
            commands = []
            kinds = self.content["held_out_pairs"] if name == HELD_OUT else self._kinds(model)
            for kind in self._sources(kinds):
                made = self.content["pairs"][kind]
                if (options := made.get("options")) is None:
                    continue
                source = [str(self.pool(model, name))]
                if made.get("of") == "other":
                    source = [str(self.pool(self.content["models"][model]["other"], name)), "--for", *source]
                command = ["pairs", *source, *map(str, options), "--seed", str(seed)]
                commands.append([*command, "--out", str(self.pair_file(model, name, kind))])
            if name == HELD_OUT:
                of = str(self.pair_file(model, name, "policy"))
                commands.append(["probes", of, "--paraphrases", str(PARAPHRASES), "--out", str(self._probes(model))])
            found.append((f"pairs {model} {name}", commands))
        return found

    def write_said(self) -> None:
        """The pairs that are others in other words; all of the others must be there."""
        paraphrases = {paraphrase.name: paraphrase for paraphrase in read_paraphrases(PARAPHRASES)}
        for model, name in itertools.product(self.models, self._pools()):
            kinds = self.content["held_out_pairs"] if name == HELD_OUT else self._kinds(model)
            for kind in kinds:
                if (words := self.content["pairs"][kind].get("say")) is not None:
                    source = self.pair_file(model, name, self.content["pairs"][kind]["of"])
                    text = said_pairs(source.read_text(encoding="utf-8"), paraphrases[words])
                    self.pair_file(model, name, kind).write_text(text, encoding="utf-8")

    def commands(self, cell: Cell) -> list[Command]:
        """Train, then track."""
        condition, pool = self.content["conditions"][cell.condition], f"train-{cell.seed}"
        out = self.work / "trainings" / cell.name
        pairs = condition.get("pairs")
        file = str(self.pair_file(cell.model, pool, pairs)) if pairs else ""
        found: list[Command] = []
        stages: list[Path] = []
        if (first := condition.get("sft")) is not None:
            stages.append(out / "sft")
            given = ["--pairs", file] if first["select"] == "chosen" else ["--run", str(self.pool(cell.model, pool))]
            found.append(["sft", *given, "--select", first["select"], *self._training(cell, first, stages[-1])])
        if condition.get("dpo") is not None:
            settings = condition["dpo"]
            stages.append(out / "dpo")
            command = ["dpo", *map(str, settings.get("options", ())), *self._training(cell, settings, stages[-1])]
            if settings.get("rounds"):
                command += ["--rounds", str(settings["rounds"]), "--task", "arith", "--n", str(settings["n"])]
                command += ["--data", str(self.work / f"{pool}.jsonl"), "--engine", self.content["engine"]]
            else:
                command += ["--pairs", file]
            if len(stages) == 2:
                command += ["--start", str(stages[0] / f"checkpoint-{first['steps']}")]
            found.append(command)
        return [*found, *self._tracking(cell, stages, file)]

    def _training(self, cell: Cell, settings: Mapping[str, Any], out: Path) -> Command:
        common = self.content["training"] | settings
        steps = int(common["steps"])
        return [
            *("--model", self.path_of(cell.model), "--out", str(out), "--seed", str(cell.seed), "--steps", str(steps)),
            *("--save-every", str(common["save_every"]), "--learning-rate", str(common["learning_rate"])),
            *("--batch-size", str(common["batch_size"]), "--micro-batch", str(common["batch_size"])),
            *("--max-grad-norm", str(common["max_grad_norm"]), "--quiet"),
            *("--warmup-steps", str(int(common["warmup_share"] * steps))),
            *map(str, self.content["training"].get("options", ())),
        ]

    def _tracking(self, cell: Cell, stages: list[Path], trained: str) -> list[Command]:
        track = ["track", "--base", self.path_of(cell.model), "--task", "arith", "--beta", str(self.content["beta"])]
        for stage in stages:
            track += ["--checkpoints", str(stage)]
        track += ["--engine", self.content["engine"], "--dtype", self.content["dtype"], "--n", str(self.content["n"])]
        track += ["--data", str(self.work / f"{HELD_OUT}.jsonl"), "--base-run", str(self.pool(cell.model, HELD_OUT))]
        for kind in self.content["held_out_pairs"]:
            track += ["--pairs", f"{kind}={self.pair_file(cell.model, HELD_OUT, kind)}"]
        for probe in self.content["probes"]:
            track += ["--probe", f"{probe}={self._probes(cell.model) / probe}.jsonl"]
        if trained:
            track += ["--pairs", f"{TRAINED}={trained}"]
        steps = self.content["conditions"][cell.condition].get("sample_at", self.content["sample_at"])
        track += ["--sample-at", ",".join(map(str, steps))]
        track += ["--out", str(self.track(cell)), "--quiet", "--no-html", "--draws", "1000"]
        return [track]

    def track(self, cell: Cell) -> Path:
        """The tracking directory of a cell."""
        return self.work / "tracks" / cell.name

    def brought(self, model: str) -> list[ArithProblem]:
        """The problems that a pretrained model is brought to the task with; none of an embedded one."""
        if (sft := self.content["models"][model].get("sft")) is None:
            return []
        return distinct_problems(sft["stream"], sft["problems"], exclude=held_out_questions())

    def path_of(self, model: str) -> str:
        """What `--model` takes: an embedded model's name, or where `squeeze.pretrained` puts what it makes."""
        return str(self.work / "models" / model) if "made_of" in self.content["models"][model] else model

    def _made(self, name: str) -> dict[str, Any]:
        """How the problems of that name are made."""
        return self.content[{HELD_OUT: "held_out", BASE_REPORT: "base_report"}.get(name, "train")]

    def _reports(self) -> dict[str, int]:
        """As `_pools`: what is sampled for a report of the base model alone."""
        return {BASE_REPORT: 0} if "base_report" in self.content else {}

    def _model(self, model: str) -> Command:
        return ["--model", self.path_of(model), "--engine", self.content["engine"], "--dtype", self.content["dtype"]]

    def _models(self, condition: str) -> tuple[str, ...]:
        return tuple(self.content["conditions"][condition].get("models", self.models))

    def _sampled(self) -> list[str]:
        """The models, and those that they are trained on samples of."""
        others = [self.content["models"][model].get("other") for model in self.models]
        return list(dict.fromkeys(model for model in (*self.models, *others) if model))

    def _pools(self) -> dict[str, int]:
        """Name -> seed."""
        return {HELD_OUT: 0} | {f"train-{seed}": seed for seed in self.seeds}

    def _kinds(self, model: str) -> list[str]:
        """The kinds of pairs that a model is trained on."""
        found = [self.content["conditions"][condition].get("pairs") for condition in self.of(model)]
        return list(dict.fromkeys(kind for kind in found if kind))

    def _sources(self, kinds: Sequence[str]) -> list[str]:
        """Kinds of pairs, and those that they are made of."""
        made = self.content["pairs"]
        return list(dict.fromkeys([*kinds, *(made[kind]["of"] for kind in kinds if "say" in made[kind])]))

    def _probes(self, model: str) -> Path:
        return self.work / "probes" / model

    def pool(self, model: str, name: str) -> Path:
        """The run of a model on the problems of that name."""
        return self.work / "pools" / f"{model}-{name}"

    def pair_file(self, model: str, pool: str, kind: str) -> Path:
        """The pairs of a kind that are made of a pool."""
        return self.work / "pairs" / f"{model}-{pool}-{kind}.jsonl"


def read_plan(path: Path, work: Path, *, fast: bool) -> Plan:
    """The plan; `fast` keeps the models and the number of seeds that the file says.

    ``claims`` may be the path of another conditions file, by its claims.
    """
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if isinstance(claims := content["claims"], str):
        content["claims"] = yaml.safe_load((path.parent / claims).read_text(encoding="utf-8"))["claims"]
    less = content["fast"] if fast else {}
    seeds, models = tuple(content["seeds"]), tuple(less.get("models", content["models"]))
    return Plan(path, content, work, seeds[: less.get("seeds")], models)
