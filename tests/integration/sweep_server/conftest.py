"""The HTTP interface of shared sweeps behind a real server on loopback, as Airflow's api-server mounts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.sweep_server import tokens
from sailplane.sweep_server.app import make_app
from sailplane.sweeps import lifecycle
from sailplane.sweeps.space import parse
from tests.homes import new_home
from tests.ports import free_port

TEXT = """\
method: random
metric: {name: loss}
run_cap: 6
parameters:
  rate: {min: 0.0, max: 1.0}
"""


@dataclass(frozen=True)
class Address:
    ledger: Ledger
    root: str

    def share(self, text: str = TEXT, sweep: str = "toy/s") -> tuple[str, str]:
        """Shares a new sweep. Returns its URL and its token."""
        lifecycle.create(self.ledger, sweep, parse(text), seed=3)
        name, token = tokens.share(self.ledger, sweep)
        return f"{self.root}/{name}", token


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    for folder in ("dags", "include"):
        (tmp_path / "project" / folder).mkdir(parents=True)
    monkeypatch.setenv("SAILPLANE_PROJECT", str(tmp_path / "project"))
    monkeypatch.setenv("SAILPLANE_HOME", str(tmp_path / "home"))
    return new_home()


@contextmanager
def serving(port: int) -> Iterator[str]:
    app = FastAPI()
    app.mount("/sailplane/sweeps", make_app())
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}/sailplane/sweeps"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def address(home: Home) -> Iterator[Address]:
    with serving(free_port()) as root:
        yield Address(Ledger.create(home.ledger), root)


def _heeds_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass(frozen=True)
class Elsewhere:
    """Stands for another machine: an empty folder, a Python without packages, and no setting of this project."""

    folder: Path

    def worker(self, url: str, token: str, train: str, *arguments: str) -> subprocess.Popen[str]:
        """Starts a worker with this text as its model.py."""
        (self.folder / "model.py").write_text(train)
        return self.python(token, "-S", "worker.pyz", url, "--train", "model.py:train", *arguments)

    def python(self, token: str, *arguments: str, **settings: str) -> subprocess.Popen[str]:
        """Starts Python with these arguments. With -S it has no package."""
        env = {"PATH": os.environ["PATH"], "SAILPLANE_SWEEP_TOKEN": token, "PYTHONUNBUFFERED": "1", **settings}
        return subprocess.Popen(
            [sys.executable, "-I", *arguments],
            cwd=self.folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # A shell that runs the tests in the background makes them ignore this signal.
            preexec_fn=_heeds_interrupts,
        )

    def work(self, url: str, token: str, train: str, *arguments: str) -> tuple[int, str]:
        """Runs a worker to its end. Returns its exit code and output."""
        with self.worker(url, token, train, *arguments) as process:
            said, _ = process.communicate(timeout=120)
        return process.returncode, said


@pytest.fixture
def elsewhere(address: Address, tmp_path: Path) -> Elsewhere:
    """Another machine with the worker as the server provides it."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    url, token = address.share(sweep="toy/other")
    answer = httpx.get(f"{url}/worker.pyz", headers={"Authorization": f"Bearer {token}"}, trust_env=False)
    (folder / "worker.pyz").write_bytes(answer.raise_for_status().content)
    return Elsewhere(folder)
