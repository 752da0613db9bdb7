"""Who is let in, and to what: tokens, hosts, methods, and every way that I know to a file that is not to be shown."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from view_client import Client

from bon_eval.cli import main
from bon_eval.errors import ConfigError
from bon_eval.report.live.files import NAMES, is_shown
from bon_eval.report.live.server import ViewServer

SECRET = "nobody is to read this"
REPORT = '{"run": {"config": {"model": "m", "task": "t"}}, "facts": {"verdict": "It is higher."}}'


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with one report, and secrets in and around it."""
    top = tmp_path_factory.mktemp("access")
    root = top / "results"
    run = root / "run"
    (run / "figures").mkdir(parents=True)
    for name, text in {"report.html": "<p>page</p>", "report.json": REPORT, "report.csv": "a\n1\n"}.items():
        (run / name).write_text(text)
    (run / "figures" / "lift.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>")
    (run / "figures" / "lift.png").write_bytes(b"\x89PNG")
    for place in (top / "secret.html", root / "secret.html", run / "secret.html", run / ".env", run / "notes.csv"):
        place.write_text(SECRET)
    for name in ("run.lock", "engine.log", "figures/secret.html", "figures/.hidden.png"):
        (run / name).write_text(SECRET)
    (run / "responses").mkdir()
    (run / "responses" / "part-00000000-00000000.parquet").write_text(SECRET)
    (root / "plain").mkdir()
    (root / "plain" / "report.html").write_text(SECRET)  # no report beside it: somebody else's
    (top / "outside" / "figures").mkdir(parents=True)
    for name in ("report.html", "report.json", "report.csv", "figures/lift.png"):
        (top / "outside" / name).write_text(SECRET)
    (root / "link").symlink_to(top / "outside")
    linked = root / "linked"
    linked.mkdir()
    (linked / "report.json").write_text(REPORT)
    (linked / "report.html").symlink_to(top / "secret.html")
    (linked / "figures").symlink_to(top / "outside" / "figures")
    os.mkfifo(linked / "report.csv")
    (root / "strange").mkdir()
    (root / "strange" / "report.json").write_text(REPORT)
    return root


@pytest.fixture(scope="module")
def client(root: Path, view: Callable[[Path], Client]) -> Client:
    return view(root)


def test_what_is_shown(client: Client) -> None:
    kinds = {
        "report.html": "text/html; charset=utf-8",
        "report.csv": "text/csv; charset=utf-8",
        "report.json": "application/json",
        "figures/lift.svg": "image/svg+xml",
        "figures/lift.png": "image/png",
    }
    for name, kind in kinds.items():
        status, headers, body = client.ask(f"/runs/run/{name}")
        assert (status, headers["content-type"]) == (200, kind), name
        assert int(headers["content-length"]) == len(body.encode("utf-8", "replace")) or name.endswith("png")
        again = client.ask(f"/runs/run/{name}", "HEAD")
        assert again[0] == 200
        assert again[2] == ""
        assert again[1]["content-length"] == headers["content-length"]
    assert client.ask("/runs/run/report.csv")[1]["content-disposition"].startswith("attachment")
    assert "It is higher." in client.text("/")
    assert "report.csv" in client.text("/runs/run/")
    assert "secret" not in client.text("/runs/run/")


