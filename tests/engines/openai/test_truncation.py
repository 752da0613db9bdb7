"""Servers that obey, ignore, refuse or misplace what cuts tokens, over HTTP; a model whose distribution is known."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from toy_server import Toy, toy_server
from truncated import GIVEN, chi_square, distribution

from bon_eval.engines.base import EngineSpec
from bon_eval.engines.models import ASSETS
from bon_eval.engines.openai import OpenAIEngine
from bon_eval.errors import EngineError
from bon_eval.records import ForcedSequence, Request, Response, Sampling

pytestmark = pytest.mark.heavy  # each starts a server

WEIGHTS = {9: 5.0, 8: 3.0, 7: 1.0, 0: 1.0}
PLAIN = Sampling(1.0, 12, (0,))
NAMES = ("top_p", "top_k", "min_p")
CUT: dict[str, dict[str, Any]] = {"top_p": {"top_p": 0.75}, "top_k": {"top_k": 2}, "min_p": {"min_p": 0.5}}


def sampling(**given: Any) -> Sampling:
    return Sampling(**{"temperature": 1.0, "max_tokens": 12, "stop_token_ids": (0,)} | given)


def request(given: Sampling, n: int = 4, name: str = "p") -> Request:
    return Request(name, "drawn", (5, 6, 7), n, given)


def opened(url: str, *samplings: Sampling, server: str = "vllm", probe: Sampling = PLAIN, **args: Any) -> OpenAIEngine:
    given = {"base_url": url, "served_model": "toy", "patience": 0.2, "server": server} | args
    spec = EngineSpec(str(ASSETS / "arith-mixed"), engine_args=given, probe=request(probe), samplings=samplings)
    return OpenAIEngine(spec)


def drawn(engine: OpenAIEngine, asked: Iterable[Request]) -> list[Response]:
    return [r for group in engine.sample(asked) for r in group]


def test_draws_of_every_kind_in_one_stream_follow_what_is_left() -> None:
    toy = Toy(WEIGHTS)
    asked = [request(Sampling(max_tokens=1, **kind), 400, name=str(i)) for i, kind in enumerate(GIVEN)]
    with toy_server(toy) as url, opened(url, *(r.sampling for r in asked)) as engine:
        counts = Counter((r.problem_id, r.token_ids[0]) for r in drawn(engine, asked))
    for i, kind in enumerate(GIVEN):
        seen = np.array([float(counts[str(i), int(token)]) for token in toy.ids])
        assert chi_square(seen, distribution(np.log(toy.p), kind)) > 1e-4, kind


@pytest.mark.parametrize("server", ["vllm", "openai", "sglang", "llamacpp"])
@pytest.mark.parametrize("name", NAMES)
def test_a_parameter_that_is_ignored_is_found_before_the_run(server: str, name: str) -> None:
    with toy_server(Toy(WEIGHTS, ignores=[name])) as url:
        for other in set(NAMES) - {name}:
            opened(url, sampling(**CUT[other]), server=server).close()
        with pytest.raises(EngineError, match=rf"the server ignores {name}: .*or through a server of vLLM") as caught:
            opened(url, sampling(**CUT[name]), server=server)
        with pytest.raises(EngineError, match=f"ignores {name}"):
            opened(url, server=server, probe=sampling(**CUT[name]))
        # One that nobody announced is tried when it comes, before anything is drawn with it.
        with opened(url, server=server) as engine, pytest.raises(EngineError, match=f"ignores {name}"):
            drawn(engine, [request(PLAIN), request(sampling(**CUT[name]))])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["top_k", "min_p"])
def test_a_parameter_that_is_refused_is_named(name: str) -> None:
    """As by a server that takes the fields of the original API alone."""

    def play(body: dict[str, Any], answer: dict[str, Any]) -> Any:
        return (400, {}, f'{{"error": {{"message": "unknown: {name}"}}}}'.encode()) if name in body else answer

    with toy_server(Toy(WEIGHTS), play) as url:
        opened(url, sampling(top_p=0.5), server="openai").close()
        with pytest.raises(
            EngineError, match=rf"refuses the request \(HTTP 400: unknown: {name}\) with {name} 1 in it"
        ):
            opened(url, sampling(**CUT[name]), server="openai")


@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_is_certain_shows_nothing(name: str) -> None:
    with (
        toy_server(Toy({9: 1e9, 8: 1e-3, 0: 1e-3})) as url,
        pytest.raises(EngineError, match=f"cannot be told whether the server obeys {name}"),
    ):
        opened(url, sampling(**CUT[name]))


def test_a_server_that_names_no_likely_tokens_shows_nothing() -> None:
    def play(body: dict[str, Any], answer: dict[str, Any]) -> Any:
        for choice in answer["choices"] if body.get("top_k") else ():
            choice["logprobs"]["top_logprobs"] = None
        return answer

    with toy_server(Toy(WEIGHTS), play) as url, pytest.raises(EngineError, match="does not name the most likely"):
        opened(url, sampling(top_k=3))


@pytest.mark.parametrize("name", ["top_p", "min_p"])
def test_tokens_cut_before_the_temperature(name: str) -> None:
    tempered = sampling(temperature=0.7, **CUT[name])
    with toy_server(Toy(WEIGHTS)) as url:
        opened(url, tempered, server="openai").close()
    with toy_server(Toy(WEIGHTS, cuts_first=True)) as url:
        opened(url, sampling(**CUT[name]), sampling(temperature=0.7, top_k=2), server="openai").close()
        with pytest.raises(
            EngineError, match=f"the server cuts by {name} before the temperature, .* temperature 1, or"
        ):
            opened(url, tempered, server="openai")


def test_an_order_that_cannot_be_told() -> None:
    """Two tokens nearly alike and a third so rare that neither order leaves it."""
    with (
        toy_server(Toy({9: 1.0, 8: 0.9, 0: 1e-4})) as url,
        pytest.raises(EngineError, match="cannot be told whether the server cuts by min_p before the temperature"),
    ):
        opened(url, sampling(temperature=0.7, min_p=0.1), server="openai")


def test_top_p_beside_another_is_for_servers_of_known_order() -> None:
    both = sampling(top_p=0.9, min_p=0.1)
    with toy_server(Toy(WEIGHTS)) as url:
        for server in ("vllm", "llamacpp"):
            opened(url, both, server=server).close()
        opened(url, sampling(top_k=3, min_p=0.1), server="sglang").close()
        for server in ("sglang", "openai"):
            with pytest.raises(EngineError, match=f"kind {server} need not cut by top_p after min_p"):
                opened(url, both, server=server)


def test_each_kind_is_tried_once() -> None:
    asked: list[tuple[float, float, int]] = []

    def play(body: dict[str, Any], answer: dict[str, Any]) -> Any:
        asked.append((body["temperature"], body["top_p"], body["top_k"]))
        return answer

    nucleus = sampling(top_p=0.9)
    with toy_server(Toy(WEIGHTS), play) as url, opened(url, nucleus) as engine:
        before = len(asked)
        responses = drawn(engine, [request(nucleus), request(sampling(top_p=0.5)), request(PLAIN)])
        # They are under way at once, and arrive in any order.
        assert sorted(asked[before:]) == [(1.0, 0.5, 0), (1.0, 0.9, 0), (1.0, 1.0, 0)]
    assert len(responses) == 12
    assert asked[:before].count((2.0, 1e-5, 0)) == 1


def test_responses_that_are_bound_to_be_the_same_are_no_cache() -> None:
    """Top-k 1 leaves one response, whose two requests are answered alike."""
    with toy_server(Toy(WEIGHTS)) as url, opened(url, max_n=4) as engine:
        responses = drawn(engine, [request(sampling(top_k=1), 8)])
    assert {r.token_ids for r in responses} == {(9,) * 12}


@pytest.mark.vllm
@pytest.mark.slow
def test_vllms_server_is_shown_to_obey_and_gives_raw_logprobs(served_mixed: Any) -> None:
    from transformers import AutoTokenizer

    tok = AutoTokenizer.from_pretrained(served_mixed.model_dir)
    rows = (ASSETS / "arith" / "test.jsonl").read_text(encoding="utf-8").splitlines()[:3]
    prompts = [tuple(tok(json.loads(row)["question"] + "\n")["input_ids"]) for row in rows]
    ends = (int(tok.eos_token_id),)
    kinds = [Sampling(max_tokens=24, stop_token_ids=ends, **kind) for kind in GIVEN]
    asked = [
        Request(f"{i}", f"draw{k}", prompt, n, kind)
        for i, prompt in enumerate(prompts)
        for k, (n, kind) in enumerate([*((8, kind) for kind in kinds), (1, Sampling(0.0, 24, ends))])
    ]
    probe = Request("0", "sample", prompts[0], 8, Sampling(1.0, 24, ends))
    given = {"base_url": served_mixed.base_url, "served_model": served_mixed.name}
    spec = EngineSpec(str(served_mixed.model_dir), engine_args=given, probe=probe, samplings=tuple(kinds))
    with OpenAIEngine(spec) as engine:
        responses = {(r.arm, r.problem_id, r.index): r for group in engine.sample(asked) for r in group}
        sequences = [
            ForcedSequence("/".join(map(str, key)), prompts[int(key[1])], r.token_ids) for key, r in responses.items()
        ]
        forced = {f.key: f for f in engine.score_argmax(sequences)}
    assert len(responses) == sum(r.n for r in asked)
    for key, r in responses.items():
        found = forced["/".join(map(str, key))]
        assert max(abs(a - b) for a, b in zip(found.logprobs, r.token_logprobs, strict=True)) < 1e-3
        kind = dict(enumerate(GIVEN)).get(int(r.arm.removeprefix("draw")), {})
        lowest = kind.get("temperature", 1.0) * np.log(kind.get("min_p", 0.0) or 1e-30)
        assert all(own >= top + lowest - 1e-3 for own, top in zip(found.logprobs, found.argmax_logprobs, strict=True))
    only = [r for r in responses.values() if r.arm == "draw6"]  # top_p 0.01
    assert len({(r.problem_id, r.token_ids) for r in only}) == len(prompts)
