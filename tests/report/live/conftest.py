"""What the tests of the live page share: a server over a directory, and requests that no browser would make."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bon_eval.report.live.server import ViewServer

Headers = dict[str, str]


class Client:
    """Asks a server of this process; with its cookie unless told otherwise."""

    def __init__(self, server: ViewServer) -> None:
        self.server, self.port = server, server.server_port
        self.cookie = server.gate.set_cookie(self.port).partition(";")[0]

    @property
    def url(self) -> str:
        """What is printed."""
        return self.server.address(self.server.gate.token)

    def ask(
        self, path: str, method: str = "GET", headers: Headers | None = None, *, known: bool = True
    ) -> tuple[int, Headers, str]:
        """Status, headers by their names in small letters, body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        given = ({"Cookie": self.cookie} if known else {}) | (headers or {})
        with contextlib.closing(connection):
            connection.putrequest(method, path, skip_host="Host" in given, skip_accept_encoding=True)
            for name, value in given.items():
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, found, answer.read().decode("utf-8", "replace")

    def send(self, raw: bytes) -> bytes:
        """The answer to bytes that need be no request."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def text(self, path: str = "/") -> str:
        """The body of what must be there."""
        status, _, body = self.ask(path)
        assert status == 200, (path, status, body)
        return body


@pytest.fixture(scope="module")
def view() -> Iterator[Callable[[Path], Client]]:
    """(directory) -> a client of a server over it; all are closed at the end."""
    with contextlib.ExitStack() as stack:

        def start(root: Path) -> Client:
            server = stack.enter_context(ViewServer(root, 0))
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            stack.callback(server.shutdown)
            return Client(server)

        yield start


@pytest.fixture
def open_url(chromium: Any) -> Iterator[Callable[..., tuple[Any, list[str]]]]:
    """(client, path, **options) -> a page of a new browser that came by the printed address, and its complaints."""
    contexts = []

    def opened(client: Client, path: str = "/", **options: Any) -> tuple[Any, list[str]]:
        contexts.append(chromium.new_context(**options))
        tab = contexts[-1].new_page()
        trouble: list[str] = []
        own = f"http://127.0.0.1:{client.port}/"
        tab.on("console", lambda message: trouble.append(f"console: {message.text}"))
        tab.on("pageerror", lambda error: trouble.append(f"error: {error}"))
        tab.on("dialog", lambda dialog: (trouble.append("dialog"), dialog.dismiss()))
        tab.on("request", lambda request: None if request.url.startswith(own) else trouble.append(request.url))
        tab.goto(client.url)
        tab.wait_for_url(own)
        if path != "/":
            tab.goto(own.rstrip("/") + path)
        return tab, trouble

    yield opened
    for context in contexts:
        context.close()