def test_every_answer_has_the_headers(client: Client) -> None:
    answers = [client.ask(path) for path in ("/", "/runs/run/", "/runs/run/report.html", "/no", "/runs/run/report.csv")]
    answers += [
        client.ask("/", known=False),
        client.ask("/", "POST"),
        client.ask("/", headers={"Host": "evil.example"}),
    ]
    for status, headers, _ in answers:
        assert headers["x-content-type-options"] == "nosniff", status
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert headers["x-frame-options"] == "DENY"
        assert headers["content-security-policy"].startswith("default-src 'none'; img-src data:; base-uri 'none'")
        assert "access-control-allow-origin" not in headers
    assert client.ask("/runs/run/figures/lift.svg")[1]["content-security-policy"].endswith("; sandbox")
    assert "script-src 'none'" in client.ask("/runs/run/report.html")[1]["content-security-policy"]


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.html",
        "/runs/../secret.html",
        "/runs/../../secret.html",
        "/runs/run/../secret.html",
        "/runs/run/../../secret.html",
        "/runs/run/..%2f..%2fsecret.html",
        "/runs/run/%2e%2e/%2e%2e/secret.html",
        "/runs/run/%252e%252e/secret.html",
        "/runs/run/..\\..\\secret.html",
        "/runs/run/..%5c..%5csecret.html",
        "/runs/run/....//....//secret.html",
        "/runs/run/%c0%ae%c0%ae/secret.html",
        "/runs//etc/passwd",
        "/runs/%2fetc%2fpasswd",
        "//etc/passwd",
        "/etc/passwd",
        "/runs/run/report.html%00.png",
        "/runs/run%00/report.html",
        "/runs/run/report.html/",
        "/runs/run/./report.html",
        "/runs/./run/report.html",
        "/runs/run//report.html",
        "/runs/run/REPORT.HTML",
        "/runs/run/report.html;x",
        "/runs/run/secret.html",
        "/runs/run/notes.csv",
        "/runs/run/.env",
        "/runs/run/run.lock",
        "/runs/run/run.json",
        "/runs/run/engine.log",
        "/runs/run/responses/",
        "/runs/run/responses/part-00000000-00000000.parquet",
        "/runs/run/figures/",
        "/runs/run/figures/secret.html",
        "/runs/run/figures/.hidden.png",
        "/runs/run/figures/../secret.html",
        "/runs/run/figures/x/lift.png",
        "/runs/secret.html",
        "/runs/",
        "/runs/plain/",
        "/runs/plain/report.html",
        "/runs/link/",
        "/runs/link/report.html",
        "/runs/link/figures/lift.png",
        "/runs/linked/report.html",
        "/runs/linked/report.csv",
        "/runs/linked/figures/lift.png",
        "/runs",
        "/runs/" + "a" * 5000,
        "/runs/run/" + "a" * 300 + ".csv",
        "/favicon.ico",
    ],
)
def test_nothing_else_is_shown(client: Client, path: str) -> None:
    for method in ("GET", "HEAD"):
        answer = client.send(f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {client.cookie}\r\n\r\n".encode())
        status = int(answer.split(b" ")[1])
        assert status in (400, 404), answer[:200]
        assert SECRET.encode() not in answer
        assert b"root:" not in answer
        assert path.encode() not in answer.partition(b"\r\n\r\n")[2] or len(path) < 9, "nothing is repeated"


def test_without_the_cookie_everything_looks_alike(client: Client) -> None:
    alike = {client.ask(p, known=False)[0::2] for p in ("/", "/runs/run/", "/runs/run/report.html", "/runs/no/", "/x")}
    assert len(alike) == 1
    [(status, body)] = alike
    assert status == 403
    assert "It is higher" not in body
    port = client.port
    own = client.cookie.partition("=")[2]
    for cookie in (
        "",
        "x",
        own,
        f"bon-eval-view-{port}=",
        f"bon-eval-view-{port}={own}x",
        f"bon-eval-view-{port}={own[:-1]}",
    ):
        assert client.ask("/", headers={"Cookie": cookie}, known=False)[0] == 403, cookie
    for cookie in (
        f"bon-eval-view-{port}=é",
        f"bon-eval-view-{port + 1}={own}",
        f"bon-eval-view-{port}={client.server.gate.token}",
    ):
        assert client.ask("/", headers={"Cookie": cookie}, known=False)[0] == 403, cookie
    among = f"other=1; bad[name]=\x80; {client.cookie}; bon-eval-view-{port}=of another page"
    assert client.ask("/", headers={"Cookie": among}, known=False)[0] == 200


def test_tokens(client: Client) -> None:
    token, ticket = client.server.gate.token, client.server.gate.ticket()
    for wrong in ("", "x", token[:-1], token + "x", token.swapcase(), "%00", "é", "\udc80"):
        path = "/?token=" + "".join(f"%{b:02x}" for b in wrong.encode("utf-8", "surrogateescape"))
        assert client.ask(path, known=False)[0] == 403
        assert client.ask(path)[0] in ((200, 403) if not wrong else (403,)), "a wrong token is wrong with a cookie, too"
    assert client.ask(f"/?token={token}&token={token}", known=False)[0] == 403
    status, headers, body = client.ask(f"/?token={token}", known=False)
    assert status == 200
    assert headers["set-cookie"] == f"{client.cookie}; Path=/; HttpOnly; SameSite=Strict"
    assert 'content="0; url=/"' in body
    assert token not in body
    assert "It is higher" not in body, "the next page shows it, without the token in its address"
    assert client.ask(f"/?token={token}", known=False)[0] == 200, "as often as it is opened"
    assert client.ask(f"/?token={ticket}", known=False)[0] == 200
    assert client.ask(f"/?token={ticket}", known=False)[0] == 403, "a ticket once"
    deep = client.ask(f"/runs/run/report.html?token={token}", known=False)[2]
    assert 'content="0; url=/runs/run/report.html"' in deep
    for elsewhere in ("/%2fevil.example/", "/%5cevil.example", "/%22%3e%3cscript%3e"):
        body = client.ask(f"{elsewhere}?token={token}", known=False)[2]
        assert "url=//" not in body
        assert "<script" not in body


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:80",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "127.0.0.1:80@evil.example",
        "127.0.0.1, evil.example",
        "0.0.0.0",
        "127.0.0.2",
        "[::1]",
        "2130706433",
        "",
        "localhost:123456",
        "localhost:x",
    ],
)
def test_other_hosts_are_refused(client: Client, host: str) -> None:
    assert client.ask("/", headers={"Host": host})[0] == 403
    token = client.server.gate.token
    assert client.ask(f"/?token={token}", headers={"Host": host}, known=False)[0] == 403, "not even with the token"


