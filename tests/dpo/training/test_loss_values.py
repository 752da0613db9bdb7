"""Every loss that is offered: what TRL logs at two steps is its formula on the harness's own forced log-probs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trainings import BASE, good, invoke, log, token_scores

from bon_eval.dpo.training.losses import LOSSES

torch = pytest.importorskip("torch")
pytest.importorskip("trl")
pytestmark = pytest.mark.heavy

Array = np.ndarray[Any, np.dtype[np.float64]]
Sides = list[tuple[tuple[float, ...], tuple[float, ...]]]
LN2 = float(np.log(2))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs whose sides differ in length."""
    place = tmp_path_factory.mktemp("losses")
    run = ["run", "--model", "arith-mixed", "--task", "arith", "--limit", "12", "--n", "8", "--engine", "transformers"]
    good(*run, "--dtype", "float32", "--out", place / "run", "--draws", "100", "--quiet", "--no-html")
    good("pairs", place / "run", "--recipe", "gold-sample", "--out", place / "pairs.jsonl")
    return place


@pytest.fixture(scope="module")
def base(place: Path) -> Sides:
    found = list(token_scores(place / "pairs.jsonl", BASE).values())
    assert len(found) == 12
    assert sum(len(chosen) != len(rejected) for chosen, rejected in found) >= 6
    return found


@dataclass
class Numbers:
    """Log-probs of chosen and rejected under the policy, and their differences from the reference."""

    now: Sides
    before: Sides
    ld_alpha: float = 1.0

    def sums(self, sides: Sides, side: int) -> Array:
        """Tokens beyond the shorter side's length count `ld_alpha` each."""
        out = []
        for pair in sides:
            shared = min(map(len, pair))
            out.append(sum(pair[side][:shared]) + self.ld_alpha * sum(pair[side][shared:]))
        return np.array(out)

    @property
    def chosen(self) -> Array:
        return self.sums(self.now, 0) - self.sums(self.before, 0)

    @property
    def rejected(self) -> Array:
        return self.sums(self.now, 1) - self.sums(self.before, 1)

    @property
    def d(self) -> Array:
        return self.chosen - self.rejected

    def length(self, side: int) -> Array:
        return np.array([float(len(pair[side])) for pair in self.now])

    @property
    def d_per_token(self) -> Array:
        return self.chosen / self.length(0) - self.rejected / self.length(1)

    @property
    def nll(self) -> float:
        """Of a token of chosen: over all of them, not by pair."""
        return -float(np.mean([value for pair in self.now for value in pair[0]]))

    def simpo(self, beta: float, gamma: float) -> Array:
        chosen, rejected = (self.sums(self.now, side) / self.length(side) for side in (0, 1))
        return loss(beta * (chosen - rejected) - gamma)


def loss(x: Array) -> Array:
    """-ln sigmoid(x)."""
    return np.logaddexp(0.0, -x)


