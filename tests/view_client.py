"""Requests to a server of the live page in this process, also such as no browser would make."""

from __future__ import annotations

import contextlib
import http.client
import socket

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
