"""Answers of servers that are broken or of another kind, over HTTP: each is one line and nothing is stored."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from pools import only_pool
from toy_server import Toy, toy_server

from bon_eval.engines.base import EngineSpec
from bon_eval.engines.models import ASSETS
from bon_eval.engines.openai import OpenAIEngine
from bon_eval.engines.openai.wire import read_answer, read_scores, top_logprobs
from bon_eval.errors import EngineError
from bon_eval.records import ForcedSequence, Request, Sampling

pytestmark = pytest.mark.heavy  # each starts a server

TOY = Toy({9: 5.0, 8: 3.0, 7: 1.0, 0: 1.0})
REQUEST = Request("p", "sample", (5, 6, 7), 4, Sampling(1.0, 12, (0,)))


def sample(url: str, **args: Any) -> Any:
    given = {"base_url": url, "served_model": "toy", "patience": 0.2} | args
    spec = EngineSpec(str(ASSETS / "arith-mixed"), engine_args=given, probe=REQUEST)
    with OpenAIEngine(spec) as engine:
        return only_pool(engine.sample([REQUEST]))


def test_a_true_server_is_taken() -> None:
    with toy_server(TOY) as url:
        responses = sample(url, max_n=2)
    assert [r.index for r in responses] == [0, 1, 2, 3]


@pytest.mark.parametrize("at_once", [False, True])
def test_a_stop_sends_nothing_more_and_takes_what_was_sent(at_once: bool) -> None:
    """Parts of two responses, four on their way at once; the third part is held back by the server."""
    sent = 0
    answering = threading.Event()

    def play(body: dict[str, Any], answer: dict[str, Any]) -> Any:
        nonlocal sent
        if sampling and body["n"] == 2:
            sent += 1
            if sent > 2:
                answering.wait(600)
        return answer

    given = {"base_url": "", "served_model": "toy", "max_n": 2, "concurrency": 4}
    sampling: list[bool] = []
    with toy_server(TOY, play) as url:
        spec = EngineSpec(str(ASSETS / "arith-mixed"), engine_args=given | {"base_url": url}, probe=REQUEST)
        with OpenAIEngine(spec) as engine:
            sampling.append(True)
            stream = engine.sample([replace(REQUEST, n=20)])
            found = [next(stream), next(stream)]
            while not all(found):
                found = [*filter(None, found), next(stream)]
            began, awaited = time.monotonic(), engine.pulse.begun
            assert awaited == 2
            engine.stop(at_once=at_once)
            for piece in stream:
                found.append(piece)
                if not piece:
                    answering.set()
            assert time.monotonic() - began < 300
            assert sum(map(len, found)) == 4 + (0 if at_once else awaited)
            assert answering.is_set() or at_once, "the caller has its turns while nothing comes"
            answering.set()
    responses = [r for piece in found for r in piece]
    assert len({r.index for r in responses}) == len(responses)


def choices(change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    """Change the first choice of an answer in place."""

    def play(answer: dict[str, Any]) -> Any:
        change(answer["choices"][0])
        return answer

    return play


def logprobs(**changed: Callable[[list[Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    return choices(lambda c: c["logprobs"].update({k: change(c["logprobs"][k]) for k, change in changed.items()}))


def lower_all(answer: dict[str, Any]) -> Any:
    for choice in answer["choices"]:
        choice["logprobs"]["token_logprobs"] = [x - 1.0 for x in choice["logprobs"]["token_logprobs"]]
    return answer


def chat(content: object, **more: object) -> Callable[[dict[str, Any]], Any]:
    return choices(lambda c: (c.pop("text"), c.update(message={"content": content, **more})))


BAD: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "text null": (choices(lambda c: c.update(text=None)), "gave None as the text of a response of"),
    "text number": (choices(lambda c: c.update(text=7)), "gave 7 as the text"),
    "content null": (chat(None), "gave None as the content"),
    "content parts": (chat([{"type": "text", "text": "9"}]), r"gave \[\{'type': 'text'.* as the content"),
    "reasoning parsed": (chat("9", reasoning_content="hm"), "taken reasoning_content out of the response's text"),
    "all zero": (logprobs(token_logprobs=lambda v: [0.0] * len(v)), "log-prob 0.000, and its own list .* both cannot"),
    "too low": (
        lower_all,
        r"gave \d+ of \d+ tokens another log-prob than its own list",
    ),
    "nan": (logprobs(token_logprobs=lambda v: [float("nan")] * len(v)), "log-prob nan, which must be a finite"),
    "positive": (logprobs(token_logprobs=lambda v: [0.25] * len(v)), "log-prob 0.25, which must be a finite"),
    "text log-prob": (logprobs(token_logprobs=lambda v: ["-1"] * len(v)), "log-prob '-1', which must be a finite"),
    "true": (logprobs(token_logprobs=lambda v: [False] * len(v)), "log-prob False, which must be a finite"),
    "more tokens": (logprobs(tokens=lambda v: [*v, "x"]), r"gave \d+ tokens and \d+ log-probs"),
    "tokens no list": (logprobs(tokens=lambda v: 3), "tokens are no list"),
    "null in top": (logprobs(top_logprobs=lambda v: [{"t9": None}] * len(v)), "None as the log-prob of 't9'"),
    "top of numbers": (logprobs(top_logprobs=lambda v: [3] * len(v)), "top_logprobs are no list of tokens"),
    "content of texts": (
        choices(lambda c: c.update(logprobs={"content": ["a"]})),
        "log-probs are no list of tokens|log-probs for",
    ),
    "text ids": (choices(lambda c: c.update(token_ids=["a"] * len(c["token_ids"]))), "token id 'a', which is none"),
    "choice null": (lambda a: a | {"choices": [None] * len(a["choices"])}, "is no completion"),
    "no choices": (lambda a: {"usage": a["usage"]}, "is no completion"),
    "fewer": (lambda a: a | {"choices": a["choices"][:1]}, "gave 1 choice where 4 were asked for"),
    "array": (lambda a: [a], "is no completion"),
    "html as json": (lambda a: (200, {}, b"<html>log in</html>"), "its answer is no JSON: '<html>log in</html>'"),
    "cut json": (lambda a: (200, {}, b'{"choices": ['), "its answer is no JSON"),
    "no utf-8": (lambda a: (200, {}, b'{"choices": "\xff\xfe"}'), "is no completion|cannot be read"),
    "gzip that is none": (lambda a: (200, {"Content-Encoding": "gzip"}, b"none"), "failed for|cannot be read"),
}


@pytest.mark.parametrize("name", BAD)
def test_each_is_one_line(name: str) -> None:
    spoil, named = BAD[name]
    with (
        toy_server(TOY, lambda body, answer: spoil(answer) if body["n"] == 4 else answer) as url,
        pytest.raises(EngineError, match=named) as caught,
    ):
        sample(url)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [None, "x", float("nan"), True])
def test_a_trial_of_log_probs_that_are_no_numbers(value: object) -> None:
    def play(body: dict[str, Any], answer: dict[str, Any]) -> Any:
        if body["n"] == 1:
            answer["choices"][0]["logprobs"]["top_logprobs"][0]["t8"] = value
        return answer

    with toy_server(TOY, play) as url, pytest.raises(EngineError, match="as the log-prob of 't8' in top_logprobs"):
        sample(url)


class Odd(dict[str, Any]):
    """An answer that raises what is on no list."""

    def get(self, *args: Any) -> Any:
        raise ArithmeticError("odd")


def test_what_no_list_names_is_one_line_too() -> None:
    for read in (
        lambda: read_answer(Odd(), REQUEST, 4, frozenset()),
        lambda: read_scores(Odd(), ForcedSequence("k", (5,), (9,))),
        lambda: top_logprobs(Odd()),
    ):
        with pytest.raises(EngineError, match="cannot be read: ArithmeticError: odd; it is of another shape"):
            read()


def test_tokens_that_read_the_same_are_no_contradiction() -> None:
    """The list has one entry for both, and it may be the other one's."""
    own = {"tokens": ["\ufffd"], "token_logprobs": [-4.0], "top_logprobs": [{"\ufffd": -0.1, "a": -3.0}]}
    choice = {"index": 0, "text": "", "logprobs": own, "finish_reason": "length"}
    body = {"choices": [choice]}
    request = Request("p", "sample", (5,), 1, Sampling(1.0, 1))
    assert read_answer(body, request, 1, frozenset()).choices[0].logprobs[0] == -4.0
    unlisted = copy.deepcopy(body)
    unlisted["choices"][0]["logprobs"]["tokens"] = ["b"]
    assert read_answer(unlisted, request, 1, frozenset()).choices
    unlisted["choices"][0]["logprobs"]["token_logprobs"] = [-0.1]
    with pytest.raises(EngineError, match=r"other tokens have 95\.\d % of the probability"):
        read_answer(unlisted, request, 1, frozenset())
