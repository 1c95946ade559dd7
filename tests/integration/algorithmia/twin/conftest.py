from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from sailplane.algorithmia.twin import api_keys
from sailplane.deployment.http_client import wait_until
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.storage.store import Storage
from tests.environments import environment

# The fixtures of a real router and real model servers.
from tests.homes import new_home
from tests.integration.deployment.conftest import (  # noqa: F401
    home,
    ledger,
    platform,
    registered,
    storage,
    supervisor,
)
from tests.ports import free_port

PACKAGE = Path(__file__).parents[3] / "plugins"
CLIENT = "algorithmia==2.0.5"


@dataclass(frozen=True)
class RunningTwin:
    """A server in a separate process. `python` has the official client, and nothing of this project."""

    home: Home
    url: str
    pid: int
    python: Path

    def key(self, user: str) -> str:
        return api_keys.add(Ledger.create(self.home.ledger), user)[1]

    def storage(self) -> Storage:
        return Storage(self.home.store)

    def http(self, key: str) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"Authorization": key}, timeout=60, trust_env=False)

    def client(self, key: str, script: str, **env: str) -> Any:
        """Returns the `out` of a script that uses the official client as `client` and the module Algorithmia."""
        text = f"import json, Algorithmia\nclient = Algorithmia.client()\nout = None\n{script}\nprint(json.dumps(out))"
        settings = {"ALGORITHMIA_API": self.url, "ALGORITHMIA_API_KEY": key, "PATH": os.environ["PATH"], **env}
        command = [str(self.python), "-c", text]
        ended = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=120)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout.splitlines()[-1])


@pytest.fixture(scope="session")
def client_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Makes an environment for the client, whose requirements are old and must not affect Airflow."""
    return environment(tmp_path_factory.mktemp("client"), CLIENT)


@contextmanager
def started(home: Home, python: Path, log: Path) -> Iterator[RunningTwin]:  # noqa: F811
    port = free_port()
    new_home(home)
    settings = {
        "SAILPLANE_PROJECT": str(home.project),
        "SAILPLANE_HOME": str(home.root),
        "SAILPLANE_ROUTER_PORT": str(home.router_port),
        "PYTHONPATH": str(PACKAGE),
        "PATH": os.environ["PATH"],
    }
    command = [sys.executable, "-m", "sailplane.cli", "twin", "algorithmia", "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=settings, stdout=output, stderr=output)
    try:
        assert wait_until(lambda: process.poll() is not None or _healthy(url), seconds=60), log.read_text()
        assert process.poll() is None, log.read_text()
        yield RunningTwin(home, url, process.pid, python)
    finally:
        process.terminate()
        assert process.wait(20) in (0, -15), log.read_text()


def _healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", trust_env=False).is_success
    except httpx.TransportError:
        return False


@pytest.fixture
def twin(home: Home, client_python: Path, tmp_path: Path) -> Iterator[RunningTwin]:  # noqa: F811
    with started(home, client_python, tmp_path / "twin.log") as running:
        yield running
