"""Puts a version behind the local endpoint without a failed request: start, check, let Envoy check, move the traffic,
drain and stop what served before. Every step is keyed by the version, so that a retry resumes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import sqlalchemy as sa

from sailplane.errors import DeploymentError, ServiceError
from sailplane.files import locked, private_folder
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.ledger.tables import deployments as table
from sailplane.records import Deployment, Model
from sailplane.registry.bundle import Bundle
from sailplane.registry.models import fetch, promote_within
from sailplane.serving.client import call, wait_until
from sailplane.serving.model_process import ModelProcess
from sailplane.serving.router import NAME as ROUTER
from sailplane.serving.router import Router
from sailplane.storage import Storage
from sailplane.supervisor import Supervisor

_MAKE_UP = "Run `make up`, then clear this task."
_HEALTH_SECONDS = 30
_DRAIN_SECONDS = 35


def deploy(home: Home, ledger: Ledger, storage: Storage, model: Model) -> Deployment:
    """Gives the registered version all the traffic of its name. To deploy what is served already changes nothing.

    Raises DeploymentError, with the reason, after it has removed the new version; the old one never stopped serving.
    """
    with tempfile.TemporaryDirectory(prefix="sailplane-") as scratch:
        fetch(storage, model, Path(scratch) / "bundle")
        return deploy_folder(home, ledger, model, Path(scratch) / "bundle")


def deploy_folder(home: Home, ledger: Ledger, model: Model, bundle_folder: Path) -> Deployment:
    """`deploy` with the bundle at hand."""
    private_folder(home.serving)
    with locked(home.serving / f"{model.name}.lock"):
        return _Rollout(home, ledger, model).run(bundle_folder)


def deployments(ledger: Ledger) -> list[Deployment]:
    """What is served, by model."""
    with ledger.begin() as connection:
        records = connection.execute(sa.select(table.c.record).order_by(table.c.name)).scalars()
        return [Deployment.from_dict(record) for record in records]


def endpoint(home: Home, model: str) -> str:
    return f"http://127.0.0.1:{home.router_port}/seldon/local/{model}/api/v1.0/predictions"


def model_ports(home: Home) -> dict[str, int]:
    """The ports of the model servers, by program."""
    supervisor = Supervisor(home)
    known = Router(home).ports().items()
    return {ModelProcess(home, supervisor, model, version).program: port for (model, version), port in known}


class _Rollout:
    def __init__(self, home: Home, ledger: Ledger, model: Model) -> None:
        self.home, self.ledger, self.model = home, ledger, model
        self.supervisor, self.router = Supervisor(home), Router(home)
        self.process = ModelProcess(home, self.supervisor, model.name, model.version)
        self.deployment = Deployment(
            name=model.name, version=model.version, weights={model.version: 100}, endpoint=endpoint(home, model.name)
        )

    def run(self, bundle_folder: Path) -> Deployment:
        self._check_services()
        before = self.router.weights().get(self.model.name, {})
        if before != self.deployment.weights or not self._recorded() or not self._served():
            with self._undone_on_failure(before):
                self._bring_up(bundle_folder)
                self._move_traffic()
                self._record()
        self._retire_others()
        return self.deployment

    def _check_services(self) -> None:
        try:
            state = self.supervisor.states().get(ROUTER)
        except ServiceError as error:
            raise self._failure(error, _MAKE_UP) from error
        if state is None or state.state not in {"RUNNING", "STARTING"}:
            raise self._failure("the router is not running", _MAKE_UP)
        if not wait_until(self.router.running, seconds=10):
            raise self._failure("the router does not answer", f"See {self.home.logs}/{ROUTER}.log.")

    def _bring_up(self, bundle_folder: Path) -> None:
        bundle = Bundle.open(bundle_folder)
        if bundle.digest != self.model.digest:
            raise self._failure(f"the bundle's digest is {bundle.digest[:12]}", f"Expected {self.model.version}.")
        self.process.install(bundle)
        self.process.start()
        self.process.smoke_test(bundle)
        self.router.add(self.model.name, self.model.version, self.process.port)
        healthy = wait_until(lambda: self.router.healthy(self.model.name, self.model.version), seconds=_HEALTH_SECONDS)
        if not healthy:
            raise self._failure("the router does not find it healthy", f"See {self.home.logs}/{ROUTER}.log.")

    def _move_traffic(self) -> None:
        self.router.split(self.model.name, self.deployment.weights)
        if not wait_until(self._served, seconds=10):
            raise self._failure("the router does not answer with this version", f"See {self.home.logs}/{ROUTER}.log.")

    def _record(self) -> None:
        row = {"name": self.model.name, "record": self.deployment.to_dict(), "changed": time.time()}
        with self.ledger.begin() as connection:
            promote_within(connection, self.model.name, self.model.version)
            connection.execute(sa.delete(table).where(table.c.name == self.model.name))
            connection.execute(sa.insert(table).values(row))

    def _recorded(self) -> bool:
        return self.deployment in deployments(self.ledger)

    def _served(self) -> bool:
        """Several connections in a row, because each of Envoy's workers learns of a change by itself."""
        path = f"/seldon/local/{self.model.name}/health/status"
        return all(self._version_at(path) == self.model.version for _ in range(8))

    def _version_at(self, path: str) -> str | None:
        reply = call(self.home.router_port, "GET", path)
        return reply.version if reply.status == 200 else None

    def _retire_others(self) -> None:
        for other in self.process.others():
            self._retire(other)

    def _retire(self, process: ModelProcess) -> None:
        wait_until(lambda: self._drained(process), seconds=_DRAIN_SECONDS)
        self.router.remove(process.model, process.version)
        process.remove()

    def _drained(self, process: ModelProcess) -> bool:
        return not self.router.running() or not self.router.active_requests(process.model, process.version)

    @contextmanager
    def _undone_on_failure(self, before: dict[str, int]) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            log = self.process.log()
            # A version that had all the traffic before stays: it is what this call was to bring about.
            if before != self.deployment.weights:
                self._undo(before)
            if isinstance(error, DeploymentError) or not isinstance(error, Exception):
                raise
            raise self._failure(error, f"The end of its log:\n{log}" if log else "") from error

    def _undo(self, before: dict[str, int]) -> None:
        self.router.split(self.model.name, before)
        # Without supervisord nothing runs that could be stopped, and the next boot finds no file of it.
        with suppress(ServiceError):
            self._retire(self.process)

    def _failure(self, reason: object, remedy: str) -> DeploymentError:
        return DeploymentError("deploy", f"{self.model.name} {self.model.version}", got=reason, remedy=remedy)