def test_own_hosts_are_taken_at_any_port(client: Client) -> None:
    for host in ("127.0.0.1", f"127.0.0.1:{client.port}", "localhost", "localhost:9000", "LOCALHOST:9000"):
        assert client.ask("/", headers={"Host": host})[0] == 200, host


def test_one_host_header_is_needed(client: Client) -> None:
    cookie = f"Cookie: {client.cookie}\r\n"
    for head in ("", "Host: 127.0.0.1\r\nHost: evil.example\r\n", "Host: evil.example\r\nHost: 127.0.0.1\r\n"):
        answer = client.send(f"GET / HTTP/1.1\r\n{head}{cookie}\r\n".encode())
        assert answer.split(b" ")[1] == b"403"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get"])
def test_other_methods_are_refused(client: Client, method: str, root: Path) -> None:
    before = sorted(p.name for p in root.rglob("*"))
    status, headers, body = client.ask("/runs/run/report.html", method)
    assert (status, headers.get("allow")) in ((405, "GET, HEAD"), (501, "GET, HEAD"))
    assert "<p>page</p>" not in body
    assert sorted(p.name for p in root.rglob("*")) == before


def test_what_is_no_request(client: Client) -> None:
    cookie, token = client.cookie, client.server.gate.token
    lines = [
        b"",
        b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET http://127.0.0.1/ HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: " + cookie.encode() + b"\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: " + cookie.encode() + b"\r\n\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"GET /?" + b"a=1&" * 50 + f"token={token} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode(),
        b"GET /<script>alert(1)</script> HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    ]
    for line in lines:
        answer = client.send(line)
        assert b" 200 " not in answer.partition(b"\r\n")[0], line[:60]
        assert b"<script>alert" not in answer
        assert b"Traceback" not in answer
    assert client.ask("/")[0] == 200, "and the server is still there"


def test_a_page_that_has_not_changed_is_not_sent_again(client: Client) -> None:
    _, headers, _ = client.ask("/")
    status, _, body = client.ask("/", headers={"If-None-Match": headers["etag"]})
    assert (status, body) == (304, "")
    assert client.ask("/", headers={"If-None-Match": headers["etag"]}, known=False)[0] == 403


def test_it_listens_on_the_loopback_address_alone(client: Client) -> None:
    assert client.server.server_address[0] == "127.0.0.1"
    assert client.server.socket.family == socket.AF_INET


def test_a_port_that_is_taken(client: Client, root: Path) -> None:
    with pytest.raises(ConfigError, match=rf"port {client.port} of 127\.0\.0\.1 is taken; give --port 0"):
        ViewServer(root, client.port)
    done = CliRunner().invoke(main, ["view", str(root), "--port", str(client.port)])
    assert done.exit_code == 2
    assert done.stderr == f"error: port {client.port} of 127.0.0.1 is taken; give --port 0 for a free one\n"


def test_a_strange_page_runs_its_script_apart(root: Path, client: Client) -> None:
    place = root / "strange"
    hashed = "sha256-" + "A" * 43 + "="
    (place / "report.html").write_text(f"<meta http-equiv=Content-Security-Policy content=\"script-src '{hashed}'\">")
    policy = client.ask("/runs/strange/report.html")[1]["content-security-policy"]
    assert policy.endswith(f"script-src '{hashed}'; sandbox allow-scripts")
    (place / "report.html").write_text("<meta content=\"script-src 'unsafe-inline' *\"><script>1</script>")
    assert client.ask("/runs/strange/report.html")[1]["content-security-policy"].endswith("script-src 'none'")


def test_every_file_of_a_report_is_among_those_that_are_shown() -> None:
    text = "".join(p.read_text() for p in (Path(__file__).parents[3] / "bon_eval" / "report").rglob("*.py"))
    written = set(re.findall(r'"(\w+\.csv)"', text))
    assert len(written) > 15
    assert written <= NAMES
    assert not is_shown(None, "figures")
    assert not is_shown("responses", "x.png")
