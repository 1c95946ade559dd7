"""Puts a version behind the local endpoint without a failed request: start, check, let Envoy check, move the traffic,
drain and stop what served before. Every step is keyed by the version, so that a retry resumes."""

from __future__ import annotations

import time
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress

import sqlalchemy as sa

from sailplane.deployment.envoy.router import Router
from sailplane.deployment.http_client import wait_until
from sailplane.deployment.local.handover import served_programs
from sailplane.deployment.local.model_process import STAND_IN, ModelProcess, on_violation_file
from sailplane.deployment.local.target import LocalTarget
from sailplane.deployment.rollout.repository import refuse_while_active_within
from sailplane.deployment.target import TrafficSplit, VersionProgress
from sailplane.errors import DeploymentError, ServiceError
from sailplane.files import locked, private_folder
from sailplane.home import Home
from sailplane.ledger import Ledger, persistent
from sailplane.ledger.tables import deployments as table
from sailplane.records import Approval, Deployment, Model
from sailplane.registry import holds
from sailplane.registry.models import promote_within
from sailplane.serving import violations
from sailplane.serving.violations import OnViolation
from sailplane.storage import Storage
from sailplane.supervisor import Supervisor

_START_SECONDS = 120
_SERVED_SECONDS = 10


def deploy(home: Home, ledger: Ledger, storage: Storage, model: Model, approval: Approval | None = None) -> Deployment:
    """Gives the registered version all the traffic of its name. To deploy what is served already changes nothing. A
    person's `approval` lifts a hold.

    Raises DeploymentError, with the reason, after it has removed the new version; the old one never stopped serving.
    HeldError, which is one, while a rollback holds the model; what is on its way then is another DeploymentError.
    """
    private_folder(home.serving)
    with locked(home.serving / f"{model.name}.lock"):
        return _Deploying(home, ledger, storage, model, approval).run()


@persistent
def deployments(ledger: Ledger) -> list[Deployment]:
    """What is served, by model."""
    with ledger.begin() as connection:
        records = connection.execute(sa.select(table.c.record).order_by(table.c.name)).scalars()
        return [Deployment.from_dict(record) for record in records]


def routed(home: Home) -> list[Deployment]:
    """Reads the deployments from the router's configuration, for when the ledger cannot be read."""
    return [
        Deployment(
            name=name, version=max(split, key=lambda one: split[one]), weights=split, endpoint=endpoint(home, name)
        )
        for name, split in sorted(Router(home).weights().items())
        if split
    ]


def declare(home: Home, model: str, on_violation: OnViolation) -> None:
    """For all versions of the model, those that serve included: they follow within a second."""
    violations.declare(on_violation_file(home, model), on_violation)


def endpoint(home: Home, model: str) -> str:
    return f"http://127.0.0.1:{home.router_port}/seldon/local/{model}/api/v1.0/predictions"


def model_ports(home: Home) -> dict[str, int]:
    """The ports of the model servers, by program."""
    supervisor = Supervisor(home)
    known = Router(home).ports().items()
    return {ModelProcess(home, supervisor, model, version).program: port for (model, version), port in known}


def renew(home: Home, living: Container[str] = ()) -> None:
    """Writes the programs of what was deployed before as they would be written now: with the token of today, and what
    this release adds; but not those of the `living`, which a handover replaces without a failed request."""
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


class _Deploying:
    def __init__(self, home: Home, ledger: Ledger, storage: Storage, model: Model, approval: Approval | None) -> None:
        self.ledger, self.model, self.approval = ledger, model, approval
        self.target = LocalTarget(home, storage, model.name)
        self.whole = TrafficSplit({model.version: 100})
        self.deployment = Deployment(
            name=model.name, version=model.version, weights=self.whole.weights, endpoint=endpoint(home, model.name)
        )

    def run(self) -> Deployment:
        self.target.check_services()
        holds.check(self.ledger, self.model.name, self.model.version, self.approval)
        before = self.target.split()
        if before != self.whole or not self._recorded() or not self.target.answers(self.model.version):
            with self._undone_on_failure(before):
                self._bring_up()
                self._take_over()
        else:
            self._lift_hold()
        for other in self.target.others(self.model.version):
            self.target.stop(other)
        return self.deployment

    def _bring_up(self) -> None:
        self.target.begin(self.model)
        found = VersionProgress("starting")

        def settled() -> bool:
            nonlocal found
            found = self.target.progress(self.model.version)
            return found.state != "starting"

        wait_until(settled, seconds=_START_SECONDS)
        if found.state != "ready":
            raise self._failure(found.reason, self._log())

    def _move_traffic(self) -> None:
        self.target.move(self.whole)
        if not wait_until(lambda: self.target.answers(self.model.version), seconds=_SERVED_SECONDS):
            raise self._failure("the router does not answer with this version")

    @persistent
    def _take_over(self) -> None:
        """All of it in one transaction: a rollback, or a rollout, begins before it or after it, and not in between."""
        with self.ledger.begin() as connection:
            refuse_while_active_within(connection, self.model.name)
            holds.pass_within(connection, self.model.name, self.model.version, self.approval)
            self._move_traffic()
            promote_within(connection, self.model.name, self.model.version)
            connection.execute(sa.delete(table).where(table.c.name == self.model.name))
            row = {"name": self.model.name, "record": self.deployment.to_dict(), "changed": time.time()}
            connection.execute(sa.insert(table).values(row))

    @persistent
    def _lift_hold(self) -> None:
        with self.ledger.begin() as connection:
            holds.pass_within(connection, self.model.name, self.model.version, self.approval)

    def _log(self) -> str:
        log = self.target.log(self.model.version)
        return f"Its log ends:\n{log}" if log else ""

    def _recorded(self) -> bool:
        return self.deployment in deployments(self.ledger)

    @contextmanager
    def _undone_on_failure(self, before: TrafficSplit) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            log = self._log()
            # A version that had all the traffic before stays: it is what this call was to bring about.
            if before != self.whole:
                self._undo(before)
            if isinstance(error, DeploymentError) or not isinstance(error, Exception):
                raise
            raise self._failure(error, log) from error

    def _undo(self, before: TrafficSplit) -> None:
        # Without supervisord nothing runs that could be stopped, and the next boot finds no file of it.
        with suppress(ServiceError):
            # Without traffic of its own it leaves the traffic to others, a rollback for one.
            if self.target.split().weights.get(self.model.version):
                self.target.move(before)
            self.target.stop(self.model.version)

    def _failure(self, reason: object, remedy: str = "") -> DeploymentError:
        return DeploymentError("deploy", f"{self.model.name} {self.model.version}", got=reason, remedy=remedy)
