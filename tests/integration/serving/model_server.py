"""The model server in a separate process, on free loopback ports."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from sailplane.deployment.http_client import call
from tests.platform import until
from tests.ports import free_port


@dataclass(frozen=True)
class Server:
    process: subprocess.Popen[bytes]
    port: int
    grpc_port: int
    log: Path

    def post(self, path: str, message: Any, **options: Any) -> httpx.Response:
        return httpx.post(f"http://127.0.0.1:{self.port}{path}", json=message, trust_env=False, timeout=30, **options)


@contextmanager
def running(bundle: Path, log: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    ports = free_port(), free_port()
    command = [sys.executable, "-m", "sailplane.serving.server", "--bundle", str(bundle), *arguments]
    command += ["--grpc-port", str(ports[1]), "--port", str(ports[0])]
    with log.open("wb") as output:
        env = {**os.environ, **(environment or {})}
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=env)
    server = Server(process, *ports, log)
    try:
        until(lambda: ready(server), 60, "the model server")
        yield server
    finally:
        process.terminate()
        process.wait(30)


def ready(server: Server) -> bool | None:
    assert server.process.poll() is None, server.log.read_text()
    return call(server.port, "GET", "/v2/health/ready").status == 200 or None
