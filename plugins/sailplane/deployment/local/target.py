"""A model's versions on this machine: one supervised process each, behind the router."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from sailplane.deployment.envoy.router import NAME as ROUTER
from sailplane.deployment.envoy.router import Router
from sailplane.deployment.envoy.routes import LONGEST_BACK_OFF
from sailplane.deployment.http_client import wait_until
from sailplane.deployment.local.model_process import ModelProcess
from sailplane.deployment.target import TrafficSplit, VersionProgress
from sailplane.errors import DeploymentError, ModelError, ServiceError
from sailplane.files import locked, private_folder, temporary_folder
from sailplane.home import Home
from sailplane.records import Model
from sailplane.registry.models import fetch
from sailplane.storage import Storage
from sailplane.supervisor import Supervisor

_MAKE_UP: Final = "Run `make up`, then clear this task or repeat this command."
# After a kill, the router is between two starts for a moment.
_COMES: Final = {"RUNNING", "STARTING", "BACKOFF", "EXITED"}
_ROUTED_SECONDS: Final = 10
_CONNECTIONS: Final = 8
_DRAIN_SECONDS: Final = 35


class LocalTarget:
    """The `Target` of the model `name`."""

    def __init__(self, home: Home, storage: Storage, name: str) -> None:
        self.home, self.name = home, name
        self._storage, self._supervisor, self._router = storage, Supervisor(home), Router(home)
        self._processes: dict[str, ModelProcess] = {}
        self._good: set[str] = set()

    def prepare(self, model: Model) -> None:
        self._check_services()
        self._install(model)

    def _check_services(self) -> None:
        try:
            state = self._supervisor.states().get(ROUTER)
        except ServiceError as error:
            raise DeploymentError("deploy", self.name, got=error, remedy=_MAKE_UP) from error
        if state is None or state.state not in _COMES:
            raise DeploymentError("deploy", self.name, got="the router is not running", remedy=_MAKE_UP)
        if not wait_until(self._router.running, seconds=_ROUTED_SECONDS):
            raise DeploymentError("deploy", self.name, got="the router does not answer", remedy=self._see_router())

    def _install(self, model: Model) -> None:
        process = self._process(model.version)
        if not process.installed(model.digest):
            with temporary_folder() as scratch:
                bundle = fetch(self._storage, model, Path(scratch) / "bundle")
                bundle.check()
                process.install(bundle)

    def begin(self, model: Model) -> None:
        with self._locked():
            self._install(model)
            self._process(model.version).begin()

    def progress(self, version: str) -> VersionProgress:
        process = self._process(version)
        progress = process.progress()
        if progress.state == "failed":
            # supervisord restarts a version that was good, however often.
            again = version in self._good or self._changed_ports(process)
            return VersionProgress("starting", progress.reason) if again else self._failed(version, progress.reason)
        if progress.state == "starting":
            return progress
        if version not in self._good:
            try:
                process.smoke_test()
            except ModelError as error:
                return self._failed(version, str(error))
            self._router.add(self.name, version, process.port, process.grpc_port)
            self._good.add(version)
        if not self._router.healthy(self.name, version):
            return VersionProgress("starting", "the router does not find it healthy")
        return progress

    def _changed_ports(self, process: ModelProcess) -> bool:
        """Handles that another program took a port between its choice and the server's start."""
        with self._locked():
            routed = (self.name, process.version) in self._router.ports()
            return not routed and process.changed_ports()

    def split(self) -> TrafficSplit:
        return self._router.splits().get(self.name, TrafficSplit({}))

    def move(self, split: TrafficSplit) -> None:
        self._router.split(self.name, split)
        if not wait_until(lambda: self._router.routed(self.name) == self.split(), seconds=_ROUTED_SECONDS):
            got = f"the router does not take {dict(split.weights)}"
            raise DeploymentError("route", self.name, got=got, remedy=self._see_router())
        for version in (version for version, weight in split.weights.items() if weight == 100):
            self._check_routed(version)

    def stop(self, version: str) -> None:
        process = self._process(version)
        wait_until(lambda: self._drained(version), seconds=_DRAIN_SECONDS)
        # A request that failed here counts nowhere until the router has sent it to another version.
        time.sleep(2 * LONGEST_BACK_OFF)
        with self._locked():
            self._router.remove(self.name, version)
            process.remove()
        del self._processes[version]
        self._good.discard(version)

    def versions(self) -> list[str]:
        programs = [name for name in self._supervisor.programs() if name.rpartition("-")[0] == f"model-{self.name}"]
        return [name.rpartition("-")[2] for name in programs]

    def _check_routed(self, version: str) -> None:
        """Raises DeploymentError if requests reach another version."""

        def routed() -> bool:
            # Several connections in a row, because each of Envoy's workers applies a change at its own time.
            return not any(self._router.misroutes(self.name, version) for _ in range(_CONNECTIONS))

        if not wait_until(routed, seconds=_ROUTED_SECONDS):
            got = f"the router does not answer with {version}"
            raise DeploymentError("route", self.name, got=got, remedy=self._see_router())

    def port(self, version: str) -> int:
        """The HTTP port of the version's server."""
        return self._process(version).port

    def _failed(self, version: str, reason: str) -> VersionProgress:
        log = self._process(version).log()
        return VersionProgress("failed", f"{reason.rstrip('.')}. Its log ends:\n{log}" if log else reason)

    def _locked(self) -> AbstractContextManager[None]:
        """Excludes handovers, which replace the model's processes."""
        return locked(private_folder(self.home.serving) / f"{self.name}.lock")

    def _process(self, version: str) -> ModelProcess:
        if version not in self._processes:
            self._processes[version] = ModelProcess(self.home, self._supervisor, self.name, version)
        return self._processes[version]

    def _drained(self, version: str) -> bool:
        return not self._router.running() or not self._router.active_requests(self.name, version)

    def _see_router(self) -> str:
        return f"See {self.home.logs}/{ROUTER}.log."
