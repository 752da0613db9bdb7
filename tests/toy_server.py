"""A server with OpenAI's completions API in this process, for a model whose distribution is known in full."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from truncated import distribution

END = 0
"""The end token of the embedded models."""
Play = Callable[[dict[str, Any], dict[str, Any]], Any]
"""(body, true answer) -> what is sent instead: JSON, or (status, headers, bytes)."""


class Toy:
    """Tokens at every position independent of all before, and of the prompt; greedy takes the likeliest.

    Args:
        weights: of each token id.
        ignores: of ``top_p``, ``top_k`` and ``min_p`` those that it does not know.
        cuts_first: whether it cuts before the temperature.
    """

    def __init__(
        self, weights: Mapping[int, float], *, ignores: Collection[str] = (), cuts_first: bool = False
    ) -> None:
        total = sum(weights.values())
        self.ids = np.array(list(weights))
        self.p = np.array([w / total for w in weights.values()])
        self.ignores, self.cuts_first = ignores, cuts_first
        self.top = {f"t{i}": math.log(p) for i, p in zip(self.ids, self.p, strict=True)}

    def drawn_from(self, body: Mapping[str, Any]) -> Any:
        """The probabilities of the tokens that a request is answered by."""
        if body["temperature"] == 0:
            return self.p == self.p.max()
        hot = {"temperature": body["temperature"]}
        cut = {k: body[k] for k in ("top_p", "top_k", "min_p") if k in body and k not in self.ignores}
        if not self.cuts_first:
            return distribution(np.log(self.p), hot | cut)
        left = distribution(np.log(self.p), {"temperature": 1.0} | cut)
        with np.errstate(divide="ignore"):
            return distribution(np.log(left), hot)

    def choice(self, index: int, body: Mapping[str, Any], p: Any, rng: np.random.Generator) -> dict[str, Any]:
        """One response, of tokens drawn from p."""
        drawn: list[int] = []
        while len(drawn) < body["max_tokens"] and END not in drawn:
            drawn.append(int(self.ids[rng.choice(len(p), p=p)]))
        best = dict(sorted(self.top.items(), key=lambda item: -item[1])[: max(1, body["logprobs"])])
        names = [f"t{i}" for i in drawn]
        return {
            "index": index,
            "text": " ".join(names).removesuffix(f"t{END}"),
            "token_ids": drawn,
            "logprobs": {
                "tokens": names,
                "token_logprobs": [self.top[name] for name in names],
                "top_logprobs": [best | {name: self.top[name]} for name in names],
            },
            "finish_reason": "stop" if drawn[-1] == END else "length",
            "stop_reason": None,
        }

    def answer(self, body: Mapping[str, Any], rng: np.random.Generator) -> dict[str, Any]:
        """The answer to one request, for responses or for the scores of given tokens."""
        if "prompt_logprobs" in body:
            positions = [{str(i): {"logprob": self.top.get(f"t{i}", -9.0)}} for i in body["prompt"]]
            return {"choices": [{"prompt_logprobs": [None, *positions[1:]]}]}
        p = self.drawn_from(body)
        choices = [self.choice(k, body, p, rng) for k in range(body["n"])]
        made = sum(len(c["token_ids"]) for c in choices)
        return {"choices": choices, "usage": {"prompt_tokens": len(body["prompt"]), "completion_tokens": made}}


class JsonHandler(BaseHTTPRequestHandler):
    """Sends JSON, or what the headers say it is; logs nothing."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None:
        pass

    def send(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        self.send_response(status)
        usual = {"Content-Type": "application/json", "Content-Length": str(len(content))}
        for name, value in (usual | dict(headers)).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def on_loopback(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The URL of a running server whose requests that class answers, each in a thread."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def toy_server(
    model: Toy, play: Play = lambda body, answer: answer, *, replicas: Callable[[int], list[int]] | None = None
) -> Iterator[str]:
    """The base URL of a running server of the model ``toy``, which says that it is vLLM's.

    Args:
        play: changes answers.
        replicas: request number -> seed of the generator of its answer; None: one generator, never the same again.
    """
    lock, rng, number = threading.Lock(), np.random.default_rng(1), 0

    class Handler(JsonHandler):
        def do_GET(self) -> None:
            card = {"id": "toy", "owned_by": "vllm", "max_model_len": 256}
            self.send(200, {}, json.dumps({"data": [card]} if "models" in self.path else {"version": "0"}).encode())

        def do_POST(self) -> None:
            nonlocal number
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                own = rng if replicas is None else np.random.default_rng(replicas(number))
                number += 1
                answer = play(body, model.answer(body, own))
            self.send(*answer) if isinstance(answer, tuple) else self.send(200, {}, json.dumps(answer).encode())

    with on_loopback(Handler) as url:
        yield f"{url}/v1"
