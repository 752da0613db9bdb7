"""What a run owes, from its configuration or from what run.json has of it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import get_args

import pytest

from bon_eval.config import (
    Draw,
    RunConfig,
    count_owed,
    draw_temperatures,
    draws,
    owed_requests,
    responses_per_problem,
)
from bon_eval.records import Arm
from bon_eval.run.sampling import requests
from bon_eval.tasks.prompts import RenderedPrompt

CONFIG = RunConfig(
    task="t",
    model="m",
    revision=None,
    adapter=None,
    engine="transformers",
    dtype="float32",
    n=4,
    limit=None,
    temperature=0.7,
    max_tokens=8,
    stop=("\n",),
    stop_token_ids=(2,),
    prompt_style="plain",
    shots=0,
    seed=0,
    grader="gsm8k",
    data=None,
    train_data=None,
    task_hash="a",
    model_hash="b",
    adapter_hash=None,
    prompts_hash="c",
)
IDS = ("p0", "p1", "p2")


@pytest.mark.parametrize("config", [CONFIG, json.loads(json.dumps(CONFIG.as_dict()))], ids=["config", "stored"])
def test_what_a_run_owes(config: RunConfig | dict[str, object]) -> None:
    assert list(draws(config).items()) == [("greedy", 1), ("sample", 4)]
    assert responses_per_problem(config) == 5
    assert count_owed(config, 3) == 6
    assert owed_requests(config, IDS) == {(i, draw) for i in IDS for draw in ("greedy", "sample")}


def test_a_pool_of_one_is_a_request_of_its_own_beside_greedy() -> None:
    config = replace(CONFIG, n=1)
    assert responses_per_problem(config) == 2
    assert count_owed(config, 3) == len(owed_requests(config, IDS)) == 6
    assert count_owed(config, 0) == len(owed_requests(config, ())) == 0


def test_every_draw_has_a_temperature_and_is_an_arm_of_the_records() -> None:
    assert list(draws(CONFIG)) == list(draw_temperatures(CONFIG)) == list(get_args(Draw)) == list(get_args(Arm))


@pytest.mark.parametrize("n", [1, 4])
def test_the_requests_of_a_run_are_those_that_it_owes(n: int) -> None:
    config = replace(CONFIG, n=n)
    prompts = [RenderedPrompt(i, f"{i}?", (k, 1)) for k, i in enumerate(IDS)]
    asked = list(requests(config, prompts))
    assert len(asked) == count_owed(config, len(IDS))
    assert {(r.problem_id, r.arm) for r in asked} == owed_requests(config, IDS)
    assert [(r.problem_id, r.arm, r.n, r.sampling.temperature) for r in asked] == [
        (i, *drawn) for i in IDS for drawn in (("greedy", 1, 0.0), ("sample", n, 0.7))
    ]