def sigma(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def smoothed(x: Array, s: float) -> Array:
    return (1 - s) * loss(x) + s * loss(-x)


def exo(x: Array, s: float) -> Array:
    right, wrong = sigma(x), sigma(-x)
    return right * (np.log(right) - np.log(1 - s)) + wrong * (np.log(wrong) - np.log(s))


def discopop(x: Array, tau: float = 0.05) -> Array:
    share = sigma(x / tau)
    return loss(x) * (1 - share) + np.exp(-x) * share


B = 0.1
SMOOTH = ["--label-smoothing", "0.2"]
Formula = Callable[[Numbers], Any]
CASES: dict[str, tuple[list[str], Formula, float | None]] = {
    # options, formula, and where it starts, the policy being the reference; None: that depends on the pairs.
    "sigmoid": ([], lambda n: loss(B * n.d), LN2),
    "sigmoid, another beta": (["--beta", "0.5"], lambda n: loss(0.5 * n.d), LN2),
    "conservative": (SMOOTH, lambda n: smoothed(B * n.d, 0.2), LN2),
    "robust": (
        ["--loss", "robust", *SMOOTH],
        lambda n: (0.8 * loss(B * n.d) - 0.2 * loss(-B * n.d)) / 0.6,
        LN2,
    ),
    "hinge": (["--loss", "hinge"], lambda n: np.maximum(0.0, 1 - B * n.d), 1.0),
    "ipo": (["--loss", "ipo"], lambda n: (n.d_per_token - 1 / (2 * B)) ** 2, 25.0),
    "exo_pair": (
        ["--loss", "exo_pair", "--label-smoothing", "0.001"],
        lambda n: exo(B * n.d, 0.001),
        float(-LN2 - 0.5 * np.log(0.001) - 0.5 * np.log(0.999)),
    ),
    "nca_pair": (
        ["--loss", "nca_pair"],
        lambda n: loss(B * n.chosen) + 0.5 * loss(-B * n.chosen) + 0.5 * loss(-B * n.rejected),
        2 * LN2,
    ),
    "bco_pair": (["--loss", "bco_pair"], lambda n: loss(B * n.chosen) + loss(-B * n.rejected), 2 * LN2),
    "sppo_hard": (["--loss", "sppo_hard"], lambda n: (n.chosen - 0.5 / B) ** 2 + (n.rejected + 0.5 / B) ** 2, 50.0),
    "aot": (
        ["--loss", "aot", *SMOOTH],
        lambda n: smoothed(
            B * (np.sort(n.sums(n.now, 0) - n.sums(n.now, 1)) - np.sort(n.sums(n.before, 0) - n.sums(n.before, 1))),
            0.2,
        ),
        LN2,
    ),
    "aot_unpaired": (["--loss", "aot_unpaired"], lambda n: loss(B * (np.sort(n.chosen) - np.sort(n.rejected))), LN2),
    "apo_zero": (["--loss", "apo_zero"], lambda n: 1 - sigma(B * n.chosen) + sigma(B * n.rejected), 1.0),
    "apo_down": (["--loss", "apo_down"], lambda n: sigma(B * n.chosen) + 1 - sigma(B * n.d), 1.0),
    "discopop": (["--loss", "discopop"], lambda n: discopop(B * n.d), 0.5 * LN2 + 0.5),
    "sigmoid_norm": (["--loss", "sigmoid_norm"], lambda n: loss(5.0 * n.d_per_token), LN2),
    "RPO": (["--loss", "sigmoid", "--loss", "sft:0.5"], lambda n: loss(B * n.d) + 0.5 * n.nll, None),
    "MPO": (
        ["--loss", "sigmoid:0.8", "--loss", "bco_pair:0.2", "--loss", "sft"],
        lambda n: 0.8 * loss(B * n.d) + 0.2 * (loss(B * n.chosen) + loss(-B * n.rejected)) + n.nll,
        None,
    ),
    "LD-DPO": (["--ld-alpha", "0.25"], lambda n: loss(B * n.d), LN2),
    "LD-RPO": (["--ld-alpha", "0.25", "--loss", "sigmoid,sft"], lambda n: loss(B * n.d) + n.nll, None),
    "dpop": (
        ["--loss", "dpop", "--dpop-lambda", "5", "--learning-rate", "3e-4"],
        lambda n: loss(B * (n.d - 5 * np.maximum(0.0, -n.chosen))),
        LN2,
    ),
    "simpo": (["--loss", "simpo"], lambda n: n.simpo(2.0, 1.0), None),
    "simpo, other numbers": (
        ["--loss", "simpo", "--beta", "3", "--simpo-gamma", "0.5", "--micro-batch", "4"],
        lambda n: n.simpo(3.0, 0.5),
        None,
    ),
    "CPO-SimPO": (["--loss", "simpo", "--loss", "sft:0.5"], lambda n: n.simpo(2.0, 1.0) + 0.5 * n.nll, None),
}
STEPS = ["--steps", "2", "--save-every", "1", "--batch-size", "12", "--micro-batch", "12", "--warmup-steps", "0"]


def test_every_loss_has_a_case() -> None:
    words = " ".join(word for options, _, _ in CASES.values() for word in options)
    assert [name for name in LOSSES if name != "sigmoid" and name not in words] == []


@pytest.mark.parametrize(("options", "formula", "start"), CASES.values(), ids=CASES)
def test_what_trl_logs_is_the_formula(
    place: Path, base: Sides, tmp_path: Path, options: list[str], formula: Formula, start: float | None
) -> None:
    """The whole batch is every pair, so that the loss at step 2 is of the weights that step 1 left."""
    out = tmp_path / "dpo"
    common = ["--model", "arith-mixed", "--pairs", place / "pairs.jsonl", "--learning-rate", "3e-5", "--quiet"]
    good("dpo", *common, *STEPS, *options, "--out", out)
    rows = log(out)
    moved = list(token_scores(place / "pairs.jsonl", out / "checkpoint-1").values())
    alpha = float(options[1]) if "--ld-alpha" in options else 1.0
    first, second = (Numbers(now, base, alpha) for now in (base, moved))
    assert np.abs(second.d).max() > 0.5, "the step moved something"
    if "dpop" in options:
        assert (second.chosen < 0).any(), "the penalty weighs something"
    assert rows[0]["loss"] == pytest.approx(float(np.mean(formula(first))), rel=2e-5, abs=1e-5)
    assert rows[1]["loss"] == pytest.approx(float(np.mean(formula(second))), rel=1e-4, abs=1e-4)
    if start is not None:
        assert rows[0]["loss"] == pytest.approx(start, abs=1e-4)
    for side, name in enumerate(("chosen", "rejected")):
        sums = first.sums(base, side)
        if "simpo" in str(options):
            expected, column = sums / first.length(side), f"log_likelihood_per_token_{name}"
        else:
            column = f"{'weighted_' if '--ld-alpha' in options else ''}log_likelihood_{name}"
            expected = sums
        assert rows[0][column] == pytest.approx(float(np.mean(expected)), abs=1e-3)


def test_options_of_a_loss_are_another_training(place: Path, tmp_path: Path) -> None:
    out = tmp_path / "dpo"
    command = ["dpo", "--model", "arith-mixed", "--pairs", place / "pairs.jsonl", *STEPS, "--out", out]
    said = " ".join(good(*command, "--loss", "sigmoid", "--loss", "sft:0.5").split())
    assert "loss sigmoid,sft:0.5" in said
    assert "loss: sigmoid (DPO: Rafailov et al. 2023, arXiv 2305.18290) + sft:0.5 (the NLL of RPO: Pang et al." in said
    assert "trained already" in good(*command, "--loss", "sft:0.5,sigmoid")
    assert "trained already" in good(*command, "--loss", "sft:0.5,sigmoid", "--micro-batch", "6")
    for options, difference in (
        ([], 'loss: "sigmoid,sft:0.5" -> "sigmoid"'),
        (["--loss", "sigmoid,sft:1"], 'loss: "sigmoid,sft:0.5" -> "sigmoid,sft"'),
        (["--loss", "sigmoid,sft:0.5", "--label-smoothing", "0.1"], "label_smoothing: 0.0 -> 0.1"),
        (["--loss", "sigmoid,sft:0.5", "--ld-alpha", "0.5"], "ld_alpha: null -> 0.5"),
    ):
        done = invoke(*command, *options)
        assert done.exit_code == 2
        [line] = [line for line in done.output.splitlines() if line.startswith("error: ")]
        assert "holds another training" in line
        assert difference in line


def test_sums_on_different_scales_are_trained_and_said(place: Path, tmp_path: Path) -> None:
    command = ["dpo", "--model", "arith-mixed", "--pairs", place / "pairs.jsonl", *STEPS]
    said = good(*command, "--loss", "sigmoid", "--loss", "ipo", "--out", tmp_path / "dpo")
    assert "note: --loss sigmoid,ipo adds terms on different scales" in said
    assert log(tmp_path / "dpo")[0]["loss"] == pytest.approx(LN2 + 25.0, abs=1e-3)


def test_the_penalty_of_dpop_is_trained_on(place: Path, base: Sides, tmp_path: Path) -> None:
    """Not only counted: what DPO lowers is held up."""
    command = ["dpo", "--model", "arith-mixed", "--pairs", place / "pairs.jsonl", "--learning-rate", "3e-5", "--quiet"]
    command += ["--steps", "8", "--batch-size", "12", "--micro-batch", "12", "--warmup-steps", "0"]
    fell = {}
    for name, options in (("dpo", []), ("dpop", ["--loss", "dpop", "--dpop-lambda", "50"])):
        good(*command, *options, "--out", tmp_path / name)
        now = list(token_scores(place / "pairs.jsonl", tmp_path / name / "checkpoint-8").values())
        fell[name] = float(np.maximum(0.0, -Numbers(now, base).chosen).mean())
    assert fell["dpop"] < 0.5 * fell["dpo"]


def test_simpo_with_an_adapter(place: Path, base: Sides, tmp_path: Path) -> None:
    out = tmp_path / "lora"
    common = ["--model", "arith-mixed", "--pairs", place / "pairs.jsonl", "--learning-rate", "1e-2", "--quiet"]
    good("dpo", *common, *STEPS, "--loss", "simpo", "--lora-rank", "4", "--out", out)
    moved = list(token_scores(place / "pairs.jsonl", BASE, out / "checkpoint-1").values())
    for row, now in zip(log(out), (base, moved), strict=True):
        assert row["loss"] == pytest.approx(float(np.mean(Numbers(now, base).simpo(2.0, 1.0))), rel=1e-4)
