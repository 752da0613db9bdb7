"""What the tests of the live page share: a server over a directory, and a browser at it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from view_client import Client

from bon_eval.report.live.server import ViewServer


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
