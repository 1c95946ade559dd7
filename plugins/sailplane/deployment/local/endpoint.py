"""The deployments on this machine, and their programs."""

from __future__ import annotations

from collections.abc import Container

import sqlalchemy as sa

from sailplane.deployment.envoy.router import Router
from sailplane.deployment.local.handover import served_programs
from sailplane.deployment.local.model_process import STAND_IN, ModelProcess, on_violation_file
from sailplane.home import Home
from sailplane.ledger import Ledger, persistent
from sailplane.ledger.tables import deployments as table
from sailplane.records import Deployment
from sailplane.serving import violations
from sailplane.serving.violations import OnViolation
from sailplane.supervisor import Supervisor


@persistent
def deployments(ledger: Ledger) -> list[Deployment]:
    """The deployments on this machine, in the order of their models."""
    with ledger.begin() as connection:
        records = connection.execute(sa.select(table.c.record).order_by(table.c.name)).scalars()
        return [Deployment.from_dict(record) for record in records]


def routed(home: Home) -> list[Deployment]:
    """Reads the deployments from the router's configuration, for when the ledger cannot be read."""
    return [
        Deployment(
            name=name, version=max(split, key=lambda each: split[each]), weights=split, endpoint=endpoint(home, name)
        )
        for name, split in sorted(Router(home).weights().items())
        if split
    ]


def declare(home: Home, model: str, on_violation: OnViolation) -> None:
    """Sets the model's `on_violation` for all versions. Those that serve follow within a second."""
    violations.declare(on_violation_file(home, model), on_violation)


def endpoint(home: Home, model: str) -> str:
    return f"http://127.0.0.1:{home.router_port}/seldon/local/{model}/api/v1.0/predictions"


def model_ports(home: Home) -> dict[str, int]:
    """The ports of the model servers, by program."""
    supervisor = Supervisor(home)
    known = Router(home).ports().items()
    return {ModelProcess(home, supervisor, model, version).program: port for (model, version), port in known}


def renew(home: Home, living: Container[str] = ()) -> None:
    """Rewrites the programs of earlier deployments with the present token and this release's command. Skips the
    `living` programs, which a handover replaces without a failed request."""
    supervisor, router = Supervisor(home), Router(home)
    for model, version in served_programs(supervisor):
        process = ModelProcess(home, supervisor, model, version)
        stand_in = ModelProcess(home, supervisor, model, version, STAND_IN).program
        if process.program in living or stand_in in living:
            continue
        supervisor.remove(stand_in)
        process.renew()
        if (model, version) in router.ports():
            router.add(model, version, process.port, process.grpc_port)
