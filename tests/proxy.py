"""A server in front of a real one, that plays what goes wrong on the way or holds answers back."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from toy_server import JsonHandler, on_loopback

Forward = Callable[[dict[str, Any]], dict[str, Any]]
Play = Callable[[str, dict[str, Any], Forward], Any]


@contextmanager
def proxy(target: str, play: Play) -> Iterator[str]:
    """The base URL of a server in front of the one at `target`: `play(path, body, forward)` answers every POST.

    It returns the JSON of the answer, (status, headers, bytes), or None to hang up in the middle of an answer.
    """

    class Handler(JsonHandler, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with urllib.request.urlopen(target.removesuffix("/v1") + self.path) as answer:
                self.send(200, {}, answer.read())

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))

            def forward(changed: dict[str, Any]) -> dict[str, Any]:
                url = target.removesuffix("/v1") + self.path
                sent = urllib.request.Request(url, json.dumps(changed).encode(), {"Content-Type": "application/json"})
                with urllib.request.urlopen(sent) as answer:
                    found: dict[str, Any] = json.loads(answer.read())
                    return found

            played = play(self.path, body, forward)
            if played is None:
                self.send(200, {"Content-Length": "100000"}, b'{"choices": [')
                self.close_connection = True
                self.connection.shutdown(2)
            elif isinstance(played, dict):
                self.send(200, {}, json.dumps(played).encode())
            else:
                self.send(*played)

    with on_loopback(Handler) as url:
        yield f"{url}/v1"
