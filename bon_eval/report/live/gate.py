"""Who may look: whoever knows the token that was printed, from a page under this machine's own name."""

from __future__ import annotations

import hmac
import re
import secrets
import threading
from collections.abc import Sequence

_HOST = re.compile(r"(127\.0\.0\.1|localhost)(:[0-9]{1,5})?", re.IGNORECASE)
"""Any port: a tunnel may end at another one. A name that was made to point here is another site's."""


class Gate:
    """The secrets of one server."""

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(32)
        """In the address that is printed."""
        self._cookie = secrets.token_urlsafe(32)
        self._tickets: set[str] = set()
        self._lock = threading.Lock()

    def ticket(self) -> str:
        """A token that lets in once: the command line of a browser, which gets it, is everybody's to read."""
        made = secrets.token_urlsafe(32)
        with self._lock:
            self._tickets.add(made)
        return made

    def takes(self, token: str) -> bool:
        """Whether a token lets in."""
        with self._lock:
            used = [ticket for ticket in self._tickets if _same(token, ticket)]
            self._tickets.difference_update(used)
        return _same(token, self.token) or bool(used)

    def set_cookie(self, port: int) -> str:
        """The header that lets a browser in from now on, until it is closed."""
        return f"{_name(port)}={self._cookie}; Path=/; HttpOnly; SameSite=Strict"

    def knows(self, cookies: Sequence[str], port: int) -> bool:
        """Whether one of the cookies of a request is what `set_cookie` gave.

        Args:
            cookies: the values of its Cookie headers; browsers send those of every port of a machine to each.
            port: of this server.
        """
        pairs = [pair.strip().partition("=") for header in cookies for pair in header.split(";")]
        given = [value for name, _, value in pairs if name == _name(port)]
        return any(_same(value, self._cookie) for value in given)


def is_own_host(hosts: Sequence[str]) -> bool:
    """Whether the Host headers of a request, of which there must be one, name this machine itself.

    >>> is_own_host(["127.0.0.1:8642"]), is_own_host(["localhost"]), is_own_host(["evil.example:8642"]), is_own_host([])
    (True, True, False, False)
    """
    return len(hosts) == 1 and _HOST.fullmatch(hosts[0].strip()) is not None


def _name(port: int) -> str:
    return f"bon-eval-view-{port}"


def _same(given: str, secret: str) -> bool:
    """In a time that does not tell how much of it is right."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), secret.encode())
