"""The Algorithmia twin over a store in a folder, in a separate process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from sailplane.home import Home
from tests.homes import new_home
from tests.platform import until
from tests.ports import free_port

BOOT_SECONDS = 60


@dataclass(frozen=True)
class TwinServer:
    url: str
    key: str


@contextmanager
def twin_server(folder: Path) -> Iterator[TwinServer]:
    """Starts the twin with the user `ada`. Prints the server's output if it does not start."""
    env = {**os.environ, "SAILPLANE_HOME": str(folder / "home")}
    new_home(Home.find(env))
    command = [sys.executable, "-m", "sailplane.cli", "twin", "algorithmia"]
    key = subprocess.run([*command, "key", "add", "ada"], env=env, check=True, stdout=subprocess.PIPE, text=True)
    port = free_port()
    url, log = f"http://127.0.0.1:{port}", folder / "twin.log"
    with log.open("wb") as output:
        process = subprocess.Popen([*command, "--port", str(port)], env=env, stdout=output, stderr=output)
    try:
        until(lambda: _answers(process, url, log), BOOT_SECONDS, "the twin")
        yield TwinServer(url, key.stdout.strip())
    finally:
        process.terminate()
        process.wait(30)


def _answers(process: subprocess.Popen[bytes], url: str, log: Path) -> bool | None:
    assert process.poll() is None, log.read_text()
    try:
        return httpx.get(f"{url}/health", trust_env=False).is_success or None
    except httpx.TransportError:
        return None
