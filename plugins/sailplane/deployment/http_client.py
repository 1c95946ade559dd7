"""One HTTP call on loopback or a unix socket, without a proxy and without reuse of connections."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from sailplane.supervisor.connection import UnixConnection


@dataclass(frozen=True)
class Reply:
    """`status` is 0, and the body the reason, where nobody answered."""

    status: int
    body: bytes
    version: str | None = None

    def json(self) -> Any:
        return json.loads(self.body)


def call(
    address: int | Path,
    method: str,
    path: str,
    message: object = None,
    *,
    headers: Mapping[str, str] | None = None,
    seconds: float = 5,
) -> Reply:
    """`address` is a port of 127.0.0.1 or a unix socket's path."""
    if isinstance(address, Path):
        connection: HTTPConnection = UnixConnection(address, timeout=seconds)
    else:
        connection = HTTPConnection("127.0.0.1", address, timeout=seconds)
    try:
        connection.request(method, path, None if message is None else json.dumps(message), headers or {})
        response = connection.getresponse()
        return Reply(response.status, response.read(), response.headers.get("x-sailplane-version"))
    except (OSError, HTTPException) as error:
        return Reply(0, str(error).encode())
    finally:
        connection.close()


def wait_until(condition: Callable[[], bool], *, seconds: float, every: float = 0.05) -> bool:
    """False if the condition did not come in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True
