"""What a training is where the user says little, and what is refused in one line."""

from __future__ import annotations

import json
import math
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from bon_eval.dpo.training.settings import Method, TrainSettings, resolve
from bon_eval.errors import ConfigError

NOTHING: dict[str, Any] = dict.fromkeys(
    (
        "steps",
        "epochs",
        "save_every",
        "learning_rate",
        "warmup_steps",
        "batch_size",
        "micro_batch",
        "optimizer",
        "beta",
        "lora_rank",
        "lora_alpha",
    )
)


def settings(method: Method = "dpo", examples: int = 640, **given: Any) -> TrainSettings:
    return resolve(method, examples, **NOTHING | given)


def refused(**given: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        settings(**given)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_dpo_defaults() -> None:
    # One epoch of 640 pairs in batches of 64 is 10 steps: a tenth of them warms up, a checkpoint every 10 // 8.
    assert settings() == TrainSettings(
        method="dpo",
        steps=10,
        save_every=1,
        learning_rate=1e-6,
        warmup_steps=1,
        batch_size=64,
        micro_batch=8,
        optimizer="rmsprop",
        weight_decay=0.0,
        max_grad_norm=10.0,
        beta=0.1,
        lora_rank=None,
        lora_alpha=None,
        lora_targets="all-linear",
        dtype="float32",
        gradient_checkpointing=False,
        seed=0,
    )


def test_sft_defaults() -> None:
    found = settings("sft")
    assert (found.learning_rate, found.optimizer, found.beta) == (1e-5, "adamw_torch", None)
    assert settings("sft", beta=0.3).beta is None, "SFT has no beta"


@pytest.mark.parametrize(("method", "rate"), [("dpo", 1e-5), ("sft", 1e-4)])
def test_lora_defaults(method: Method, rate: float) -> None:
    found = settings(method, lora_rank=8)
    assert found.learning_rate == rate, "ten times that of full fine-tuning"
    assert (found.lora_rank, found.lora_alpha, found.lora_targets) == (8, 16, "all-linear")
    assert settings(method, lora_rank=8, lora_alpha=8).lora_alpha == 8
    assert settings(method, lora_rank=8, learning_rate=2e-4).learning_rate == 2e-4


LENGTHS = {
    # examples, given -> steps, save_every, warm-up steps.
    "one epoch": (640, {}, 10, 1, 1),
    "a batch that is not full counts": (641, {}, 11, 1, 1),
    "epochs": (640, {"epochs": 2.5}, 25, 3, 2),
    "a part of a step": (640, {"epochs": 0.01}, 1, 1, 0),
    "fewer examples than a batch": (10, {"epochs": 3.0}, 3, 1, 0),
    "other batches": (640, {"batch_size": 4}, 160, 20, 16),
    "steps": (640, {"steps": 80}, 80, 10, 8),
    "all given": (640, {"steps": 80, "save_every": 100, "warmup_steps": 0}, 80, 100, 0),
}


@pytest.mark.parametrize(("examples", "given", "steps", "save_every", "warmup"), LENGTHS.values(), ids=LENGTHS)
def test_how_long(examples: int, given: dict[str, Any], steps: int, save_every: int, warmup: int) -> None:
    found = settings(examples=examples, **given)
    assert (found.steps, found.save_every, found.warmup_steps) == (steps, save_every, warmup)


def test_steps_and_epochs_exclude_each_other() -> None:
    assert refused(steps=10, epochs=1.0) == "--steps and --epochs both say how long to train; give one"


@pytest.mark.parametrize(
    ("batch", "micro"), [(64, 8), (32, 8), (12, 6), (10, 5), (7, 7), (1, 1), (11, 1), (9, 3), (26, 2)]
)
def test_the_micro_batch_is_the_largest_divisor_up_to_8(batch: int, micro: int) -> None:
    found = settings(batch_size=batch)
    assert (found.batch_size, found.micro_batch) == (batch, micro)


def test_fewer_examples_than_a_batch_are_one_batch() -> None:
    found = settings(examples=10)
    assert (found.batch_size, found.micro_batch) == (10, 5)
    assert settings(examples=10, batch_size=16).batch_size == 16, "what is given is not changed"


@pytest.mark.parametrize("micro", [3, 5, 64])
def test_a_micro_batch_that_does_not_divide_the_batch(micro: int) -> None:
    message = refused(batch_size=32, micro_batch=micro)
    assert message.startswith(f"--batch-size 32 is no multiple of --micro-batch {micro}; ")


NAN, INF = math.nan, math.inf
OUT_OF_RANGE = [
    ("steps", 0, "--steps must be at least 1, got 0"),
    ("steps", -3, "--steps must be at least 1, got -3"),
    ("save_every", 0, "--save-every must be at least 1, got 0"),
    ("batch_size", 0, "--batch-size must be at least 1, got 0"),
    ("micro_batch", 0, "--micro-batch must be at least 1, got 0"),
    ("micro_batch", -8, "--micro-batch must be at least 1, got -8"),
    ("epochs", 0.0, "--epochs must be above 0"),
    ("epochs", -1.0, "--epochs must be above 0"),
    ("epochs", NAN, "--epochs must be above 0"),
    ("epochs", INF, "--epochs must be above 0 and finite, got inf"),
    ("warmup_steps", -1, "--warmup-steps must not be negative"),
    ("weight_decay", -0.1, "--weight-decay must not be negative"),
    ("weight_decay", NAN, "--weight-decay must not be negative"),
    ("weight_decay", INF, "--weight-decay must not be negative and must be finite, got inf"),
    ("learning_rate", 0.0, "--learning-rate must be above 0"),
    ("learning_rate", NAN, "--learning-rate must be above 0"),
    ("learning_rate", INF, "--learning-rate must be above 0 and finite, got inf"),
    ("max_grad_norm", 0.0, "--max-grad-norm must be above 0"),
    ("beta", 0.0, "--beta must be above 0"),
    ("beta", -0.1, "--beta must be above 0"),
    ("beta", NAN, "--beta must be above 0"),
    ("optimizer", "lion", "--optimizer 'lion' is unknown; valid: rmsprop, adamw_torch, sgd"),
    ("dtype", "float16", "--dtype 'float16' cannot be trained; valid: float32, bfloat16"),
    ("lora_rank", 0, "--lora-rank must be at least 1, got 0"),
    ("lora_alpha", 8, "--lora-alpha 8 has no adapter to scale; give --lora-rank too"),
    ("seed", -1, "--seed must be in [0, 2**31), got -1"),
    ("seed", 2**31, "--seed must be in [0, 2**31), got 2147483648"),
]


@pytest.mark.parametrize(("name", "value", "message"), OUT_OF_RANGE)
def test_out_of_range(name: str, value: object, message: str) -> None:
    assert refused(**{name: value}).startswith(message)


@pytest.mark.parametrize("alpha", [0, -16])
def test_an_alpha_below_1(alpha: int) -> None:
    assert refused(lora_rank=8, lora_alpha=alpha) == f"--lora-alpha must be at least 1, got {alpha}"


BOUNDARIES: list[dict[str, Any]] = [
    {"steps": 1, "save_every": 1, "batch_size": 1, "micro_batch": 1},
    {"warmup_steps": 0, "weight_decay": 0.0},
    {"seed": 0},
    {"seed": 2**31 - 1},
    {"lora_rank": 1, "lora_alpha": 1},
    {"dtype": "bfloat16", "optimizer": "sgd"},
    {"batch_size": 16, "micro_batch": 16},
]


@pytest.mark.parametrize("given", BOUNDARIES, ids=str)
def test_boundaries_are_inside(given: dict[str, Any]) -> None:
    found = settings(**given)
    assert {name: getattr(found, name) for name in given} == given


def test_settings_are_frozen_and_json() -> None:
    found = settings(lora_rank=4)
    with pytest.raises(FrozenInstanceError):
        found.steps = 3  # type: ignore[misc]
    assert TrainSettings(**json.loads(json.dumps(found.as_dict()))) == found


def test_an_unknown_field_is_no_setting() -> None:
    with pytest.raises(TypeError, match="momentum"):
        settings(momentum=0.9)
