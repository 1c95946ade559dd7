"""One HTTP call, without a proxy and without reuse of connections."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sailplane.supervisor.connection import UnixConnection


@dataclass(frozen=True)
class Reply:
    """The response. If nobody answered, `status` is 0 and `body` holds the reason."""

    status: int
    body: bytes
    version: str | None = None

    def json(self) -> Any:
        return json.loads(self.body)


def call(
    address: int | Path | str,
    method: str,
    path: str,
    message: object = None,
    *,
    headers: Mapping[str, str] | None = None,
    seconds: float = 5,
) -> Reply:
    """Sends one request. `address` is a port of 127.0.0.1, a unix socket's path or a base URL; `message` is sent as
    JSON."""
    connection, prefix = _connection(address, seconds)
    body, kind = (None, {}) if message is None else (json.dumps(message), {"Content-Type": "application/json"})
    try:
        connection.request(method, prefix + path, body, {**kind, **(headers or {})})
        response = connection.getresponse()
        return Reply(response.status, response.read(), response.headers.get("x-sailplane-version"))
    except (OSError, HTTPException) as error:
        return Reply(0, str(error).encode())
    finally:
        connection.close()


def _connection(address: int | Path | str, seconds: float) -> tuple[HTTPConnection, str]:
    """The connection, and the start of each path. httpx would take 12 MB and twice the CPU time, and would leave a
    socket open when a unix socket refuses the connection."""
    if isinstance(address, Path):
        return UnixConnection(address, timeout=seconds), ""
    if isinstance(address, int):
        return HTTPConnection("127.0.0.1", address, timeout=seconds), ""
    url = urlsplit(address)
    kind = HTTPSConnection if url.scheme == "https" else HTTPConnection
    return kind(url.hostname or "", url.port, timeout=seconds), url.path.rstrip("/")


def wait_until(condition: Callable[[], bool], *, seconds: float, every: float = 0.05) -> bool:
    """Waits for the condition. False if it did not hold in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True
