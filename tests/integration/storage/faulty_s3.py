"""A proxy on loopback between a client and a real S3, which fails on request."""

from __future__ import annotations

import http.client
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

ERROR = "<?xml version='1.0'?><Error><Code>{}</Code><Message>injected</Message><Resource>{}</Resource></Error>"


@dataclass
class Fault:
    """A fault of the next `times` requests whose "METHOD /path?query range" contains `match`.

    `status` and `code` are an answer in place of the server's. `taken` cuts the connection after this many bytes of the
    request's body, `given` after this many bytes of the answer's body. `lost` passes the request to the server and
    loses only the answer. `hold` delays every answer until `release`. `longer` is added to the answer's
    Content-Length."""

    match: str
    times: int = 1
    status: int = 0
    code: str = "InternalError"
    lost: bool = False
    taken: int | None = None
    given: int | None = None
    hold: bool = False
    longer: int = 0
    held: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)


class FaultyS3(ThreadingHTTPServer):
    """`asked` has the text of each request that faults are matched with."""

    daemon_threads = True
    # As many connections as a client may open at a time; a refused connection would be an unplanned fault.
    request_queue_size = 128

    def __init__(self, behind: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind = urlsplit(behind).netloc
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.faults: list[Fault] = []
        self.asked: list[str] = []
        self._turn = threading.Lock()

    def fault_of(self, asked: str) -> Fault | None:
        with self._turn:
            self.asked.append(asked)
            for fault in self.faults:
                if fault.times and re.search(fault.match, asked):
                    fault.times -= 1
                    return fault
        return None

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignores clients that left; that is not the server's error."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyS3

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        fault = self.server.fault_of(f"{self.command} {self.path} {self.headers.get('Range', '')}".strip())
        size = int(self.headers.get("Content-Length", 0))
        if fault and fault.taken is not None:
            self.rfile.read(min(fault.taken, size))
            self._cut()
        else:
            self._answer(fault, self.rfile.read(size))

    def _answer(self, fault: Fault | None, body: bytes) -> None:
        if fault and fault.hold:
            fault.held.set()
            fault.release.wait()
        if fault and fault.status and not fault.lost:
            self._refuse(fault)
            return
        answer, content = self._forwarded(body)
        if not fault or not fault.lost:
            self._pass_on(answer, content, fault or Fault(""))
        elif fault.status:
            self._refuse(fault)
        else:
            self._cut()

    def _forwarded(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection(self.server.behind, timeout=60)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()

    def _pass_on(self, answer: http.client.HTTPResponse, content: bytes, fault: Fault) -> None:
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        size = int(answer.getheader("Content-Length", len(content)))
        self.send_header("Content-Length", str(size + fault.longer))
        self.end_headers()
        self.wfile.write(content[: fault.given] if fault.given is not None else content[: size + min(0, fault.longer)])
        if fault.longer or fault.given is not None:
            self._cut()

    def _refuse(self, fault: Fault) -> None:
        content = b"" if self.command == "HEAD" else ERROR.format(fault.code, urlsplit(self.path).path).encode()
        self.send_response_only(fault.status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _cut(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def faulty(behind: str) -> Iterator[FaultyS3]:
    with FaultyS3(behind) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            for fault in server.faults:
                fault.release.set()
            server.shutdown()
            thread.join()
