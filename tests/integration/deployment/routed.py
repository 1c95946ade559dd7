"""Deploys models behind a real router, and looks at what it serves."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from sailplane.deployment.envoy.router import Router, router_program
from sailplane.deployment.http_client import call
from sailplane.deployment.rollout.run import ModelEndpoint
from sailplane.deployment.target import TrafficSplit
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Approval, Deployment, Model
from sailplane.storage import Storage
from sailplane.supervisor import Supervisor
from tests.integration.serving.model_server import Server
from tests.platform import until
from tests.ports import free_port
from tests.unit.bundles import tiny

RECORD = {"jsonData": tiny.RECORD}


def deploy(home: Home, ledger: Ledger, storage: Storage, model: Model, approval: Approval | None = None) -> Deployment:
    """Deploys the model as a task without a rollout does."""
    return ModelEndpoint.local(home, ledger, storage, model.name).deploy(model, "a task", approval=approval)


def served_version(home: Home) -> str | None:
    return call(home.router_port, "POST", "/seldon/local/flights/api/v1.0/predictions", RECORD).version


def pid_of(supervisor: Supervisor, model: Model) -> int | None:
    return supervisor.states()[f"model-{model.name}-{model.version}"].pid


def files_of(home: Home) -> dict[str, str | None]:
    """The content of the router's state, the bundles and the programs, by path; None for a folder."""
    paths = [*home.serving.rglob("*"), *(home.supervisor / "conf.d").iterdir()]
    return {
        str(path): path.read_bytes().hex() if path.is_file() else None
        for path in paths
        if not path.name.endswith("lock")
    }


@contextmanager
def router_of(folder: Path, server: Server, version: str) -> Iterator[tuple[int, psutil.Process]]:
    """Starts a router in front of the server of `flights`. Yields its port and its process."""
    port = free_port()
    settings = {"SAILPLANE_PROJECT": str(folder), "SAILPLANE_HOME": str(folder), "SAILPLANE_ROUTER_PORT": str(port)}
    home = Home.find(settings)
    program, router = router_program(home), Router(home)
    router.add("flights", version, server.port, server.grpc_port)
    router.split("flights", TrafficSplit({version: 100}))
    process = subprocess.Popen(program.command, cwd=program.directory)
    try:
        until(lambda: router.version_at("flights"), 60, "the router")
        yield port, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)
