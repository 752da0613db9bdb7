"""The server: GET and HEAD on the loopback address, for whoever has the token; it reads, and writes nothing."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sys
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from socketserver import TCPServer
from typing import IO, Any
from urllib.parse import parse_qs, quote, unquote_to_bytes, urlencode

from bon_eval.errors import ConfigError
from bon_eval.report.live.files import FOLDERS, SAVED, TYPES, is_shown, open_below
from bon_eval.report.live.gate import Gate, is_own_host
from bon_eval.report.live.index import Index
from bon_eval.report.live.page import HEADERS, file_policy, index_page, message_page, own_policy, place_page

ADDRESS = "127.0.0.1"
_MOST_FIELDS = 20
_LONGEST_FILTER = 200


class ViewServer(ThreadingHTTPServer):
    """Serves the pages of one directory; `serve_forever` until it is interrupted, then `server_close`.

    Raises:
        ConfigError: the port is taken, or may not be used.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, root: Path, port: int) -> None:
        """`port`: 0 takes a free one."""
        self.index = Index(root)
        self.gate = Gate()
        self.policy = own_policy()
        try:
            super().__init__((ADDRESS, port), _Handler)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise ConfigError(f"port {port} of {ADDRESS} is taken; give --port 0 for a free one") from error
            raise ConfigError(
                f"port {port} of {ADDRESS} cannot be used: {error.strerror}; give another --port"
            ) from error

    def server_bind(self) -> None:
        """Bind, without asking for the name of the address, which may take seconds and is not used."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = ADDRESS, self.server_address[1]

    def address(self, token: str) -> str:
        """What to open, with a token."""
        return f"http://{ADDRESS}:{self.server_port}/?{urlencode({'token': token})}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that went away is no error."""
        if not isinstance(sys.exception(), (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


class _RefusedError(Exception):
    """An answer that is no page."""

    def __init__(self, status: int, title: str, text: str) -> None:
        super().__init__(title)
        self.status, self.title, self.text = status, title, text


def _nowhere() -> _RefusedError:
    return _RefusedError(404, "Not here", "There is no such page: a run was moved, perhaps, or is not reported yet.")


def _closed() -> _RefusedError:
    text = "This page is for whoever started it: open the address that bon-eval view has printed, with its token."
    return _RefusedError(403, "Closed", text)


def _unread() -> _RefusedError:
    return _RefusedError(400, "No such request", "The address cannot be read.")


class _Handler(BaseHTTPRequestHandler):
    server: ViewServer
    server_version = "bon-eval"
    sys_version = ""
    timeout = 30
    """Of a connection that sends nothing."""

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def _refuse_method(self) -> None:
        self._refuse(_RefusedError(405, "Only for reading", "GET and HEAD alone are answered here."))

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = do_CONNECT = _refuse_method  # noqa: N815

    def _answer(self) -> None:
        try:
            self._check_host()
            path, _, query = self.path.partition("?")
            if not path.startswith("/") or path.startswith("//"):
                raise _unread()
            try:
                fields = parse_qs(query, max_num_fields=_MOST_FIELDS)
            except ValueError as error:
                raise _unread() from error
            if "token" in fields:
                self._enter(path, fields["token"])
                return
            if not self.server.gate.knows(self.headers.get_all("Cookie", []), self.server.server_port):
                raise _closed()
            self._show(path, fields)
        except _RefusedError as refusal:
            self._refuse(refusal)

    def _check_host(self) -> None:
        if not is_own_host(self.headers.get_all("Host", [])):
            raise _RefusedError(403, "Closed", "This page is served under 127.0.0.1 and localhost alone.")

    def _enter(self, path: str, tokens: list[str]) -> None:
        """Give the cookie, and go on without the token.

        By a page of ours and no redirect: one that another site's link began would not carry a cookie of our own.
        """
        if len(tokens) != 1 or not self.server.gate.takes(tokens[0]):
            raise _closed()
        to = "/" + quote(unquote_to_bytes(path), safe="/").lstrip("/")
        page = message_page("bon-eval view", "The runs are on the next page.", to=to)
        self._send_page(page, cookie=self.server.gate.set_cookie(self.server.server_port))

    def _show(self, path: str, fields: dict[str, list[str]]) -> None:
        index = self.server.index
        if path == "/":
            number = fields.get("page", ["1"])[0]
            words = fields.get("q", [""])[0][:_LONGEST_FILTER]
            page = index_page(
                index, words, int(number) if number.isascii() and number.isdigit() and len(number) < 9 else 1
            )
            self._send_page(page)
            return
        way = os.fsdecode(unquote_to_bytes(path)).split("/")
        if way[:2] != ["", "runs"] or "\0" in "".join(way):
            raise _nowhere()
        *inner, last = way[2:] or [""]
        if {"", ".", ".."} & {*inner} or last in (".", ".."):
            raise _nowhere()
        if not last:
            place = index.place("/".join(inner))
            if place is None:
                raise _nowhere()
            self._send_page(place_page(index, place))
            return
        folder = None if index.place("/".join(inner)) is not None else inner[-1] if inner else None
        if folder is not None and (folder not in FOLDERS or index.place("/".join(inner[:-1])) is None):
            raise _nowhere()
        if (folder is None and index.place("/".join(inner)) is None) or not is_shown(folder, last):
            raise _nowhere()
        try:
            file = open_below(index.root, [*inner, last])
        except OSError as error:
            raise _nowhere() from error
        with file:
            self._send_file(file, last)

    def _send_page(self, page: str, *, status: int = 200, cookie: str | None = None) -> None:
        data = page.encode()
        tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
        if status == 200 and cookie is None and self.headers.get("If-None-Match") == tag:
            self._begin(304, {"ETag": tag})
            return
        more = {"Set-Cookie": cookie} if cookie else {"ETag": tag} if status == 200 else {}
        if status in (405, 501):
            more["Allow"] = "GET, HEAD"
        kind = {"Content-Type": TYPES[".html"], "Content-Length": str(len(data))}
        self._begin(status, {**kind, "Content-Security-Policy": self.server.policy, **more})
        self._send(BytesIO(data))

    def _send_file(self, file: IO[bytes], name: str) -> None:
        ending = os.path.splitext(name)[1]
        size = os.fstat(file.fileno()).st_size
        headers = {"Content-Type": TYPES[ending], "Content-Length": str(size)}
        headers["Content-Security-Policy"] = file_policy(name, file)
        if ending in SAVED:
            headers["Content-Disposition"] = f'attachment; filename="{quote(os.fsencode(name), safe="")}"'
        self._begin(200, headers)
        self._send(file)

    def _begin(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, data: IO[bytes]) -> None:
        if self.command != "HEAD":
            shutil.copyfileobj(data, self.wfile, 1 << 20)

    def _refuse(self, refusal: _RefusedError) -> None:
        self._send_page(message_page(refusal.title, refusal.text), status=refusal.status)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What http.server refuses itself, such as a line that is no request; nothing of it is repeated."""
        self.close_connection = True
        self.command = self.command or "GET"
        with suppress(ConnectionError):
            self._refuse(_RefusedError(code, "No such request", "The request cannot be answered."))

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the terminal is the user's."""
