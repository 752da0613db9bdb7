"""Bodies, answers and settings of the openai engine, without a server."""

from __future__ import annotations

import copy
import random
from dataclasses import replace
from typing import Any

import pytest

from bon_eval.engines.openai.client import delay
from bon_eval.engines.openai.wire import read_answer, read_scores, sampling_body, to_response, top_logprobs
from bon_eval.engines.servers import SERVERS, ServerSettings
from bon_eval.errors import ConfigError, EngineError
from bon_eval.records import ForcedSequence, Request, Sampling

URL = {"base_url": "http://127.0.0.1:8000/v1", "served_model": "m"}
END = frozenset({"", "<end>"})
REQUEST = Request("p", "sample", (5, 6, 7), 2, Sampling(0.7, 3, (0,), ("\n\n",)), ({"role": "user", "content": "?"},))


def completion(*, ids: bool = True, **changes: Any) -> dict[str, Any]:
    """What vLLM's completions API gives for two responses of three tokens at most."""
    logprobs = {"tokens": ["4", "2", "<end>"], "token_logprobs": [-0.5, -0.25, -0.125], "top_logprobs": [None] * 3}
    whole = {"index": 0, "text": "42", "logprobs": logprobs, "finish_reason": "stop", "stop_reason": None}
    cut = copy.deepcopy(whole) | {"index": 1, "text": "423", "finish_reason": "length"}
    if ids:
        whole["token_ids"], cut["token_ids"] = [9, 8, 0], [9, 8, 7]
    return {"choices": [cut, whole | changes], "usage": {"prompt_tokens": 3}}


def test_a_completion_is_read_by_index() -> None:
    answer = read_answer(completion(), REQUEST, 2, END)
    first, second = (to_response(REQUEST, i, c) for i, c in enumerate(answer.choices))
    assert (first.token_ids, first.token_logprobs, first.text) == ((9, 8, 0), (-0.5, -0.25, -0.125), "42")
    assert (first.finish_reason, first.truncated, first.index) == ("stop", False, 0)
    assert (second.token_ids, second.finish_reason, second.index) == ((9, 8, 7), "length", 1)
    assert answer.prompt_tokens == 3


def test_without_token_ids_the_log_likelihood_stays() -> None:
    answer = read_answer(completion(ids=False), REQUEST, 2, END)
    response = to_response(REQUEST, 0, answer.choices[0])
    assert response.token_ids == ()
    assert response.n_tokens == 3
    assert response.log_likelihood == -0.875


def test_the_entries_of_the_chat_api_and_of_llama_cpp() -> None:
    content = [
        {"token": t, "logprob": x, "top_logprobs": [{"token": t, "logprob": x}, {"token": "z", "logprob": -4.0}]}
        for t, x in (("4", -0.5), ("2", -0.25), ("<end>", -0.125))
    ]
    choice = {"index": 0, "message": {"content": "42"}, "logprobs": {"content": content}, "finish_reason": "stop"}
    body = {"choices": [choice], "usage": {"prompt_tokens": 3}}
    [found] = read_answer(body, REQUEST, 1, END).choices
    assert (found.text, list(found.token_ids), list(found.logprobs)) == ("42", [], [-0.5, -0.25, -0.125])
    assert top_logprobs(body) == {"4": -0.5, "z": -4.0}
    for entry, token in zip(content, (9, 8, 0), strict=True):
        entry["id"] = token
    assert list(read_answer(body, REQUEST, 1, END).choices[0].token_ids) == [9, 8, 0]


