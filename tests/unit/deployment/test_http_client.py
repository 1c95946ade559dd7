from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from sailplane.deployment.http_client import call


class Echo(BaseHTTPRequestHandler):
    """Reports each request, and sets a cookie."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
        asked = {"path": self.path, "sent": sent, "client": str(self.client_address), **dict(self.headers)}
        body = json.dumps(asked).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Set-Cookie", "version=1")
        self.send_header("X-Sailplane-Version", "v1")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class UnixServer(ThreadingHTTPServer):
    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        self.socket.bind(str(self.server_address))


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[None]:
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("kind", ["port", "socket", "url"])
def test_a_port_a_socket_and_a_url_are_asked_alike(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    path = tmp_path / "s"
    server = UnixServer(str(path), Echo) if kind == "socket" else ThreadingHTTPServer(("127.0.0.1", 0), Echo)  # type: ignore[arg-type]
    with serving(server):
        port = server.server_address[1]
        address: Any = {"port": port, "socket": path, "url": f"http://127.0.0.1:{port}/"}[kind]
        replies = [call(address, "POST", "/v2?x=%2F", {"a": [1]}, headers={"X-Own": "1"}) for _ in range(2)]
    first, second = (reply.json() for reply in replies)
    assert [(reply.status, reply.version) for reply in replies] == [(200, "v1")] * 2
    assert (first["path"], first["sent"], first["X-Own"]) == ("/v2?x=%2F", '{"a": [1]}', "1")
    assert "Cookie" not in second
    assert kind == "socket" or first["client"] != second["client"]


@pytest.mark.parametrize("address", ["nobody", "silent"])
def test_where_nobody_answers_the_status_is_0_and_the_body_says_why(address: str, tmp_path: Path) -> None:
    if address == "nobody":
        reply = call(tmp_path / "none", "GET", "/")
        assert (reply.status, reply.body) == (0, b"[Errno 2] No such file or directory")
        return
    with socket.create_server(("127.0.0.1", 0)) as listening:
        reply = call(listening.getsockname()[1], "GET", "/", seconds=0.1)
    assert (reply.status, reply.body) == (0, b"timed out")
