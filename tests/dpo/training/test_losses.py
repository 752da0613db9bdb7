"""Which losses there are, what goes together, what TRL is given, and that older trainings keep their identity."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest

from bon_eval.dpo.training.losses import (
    LOSSES,
    default_beta,
    dpo_arguments,
    is_batchwise,
    loss_text,
    scale_note,
    simpo_arguments,
    source_text,
    terms_of,
)
from bon_eval.dpo.training.settings import Method, TrainSettings, resolve
from bon_eval.errors import ConfigError

UNSAID: dict[str, Any] = dict.fromkeys(
    ("steps", "epochs", "save_every", "learning_rate", "warmup_steps", "batch_size", "micro_batch", "optimizer", "beta")
) | {"lora_rank": None, "lora_alpha": None}


def settings(method: Method = "dpo", **given: Any) -> TrainSettings:
    return resolve(method, 640, **UNSAID | given)


def refused(**given: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        settings(**given)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ([], "sigmoid"),
        (["ipo"], "ipo"),
        (["sft:0.5", "sigmoid"], "sigmoid,sft:0.5"),
        (["sigmoid:1.0,sft:1e-2"], "sigmoid,sft:0.01"),
        ([" hinge:2 "], "hinge:2"),
        (["sigmoid:0.8", "bco_pair:0.2", "sft"], "sigmoid:0.8,bco_pair:0.2,sft"),
    ],
)
def test_one_text_for_one_loss(given: list[str], text: str) -> None:
    assert loss_text(given) == text
    assert loss_text([text]) == text
    assert ",".join(map(str, terms_of(text))) == text


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["kto"], "unknown loss 'kto'; valid: aot, "),
        (["ipo", "ipo:2"], "--loss gives ipo twice; "),
        (["sft:0"], "--loss 'sft:0': a weight is a number above 0"),
        (["sft:-1"], "a weight is a number above 0"),
        (["sft:nan"], "a weight is a number above 0"),
        (["sft:inf"], "a weight is a number above 0"),
        (["sft:"], "a weight is a number above 0"),
        (["sft:half"], "a weight is a number above 0"),
        ([""], "unknown loss ''"),
    ],
)
def test_what_is_no_loss(given: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loss_text(given)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"loss": ["sft"]}, "--loss sft alone is SFT on chosen; use `bon-eval sft --select chosen`"),
    ({"loss": ["sft:0.5"]}, "--loss sft alone is SFT on chosen"),
    ({"loss": ["exo_pair"]}, "--loss exo_pair needs --label-smoothing above 0 (0.001 in its paper)"),
    ({"loss": ["robust"]}, "--loss robust needs --label-smoothing above 0"),
    ({"loss": ["hinge"], "label_smoothing": 0.1}, "--loss hinge takes no --label-smoothing, which TRL would leave out"),
    ({"loss": ["sigmoid", "aot"], "label_smoothing": 0.1}, "of sigmoid and of aot do not go together"),
    ({"label_smoothing": 0.5}, "--label-smoothing must be at least 0 and below 0.5, got 0.5"),
    ({"label_smoothing": -0.1}, "--label-smoothing must be at least 0"),
    ({"label_smoothing": math.nan}, "--label-smoothing must be at least 0"),
    ({"ld_alpha": 1.5}, "--ld-alpha must be in [0, 1], got 1.5"),
    ({"ld_alpha": -0.5}, "--ld-alpha must be in [0, 1]"),
    ({"ld_alpha": math.nan}, "--ld-alpha must be in [0, 1]"),
    ({"loss": ["ipo"], "ld_alpha": 0.5}, "--ld-alpha weighs summed log-probs, and ipo takes means"),
    ({"loss": ["simpo"], "ld_alpha": 0.5}, "and simpo takes means"),
    ({"loss": ["simpo", "sigmoid"], "beta": 1.0}, "TRL's simpo has weight 1 and goes with sft alone"),
    ({"loss": ["simpo:2"]}, "TRL's simpo has weight 1"),
    # Not that a beta is missed, which would not help.
    ({"loss": ["simpo", "sigmoid"]}, "TRL's simpo has weight 1 and goes with sft alone; give --loss simpo"),
    ({"loss": ["simpo", "sigmoid_norm"]}, "TRL's simpo has weight 1 and goes with sft alone"),
    ({"loss": ["dpop", "sigmoid_norm"]}, "dpop changes the reference of all terms"),
    ({"simpo_gamma": 0.5}, "--simpo-gamma 0.5 is of --loss simpo, and the loss is sigmoid; leave it out, or give"),
    ({"simpo_gamma": math.nan}, "--simpo-gamma nan is of --loss simpo"),
    ({"loss": ["simpo"], "simpo_gamma": -1.0}, "--simpo-gamma must be at least 0 and finite, got -1.0"),
    ({"loss": ["simpo"], "simpo_gamma": math.inf}, "--simpo-gamma must be at least 0 and finite, got inf"),
    ({"loss": ["sigmoid", "sigmoid_norm"]}, "has terms of different scales, and one beta; give --beta"),
    ({"loss": ["aot"], "batch_size": 4, "micro_batch": 1}, "--loss aot sorts the pairs of a micro-batch"),
    ({"loss": ["dpop"]}, "--loss dpop needs --dpop-lambda, the weight of its penalty; give a number above 0"),
    ({"loss": ["dpop"], "dpop_lambda": 0.0}, "--dpop-lambda must be above 0 and finite, got 0.0"),
    ({"loss": ["dpop"], "dpop_lambda": math.inf}, "--dpop-lambda must be above 0 and finite, got inf"),
    ({"loss": ["ipo"], "dpop_lambda": 5.0}, "--dpop-lambda 5.0 is of --loss dpop, and the loss is ipo; leave it out"),
    ({"loss": ["dpop", "ipo"], "dpop_lambda": 5.0}, "dpop changes the reference of all terms"),
    ({"loss": ["dpop"], "dpop_lambda": 5.0, "ld_alpha": 0.5}, "--ld-alpha and --loss dpop do not go together"),
    ({"loss": ["dpop"], "dpop_lambda": 5.0, "label_smoothing": 0.1}, "--loss dpop takes no --label-smoothing"),
    ({"loss": ["ipo"], "beta": -1.0}, "--beta must be above 0"),
]


@pytest.mark.parametrize(("given", "message"), REFUSED, ids=lambda value: str(value)[:60])
def test_combinations_that_do_not_go(given: dict[str, Any], message: str) -> None:
    assert message in refused(**given)


def test_defaults_by_loss() -> None:
    assert settings(loss=["simpo"]).beta == 2.0
    assert settings(loss=["simpo"]).simpo_gamma == 1.0
    assert settings(loss=["simpo", "sft:0.1"], simpo_gamma=0.0).simpo_gamma == 0.0
    assert settings(loss=["sigmoid_norm", "sft"]).beta == 5.0
    assert settings(loss=["sigmoid", "sft"]).beta == 0.1
    assert settings(loss=["sigmoid", "sigmoid_norm"], beta=0.2).beta == 0.2
    assert default_beta("sft") == 0.1
    assert (settings("sft").loss, settings("sft").beta) == (None, None)


def test_what_trl_is_given() -> None:
    plain = {"beta": 0.1, "label_smoothing": 0.0, "ld_alpha": None}
    assert dpo_arguments("sigmoid", **plain) == plain | {"loss_type": ["sigmoid"], "loss_weights": [1.0]}
    both = dpo_arguments("sigmoid:2,sft:0.5", **plain | {"label_smoothing": 0.1})
    assert (both["loss_type"], both["loss_weights"]) == (["robust", "sft"], [2.0, 0.5])
    # TRL's robust loss there is that of conservative DPO, whatever the margin.
    e, s = both["label_smoothing"], 0.1
    for margin in (-3.0, 0.0, 0.7):
        right, wrong = math.log1p(math.exp(-margin)), math.log1p(math.exp(margin))
        robust = ((1 - e) * right - e * wrong) / (1 - 2 * e)
        assert robust == pytest.approx((1 - s) * right + s * wrong, abs=1e-12)
    assert dpo_arguments("dpop,sft", **plain)["loss_type"] == ["sigmoid", "sft"]
    assert dpo_arguments("robust", **plain | {"label_smoothing": 0.1})["label_smoothing"] == 0.1
    found = simpo_arguments("simpo,sft:0.25", beta=2.0, label_smoothing=0.0, simpo_gamma=1.0)
    assert (found["loss_type"], found["cpo_alpha"], found["simpo_gamma"]) == ("simpo", 0.25, 1.0)
    assert simpo_arguments("simpo", beta=2.0, label_smoothing=0.0, simpo_gamma=1.0)["cpo_alpha"] == 0.0


OLD_IDENTITY = {
    "method": "dpo",
    "steps": 10,
    "save_every": 1,
    "learning_rate": 1e-06,
    "warmup_steps": 1,
    "batch_size": 64,
    "optimizer": "rmsprop",
    "weight_decay": 0.0,
    "max_grad_norm": 10.0,
    "beta": 0.1,
    "lora_rank": None,
    "lora_alpha": None,
    "lora_targets": "all-linear",
    "dtype": "float32",
    "seed": 0,
}
"""As it was stored before there was a choice of losses."""


def test_the_identity_of_older_trainings_is_unchanged() -> None:
    assert settings().identity() == OLD_IDENTITY
    assert settings(micro_batch=4, gradient_checkpointing=True).identity() == OLD_IDENTITY
    sft = settings("sft").identity()
    assert sft == OLD_IDENTITY | {"method": "sft", "beta": None, "optimizer": "adamw_torch", "learning_rate": 1e-5}


def test_every_option_of_a_loss_is_part_of_the_identity() -> None:
    assert settings(loss=["ipo"]).identity() == OLD_IDENTITY | {"loss": "ipo"}
    assert settings(label_smoothing=0.1).identity() == OLD_IDENTITY | {"label_smoothing": 0.1}
    assert settings(ld_alpha=0.0).identity() == OLD_IDENTITY | {"ld_alpha": 0.0}
    simpo = {"loss": "simpo", "beta": 2.0, "simpo_gamma": 1.0}
    assert settings(loss=["simpo"]).identity() == OLD_IDENTITY | simpo
    dpop = {"loss": "dpop", "dpop_lambda": 5.0}
    assert settings(loss=["dpop"], dpop_lambda=5.0).identity() == OLD_IDENTITY | dpop
    # What is sorted within a micro-batch depends on its size.
    assert settings(loss=["sigmoid", "aot"]).identity()["micro_batch"] == 8
    assert [name for name in LOSSES if is_batchwise(name)] == ["aot", "aot_unpaired"]


@pytest.mark.parametrize(
    ("given", "note"),
    [
        (
            ["sigmoid", "ipo"],
            "--loss sigmoid,ipo adds terms on different scales, with one beta (sigmoid: of summed log-probs; ipo: a "
            "square of means per token); equal weights are no equal parts",
        ),
        (["sigmoid", "sppo_hard:0.1"], "sppo_hard: a square of summed log-probs"),
        (["sigmoid", "sigmoid_norm"], "sigmoid_norm: of means per token"),
        (["sigmoid", "bco_pair", "sft"], None),
        (["ipo", "sft"], None),
    ],
)
def test_terms_on_different_scales_are_said(given: list[str], note: str | None) -> None:
    said = scale_note(loss_text(given))
    assert said is None if note is None else note in str(said)


def test_settings_are_said_with_their_sources() -> None:
    assert source_text("sigmoid,sft:0.5") == (
        "sigmoid (DPO: Rafailov et al. 2023, arXiv 2305.18290) + sft:0.5 (the NLL of RPO: Pang et al. 2024, arXiv "
        "2404.19733)"
    )


def test_the_page_has_a_row_for_each_loss() -> None:
    page = (Path(__file__).parents[3] / "docs/training.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| `(\w+)` \|.*?(\d{4}\.\d{5})", page, flags=re.M)
    assert dict(table) == {name: loss.source[-10:] for name, loss in LOSSES.items()}