def test_top_k_confidence_leaves_out_the_own_token_where_it_is_not_among_the_most_likely() -> None:
    request = Request("p", "sample", (5,), 1, Sampling(1.0, 1, topk=True))
    top = {f"token_id:{k}": -float(k) for k in range(1, 21)}
    for own in (-2.0, -30.0):
        logprobs = {"tokens": ["token_id:77"], "token_logprobs": [own], "top_logprobs": [top | {"token_id:77": own}]}
        if own == -2.0:
            logprobs["top_logprobs"] = [top]
        choice = {"index": 0, "text": "x", "logprobs": logprobs, "finish_reason": "length"}
        [found] = read_answer({"choices": [choice]}, request, 1, END).choices
        assert list(found.topk or ()) == [10.5]  # the mean of 1 .. 20
        assert list(found.token_ids) == [77]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"logprobs": None}, "no log-prob for each token"),
        ({"logprobs": {"tokens": ["4"], "token_logprobs": [None]}}, "no log-prob for each token"),
        ({"token_ids": [9, 8]}, "2 token ids and 3 log-probs"),
        ({"token_ids": [9, 8, 7]}, "end before the response's end token"),
        ({"token_ids": [9, 0, 0]}, "went on after an end token"),
        ({"finish_reason": "content_filter"}, "'content_filter', which is neither"),
        ({"finish_reason": None}, "None, which is neither"),
    ],
)
def test_answers_that_would_make_wrong_numbers(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(EngineError, match=named):
        read_answer(completion(**changes), REQUEST, 2, END)


def test_a_response_cut_by_the_server_is_not_one_cut_by_max_tokens() -> None:
    body = completion()
    for key in ("tokens", "token_logprobs"):
        del body["choices"][0]["logprobs"][key][2:]
    body["choices"][0]["token_ids"].pop()
    with pytest.raises(EngineError, match="cut a response at 2 tokens where 3 were asked for"):
        read_answer(body, REQUEST, 2, END)


@pytest.mark.parametrize("ids", [True, False])
def test_log_probs_of_fewer_tokens_than_were_generated(ids: bool) -> None:
    """As llama.cpp's server leaves out tokens that end inside a character, its end token still there."""
    body = completion(ids=ids) | {"usage": {"prompt_tokens": 3, "completion_tokens": 6}}
    assert len(read_answer(body, REQUEST, 2, END).choices) == 2
    body["usage"]["completion_tokens"] = 7
    with pytest.raises(EngineError, match="problem p, sample: the server gave 6 log-probs for 7 tokens"):
        read_answer(body, REQUEST, 2, END)
    body["usage"]["completion_tokens"] = 3  # of one choice alone, as some count: what lacks could not be seen
    with pytest.raises(EngineError, match=r"6 log-probs and counts 3 tokens, .*max_n=1"):
        read_answer(body, REQUEST, 2, END)


def test_an_end_without_ids_is_told_by_its_text() -> None:
    body = completion(ids=False)
    body["choices"][1]["logprobs"]["tokens"] = ["4", "2", "1"]
    with pytest.raises(EngineError, match="end before the response's end token"):
        read_answer(body, REQUEST, 2, END)


def test_a_cut_response_that_went_on_behind_an_end() -> None:
    """A server ends at what its own copy of the model names, which may be fewer tokens."""
    with pytest.raises(EngineError, match="went on after an end token of the model"):
        read_answer(completion(token_ids=[9, 0, 7], finish_reason="length"), REQUEST, 2, END)
    body = completion(ids=False, finish_reason="length")
    body["choices"][1]["logprobs"] = body["choices"][1]["logprobs"] | {"tokens": ["4", "<end>", "2"]}
    with pytest.raises(EngineError, match="went on after an end token of the model"):
        read_answer(body, REQUEST, 2, END)
    body["choices"][1]["logprobs"]["tokens"] = ["4", "", "2"]  # half a character reads as nothing
    read_answer(body, REQUEST, 2, END)


def test_a_stop_string_ends_without_an_end_token() -> None:
    for how in ({"stop_reason": "\n\n", "token_ids": [9, 8, 7]}, {"token_ids": [9, 8, 7]}):
        body = completion(**how)
        body["choices"][1]["logprobs"]["tokens"] = ["4", "2\n", "\n"]
        assert read_answer(body, REQUEST, 2, END).choices[0].finish_reason == "stop"
    # A stop string completed by the last allowed token, which vLLM calls `length`.
    body = completion(stop_reason="\n\n", finish_reason="length", token_ids=[9, 8, 7])
    assert read_answer(body, REQUEST, 2, END).choices[0].finish_reason == "stop"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("<html>busy</html>", "is no completion"),
        ({"error": "no"}, "is no completion"),
        ({"choices": []}, "0 choices where 2 were asked for; look into its log"),
        ({"choices": [{}]}, "1 choice where 2 were asked for; give --engine-arg max_n=1"),
        ({"choices": [{}] * 3}, "3 choices where 2 were asked for; look into its log"),
        ({"choices": [{}, {}], "usage": {"prompt_tokens": 4}}, "read 4 tokens in the prompt of problem p, which has 3"),
    ],
)
def test_answers_that_are_none(body: object, named: str) -> None:
    with pytest.raises(EngineError, match=named):
        read_answer(body, REQUEST, 2, END)


