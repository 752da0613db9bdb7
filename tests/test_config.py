"""What a run owes, from its configuration or from what run.json has of it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import replace

import pytest
from example_config import CONFIG as EXAMPLE

from bon_eval.config import (
    RunConfig,
    Shard,
    count_owed,
    draw_specs,
    draws,
    responses_per_problem,
    shard_index,
)
from bon_eval.draws import DrawSpec
from bon_eval.errors import ConfigError
from bon_eval.run.sampling import requests
from bon_eval.tasks.prompts import RenderedPrompt

CONFIG = replace(EXAMPLE, temperature=0.7, stop=("\n",))
IDS = ("p0", "p1", "p2")


@pytest.mark.parametrize("config", [CONFIG, json.loads(json.dumps(CONFIG.as_dict()))], ids=["config", "stored"])
def test_what_a_run_owes(config: RunConfig | dict[str, object]) -> None:
    assert list(draws(config).items()) == [("greedy", 1), ("sample", 4)]
    assert responses_per_problem(config) == 5
    assert count_owed(config, 3) == 6


def test_a_pool_of_one_is_a_request_of_its_own_beside_greedy() -> None:
    config = replace(CONFIG, n=1)
    assert responses_per_problem(config) == 2
    assert (count_owed(config, 3), count_owed(config, 0)) == (6, 0)


def test_the_draws_of_a_run_and_of_its_stored_configuration() -> None:
    assert draw_specs(CONFIG) == (DrawSpec("greedy", 1, 0.0), DrawSpec("sample", 4, 0.7))
    low = DrawSpec("low", 8, 0.25)
    config = replace(CONFIG, draws=(low,))
    assert draw_specs(config) == draw_specs(json.loads(json.dumps(config.as_dict()))) == (*draw_specs(CONFIG), low)
    assert draws(config) == {"greedy": 1, "sample": 4, "low": 8}
    assert config.run_id == CONFIG.run_id, "the set of draws is the extent, not the identity"


@pytest.mark.parametrize("n", [1, 4])
def test_the_requests_of_a_run_are_those_that_it_owes(n: int) -> None:
    config = replace(CONFIG, n=n)
    prompts = [RenderedPrompt(i, f"{i}?", (k, 1)) for k, i in enumerate(IDS)]
    asked = list(requests(config, prompts))
    assert len(asked) == count_owed(config, len(IDS))
    assert [(r.problem_id, r.arm, r.n, r.sampling.temperature) for r in asked] == [
        (i, *drawn) for i in IDS for drawn in (("greedy", 1, 0.0), ("sample", n, 0.7))
    ]


def test_the_hash_is_the_first_eight_bytes_of_sha256() -> None:
    assert hashlib.sha256(b"algebra/1").hexdigest()[:16] == "4bb90fa718f6596d"
    assert shard_index("algebra/1", 7) == 0x4BB90FA718F6596D % 7 + 1
    assert Counter(shard_index(str(i), 3) for i in range(24)) == {1: 9, 2: 9, 3: 6}


def test_shards_are_of_about_one_size_and_disjoint() -> None:
    ids = [f"test/algebra/{i}.json" for i in range(5000)]
    for of in (2, 7, 64):
        counts = Counter(shard_index(i, of) for i in ids)
        expected = 5000 / of
        assert sum((c - expected) ** 2 / expected for c in counts.values()) < of + 5 * (2 * of) ** 0.5
        assert all(sum(Shard(k, of).holds(i) for k in range(1, of + 1)) == 1 for i in ids[:50])


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "1/", "a/b", "1/0", "-1/4", "1/4/2", ""])
def test_what_is_no_shard(text: str) -> None:
    with pytest.raises(ConfigError, match="is not I/K"):
        replace(CONFIG, shard=text)
