"""A small Kubernetes API server on loopback, for the unmodified `kubernetes` client and kubectl, with Seldon's
operators behind it. Its parts are in kubernetes/; it refuses unknown paths."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.kubernetes.certificates import certificate, context
from tests.kubernetes.kinds import discovery
from tests.kubernetes.objects import Objects
from tests.kubernetes.refusals import Refused
from tests.kubernetes.requests import Asked, answer, asked
from tests.kubernetes.seldon import Seldon
from tests.kubernetes.selectors import selects

TOKEN = "a-token-of-the-cluster"
NAMESPACE = "models"

#: A service's answer to (path, headers, body): a status and a body.
Service = Callable[[str, dict[str, str], bytes], tuple[int, bytes]]


@dataclass
class Fault:
    """A fault of the next requests that `strikes`. `before` is called first, and may wait, write or raise Refused. A
    `silent` fault carries out the request and loses its answer."""

    strikes: Callable[[str, str], bool] = lambda _method, _path: True
    times: int = 1_000_000
    before: Callable[[], None] = lambda: None
    silent: bool = False


class KubernetesServer:
    """The server. `asked` has each request, `strict` the requests that want unknown fields refused, and `watching` the
    number of watches. `service` answers for every service with a pod, and for each pod."""

    def __init__(self) -> None:
        self.objects = Objects()
        self.seldon = Seldon(self.objects)
        self.faults: list[Fault] = []
        self.asked: list[str] = []
        self.strict: list[str] = []
        self.watching = 0
        self.service: Service = lambda _path, _headers, _body: (404, b"nothing")
        self._port = 0
        self.start()

    def start(self) -> None:
        """Starts the server; after `stop`, at the same address and with the same objects."""
        handler = type("Handler", (_Handler,), {"server_": self})
        self._http = _Listener(("127.0.0.1", self._port), handler)
        self._port = self._http.server_address[1]
        self.url = f"https://127.0.0.1:{self._port}"
        self.connections: set[Any] = set()
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), name="kubernetes-server")
        self._thread.start()

    def stop(self) -> None:
        """Refuses new connections and ends the open ones. May be called twice."""
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
        for connection in list(self.connections):
            with suppress(OSError):
                connection.shutdown(2)

    def config(self, token: str = TOKEN) -> dict[str, Any]:
        """Returns the configuration as a kubeconfig file holds it."""
        context = {"cluster": "small", "user": "tester", "namespace": NAMESPACE}
        cluster = {"server": self.url, "certificate-authority-data": base64.b64encode(certificate()[0]).decode()}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "small",
            "clusters": [{"name": "small", "cluster": cluster}],
            "contexts": [{"name": "small", "context": context}],
            "users": [{"name": "tester", "user": {"token": token}}],
        }

    def kubeconfig(self, path: Path) -> Path:
        path.write_text(yaml.safe_dump(self.config()))
        return path

    def strike(self, method: str, path: str) -> bool:
        """Applies the faults for this request. Returns whether its answer is lost."""
        silent = False
        for fault in [one for one in self.faults if one.times > 0 and one.strikes(method, path)]:
            fault.times -= 1
            fault.before()
            silent |= fault.silent
        return silent


class _Listener(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, *how: Any) -> None:
        super().__init__(*how)
        self.context = context()

    def get_request(self) -> tuple[Any, Any]:
        """Performs the TLS handshake in the connection's own thread, because a silent client would block all others."""
        connection, address = super().get_request()
        return self.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignores clients that left."""


class _Handler(BaseHTTPRequestHandler):
    server_: KubernetesServer
    protocol_version = "HTTP/1.1"
    # Otherwise each answer waits for the acknowledgement of its head.
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.server_.connections.add(self.connection)

    def finish(self) -> None:
        self.server_.connections.discard(self.connection)
        with suppress(OSError):
            super().finish()

    def handle_one_request(self) -> None:
        with suppress(OSError):
            super().handle_one_request()
            return
        self.close_connection = True

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def _answer(self) -> None:
        body = b"".join(self._body())
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        server = self.server_
        server.asked.append(f"{self.command} {parts.path}")
        server.strict += [self.command] if query.get("fieldValidation") == "Strict" else []
        try:
            silent = server.strike(self.command, parts.path)
            scheme, _, token = self.headers.get("Authorization", "").partition(" ")
            if (scheme.lower(), token) != ("bearer", TOKEN):
                raise Refused(401, "Unauthorized")
            if (known := discovery(parts.path)) is not None:
                self._send(200, json.dumps(known).encode())
            elif "/proxy/" in parts.path:
                self._send(*self._proxied(parts.path, body))
            else:
                self._ask(asked(self.command, parts.path, query, dict(self.headers), body), silent)
        except Refused as error:
            extra = {"Retry-After": "1"} if error.code == 429 else {}
            self._send(error.code, json.dumps(error.status()).encode(), extra)

    def _body(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding") != "chunked":
            yield self.rfile.read(int(self.headers.get("Content-Length") or 0))
            return
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _ask(self, what: Asked, silent: bool) -> None:
        if what.watched:
            self._watch(what)
            return
        status, value, warnings = answer(self.server_.objects, what)
        if silent:
            raise OSError("the answer is lost")
        told = {"Warning": f'299 - "{"; ".join(warnings)}"'.replace('unknown field "', "unknown field '")}
        self._send(status, json.dumps(value).encode(), told if warnings else {})

    def _proxied(self, path: str, body: bytes) -> tuple[int, bytes]:
        place, _, rest = path.partition("/proxy/")
        service = place.rpartition("/")[2].partition(":")[0]
        if "/pods/" in place:
            pod, service = service, self.server_.seldon.service_of(service) or ""
            if not service:
                raise Refused(503, f'error trying to reach pod "{pod}"')
            return self.server_.service(f"/{rest}", {"service": service, "pod": pod}, body)
        if service == "seldon-mesh":
            ready = self.server_.seldon.ready(self.headers.get("Seldon-Model", ""))
        else:
            ready = self.server_.seldon.answers(service)
        if not ready:
            raise Refused(503, f'no endpoints available for service "{service}"')
        return self.server_.service(f"/{rest}", {"service": service, **dict(self.headers)}, body)

    def _watch(self, what: Asked) -> None:
        """Sends changes until the client leaves, its timeout passes or the server stops."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._count(1)
        try:
            for event, value in self._events(what):
                line = json.dumps({"type": event, "object": value}).encode() + b"\n"
                self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        with self.server_.objects.lock:
            self.server_.watching += change
            self.server_.objects.lock.notify_all()

    def _events(self, what: Asked) -> Iterator[tuple[str, Any]]:
        objects, deadline = self.server_.objects, time.monotonic() + what.seconds
        with objects.lock:
            version = int(what.query.get("resourceVersion") or 0)
            if not version:
                version = objects.version
                found = objects.list(what.kind, what.namespace)
                yield from (("ADDED", one) for one in found if selects(what.labels, what.fields, one))
        while time.monotonic() < deadline and self.connection in self.server_.connections:
            events = list(objects.since(version, what.kind, what.namespace, 0.2))
            with objects.lock:
                version = max([version, *(int(one["metadata"]["resourceVersion"]) for _, one in events)])
            yield from ((name, one) for name, one in events if selects(what.labels, what.fields, one))

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Logs nothing: the client's output is the test's."""