@pytest.mark.parametrize("name", SERVERS)
def test_every_field_that_shapes_the_distribution_is_sent(name: str) -> None:
    server = SERVERS[name]
    body = sampling_body(ServerSettings.of(URL), server, REQUEST, 2)
    assert body["prompt"] == [5, 6, 7]
    assert (body["temperature"], body["top_p"], body["presence_penalty"], body["frequency_penalty"]) == (0.7, 1, 0, 0)
    assert (body["n"], body["max_tokens"], body["stop"], body["logprobs"]) == (2, 3, ["\n\n"], server.logprobs)
    assert body.get("stop_token_ids") == ([0] if server.stop_token_ids else None)
    assert server.fields.items() <= body.items()
    if name != "openai":
        assert body["top_k"] in (0, -1)
        assert body["min_p"] == 0
    chat = sampling_body(ServerSettings.of(URL | {"api": "chat"}), server, REQUEST, 2)
    assert "prompt" not in chat
    assert (chat["messages"], chat["logprobs"]) == ([{"role": "user", "content": "?"}], True)


@pytest.mark.parametrize("name", SERVERS)
def test_what_cuts_tokens_is_sent_and_nothing_else_changes(name: str) -> None:
    server = SERVERS[name]
    plain = sampling_body(ServerSettings.of(URL), server, REQUEST, 2)
    given = {"top_p": 0.9, "top_k": 5, "min_p": 0.1}
    cutting = replace(REQUEST, sampling=replace(REQUEST.sampling, **given))
    body = sampling_body(ServerSettings.of(URL), server, cutting, 2)
    order = {"samplers": ["temperature", "min_p", "top_k", "top_p"]} if name == "llamacpp" else {}
    assert body == plain | given | order
    only = replace(REQUEST, sampling=replace(REQUEST.sampling, top_p=0.9))
    assert sampling_body(ServerSettings.of(URL), server, only, 2) == plain | {"top_p": 0.9} | order
    assert ("top_k" in plain) == ("min_p" in plain) == (name != "openai")


def test_chat_needs_messages() -> None:
    plain = Request("p", "sample", (5,), 1, Sampling(1.0, 3))
    with pytest.raises(EngineError, match="plain text, and api=chat sends messages"):
        sampling_body(ServerSettings.of(URL | {"api": "chat"}), SERVERS["vllm"], plain, 1)


def test_forced_log_probs_are_those_of_the_tokens_sent() -> None:
    sequence = ForcedSequence("k", (5, 6), (9, 0))
    positions = [
        None,
        {"6": {"logprob": -1.0}},
        {"9": {"logprob": -2.0}, "8": {"logprob": -0.5}},
        {"0": {"logprob": -0.25}},
    ]
    body: dict[str, Any] = {"choices": [{"prompt_logprobs": positions}]}
    assert read_scores(body, sequence) == ((-2.0, -0.25), (-0.5, -0.25))
    with pytest.raises(EngineError, match="not those of the tokens sent"):
        read_scores(body, ForcedSequence("k", (5, 6), (9, 1)))
    with pytest.raises(EngineError, match="no prompt log-probs"):
        read_scores({"choices": [{"prompt_logprobs": None}]}, sequence)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"base_url": None}, "--base-url"),
        ({"base_url": "localhost:8000"}, "no address of a server"),
        ({"base_url": "http://user:hidden@host/v1"}, "OPENAI_API_KEY"),
        ({"base_url": "http://host/v1?api_key=hidden"}, "OPENAI_API_KEY"),
        ({"api_key": "hidden"}, "environment alone"),
        ({"tensor_parallel_size": 2}, "unknown argument of engine openai 'tensor_parallel_size'"),
        ({"max_n": 0}, "max_n must be above 0"),
        ({"max_n": 2.5}, "max_n must be a whole number"),
        ({"timeout": float("inf")}, "timeout must be above 0"),
        ({"patience": "long"}, "patience must be a number"),
        ({"wait": -1}, "wait must be at least 0"),
        ({"api": "responses"}, "unknown api"),
        ({"server": "tgi"}, "unknown server"),
    ],
)
def test_impossible_settings(change: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named) as caught:
        ServerSettings.of(URL | change)
    assert "hidden" not in str(caught.value)


def test_delays_double_up_to_a_bound_and_differ() -> None:
    for attempt, longest in ((0, 0.5), (1, 1.0), (5, 16.0), (6, 30.0), (1000, 30.0)):
        found = [delay(attempt, None, random.Random(seed)) for seed in range(50)]
        assert all(longest / 2 <= x <= longest for x in found)
        assert len(set(found)) == 50
