"""A model hub on the loopback address that speaks what huggingface_hub asks: revisions, a gate, broken connections."""

from __future__ import annotations

import hashlib
import json
import socket
import struct
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import unquote, urlsplit

TOKEN = "hf_of_one_who_may"
"""Opens gated repositories; any other token is of an account without access."""
_LARGE = 100_000
"""Bytes from which on a file is kept beside git, and named by its SHA-256."""


@dataclass
class Repository:
    """Its commits and what names them."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    gated: bool = False

    def commit(self, files: Mapping[str, bytes], *refs: str) -> str:
        """Add a commit of these files, and point branches and tags at it."""
        sha = hashlib.sha1(repr([(name, _entry_id(files[name])) for name in sorted(files)]).encode()).hexdigest()
        self.commits[sha] = dict(files)
        self.refs |= dict.fromkeys(refs, sha)
        return sha


class Hub:
    """Use as a context manager; `url` is what HF_ENDPOINT takes."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.fetched: Counter[str] = Counter()
        """Paths of files whose content was asked for."""
        self.asked = 0
        """Requests of any kind."""
        self.cuts: dict[str, str] = {}
        """Path of a file -> ``close`` or ``reset``: how its connection breaks in the middle, each time."""
        self.down = False
        """Whether every answer is that the service is unavailable."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the tests count what was asked."""

    def do_HEAD(self) -> None:
        self._answer(head=True)

    def do_GET(self) -> None:
        self._answer(head=False)

    def _answer(self, *, head: bool) -> None:
        self.hub.asked += 1
        if self.hub.down:
            return self._refuse(503, "", "Service Unavailable")
        path = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        api = path[:2] == ["api", "models"]
        owner, name, kind, revision, *rest = [*(path[2:] if api else path), "", "", "", ""]
        file = "/".join(rest).rstrip("/")
        repository = self.hub.repositories.get(f"{owner}/{name}")
        known = self.headers.get("Authorization") is not None
        if repository is None:
            return self._refuse(404 if known else 401, "RepoNotFound", "Repository not found")
        sha = repository.refs.get(revision or "main", revision)
        if sha not in repository.commits:
            return self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        files = repository.commits[sha]
        if api and kind in ("", "revision"):
            siblings = [{"rfilename": path} for path in sorted(files)]
            return self._json({"id": f"{owner}/{name}", "sha": sha, "siblings": siblings, "private": False, "tags": []})
        if repository.gated and self.headers.get("Authorization") != f"Bearer {TOKEN}" and not api:
            return self._refuse(403 if known else 401, "GatedRepo", f"Access to model {owner}/{name} is restricted")
        if api and kind == "tree":
            return self._json([_entry(path, content) for path, content in sorted(files.items())])
        if kind != "resolve" or file not in files:
            return self._refuse(404, "EntryNotFound", "Entry not found")
        return self._file(file, files[file], sha, head=head)

    def _file(self, path: str, content: bytes, sha: str, *, head: bool) -> None:
        start = 0
        if (span := self.headers.get("Range")) is not None:
            start = int(span.removeprefix("bytes=").split("-")[0])
        self.send_response(206 if start else 200)
        self.send_header("X-Repo-Commit", sha)
        self.send_header("ETag", f'"{_entry_id(content)}"')
        self.send_header("X-Linked-Size", str(len(content)))
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if head:
            return
        self.hub.fetched[path] += 1
        if (cut := self.hub.cuts.get(path)) is None:
            self.wfile.write(content[start:])
            return
        self.wfile.write(content[start : start + (len(content) - start) // 2])
        self.wfile.flush()
        self.close_connection = True
        if cut == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def _json(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refuse(self, status: int, code: str, message: str) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", message)
        self.send_header("Content-Length", "0")
        self.end_headers()


def _entry(path: str, content: bytes) -> dict[str, object]:
    entry: dict[str, object] = {"type": "file", "path": path, "size": len(content), "oid": _git_id(content)}
    if len(content) >= _LARGE:
        entry["lfs"] = {"oid": _entry_id(content), "size": len(content), "pointerSize": 134}
    return entry


def _entry_id(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest() if len(content) >= _LARGE else _git_id(content)


def _git_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
