"""A replacement of W&B's server on loopback, for the unmodified client: WANDB_BASE_URL has its address, WANDB_API_KEY
its key. It answers the client's requests that create, feed, finish, resume and sync runs, and that create and end
sweeps. It refuses all others, which fails the test. Its data are in wandb_store.py and wandb_sweeps.py."""

from __future__ import annotations

import base64
import json
import re
import secrets
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from tests.wandb_artifacts import ArtifactStore
from tests.wandb_store import ENTITY, Refused
from tests.wandb_sweeps import SweepStore

KEY = "0123456789abcdef0123456789abcdef01234567"


class WandbServer(SweepStore, ArtifactStore):
    """The server. `asked` has each request, `refused` the refused ones; `denied` counts requests without the right
    key."""

    def __init__(self) -> None:
        super().__init__()
        self.key = KEY
        self.asked: list[str] = []
        self.refused: list[str] = []
        self.denied = 0
        self.lock = threading.Lock()
        self._port = 0
        self.start()

    def start(self) -> None:
        """Starts the server; after `stop`, at the same address and with the same data."""
        handler = type("Handler", (_Handler,), {"store": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", self._port), handler)
        self._port = self._http.server_address[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), name="wandb-server")
        self._thread.start()

    def stop(self) -> None:
        """Refuses new connections. May be called twice."""
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def graphql(self, request: Mapping[str, Any]) -> dict[str, Any]:
        found = re.match(r"\s*(?:query|mutation)\s+(\w+)", request["query"])
        name = request.get("operationName") or (found.group(1) if found else "an operation without a name")
        if name not in self.operations:
            raise Refused(f"GraphQL operation {name}: unknown; expected one of {', '.join(self.operations)}")
        data = self.operations[name](request.get("variables") or {})
        return {"data": _only(data, _selection(request["query"]), name)}


class _Handler(BaseHTTPRequestHandler):
    store: WandbServer

    def do_POST(self) -> None:
        body = self._read()
        if self.path.startswith("/sdk/otel/"):
            self._answer(HTTPStatus.OK, b"", "application/x-protobuf")
        elif self._knows_key():
            self._guarded(lambda: self._post(body))

    def do_PUT(self) -> None:
        body = self._read()
        self._guarded(lambda: self._put(body))

    def _read(self) -> bytes:
        self.store.asked.append(f"{self.command} {self.path}")
        return self.rfile.read(int(self.headers["Content-Length"] or 0))

    def _post(self, body: bytes) -> dict[str, Any]:
        if self.path == "/graphql":
            return self.store.graphql(json.loads(body))
        place = re.fullmatch(rf"/files/{ENTITY['name']}/([^/]+)/([^/]+)/file_stream", self.path)
        if not place:
            raise Refused(f"POST {self.path}: unknown")
        run = self.store.run(*map(unquote, place.groups()))
        self.store.stream(run, json.loads(body))
        return {"exitcode": run.exit_code, "stopped": run.stopped}

    def _put(self, body: bytes) -> dict[str, Any]:
        token = self.path.removeprefix("/storage/")
        if token not in self.store.uploads:
            raise Refused(f"PUT {self.path}: no such place")
        run, name = self.store.uploads[token]
        run.files[name] = body
        return {}

    def _knows_key(self) -> bool:
        expected = "Basic " + base64.b64encode(f"api:{self.store.key}".encode()).decode()
        if secrets.compare_digest(self.headers.get("Authorization", ""), expected):
            return True
        self.store.denied += 1
        self._answer(HTTPStatus.UNAUTHORIZED, _errors("user is not logged in"))
        return False

    def _guarded(self, work: Callable[[], dict[str, Any]]) -> None:
        try:
            with self.store.lock:
                answer = work()
            self._answer(HTTPStatus.OK, json.dumps(answer).encode())
        except Refused as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
        except Exception:
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, traceback.format_exc())

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        self.store.refused.append(reason)
        self._answer(status, _errors(reason))

    def _answer(self, status: HTTPStatus, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Logs nothing: the client's output is the test's."""


def _errors(reason: str) -> bytes:
    return json.dumps({"data": None, "errors": [{"message": reason}]}).encode()


def _selection(query: str) -> dict[str, Any]:
    """Returns the fields that a query asks for as nested keys, with its fragments in their places. The client uses no
    aliases. Conditional fields count as asked for."""
    told = re.sub(r"@include|\([^()]*\)", "", query)
    tokens = re.findall(r"\.{3}\s*\w+|\w+|\S", told)
    blocks: dict[str, dict[str, Any]] = {}
    head: list[str] = []
    opened: list[dict[str, Any]] = []
    last = ""
    for token in tokens:
        if token == "{":
            # `query Name {`, or `fragment Name on Type {`
            opened.append(opened[-1][last] if opened else blocks.setdefault(head[1], {}))
        elif token == "}":
            opened.pop()
            head = head if opened else []
        elif not re.fullmatch(r"(\.{3}\s*)?\w+", token):
            raise Refused(f"GraphQL syntax {token!r}: unknown")
        elif opened:
            opened[-1][token], last = {}, token
        else:
            head.append(token)
    return _inlined(next(iter(blocks.values())), blocks)


def _inlined(fields: Mapping[str, Any], fragments: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, nested in fields.items():
        if name.startswith("..."):
            found |= _inlined(fragments[name[3:].strip()], fragments)
        else:
            found[name] = _inlined(nested, fragments)
    return found


def _only(value: Any, fields: Mapping[str, Any], path: str) -> Any:
    """Returns the fields of the answer that were asked for. Refuses a field that this server does not know instead of
    omitting it."""
    if isinstance(value, list):
        return [_only(entry, fields, path) for entry in value]
    if not fields or value is None:
        return value
    if unknown := sorted(fields.keys() - value.keys()):
        raise Refused(f"GraphQL fields of {path}: {', '.join(unknown)}; expected some of {', '.join(value)}")
    return {name: _only(value[name], nested, f"{path}.{name}") for name, nested in fields.items()}


@contextmanager
def wandb_server() -> Iterator[WandbServer]:
    """Starts a server. Fails at the end if it refused requests."""
    server = WandbServer()
    try:
        yield server
    finally:
        server.stop()
    assert not server.refused, "\n".join(server.refused)
