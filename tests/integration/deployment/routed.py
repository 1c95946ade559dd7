"""What answers behind the router."""

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
    """As a task deploys a model without a rollout."""
    return ModelEndpoint.local(home, ledger, storage, model.name).deploy(model, "a task", approval=approval)


def served_version(home: Home) -> str | None:
    return call(home.router_port, "POST", "/seldon/local/flights/api/v1.0/predictions", RECORD).version


def pid_of(supervisor: Supervisor, model: Model) -> int | None:
    return supervisor.states()[f"model-{model.name}-{model.version}"].pid


@contextmanager
def router_of(folder: Path, server: Server, version: str) -> Iterator[tuple[int, psutil.Process]]:
    """A router in front of the one server of `flights`: its port and its process."""
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
