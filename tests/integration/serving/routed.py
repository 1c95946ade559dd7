"""What answers behind the router."""

from __future__ import annotations

from sailplane.home import Home
from sailplane.records import Model
from sailplane.serving.client import call
from sailplane.supervisor import Supervisor
from tests.unit.registry import tiny

RECORD = {"jsonData": tiny.RECORD}


def served_version(home: Home) -> str | None:
    return call(home.router_port, "POST", "/seldon/local/flights/api/v1.0/predictions", RECORD).version


def pid_of(supervisor: Supervisor, model: Model) -> int | None:
    return supervisor.states()[f"model-{model.name}-{model.version}"].pid
