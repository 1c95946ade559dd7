"""A replacement of the Hugging Face Hub on loopback, for the unmodified huggingface_hub without Xet
(HF_HUB_DISABLE_XET). It answers the client's requests that create, fill, tag, list and fetch repositories of models and
data sets (hub_api.py). It refuses all others, which fails the test."""

from __future__ import annotations

import json
import re
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.hub_api import READER, TOKEN, HubApi
from tests.hub_messages import Answer, Refused, Request

__all__ = ["READER", "TOKEN", "Fault", "HubServer", "hub_server"]


@dataclass
class Fault:
    """A fault of the next `times` requests that match ("GET /path", a regular expression). They are answered with
    `status`, or correctly but cut after `cut` bytes, or only once `release` is set; `held` says that a request
    waits."""

    match: str
    times: int = 1
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    hold: bool = False
    held: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)


class _Http(ThreadingHTTPServer):
    # With the default, many simultaneous clients would be turned away.
    request_queue_size = 128


class HubServer(HubApi):
    """The server. `asked` has each request, `refused` the refused ones."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.refused: list[str] = []
        self.faults: list[Fault] = []
        self._turn = threading.Lock()
        handler = type("Handler", (_Handler,), {"hub": self})
        self._http = _Http(("127.0.0.1", 0), handler)
        port = self._http.server_address[1]
        self.url, self.large_url = f"http://127.0.0.1:{port}", f"http://localhost:{port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), name="hub-server")
        self._thread.start()

    def stop(self) -> None:
        for fault in self.faults:
            fault.release.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def fault(self, line: str) -> Fault | None:
        with self._turn:
            found = next((one for one in self.faults if one.times and re.fullmatch(one.match, line)), None)
            if found:
                found.times -= 1
            return found


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer

    def handle_any(self) -> None:
        line = f"{self.command} {self.path}"
        self.hub.asked.append(line)
        fault = self.hub.fault(line)
        if fault and fault.hold:
            fault.held.set()
            fault.release.wait()
        if (body := self._read()) is None:
            return
        if fault and fault.status:
            self._send(Answer(b'{"error": "injected"}', fault.headers, fault.status), None)
        else:
            self._send(self._answer(line, body), fault.cut if fault else None)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any

    def _read(self) -> bytes | None:
        """Returns the body, or None if the client left before its end."""
        length = int(self.headers["Content-Length"] or 0)
        try:
            body = self.rfile.read(length)
        except ConnectionError:
            return None
        return body if len(body) == length else None

    def _answer(self, line: str, body: bytes) -> Answer:
        try:
            if self.headers["Transfer-Encoding"]:
                raise Refused(411, "a body without Content-Length")
            return self.hub.answer(Request(self.command, self.path, self.headers, body))
        except Refused as error:
            status, message, code = error.status, error.message, error.code
        except Exception:
            status, message, code = 500, "broken", ""
            self.hub.refused.append(f"{line}: {traceback.format_exc()}")
        if status == 501:
            self.hub.refused.append(f"{line}: {message}")
        headers = {
            "X-Error-Message": message.encode("ascii", "replace").decode(),
            **({"X-Error-Code": code} if code else {}),
        }
        return Answer(json.dumps({"error": message}).encode(), headers, status)

    def _send(self, answer: Answer, cut: int | None) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        # A client that left is not an error of the server.
        if self.command != "HEAD":
            try:
                self.wfile.write(answer.body[:cut])
            except ConnectionError:
                self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing: the client's output is the test's."""


@contextmanager
def hub_server() -> Iterator[HubServer]:
    """Starts a Hub. Fails at the end if it refused requests."""
    server = HubServer()
    try:
        yield server
    finally:
        server.stop()
    assert not server.refused, "\n".join(server.refused)
